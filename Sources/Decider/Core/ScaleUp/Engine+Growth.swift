import Messages
import Support

extension Engine {
    /// Candidates for growth: every group with what binds it.
    func growthCandidates(_ standings: [GroupStanding]) -> [GrowthCandidate] {
        groups.indices.map { number in
            let group = groups[number]
            var candidate = GrowthCandidate(
                id: group.rules.id, target: group.target, maximum: group.maximum, template: templates[number],
                refusal: standings[number].refusal)
            candidate.zeroOrMax = group.rules.zeroOrMax
            candidate.priority = group.rules.priority
            candidate.price = price(of: number)
            candidate.origin = group.rules.origin
            return candidate
        }
    }

    /// Price of a node: the group's own, else that of its flavor.
    func price(of number: Int) -> Double? {
        groups[number].rules.price ?? groups[number].state?.flavor.flatMap { configuration.flavorPrices[$0.name] }
    }

    /// Quotas of the rules and of the cloud, with what is used of them.
    mutating func allowance() -> Allowance {
        var allowance = Allowance()
        for quota in configuration.limits.quotas {
            let covered = quota.groups.map { ids in Set(groups.indices.filter { ids.contains(groups[$0].rules.id) }) }
            for (name, limit) in quota.limits.sorted(by: { $0.key < $1.key }) {
                let dimension: Int? = name == "nodes" ? nil : model.catalog.resource(name)
                let reason: Reason =
                    switch name {
                    case "nodes": .totalNodesReached
                    case "cpu": .totalCoresReached
                    case "memory": .totalMemoryReached
                    default: .totalResourceReached
                    }
                allowance.items.append(
                    Allowance.Item(
                        name: "\(quota.id) \(name)", groups: covered, dimension: dimension,
                        used: used(dimension, covered), limit: limit, reason: reason, origin: quota.origin))
            }
        }
        appendCloudQuotas(&allowance)
        return allowance
    }

    /// Managed groups count with their target, other nodes with what they have.
    private func used(_ dimension: Int?, _ covered: Set<Int>?) -> Int64 {
        var sum: Int64 = 0
        for number in groups.indices where covered?.contains(number) ?? true {
            guard let template = templates[number] else { continue }
            sum += Allowance.weight(dimension, template) * Int64(groups[number].target)
        }
        guard covered == nil else { return sum }
        for slot in model.order where groupOfSlot[Int(slot)] < 0 {
            guard let dimension else {
                sum += 1
                continue
            }
            guard let capacity = model.nodes[Int(slot)]?.node.capacity else { continue }
            switch dimension {
            case Catalog.cpu: sum += (capacity.cpuMillis + 999) / 1_000
            case Catalog.memory: sum += capacity.memoryBytes
            case Catalog.storage: sum += capacity.ephemeralStorageBytes
            default: sum += capacity.extended[model.catalog.resources[dimension]] ?? 0
            }
        }
        return sum
    }

    /// What the project may still use in the cloud. Several groups of one project see the same quotas: the tightest counts.
    private func appendCloudQuotas(_ allowance: inout Allowance) {
        var tightest: [String: GroupState.Quota] = [:]
        var perGroup: [(Int, GroupState.Quota)] = []
        for (number, group) in groups.enumerated() {
            for quota in group.state?.quotas ?? [] where quota.limit >= 0 {
                if quota.kind == .serverGroupMembers {
                    perGroup.append((number, quota))
                } else if let known = tightest[quota.name], known.limit - known.used <= quota.limit - quota.used {
                    continue
                } else {
                    tightest[quota.name] = quota
                }
            }
        }
        for quota in tightest.values.sorted(by: { $0.name < $1.name }) {
            var (used, limit, dimension): (Int64, Int64, Int?) = (quota.used, quota.limit, nil)
            switch quota.kind {
            case .instances: break
            case .cores: dimension = Catalog.cpu
            case .ramMiB:
                dimension = Catalog.memory
                used *= 1_048_576
                limit *= 1_048_576
            case .serverGroupMembers, nil: continue
            }
            let weights = flavorWeights(quota.kind)
            for (number, template) in templates.enumerated() {
                guard let template else { continue }
                used += (weights[number] ?? Allowance.weight(dimension, template)) * Int64(serversToCome(number))
            }
            allowance.items.append(
                Allowance.Item(
                    name: "OpenStack quota \(quota.name)", groups: nil, dimension: dimension, used: used, limit: limit,
                    reason: .quotaReached, origin: "OpenStack limits of the project", weights: weights))
        }
        for (number, quota) in perGroup {
            allowance.items.append(
                Allowance.Item(
                    name: "OpenStack quota \(quota.name)", groups: [number], dimension: nil,
                    used: quota.used + Int64(serversToCome(number)), limit: quota.limit, reason: .quotaReached,
                    origin: "OpenStack server group"))
        }
    }

