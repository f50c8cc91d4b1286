import Messages
import Support

/// Members that Heat holds for failed while their machines are nodes of the cluster: a creation that took too long for
/// Heat, a deletion that failed half-way, somebody's mark or `stack check`.
///
/// Whatever update comes next, by anyone, removes or replaces all of them with what runs there (docs/openstack/heat.md §1.6, §5), so
/// none of ours is sent meanwhile (`strangersThatFailed`). When they have been so for a while they are taken out of service
/// in order: told, drained, and then removed, or replaced where the group cannot spare them. All of them together, because
/// an update takes all of them.
///
/// One that cannot be emptied (its pods find no other place, a budget holds them) would stop the group for ever, growth
/// included, that might make the place. If it is a ready node, Heat's doubt is taken back, unless it is half deleted: it is unmarked,
/// and marked before where Heat could not make or change it, for only a mark can be taken back. Heat then keeps it
/// (docs/openstack/heat.md §9). Where what made it fail lasts, each update makes it fail again: then its pods are not told again,
/// and it is unmarked as soon as it has failed (`keepAgain`). One that is half deleted goes for good, so none of its pods may
/// refuse: one that did would stop the group for ever.
extension ActuatorCore {
    mutating func removeFailedNodes(_ id: String, _ reading: GroupReading) {
        // (A ResourceGroup takes no chosen member out. A stack whose engine died gets its size anew only when these are
        // empty.)
        guard let track = groups[id], nodesAreKnown, track.pause == nil, reading.problem == nil,
            !reading.isBusy || track.isStuck, reading.removesChosen
        else { return }
        let failed = keepAgain(id, failedNodes(reading), reading)
        guard changes[track.policy.stack] == nil else { return }
        let since = Dictionary(
            failed.map { ($0.identity, track.failedNodes[$0.identity] ?? now) },
            uniquingKeysWith: { first, _ in first })
        groups[id]?.failedNodes = since
        guard let oldest = since.values.min() else { return }
        let due = max(
            oldest + policy.repairAfter,
            track.failedNodesTriedAt.map { $0 + policy.repairInterval } ?? Timestamp(seconds: 0))
        guard now >= due else { return timers.setEarlier(.group(id), at: due) }
        groups[id]?.failedNodesTriedAt = now
        // Heat's doubt may be wrong about many at once: a stack check while Nova does not answer. A person has to say.
        let doubted = failed.count { $0.status.hasPrefix("CHECK_") }
        let nodesOfGroup = reading.members.count { isNode($0) }
        if doubted > 1 && doubted * 2 > nodesOfGroup {
            return note(
                .error, id, .memberFailed,
                "Heat holds \(doubted) of \(nodesOfGroup) nodes for failed (\(failed[0].statusReason)): none is removed "
                    + "for that; unmark those that are well")
        }
        if unmarkThoseThatWork(id, failed) { return }
        let targets = failed.compactMap { member -> RemovalTarget? in
            guard let view = node(of: member), let serverID = view.serverID else { return nil }
            return RemovalTarget(
                node: view.name, nodeUID: view.uid, serverID: serverID,
                reason: Explanation(
                    .memberFailed,
                    "member \(member.name) is \(member.status): the next update of the stack would take it untold"))
        }
        guard let first = targets.first else { return }
        for target in targets { note(.warning, target.node, target.reason.reason, target.reason.detail) }
        let decision = RemovalDecided(
            cluster: policy.cluster, id: "failed-\(first.node)-\(now.seconds)", group: id, from: reading.counted.count,
            nodes: targets, decidedAt: now, deadline: now + .seconds(60))
        groups[id]?.starts.append(GroupTrack.Start(decision: decision, ticket: nil, since: now))
        readGroup(id)
    }

    /// Those that no removal has in hand. Our own marks are taken back (`unmarkOrphans`).
    private func failedNodes(_ reading: GroupReading) -> [GroupState.Member] {
        let claimed = Set(
            removals.values.filter { !$0.record.phase.isOver && reading.otherServer(of: $0.record) == nil }
                .map(\.record.memberID))
        let failed = reading.members.filter { member in
            let isOurMark =
                member.statusReason.hasPrefix(RemovalNames.markPrefix) && !member.status.hasPrefix("DELETE_")
            return member.isFailed && member.physicalID != nil && !isOurMark && !claimed.contains(member.identity)
                && isNode(member)
        }
        return withoutEmptied(failed)
    }

    /// Takes Heat's doubt back where draining for it has failed and the node works. True: it is being done.
    private mutating func unmarkThoseThatWork(_ id: String, _ failed: [GroupState.Member]) -> Bool {
        let working = failed.filter { member in
            guard !member.status.hasPrefix("DELETE_"), let view = node(of: member), view.isReady,
                let record = removals[view.name]?.record
            else { return false }
            // Also where a pod refused.
            return (record.phase == .failed || record.phase == .cancelled) && record.reason.reason == .memberFailed
        }
        guard !working.isEmpty else { return false }
        for member in working {
            note(
                .warning, id, .memberFailed,
                "member \(member.name) is \(member.status) (\(member.statusReason)), its node is ready and could not be "
                    + "emptied: the doubt is taken back, so that the stack can be changed")
        }
        return takeDoubtBack(id, working)
    }

