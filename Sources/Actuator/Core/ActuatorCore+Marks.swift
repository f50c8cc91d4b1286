import Messages
import Support

/// Marks that nobody claims.
extension ActuatorCore {
    /// Members that carry our mark while no removal claims them: the record was taken away by hand, or the node went.
    /// The next update of anyone would replace or remove them.
    ///
    /// Not at once: the decision of a machine without a Node may be on its way again, and a size that was sent by a
    /// process that died may not show yet. And not before their Nodes were read anew: a watch may lag, and a record that it has
    /// not shown yet tells of a removal that has just marked its member. Unmarked then, its own update would take another one.
    mutating func unmarkOrphans(_ id: String, _ reading: GroupReading) {
        guard let track = groups[id], nodesAreKnown, changes[track.policy.stack] == nil,
            !reading.isBusy || (track.isStuck && reading.isBusyByFlagOnly)
        else { return }
        let stack = track.policy.stack
        let orphans = withoutClaimed(
            reading.members.filter {
                $0.isFailed && $0.statusReason.hasPrefix(RemovalNames.markPrefix) && !$0.status.hasPrefix("DELETE_")
            })
        let known = groups[id]?.orphans ?? [:]
        let since = Dictionary(
            orphans.map { ($0.identity, known[$0.identity] ?? now) }, uniquingKeysWith: { first, _ in first })
        groups[id]?.orphans = since
        guard let youngest = since.values.max() else { return }
        guard now - youngest >= policy.statusLag else {
            timers.setEarlier(.group(id), at: youngest + policy.statusLag)
            return
        }
        guard mayUnmark(id, reading) else { return timers.setEarlier(.group(id), at: now + policy.pollInterval) }
        guard nodesWereRead(of: orphans, in: id) else { return }
        for member in orphans {
            note(.warning, id, .memberFailed, "member \(member.name) carries the mark of a removal that is not there")
        }
        if (reading.desired ?? .max) <= reading.counted.count, !orphans.contains(where: { isNode($0) }),
            reading.counted.count >= groups[id]?.policy.floor ?? 1
        {
            // The size without them was sent already: unmarked they would be too many, and an older one would go.
            let isSafe = strangersThatFailed(Set(orphans.map(\.identity)), reading, in: id) == nil
            guard isSafe, othersAllowUpdate(of: id) else { return }
            changes[stack] = StackChange(
                group: id, kind: .repair, step: .sending(reading.counted.count), deadline: now + policy.heatTimeout)
            send(reading.counted.count, for: id)
            return
        }
        changes[stack] = StackChange(
            group: id, kind: .unmark, step: .marking(Set(orphans.map(\.name)), nil),
            deadline: now + policy.heatTimeout)
        for member in orphans {
            emit(.mark(group: id, member: member.name, unhealthy: false, why: "no removal claims it"))
        }
    }

    /// Of members that carry our mark those on which no removal is at work: neither one of ours nor one that only its
    /// Node tells of. That may be for a group that is not configured here, or of another release, whose record cannot
    /// be read: another Actuator's all the same.
    private func withoutClaimed(_ members: [GroupState.Member]) -> [GroupState.Member] {
        if members.isEmpty { return [] }
        let records =
            removals.values.map(\.record)
            + nodes.values.compactMap { view in view.record.flatMap { $0.nodeUID == view.uid ? $0 : nil } }
        var claimed: Set<String> = []
        // By its name too: it may have taken the place of the one that was to go.
        var names: [String: Set<String>] = [:]
        for record in records where !record.phase.isOver {
            claimed.insert(record.memberID)
            names[record.id, default: []].insert(record.member)
        }
        return members.filter { member in
            let removalID = String(member.statusReason.dropFirst(RemovalNames.markPrefix.count))
            return !claimed.contains(member.identity) && names[removalID]?.contains(member.name) != true
                && node(of: member)?.recordMistake == nil
        }
    }

    /// Whether the Nodes of these members were read a moment ago, past the watch; has them read if not.
    private mutating func nodesWereRead(of members: [GroupState.Member], in id: String) -> Bool {
        let names = members.compactMap { node(of: $0)?.name }
        let reads = groups[id]?.nodesRead ?? [:]
        let old = names.filter { name in reads[name].map { now - $0 > policy.statusLag } ?? true }
        for name in old { emit(.checkNode(name)) }
        guard !old.isEmpty else {
            groups[id]?.nodesRead = [:]
            return true
        }
        groups[id]?.nodesRead = reads.filter { names.contains($0.key) }
        timers.setEarlier(.group(id), at: now + policy.pollInterval)
        return false
    }

    /// A Node was read past the watch: a group with a mark that nobody claims may have waited for that.
    mutating func nodeWasRead(_ view: NodeView) {
        guard let serverID = view.serverID, let (id, member) = owner(of: serverID),
            groups[id]?.orphans[member.identity] != nil
        else { return }
        groups[id]?.nodesRead[view.name] = now
        readGroup(id)
    }
}
