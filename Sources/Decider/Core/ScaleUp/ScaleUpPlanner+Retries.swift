import Messages

/// A plan is better than the first that comes to mind: where pods have rules on other pods, a node more of one group may keep
/// pods out of another (a pod that gets room in a zone repels others from it, or puts a spread out of balance). And where groups
/// are short of room, pods that could go anywhere may take that of the only group which others can use.
///
/// So a plan that leaves such pods without a place is made again with fewer new nodes of some groups, first of one at a time from
/// the best so far on, then every combination that makes another plan; where no pod has rules on others (such plans are cheaper)
/// also with another group taken first. What is taken serves the most of all that were made. So where the attempts reach for all
/// of them a group that may grow further never makes it worse: whatever could be planned without the further nodes is among what
/// was tried.
///
/// Limits on what may come at once bear on none of this: they cut off what was chosen.
extension ScaleUpPlanner {
    /// A plan with what is left after it.
    private struct Attempt {
        var plan: ScaleUpPlan
        var demands: [Demand]
        var world: World

        /// Pods without a place, by priority.
        var left: [Int32: Int] {
            var left: [Int32: Int] = [:]
            for demand in demands where demand.open > 0 { left[demand.priority, default: 0] += demand.open }
            return left
        }

        /// Whether it serves more, of the most important pods first.
        func serves(more other: Attempt) -> Bool {
            let (own, others) = (left, other.left)
            for priority in Set(own.keys).union(others.keys).sorted(by: >) {
                let (mine, theirs) = (own[priority] ?? 0, others[priority] ?? 0)
                if mine != theirs { return mine < theirs }
            }
            return false
        }
    }

    /// What a plan is made with.
    private struct Trial: Hashable {
        /// New nodes that each group may get.
        var ceilings: [Int]
        /// The group that is taken first, whatever the expanders say.
        var leading: Int?
    }

    /// What was tried, and what may still be.
    private struct Search {
        var best: Attempt
        /// What the best plan was made with.
        var trial: Trial
        /// Groups that plans are made with as the first one.
        var leaders: [Int]
        /// Demands that no plan can serve.
        var hopeless: Set<Int>
        /// How many plans may still be made.
        var rest: Int
        /// By what each group could get, what it would have made use of at most.
        var reach: [Trial: [Int]]

        var isOver: Bool {
            rest <= 0 || best.demands.indices.allSatisfy { best.demands[$0].open == 0 || hopeless.contains($0) }
        }
    }

    /// What is left of a plan that helps some of the pods only, where it is to be all or none.
    private func nothing(instead plan: ScaleUpPlan) -> ScaleUpPlan {
        var refused = plan
        refused.added = [:]
        refused.placed = Array(repeating: [:], count: plan.placed.count)
        refused.triggered = Array(repeating: 0, count: plan.triggered.count)
        refused.placements = []
        refused.best = nil
        refused.isCapped = false
        refused.refusal = Self.notAll
        return refused
    }

    /// `run`, and run again where that may serve more pods.
    func runBest(
        _ demands: inout [Demand], _ world: inout World, _ catalog: inout Catalog
    ) -> ScaleUpPlan {
        let start = (demands: demands, world: world)
        func attempt(_ trial: Trial, _ catalog: inout Catalog, batch: NodeLimit = NodeLimit()) -> Attempt {
            var planner = self
            planner.batch = batch
            planner.leading = trial.leading
            for (group, count) in trial.ceilings.enumerated() where count < candidates[group].room {
                planner.candidates[group].ceiling = planner.candidates[group].target + count
            }
            var attempt = Attempt(plan: ScaleUpPlan(), demands: start.demands, world: start.world)
            attempt.plan = planner.run(&attempt.demands, &attempt.world, &catalog)
            return attempt
        }
        func settled(_ chosen: Attempt, _ trial: Trial, _ catalog: inout Catalog) -> ScaleUpPlan {
            // Chosen as if all of it could come now; of that as much as may.
            let isTooMuch = chosen.plan.added.values.reduce(0, +) > batch.rest
            let best = isTooMuch ? attempt(trial, &catalog, batch: batch) : chosen
            if rules.allOrNothing && rules.severalGroups
                && best.demands.contains(where: { $0.open > 0 && !$0.isHeadroom })
            {
                return nothing(instead: best.plan)
            }
            (demands, world) = (best.demands, best.world)
            var plan = best.plan
            // The peer asks once, before anything is placed.
            if !peer.takesPodsInTurn { explainRest(demands, world, &catalog, &plan) }
            return plan
        }
        let rooms = Trial(ceilings: candidates.map(\.room))
        let first = attempt(rooms, &catalog)
        let hasRules = demands.contains { !catalog.classes[$0.podClass].isPlain }
        // With one group and plain pods more room only adds to what was placed without it.
        guard rules.retriesPlans, rules.severalGroups, !first.plan.added.isEmpty,
            first.demands.contains(where: { $0.open > 0 }),
            hasRules || first.plan.options.count > 1
        else { return settled(first, rooms, &catalog) }
        let leaders = hasRules || first.plan.options.count < 2 ? [] : first.plan.options.map(\.group)
        var search = Search(
            best: first, trial: rooms, leaders: leaders, hopeless: hopeless(first),
            rest: attempts(demands, world, hasRules: hasRules), reach: [rooms: reach(first, rooms)])
        func note(_ trial: Trial, _ catalog: inout Catalog) -> Bool {
            guard search.reach[trial] == nil else { return false }
            search.rest -= 1
            let next = attempt(trial, &catalog)
            search.reach[trial] = reach(next, trial)
            guard next.serves(more: search.best) else { return false }
            (search.best, search.trial) = (next, trial)
            return true
        }
        // From the best so far on, until no single step helps.
        var hasImproved = true
        while hasImproved && !search.isOver {
            hasImproved = false
            for step in steps(search) where !search.isOver {
                if note(step, &catalog) { hasImproved = true }
            }
        }
        // Whatever else makes another plan: a group has to get less than it made use of.
        var queue = [rooms] + leaders.map { Trial(ceilings: rooms.ceilings, leading: $0) }
        var known = Set(queue)
        var index = 0
        while index < queue.count && !search.isOver {
            let trial = queue[index]
            index += 1
            _ = note(trial, &catalog)
            guard let used = search.reach[trial] else { continue }
            for group in trial.ceilings.indices where used[group] > 0 {
                var next = trial
                next.ceilings[group] = candidates[group].zeroOrMax ? 0 : used[group] - 1
                // Those behind could never be made: only plans that are known already cost none.
                guard queue.count < index + search.rest + search.reach.count else { break }
                if known.insert(next).inserted { queue.append(next) }
            }
        }
        return settled(search.best, search.trial, &catalog)
    }

