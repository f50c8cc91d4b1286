import Messages
import Support

/// Nodes that are kept until their removal is over.
///
/// A cloud controller deletes Nodes whose server is gone. If no Actuator lives just then, the record would go with the Node,
/// and nobody would compare the survivors or say how the removal ended. So a Node gets our finalizer in the step that
/// announces the call to Heat. It is taken away after the end was published; in any later state it is a leftover.
/// Before that step nothing is held: who deletes a Node then ends its removal, and waits for nobody.
extension ActuatorCore {
    /// Whether the step to `next` may hold the Node. One whose machine went with pods on it is not held: Kubernetes makes
    /// their successors sooner when the Node is gone.
    func mayHold(_ node: String, _ removal: Removal, as next: RemovalRecord) -> Bool {
        next.phase == .removing && next.lost == nil && removal.seen?.isEmpty != false
            && !serverIsGone(node, removal.record)
    }

    /// Lets a Node go that is held and whose removal is over, which was published.
    mutating func release(_ node: String) {
        let removal = removals[node]
        guard let view = nodes[node], view.isHeld, view.recordMistake == nil,
            let record = removal?.record ?? view.record, record.phase.isOver, record.nodeUID == view.uid,
            removal?.editing == nil, removal?.queue.isEmpty != false
        else { return }
        if record.outcome?.reason == .wrongMemberRemoved, let track = groups[record.group] {
            // Its record tells of the incident, until a person takes it away or another node tells.
            guard view.isBeingDeleted else { return }
            guard track.pauseStandsOn != nil else { return keepIncident(of: record.group) }
        }
        tidy(view, .release)
    }
}
