import Messages

/// What only a person can end: a member that Heat could not make or change is a node that works, any update would replace it
/// with its pods, and a budget lets them not go. So no size is sent for the stack, and its growth waits as well.
///
/// What this explains is narrow: sizes, members that are no nodes, pods that find no place, and the drain of that node, which
/// is tried again and again. Whatever else is pending at the end is a fault. A member that a check holds for failed is none of
/// these: the Actuator takes that doubt back.
extension World {
    /// The names of such nodes.
    var keptByBudgets: Set<String> {
        let names = heat.members.compactMap { member -> String? in
            guard member.status == "CREATE_FAILED" || member.status == "UPDATE_FAILED",
                let node = cluster.nodes.first(where: { $0.server == member.server }), node.isReady
            else { return nil }
            let isKept = cluster.pods.contains {
                $0.node == node.name && $0.deletedAt == nil && budget(forbidding: $0) != nil
            }
            return isKept ? node.name : nil
        }
        return Set(names)
    }

    /// Whether a node is drained because its member failed, or was.
    func isUnderFailedRemoval(_ node: ClusterState.Node) -> Bool {
        node.record?.id.hasPrefix("failed-") == true
    }

    /// Whether this is the removal of machines that are no nodes: its delivery is settled when they are gone.
    func isOfMachines(_ event: Event?) -> Bool {
        guard case .removalDecided(let decision)? = event else { return false }
        return decision.nodes.allSatisfy { $0.nodeUID == RemovalNames.unregistered }
    }
}
