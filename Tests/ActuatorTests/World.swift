import JSONReader
import Messages
import Support

@testable import Actuator

/// A small cloud and cluster that carry out what the core asks for, with the measured rules of Heat (a shrink takes
/// failed members first, then the oldest; an update that keeps the size replaces failed ones), under a stepped clock.
/// The core can be dropped between any two actions, and made anew from what the Nodes and Heat say.
struct World {
    static let start = Timestamp(seconds: 1_800_000_000)

    struct Member {
        var name: String
        var id: String
        var server: String
        var status = "CREATE_COMPLETE"
        var reason = ""
        var bornAt: Timestamp
    }

    /// A command on its durable queue.
    struct Message {
        var event: Event
        var availableAt: Timestamp
        var ticket: Int?
    }

    var now = World.start
    var policy: ActuatorPolicy
    var core: ActuatorCore

    // Heat
    var members: [Member] = []
    var desired = 3
    var hasParameter = true
    var removesChosen = true
    var scalingInProgress = false
    /// The engine died: nothing of what is under way ends before a size is sent anew.
    var engineIsDead = false
    var stackStatus = "CREATE_COMPLETE"
    var stackReason = ""
    var updateEndsAt: Timestamp?
    var updateTakes = Interval.seconds(5)
    var born = 0
    /// Sizes that were sent, in order.
    var resizes: [Int] = []
    var marks: [String] = []
    /// Answers of Heat that fail, first to last.
    var resizeFailures: [ActFailure] = []
    /// The next resize is carried out, and this is what comes back.
    var lostAnswer: ActFailure?
    var markFailures: [ActFailure?] = []
    /// The next resize has no answer, and is carried out so much later.
    var resizeIsLate: Interval?
    var lateResizes: [(at: Timestamp, size: Int)] = []
    /// How long Heat takes to answer a resize, and what it has yet to answer.
    var answerTakes = Interval.zero
    var answers: [(at: Timestamp, event: ActuatorEvent)] = []
    /// How long each look at the pods of a node takes, one after the other, and when the last will have ended.
    var lookTakes = Interval.zero
    var looksEndAt = World.start
    /// How long it takes to add a replica to a workload, and what is on its way.
    var raisingTakes = Interval.zero
    var raises: [(at: Timestamp, decision: PodsDecided)] = []
    /// Every change of replicas of a workload fails with this.
    var scaleFailure: ActFailure?
    /// The next update ends failed with this.
    var updateFailure: String?
    /// Heat takes this one instead of the marked.
    var wrongVictim: String?

    var others = Others()

    // Kubernetes
    var nodes: [String: JSONValue] = [:]
    var version = 1
    /// Nodes that changed since the watch last told.
    var changed: Set<String> = []
    /// Nodes that were let go before anybody had said how their removal ended.
    var untoldReleases: [String] = []
    var pods: [String: NodePod] = [:]
    /// Nodes that are not ready, and when those registered that are no old ones.
    var unready: Set<String> = []
    var createdAt: [String: Timestamp] = [:]
    /// What Nova says of servers; ACTIVE where nothing stands here.
    var servers: [String: ServerWord] = [:]
    var askedForServers = 0
    var reports: [Explanation] = []
    var conditions: [String: Explanation] = [:]
    var warnings: [Explanation] = []
    var notes: [ActuatorNote] = []
    var editFailures: [ActFailure] = []
    /// Every edit of these Nodes fails with this.
    var failingEdits: [String: ActFailure] = [:]
    /// Evictions that a budget forbids, by pod, how often yet.
    var budget: [String: Int] = [:]
    var evictions: [String] = []
    var unnoticedEvictions: [String] = []
    var terminating: [String: Timestamp] = [:]
    /// Pods that do not go when they are told to (their kubelet is dead).
    var stuckPods: Set<String> = []
    /// How long after the end of its grace period an evicted pod's object is still there.
    var objectsStay = Interval.zero
    var deletions: [String] = []
    /// Those of which the Node's record did not speak.
    var unrecordedDeletions: [String] = []
    var graces: [String: Int64?] = [:]
    /// Volumes attached to nodes, and until when.
    var volumes: [String: Timestamp] = [:]
    var volumeFailure: ActFailure?
    /// Replicas of the one workload that `web-only` belongs to, when its second pod is ready, and who changed it.
    var replicas = 1
    var secondPodReadyAt: Timestamp?
    var secondPodTakes = Interval.seconds(10)
    var scales: [Int] = []
    /// How long the successor of a pod of the StatefulSet `db`, of three, takes to be ready; nil: there is no such set.
    var successorTakes: Interval?
    /// Reading any workload fails with this.
    var workloadFailure: ActFailure?
    /// Pods that are not ready.
    var isBroken: Set<String> = []
    var evictedAt: [String: Timestamp] = [:]