    /// What a server of each group counts in a quota, by its flavor: Nova counts what the flavor has, and a kubelet sees less of it.
    private func flavorWeights(_ kind: GroupState.Quota.Kind?) -> [Int: Int64] {
        var weights: [Int: Int64] = [:]
        for (number, group) in groups.enumerated() {
            guard let flavor = group.state?.flavor else { continue }
            switch kind {
            case .cores: weights[number] = flavor.vcpus
            case .ramMiB: weights[number] = flavor.ramMiB * 1_048_576
            case .instances, .serverGroupMembers, nil: break
            }
        }
        return weights
    }

    /// Servers that were asked for and that the cloud does not count yet.
    private func serversToCome(_ number: Int) -> Int {
        let group = groups[number]
        let counted = (group.state?.members ?? []).filter { $0.serverID != nil && !$0.isLeaving }.count
        return max(0, group.target - counted)
    }

    /// How many nodes may be added now, and the rule that says so.
    func nodeLimit(at now: Timestamp) -> NodeLimit {
        let (total, batch) = (totalLimit, batchLimit(at: now))
        return total.rest < batch.rest ? total : batch
    }

    /// How many nodes may be added at all.
    private var totalLimit: NodeLimit {
        guard configuration.limits.maximumNodes > 0 else { return NodeLimit() }
        return NodeLimit(
            name: "nodes", used: totalNodes, limit: configuration.limits.maximumNodes, reason: .totalNodesReached,
            origin: "decider.limits.nodes")
    }

    /// How many nodes may be added for the moment: those that are left out come later.
    private func batchLimit(at now: Timestamp) -> NodeLimit {
        var tightest = NodeLimit()
        func consider(_ limit: NodeLimit) {
            if limit.rest < tightest.rest { tightest = limit }
        }
        let rules = configuration.scaleUp
        if rules.maximumNodesPerDecision > 0 {
            consider(
                NodeLimit(
                    name: "new nodes at once", limit: rules.maximumNodesPerDecision,
                    origin: "decider.max_nodes_per_decision"))
        }
        if rules.maximumNodesPerMinute > 0 {
            let recent = memory.recentGrowth.filter { $0.at + .seconds(60) > now }.reduce(0) { $0 + $1.count }
            consider(
                NodeLimit(
                    name: "new nodes in a minute", used: recent, limit: rules.maximumNodesPerMinute,
                    origin: "decider.max_nodes_per_minute"))
        }
        return tightest
    }

    /// The most new nodes that ever come at once, whatever came before.
    private var largestBatch: Int {
        let rules = configuration.scaleUp
        return [rules.maximumNodesPerDecision, rules.maximumNodesPerMinute].filter { $0 > 0 }.min() ?? Int.max
    }

    /// Nodes that are there or wanted, outside the groups too.
    private var totalNodes: Int {
        if configuration.peer.countsReadyNodes { return census.ready + coming }
        return groups.reduce(0) { $0 + $1.target } + model.order.filter { groupOfSlot[Int($0)] < 0 }.count
    }

    /// Nodes for the demands that fit nowhere.
    mutating func plan(_ pass: inout ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp) {
        guard pass.demands.contains(where: { $0.open > 0 }), !pass.allWait else { return }
        let limit = nodeLimit(at: now)
        var planner = ScaleUpPlanner(
            candidates: growthCandidates(standings), rules: configuration.scaleUp, allowance: allowance(),
            nodeLimit: limit, seed: seed)
        planner.peer = configuration.peer
        if !configuration.peer.estimatesBeyondLimits && limit.rest > 0 {
            // What is to come is chosen as if all of it could come at once.
            planner.nodeLimit = totalLimit
            planner.batch = batchLimit(at: now)
            planner.largestBatch = largestBatch
        }
        if configuration.scaleUp.softTieBreaks && groups.count > 1 {
            planner.neighbours = Neighbours(model, for: pass.demands.filter { $0.open > 0 }.map(\.podClass))
        }
        if configuration.scaleUp.balancesSimilarGroups { planner.similarGroups = similarGroups() }
        let plan = planner.runBest(&pass.demands, &pass.world, &model.catalog)
        for (number, count) in plan.added {
            let pods = plan.placed.reduce(0) { $0 + ($1[number] ?? 0) }
            var coming = 0
            var spare = 0
            for (placed, demand) in zip(plan.placed, pass.demands) {
                if demand.isComing { coming += placed[number] ?? 0 }
                if demand.isHeadroom { spare += placed[number] ?? 0 }
            }
            pass.growth[number] = (
                count, Self.reason(waiting: pods - coming - spare, coming: coming, spare: spare), pods - spare,
                sample(plan, number, pass.demands)
            )
        }
        for (number, bounds) in plan.bounds { pass.bounds[number, default: []] += bounds }
        if limit.rest == 0 {
            for number in groups.indices { pass.bounds[number, default: []].append(limit.bound) }
        }
        pass.plan = plan
    }

