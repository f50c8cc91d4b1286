import Messages
import Support

extension Engine {
    /// Tries to empty the candidates, the cheapest first.
    mutating func simulate(
        _ candidates: [Int], _ pass: ScaleUpPass, _ result: inout ScaleDownSimulation, at now: Timestamp
    ) {
        let ordered = awaitedLast(orderVictims(candidates, result.utilizations, at: now))
        // Nodes that stay anyway take the pods first, then candidates from the end of the list.
        var isCandidate = [Bool](repeating: false, count: model.nodes.count)
        for slot in candidates { isCandidate[slot] = true }
        let destinations = model.order.filter { !isCandidate[Int($0)] } + ordered.reversed().map { Int32($0) }
        var simulator = RemovalSimulator(
            model, world: worldToMoveIn(pass, at: now), drain: configuration.scaleDown.drain, now: now,
            destinations: destinations,
            peer: configuration.peer)
        simulator.hold(pass.held)
        judge(ordered, &simulator, &result)
        noteUnremovable(result, at: now)
    }

    /// Candidates on which a pod is to run to its end come last: they go later anyway, and until then others may need
    /// their room and what disruptions the budgets allow.
    func awaitedLast(_ ordered: [Int]) -> [Int] {
        guard !configuration.peer.takesPodsInTurn else { return ordered }
        let runsToItsEnd = model.catalog.classes.map { DrainCheck.runsToItsEnd($0.shape) }
        guard runsToItsEnd.contains(true) else { return ordered }
        func isAwaited(_ slot: Int) -> Bool {
            (model.nodes[slot]?.pods ?? []).contains { index in
                model.pods[Int(index)].map { runsToItsEnd[Int($0.podClass)] } ?? false
            }
        }
        return ordered.filter { !isAwaited($0) } + ordered.filter(isAwaited)
    }

    /// Tries to empty candidates in this order.
    func judge(
        _ ordered: [Int], _ simulator: inout RemovalSimulator, _ result: inout ScaleDownSimulation
    ) {
        let whole = Dictionary(grouping: ordered.filter { isWhole($0) }) { Int(groupOfSlot[$0]) }
        var looked: Set<Int> = []
        let most = candidateLimit()
        var found = 0
        for slot in ordered {
            let number = Int(groupOfSlot[slot])
            if let members = whole[number] {
                guard looked.insert(number).inserted else { continue }
                simulate(whole: members, of: number, &simulator, &result)
                continue
            }
            guard found < most else {
                result.obstacles[slot] = Explanation(
                    .candidateLimitReached, "\(found) others were found first (decider.scale_down.limit_candidates)")
                continue
            }
            let verdict = simulator.tryRemoving(slot)
            result.verdicts[slot] = verdict
            switch verdict {
            case .removable:
                result.removable.append(slot)
                found += 1
            case .stays(let reason): result.obstacles[slot] = reason
            }
        }
        result.awaited = simulator.awaited
    }

    private func isWhole(_ slot: Int) -> Bool {
        groupOfSlot[slot] >= 0 && groups[Int(groupOfSlot[slot])].rules.zeroOrMax
    }

    /// A group that goes whole or not at all: all of its candidates may go, or each stays and takes pods of others.
    private func simulate(
        whole members: [Int], of number: Int, _ simulator: inout RemovalSimulator, _ result: inout ScaleDownSimulation
    ) {
        let target = groups[number].target
        guard members.count >= target || configuration.peer.takesPodsInTurn else {
            for slot in members {
                result.obstacles[slot] = Explanation(
                    .atomicScaleDownFailed, "\(members.count) of \(target) nodes may go, all or none do")
            }
            return
        }
        let (verdicts, failed) = simulator.tryRemoving(all: members)
        guard let failed else {
            result.removable += members
            result.verdicts.merge(verdicts) { _, new in new }
            return
        }
        for slot in members {
            result.obstacles[slot] = Explanation(
                .atomicScaleDownFailed, "\(model.world.names[failed]) stays, all or none go")
        }
        if case .stays(let reason)? = verdicts[failed] { result.obstacles[failed] = reason }
    }

    /// How many candidates are looked for in one evaluation (the peer's rule): two times as many as may be removed at once more than
    /// are unneeded already, and no more than could be removed within the unneeded time.
    private func candidateLimit() -> Int {
        let rules = configuration.scaleDown
        guard rules.limitsCandidates else { return Int.max }
        let least = Interval.milliseconds(1)
        let pause = max(least, shortestPause ?? rules.unneededTime)
        let rounds = Int(max(rules.unneededTime, pause).microseconds / pause.microseconds)
        return min(
            memory.unneededSince.count + 2 * rules.maximumParallel,
            rules.maximumParallel * rounds + rules.maximumParallel)
    }

    /// Sets down which nodes need not be looked at for a while.
    private mutating func noteUnremovable(_ result: ScaleDownSimulation, at now: Timestamp) {
        let pause = configuration.scaleDown.unremovableRecheck
        guard pause > .zero else { return }
        let judged: Set<Reason> = [.blockedByPod, .noPlaceToMovePods, .atomicScaleDownFailed, .noNodeInfo]
        for (slot, reason) in result.obstacles where judged.contains(reason.reason) {
            // What kept it off is not news before it is looked at again.
            if unremovableUntil[key(slot)] == nil { unremovableUntil[key(slot)] = now + pause }
        }
    }
}
