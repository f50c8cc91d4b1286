import Messages
import Support

/// The cluster of a replay: pods as recorded, nodes of the groups as decided. Pure.
struct ReplayWorld: Sendable {
    /// Something that takes its time.
    enum Pending: Sendable {
        /// Without a decision: it was on its way when the replay began.
        case arrival(group: String, decision: ScaleDecided?, count: Int)
        case departure(node: String, decision: RemovalDecided, target: RemovalTarget)
    }

    /// What came of it.
    enum Outcome: Sendable {
        case grown(ScaleDecided)
        case removed(RemovalProgress, moved: Int)
    }

    /// A node of a group.
    struct Supply: Sendable {
        var group: String
        /// As it is told, but for the marks of a removal.
        var node: Node
        /// The removal under way.
        var removal: String?
        /// Pods that belong to it: copies for nodes that were never recorded, else those kept after the recording lost them.
        var fixedPods: [Pod] = []
        var isVirtual = false
    }

    let configuration: DeciderConfiguration
    var recorded = RecordedCluster()
    /// The last recorded word of each group.
    private(set) var groups: [String: GroupState] = [:]
    /// UIDs of nodes whose removal by Updraft was recorded.
    var removedByUpdraft: Set<String> = []
    /// Nodes of the groups, by name.
    private(set) var supply: [String: Supply] = [:]
    /// Machines that are being made, by group.
    private(set) var coming: [String: Int] = [:]
    private var pending: [(at: Timestamp, what: Pending)] = []
    private var made = 0
    /// Servers of recorded members, and their groups.
    private var members: [String: String] = [:]
    /// The newest good node of each group: what new ones are like.
    private var models: [String: Node] = [:]
    /// Where each pod runs here.
    var assigned: [String: String] = [:]
    /// Since when each pod has waited.
    var waitingSince: [String: Timestamp] = [:]
    /// What the engine has been told.
    var toldNodes: [String: Node] = [:]
    var toldPods: [String: Pod] = [:]
    var toldRest = RecordedCluster()

    init(_ configuration: DeciderConfiguration) {
        self.configuration = configuration
    }

    /// When something happens next by itself.
    var nextEvent: Timestamp? { pending.map(\.at).min() }

    var hasHeardAllGroups: Bool { configuration.groups.allSatisfy { groups[$0.id] != nil } }

    /// Members of each configured group, those that are being made included.
    var sizes: [String: Int] {
        var sizes: [String: Int] = [:]
        for rules in configuration.groups { sizes[rules.id] = coming[rules.id] ?? 0 }
        for item in supply.values { sizes[item.group, default: 0] += 1 }
        return sizes
    }

    /// UIDs of pods that wait for a node.
    var waiting: Set<String> { Set(waitingSince.keys) }

    // MARK: The recording

    /// Takes the word of a group; whether servers belong to it that were not known to.
    mutating func heard(_ state: GroupState) -> Bool {
        guard configuration.groups.contains(where: { $0.id == state.group }) else { return false }
        groups[state.group] = state
        let known = members.count
        for member in state.members {
            if let server = member.serverID { members[server] = state.group }
        }
        return members.count > known
    }

    func group(of node: Node) -> String? { node.serverID.flatMap { members[$0] } }

    /// The groups begin as they were recorded, with machines that are being made counted as about to come.
    mutating func begin(readyAt: Timestamp) {
        for node in recorded.nodes.values {
            guard let group = group(of: node), node.deletedAt == nil else { continue }
            supply[node.name] = Supply(group: group, node: node.unmarked)
        }
        for (id, state) in groups {
            let missing = state.size - supply.values.count(where: { $0.group == id })
            guard missing > 0 else { continue }
            coming[id] = missing
            pending.append((readyAt, .arrival(group: id, decision: nil, count: missing)))
        }
        noteRecorded()
        for pod in recorded.pods.values {
            if let node = pod.node, toldNode(node) != nil { assigned[pod.uid] = node }
        }
    }