    // Bus
    var queue: [Message] = []
    var published: [Event] = []
    var nextTicket = 0
    var inHand: [Int: Event] = [:]
    var notifierIsThere = true
    var cooldown = Interval.seconds(3)
    var told: Set<String> = []

    // Work
    var work: [ActuatorAction] = []
    var steps = 0
    /// Crash just before, or just after, the n-th action takes effect.
    var crashBefore: Int?
    var crashAfter: Int?
    var crashes = 0

    init(nodes count: Int = 3, min: Int = 1, max: Int = 10) {
        policy = ActuatorPolicy(
            cluster: "prod", groups: [.init(id: "workers", stack: "k8s", min: min, max: max, origin: "groups[0]")])
        policy.drainPoll = .seconds(1)
        core = ActuatorCore(policy: policy)
        desired = count
        for _ in 0..<count { addMember(isReady: true) }
    }

    // MARK: Set-up

    mutating func addMember(isReady: Bool) {
        born += 1
        let member = Member(
            name: "m\(born)", id: "aaaaaa\(born)-member", server: "server-000\(born)",
            status: isReady ? "CREATE_COMPLETE" : "CREATE_IN_PROGRESS", bornAt: now)
        members.append(member)
        if isReady { addNode(member) }
    }

    mutating func addNode(_ member: Member) {
        version += 1
        nodes["node-\(member.name)"] = [
            "metadata": [
                "name": .string("node-\(member.name)"), "uid": .string("uid-\(member.name)"),
                "resourceVersion": .string("\(version)"),
            ],
            "spec": ["providerID": .string("openstack:///\(member.server)")],
        ]
    }

    /// With the policy as it is now.
    mutating func restart() {
        core = ActuatorCore(policy: policy)
    }

    /// The machine of a member registers, and the watch tells.
    mutating func register(_ name: String) {
        guard let member = members.first(where: { $0.name == name }) else { return }
        addNode(member)
        createdAt["node-\(name)"] = now
        see("node-\(name)")
    }

    /// The watch tells of a node.
    mutating func see(_ name: String) {
        if let view = view(name) {
            work += core.handle(.nodeSeen(view), at: now)
        } else {
            work += core.handle(.nodeGone(name: name, uid: ""), at: now)
        }
    }

    mutating func merge(_ node: String, _ patch: JSONValue) {
        nodes[node] = World.merge(nodes[node] ?? .null, patch)
    }

    mutating func addPod(
        _ name: String, on node: String, grace: Int64 = 1, priority: Int32 = 0, owner: String = "ReplicaSet"
    ) {
        pods[name] = NodePod(
            name: name, uid: "uid-\(name)", node: node, ownerKind: owner, priority: priority, gracePeriodSeconds: grace)
    }

    func target(_ member: String) -> RemovalTarget {
        RemovalTarget(
            node: "node-\(member)", nodeUID: "uid-\(member)",
            serverID: members.first { $0.name == member }?.server ?? "server-gone",
            reason: Explanation(.nodeUnneeded, "utilization 0.1"))
    }

    func scale(_ id: String = "s1", from: Int, to: Int, after: Interval = .zero) -> Event {
        .scaleDecided(
            ScaleDecided(
                cluster: "prod", id: id, group: "workers", from: from, to: to, reason: Explanation(.podsPending),
                decidedAt: now + after, deadline: now + .seconds(300)))
    }

    func removal(_ id: String = "r1", _ members: [String]) -> Event {
        .removalDecided(
            RemovalDecided(
                cluster: "prod", id: id, group: "workers", from: self.members.count, nodes: members.map(target),
                decidedAt: now, deadline: now + .seconds(300)))
    }