    /// What is most pressing gives the reason its name; the words tell all of it.
    private static func reason(waiting: Int, coming: Int, spare: Int) -> Explanation {
        var parts: [String] = []
        if waiting > 0 { parts.append("\(waiting) pods") }
        if coming > 0 { parts.append("\(coming) replicas that are about to exist") }
        if spare > 0 { parts.append("\(spare) shares of the spare capacity") }
        let words = parts.count > 2 ? "\(parts[0]), \(parts[1]) and \(parts[2])" : parts.joined(separator: " and ")
        return Explanation(
            waiting > 0 ? .podsPending : coming > 0 ? .replicasComing : .headroom,
            "\(words) fit no node that is there or coming")
    }

    /// A number from what the evaluation saw, for ties.
    private var seed: UInt64 {
        var hash: UInt64 = 14_695_981_039_346_656_037
        for byte in "\(configuration.cluster) \(memory.number)".utf8 {
            hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211
        }
        return hash
    }

    func similarGroups() -> [Int: [Int]] {
        let samples = templates.map { template in template.map { Similarity.sample(of: $0, model.catalog) } }
        var result: [Int: [Int]] = [:]
        for (left, one) in samples.enumerated() {
            for (right, other) in samples.enumerated() where left != right {
                guard let one, let other, Similarity.alike(one, other, configuration.scaleUp.similarity) else {
                    continue
                }
                result[left, default: []].append(right)
            }
        }
        return result
    }

    /// A few pods that the nodes are for.
    private func sample(_ plan: ScaleUpPlan, _ group: Int, _ demands: [Demand]) -> [String] {
        var names: [String] = []
        for (index, placed) in plan.placed.enumerated() where placed[group] ?? 0 > 0 {
            guard names.count < 10, demands[index].pods.first ?? -1 >= 0 else { continue }
            var demand = demands[index]
            if demand.pods.count <= 1_000 { sortPods(&demand) }
            for pod in demand.pods.prefix(min(5, 10 - names.count)) { names.append(podName(pod)) }
        }
        return names
    }

    /// Fills groups below their minimum.
    mutating func enforceMinimums(_ pass: inout ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp) {
        guard configuration.scaleUp.enforcesMinimum else { return }
        var allowance = allowance()
        var limit = nodeLimit(at: now)
        for (number, growth) in pass.growth {
            if let template = templates[number] { allowance.take(growth.count, group: number, template) }
            limit.take(growth.count)
        }
        for number in groups.indices where standings[number].refusal == nil {
            let target = groups[number].target + (pass.growth[number]?.count ?? 0)
            var missing = min(groups[number].minimum, groups[number].maximum) - target
            guard missing > 0 else { continue }
            // Empty or whole, nothing between.
            let isWhole = groups[number].rules.zeroOrMax
            if isWhole { missing = groups[number].maximum - target }
            let whole = missing
            if limit.rest < missing {
                missing = limit.rest
                pass.bounds[number, default: []].append(limit.bound)
            }
            if let template = templates[number] {
                let (allowed, bound) = allowance.allowed(missing, group: number, template)
                if let bound { pass.bounds[number, default: []].append(bound) }
                missing = isWhole && allowed < whole ? 0 : allowed
                allowance.take(missing, group: number, template)
            }
            guard missing > 0, !isWhole || missing == whole else { continue }
            limit.take(missing)
            let reason = Explanation(
                .belowMinimum, "size \(target), at least \(groups[number].minimum) (\(groups[number].rules.origin).min)"
            )
            if let known = pass.growth[number] {
                pass.growth[number] = (known.count + missing, known.reason, known.pods, known.sample)
            } else {
                pass.growth[number] = (missing, reason, 0, [])
            }
        }
    }
}
