import Messages
import Support

/// Taking members of drained nodes out of Heat: the recipe of docs/openstack/heat.md §5, driven by how the group looks
/// at each reading, so that it goes on from any point of it.
///
/// Marked members do not count in the capacity, so "the members that count, once all chosen are marked" is the size to
/// send, whoever else changed the group meanwhile; and sending it again does no harm.
extension ActuatorCore {
    // MARK: Beginning

    /// Removals whose record says that Heat is called, and no change runs: another process began it. (Not those that
    /// were given up just now, whose record is being written: their nodes return to service.)
    mutating func resumeRemovals(_ id: String, _ reading: GroupReading) -> Bool {
        let names = removals.keys.filter { name in
            guard let removal = removals[name], removal.record.group == id, removal.record.phase == .removing else {
                return false
            }
            if case .advance(_, _, undo: true)? = removal.editing?.kind { return false }
            return !isLeft(toHeat: name, reading)
        }
        guard !names.isEmpty, let stack = groups[id]?.policy.stack else { return false }
        let deadline = names.compactMap { removals[$0]?.record.deadline }.max() ?? now
        changes[stack] = StackChange(group: id, kind: .removal(Set(names)), step: .looking, deadline: deadline)
        // Whether that one had an answer nobody here knows.
        groups[id]?.unansweredAt = now
        if let change = changes[stack] { advance(change, reading) }
        return true
    }

    /// Takes all drained nodes of the group into one change.
    mutating func beginRemovals(_ id: String, _ reading: GroupReading) -> Bool {
        guard let track = groups[id], track.pause == nil, !reading.isBusy, reading.problem == nil else { return false }
        var names = drained(in: id).filter {
            guard let removal = removals[$0] else { return false }
            // What others took, and no list has: whether it is gone Nova says (`followUnlisted`).
            if removal.record.isExternal && reading.member(of: removal.record) == nil { return false }
            return removal.editing == nil && removal.record.since <= reading.begunAt
        }
        names = names.filter { !isDelayed($0, in: id) }
        let machines = names.filter { removals[$0]?.isMachine == true }
        if !machines.isEmpty { names = machines }
        names = names.filter { !failIfOtherMachine($0, reading) }
        guard let latest = names.compactMap({ removals[$0]?.record.since }).max() else { return false }
        if now - latest < policy.coalesce {
            timers.setEarlier(.group(id), at: latest + policy.coalesce)
            return false
        }
        let chosen = Set(names.compactMap { removals[$0]?.record.memberID })
        if let obstacle = strangersThatFailed(chosen, reading, in: id) {
            note(.warning, id, .memberFailed, obstacle)
            return false
        }
        guard let empty = stillEmpty(names, reading, in: id) else { return false }
        names = empty
        var going: [String] = []
        let counted = reading.counted
        let countedIDs = Set(counted.map(\.identity))
        var left = counted.count
        for name in names {
            guard let removal = removals[name] else { continue }
            let counts = countedIDs.contains(removal.record.memberID)
            if counts && left - 1 < track.policy.floor {
                // A machine that is no good, or is gone, and cannot be spared is replaced: the size stays as it is.
                if isReplaceable(name) {
                    going.append(name)
                    continue
                }
                fail(
                    name,
                    Explanation(
                        .minimumReached,
                        "\(left) members, at least \(track.policy.floor) needed (\(track.policy.origin).min)"))
                continue
            }
            if counts { left -= 1 }
            going.append(name)
        }
        // (Before the records say that Heat is called, and hold the stack.)
        guard !going.isEmpty, othersAllowUpdate(of: id) else { return false }
        // No record knows of an earlier change any more.
        if !removals.values.contains(where: { $0.record.group == id && $0.record.phase == .removing }) {
            groups[id]?.removed = []
        }
        let goingIDs = Set(going.compactMap { removals[$0]?.record.memberID })
        let survivors = counted.compactMap(\.physicalID).filter { !goingIDs.contains($0) }
        let deadline = now + policy.heatTimeout
        changes[track.policy.stack] = StackChange(
            group: id, kind: .removal(Set(going)), step: .writing(Set(going)),
            deadline: now + min(policy.heatTimeout, .minutes(5)))
        // (One list of survivors for all: shortened and sorted once.)
        var change = RemovalRecord.Change(survivors: survivors)
        for name in going {
            change.together = going.filter { $0 != name }
            request(name, .removing(change, deadline: deadline))
        }
        return true
    }