    /// Those that were kept before and have failed again are kept again, at once the first time, then with growing pauses: what
    /// could be learned by emptying them was learned. The others are returned.
    private mutating func keepAgain(
        _ id: String, _ failed: [GroupState.Member], _ reading: GroupReading
    ) -> [GroupState.Member] {
        guard let kept = groups[id]?.kept, !kept.isEmpty else { return failed }
        groups[id]?.kept = kept.filter { identity, before in
            reading.member(id: identity).map { $0.serverID == before.serverID } ?? false
        }
        var due: [GroupState.Member] = []
        var others: [GroupState.Member] = []
        for member in failed {
            guard let before = groups[id]?.kept[member.identity], before.isSameDoubt(member),
                node(of: member)?.isReady == true
            else {
                others.append(member)
                continue
            }
            let time = before.lastAt + before.pause(policy)
            if now >= time { due.append(member) } else { timers.setEarlier(.group(id), at: time) }
        }
        for member in due where groups[id]?.kept[member.identity]?.times == 1 {
            // Once: it may go on for long, and only a person can end it.
            note(
                .warning, id, .memberFailed,
                "member \(member.name) is \(member.status) again (\(member.statusReason)), and its node works: the doubt is "
                    + "taken back each time, and its pods are not told again. Look for what makes it fail")
        }
        _ = takeDoubtBack(id, due)
        return others
    }

    /// Marks where need be, and unmarks; what unmarks a marked one is the answer (`marked`); should this process die before,
    /// `unmarkOrphans`.
    private mutating func takeDoubtBack(_ id: String, _ members: [GroupState.Member]) -> Bool {
        guard let stack = groups[id]?.policy.stack, changes[stack] == nil, !members.isEmpty else { return false }
        changes[stack] = StackChange(
            group: id, kind: .unmark, step: .marking(Set(members.map(\.name)), nil), deadline: now + policy.heatTimeout)
        for member in members {
            let times = groups[id]?.kept[member.identity]?.times ?? 0
            groups[id]?.kept[member.identity] = GroupTrack.Kept(
                serverID: member.serverID, reason: member.statusReason, times: times + 1, lastAt: now)
            if member.status.hasPrefix("CHECK_") {
                unmark(member.name, in: id)
            } else {
                let record = node(of: member).flatMap { removals[$0.name]?.record }
                let why = RemovalNames.markPrefix + (record?.id ?? "kept-\(member.name)")
                emit(.mark(group: id, member: member.name, unhealthy: true, why: why))
            }
        }
        return true
    }

    /// Takes a mark back, of a member whose node works.
    mutating func unmark(_ member: String, in id: String) {
        emit(.mark(group: id, member: member, unhealthy: false, why: "its node is ready"))
    }

    /// Whether its machine goes whatever anybody here says: somebody else takes it, or it is half deleted and is emptied for
    /// that.
    func goesAnyway(_ member: GroupState.Member, _ reason: Reason) -> Bool {
        member.isLeaving || (member.status == "DELETE_FAILED" && reason == .memberFailed)
    }

    func node(of member: GroupState.Member) -> NodeView? {
        guard let serverID = member.serverID else { return nil }
        return nodes.on(server: serverID)
    }

    // MARK: What an update takes along

    /// A failed member goes with any shrink, and is replaced by any update that keeps or raises the size, of whichever
    /// group of the stack. If one that nobody chose is a live node, its pods would go untold. (A node that we emptied has
    /// none.)
    func strangersThatFailed(_ chosen: Set<String>, _ reading: GroupReading, in id: String) -> String? {
        let stack = groups[id]?.policy.stack
        var members = reading.members
        for key in groups.keys.sorted() where key != id && groups[key]?.policy.stack == stack {
            members += groups[key]?.reading?.members ?? []
        }
        let strangers = members.filter { member in
            member.isFailed && !chosen.contains(member.identity) && isNode(member)
        }
        guard let first = withoutEmptied(strangers).first else { return nil }
        return "member \(first.name) is \(first.status) and still a node: an update would replace or remove it"
    }

    private func withoutEmptied(_ members: [GroupState.Member]) -> [GroupState.Member] {
        if members.isEmpty { return [] }
        let emptied = emptied()
        return members.filter { !emptied.contains($0.identity) }
    }

    /// Members, by identity, whose node is empty by our act: its removal has drained it, or did and then failed at
    /// Heat, so that the node stays out of service.
    func emptied() -> Set<String> {
        var members: Set<String> = []
        for (node, removal) in removals where isEmptied(node, removal) { members.insert(removal.record.memberID) }
        return members
    }

    /// A node whose taint somebody took away may have pods again.
    private func isEmptied(_ node: String, _ removal: Removal) -> Bool {
        guard nodes[node]?.hasTaint ?? true else { return false }
        // It is being given back to its pods just now: when Heat hears of a size there may be some on it again.
        if case .advance(_, _, undo: true)? = removal.editing?.kind { return false }
        let record = removal.record
        // Its member has another machine now, of which nobody has looked what runs there.
        if groups[record.group]?.reading?.otherServer(of: record) != nil { return false }
        switch record.phase {
        case .drained, .removing, .removed: return true
        case .failed: return !record.ours.cordon && record.change != nil && !removal.hasPodsAgain
        case .cordoned, .noticed, .quiesced, .cancelled: return false
        }
    }
}
