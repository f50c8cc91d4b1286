import Messages
import Support

/// Machines that somebody else takes away: a policy's signal, an operator's update, the deletion of the whole stack.
///
/// Heat's word that it begins to delete a member's stack makes us look; what counts is the member list. A member that
/// leaves and that no removal of ours explains gets a removal of its own, on its Node as any other: cordoned, its pods
/// told, drained. Where the stack holds the deletion (a `pre-delete` hook, a software deployment) it is then let go
/// (`released`); where nothing holds it, only the little time is used that there is. Such a removal cannot be
/// cancelled, and never changes the size of the group.
extension ActuatorCore {
    // MARK: What others say

    /// Heat begins to delete a stack: if it is a member's (or holds members), look now.
    mutating func stackLeaving(_ stackID: String) {
        for id in groups.keys.sorted() {
            guard let reading = groups[id]?.reading else { continue }
            if reading.stackID == stackID || reading.member(id: stackID) != nil { readGroup(id) }
        }
    }

    // MARK: What a removal is

    /// The machine goes whatever we do: there is nothing to return to.
    func cannotReturn(_ removal: Removal) -> Bool {
        if removal.record.isExternal { return !removal.record.phase.isOver }
        return removal.record.phase.isReversible && member(of: removal.record)?.isLeaving == true
    }

    /// Nothing holds the machine: no time for a cooldown.
    func isHurried(_ removal: Removal) -> Bool {
        guard cannotReturn(removal) else { return false }
        // Nothing is known of the group yet (this process has just begun): what holds the machine may be there.
        guard let reading = groups[removal.record.group]?.reading else { return false }
        // In no list: it is gone, or it is replaced and perhaps held, or it could not be read this time.
        guard let member = member(of: removal.record) else {
            // (Where nothing can hold it, it makes no difference which.)
            guard let canHold = reading.canHold else { return reading.unsettled[removal.record.memberID] == nil }
            return !canHold
        }
        if reading.isHeld(removal.record.memberID) { return false }
        if member.isLeaving { return reading.canHold == false }
        // Its deletion failed: it lives on, half deleted. Else it was deleted in Nova, which nothing holds.
        return !member.status.hasPrefix("DELETE_")
    }

    /// Whether Heat alone has the member now; nothing of ours changes the stack for it.
    func isLeft(toHeat node: String, _ reading: GroupReading) -> Bool {
        guard let record = removals[node]?.record, record.change == nil else { return false }
        guard let member = reading.member(of: record) else { return true }
        return member.isLeaving || reading.isBusy
    }

    func hasExternal(in group: String) -> Bool {
        removals.values.contains { $0.record.group == group && $0.record.isExternal && !$0.record.phase.isOver }
    }

    func member(of record: RemovalRecord) -> GroupState.Member? {
        groups[record.group]?.reading?.member(of: record)
    }

    // MARK: Times

    /// When a held member is let go at the latest: Heat fails the deletion at the stack's timeout.
    private func heldUntil(_ removal: Removal) -> Timestamp {
        let record = removal.record
        let reading = groups[record.group]?.reading
        let timeout = reading?.timeout ?? .minutes(60)
        let held = reading?.holds(of: record.memberID).compactMap(\.since).min()
        // A removal that began by itself, before somebody else took the machine, says nothing of when that was; nor does Heat,
        // where a deployment holds it.
        let since =
            record.isExternal
            ? min(held ?? record.startedAt, record.startedAt) : held ?? removal.leavingSince ?? record.startedAt
        return since + timeout - min(policy.holdMargin, timeout * 0.25)
    }

    /// Until when a drain that begins now may take.
    func drainDeadline(_ removal: Removal) -> Timestamp {
        guard cannotReturn(removal) else { return drainDeadline(removal.record) }
        if isHurried(removal) { return now + policy.unheldNotice }
        return min(now + policy.drainTimeout, heldUntil(removal))
    }

    /// Until when the pods of a machine that begins to leave may take to answer.
    private func noticeDeadline(_ removal: Removal) -> Timestamp {
        if isHurried(removal) { return now + policy.unheldNotice }
        let limit = heldUntil(removal)
        let reserve = min(policy.drainTimeout, max(limit - now, .zero) * 0.5)
        return max(now, min(now + policy.maximumCooldown + policy.cooldownMargin, limit - reserve))
    }

    // MARK: Following the group