    /// Whether the machine of a removal may be replaced where the group cannot spare it: it is no node, is gone already
    /// by somebody else's act, or is no good.
    private func isReplaceable(_ name: String) -> Bool {
        guard let removal = removals[name] else { return false }
        return removal.isMachine || removal.record.isExternal || removal.record.reason.reason.isOfBrokenMachine
    }

    /// A node that we emptied before its removal failed goes with a repair; its pre-delete hook has nothing to wait
    /// for.
    private mutating func clearHooksOfEmptied(_ id: String, _ reading: GroupReading) {
        let deleted = reading.members.filter { $0.status.hasPrefix("DELETE_") }
        if deleted.isEmpty { return }
        let emptied = emptied()
        // (Long may have passed since a node was drained.)
        let ids = Set(deleted.map(\.identity))
        let names = removals.keys.filter { name in
            removals[name].map { emptied.contains($0.record.memberID) && ids.contains($0.record.memberID) } ?? false
        }.sorted()
        let seen = Set((emptyBeforeHeat(names, reading, in: id) ?? []).compactMap { removals[$0]?.record.memberID })
        let leaving = deleted.filter {
            emptied.contains($0.identity) && seen.contains($0.identity) || !isNode($0)
        }
        if !leaving.isEmpty { emit(.clearHooks(group: id, memberIDs: leaving.compactMap(\.physicalID))) }
    }

    /// The record of a node in a change was written, or came to another end.
    mutating func removalIsWritten(_ node: String) {
        for (stack, change) in changes.sorted(by: { $0.key < $1.key }) {
            guard case .removal(let nodes) = change.kind, nodes.contains(node) else { continue }
            if case .writing(var left) = change.step, left.remove(node) != nil {
                changes[stack]?.step = left.isEmpty ? .looking : .writing(left)
                if left.isEmpty {
                    changes[stack]?.deadline = now + policy.heatTimeout
                    // Its nodes were seen to be empty some time ago.
                    readGroup(change.group, within: .zero)
                }
            }
        }
    }

    // MARK: Going on

    /// A fresh reading of the group that is being changed.
    mutating func advance(_ change: StackChange, _ reading: GroupReading) {
        switch change.kind {
        case .scale(let decision): followScale(decision, change, reading)
        case .repair:
            if case .settling = change.step, !reading.isBusy || now > change.deadline,
                change.sawBusy || now - (change.sentAt ?? now) >= policy.statusLag || !reading.isFailed
            {
                endChange(of: change.group)
            } else if reading.isBusy {
                changes[change.stackKey(groups)]?.sawBusy = true
                clearHooksOfEmptied(change.group, reading)
            }
        case .unmark: break
        case .removal(let nodes): advanceRemoval(nodes, change, reading)
        }
    }

    private mutating func advanceRemoval(_ nodes: Set<String>, _ change: StackChange, _ reading: GroupReading) {
        switch change.step {
        case .marking, .sending: return
        case .undoing(let left, let why):
            if left.isEmpty { takeMarksBack(nodes, change, reading, why) }
            return
        case .writing(let left):
            // A record that the API refuses for good: the others, and the stack, do not wait for it.
            if now > change.deadline { leaveOut(left, of: change) }
            return
        case .looking, .settling: break
        }
        let stack = change.stackKey(groups)
        let names = nodes.sorted().filter { removals[$0]?.record.phase == .removing }
        guard !names.isEmpty else { return endChange(of: change.group) }
        let present = names.compactMap { removals[$0]?.record.memberID }.compactMap { reading.member(id: $0) }
        let leaving = present.filter { $0.status.hasPrefix("DELETE_") }
        if present.isEmpty, let doubt = doubt(names, change, reading) {
            // No Node goes on the word of a list that may be wrong.
            if now > change.deadline { giveUp(names, change, reading, doubt) }
            return
        }
        // The chosen are gone, and the engine that should have ended the change died: nothing more comes of it, and
        // what frees the stack may wait for this removal.
        if present.isEmpty, groups[change.group]?.isStuck == true { return verify(names, change, reading) }
        if reading.isBusy {
            changes[stack]?.sawBusy = true
            // Already drained: the stack's own pre-delete hook has nothing to wait for.
            if !leaving.isEmpty {
                emit(.clearHooks(group: change.group, memberIDs: leaving.compactMap(\.physicalID)))
            }
            return
        }
        if present.isEmpty { return verify(names, change, reading) }
        if let sentAt = change.sentAt, !change.sawBusy, now - sentAt < policy.statusLag { return }
        if change.sentAt == nil, let why = machineThatRegistered(names) { return giveUp(names, change, reading, why) }
        if change.sentAt == nil, let other = names.first(where: { otherMachine($0, reading) != nil }),
            let why = otherMachine(other, reading)
        {
            return goOn(without: other, names, change, reading, why)
        }
        if change.attempts >= policy.heatAttempts || now > change.deadline {
            let why =
                change.lastFailure?.explanation
                ?? Explanation(.heatUpdateFailed, reading.isFailed ? reading.failure : "the members did not go")
            return giveUp(names, change, reading, why)
        }
        takeOut(present, names, change, reading)
    }

