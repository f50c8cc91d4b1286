import Messages
import Support

/// Annotations that ask not to delete a node's machine yet, honoured as cluster-autoscaler does: between the drain and the
/// deletion, and for a bounded time.
extension ActuatorCore {
    /// Whether a drained node waits for them still. Said when the wait begins, and when it is given up.
    mutating func isDelayed(_ node: String, in group: String) -> Bool {
        guard let removal = removals[node], !removal.isMachine, !cannotReturn(removal),
            let delays = nodes[node]?.delays, !delays.isEmpty, policy.deletionDelay > .zero
        else { return false }
        // (Well before a drained node has waited too long for its stack.)
        let end = removal.record.since + min(policy.deletionDelay, policy.heatTimeout * 0.5)
        let who = delays.joined(separator: ", ")
        guard now < end else {
            if !removal.delayedBy.isEmpty {
                removals[node]?.delayedBy = []
                note(.warning, node, .deletionDelayed, "\(who) kept it until \(end); its machine goes all the same")
            }
            return false
        }
        if removal.delayedBy != delays {
            removals[node]?.delayedBy = delays
            note(.info, node, .deletionDelayed, "drained; waits for \(who), until \(end) at most")
        }
        timers.setEarlier(.group(group), at: end)
        return true
    }

    /// A Node has changed: what its removal waits for may be gone.
    mutating func delayMayBeOver(_ view: NodeView) {
        guard let removal = removals[view.name], removal.record.phase == .drained, !removal.delayedBy.isEmpty,
            view.delays.isEmpty
        else { return }
        removals[view.name]?.delayedBy = []
        readGroup(removal.record.group)
    }
}