    /// A fresh reading is in.
    mutating func followExternal(_ id: String, _ reading: GroupReading) {
        guard nodesAreKnown else { return }
        let leaving = reading.members.filter(\.isLeaving)
        let names = removals.keys.filter { name in
            removals[name].map { $0.record.group == id && !$0.record.phase.isOver } ?? false
        }.sorted()
        let claimed = Set(names.compactMap { removals[$0].flatMap { reading.member(of: $0.record)?.physicalID } })
        let kept = groups[id]?.keptUntil.filter { now < $0.value } ?? [:]
        groups[id]?.keptUntil = kept
        var unreleased: [String] = []
        let strangers = leaving.filter { !claimed.contains($0.physicalID ?? "") }
        for member in strangers {
            if let node = node(of: member) {
                begin(node, member, id, "Heat deletes member \(member.name), and no removal of ours asked for it")
            } else if let obstacle = letGo(member, withoutNodeIn: id, reading) {
                unreleased.append(obstacle)
            }
        }
        for name in names { follow(name, reading) }
        unreleased += refusedCordons(in: id, reading)
        tellWhatIsHeld(id, names, unreleased, reading)
    }

    /// Begins the removal of a node whose machine somebody else takes away.
    mutating func begin(_ view: NodeView, _ member: GroupState.Member, _ group: String, _ why: String) {
        if let removal = removals[view.name], !removal.record.phase.isOver { return }
        // One change of a Node at a time, so that answers cannot be mistaken; looked at again when that one is over.
        if let edit = tidying[view.name] {
            waitForTidying[view.name] = edit.uid
            return
        }
        // What cannot be read is not written over; it is named when it is seen.
        guard view.recordMistake == nil, let serverID = view.serverID, let memberID = member.physicalID,
            mayCordon(view)
        else { return }
        var record = RemovalRecord(
            id: "external-\(member.name)-\(now.seconds)", group: group, nodeUID: view.uid, serverID: serverID,
            member: member.name, memberID: memberID, decidedAt: now, startedAt: now, deadline: now,
            reason: Explanation(.externalScaleIn, why))
        record.deadline = noticeDeadline(Removal(record: record, uid: view.uid))
        var removal = Removal(record: record, uid: view.uid)
        let edit = NodeEdit(node: view.name, uid: view.uid, kind: .cordon(record))
        removal.editing = edit
        removals[view.name] = removal
        takenByOthers.insert(String(memberID.prefix(8)))
        emit(.editNode(edit))
        if isHurried(removal) {
            // At once, for the account of what is lost: soon there may be nobody to ask.
            readPods(view.name)
            note(.warning, view.name, .externalScaleIn, "\(why); nothing holds it")
        } else {
            note(.warning, view.name, .externalScaleIn, why)
        }
    }

    /// A member that leaves and is no node: nothing runs on it, so what holds it may let it go. Why not, if so.
    private mutating func letGo(
        _ member: GroupState.Member, withoutNodeIn id: String, _ reading: GroupReading
    ) -> String? {
        guard let memberID = member.physicalID, reading.isHeld(memberID) else { return nil }
        // Its Node was deleted a moment ago, and what runs there was promised that time.
        if let until = groups[id]?.keptUntil[memberID] {
            timers.setEarlier(.group(id), at: until)
            return nil
        }
        if let node = nodeAmongServers(of: member) {
            return
                "member \(member.name) holds several servers, none of which is named `server`, so it cannot be told whether "
                + "Node \(node) is its machine: drain the node, then let the deletion go by hand"
        }
        // It may be the machine of a Node that does not say which machine it is.
        if let unknown = nodeOfUnknownMachine {
            return "member \(member.name) (\(member.serverID ?? "no server")) has no Node, but Node \(unknown) has no "
                + "provider id and may be on it"
        }
        emit(.clearHooks(group: id, memberIDs: [memberID]))
        return nil
    }

    /// Somebody deleted the Node of a machine whose deletion is held while its pods were told or drained: they run on, and the
    /// time that they were given is not taken from them. (Another process does not know of it.)
    mutating func keepWhatIsHeld(_ record: RemovalRecord) {
        guard record.phase != .drained, now < record.deadline,
            groups[record.group]?.reading?.isHeld(record.memberID) == true
        else { return }
        groups[record.group]?.keptUntil[record.memberID] = record.deadline
    }

    private mutating func follow(_ node: String, _ reading: GroupReading) {
        guard var removal = removals[node], removal.editing == nil, removal.queue.isEmpty else { return }
        let record = removal.record
        guard let member = reading.member(of: record) else { return followUnlisted(node, removal) }
        // What Nova said while Heat listed it is no word of what became of it later.
        removals[node]?.lastFate = nil
        removals[node]?.unlistedSince = nil
        removal.leavingSince = member.isLeaving ? removal.leavingSince ?? now : nil
        removals[node]?.leavingSince = removal.leavingSince
        removals[node]?.unsettledSince =
            reading.unsettled[record.memberID] == nil ? nil : removal.unsettledSince ?? now
        // The Notifier asks the record: pods of a machine that goes anyway are told with the time that is left.
        if !record.isExternal, !removal.isMachine, !removal.nodeIsGone, record.phase.order < RemovalPhase.drained.order,
            goesAnyway(member, record.reason.reason) != record.isTaken
        {
            request(node, .taken(!record.isTaken))
        }
        if member.isLeaving {
            letGo(node, removal, reading)
        } else if record.isExternal, record.phase.order < RemovalPhase.drained.order,
            !member.status.hasPrefix("DELETE_")
        {
            // Deleted in Nova, of which Heat knows nothing.
            ask(record.serverID)
        }
    }