    /// Why a removal does not go on: its member has another machine than the one that was chosen and drained.
    private func otherMachine(_ name: String, _ reading: GroupReading) -> Explanation? {
        guard let record = removals[name]?.record, let serverID = reading.otherServer(of: record) else { return nil }
        return Explanation(
            .decisionStale,
            "member \(record.member) has server \(serverID) now, not \(record.serverID): somebody had it replaced")
    }

    /// Ends a removal of which that is so. True: it was so.
    private mutating func failIfOtherMachine(_ name: String, _ reading: GroupReading) -> Bool {
        guard removals[name]?.record.isExternal == false, let why = otherMachine(name, reading) else { return false }
        fail(name, why)
        return true
    }

    /// A pod came to a node of a change that waits for Heat, and nobody would tell it.
    mutating func cameBeforeHeat(_ pod: NodePod, _ node: String) {
        guard let group = removals[node]?.record.group, let stack = groups[group]?.policy.stack,
            let change = changes[stack], case .removal(let nodes) = change.kind, nodes.contains(node),
            case .looking = change.step, change.sentAt == nil, let reading = groups[group]?.reading
        else { return }
        let names = nodes.sorted().filter { removals[$0]?.record.phase == .removing }
        let why = Explanation(.podNotTold, "pod \(pod.id) came after the node was drained, before Heat was called")
        goOn(without: node, names, change, reading, why)
    }

    /// One node does not go after all: the others go on, unless it is marked already. Then all is taken back, for the next size
    /// would cost it as well.
    private mutating func goOn(
        without name: String, _ names: [String], _ change: StackChange, _ reading: GroupReading, _ why: Explanation
    ) {
        guard case .removal(let nodes) = change.kind, let record = removals[name]?.record else { return }
        if reading.member(id: record.memberID)?.isFailed == true { return giveUp(names, change, reading, why) }
        fail(name, why)
        let rest = nodes.subtracting([name])
        if rest.isEmpty { return endChange(of: change.group) }
        changes[change.stackKey(groups)]?.kind = .removal(rest)
        readGroup(change.group, within: .zero)
    }

    /// Why it is not known whether the chosen, which no list has, and the survivors are there or not; nil: it is.
    private mutating func doubt(_ names: [String], _ change: StackChange, _ reading: GroupReading) -> Explanation? {
        let sought = groups[change.group]?.sought ?? []
        let chosen = names.filter { removals[$0]?.isMachine != true }.compactMap { removals[$0]?.record.memberID }
        // The reading was under way already when the record said that Heat is called.
        if chosen.contains(where: { !sought.contains($0) }) {
            readGroup(change.group)
            return Explanation(.heatUnreachable, "the group was not read anew")
        }
        // (Of a listed one it is only not known what holds it.)
        let unlisted = reading.unsettled.filter { reading.member(id: $0.key) == nil }
        if unlisted.isEmpty { return nil }
        let (going, staying) = (Set(chosen), survivors(of: names))
        let unsettled = unlisted.sorted { $0.key < $1.key }.first { id, _ in
            going.contains(id) || staying.contains(String(id.prefix(8)))
        }
        return unsettled.map { Explanation(.heatUnreachable, "member \($0.key) is in no list of Heat: \($0.value)") }
    }