    func cancellation(_ id: String = "r1", _ nodes: [String] = []) -> Event {
        .removalCancelled(
            RemovalCancelled(
                cluster: "prod", id: id, nodes: nodes, reason: Explanation(.loadReturned), decidedAt: now))
    }

    mutating func send(_ event: Event, after: Interval = .zero) {
        queue.append(Message(event: event, availableAt: now + after))
    }

    // MARK: What can be asked

    func record(_ node: String) -> RemovalRecord? {
        nodes[node]?[path: "metadata", "annotations", RemovalNames.record]?.stringValue
            .flatMap { try? RemovalRecord(text: $0) }
    }

    private func mistake(_ node: String) -> String? {
        guard let text = nodes[node]?[path: "metadata", "annotations", RemovalNames.record]?.stringValue else {
            return nil
        }
        do throws(MessageError) {
            _ = try RemovalRecord(text: text)
            return nil
        } catch {
            return error.description
        }
    }

    func isCordoned(_ node: String) -> Bool { nodes[node]?[path: "spec", "unschedulable"]?.boolValue == true }
    func isTainted(_ node: String) -> Bool {
        (nodes[node]?[path: "spec", "taints"]?.arrayValue ?? []).contains {
            $0["key"]?.stringValue == RemovalNames.taint
        }
    }

    var memberNames: [String] { members.map(\.name) }
    /// Kinds of events published, without `group.state` and arrivals.
    var story: [EventType] {
        published.map(\.type).filter {
            $0 != .groupState && $0 != .nodeJoined && $0 != .nodeReady && $0 != .nodeOverdue
        }
    }

    func reasons(_ type: EventType) -> [Reason] {
        published.compactMap { event -> Reason? in
            guard event.type == type else { return nil }
            return switch event {
            case .scaleRefused(let event): event.scale.reason.reason
            case .scaleFailed(let event): event.scale.reason.reason
            case .scaleCompleted(let event): event.scale.reason.reason
            case .removalFailed(let event): event.removal.reason.reason
            default: nil
            }
        }
    }

    // MARK: Running

    /// Lets time pass until `condition` holds; false if it does not within `limit`.
    mutating func run(within limit: Interval = .seconds(600), until condition: (World) -> Bool) -> Bool {
        let end = now + limit
        if core.nextWake() == nil && work.isEmpty { boot() }
        while true {
            drainWork()
            if condition(self) { return true }
            guard now < end else { return false }
            now = now + .milliseconds(250)
            worldStep()
            let due = answers.filter { $0.at <= now }
            answers.removeAll { $0.at <= now }
            for answer in due { feed(answer.event) }
            let raised = raises.filter { $0.at <= now }
            raises.removeAll { $0.at <= now }
            for raise in raised { feed(.workloadScaled(raise.decision, scale(raise.decision))) }
            deliver()
            feed(.tick)
        }
    }

    /// Lets `interval` pass.
    mutating func pass(_ interval: Interval) {
        let end = now + interval
        _ = run(within: interval) { $0.now >= end }
    }

    private mutating func boot() {
        work += core.handle(.tick, at: now)
        work += core.handle(.nodesListed(views), at: now)
    }

    mutating func crash() {
        crashes += 1
        core = ActuatorCore(policy: policy)
        work = []
        answers = []
        // What was not settled comes again.
        for event in inHand.sorted(by: { $0.key < $1.key }).map(\.value) {
            queue.append(Message(event: event, availableAt: now))
        }
        inHand = [:]
        boot()
    }

    var views: [NodeView] {
        nodes.keys.sorted().map { view($0) }.compactMap { $0 }
    }

