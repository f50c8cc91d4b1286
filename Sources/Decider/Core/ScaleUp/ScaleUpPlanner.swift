import Messages
import Support

/// What the planner was given and what it concluded.
struct ScaleUpPlan: Sendable {
    /// New nodes by index of the group.
    var added: [Int: Int] = [:]
    /// Pods placed on new nodes: per demand, per group.
    var placed: [[Int: Int]] = []
    /// Pods of the options that were chosen, per demand (the peer's notion: also those that a limit then cut off).
    var triggered: [Int] = []
    /// Options offered in the first round.
    var options: [ScaleUpOption] = []
    /// Per demand and group the first constraint that failed; absent: it would fit a fresh node.
    var obstacles: [[Int: Explanation]] = []
    /// Per group that was chosen: why not each other group that could have been.
    var losses: [Int: [Int: String]] = [:]
    /// What bound each group.
    var bounds: [Int: [Explanation]] = [:]
    /// What was placed on new nodes, in order.
    var placements: [Placement] = []
    /// The group that was chosen first.
    var best: Int?
    /// The most new nodes of each group that it would have made use of; `Int.max` where its room cut an option.
    var reach: [Int: Int] = [:]
    /// Why nothing at all was added, when that is so.
    var refusal: Explanation?
    /// More than it holds was chosen: the rest comes later.
    var isCapped = false
}

/// Decides how many nodes of which groups serve the demands that fit nowhere.
struct ScaleUpPlanner {
    var candidates: [GrowthCandidate]
    var rules: ScaleUpRules
    var allowance: Allowance
    /// Most new nodes in all.
    var nodeLimit: NodeLimit
    /// Most of them that come now. It has no say in which: the others come later, and a dearer group is not to be taken for that.
    var batch = NodeLimit()
    /// Most that ever come at once.
    var largestBatch = Int.max
    var seed: UInt64
    /// Rules of the peer that are asked for.
    var peer = PeerRules()

    /// The world afterwards holds the new nodes with the pods on them; the demands' `open` are what remains.
    mutating func run(
        _ demands: inout [Demand], _ world: inout World, _ catalog: inout Catalog
    ) -> ScaleUpPlan {
        var plan = ScaleUpPlan(
            placed: Array(repeating: [:], count: demands.count), triggered: Array(repeating: 0, count: demands.count),
            obstacles: Array(repeating: [:], count: demands.count))
        guard demands.contains(where: { $0.open > 0 }) else { return plan }
        var usable = usableGroups(&plan)
        inspect(demands, usable, world, &catalog, &plan)
        var isFirst = true
        while !usable.isEmpty && (nodeLimit.rest > 0 || isFirst && peer.estimatesBeyondLimits) && batch.rest > 0
            && demands.contains(where: { $0.open > 0 })
        {
            var options = estimate(demands, usable, nodeLimit.rest, &plan, world, &catalog)
            if takesOneForAll {
                let all = demands.reduce(0) { $0 + ($1.isHeadroom ? 0 : $1.open) }
                let hadAny = !options.isEmpty
                options.removeAll { option in
                    option.placed.reduce(0) { $0 + (demands[$1.key].isHeadroom ? 0 : $1.value) } < all
                }
                if hadAny && options.isEmpty { plan.refusal = Self.notAll }
            }
            if isFirst { plan.options = options }
            let led = isFirst ? options.first { $0.group == leading } : nil
            guard let best = led ?? choose(&options, demands, catalog) else { break }
            isFirst = false
            if plan.best == nil { plan.best = best.group }
            if nodeLimit.rest == 0 {
                plan.refusal = nodeLimit.bound
                break
            }
            if plan.losses[best.group] == nil {
                plan.losses[best.group] =
                    led == nil ? chain.losses(options, to: best) : losses(options, toLeading: best)
            }
            let shares = share(best, usable, nodeLimit.rest, demands, &plan)
            if takesOneForAll && shares.reduce(0, { $0 + $1.1 }) < wanted(best) {
                // A limit that the estimate does not look at: what is left of it would serve some of the pods only.
                plan.refusal = Self.notAll
                break
            }
            for (index, count) in best.placed { plan.triggered[index] += count }
            let added = commit(shares, best, &demands, &plan, &world, &catalog)
            nodeLimit.take(added)
            batch.take(added)
            // What was chosen first comes first, also that which did not fit into what may come now.
            if !rules.severalGroups || plan.isCapped { break }
            if added == 0 { usable.removeAll { $0 == best.group } }
            usable.removeAll { candidates[$0].room == 0 }
        }
        noteExhausted(usable, demands, &plan)
        return plan
    }