    /// Who was to stay, as the records of these nodes say. Those of one change say the same, and each names all: a
    /// thousand lists of a thousand are not read one by one.
    private func survivors(of names: [String]) -> Set<String> {
        var survivors: Set<String> = []
        var last: [String] = []
        for name in names {
            guard let list = removals[name]?.record.change?.survivors, list != last else { continue }
            survivors.formUnion(list)
            last = list
        }
        return survivors
    }

    /// Goes on without nodes whose record cannot be written. Should it be written after all, it says that Heat is
    /// called and a change of its own begins.
    private mutating func leaveOut(_ left: Set<String>, of change: StackChange) {
        guard case .removal(let nodes) = change.kind else { return }
        for name in left.sorted() {
            note(
                .error, name, .kubernetesRefused,
                "its record cannot be written: the change of the stack goes on without it")
        }
        let rest = nodes.subtracting(left)
        guard !rest.isEmpty else { return endChange(of: change.group) }
        let stack = change.stackKey(groups)
        changes[stack]?.kind = .removal(rest)
        changes[stack]?.step = .looking
        changes[stack]?.deadline = now + policy.heatTimeout
        readGroup(change.group, within: .zero)
    }

    /// Marks what is to go and is not marked yet, or sends the size without it.
    private mutating func takeOut(
        _ present: [GroupState.Member], _ names: [String], _ change: StackChange, _ reading: GroupReading
    ) {
        // A member that failed since would go with them, its pods untold.
        let chosen = names.compactMap { removals[$0]?.record.memberID } + present.map(\.identity)
        if let why = strangersThatFailed(Set(chosen), reading, in: change.group) {
            return giveUp(names, change, reading, Explanation(.memberFailed, why))
        }
        let stack = change.stackKey(groups)
        let unmarked = present.filter { !$0.isFailed }
        // (What is marked goes with anybody's update: for that the size is not kept waiting.)
        let isBefore = change.sentAt == nil && unmarked.count == present.count
        if isBefore, emptyBeforeHeat(names, reading, in: change.group) != names { return }
        let markedAt = unmarked.isEmpty ? change.markedAt ?? now : nil
        changes[stack]?.markedAt = markedAt
        let isPressed = markedAt.map { now - $0 >= policy.markPatience } ?? false
        // Looked at anew as soon as the other groups were.
        guard othersAllowUpdate(of: change.group, whateverTheirAge: isPressed) else { return }
        if !unmarked.isEmpty {
            changes[stack]?.step = .marking(Set(unmarked.map(\.name)), nil)
            for (member, why) in marks(names, unmarked) {
                emit(.mark(group: change.group, member: member.name, unhealthy: true, why: why))
            }
            return
        }
        // What took long to come shows what was: somebody's update may have met the marks since, and then the size
        // would cost a member that nobody chose. Heat has no way to send a size on a condition, so the time between is
        // kept short.
        if now - reading.begunAt > policy.freshness && change.rereads < 3 && !isPressed {
            changes[stack]?.rereads += 1
            return readGroup(change.group, within: .zero)
        }
        changes[stack]?.rereads = 0
        var target = reading.counted.count
        let floor = groups[change.group]?.policy.floor ?? 1
        if target < floor {
            // Marked members are replaced by an update that does not lower the size.
            guard names.allSatisfy({ isReplaceable($0) }) else {
                return giveUp(
                    names, change, reading,
                    Explanation(.minimumReached, "\(target) members would be left, at least \(floor) needed"))
            }
            target = floor
        }
        changes[stack]?.step = .sending(target)
        send(target, for: change.group)
    }

    /// The members, and with each the mark of the removal that it goes with.
    private func marks(_ names: [String], _ members: [GroupState.Member]) -> [(GroupState.Member, String)] {
        let records = names.compactMap { removals[$0]?.record }
        let ofMember = Dictionary(records.map { ($0.memberID, $0.id) }, uniquingKeysWith: { first, _ in first })
        // By its name too: it may have taken the place of the one that was to go.
        let ofName = Dictionary(records.map { ($0.member, $0.id) }, uniquingKeysWith: { first, _ in first })
        return members.map { member in
            (member, RemovalNames.markPrefix + (ofMember[member.identity] ?? ofName[member.name] ?? ""))
        }
    }

