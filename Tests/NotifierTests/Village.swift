import Messages
import Support

@testable import Notifier

/// Nodes and pods that carry out what the core asks for, under a stepped clock. The core can be dropped between any two
/// actions and made anew from what stands on the nodes and pods.
struct Village {
    static let start = Timestamp(seconds: 1_800_000_000)

    /// No pod comes to a cordoned node here, unless a test says so.
    static var policy: NotifierPolicy {
        var policy = NotifierPolicy(cluster: "prod")
        policy.bindingGrace = .zero
        return policy
    }

    var now = Village.start
    var policy = Village.policy
    var core: NotifierCore
    var node: NotifiedNode
    var pods: [String: NodePod] = [:]
    /// How often a gate cannot be opened yet.
    var gateFailures = 0

    var published: [Event] = []
    var deliveries: [String: Set<NoticeChannel>] = [:]
    var withdrawals: [String: Set<NoticeChannel>] = [:]
    var hookAnswers: [String: AnswerWord] = [:]
    var hookTries: [String: Int] = [:]
    /// The deadlines that each pod was told, in order.
    var deadlines: [String: [Timestamp]] = [:]
    var failures: [String: Int] = [:]
    var heard: [AnswerVerdict] = []
    var heardBy: [AnswerSource: [AnswerVerdict]] = [:]
    var countdowns: [String: Timestamp] = [:]
    var webhookCalls: [String] = []
    var webhooksGivenUp: [String] = []
    var webhookOutcome = WebhookOutcome.taken
    /// Pods whose annotations cannot be written just now.
    var unwritable: Set<String> = []
    var verdicts: [Int: AnswerVerdict] = [:]
    var tickets = 0

    var work: [NotifierAction] = []
    var steps = 0
    var crashBefore: Int?
    var crashAfter: Int?
    var crashes = 0
    /// What the node's record has become by the time when a process starts after a crash.
    var recordAfterCrash: RemovalRecord?
    /// Ways that were used although the pod's record says that it was told by them.
    var toldTwice: [String] = []
    /// Ways that fail for every pod.
    var broken: Set<NoticeChannel> = []
    /// Hooks that never come back.
    var hanging: Set<String> = []
    /// The order of all deliveries.
    var order: [String] = []
    var pages = 0
    var readsFail = false

    init(_ configure: (inout NotifierPolicy) -> Void = { _ in }) {
        configure(&policy)
        core = NotifierCore(policy: policy)
        node = NotifiedNode(name: "n1", uid: "uid-n1", record: nil)
        feed(.nodesListed([node]))
    }

    static func record(_ node: String, at now: Timestamp) -> RemovalRecord {
        RemovalRecord(
            id: "r1", group: "workers", nodeUID: "uid-\(node)", serverID: "server", member: "m", memberID: "physical",
            decidedAt: now, startedAt: now, deadline: now + .seconds(660), reason: Explanation(.nodeUnneeded))
    }

    // MARK: What happens

    mutating func addPod(
        _ name: String, node: String = "n1", hook: Bool = false, gate: NodePod.Gate = .absent,
        owner: String = "ReplicaSet", namespace: String = "default", priority: Int32 = 0,
        labels: [String: String] = [:]
    ) {
        pods[name] = NodePod(
            namespace: namespace, name: name, uid: name, node: node, ip: "10.0.0.1", labels: labels,
            annotations: hook ? [RemovalNames.shutdownHook: "http://:8080/bye"] : [:],
            ownerKind: owner, priority: priority, gate: gate)
    }

    mutating func removePod(_ name: String) {
        pods[name] = nil
        feed(.podGone(uid: name))
    }

    mutating func cordon() {
        node.record = Village.record("n1", at: now)
        feed(.nodeSeen(node))
    }

    /// The Actuator has heard that the cooldown is over, and begins to evict.
    mutating func drain(for time: Interval = .seconds(900)) {
        step(.quiesced(Explanation(.cooldownExpired), deadline: now + time))
    }

    mutating func step(_ transition: RemovalTransition) {
        node.record = (try? node.record?.applying(transition, at: now)) ?? node.record
        feed(.nodeSeen(node))
    }

    mutating func sees(_ name: String) {
        if let pod = pods[name] { feed(.podSeen(pod)) }
    }

    mutating func answer(
        _ pod: String, _ word: AnswerWord, removal: String = "r1", isAuthentic: Bool = true,
        by source: AnswerSource = .http, id: String? = nil
    ) -> AnswerVerdict? {
        tickets += 1
        feed(
            .answered(
                removal: removal, podUID: pod, word, source, isAuthentic: isAuthentic, ticket: tickets, id: id))
        return heard.last
    }

    /// An application writes its answer to its own pod.
    mutating func annotate(_ pod: String, _ text: String) {
        pods[pod]?.annotations[RemovalNames.podAnswer] = text
        sees(pod)
    }

    // MARK: What can be asked