    func view(_ name: String) -> NodeView? {
        guard let raw = nodes[name] else { return nil }
        let provider = raw[path: "spec", "providerID"]?.stringValue ?? ""
        var view = NodeView(
            name: name, uid: raw[path: "metadata", "uid"]?.stringValue ?? "",
            serverID: provider.isEmpty ? nil : provider.split(separator: "/").last.map(String.init),
            isReady: !unready.contains(name), createdAt: createdAt[name] ?? Timestamp(seconds: 0),
            record: record(name), recordMistake: mistake(name), hasTaint: isTainted(name),
            hasLabel: raw[path: "metadata", "labels", RemovalNames.excludeFromLoadBalancers]?.stringValue
                == RemovalNames.excludedByUs, isCordoned: isCordoned(name))
        view.pausedGroup = raw[path: "metadata", "annotations", RemovalNames.pausedGroup]?.stringValue
            .flatMap { PausedGroup($0) }
        view.labels = (raw[path: "metadata", "labels"]?.objectValue ?? [:]).compactMapValues(\.stringValue)
        view.taints = (raw[path: "spec", "taints"]?.arrayValue ?? []).compactMap { taint in
            guard let key = taint["key"]?.stringValue,
                let effect = taint["effect"]?.stringValue.flatMap(TaintEffect.init(rawValue:))
            else { return nil }
            return Taint(key: key, value: taint["value"]?.stringValue ?? "", effect: effect)
        }
        view.isHeld = (raw[path: "metadata", "finalizers"]?.arrayValue ?? []).contains(.string(RemovalNames.finalizer))
        view.isBeingDeleted = raw[path: "metadata", "deletionTimestamp"] != nil
        view.delays = (raw[path: "metadata", "annotations"]?.objectValue?.keys.map(\.self) ?? [])
            .filter { $0.hasPrefix(RemovalNames.delayPrefix) }
            .map { String($0.dropFirst(RemovalNames.delayPrefix.count)) }.sorted()
        return view
    }

    mutating func feed(_ event: ActuatorEvent) {
        work += core.handle(event, at: now)
        drainWork()
    }

    private mutating func drainWork() {
        while !work.isEmpty {
            let action = work.removeFirst()
            if case .note(let note) = action {
                notes.append(note)
                if note.level == .warning || note.level == .error { warnings.append(note.explanation) }
                continue
            }
            steps += 1
            if crashBefore == steps {
                crash()
                continue
            }
            let event = perform(action)
            if crashAfter == steps {
                crash()
                continue
            }
            if let event { work += core.handle(event, at: now) }
        }
    }

    private mutating func deliver() {
        let ready = queue.filter { $0.availableAt <= now }
        queue.removeAll { $0.availableAt <= now }
        for message in ready {
            switch message.event {
            case .removalNoticed(let event): feed(.removalNoticed(event.removal))
            case .removalQuiesced(let event):
                feed(.removalQuiesced(event.removal))
                // The Notifier repeats it until the record says so.
                if let record = record(event.removal.node), record.id == event.removal.id,
                    record.phase == .cordoned || record.phase == .noticed
                {
                    send(message.event, after: .seconds(5))
                }
            default: handOut(message.event)
            }
        }
    }

    private mutating func handOut(_ event: Event) {
        nextTicket += 1
        inHand[nextTicket] = event
        let ticket = nextTicket
        switch event {
        case .scaleDecided(let event): feed(.scaleDecided(event, ticket: ticket))
        case .podsDecided(let event): feed(.podsDecided(event, ticket: ticket))
        case .removalDecided(let event): feed(.removalDecided(event, ticket: ticket))
        case .removalCancelled(let event): feed(.removalCancelled(event, ticket: ticket))
        default: break
        }
    }

    // MARK: Acts