    /// Whether a removal has nothing left to do in Heat but to see the machine go.
    func waitsForMachine(_ record: RemovalRecord) -> Bool {
        record.phase == .removing ? record.change == nil : record.isExternal && record.phase.isReversible
    }

    /// No list of Heat has the member. One that is replaced is in none while it is held, nor when that ended at the stack's
    /// timeout and its server lives on: whether the machine is there, Nova knows.
    private mutating func followUnlisted(_ node: String, _ removal: Removal) {
        let record = removal.record
        guard waitsForMachine(record) else { return }
        // There is no Node to take away any more.
        if removal.nodeIsGone && record.phase == .removing { return request(node, .removed) }
        removals[node]?.unsettledSince = removal.unsettledSince ?? now
        let since = removal.unlistedSince ?? now
        removals[node]?.unlistedSince = since
        // Given up only on Nova's word, and not at once: while nobody looked the machine may have gone in order, long after
        // the limit. (Gone, and yet here: that word met another edit. Asked again.)
        let hasWord = removal.lastFate != nil && removal.lastFate != .gone
        guard now >= unlistedUntil(record), hasWord, now - since >= policy.unlistedPatience else {
            return ask(record.serverID)
        }
        let why = Explanation(
            .deletionHeld,
            "member \(record.member) is in no list of Heat and \(word(of: removal)): given up, the node stays cordoned; "
                + "delete it if its machine is gone")
        warn(node, why)
        request(node, .failed(why, stayCordoned: true))
    }

    /// How long, from the beginning of its removal, a machine is waited for that Heat does not list and that Nova does not
    /// call gone: nothing is held longer.
    private func unlistedUntil(_ record: RemovalRecord) -> Timestamp {
        let timeout = groups[record.group]?.reading?.timeout ?? .minutes(60)
        return max(record.startedAt + timeout, record.since + policy.heatTimeout)
    }

    /// What Nova said last of the server of a removal.
    private func word(of removal: Removal) -> String {
        switch removal.lastFate {
        case .there: "Nova says that its server lives on"
        case .leaving: "Nova is deleting its server"
        case .failed: "Nova says that its server is in ERROR"
        case .gone, nil: "Nova has not said yet what its server is"
        case .unknown(let failure): "Nova does not say whether its server is gone (\(failure.reason.rawValue))"
        }
    }

    /// The member of a removal leaves by somebody else's act.
    private mutating func letGo(_ node: String, _ removal: Removal, _ reading: GroupReading) {
        let record = removal.record
        let isHeld = reading.isHeld(record.memberID)
        switch record.phase {
        case .drained: request(node, .released(nil, deadline: now + policy.heatTimeout))
        case .removing where record.change == nil && isHeld:
            emit(.clearHooks(group: record.group, memberIDs: [record.memberID]))
        case .cordoned:
            // For the account of what is lost, should nothing hold it.
            if isHurried(removal) { readPods(node) }
            if now >= record.deadline { refuse(node, removal, reading) }
        case .noticed, .quiesced:
            if !policy.releaseAtLimit { refuse(node, removal, reading) }
            if isHeld && now >= heldUntil(removal) && policy.releaseAtLimit {
                let why = Explanation(
                    .podsLost, "let go at Heat's timeout less \(policy.holdMargin) with \(pods(leftOn: removal))")
                warn(node, why)
                request(node, .released(why, deadline: now + policy.heatTimeout))
            } else if isHurried(removal) && record.phase == .noticed {
                readPods(node)
            }
        default: break
        }
    }

    /// Heat's time is nearly over, and the machine is not to be let go: a deployment can say no, so that the server lives on
    /// at once and the stack does not wait for its timeout. The member is then as after that timeout, and goes as soon as its
    /// node is drained.
    private mutating func refuse(_ node: String, _ removal: Removal, _ reading: GroupReading) {
        let record = removal.record
        let hold = reading.holds(of: record.memberID).first { $0.kind == .deployment }
        guard let hold, now >= heldUntil(removal) else { return }
        if !removal.refusesDeletion {
            // (What is left on it `tellWhatIsHeld` says loudly.)
            removals[node]?.refusesDeletion = true
            note(.warning, node, .deletionHeld, "Heat is told by \(hold.resource) that member \(record.member) stays")
        }
        emit(.refuseDeletion(group: record.group, memberIDs: [record.memberID]))
    }