    mutating func marked(_ id: String, _ member: String, _ unhealthy: Bool, _ failure: ActFailure?) {
        guard let stack = groups[id]?.policy.stack, let change = changes[stack], change.group == id else { return }
        acted(on: id)
        switch change.step {
        case .marking(let left, _) where unhealthy && failure == nil && left.contains(member) && change.isUnmarking:
            unmark(member, in: id)
        case .marking(var left, var worst) where left.remove(member) != nil:
            if let failure, worst == nil || !failure.isRetriable { worst = failure }
            changes[stack]?.step = .marking(left, worst)
            guard left.isEmpty else { return }
            if change.isUnmarking {
                // Each reading would try again, as fast as Heat refuses.
                if worst != nil, let orphans = groups[id]?.orphans {
                    groups[id]?.orphans = orphans.mapValues { [now] _ in now }
                }
                return endChange(of: id)
            }
            changes[stack]?.step = .looking
            changes[stack]?.lastFailure = worst
            guard let worst else {
                changes[stack]?.markedAt = now
                // Now, since anybody's update replaces what is marked; and all of the stack at once, so that what is
                // known of one does not get old while the other is read.
                readGroup(id, within: .zero)
                for other in others(inStackOf: id) { readGroup(other, within: .zero) }
                return
            }
            note(.warning, id, worst.reason, "marking: \(worst.detail)")
            // For good: no attempt is left. Otherwise (the member is in progress): wait, look, go on.
            changes[stack]?.attempts = worst.isRetriable ? change.attempts + 1 : policy.heatAttempts
            timers.set(.group(id), at: now + policy.pollInterval)
        case .undoing(var left, let why) where left.remove(member) != nil:
            changes[stack]?.step = .undoing(left, why)
            if let failure, failure.isRetriable {
                note(.warning, id, failure.reason, "taking a mark back: \(failure.detail)")
                changes[stack]?.unmarkFailedAt = now
            }
            guard left.isEmpty, let change = changes[stack] else { return }
            if change.unmarkFailedAt == nil { return givenUp(change, why) }
            // Not as fast as Heat refuses; and what is there then is what the next reading says.
            timers.set(.group(id), at: now + policy.pollInterval)
        default: return
        }
    }

    mutating func removalAnswered(_ id: String, _ change: StackChange, _ failure: ActFailure?) {
        guard let failure else { return }
        note(.warning, id, failure.reason, "lowering the size: \(failure.detail)")
        if !failure.isRetriable { changes[change.stackKey(groups)]?.attempts = policy.heatAttempts }
    }

    // MARK: The ends

    /// The chosen are gone. Are the others still there?
    private mutating func verify(_ names: [String], _ change: StackChange, _ reading: GroupReading) {
        let present = Set(reading.members.map { String($0.identity.prefix(8)) })
        let chosen = Set(names.compactMap { removals[$0]?.record.memberID.prefix(8) }.map(String.init))
        // What somebody else took away meanwhile is not Heat's mistake: it has a removal of its own. Nor is what we
        // took in another change, of which a record that was written late does not know.
        let removed = groups[change.group]?.removed ?? []
        let own = removals.values.filter {
            $0.record.isExternal || $0.record.phase == .removing || $0.record.phase == .removed
        }
        .map(\.record.memberID)
        let missing = survivors(of: names).subtracting(present).subtracting(chosen).filter { id in
            !takenByOthers.contains(id) && !removed.contains(id) && !own.contains { $0.hasPrefix(id) }
        }.sorted()
        if missing.isEmpty {
            let extra = replacements(of: names, change, reading)
            if !extra.isEmpty, change.attempts < policy.heatAttempts, now <= change.deadline {
                if let sentAt = change.sentAt, !change.sawBusy, now - sentAt < policy.statusLag { return }
                sayReplaced(names, extra, change)
                return takeOut(extra, names, change, reading)
            }
            let size = reading.counted.count
            if size != reading.desired {
                note(.warning, change.group, .sizeMismatch, "\(size) members, desired \(reading.desired ?? 0)")
            }
            groups[change.group]?.removed.formUnion(chosen)
            for name in names { request(name, .removed) }
        } else {
            let why = Explanation(
                .wrongMemberRemoved,
                "members \(missing.prefix(10).joined(separator: ", ")) should have stayed and are gone")
            for name in names { fail(name, why, stayCordoned: true) }
            pauseGroup(change.group, why)
        }
        endChange(of: change.group)
    }

