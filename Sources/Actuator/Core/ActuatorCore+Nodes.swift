import Messages
import Support

/// Nodes as they come and go: arrivals, removals to go on with, leftovers.
extension ActuatorCore {
    mutating func nodesListed(_ views: [NodeView]) {
        let isFirst = !nodesAreKnown
        nodesAreKnown = true
        let names = Set(views.map(\.name))
        for name in removals.keys.sorted() where !names.contains(name) { vanished(name) }
        nodes = [:]
        if isFirst { arrivals.begin(with: views, youngerThan: now - policy.youngNode) }
        for view in views { nodeSeen(view) }
        let waiting = early
        early = []
        for event in waiting { take(event) }
        if isFirst { for id in groups.keys.sorted() { readGroup(id) } }
    }

    mutating func nodeSeen(_ view: NodeView) {
        nodes[view.name] = view
        lookForArrival(view)
        machineRegistered(view)
        if let mistake = view.recordMistake {
            note(.error, view.name, .memberUnresolved, "its removal cannot be read and is left alone: \(mistake)")
            return
        }
        let removal = removals[view.name]
        guard removal?.editing == nil, removal?.isDeleting != true, removal?.isMachine != true else { return }
        guard let record = view.record else {
            // The watch may lag behind our own write, so look again before believing that a person was here.
            if removal != nil || view.hasTaint { emit(.checkNode(view.name)) }
            return
        }
        if record.nodeUID != view.uid {
            note(.error, view.name, .memberUnresolved, "its removal is of another node, uid \(record.nodeUID)")
            return
        }
        if let removal, removal.record.id == record.id, removal.record.phase.order >= record.phase.order { return }
        if let removal, removal.record.id != record.id, !removal.record.phase.isOver { return }
        adopt(view, record)
    }

    /// Goes on with a removal that another process left.
    private mutating func adopt(_ view: NodeView, _ record: RemovalRecord) {
        guard groups[record.group] != nil else {
            note(.error, view.name, .groupUnknown, "under removal for group '\(record.group)', which is not configured")
            return
        }
        note(.info, view.name, record.reason.reason, "going on with removal \(record.id), \(record.phase.rawValue)")
        var removal = Removal(record: record, uid: view.uid)
        removal.queue = removals[view.name]?.queue ?? []
        removals[view.name] = removal
        entered(view.name)
        if record.phase == .removing { readGroup(record.group) }
    }

    mutating func nodeChecked(_ name: String, _ view: NodeView?) {
        guard let view else { return vanished(name) }
        nodes[name] = view
        guard view.record == nil, view.recordMistake == nil else { return nodeSeen(view) }
        guard removals[name]?.editing == nil, removals[name]?.isDeleting != true else { return }
        if removals[name] != nil { takenAway(name) }
        if view.hasTaint {
            note(.warning, name, .cancelledByOperator, "tainted for a removal whose record is gone: taint taken away")
            emit(.editNode(NodeEdit(node: name, uid: view.uid, kind: .untaint)))
        }
    }

    /// Somebody took the record from the Node: that ends the removal, whoever it was. What was cordoned stays so,
    /// since the record alone knew whose cordon it was.
    mutating func takenAway(_ node: String) {
        returnSurges(node)
        guard let removal = removals.removeValue(forKey: node) else { return }
        timers.cancel(.removal(node))
        removalIsWritten(node)
        guard !removal.record.phase.isOver else { return }
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
        arrivals.forget(uid)
        if let removal = removals[name], removal.uid == uid { vanished(name) }
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
        for request in waiting { settle(request.ticket) }
        switch removal.record.phase {
        case .removing, .removed:
            // A step that was being written is taken in memory.
            if case .advance(_, let next, _)? = edit.map(\.kind) {
                removals[node]?.record = next
                settle(removal.editRequest?.ticket)
                entered(node)
            } else if removal.record.phase == .removed {
                removals[node] = nil
            }
        case .cancelled, .failed:
            removals[node] = nil
            timers.cancel(.removal(node))
        case .cordoned, .noticed, .quiesced, .drained:
            if case .advance(_, let next, _)? = edit.map(\.kind), next.phase == .removing {
                removals[node]?.record = next
                return entered(node)
            }
            settle(removal.editRequest?.ticket)
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

    // MARK: Arrivals

    mutating func lookForArrivals() {
        for name in arrivals.waiting.sorted() {
            if let view = nodes[name] { lookForArrival(view) } else { arrivals.waiting.remove(name) }
        }
    }

    private mutating func lookForArrival(_ view: NodeView) {
        guard !arrivals.ready.contains(view.uid), let serverID = view.serverID else { return }
        guard let (group, member) = owner(of: serverID) else {
            arrivals.waiting.insert(view.name)
            return
        }
        let arrival = NodeArrival(
            node: view.name, nodeUID: view.uid, serverID: serverID, group: group,
            after: member.createdAt.map { max(now - $0, .zero) }, at: now)
        if arrivals.joined.insert(view.uid).inserted {
            emit(.publish(.nodeJoined(NodeJoined(cluster: policy.cluster, arrival: arrival))))
        }
        if view.isReady {
            arrivals.ready.insert(view.uid)
            arrivals.waiting.remove(view.name)
            emit(.publish(.nodeReady(NodeReady(cluster: policy.cluster, arrival: arrival))))
        }
    }

    private func owner(of serverID: String) -> (String, GroupState.Member)? {
        for id in groups.keys.sorted() {
            if let member = groups[id]?.reading?.members.first(where: { $0.serverID == serverID }) {
                return (id, member)
            }
        }
        return nil
    }
}

/// Which nodes were announced.
struct Arrivals: Sendable {
    /// By UID.
    var joined: Set<String> = []
    /// By UID.
    var ready: Set<String> = []
    /// By name: nodes whose group is not known yet.
    var waiting: Set<String> = []

    /// After a start, older nodes are no news.
    mutating func begin(with views: [NodeView], youngerThan limit: Timestamp) {
        for view in views where view.createdAt < limit {
            joined.insert(view.uid)
            if view.isReady { ready.insert(view.uid) }
        }
    }

    mutating func forget(_ uid: String) {
        joined.remove(uid)
        ready.remove(uid)
    }
}