    /// Takes over what the recording says now: other nodes follow it, those of groups only in what is not the Decider's work.
    mutating func noteRecorded() {
        for node in recorded.nodes.values {
            if node.isUnderRemoval, group(of: node) != nil { removedByUpdraft.insert(node.uid) }
            guard let group = group(of: node) else { continue }
            if node.isWorking, !node.isUnderRemoval, !node.unschedulable,
                (models[group]?.createdAt ?? node.createdAt) <= node.createdAt
            {
                models[group] = node
            }
            if let known = supply[node.name], !known.isVirtual, known.node.uid == node.uid {
                supply[node.name]?.node = node.unmarked
                if removedByUpdraft.contains(node.uid), known.fixedPods.isEmpty { keepFixedPods(of: node.name) }
            }
        }
        for (name, item) in supply where !item.isVirtual && recorded.nodes[name]?.uid != item.node.uid {
            // Gone by the recorded Decider's work it stays here; gone otherwise (it failed, somebody removed it) it goes.
            if removedByUpdraft.contains(item.node.uid) { continue }
            drop(name)
        }
        assigned = assigned.filter { uid, _ in recorded.pods[uid] != nil }
    }

    /// The recording is about to lose the node, and with it the pods that are part of every node.
    private mutating func keepFixedPods(of name: String) {
        supply[name]?.fixedPods = recorded.pods.values
            .filter { $0.node == name && recorded.isFixed($0) && !$0.hasEnded && $0.deletedAt == nil }
            .map { pod in
                var copy = pod
                copy.uid = "\(name)/\(pod.uid)"
                return copy
            }.sorted { $0.uid < $1.uid }
    }

    private mutating func drop(_ name: String) {
        supply[name] = nil
        pending.removeAll { if case .departure(name, _, _) = $0.what { true } else { false } }
    }

    // MARK: Decisions

    mutating func resize(_ decision: ScaleDecided, readyAt: Timestamp, at now: Timestamp) {
        let more = decision.to - (sizes[decision.group] ?? 0)
        if more > 0 {
            coming[decision.group, default: 0] += more
            pending.append((readyAt, .arrival(group: decision.group, decision: decision, count: more)))
        } else {
            // Machines that never registered are what a smaller size takes away.
            coming[decision.group] = max(0, (coming[decision.group] ?? 0) + more)
            pending.append((now + .seconds(1), .arrival(group: decision.group, decision: decision, count: 0)))
        }
    }

    mutating func remove(_ decision: RemovalDecided, goneAt: Timestamp, at now: Timestamp) -> [Event] {
        var events: [Event] = []
        for target in decision.nodes where supply[target.node] != nil {
            supply[target.node]?.removal = decision.id
            pending.append((goneAt, .departure(node: target.node, decision: decision, target: target)))
            events.append(
                .removalCordoned(
                    RemovalCordoned(
                        cluster: decision.cluster, removal: progress(decision, target, target.reason, at: now))))
        }
        return events
    }

    mutating func cancel(_ decision: RemovalCancelled, at now: Timestamp) -> [Event] {
        var events: [Event] = []
        var kept: [(at: Timestamp, what: Pending)] = []
        for item in pending {
            guard case .departure(let node, let removal, let target) = item.what, removal.id == decision.id,
                decision.nodes.isEmpty || decision.nodes.contains(node)
            else {
                kept.append(item)
                continue
            }
            supply[node]?.removal = nil
            events.append(
                .removalFailed(
                    RemovalFailed(
                        cluster: decision.cluster, removal: progress(removal, target, decision.reason, at: now))))
        }
        pending = kept
        return events
    }

    private func progress(
        _ decision: RemovalDecided, _ target: RemovalTarget, _ reason: Explanation, at now: Timestamp
    ) -> RemovalProgress {
        RemovalProgress(
            id: decision.id, group: decision.group, node: target.node, nodeUID: target.nodeUID,
            serverID: target.serverID, reason: reason, at: now)
    }

