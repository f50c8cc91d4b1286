import Messages
import Support

/// What can be wrong with a group that a decision mends.
enum Repair: CaseIterable {
    /// Members that never became nodes: they are removed.
    case unregistered
    /// An increase whose time is over: what did not come is taken back from the wanted size.
    case overdueGrowth
    /// A wanted size that nothing has stood behind for long: it is corrected.
    case target
}

extension Engine {
    /// The first of these repairs that a group needs.
    mutating func decideRepairs(
        _ repairs: [Repair], _ standings: [GroupStanding], _ pass: ScaleUpPass? = nil, at now: Timestamp,
        _ result: inout EvaluationResult
    ) -> [String] {
        var sentences: [String] = []
        for number in groups.indices {
            guard
                standings[number].refusal.map({ $0.reason == .groupBackedOff || $0.reason == .groupUnhealthy }) ?? true,
                configuration.peer.repairsFirst
                    || groups[number].memory.scale == nil && groups[number].memory.removal == nil
            else { continue }
            // What was refused a moment ago is refused again.
            if let failed = groups[number].memory.removalFailedAt,
                now < failed + configuration.scaleDown.delayAfterFailure
            {
                continue
            }
            for repair in repairs {
                let sentence =
                    switch repair {
                    case .unregistered: removeUnregistered(number, standings, pass, at: now, &result)
                    case .overdueGrowth: takeBackGrowth(number, at: now, &result)
                    case .target: correctTarget(number, at: now, &result)
                    }
                guard let sentence else { continue }
                sentences.append(sentence)
                break
            }
        }
        return sentences
    }

    /// The node name and UID of a target that has no Node: the server's id and this word.
    static let unregisteredUID = RemovalNames.unregistered

    private mutating func removeUnregistered(
        _ number: Int, _ standings: [GroupStanding], _ pass: ScaleUpPass?, at now: Timestamp,
        _ result: inout EvaluationResult
    ) -> String? {
        // It may be any of these machines.
        guard nodeOfUnknownMachine == nil else { return nil }
        let group = groups[number]
        let servers = Set((group.state?.members ?? []).compactMap(\.serverID))
        let going = machinesToRemove(number, standings, pass, at: now)
        var ids = going.ids
        guard !ids.isEmpty else { return nil }
        if !configuration.health.replacesAtMinimum {
            ids = Array(ids.prefix(max(0, group.target - group.minimum)))
        }
        if !configuration.peer.repairsFirst { ids = Array(ids.prefix(max(1, configuration.scaleDown.maximumParallel))) }
        guard !ids.isEmpty else { return nil }
        if group.rules.zeroOrMax && configuration.peer.wholeGroupsAreRepairedWhole { ids = servers.sorted() }
        let act = RemovalAct(
            id: decisionID("u", group.rules.id, ids[0]),
            targets: ids.map {
                RemovalAct.Target(node: $0, nodeUID: Self.unregisteredUID, serverID: $0, drains: false)
            }, decidedAt: now, deadline: now + configuration.scaleDown.decisionLifetime)
        groups[number].memory.removal = act
        if going.released.map(ids.contains) ?? false { groups[number].memory.releasedAt = now }
        let timeout = provisionTimeout(group)
        result.decisions.append(
            .removalDecided(
                RemovalDecided(
                    cluster: configuration.cluster, id: act.id, group: group.rules.id, from: group.state?.size ?? 0,
                    nodes: ids.map {
                        RemovalTarget(
                            node: $0, nodeUID: Self.unregisteredUID, serverID: $0,
                            reason: Explanation(.nodeNeverRegistered, "no Node within \(timeout)"))
                    }, decidedAt: now, deadline: act.deadline)))
        result.evaluation.decisions.append(act.id)
        return "remove from \(group.rules.id) \(ids.count) machines that never became nodes"
    }

    /// The wanted size of a group and how many members stand behind it; nil while that cannot be told.
    private func sizes(_ number: Int) -> (wanted: Int, there: Int)? {
        guard configuration.health.correctsTargets, let state = groups[number].state, !state.busy else { return nil }
        return (state.desired ?? state.size, state.members.filter { !$0.isFailed && !$0.isLeaving }.count)
    }

    /// In the evaluation in which an increase runs out of time. Machines that are there stay wanted: they may be late, and if they
    /// do not become nodes they are removed as such.
    private mutating func takeBackGrowth(
        _ number: Int, at now: Timestamp, _ result: inout EvaluationResult
    ) -> String? {
        guard let increase = timedOut[number], let (wanted, there) = sizes(number), wanted > there else { return nil }
        let to = max(there, wanted - increase)
        return lowerTarget(
            number, from: wanted, to: to,
            Explanation(
                .provisionTimedOut,
                "\(wanted) wanted, \(there) members \(provisionTimeout(groups[number])) after \(increase) were asked for"
            ),
            at: now, &result)
    }

    private mutating func correctTarget(
        _ number: Int, at now: Timestamp, _ result: inout EvaluationResult
    ) -> String? {
        let group = groups[number]
        guard let (wanted, there) = sizes(number),
            !(group.rules.zeroOrMax && configuration.peer.wholeGroupsAreRepairedWhole)
        else { return nil }
        // With the peer an open increase explains what is missing.
        let expected = configuration.peer.repairsFirst ? group.memory.expected : 0
        guard wanted - expected > there else {
            groups[number].memory.mismatch = nil
            return nil
        }
        if let known = group.memory.mismatch, known.expected == wanted, known.current == there {
            guard known.since + provisionTimeout(group) < now else { return nil }
        } else {
            groups[number].memory.mismatch = GroupMemory.Mismatch(expected: wanted, current: there, since: now)
            return nil
        }
        groups[number].memory.mismatch = nil
        return lowerTarget(
            number, from: wanted, to: there,
            Explanation(.sizeMismatch, "\(wanted) wanted, \(there) members for \(provisionTimeout(group))"), at: now,
            &result)
    }

    private mutating func lowerTarget(
        _ number: Int, from wanted: Int, to lower: Int, _ reason: Explanation, at now: Timestamp,
        _ result: inout EvaluationResult
    ) -> String? {
        let group = groups[number]
        let to = max(lower, configuration.peer.repairsFirst ? 0 : group.minimum)
        guard to < wanted, let state = group.state else { return nil }
        let act = ScaleAct(
            id: decisionID("c", group.rules.id, "\(wanted)-\(to)"), from: state.size, to: to, decidedAt: now,
            deadline: now + configuration.scaleUp.decisionLifetime)
        groups[number].memory.scale = act
        result.decisions.append(
            .scaleDecided(
                ScaleDecided(
                    cluster: configuration.cluster, id: act.id, group: group.rules.id, from: act.from, to: to,
                    reason: reason, decidedAt: now, deadline: act.deadline)))
        result.evaluation.decisions.append(act.id)
        return "\(group.rules.id) wanted size corrected from \(wanted) to \(to)"
    }
}