    var story: [EventType] { published.map(\.type).filter { $0 != .podShutdown } }
    var noticed: [RemovalProgress] {
        published.compactMap { if case .removalNoticed(let event) = $0 { event.removal } else { nil } }
    }
    var quiesced: [RemovalProgress] {
        published.compactMap { if case .removalQuiesced(let event) = $0 { event.removal } else { nil } }
    }

    // MARK: Running

    mutating func run(_ interval: Interval) {
        let end = now + interval
        _ = runUntil { $0.now >= end }
    }

    /// The time at which `condition` held; ten years later if it did not within half an hour.
    mutating func runUntil(_ condition: (Village) -> Bool) -> Timestamp {
        let end = now + .seconds(1_800)
        while !condition(self) {
            guard now < end else { return now + .seconds(315_360_000) }
            now = now + .milliseconds(250)
            feed(.tick)
        }
        return now
    }

    mutating func crash() {
        crashes += 1
        if let recordAfterCrash { node.record = recordAfterCrash }
        core = NotifierCore(policy: policy)
        work = core.handle(.nodesListed([node]), at: now)
        for pod in pods.values.sorted(by: { $0.name < $1.name }) { work += core.handle(.podSeen(pod), at: now) }
    }

    mutating func feed(_ event: NotifierEvent) {
        work += core.handle(event, at: now)
        while !work.isEmpty {
            let action = work.removeFirst()
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

    private mutating func perform(_ action: NotifierAction) -> NotifierEvent? {
        switch action {
        case .publish(let event):
            published.append(event)
            return nil
        case .readPods(let node):
            pages += 1
            if readsFail { return .podsUnread(node: node) }
            return .podsRead(node: node, pods.values.filter { $0.node == node }.sorted { $0.name < $1.name })
        case .deliver(let id, let notice, _):
            if id.channel == .hook, hanging.contains(notice.pod.name) { return nil }
            return .delivered(id, deliver(id, notice))
        case .recordNotice(let notice):
            pods[notice.pod.name]?.annotations[RemovalNames.podNotice] = notice.record
            return nil
        case .openGate(let pod):
            guard gateFailures == 0 else {
                gateFailures -= 1
                return .gateSet(podUID: pod.uid, false)
            }
            pods[pod.name]?.gate = .serving
            return .gateSet(podUID: pod.uid, true)
        case .recordAnswer(let notice, let word):
            let name = notice.pod.name
            guard !unwritable.contains(name) else { return .answerRecorded(podUID: name, false) }
            pods[name]?.annotations[RemovalNames.podAnswer] = word.text
            pods[name]?.annotations[RemovalNames.podDeadline] = notice.deadline.rfc3339
            pods[name]?.annotations[RemovalNames.podNotice] = notice.record
            return .answerRecorded(podUID: name, true)
        case .verdict(let ticket, let verdict, _):
            verdicts[ticket] = verdict
            return nil
        case .heard(let source, let verdict, _):
            heard.append(verdict)
            heardBy[source, default: []].append(verdict)
            return nil
        case .countdown(let node, let until):
            countdowns[node] = until
            return nil
        case .sendWebhook(let message, _):
            webhookCalls.append(message.id)
            return .webhookSent(message, webhookOutcome)
        case .webhookFailed(let message, _):
            webhooksGivenUp.append(message.id)
            return nil
        case .nodeEvent, .note: return nil
        }
    }

    private mutating func deliver(_ id: DeliveryID, _ notice: Notice) -> DeliveryOutcome {
        let name = notice.pod.name
        guard let pod = pods[name] else { return .gone }
        if broken.contains(id.channel) { return .failed("broken", isRetriable: true) }
        let marks = NoticeMarks(pod.annotations, removal: notice.removal)
        if !notice.withdrawn, !notice.isShortened, marks?.told.contains(id.channel.rawValue) == true {
            toldTwice.append("\(name) \(id.channel.rawValue)")
        }
        order.append("\(name) \(id.channel.rawValue)\(notice.withdrawn ? " stay" : "")")
        if id.channel == .hook {
            hookTries[name, default: 0] += 1
            if let left = failures[name], left > 0 {
                failures[name] = left - 1
                return .failed("connection refused", isRetriable: true)
            }
        }
        switch id.channel {
        case .annotation:
            pods[name]?.annotations[RemovalNames.podRemoval] = notice.withdrawn ? nil : notice.removal
            pods[name]?.annotations[RemovalNames.podDeadline] = notice.withdrawn ? nil : notice.deadline.rfc3339
            pods[name]?.annotations[RemovalNames.podAnswer] = nil
            pods[name]?.annotations[RemovalNames.podNotice] = nil
            if !notice.withdrawn { deadlines[name, default: []].append(notice.deadline) }
        case .gate: pods[name]?.gate = notice.withdrawn ? .serving : .notServing
        case .hook, .bus, .event: break
        }
        if notice.withdrawn {
            withdrawals[name, default: []].insert(id.channel)
        } else {
            deliveries[name, default: []].insert(id.channel)
        }
        return .delivered(answer: notice.withdrawn || id.channel != .hook ? nil : hookAnswers[name])
    }
}
