import Messages
import Support

/// Where a group stands in one evaluation.
struct GroupStanding: Sendable {
    var readiness = GroupReadiness()
    /// Nodes that are wanted and not there yet; they take pods in the simulation.
    var upcoming = 0
    /// Whether enough of its nodes work.
    var isHealthy = true
    /// Why nothing can be decided about it now.
    var refusal: Explanation?
}

extension Engine {
    func provisionTimeout(_ group: GroupRuntime) -> Interval {
        group.rules.provisionTimeout ?? configuration.health.provisionTimeout
    }

    /// Where every group stands. `assign` has to be done.
    mutating func standings(at now: Timestamp) -> [GroupStanding] {
        var standings = [GroupStanding](repeating: GroupStanding(), count: groups.count)
        timedOut = [:]
        takeCensus(at: now)
        for number in groups.indices { standings[number].readiness = census.readiness[number] }
        for number in groups.indices {
            noteUnregistered(number, at: now, &standings[number].readiness)
            settleGrowth(number, standings[number].readiness, at: now)
            standings[number].upcoming = upcoming(number, standings[number].readiness, at: now)
            standings[number].isHealthy = isHealthy(number, standings[number].readiness, at: now)
            standings[number].refusal = refusal(number, standings[number], at: now)
        }
        coming = standings.reduce(0) { $0 + $1.upcoming }
        return standings
    }

    private mutating func noteUnregistered(
        _ number: Int, at now: Timestamp, _ readiness: inout GroupReadiness
    ) {
        // A state without members because they could not be read says nothing of them.
        if let state = groups[number].state, state.members.isEmpty, state.problem != nil { return }
        let known = groups[number].memory.unregisteredSince
        var since: [String: Timestamp] = [:]
        for member in absentMembers[number] {
            let id = member.serverID ?? member.physicalID ?? member.name
            // From when it was first seen without a Node (the peer's rule), not from when it was made: it may have been a Node
            // before this process looked.
            let made = making(member, number, known, at: now)
            let first = known[id] ?? made ?? now
            if known[id] == nil, made == nil, let server = member.serverID, isWatchedSinceNew(member, number, known) {
                groups[number].memory.replaced = (groups[number].memory.replaced ?? []).union([server])
            }
            since[id] = first
            readiness.unregistered.append(id)
            if first + provisionTimeout(groups[number]) < now { readiness.longUnregistered.append(id) }
        }
        groups[number].memory.unregisteredSince = since
        if let replaced = groups[number].memory.replaced {
            let rest = replaced.filter { since[$0] != nil }
            groups[number].memory.replaced = rest.isEmpty ? nil : rest
        }
    }

    /// Since when Heat has been making the machine: meanwhile it is known by another name. A server that takes the place of another,
    /// or comes when the time of its member is over, has its own time.
    private func making(
        _ member: GroupState.Member, _ number: Int, _ known: [String: Timestamp], at now: Timestamp
    ) -> Timestamp? {
        let isReplaced = member.serverID.map { groups[number].memory.replaced?.contains($0) ?? false } ?? false
        guard !isReplaced, let since = sinceWithoutServer(member, known) else { return nil }
        return member.serverID == nil || since + provisionTimeout(groups[number]) >= now ? since : nil
    }

    private func sinceWithoutServer(_ member: GroupState.Member, _ known: [String: Timestamp]) -> Timestamp? {
        member.physicalID.flatMap { known[$0] } ?? known[member.name]
    }

    /// Whether the member was seen without a server when it was new: no server that comes to it was a Node before.
    private func isWatchedSinceNew(
        _ member: GroupState.Member, _ number: Int, _ known: [String: Timestamp]
    ) -> Bool {
        guard let since = sinceWithoutServer(member, known), let createdAt = member.createdAt else { return false }
        return since <= createdAt + provisionTimeout(groups[number])
    }

    private func upcoming(_ number: Int, _ readiness: GroupReadiness, at now: Timestamp) -> Int {
        let group = groups[number]
        if configuration.health.upcomingNeedsRequest
            && !(group.isGrowing(at: now, timeout: provisionTimeout(group)) && !group.isBackedOff(at: now))
        {
            return 0
        }
        let there = readiness.ready.count + readiness.unready.count + stillCounted(readiness)
        return max(0, group.target - there - readiness.longUnregistered.count)
    }

    /// Nodes that are being removed and that the group's wanted size still holds.
    private func stillCounted(_ readiness: GroupReadiness) -> Int {
        configuration.peer.sizeShrinksAtOnce ? 0 : readiness.leaving.count
    }

