import Messages
import Support

/// Servers that are deleted or fail in Nova: Heat does not notice (docs/openstack/nova.md §5), its member stays whole.
///
/// What the Collector heard is a hint, and its topic carries no signature; Nova is asked before anything is done. A
/// Node that is not ready any more is a hint too, for messages that were lost.
extension ActuatorCore {
    private static let maximumAsked = 64
    /// Nova says that a server lives on: believed after this time, since a deletion takes a while to show.
    private static let patience = Interval.seconds(30)

    /// Nova said something of a server.
    mutating func serverReported(_ report: CloudServer) {
        if report.meansTrouble { askUnlessItGoes(report.serverID) }
    }

    /// Asks about the server of a node that is not under removal.
    mutating func askUnlessItGoes(_ serverID: String) {
        guard let view = nodes.on(server: serverID) else { return }
        if let removal = removals[view.name], !removal.record.phase.isOver { return }
        ask(serverID)
    }

    /// A Node stopped being ready: is its machine there?
    mutating func lookForServer(of view: NodeView) {
        guard removals[view.name] == nil, let serverID = view.serverID,
            owner(of: serverID) != nil || formerOwner(of: serverID) != nil
        else { return }
        ask(serverID)
    }

    /// Asks Nova for a server. A bounded number at once; the others wait for their turn, so that of more than these the one
    /// that was asked for longest ago comes first.
    mutating func ask(_ serverID: String) {
        guard !serversAsked.contains(serverID), serversWaiting.insert(serverID).inserted else { return }
        serversToAsk.append(serverID)
        askNext()
    }

    private mutating func askNext() {
        while serversAsked.count < ActuatorCore.maximumAsked, let serverID = serversToAsk.popFirst() {
            serversWaiting.remove(serverID)
            serversAsked.insert(serverID)
            emit(.checkServer(serverID))
        }
    }

    mutating func serverChecked(_ serverID: String, _ fate: ServerFate) {
        serversAsked.remove(serverID)
        defer { askNext() }
        // By its record, where there is one: it says which machine it is, whatever became of the Node.
        if let (node, removal) = claim(ofServer: serverID),
            removal.uid == nodes[node]?.uid || removal.nodeIsGone
        {
            return followServer(node, removal, fate)
        }
        guard let view = nodes.on(server: serverID) else { return }
        if let removal = removals[view.name], !removal.record.phase.isOver {
            return followServer(view.name, removal, fate)
        }
        guard let (group, member) = owner(of: serverID) else {
            // An update that replaces a server makes the new one, and then deletes this one.
            if let (group, member) = formerOwner(of: serverID), fate == .gone || fate == .leaving {
                begin(view, member, group, "server \(serverID) of member \(member.name) goes: an update replaced it")
                readGroup(group)
            }
            return
        }
        switch fate {
        case .there: refusedCordons[view.name] = nil
        case .unknown(let failure): note(.warning, view.name, failure.reason, "its server: \(failure.detail)")
        case .gone, .leaving:
            // Heat's own deletion of the member does the same to its server.
            if member.isLeaving { return readGroup(group) }
            begin(view, member, group, "server \(serverID) was deleted in Nova")
            readGroup(group)
        case .failed(let why):
            refusedCordons[view.name] = nil
            replaceFailed(view, group, why)
        }
    }

    /// Servers that a member does not have any more, and that are nodes still.
    mutating func rememberFormer(_ id: String, _ before: GroupReading?, _ reading: GroupReading) {
        var former = groups[id]?.former ?? [:]
        for member in before?.members ?? [] {
            if let serverID = member.serverID, reading.member(server: serverID) == nil { former[serverID] = member }
        }
        groups[id]?.former = former.filter { serverID, _ in
            nodes.on(server: serverID) != nil && reading.member(server: serverID) == nil
        }
    }

    /// The member that had a server before another one took its place.
    private func formerOwner(of serverID: String) -> (String, GroupState.Member)? {
        for id in groups.keys.sorted() {
            if let member = groups[id]?.former[serverID] { return (id, member) }
        }
        return nil
    }

