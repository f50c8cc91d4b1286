import Messages
import Support

/// Nodes as they come and go: removals to go on with, leftovers.
extension ActuatorCore {
    mutating func nodesListed(_ views: [NodeView]) {
        let isFirst = !nodesAreKnown
        nodesAreKnown = true
        let names = Set(views.map(\.name))
        for name in removals.keys.sorted() where !names.contains(name) { vanished(name) }
        let missing = groups.values.compactMap(\.pauseStandsOn).filter { !names.contains($0) }
        nodes = NodeTable()
        if isFirst { arrivals.begin(with: views, youngerThan: now - policy.youngNode) }
        for view in views { nodeSeen(view) }
        for name in missing.sorted() { incidentLost(name) }
        let waiting = early
        early = []
        for event in waiting { take(event) }
        if isFirst {
            for id in groups.keys.sorted() { readGroup(id) }
            timers.set(.sweep, at: now + policy.resync)
        }
        for name in unreadable.keys.sorted() where nodes[name] == nil { forgetUnreadable(name) }
    }

    private mutating func forgetUnreadable(_ name: String) {
        guard unreadable.removeValue(forKey: name) != nil else { return }
        emit(.condition(name: "removal/\(name)", nil))
    }

    mutating func nodeSeen(_ view: NodeView) {
        // (A finalizer of somebody else's may keep it for long.)
        if nodesDeleted.contains(view.uid) { return }
        nodes[view.name] = view
        lookForArrival(view)
        lookForIncident(view)
        machineRegistered(view)
        delayMayBeOver(view)
        if !view.isReady { lookForServer(of: view) }
        recordIsUnreadable(view, view.recordMistake)
        if view.recordMistake != nil { return }
        let removal = removals[view.name]
        guard removal?.editing == nil, removal?.isDeleting != true, removal?.isMachine != true else { return }
        if removal != nil { release(view.name) }
        guard let record = view.record else {
            // The watch may lag behind our own write, so look again before believing that a person was here.
            if removal != nil || view.hasTraces { emit(.checkNode(view.name)) }
            return
        }
        if record.nodeUID != view.uid {
            return discardRecord(view, record)
        }
        if let removal, removal.record.id == record.id, removal.record.phase.order >= record.phase.order { return }
        if let removal, removal.record.id != record.id, !removal.record.phase.isOver { return }
        adopt(view, record)
    }

    /// Goes on with a removal that another process left.
    private mutating func adopt(_ view: NodeView, _ record: RemovalRecord) {
        guard groups[record.group] != nil else { return meetStranger(view, record) }
        note(.info, view.name, record.reason.reason, "going on with removal \(record.id), \(record.phase.rawValue)")
        var removal = Removal(record: record, uid: view.uid)
        removal.queue = removals[view.name]?.queue ?? []
        removals[view.name] = removal
        noteDecided(record)
        entered(view.name)
        if record.phase == .removing { readGroup(record.group) }
        failIfPaused(view.name)
        // Its cancellation came before the node was known.
        if isCancelled(record, view.name), record.phase.isReversible, !cannotReturn(removal) {
            request(view.name, .cancelled(Explanation(.cancelledByOperator, "it was cancelled before")))
        }
    }

    private func isCancelled(_ record: RemovalRecord, _ node: String) -> Bool {
        cancelled.contains(record.id) || cancelled.contains(Self.cancellation(record.id, node))
    }

    mutating func nodeChecked(_ name: String, _ view: NodeView?) {
        defer { checkCancellations(of: name) }
        guard let view else { return vanished(name) }
        nodes[name] = view
        nodeWasRead(view)
        incidentChecked(view)
        guard view.record == nil, view.recordMistake == nil else { return nodeSeen(view) }
        guard removals[name]?.editing == nil, removals[name]?.isDeleting != true else { return }
        if removals[name] != nil { takenAway(name) }
        if view.hasTraces { takeTracesAway(view) }
    }

    /// Somebody took the record from the Node: that ends the removal, whoever it was. What was cordoned stays so,
    /// since the record alone knew whose cordon it was.
    mutating func takenAway(_ node: String) {
        returnSurges(node)
        guard let removal = removals.removeValue(forKey: node) else { return }
        timers.cancel(.removal(node))
        removalIsWritten(node)
        guard !removal.record.phase.isOver else {
            if removal.record.outcome?.reason == .wrongMemberRemoved { resumeGroup(removal.record.group) }
            return
        }
        let why = Explanation(.cancelledByOperator, "the annotation \(RemovalNames.record) was taken away")
        note(.warning, node, why.reason, why.detail)
        emit(
            .publish(
                .removalFailed(
                    RemovalFailed(
                        cluster: policy.cluster, removal: removal.record.progress(node: node, reason: why, at: now)))))
    }

    mutating func nodeGone(_ name: String, _ uid: String) {
        if let node = nodes[name], node.uid != uid { return }
        nodes[name] = nil
        let wasTelling = tidying[name]?.pausesGroup
        tidying[name] = nil
        waitForTidying[name] = nil
        strangers[name] = nil
        forgetUnreadable(name)
        untidied.remove(uid)
        arrivals.forget(uid)
        if let removal = removals[name], removal.uid == uid { vanished(name) }
        incidentLost(name)
        if let wasTelling { keepIncident(of: wasTelling) }
    }

    /// The Node object is gone. Before Heat is called that ends the removal; afterwards it goes on in memory (a cloud
    /// controller deletes Nodes whose server is gone, which may be faster than the stack).
    mutating func vanished(_ node: String) {
        guard var removal = removals[node], !removal.nodeIsGone else { return }
        removal.nodeIsGone = true
        let edit = removal.editing
        removal.editing = nil
        let waiting = removal.queue
        removal.queue = []
        removals[node] = removal
        for request in waiting { settle(request.ticket, of: node) }
        switch removal.record.phase {
        case .removing, .removed:
            // A step that was being written is taken in memory.
            if case .advance(_, let next, _)? = edit.map(\.kind) {
                removals[node]?.record = next
                settle(removal.editRequest?.ticket, of: node)
                entered(node)
            } else if removal.record.phase == .removed {
                removals[node] = nil
            }
        case .cancelled, .failed:
            removals[node] = nil
            timers.cancel(.removal(node))
            if removal.record.outcome?.reason == .wrongMemberRemoved { keepIncident(of: removal.record.group) }
        case .cordoned, .noticed, .quiesced, .drained:
            if cannotReturn(removal) {
                settle(removal.editRequest?.ticket, of: node)
                keepWhatIsHeld(removal.record)
                return machineIsLost(node)
            }
            if case .advance(_, let next, _)? = edit.map(\.kind), next.phase == .removing {
                removals[node]?.record = next
                return entered(node)
            }
            settle(removal.editRequest?.ticket, of: node)
            returnSurges(node)
            removals[node] = nil
            timers.cancel(.removal(node))
            removalIsWritten(node)
            let why = Explanation(.nodeGone, "the Node object was deleted by somebody else")
            emit(
                .publish(
                    .removalFailed(
                        RemovalFailed(
                            cluster: policy.cluster,
                            removal: removal.record.progress(node: node, reason: why, at: now)))))
        }
    }
}