    private mutating func perform(_ action: ActuatorAction) -> ActuatorEvent? {
        switch action {
        case .publish(let event):
            published.append(event)
            notifierHears(event)
            return nil
        case .settle(let ticket, let how):
            guard let event = inHand.removeValue(forKey: ticket) else { return nil }
            if how == .retryLater { queue.append(Message(event: event, availableAt: now + .seconds(2))) }
            return nil
        case .readGroup(let id, _):
            if let failure = others.readFailure { return .groupUnread(group: id, failure) }
            return .groupRead(group: id, reading)
        case .resize(let id, let size, _):
            let answer = ActuatorEvent.resized(group: id, resize(size))
            guard answerTakes > .zero else { return answer }
            answers.append((now + answerTakes, answer))
            return nil
        case .mark(let id, let member, let unhealthy, let why):
            return .marked(group: id, member: member, unhealthy: unhealthy, mark(member, unhealthy, why))
        case .editNode(let edit): return .nodeEdited(node: edit.node, self.edit(edit))
        case .checkNode(let name): return .nodeChecked(name: name, view(name))
        case .readPods(let node):
            let read = ActuatorEvent.podsRead(
                node: node, pods.values.filter { $0.node == node }.sorted { $0.name < $1.name })
            guard lookTakes > .zero else { return read }
            looksEndAt = max(looksEndAt, now) + lookTakes
            answers.append((looksEndAt, read))
            return nil
        case .evict(let node, let pod, let grace):
            graces[pod.name] = grace
            return .evicted(node: node, podUID: pod.uid, evict(pod, grace))
        case .deleteNode(let node, _):
            nodes[node] = nil
            return .nodeDeleted(node: node, nil)
        case .deletePod(let node, let pod, let grace):
            return .evicted(node: node, podUID: pod.uid, delete(pod, grace))
        case .readVolumes(let node):
            if let volumeFailure { return .volumesUnread(node: node, volumeFailure) }
            return .volumesRead(node: node, volumes.filter { $0.value > now }.keys.sorted())
        case .readWorkload(let node, let pod):
            if let workloadFailure { return .workloadUnread(node: node, podUID: pod.uid, workloadFailure) }
            if let takes = successorTakes, pod.ownerUID == "db" {
                let away = evictedAt.count { pods[$0.key] == nil && $0.key.hasPrefix("db-") && now < $0.value + takes }
                return .workloadRead(
                    node: node, podUID: pod.uid,
                    WorkloadView(
                        apiVersion: "apps/v1", kind: "StatefulSet", namespace: "default", name: "db", replicas: 3,
                        readyElsewhere: 0, readyOthers: 2 - away, isReady: !isBroken.contains(pod.name)))
            }
            guard pod.name == "web-only" else { return .workloadRead(node: node, podUID: pod.uid, nil) }
            let isReady = secondPodReadyAt.map { $0 <= now } ?? false
            return .workloadRead(
                node: node, podUID: pod.uid,
                WorkloadView(
                    apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "web", replicas: replicas,
                    readyElsewhere: isReady ? 1 : 0, readyOthers: isReady ? 1 : 0, isReady: true))
        case .scaleWorkload(let decision) where raisingTakes > .zero && decision.to > decision.from:
            raises.append((now + raisingTakes, decision))
            return nil
        case .scaleWorkload(let decision): return .workloadScaled(decision, scale(decision))
        case .readServers(let group, let ids):
            askedForServers += 1
            return .serversRead(
                group: group,
                Dictionary(
                    ids.map { ($0, servers[$0] ?? .status("ACTIVE", fault: nil)) },
                    uniquingKeysWith: { first, _ in first }))
        case .report(_, let explanation):
            reports.append(explanation)
            return nil
        case .condition(let name, let explanation):
            conditions[name] = explanation
            return nil
        case .clearHooks(let id, let members): return .holdsCleared(group: id, letGo(members))
        case .refuseDeletion(let id, let members):
            refuse(members)
            return .holdsCleared(group: id, nil)
        case .checkServer(let id):
            others.asked.append(id)
            let answer = ActuatorEvent.serverChecked(serverID: id, fate(of: id))
            guard others.novaTakes > .zero else { return answer }
            answers.append((now + others.novaTakes, answer))
            return nil
        case .note: return nil
        }
    }

    var reading: GroupReading {
        var reading = GroupReading(
            begunAt: now, stackID: "stack-1", stackStatus: stackStatus, stackReason: stackReason,
            groupStackStatus: others.isShrinking ? "UPDATE_IN_PROGRESS" : stackStatus, groupStackReason: stackReason,
            scalingInProgress: scalingInProgress,
            desired: hasParameter ? desired : nil,
            members: members.filter { !others.unlisted.contains($0.name) }.map {
                GroupState.Member(
                    name: $0.name, physicalID: $0.id, serverID: others.candidates[$0.name] == nil ? $0.server : nil,
                    status: $0.status, statusReason: $0.reason, createdAt: $0.bornAt)
            })
        reading.removesChosen = removesChosen
        others.describe(&reading)
        for member in members {
            reading.unsettled[member.id] = others.unsettled[member.name]
            reading.candidates[member.id] = others.candidates[member.name]
        }
        return reading
    }