    /// The group failed to grow.
    mutating func backOff(_ number: Int, _ cause: Explanation, at now: Timestamp) {
        groups[number].backOff(
            at: now, cause: cause, configuration.scaleUp, restarts: configuration.peer.failureRestartsBackoff)
    }

    /// An increase is over when its nodes are there, or when it took too long: then the group is backed off.
    private mutating func settleGrowth(_ number: Int, _ readiness: GroupReadiness, at now: Timestamp) {
        let group = groups[number]
        guard group.memory.expected > 0, let grewAt = group.memory.grewAt else { return }
        let missing =
            group.target - readiness.ready.count - readiness.unready.count - stillCounted(readiness)
            - readiness.longUnregistered.count
        // By the time since it was asked for, or since its machines were first seen: they must not be asked for anew.
        let known = group.memory.unregisteredSince
        let isLate = readiness.longUnregistered.contains { known[$0].map { $0 + .seconds(60) >= grewAt } ?? false }
        // Machines of before that are left alone (`machinesToRemove`) are not this increase's.
        let isAllHere = readiness.longUnregistered.isEmpty || (!configuration.peer.repairsFirst && !isLate)
        if missing <= 0 && isAllHere {
            // A decision that Heat has not seen yet has nothing to show.
            if group.memory.scale == nil { groups[number].memory.expected = 0 }
            return
        }
        guard isLate || now > grewAt + provisionTimeout(group) else { return }
        timedOut[number] = groups[number].memory.expected
        groups[number].memory.expected = 0
        groups[number].memory.scale = nil
        let why = Explanation(
            .provisionTimedOut,
            "\(max(missing, readiness.longUnregistered.count)) nodes did not come within \(provisionTimeout(group))")
        backOff(number, why, at: now)
        if let act = group.memory.scale { endedInVain(act, number, why, at: now) }
    }

    /// Nodes that should work and do not, beyond what is tolerated.
    private func isHealthy(_ number: Int, _ readiness: GroupReadiness, at now: Timestamp) -> Bool {
        let group = groups[number]
        guard group.target > 0 else { return true }
        let excused = readiness.longUnregistered.count + group.memory.expected
        let due = group.target - excused - stillCounted(readiness)
        if configuration.peer.emptyIsUnhealthy && readiness.isEmpty { return due == 0 }
        guard due > 0 else { return true }
        let missing = due - readiness.ready.count
        let known = readiness.ready.count + readiness.unready.count + readiness.starting.count
        return
            !(missing > configuration.health.toleratedUnready
            && Double(missing) > configuration.health.maximumUnreadyPercent / 100 * Double(known))
    }

    private func refusal(_ number: Int, _ standing: GroupStanding, at now: Timestamp) -> Explanation? {
        let group = groups[number]
        guard let state = group.state, let heardAt = group.heardAt else {
            return Explanation(.groupUnknown, "the Actuator has not said anything of it yet")
        }
        if now - heardAt > configuration.health.groupTimeout {
            return Explanation(.stateStale, "last word of it \(now - heardAt) ago")
        }
        if let problem = state.problem { return problem }
        if state.paused { return Explanation(.groupPaused, "paused until an operator resumes it") }
        if let backoff = group.memory.backoff, now < backoff.until {
            return Explanation(
                .groupBackedOff,
                "for \(backoff.until - now) more, after \(backoff.cause.reason.rawValue): \(backoff.cause.detail)")
        }
        if !standing.isHealthy {
            return Explanation(
                .groupUnhealthy, "\(standing.readiness.ready.count) of \(group.target) nodes are ready")
        }
        if let act = group.memory.scale, act.startedAt == nil {
            return Explanation(.groupBusy, "a change to \(act.to) nodes is on its way")
        }
        return nil
    }

    /// Whether so many nodes are unready that nothing is touched any more. The census has to be taken.
    func clusterProblem(_ standings: [GroupStanding], at now: Timestamp) -> Explanation? {
        let rules = configuration.health
        let (unready, total) = (census.unready, census.total)
        guard unready > rules.toleratedUnready,
            Double(unready) > rules.maximumUnreadyPercent / 100 * Double(total)
        else { return nil }
        return Explanation(
            .clusterUnhealthy,
            "\(unready) of \(total) nodes are not ready (at most \(rules.toleratedUnready), decider.ok_unready, or "
                + "\(Int(rules.maximumUnreadyPercent))%, decider.max_unready_percent)")
    }
}