    /// Tells the groups that could take what is left which limit on new nodes ended the plan: one that got none was never cut off by
    /// it, and its pods would be told what keeps them off the groups that grew.
    private func noteExhausted(_ usable: [Int], _ demands: [Demand], _ plan: inout ScaleUpPlan) {
        let limit: NodeLimit
        if nodeLimit.rest == 0 {
            limit = nodeLimit
        } else if plan.isCapped || batch.rest == 0 {
            limit = batch
        } else {
            return
        }
        for group in usable {
            let isKnown = plan.bounds[group]?.contains { $0.reason == limit.reason } ?? false
            let obstacles = plan.obstacles
            guard !isKnown, demands.indices.contains(where: { demands[$0].open > 0 && obstacles[$0][group] == nil })
            else { continue }
            plan.bounds[group, default: []].append(limit.bound)
        }
    }

    /// Whether one group has to take all pods, since no other may grow beside it.
    private var takesOneForAll: Bool { rules.allOrNothing && !rules.severalGroups }

    static let notAll = Explanation(.batchLimitReached, "all-or-nothing: not every pod can be helped")

    private func usableGroups(_ plan: inout ScaleUpPlan) -> [Int] {
        var usable: [Int] = []
        for (index, candidate) in candidates.enumerated() {
            if let refusal = candidate.refusal {
                plan.bounds[index, default: []].append(refusal)
            } else if candidate.room == 0 {
                plan.bounds[index, default: []].append(maximumReached(candidate))
            } else if let template = candidate.template {
                // One that grows whole needs leave for all of its nodes, or it would stand in the way of others in vain.
                let least = candidate.zeroOrMax ? candidate.room : 1
                let (count, bound) = allowance.allowed(least, group: index, template)
                if let bound, count < least {
                    plan.bounds[index, default: []].append(bound)
                } else if candidate.zeroOrMax && least > nodeLimit.rest
                    && (nodeLimit.rest > 0 || peer.estimatesBeyondLimits)
                {
                    plan.bounds[index, default: []].append(nodeLimit.bound)
                } else if candidate.zeroOrMax && least > largestBatch {
                    // So many never come at once: nothing is waited for.
                    plan.bounds[index, default: []].append(batch.bound)
                } else {
                    usable.append(index)
                }
            } else {
                plan.bounds[index, default: []].append(
                    Explanation(.noTemplate, "no node runs and neither flavor nor template is known"))
            }
        }
        return usable
    }

    private func maximumReached(_ candidate: GrowthCandidate) -> Explanation {
        if candidate.highest < candidate.maximum {
            return Explanation(
                .heldBack, "at \(candidate.highest) nodes: more of them would leave more pods without a place")
        }
        return Explanation(
            .maximumReached, "size \(candidate.target) of at most \(candidate.maximum) (\(candidate.origin).max)")
    }

    /// Which demands a fresh node of each group could take at all, and what keeps the others off.
    private func inspect(
        _ demands: [Demand], _ usable: [Int], _ world: World, _ catalog: inout Catalog, _ plan: inout ScaleUpPlan
    ) {
        for (group, candidate) in candidates.enumerated() {
            guard let template = candidate.template else { continue }
            var scratch = world
            let node = scratch.addTemplate(template, number: 0, group: group, &catalog)
            let isUsable = usable.contains(group)
            for index in demands.indices where demands[index].open > 0 {
                let podClass = catalog.classes[demands[index].podClass]
                if let obstacle = scratch.obstacle(podClass, node, catalog) {
                    plan.obstacles[index][group] = obstacle
                } else if !isUsable, let bound = plan.bounds[group]?.first {
                    plan.obstacles[index][group] = bound
                }
            }
        }
        for (group, candidate) in candidates.enumerated() where candidate.template == nil {
            for index in demands.indices { plan.obstacles[index][group] = plan.bounds[group]?.first }
        }
    }