    /// The removal under way whose record names this server, and its node.
    private func claim(ofServer serverID: String) -> (String, Removal)? {
        func isClaim(_ removal: Removal) -> Bool {
            removal.record.serverID == serverID && !removal.record.phase.isOver
        }
        // Nearly always that of its Node; where that is gone, or says another server now, it is looked for.
        if let node = nodes.on(server: serverID)?.name, let removal = removals[node], isClaim(removal) {
            return (node, removal)
        }
        return removals.first { isClaim($0.value) }.map { ($0.key, $0.value) }
    }

    /// Further on with a node whose server was deleted in Nova, or whose member is in no list of Heat any more.
    private mutating func followServer(_ node: String, _ removal: Removal, _ fate: ServerFate) {
        let record = removal.record
        removals[node]?.lastFate = fate
        guard waitsForMachine(record), removal.editing == nil, removal.queue.isEmpty,
            let reading = groups[record.group]?.reading
        else { return }
        guard let member = reading.member(of: record) else {
            guard fate == .gone else { return }
            if record.phase == .removing { request(node, .removed) } else { machineIsLost(node) }
            return
        }
        guard record.phase.isReversible, !member.isLeaving else { return }
        switch fate {
        case .gone: goOnWithoutServer(node, removal)
        case .there where now - record.startedAt > ActuatorCore.patience:
            request(node, .cancelled(Explanation(.decisionStale, "Nova says that server \(record.serverID) lives on")))
        case .failed(let why)
        where record.phase.order < RemovalPhase.drained.order && now - record.startedAt > ActuatorCore.patience:
            // Nova could not delete it, and will not by itself: told and drained again, with the time of an ordinary removal
            // (`replaceLeft`).
            let reason = Explanation(
                .serverFailed, "server \(record.serverID) was to be deleted in Nova and is in ERROR: \(why)")
            note(.warning, node, reason.reason, reason.detail)
            request(node, .cancelled(reason))
        case .there, .leaving, .failed, .unknown: break
        }
    }

    /// The removal of a machine that somebody else took is over, and its server was left in ERROR: what Nova says of it now
    /// decides, as for any node that is not under removal.
    mutating func replaceLeft(_ removal: Removal) {
        guard removal.record.isExternal, case .failed? = removal.lastFate else { return }
        ask(removal.record.serverID)
    }

    /// Nothing runs there any more: what is left is to take the dead member out of Heat, as any drained one.
    private mutating func goOnWithoutServer(_ node: String, _ removal: Removal) {
        switch removal.record.phase {
        case .cordoned, .noticed:
            let left = removal.seen?.filter { $0.deletedAt == nil } ?? []
            let why =
                left.isEmpty
                ? Explanation(.externalScaleIn, "the server is gone")
                : Explanation(.podsLost, "the server went with \(left.count) pods, the first \(left[0].id)")
            if why.reason == .podsLost { warn(node, why) }
            request(node, .quiesced(why, deadline: now + policy.unheldNotice))
        case .quiesced: request(node, .drained(deadline: now + policy.heatTimeout))
        default: break
        }
    }

    /// A server in ERROR may still run its node: an ordinary removal, with all the time that it takes, within limits.
    private mutating func replaceFailed(_ view: NodeView, _ group: String, _ why: String) {
        guard let serverID = view.serverID, groups[group]?.pause == nil else { return }
        if let triedAt = failedServers[serverID], now - triedAt < policy.repairInterval { return }
        failedServers = failedServers.filter { now - $0.value < policy.repairInterval }
        failedServers[serverID] = now
        let reason = Explanation(.memberFailed, "server \(serverID) is in ERROR: \(why)")
        note(.warning, view.name, reason.reason, reason.detail)
        let decision = RemovalDecided(
            cluster: policy.cluster, id: "failed-\(view.name)-\(now.seconds)", group: group,
            from: groups[group]?.reading?.counted.count ?? 0,
            nodes: [RemovalTarget(node: view.name, nodeUID: view.uid, serverID: serverID, reason: reason)],
            decidedAt: now, deadline: now + .seconds(60))
        groups[group]?.starts.append(GroupTrack.Start(decision: decision, ticket: nil, since: now))
        readGroup(group)
    }
}