    // MARK: Ends

    /// Somebody else took the machine away before the removal had come to its end.
    mutating func machineIsLost(_ node: String) {
        guard let removal = removals[node] else { return }
        let why: Explanation
        if removal.record.phase == .drained || lostPods(removal, always: true) == 0 {
            why = Explanation(.externalScaleIn, "the machine is gone; no pod was left on it")
        } else {
            why = Explanation(.podsLost, "the machine went with \(pods(leftOn: removal))")
            warn(node, why)
        }
        request(node, .lost(why))
    }

    /// The stack is not there any more, having been deleted: with it went its members.
    mutating func stackIsGone(_ id: String, _ failure: ActFailure) {
        guard failure.reason == .stackNotFound, let reading = groups[id]?.reading,
            reading.stackStatus.hasPrefix("DELETE_")
        else { return }
        for node in removals.keys.sorted() {
            guard let removal = removals[node], removal.record.group == id, removal.editing == nil else { continue }
            if removal.record.phase == .removing {
                request(node, .removed)
            } else if cannotReturn(removal) && removal.record.phase.isReversible {
                machineIsLost(node)
            }
        }
    }

    /// How many pods went with the machine.
    func lostPods(_ removal: Removal, always: Bool = false) -> Int {
        guard always || removal.record.lost != nil else { return 0 }
        return removal.seen.map { $0.count { $0.deletedAt == nil } } ?? (always ? 1 : 0)
    }

    private func pods(leftOn removal: Removal) -> String {
        guard let seen = removal.seen else { return "pods that were not read in time" }
        let left = seen.filter { $0.deletedAt == nil }
        let untold = left.filter { $0.annotations[RemovalNames.podRemoval] != removal.record.id }
        let names = left.prefix(5).map(\.id).sorted().joined(separator: ", ")
        let wereTold = untold.isEmpty ? "all told" : "\(untold.count) of them not told"
        return "\(left.count) pods left (\(names)), \(wereTold)"
    }

    // MARK: Saying what waits

    /// Something that people who look at the Node should see: an Event on it, a line in the log, a count.
    mutating func warn(_ node: String, _ why: Explanation) {
        note(.error, node, why.reason, why.detail)
        emit(.report(node: node, why))
    }

    /// Deletions that are held longer than was meant: `/readyz`, an Event on the Node and a count say so until they end.
    private mutating func tellWhatIsHeld(
        _ id: String, _ names: [String], _ unreleased: [String], _ reading: GroupReading
    ) {
        var obstacles = unreleased
        for name in names {
            guard let removal = removals[name] else { continue }
            let text: String
            if let since = removal.unsettledSince {
                guard now - since >= .seconds(60) else { continue }
                let what =
                    reading.member(of: removal.record) == nil
                    ? "in no list of Heat since \(since.rfc3339), and \(word(of: removal))"
                    : "what holds it cannot be read since \(since.rfc3339)"
                text = "\(name) (member \(removal.record.member)): \(what)"
            } else {
                guard let hold = reading.holds(of: removal.record.memberID).first,
                    let obstacle = obstacle(name, removal)
                else { continue }
                text =
                    "\(name) (member \(removal.record.member), held by \(hold.kind.rawValue) \(hold.resource)): \(obstacle)"
            }
            obstacles.append(text)
            if groups[id]?.heldTooLong?.detail.contains(text) != true {
                warn(name, Explanation(.deletionHeld, text))
            }
        }
        let before = groups[id]?.heldTooLong
        guard !obstacles.isEmpty else {
            groups[id]?.heldTooLong = nil
            if before != nil { emit(.condition(name: "held/\(id)", nil)) }
            return
        }
        let why = Explanation(
            .deletionHeld, "deletions of others do not end: \(obstacles.prefix(10).joined(separator: "; "))")
        guard before != why else { return }
        groups[id]?.heldTooLong = why
        note(.error, id, why.reason, why.detail)
        emit(.condition(name: "held/\(id)", why))
    }

    /// Why a held member is not let go although it is time.
    private func obstacle(_ node: String, _ removal: Removal) -> String? {
        let record = removal.record
        switch record.phase {
        case .cordoned where now >= record.deadline:
            return "its pods were not told (is a Notifier running?), and untold pods are never let go"
        case .noticed where !policy.releaseAtLimit && now >= heldUntil(removal),
            .quiesced where !policy.releaseAtLimit && now >= heldUntil(removal):
            return removal.drain.obstacle?.detail ?? "pods are left on it"
        case .removing where now - record.since >= .seconds(60):
            return "it is drained but Heat does not let it go"
                + (groups[record.group]?.releaseFailure.map { ": \($0.detail)" } ?? "")
        default: return nil
        }
    }
}
