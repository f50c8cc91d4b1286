import Messages
import Support

extension Engine {
    /// Members that never became nodes are removed; a wanted size that nothing stands behind is corrected.
    mutating func decideRepairs(
        _ standings: [GroupStanding], at now: Timestamp, _ result: inout EvaluationResult
    ) -> [String] {
        var sentences: [String] = []
        for number in groups.indices {
            guard
                standings[number].refusal.map({ $0.reason == .groupBackedOff || $0.reason == .groupUnhealthy }) ?? true,
                groups[number].memory.scale == nil, groups[number].memory.removal == nil
            else { continue }
            // What was refused a moment ago is refused again.
            if let failed = groups[number].memory.removalFailedAt,
                now < failed + configuration.scaleDown.delayAfterFailure
            {
                continue
            }
            if let sentence = removeUnregistered(number, standings[number], at: now, &result) {
                sentences.append(sentence)
            } else if let sentence = correctTarget(number, standings[number], at: now, &result) {
                sentences.append(sentence)
            }
        }
        return sentences
    }

    /// The node name and UID of a target that has no Node: the server's id and this word.
    static let unregisteredUID = RemovalNames.unregistered

    private mutating func removeUnregistered(
        _ number: Int, _ standing: GroupStanding, at now: Timestamp, _ result: inout EvaluationResult
    ) -> String? {
        // It may be any of these machines.
        guard nodeOfUnknownMachine == nil else { return nil }
        let group = groups[number]
        let servers = Set((group.state?.members ?? []).compactMap(\.serverID))
        var ids = standing.readiness.longUnregistered.filter { servers.contains($0) }.sorted()
        guard !ids.isEmpty else { return nil }
        if !configuration.health.replacesAtMinimum {
            ids = Array(ids.prefix(max(0, group.target - group.minimum)))
        }
        guard !ids.isEmpty else { return nil }
        let act = RemovalAct(
            id: decisionID("u", group.rules.id, ids[0]),
            targets: ids.map {
                RemovalAct.Target(node: $0, nodeUID: Self.unregisteredUID, serverID: $0, drains: false)
            }, decidedAt: now, deadline: now + configuration.scaleDown.decisionLifetime)
        groups[number].memory.removal = act
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

    private mutating func correctTarget(
        _ number: Int, _ standing: GroupStanding, at now: Timestamp, _ result: inout EvaluationResult
    ) -> String? {
        let group = groups[number]
        guard configuration.health.correctsTargets, let state = group.state, !state.busy else { return nil }
        let wanted = state.desired ?? state.size
        let there = state.members.filter { !$0.isFailed && !$0.isLeaving }.count
        guard wanted > there else {
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
        let to = max(there, group.minimum)
        guard to < wanted else { return nil }
        let act = ScaleAct(
            id: decisionID("c", group.rules.id, "\(wanted)-\(to)"), from: state.size, to: to, decidedAt: now,
            deadline: now + configuration.scaleUp.decisionLifetime)
        groups[number].memory.scale = act
        let reason = Explanation(.sizeMismatch, "\(wanted) wanted, \(there) members for \(provisionTimeout(group))")
        result.decisions.append(
            .scaleDecided(
                ScaleDecided(
                    cluster: configuration.cluster, id: act.id, group: group.rules.id, from: act.from, to: to,
                    reason: reason, decidedAt: now, deadline: act.deadline)))
        result.evaluation.decisions.append(act.id)
        return "\(group.rules.id) wanted size corrected from \(wanted) to \(to)"
    }
}
