import Messages
import Support

/// What the engine is told of the replayed cluster.
extension ReplayWorld {
    /// A node as the engine is told of it; nil when it is not there.
    func toldNode(_ name: String) -> Node? {
        if let item = supply[name] {
            var node = item.node
            if let removal = item.removal {
                node.unschedulable = true
                node.taints.append(.underRemoval)
                node.annotations[RemovalNames.record] = removal
            }
            return node
        }
        guard let node = recorded.nodes[name] else { return nil }
        // Nodes that the recorded Decider brought are no part of this cluster.
        return group(of: node) == nil ? node : nil
    }

    mutating func forgetTold() {
        toldNodes = [:]
        toldPods = [:]
        toldRest = RecordedCluster()
    }

    /// What has to be told since the last time. Epoch and sequence are the caller's.
    mutating func changes(at now: Timestamp) -> ClusterDelta {
        var delta = ClusterDelta(cluster: configuration.cluster, epoch: "", sequence: 0, takenAt: now)
        var nodes: [String: Node] = [:]
        for name in recorded.nodes.keys { if let node = toldNode(name) { nodes[name] = node } }
        for name in supply.keys where nodes[name] == nil { nodes[name] = toldNode(name) }
        delta.nodes = Self.changed(toldNodes, nodes)
        delta.removedNodes = Self.gone(toldNodes, nodes)
        toldNodes = nodes
        let pods = podsToTell(nodes, at: now)
        delta.pods = Self.changed(toldPods, pods)
        delta.removedPods = Self.gone(toldPods, pods)
        toldPods = pods
        delta.shapes = recorded.takeShapes(all: !toldRest.isComplete)
        delta.budgets = Self.changed(toldRest.budgets, recorded.budgets)
        delta.removedBudgets = Self.gone(toldRest.budgets, recorded.budgets)
        delta.workloads = Self.changed(toldRest.workloads, recorded.workloads)
        delta.removedWorkloads = Self.gone(toldRest.workloads, recorded.workloads)
        delta.claims = Self.changed(toldRest.claims, recorded.claims)
        delta.removedClaims = Self.gone(toldRest.claims, recorded.claims)
        delta.namespaces = Self.changed(toldRest.namespaces, recorded.namespaces)
        delta.removedNamespaces = Self.gone(toldRest.namespaces, recorded.namespaces)
        toldRest = recorded
        return delta
    }

    private static func changed<Value: Equatable>(_ before: [String: Value], _ after: [String: Value]) -> [Value] {
        after.filter { before[$0.key] != $0.value }.sorted { $0.key < $1.key }.map(\.value)
    }

    private static func gone<Value>(_ before: [String: Value], _ after: [String: Value]) -> [String] {
        before.keys.filter { after[$0] == nil }.sorted()
    }

    private mutating func podsToTell(_ nodes: [String: Node], at now: Timestamp) -> [String: Pod] {
        var told: [String: Pod] = [:]
        told.reserveCapacity(recorded.pods.count)
        var waits: [String: Timestamp] = [:]
        for (uid, pod) in recorded.pods {
            if recorded.isFixed(pod) || pod.hasEnded || pod.deletedAt != nil {
                // They go with their node: one that does not exist here has none.
                if let node = pod.node {
                    if nodes[node] == nil { continue }
                    if recorded.isFixed(pod), !(supply[node]?.fixedPods.isEmpty ?? true) { continue }
                }
                told[uid] = pod
                continue
            }
            var pod = pod
            pod.nominatedNode = nil
            if let node = assigned[uid], nodes[node] != nil {
                pod.node = node
                pod.scheduling = .scheduled
                if pod.phase == .pending { pod.phase = .running }
                pod.unschedulableSince = nil
            } else {
                assigned[uid] = nil
                pod.node = nil
                pod.phase = .pending
                pod.ready = false
                if pod.scheduling != .gated {
                    let since = waitingSince[uid] ?? now
                    waits[uid] = since
                    pod.scheduling = .unschedulable
                    pod.unschedulableSince = since
                }
            }
            told[uid] = pod
        }
        waitingSince = waits
        for item in supply.values {
            for pod in item.fixedPods { told[pod.uid] = pod }
        }
        return told
    }

    /// The groups as the Actuator would describe them.
    func groupStates(at now: Timestamp) -> [GroupState] {
        let sizes = sizes
        return configuration.groups.compactMap { rules in
            guard var state = groups[rules.id] else { return nil }
            let recordedSize = state.size
            let size = sizes[rules.id] ?? 0
            state.members = supply.values.filter { $0.group == rules.id }.sorted { $0.node.name < $1.node.name }
                .map {
                    GroupState.Member(
                        name: $0.node.name, physicalID: $0.node.uid, serverID: $0.node.serverID,
                        status: "CREATE_COMPLETE", createdAt: $0.node.createdAt)
                }
            let count = coming[rules.id] ?? 0
            for number in 0..<max(0, count) {
                state.members.append(
                    GroupState.Member(
                        name: "coming-\(number)", physicalID: nil, serverID: nil, status: "CREATE_IN_PROGRESS"))
            }
            state.size = size
            if state.desired != nil { state.desired = size }
            state.busy = count > 0
            // What Heat was busy with was the recorded Decider's work.
            let passing: Set<Reason> = [.stackInProgress, .groupBusy, .heatConflict]
            if let problem = state.problem, passing.contains(problem.reason) { state.problem = nil }
            state.quotas = state.quotas.map { quota in
                var quota = quota
                quota.used = max(0, quota.used + Int64(size - recordedSize) * Self.share(quota.kind, state.flavor))
                return quota
            }
            state.observedAt = now
            return state
        }
    }

    /// What one machine takes of a quota of the cloud.
    private static func share(_ quota: GroupState.Quota.Kind?, _ flavor: GroupState.Flavor?) -> Int64 {
        switch quota {
        case .instances, .serverGroupMembers: 1
        case .cores: flavor?.vcpus ?? 0
        case .ramMiB: flavor?.ramMiB ?? 0
        case nil: 0
        }
    }
}
