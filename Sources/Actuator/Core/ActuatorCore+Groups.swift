import Messages
import Support

/// Reading groups, telling the bus, and starting what waits for a stack.
extension ActuatorCore {
    /// Asks for a reading; one at a time, and another one after it if something happened meanwhile. After one that took
    /// long the next one waits (`GroupTrack.readingIsOver`), and is then for all who have asked by that time.
    /// - Parameter patience: How long it may wait at most, where what was seen elsewhere, or stands half done in Heat,
    ///   gets old meanwhile.
    mutating func readGroup(_ id: String, within patience: Interval? = nil) {
        guard var track = groups[id] else { return }
        track.wasAsked = true
        if let patience { track.readBy = min(track.readBy ?? now + patience, now + patience) }
        let due = min(track.restsUntil, track.readBy ?? track.restsUntil)
        if track.isReading {
            track.again = true
        } else if now < due {
            timers.setEarlier(.reading(id), at: due)
        } else {
            let expected = expected(in: id)
            timers.cancel(.reading(id))
            track.readBy = nil
            track.isReading = true
            track.readingSince = now
            track.seeking = Set(expected.map(\.physicalID))
            emit(.readGroup(id, expecting: expected))
        }
        groups[id] = track
    }

    /// The reading that waited may begin. (One that has begun at this very moment shows all that it was asked for.)
    mutating func groupHasRested(_ id: String) {
        if groups[id]?.isReading == false { readGroup(id) }
    }

    /// Members that are on their way out by our act or somebody else's, as their records tell, also after a restart.
    private func expected(in id: String) -> [ExpectedMember] {
        let claimed = removals.values.filter {
            $0.record.group == id && !$0.isMachine && ($0.record.phase == .removing || $0.record.isExternal)
                && !$0.record.phase.isOver
        }.map {
            ExpectedMember(name: $0.record.member, physicalID: $0.record.memberID, serverID: $0.record.serverID)
        }
        let known = Set(claimed.map(\.physicalID))
        let refused = refusedCordons.values.filter { $0.group == id && !known.contains($0.member.physicalID) }
        return (claimed + refused.map(\.member)).sorted { $0.physicalID < $1.physicalID }
    }

    /// Our own act on the stack of `id` is done: older readings no longer count.
    mutating func acted(on id: String) {
        guard let stack = groups[id]?.policy.stack else { return }
        for key in groups.keys where groups[key]?.policy.stack == stack { groups[key]?.actedAt = now }
    }

    mutating func groupRead(_ id: String, _ reading: GroupReading) {
        guard var track = groups[id] else { return }
        track.readingIsOver(at: now, policy)
        let isStale = reading.begunAt < track.actedAt
        let again = track.again || isStale
        track.again = false
        if !isStale {
            if track.reading?.looksLike(reading) != true { track.stillSince = now }
            track.reading = reading
            track.sought = track.seeking
            if track.failure != nil { emit(.condition(name: "group/\(id)", nil)) }
            track.failure = nil
            if let waiting = track.waiting, let sentAt = waiting.sentAt, reading.begunAt >= sentAt,
                reading.desired == waiting.decision.to
            {
                track.waiting?.isSeen = true
            }
        }
        let before = groups[id]?.reading
        groups[id] = track
        if !isStale {
            rememberFormer(id, before, reading)
            lookForArrivals()
            lookAtServers(id, reading)
            followExternal(id, reading)
            proceed(id)
            publishState(id)
        }
        scheduleReading(id)
        wakeThoseThatWait(for: id)
        if again { readGroup(id) }
    }

    mutating func groupUnread(_ id: String, _ failure: ActFailure) {
        guard var track = groups[id] else { return }
        track.readingIsOver(at: now, policy)
        track.again = false
        track.readBy = nil
        if track.failure != failure {
            emit(.condition(name: "group/\(id)", failure.explanation))
            note(.warning, id, failure.reason, failure.detail)
        }
        track.failure = failure
        track.waiting?.lastFailure = failure
        groups[id] = track
        refuseWhatCannotBeRead(id, failure)
        stackIsGone(id, failure)
        publishState(id)
        scheduleReading(id)
        wakeThoseThatWait(for: id)
    }

    private mutating func scheduleReading(_ id: String) {
        guard let track = groups[id] else { return }
        let isActive =
            track.waiting != nil || !track.starts.isEmpty || changes[track.policy.stack] != nil
            || track.reading?.isBusy == true || hasDrained(in: id) || hasExternal(in: id)
        timers.setEarlier(.group(id), at: now + (isActive ? policy.pollInterval : policy.resync))
    }

    /// Nothing can be done on a group that is not there or does not let us in: say so instead of waiting.
    private mutating func refuseWhatCannotBeRead(_ id: String, _ failure: ActFailure) {
        guard !failure.isRetriable, let track = groups[id] else { return }
        if let waiting = track.waiting {
            groups[id]?.waiting = nil
            refuse(waiting.decision, failure.explanation, ticket: waiting.ticket)
        }
        for start in track.starts {
            for target in start.decision.nodes { refuse(target, of: start.decision, failure.explanation) }
            settle(start.ticket)
        }
        groups[id]?.starts = []
    }

    /// Publishes `group.state` when it changed, and at each resync.
    private mutating func publishState(_ id: String) {
        guard let track = groups[id] else { return }
        let state = state(of: track)
        var comparable = state
        comparable.observedAt = track.published?.observedAt ?? state.observedAt
        // A little earlier than the resync, or every second one would be left out by a hair.
        guard comparable != track.published || now - track.publishedAt >= policy.resync * 0.9 else { return }
        groups[id]?.published = state
        groups[id]?.publishedAt = now
        emit(.publish(.groupState(state)))
    }

    private func state(of track: GroupTrack) -> GroupState {
        let group = track.policy
        guard let reading = track.reading else {
            return GroupState(
                cluster: policy.cluster, group: group.id, min: group.min, max: group.max, size: 0,
                stackStatus: "UNKNOWN", problem: track.failure?.explanation, paused: track.pause != nil,
                observedAt: now)
        }
        return GroupState(
            cluster: policy.cluster, group: group.id, stackID: reading.stackID, min: group.min, max: group.max,
            desired: reading.desired, size: reading.counted.count, members: explained(reading.members, track),
            stackStatus: reading.stackStatus, busy: reading.isBusy || changes[group.stack] != nil,
            problem: track.failure?.explanation ?? track.pause ?? reading.problem ?? stuck(track),
            paused: track.pause != nil,
            flavor: reading.flavor, quotas: reading.quotas, observedAt: reading.begunAt)
    }

    /// A fresh reading is in: go on with the stack's change, or start what waits.
    private mutating func proceed(_ id: String) {
        guard let track = groups[id], let reading = track.reading else { return }
        beginStarts(id, reading)
        if freeIfStuck(id, reading) { return }
        if let change = changes[track.policy.stack] {
            if change.group == id { advance(change, reading) }
            return
        }
        guard nodesAreKnown || track.waiting != nil else { return }
        if resumeRemovals(id, reading) { return }
        if considerScale(id, reading) { return }
        if beginRemovals(id, reading) { return }
        removeFailedNodes(id, reading)
        unmarkOrphans(id, reading)
        repairAtRest(id, reading)
    }

    /// The change of a stack is over: whatever waits there is looked at with fresh eyes.
    mutating func endChange(of id: String) {
        guard let stack = groups[id]?.policy.stack else { return }
        changes[stack] = nil
        for key in groups.keys.sorted() where groups[key]?.policy.stack == stack { readGroup(key) }
    }
}