    private mutating func resize(_ size: Int) -> ActFailure? {
        if let late = resizeIsLate {
            resizeIsLate = nil
            lateResizes.append((now + late, size))
            return ActFailure(.heatUnreachable, "no answer within 90 s", isRetriable: true, isUnanswered: true)
        }
        if !resizeFailures.isEmpty { return resizeFailures.removeFirst() }
        return accept(size)
    }

    private mutating func accept(_ size: Int) -> ActFailure? {
        resizes.append(size)
        desired = size
        scalingInProgress = false
        engineIsDead = false
        stackStatus = "UPDATE_IN_PROGRESS"
        updateEndsAt = now + updateTakes
        defer { lostAnswer = nil }
        return lostAnswer
    }

    private mutating func mark(_ member: String, _ unhealthy: Bool, _ why: String) -> ActFailure? {
        if !markFailures.isEmpty, let failure = markFailures.removeFirst() { return failure }
        guard let index = members.firstIndex(where: { $0.name == member }) else {
            return ActFailure(.heatRefused, "ResourceNotFound", isRetriable: false)
        }
        if updateEndsAt != nil { return ActFailure(.heatConflict, "ActionInProgress", isRetriable: true) }
        marks.append("\(unhealthy ? "+" : "-")\(member)")
        members[index].status = unhealthy ? "CHECK_FAILED" : "CHECK_COMPLETE"
        members[index].reason = why
        return nil
    }

    private mutating func edit(_ edit: NodeEdit) -> NodeEditOutcome {
        if !editFailures.isEmpty { return .failed(editFailures.removeFirst()) }
        if let failure = failingEdits[edit.node] { return .failed(failure) }
        guard let raw = nodes[edit.node] else { return .gone }
        do throws(NodeEdit.Refusal) {
            let (patch, record) = try edit.patch(for: raw)
            version += 1
            var next = World.merge(raw, patch)
            next = World.merge(next, ["metadata": ["resourceVersion": .string("\(version)")]])
            nodes[edit.node] = next
            changed.insert(edit.node)
            if edit.kind == .release, ends(of: edit.node).isEmpty { untoldReleases.append(edit.node) }
            if next[path: "metadata", "deletionTimestamp"] != nil, World.finalizers(next).isEmpty {
                nodes[edit.node] = nil
            }
            return .done(record)
        } catch {
            switch error {
            case .otherNode: return .gone
            case .overtaken(let record): return .overtaken(record)
            case .nothingToDo: return .done(nil)
            case .unreadable(let why): return .failed(ActFailure(.memberUnresolved, why, isRetriable: false))
            }
        }
    }

    /// JSON merge patch, RFC 7386.
    static func merge(_ target: JSONValue, _ patch: JSONValue) -> JSONValue {
        guard let changes = patch.objectValue else { return patch }
        var result = target.objectValue ?? [:]
        for (key, value) in changes {
            if value.isNull { result[key] = nil } else { result[key] = merge(result[key] ?? .null, value) }
        }
        return .object(result)
    }

    private mutating func scale(_ decision: PodsDecided) -> WorkloadOutcome {
        if let scaleFailure { return .failed(scaleFailure) }
        if replicas == decision.to { return .already }
        guard replicas == decision.from else { return .stale(found: replicas) }
        replicas = decision.to
        scales.append(decision.to)
        if decision.to == 2 { secondPodReadyAt = now + secondPodTakes }
        return .done
    }

    private mutating func delete(_ pod: NodePod, _ grace: Int64?) -> EvictionOutcome {
        guard pods[pod.name]?.uid == pod.uid else { return .gone }
        deletions.append(pod.name)
        if record(pod.node)?.drain?.forced == nil { unrecordedDeletions.append(pod.name) }
        graces[pod.name] = grace
        // Nothing but a grace of zero takes the object of a pod away whose kubelet does not answer.
        let end = now + .seconds(Double(grace ?? pod.gracePeriodSeconds))
        pods[pod.name]?.deletedAt = end
        if grace == 0 { pods[pod.name] = nil } else if !stuckPods.contains(pod.name) { terminating[pod.name] = end }
        return .accepted
    }