    private func estimate(
        _ demands: [Demand], _ usable: [Int], _ rest: Int, _ plan: inout ScaleUpPlan, _ world: World,
        _ catalog: inout Catalog
    ) -> [ScaleUpOption] {
        var options: [ScaleUpOption] = []
        for group in usable {
            guard let template = candidates[group].template else { continue }
            var limit = candidates[group].room
            if rules.balancesSimilarGroups {
                for other in similar(to: group, among: usable) { limit += candidates[other].room }
            }
            limit = min(limit, rest)
            if peer.estimatesBeyondLimits {
                limit = rules.maximumNodesPerDecision > 0 ? rules.maximumNodesPerDecision : Int.max
            }
            var used = 0
            let fewest = fewest(demands, template, group, limit, world, &catalog, &used)
            // What one of several alike may get depends on all of them.
            let isKnown = used < Int.max && !rules.balancesSimilarGroups
            let reached = isKnown ? used + (plan.added[group] ?? 0) : Int.max
            plan.reach[group] = max(plan.reach[group] ?? 0, reached)
            guard var option = fewest else { continue }
            if rules.softTieBreaks { option.preference = preference(option, demands, template, catalog) }
            if candidates[group].zeroOrMax {
                if peer.offersWholeMaximum && rules.allOrNothing && option.nodes > candidates[group].maximum {
                    continue
                }
                option.nodes = peer.offersWholeMaximum ? candidates[group].maximum : candidates[group].room
            }
            options.append(option)
        }
        return options
    }

    /// The estimate of the strategy that serves the most pods with the fewest nodes. `used` becomes the most nodes that any made
    /// use of, `Int.max` if the limit cut one off.
    private func fewest(
        _ demands: [Demand], _ template: NodeTemplate, _ group: Int, _ limit: Int, _ world: World,
        _ catalog: inout Catalog, _ used: inout Int
    ) -> ScaleUpOption? {
        let hasRules = demands.contains { $0.open > 0 && !catalog.classes[$0.podClass].isPlain }
        var best: ScaleUpOption?
        // The peer knows one strategy.
        for strategy in hasRules && !rules.keepsPodOrder ? PackingStrategy.allCases : [.firstFit] {
            var estimator = Estimator(template: template, group: group, limit: limit)
            estimator.strategy = strategy
            var scratch = world
            let option = estimator.run(demands, keepsOrder: rules.keepsPodOrder, &scratch, &catalog)
            used = option.isCut ? Int.max : max(used, option.nodes)
            guard option.podCount > 0 else { continue }
            if let known = best, (known.podCount, -known.nodes) >= (option.podCount, -option.nodes) { continue }
            best = option
        }
        return best
    }

    private var chain: ExpanderChain {
        ExpanderChain(expanders: rules.expanders, candidates: candidates, seed: seed)
    }

    /// A group that is taken first, whatever the expanders say: so fewer pods are left without a place.
    var leading: Int?

    private func losses(_ options: [ScaleUpOption], toLeading best: ScaleUpOption) -> [Int: String] {
        var losses: [Int: String] = [:]
        for option in options where option.group != best.group {
            losses[option.group] =
                "\(candidates[best.group].id) was chosen, so that fewer pods are left without a place"
        }
        return losses
    }

    private func choose(
        _ options: inout [ScaleUpOption], _ demands: [Demand], _ catalog: Catalog
    ) -> ScaleUpOption? {
        let tied = Set(chain.best(options).map(\.group))
        if tied.count > 1, let neighbours {
            for index in options.indices where tied.contains(options[index].group) {
                guard let template = candidates[options[index].group].template else { continue }
                let labels = catalog.nodeClasses[template.nodeClass].labels
                for (demand, count) in options[index].placed {
                    options[index].preference +=
                        neighbours.leaning(of: demands[demand].podClass, to: labels) * Int64(count)
                }
            }
        }
        // Ties: what the pods would prefer, then the group that is named first by its id.
        return options.filter { tied.contains($0.group) }.min { left, right in
            left.preference != right.preference
                ? left.preference > right.preference : candidates[left.group].id < candidates[right.group].id
        }
    }

