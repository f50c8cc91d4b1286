import Messages
import Support

/// Whether all has come to rest.
extension World {
    /// What is not as it should be when nothing is under way; empty: all is well.
    func troubles() -> [String] {
        var troubles: [String] = []
        // After a wrong victim the group is paused until a person looks, and where too many nodes are dead the Decider touches
        // nothing until then, and says so: that explains what waits.
        let isPaused = audit.incidents > 0 || tooManyAreDead
        for queue in broker.queues where !queue.topics.isDisjoint(with: [.decisions, .lifecycle, .answers]) {
            guard queue.name != "decider", !queue.messages.isEmpty || queue.inHand != nil else { continue }
            troubles.append("\(queue.messages.count) messages wait in \(queue.name)")
        }
        for node in cluster.nodes { troubles += troublesOf(node, isPaused: isPaused) }
        for removal in audit.untold.sorted() { troubles.append("nobody said how \(removal) ended") }
        if heat.isBusy { troubles.append("the stack is \(heat.status)") }
        guard !isPaused else { return troubles }
        for node in cluster.nodes where node.isBeingDeleted { troubles.append("\(node.name) is deleted and held") }
        if !heat.scaling.isEmpty { troubles.append("scaling_in_progress stands") }
        for member in heat.members {
            let node = cluster.nodes.first { $0.server == member.server }
            if !member.counts { troubles.append("member \(member.name) is \(member.status)") }
            if member.counts && node == nil { troubles.append("member \(member.name) has no node") }
        }
        for (group, capacity) in heat.capacity.enumerated() {
            let counted = heat.counted(group)
            let name = Scenario.groups[group]
            if counted != capacity { troubles.append("\(counted) members of \(name), \(capacity) wanted") }
            if counted < scenario.minimum {
                troubles.append("\(counted) members of \(name), the minimum is \(scenario.minimum)")
            }
        }
        let isFull = heat.desired.indices.allSatisfy { heat.counted($0) >= scenario.maximum }
        for pod in cluster.pods { troubles += troublesOf(pod, isFull: isFull) }
        for workload in cluster.workloads where workload.plan.kind != "DaemonSet" {
            troubles += troublesOf(workload)
        }
        return troubles
    }

    /// What was raised for the time of a drain was given back, and nothing else was taken.
    private func troublesOf(_ workload: ClusterState.Workload) -> [String] {
        let name = workload.plan.name
        guard workload.replicas == workload.wanted || workload.isClaimed else {
            return ["\(name) has \(workload.replicas) replicas, \(workload.wanted) were asked for"]
        }
        let count = cluster.pods.count { cluster.workloads[$0.workload].uid == workload.uid && $0.isActive }
        return count == workload.replicas ? [] : ["\(name) has \(count) pods, \(workload.replicas) are asked for"]
    }

    /// The guard of `decider.health`.
    private var tooManyAreDead: Bool {
        let health = scenario.decider.health
        let dead = cluster.nodes.count { !$0.isReady }
        return dead > health.toleratedUnready
            && Double(dead) > health.maximumUnreadyPercent / 100 * Double(cluster.nodes.count)
    }

    private func troublesOf(_ node: ClusterState.Node, isPaused: Bool) -> [String] {
        var troubles: [String] = []
        if let record = node.record, !record.phase.isOver {
            troubles.append(
                "removal \(record.id) of \(node.name) is \(record.phase.rawValue) since \(now - record.since)")
        }
        if isPaused { return troubles }
        let staysOnPurpose = node.record.map { $0.phase.isOver && !$0.ours.cordon } ?? false
        if node.unschedulable && node.record?.phase.isOver != false && !staysOnPurpose {
            troubles.append("\(node.name) is cordoned")
        }
        if !node.isReady { troubles.append("\(node.name) is not ready") }
        if !heat.members.contains(where: { $0.server == node.server }) {
            troubles.append("\(node.name) has no member")
        }
        return troubles
    }

    private func troublesOf(_ pod: ClusterState.Pod, isFull: Bool) -> [String] {
        if pod.deletedAt != nil { return ["\(pod.name) is on its way out"] }
        guard let name = pod.node else { return isFull ? [] : ["\(pod.name) has no node"] }
        if !pod.isReady { return ["\(pod.name) on \(name) is not ready, gate \(pod.gate.rawValue)"] }
        let isUnderRemoval = cluster.node(name).flatMap { cluster.nodes[$0].record }.map { !$0.phase.isOver } ?? false
        if pod.annotations[RemovalNames.podRemoval] != nil && !isUnderRemoval {
            return ["\(pod.name) on \(name) is still told that it goes"]
        }
        return []
    }
}