    private mutating func giveUp(
        _ names: [String], _ change: StackChange, _ reading: GroupReading, _ why: Explanation
    ) {
        let marked = marked(names, reading)
        if marked.isEmpty { return givenUp(change, why) }
        let stack = change.stackKey(groups)
        if change.undoBy == nil {
            let wait = policy.unansweredFor + policy.statusLag * 2
            changes[stack]?.undoBy = max(change.deadline, now + max(wait, min(policy.heatTimeout, .minutes(5))))
        }
        changes[stack]?.step = .undoing([], why)
        if mayUnmark(change.group, reading) { unmark(marked, of: change, why) }
    }

    /// Members of these nodes that carry our mark. What Heat has begun to delete cannot be unmarked.
    private func marked(_ names: [String], _ reading: GroupReading) -> [GroupState.Member] {
        let mine = Set(names.compactMap { removals[$0]?.record.memberID })
        return reading.members.filter {
            $0.isFailed && $0.statusReason.hasPrefix(RemovalNames.markPrefix) && !$0.status.hasPrefix("DELETE_")
                && mine.contains($0.identity)
        }
    }

    /// Whether no size of ours is on its way any more that Heat did not answer. Carried out when nothing is marked, it would
    /// take the oldest member, whose pods nobody told (docs/openstack/heat.md §5, §9).
    func mayUnmark(_ id: String, _ reading: GroupReading) -> Bool {
        guard let track = groups[id], let unansweredAt = track.unansweredAt else { return true }
        let isAtRest = !reading.isBusy || reading.waitsOnlyForHeld || track.isStuck
        return isAtRest && now >= max(unansweredAt + policy.unansweredFor, track.stillSince) + policy.statusLag
    }

    /// Heat answered a size of the stack, or did not.
    mutating func noteAnswer(of id: String, _ failure: ActFailure?) {
        // (What was refused says nothing of an earlier one.)
        guard let stack = groups[id]?.policy.stack, failure == nil || failure?.isUnanswered == true else { return }
        for key in groups.keys where groups[key]?.policy.stack == stack {
            groups[key]?.unansweredAt = failure == nil ? nil : now
        }
    }

    private mutating func unmark(_ members: [GroupState.Member], of change: StackChange, _ why: Explanation) {
        let stack = change.stackKey(groups)
        changes[stack]?.step = .undoing(Set(members.map(\.name)), why)
        changes[stack]?.unmarkFailedAt = nil
        for member in members {
            emit(.mark(group: change.group, member: member.name, unhealthy: false, why: "removal given up"))
        }
    }

    /// Given up, and marks are left: they could not be taken back, or must not be yet.
    private mutating func takeMarksBack(
        _ nodes: Set<String>, _ change: StackChange, _ reading: GroupReading, _ why: Explanation
    ) {
        let stack = change.stackKey(groups)
        let names = nodes.sorted().filter { removals[$0]?.record.phase == .removing }
        let present = names.compactMap { removals[$0]?.record.memberID }.compactMap { reading.member(id: $0) }
        if present.isEmpty || present.contains(where: \.isLeaving) {
            // The size that Heat did not answer was carried out: the chosen go after all.
            changes[stack]?.step = .looking
            if let change = changes[stack] { advanceRemoval(nodes, change, reading) }
            return
        }
        let marked = marked(names, reading)
        if marked.isEmpty { return givenUp(change, why) }
        let isOver = change.unmarkFailedAt.map { $0 > change.undoBy ?? now } ?? false
        if isOver || groups[change.group]?.isStuck == true { return givenUp(change, why, marked: marked) }
        if mayUnmark(change.group, reading) { unmark(marked, of: change, why) }
    }

    /// The marks are back: the nodes that are whole return to service, the others stay out of it, and so do those whose mark
    /// stands: the next update of anyone takes them, at the latest a repair (`repairAtRest`).
    private mutating func givenUp(_ change: StackChange, _ why: Explanation, marked: [GroupState.Member] = []) {
        guard case .removal(let nodes) = change.kind else { return endChange(of: change.group) }
        let reading = groups[change.group]?.reading
        let stillMarked = Set(marked.map(\.identity))
        for name in nodes.sorted() {
            guard let record = removals[name]?.record, record.phase == .removing else { continue }
            let member = reading?.member(id: record.memberID)
            let isBroken =
                member == nil || member?.status.hasPrefix("DELETE_") == true || stillMarked.contains(record.memberID)
            fail(name, why, stayCordoned: isBroken)
        }
        endChange(of: change.group)
    }
}
