import Messages
import Support

/// What removals leave behind that nobody goes on with: found when a node is seen, at the start and at each resync.
extension ActuatorCore {
    /// Looks at all nodes that carry something of a removal.
    mutating func sweep() {
        timers.set(.sweep, at: now + policy.resync)
        guard nodesAreKnown else { return }
        for id in groups.keys.sorted() where groups[id]?.pause != nil { keepIncident(of: id) }
        for (name, node) in nodes.byName.sorted(by: { $0.key < $1.key })
        where node.record != nil || node.recordMistake != nil || node.hasTraces {
            lookForLeftovers(name)
            if removals[name] != nil { release(name) }
        }
        lookForStrangers()
        forgetMovingSets()
    }

    private mutating func lookForLeftovers(_ name: String) {
        guard let view = nodes[name], removals[name] == nil else { return }
        nodeSeen(view)
    }

    /// An edit of a Node that belongs to no removal in memory; one at a time.
    mutating func tidy(_ view: NodeView, _ kind: NodeEdit.Kind) {
        guard mayTidy(view, kind), removals[view.name]?.editing == nil else { return }
        let edit = NodeEdit(node: view.name, uid: view.uid, kind: kind)
        tidying[view.name] = edit
        emit(.editNode(edit))
    }

    /// An edit that was refused for good is not tried again, but for those that let a held Node go: it would stay for ever.
    private func mayTidy(_ view: NodeView, _ kind: NodeEdit.Kind) -> Bool {
        guard tidying[view.name] == nil else { return false }
        switch kind {
        case .release, .untaint, .discard: return view.isHeld || !untidied.contains(view.uid)
        default: return !untidied.contains(view.uid)
        }
    }

    /// Such an edit is over. One that failed is made again when the node is seen again.
    mutating func tidied(_ node: String, _ outcome: NodeEditOutcome) {
        guard let edit = tidying.removeValue(forKey: node) else { return }
        defer {
            takeNext(node)
            lookAgain(node)
        }
        switch outcome {
        case .failed(let failure):
            // Refused for good (or a dry run): once said is enough.
            let isNews = failure.isRetriable || untidied.insert(edit.uid).inserted
            if isNews { note(.warning, node, failure.reason, failure.detail) }
            // Another node is looked for; this one again at the next resync.
            if let group = edit.pausesGroup, !failure.isRetriable { keepIncident(of: group) }
        case .done:
            if case .dress = edit.kind {
                wasDressed(edit.uid, node)
                return
            }
            if case .pauseGroup(let paused) = edit.kind {
                // Another group's incident looks for another node, also before the watch shows this.
                nodes[node]?.pausedGroup = paused
                groups[paused.group]?.pauseStandsOn = node
                for name in removals.keys.sorted() { release(name) }
                return
            }
            nodes[node]?.isHeld = false
            if case .release = edit.kind { return }
            nodes[node]?.record = nil
            nodes[node]?.hasTaint = false
            nodes[node]?.hasLabel = false
        case .overtaken, .gone: break
        }
    }

    /// Its machine was taken while the Node was being tidied: is it still so?
    private mutating func lookAgain(_ node: String) {
        guard let uid = waitForTidying.removeValue(forKey: node), let view = nodes[node], view.uid == uid,
            let serverID = view.serverID
        else { return }
        if let (group, _) = owner(of: serverID) { readGroup(group) }
        askUnlessItGoes(serverID)
    }

    /// A record that cannot be read: nobody goes on with its removal, nobody begins another one. A person has to look.
    mutating func recordIsUnreadable(_ view: NodeView, _ mistake: String?) {
        guard unreadable[view.name] != mistake else { return }
        unreadable[view.name] = mistake
        guard let mistake else { return emit(.condition(name: "removal/\(view.name)", nil)) }
        let why = Explanation(.recordUnreadable, "its removal cannot be read and is left alone: \(mistake)")
        note(.error, view.name, why.reason, why.detail)
        emit(.condition(name: "removal/\(view.name)", why))
        emit(.report(node: view.name, why))
    }

    /// The record is of a Node that had this name before.
    mutating func discardRecord(_ view: NodeView, _ record: RemovalRecord) {
        guard mayTidy(view, .discard) else { return }
        leftover(
            view,
            "it carries removal \(record.id) of another node, uid \(record.nodeUID): taken away\(cordonRemark(view))")
        tidy(view, .discard)
    }

    /// The taint, our label or our finalizer, and no record.
    mutating func takeTracesAway(_ view: NodeView) {
        guard mayTidy(view, .untaint) else { return }
        leftover(
            view,
            "it carries taint, label or finalizer of a removal whose record is gone: taken away\(cordonRemark(view))")
        tidy(view, .untaint)
    }

    /// Said once, not at each new try.
    private mutating func leftover(_ view: NodeView, _ what: String) {
        guard !untidied.contains(view.uid) else { return }
        note(.warning, view.name, .leftover, what)
    }

    private func cordonRemark(_ view: NodeView) -> String {
        view.isCordoned ? "; it stays cordoned, since only the record knew by whom" : ""
    }

    /// A removal for a group that is not configured here. Another Actuator, with a newer or older configuration, may be
    /// at it; when its time is over nobody is, and the node returns to service.
    mutating func meetStranger(_ view: NodeView, _ record: RemovalRecord) {
        if strangers[view.name] != record.id {
            strangers[view.name] = record.id
            note(
                .error, view.name, .groupUnknown,
                "under removal \(record.id) for group '\(record.group)', which is not configured")
        }
        if record.phase.isOver { return release(view.name) }
        if record.phase == .removed {
            // The machine is gone: what is left to do is the same for any group.
            removals[view.name] = Removal(record: record, uid: view.uid)
            return entered(view.name)
        }
        guard record.phase.isReversible || record.phase == .removing,
            now >= record.deadline + policy.cooldownMargin
        else { return }
        removals[view.name] = Removal(record: record, uid: view.uid)
        // (What became of a machine that Heat was called for nobody here can tell.)
        fail(
            view.name,
            Explanation(.groupUnknown, "group '\(record.group)' is not configured, and its time is over"),
            stayCordoned: record.phase == .removing)
    }
}
