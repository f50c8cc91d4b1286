import Messages
import Support

/// Whether all has come to rest.
extension World {
    /// What is not as it should be when nothing is under way; empty: all is well.
    func troubles() -> [String] {
        var troubles: [String] = []
        // After a wrong victim the group is paused until a person looks: that explains what waits.
        let isPaused = audit.incidents > 0
        for queue in broker.queues where !queue.topics.isDisjoint(with: [.decisions, .lifecycle, .answers]) {
            guard queue.name != "decider", !queue.messages.isEmpty || queue.inHand != nil else { continue }
            troubles.append("\(queue.messages.count) messages wait in \(queue.name)")
        }
        for node in cluster.nodes { troubles += troublesOf(node, isPaused: isPaused) }
        if heat.isBusy { troubles.append("the stack is \(heat.status)") }
        guard !isPaused else { return troubles }
        for member in heat.members {
            if !member.counts, !isFailedNode(member) { troubles.append("member \(member.name) is \(member.status)") }
            if member.counts && !isAtMinimum && !cluster.nodes.contains(where: { $0.server == member.server }) {
                troubles.append("member \(member.name) has no node")
            }
        }
        if heat.counted != heat.desired, !hasFailedNode {
            troubles.append("\(heat.counted) members, desired \(heat.desired)")
        }
        if heat.counted < scenario.minimum, !hasFailedNode {
            troubles.append("\(heat.counted) members, the minimum is \(scenario.minimum)")
        }
        // Nor does it grow while a failed member is a node: an update would replace that with all its pods. It says so.
        let isFull = heat.counted >= scenario.maximum || hasFailedNode
        for pod in cluster.pods { troubles += troublesOf(pod, isFull: isFull) }
        return troubles
    }

    /// A member that Heat holds for failed while its node works: a person has to say what it is worth.
    private func isFailedNode(_ member: HeatState.Member) -> Bool {
        guard member.isFailed else { return false }
        return cluster.nodes.contains {
            $0.server == member.server && !($0.record?.phase == .failed && $0.record?.ours.cordon == false)
        }
    }

    /// A dead node cannot be removed while there are no more nodes than there must be, or Heat would take a node that
    /// works as well.
    private var cannotShrink: Bool { isAtMinimum || hasFailedNode }

    private var isAtMinimum: Bool { heat.counted <= max(1, scenario.minimum) }

    private var hasFailedNode: Bool { heat.members.contains { isFailedNode($0) } }

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
        if !node.isReady && !cannotShrink { troubles.append("\(node.name) is not ready") }
        if !heat.members.contains(where: { $0.server == node.server }) {
            troubles.append("\(node.name) has no member")
        }
        return troubles
    }

    private func troublesOf(_ pod: ClusterState.Pod, isFull: Bool) -> [String] {
        if cannotShrink, let name = pod.node, cluster.node(name).map({ !cluster.nodes[$0].isReady }) ?? false {
            return []
        }
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
