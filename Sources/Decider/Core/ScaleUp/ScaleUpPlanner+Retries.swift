import Messages

/// A plan is better than the first that comes to mind: where pods have rules on other pods, a node more of one group may keep
/// pods out of another (a pod that gets room in a zone repels others from it, or puts a spread out of balance).
///
/// So a plan that leaves such pods without a place is made again with fewer new nodes of some group. What is taken leaves no
/// more pods than a plan that never had the further nodes would have left, as far as the attempts reach: a group that may
/// grow further never makes it worse.
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

    /// `run`, and run again where that may serve more pods.
    func runBest(
        _ demands: inout [Demand], _ world: inout World, _ catalog: inout Catalog
    ) -> ScaleUpPlan {
        let start = (demands: demands, world: world)
        func attempt(_ ceilings: [Int: Int], _ catalog: inout Catalog) -> Attempt {
            var planner = self
            for (group, count) in ceilings {
                planner.candidates[group].ceiling = planner.candidates[group].target + count
            }
            var attempt = Attempt(plan: ScaleUpPlan(), demands: start.demands, world: start.world)
            attempt.plan = planner.run(&attempt.demands, &attempt.world, &catalog)
            return attempt
        }
        var best = attempt([:], &catalog)
        var rest = attempts(demands)
        if rules.retriesPlans, rules.severalGroups, isWorthATry(best, catalog) {
            var ceilings: [Int: Int] = [:]
            var hasImproved = true
            // From the best so far on, until no single step helps.
            while hasImproved && rest > 0 && best.demands.contains(where: { $0.open > 0 }) {
                hasImproved = false
                for step in steps(ceilings, rest) where rest > 0 {
                    rest -= 1
                    let next = attempt(step, &catalog)
                    if next.serves(more: best) {
                        (best, ceilings, hasImproved) = (next, step, true)
                    }
                }
            }
        }
        demands = best.demands
        world = best.world
        // The peer asks once, before anything is placed.
        if !peer.takesPodsInTurn { explainRest(demands, world, &catalog, &best.plan) }
        return best.plan
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

    /// How many plans may be made: the more pods the dearer is each.
    private func attempts(_ demands: [Demand]) -> Int {
        let pods = demands.reduce(0) { $0 + $1.pods.count }
        return pods > 5_000 ? 0 : max(8, min(200, 50_000 / max(1, pods)))
    }

    /// Whether nodes were added, pods were left that some group could take but for others, and pods have rules on others.
    private func isWorthATry(_ attempt: Attempt, _ catalog: Catalog) -> Bool {
        guard !attempt.plan.added.isEmpty, attempt.demands.contains(where: { !catalog.classes[$0.podClass].isPlain })
        else { return false }
        let passing: Set<Reason> = [.podAffinityMismatch, .podAntiAffinityConflict, .topologySpreadConflict]
        return attempt.demands.indices.contains { index in
            attempt.demands[index].open > 0
                && candidates.indices.contains { group in
                    attempt.plan.obstacles[index][group].map { passing.contains($0.reason) } ?? true
                }
        }
    }

    /// One group with fewer nodes each: every number, or some of them where there are too many.
    private func steps(_ ceilings: [Int: Int], _ limit: Int) -> [[Int: Int]] {
        var steps: [[Int: Int]] = []
        let open = candidates.indices.filter { candidates[$0].refusal == nil && candidates[$0].template != nil }
        let each = max(1, limit / max(1, open.count))
        for group in open {
            let most = min(candidates[group].room, ceilings[group] ?? Int.max)
            guard most > 0 else { continue }
            var counts =
                candidates[group].zeroOrMax ? [0] : Array(stride(from: most - 1, through: 0, by: -1).prefix(each))
            if let last = counts.last, last > 0 { counts[counts.count - 1] = 0 }
            for count in counts {
                var step = ceilings
                step[group] = count
                steps.append(step)
            }
        }
        return steps
    }
}