    /// Weights of preferred node affinity that the template meets, less untolerated `PreferNoSchedule` taints.
    private func preference(
        _ option: ScaleUpOption, _ demands: [Demand], _ template: NodeTemplate, _ catalog: Catalog
    ) -> Int64 {
        var sum: Int64 = 0
        let labels = catalog.nodeClasses[template.nodeClass].labels
        for (index, count) in option.placed {
            let shape = catalog.classes[demands[index].podClass].shape
            sum += shape.liking(labels: labels, name: "", softTaints: template.softTaints) * Int64(count)
        }
        return sum
    }

    /// Groups that may take part of this group's nodes.
    private func similar(to group: Int, among usable: [Int]) -> [Int] {
        similarGroups[group]?.filter { $0 != group && usable.contains($0) } ?? []
    }

    /// Pods that run, when some that wait have soft rules about them.
    var neighbours: Neighbours?

    /// Groups alike by index, given by the caller when balancing is on.
    var similarGroups: [Int: [Int]] = [:]

    /// How the nodes of the chosen option are shared out, within every limit.
    private mutating func share(
        _ best: ScaleUpOption, _ usable: [Int], _ rest: Int, _ demands: [Demand], _ plan: inout ScaleUpPlan
    ) -> [(Int, Int)] {
        guard let template = candidates[best.group].template else { return [] }
        let whole = self.wanted(best)
        var wanted = min(whole, rest)
        if best.isCut || wanted < whole {
            if candidates[best.group].room <= wanted {
                plan.bounds[best.group, default: []].append(maximumReached(candidates[best.group]))
            } else {
                plan.bounds[best.group, default: []].append(nodeLimit.bound)
            }
        }
        let (count, bound) = allowance.allowed(wanted, group: best.group, template)
        if let bound { plan.bounds[best.group, default: []].append(bound) }
        wanted = count
        if wanted > batch.rest {
            plan.bounds[best.group, default: []].append(batch.bound)
            plan.isCapped = true
            wanted = batch.rest
        }
        if candidates[best.group].zeroOrMax { return wanted < whole ? [] : [(best.group, wanted)] }
        var groups = [best.group]
        if rules.balancesSimilarGroups {
            // Those that every pod of the option could use as well.
            groups += similar(to: best.group, among: usable).filter { other in
                best.placed.keys.allSatisfy { plan.obstacles[$0][other] == nil }
            }
        }
        groups.sort { candidates[$0].id < candidates[$1].id }
        let shares = Balancer.spread(
            wanted, over: groups.map { Balancer.Group(size: candidates[$0].target, maximum: candidates[$0].highest) })
        var result: [(Int, Int)] = []
        for (group, share) in zip(groups, shares) where share > 0 {
            guard let template = candidates[group].template else { continue }
            let (count, bound) = allowance.allowed(share, group: group, template)
            if let bound { plan.bounds[group, default: []].append(bound) }
            guard count > 0 else { continue }
            if groups.count > 1 && group != best.group {
                plan.bounds[group, default: []].append(
                    Explanation(.balanced, "\(count) of \(wanted) nodes, alike with \(candidates[best.group].id)"))
            }
            allowance.take(count, group: group, template)
            result.append((group, count))
        }
        return result
    }

    /// How many nodes an option asks for: of a group that grows whole those that are missing.
    private func wanted(_ option: ScaleUpOption) -> Int {
        candidates[option.group].zeroOrMax ? candidates[option.group].room : option.nodes
    }

    private mutating func commit(
        _ shares: [(Int, Int)], _ best: ScaleUpOption, _ demands: inout [Demand], _ plan: inout ScaleUpPlan,
        _ world: inout World, _ catalog: inout Catalog
    ) -> Int {
        var total = 0
        for (group, count) in shares {
            guard let template = candidates[group].template else { continue }
            var estimator = Estimator(template: template, group: group, limit: count)
            estimator.strategy = best.strategy
            let option = estimator.run(demands, keepsOrder: rules.keepsPodOrder, &world, &catalog)
            plan.placements += estimator.placements
            // A zero-or-max group grows whole; a share that turns out empty is not ordered.
            let nodes = candidates[group].zeroOrMax ? count : rules.severalGroups ? option.nodes : count
            for (index, placed) in option.placed {
                demands[index].open -= placed
                plan.placed[index][group, default: 0] += placed
            }
            guard nodes > 0 else { continue }
            plan.added[group, default: 0] += nodes
            candidates[group].target += nodes
            total += nodes
        }
        return total
    }
}