    /// A fresh node could have taken them before the plan was made: what keeps them off now are the pods and nodes of the plan.
    private func explainRest(
        _ demands: [Demand], _ world: World, _ catalog: inout Catalog, _ plan: inout ScaleUpPlan
    ) {
        for (group, candidate) in candidates.enumerated() {
            guard let template = candidate.template else { continue }
            let rest = demands.indices.filter { demands[$0].open > 0 && plan.obstacles[$0][group] == nil }
            guard !rest.isEmpty else { continue }
            var scratch = world
            let node = scratch.addTemplate(template, number: 0, group: group, &catalog)
            for index in rest {
                plan.obstacles[index][group] = scratch.obstacle(catalog.classes[demands[index].podClass], node, catalog)
            }
        }
    }

    private func attempts(_ demands: [Demand], _ world: World, hasRules: Bool) -> Int {
        let count = Self.attempts(
            pods: demands.reduce(0) { $0 + $1.pods.count }, nodes: world.slots, groups: candidates.count)
        // Without rules on other pods each option is estimated once, not with every strategy.
        return hasRules ? count : 2 * count
    }

    /// How many plans may be made: the more pods the dearer is each, and each looks at all nodes for every group.
    static func attempts(pods: Int, nodes: Int, groups: Int) -> Int {
        pods > 5_000 ? 0 : max(8, min(200, 50_000 / max(1, pods + nodes * groups / 10)))
    }

    /// Demands that no group could take even if there were no others.
    private func hopeless(_ attempt: Attempt) -> Set<Int> {
        let passing: Set<Reason> = [.podAffinityMismatch, .podAntiAffinityConflict, .topologySpreadConflict]
        let indices = attempt.demands.indices.filter { index in
            candidates.indices.allSatisfy { group in
                attempt.plan.obstacles[index][group].map { !passing.contains($0.reason) } ?? false
            }
        }
        return Set(indices)
    }

    /// With as many new nodes of each group, or more, the plan would have been the same.
    private func reach(_ attempt: Attempt, _ trial: Trial) -> [Int] {
        trial.ceilings.enumerated().map { group, ceiling in min(ceiling, attempt.plan.reach[group] ?? 0) }
    }

    /// One group with fewer nodes than it made use of: every number, or some of them where there are too many. Then another
    /// group first.
    private func steps(_ search: Search) -> [Trial] {
        var steps: [Trial] = []
        let used = search.reach[search.trial] ?? search.trial.ceilings
        let open = used.indices.filter { used[$0] > 0 }
        let each = max(1, (search.rest - search.leaders.count) / max(1, open.count))
        for group in open {
            var counts =
                candidates[group].zeroOrMax
                ? [0] : Array(stride(from: used[group] - 1, through: 0, by: -1).prefix(each))
            if let last = counts.last, last > 0 { counts[counts.count - 1] = 0 }
            for count in counts {
                var step = search.trial
                step.ceilings[group] = count
                steps.append(step)
            }
        }
        for group in search.leaders where group != search.trial.leading {
            steps.append(Trial(ceilings: search.trial.ceilings, leading: group))
        }
        return steps
    }
}