    private mutating func evict(_ pod: NodePod, _ grace: Int64?) -> EvictionOutcome {
        guard var there = pods[pod.name], there.uid == pod.uid else { return .gone }
        if let left = budget[pod.name], left > 0 {
            budget[pod.name] = left - 1
            return .blocked(budget: "the budget web needs 2 healthy pods", retryAfter: nil)
        }
        if !told.contains(there.node) { unnoticedEvictions.append(pod.name) }
        evictions.append(pod.name)
        evictedAt[pod.name] = now
        let end = now + .seconds(Double(grace ?? pod.gracePeriodSeconds))
        there.deletedAt = end
        pods[pod.name] = there
        if !stuckPods.contains(pod.name) { terminating[pod.name] = end + objectsStay }
        return .accepted
    }

    // MARK: The others

    /// The Notifier hears of a cordoned node, tells, waits, and says so: on its durable queue.
    private mutating func notifierHears(_ event: Event) {
        guard notifierIsThere, case .removalCordoned(let cordoned) = event else { return }
        var progress = cordoned.removal
        tell(progress.node, of: progress.id)
        progress.deadline = now + cooldown
        send(.removalNoticed(RemovalNoticed(cluster: "prod", removal: progress)), after: .milliseconds(500))
        progress.reason = Explanation(.allPodsAnswered, "")
        send(.removalQuiesced(RemovalQuiesced(cluster: "prod", removal: progress)), after: cooldown)
    }

    /// The Notifier tells every pod that is there, and notes it on them; all answer that they are done.
    mutating func tell(_ node: String, of removal: String) {
        told.insert(node)
        for name in pods.filter({ $0.value.node == node }).keys {
            pods[name]?.annotations.merge([
                RemovalNames.podRemoval: removal, RemovalNames.podDeadline: (now + cooldown).rfc3339,
                RemovalNames.podNotice: "\(removal) annotation=told answer=done",
            ]) { _, new in new }
        }
    }

    private mutating func worldStep() {
        for name in changed.sorted() {
            if nodes[name] != nil { see(name) } else { feed(.nodeGone(name: name, uid: "uid-\(name.dropFirst(5))")) }
        }
        changed = []
        for (name, end) in terminating where end <= now {
            pods[name] = nil
            terminating[name] = nil
        }
        othersStep()
        for late in lateResizes where late.at <= now { _ = accept(late.size) }
        lateResizes.removeAll { $0.at <= now }
        guard let end = updateEndsAt, end <= now, !engineIsDead else { return }
        updateEndsAt = nil
        if let failure = updateFailure {
            updateFailure = nil
            stackStatus = "UPDATE_FAILED"
            stackReason = failure
            return
        }
        stackReason = ""
        stackStatus = "UPDATE_COMPLETE"
        shrinkOrGrow()
    }

    /// Members that do not leave by somebody else's act.
    private var staying: Int { members.count { $0.status != "DELETE_IN_PROGRESS" } }

    private mutating func shrinkOrGrow() {
        while staying > desired {
            if let victim = wrongVictim, let index = members.firstIndex(where: { $0.name == victim }) {
                wrongVictim = nil
                lose(members.remove(at: index))
                // And the marked one as well, as a signal would do.
                for member in members where member.status.hasSuffix("_FAILED") { lose(member) }
                members.removeAll { $0.status.hasSuffix("_FAILED") }
                continue
            }
            let order = members.indices.sorted {
                let left = members[$0]
                let right = members[$1]
                if left.status.hasSuffix("_FAILED") != right.status.hasSuffix("_FAILED") {
                    return left.status.hasSuffix("_FAILED")
                }
                return (left.bornAt, left.name) < (right.bornAt, right.name)
            }
            guard let victim = order.first else { return }
            lose(members.remove(at: victim))
        }
        for index in members.indices where members[index].status.hasSuffix("_FAILED") {
            born += 1
            members[index].id = "aaaaaa\(born)-replaced"
            members[index].server = "server-000\(born)"
            members[index].status = "CREATE_COMPLETE"
            members[index].reason = ""
        }
        while staying < desired { addMember(isReady: true) }
    }
}