    /// What is due: machines come, nodes go.
    mutating func happen(at now: Timestamp) -> [Outcome] {
        let due = pending.filter { $0.at <= now }.sorted { $0.at < $1.at }
        pending.removeAll { $0.at <= now }
        var outcomes: [Outcome] = []
        for item in due {
            switch item.what {
            case .arrival(let group, let decision, let count):
                let arriving = min(count, coming[group] ?? 0)
                for _ in 0..<arriving { add(to: group, at: now) }
                coming[group] = (coming[group] ?? 0) - arriving
                if let decision { outcomes.append(.grown(decision)) }
            case .departure(let node, let decision, let target):
                let moved = assigned.filter { $0.value == node && !isFixed($0.key) }.map(\.key)
                for uid in moved { assigned[uid] = nil }
                supply[node] = nil
                outcomes.append(
                    .removed(progress(decision, target, target.reason, at: now), moved: moved.count))
            }
        }
        return outcomes
    }

    mutating func assign(_ uid: String, to node: String) {
        assigned[uid] = node
        waitingSince[uid] = nil
    }

    private func isFixed(_ uid: String) -> Bool { recorded.pods[uid].map(recorded.isFixed) ?? true }

    func events(of outcome: Outcome, at now: Timestamp) -> [Event] {
        switch outcome {
        case .grown(let decision):
            let progress = ScaleProgress(
                id: decision.id, group: decision.group, from: decision.from, to: decision.to,
                size: sizes[decision.group], reason: decision.reason, at: now)
            return [.scaleCompleted(ScaleCompleted(cluster: decision.cluster, scale: progress))]
        case .removed(let progress, _):
            return [.removalCompleted(RemovalCompleted(cluster: configuration.cluster, removal: progress))]
        }
    }

    /// A machine like the group's newest good node, else as configuration and flavor say.
    private mutating func add(to group: String, at now: Timestamp) {
        made += 1
        let name = "\(group)-replayed-\(made)"
        var node = models[group] ?? template(of: group)
        let source = node.name
        node.name = name
        node.uid = name
        node.providerID = "openstack:///server-\(name)"
        node.labels[NodeClass.hostLabel] = name
        node.taints = ClusterModel.templateTaints(node.taints, configuration.nodeRules)
        node.createdAt = now
        node.readiness = .ready
        node.readinessChangedAt = now
        node.deletedAt = nil
        var item = Supply(group: group, node: node, isVirtual: true)
        for pod in recorded.pods.values where pod.node == source && recorded.isFixed(pod) && !pod.hasEnded {
            var copy = pod
            copy.uid = "\(name)/\(pod.uid)"
            copy.node = name
            copy.createdAt = now
            item.fixedPods.append(copy)
        }
        item.fixedPods.sort { $0.uid < $1.uid }
        supply[name] = item
    }

    private func template(of group: String) -> Node {
        let rules = configuration.groups.first { $0.id == group }
        var allocatable = rules?.template?.allocatable ?? ResourceList()
        if let flavor = groups[group]?.flavor {
            let (offered, _) = ClusterModel.allocatable(
                of: flavor, reserved: rules?.template?.reserved ?? ResourceList())
            if allocatable.cpuMillis == 0 { allocatable.cpuMillis = offered.cpuMillis }
            if allocatable.memoryBytes == 0 { allocatable.memoryBytes = offered.memoryBytes }
            if allocatable.ephemeralStorageBytes == 0 {
                allocatable.ephemeralStorageBytes = offered.ephemeralStorageBytes
            }
        }
        if allocatable.pods == 0 { allocatable.pods = 110 }
        return Node(
            name: "", labels: rules?.template?.labels ?? [:], taints: rules?.template?.taints ?? [],
            allocatable: allocatable)
    }
}
