import Messages
import Support

/// Which of the nodes that may go do go now: minimum sizes, what must remain, and budgets.
struct RemovalSelection {
    struct Candidate {
        var slot: Int
        var group: Int
        var zone: String
        var isEmpty: Bool
        /// What it takes away from what must remain.
        var cores: Int64 = 0
        var memory: Int64 = 0
    }

    let rules: ScaleDownRules
    let now: Timestamp
    /// Nodes under removal.
    var running = 0
    /// Of them those with pods to move.
    var draining = 0
    private var runningByGroup: [Int: Int] = [:]
    private var runningByZone: [String: Int] = [:]

    init(rules: ScaleDownRules, now: Timestamp) {
        self.rules = rules
        self.now = now
    }

    /// Counts the removals that are under way.
    mutating func budgetsInUse(_ engine: Engine) {
        for (number, group) in engine.groups.enumerated() {
            guard let removal = group.memory.removal else { continue }
            for target in removal.targets {
                running += 1
                if target.drains { draining += 1 }
                runningByGroup[number, default: 0] += 1
                if let slot = engine.model.nodeSlots[target.node], let node = engine.model.nodes[slot]?.node {
                    runningByZone[node.labels[rules.zoneLabel] ?? "", default: 0] += 1
                }
            }
        }
    }

    func candidate(_ slot: Int, _ group: Int, _ engine: Engine) -> Candidate {
        let node = engine.model.nodes[slot]?.node
        var isEmpty = true
        if case .removable(let pods) = engine.simulation.verdicts[slot] { isEmpty = pods.isEmpty }
        return Candidate(
            slot: slot, group: group, zone: node?.labels[rules.zoneLabel] ?? "", isEmpty: isEmpty,
            cores: ((node?.capacity.cpuMillis ?? 0) + 999) / 1_000, memory: node?.capacity.memoryBytes ?? 0)
    }

    /// Chosen slots by group; the reason of every other is set down.
    mutating func choose(
        _ ripe: [Candidate], _ engine: Engine, _ waiting: inout [Int: Explanation]
    ) -> [Int: [Int]] {
        guard !ripe.isEmpty else { return [:] }
        var chosen: [Int: [Int]] = [:]
        var left = engine.remaining()
        var zones = engine.zoneSizes()
        let atomic = ripe.filter { engine.groups[$0.group].rules.zeroOrMax }
        chooseAtomic(atomic, engine, &chosen, &waiting, &left)
        // Empty ones first: they disturb nobody.
        let others = ripe.filter { !engine.groups[$0.group].rules.zeroOrMax }
        var queue = others.filter(\.isEmpty) + others.filter { !$0.isEmpty }
        while !queue.isEmpty {
            let index = rules.balancesZones && running < rules.maximumParallel ? fullestZone(queue, zones) : 0
            let candidate = queue.remove(at: index)
            if let reason = obstacle(candidate, engine, chosen, left) {
                waiting[candidate.slot] = reason
                continue
            }
            take(candidate, &left)
            zones[candidate.group, default: [:]][candidate.zone, default: 0] -= 1
            chosen[candidate.group, default: []].append(candidate.slot)
        }
        return chosen
    }

    /// Among the candidates that are as cheap as the first (empty or not, same group), one of the fullest zone.
    private func fullestZone(_ queue: [Candidate], _ zones: [Int: [String: Int]]) -> Int {
        var best = 0
        var size = zones[queue[0].group]?[queue[0].zone] ?? 0
        for (index, candidate) in queue.enumerated()
        where candidate.group == queue[0].group && candidate.isEmpty == queue[0].isEmpty {
            let other = zones[candidate.group]?[candidate.zone] ?? 0
            if other > size { (best, size) = (index, other) }
        }
        return best
    }

    /// Groups that go whole or not at all come first. One of them may go beyond the budgets, or it would starve behind
    /// nodes that go one by one (the peer's rule).
    private mutating func chooseAtomic(
        _ candidates: [Candidate], _ engine: Engine, _ chosen: inout [Int: [Int]],
        _ waiting: inout [Int: Explanation], _ left: inout [String: Int64]
    ) {
        var mayOverflow = true
        for (group, members) in Dictionary(grouping: candidates, by: \.group).sorted(by: { $0.key < $1.key }) {
            let drains = members.filter { !$0.isEmpty }.count
            let room = rules.maximumParallel - running
            let drainRoom = min(room, rules.maximumParallelDrain - draining)
            var reason: Explanation?
            if members.count < engine.groups[group].target {
                reason = Explanation(
                    .atomicScaleDownFailed,
                    "\(members.count) of \(engine.groups[group].target) nodes may go, all or none do")
            } else if room < members.count || drainRoom < drains {
                if room <= 0 || (drains > 0 && drainRoom <= 0) || !mayOverflow {
                    reason = Explanation(.deletionBudgetReached, "\(members.count) nodes at once are more than allowed")
                }
            }
            if reason == nil { mayOverflow = false }
            for member in members {
                if let reason {
                    waiting[member.slot] = reason
                } else {
                    take(member, &left)
                    chosen[group, default: []].append(member.slot)
                }
            }
        }
    }

    private mutating func take(_ candidate: Candidate, _ left: inout [String: Int64]) {
        running += 1
        if !candidate.isEmpty { draining += 1 }
        runningByGroup[candidate.group, default: 0] += 1
        runningByZone[candidate.zone, default: 0] += 1
        left["nodes", default: 0] -= 1
        left["cpu", default: 0] -= candidate.cores
        left["memory", default: 0] -= candidate.memory
    }

    private func obstacle(
        _ candidate: Candidate, _ engine: Engine, _ chosen: [Int: [Int]], _ left: [String: Int64]
    ) -> Explanation? {
        let group = engine.groups[candidate.group]
        let going = (chosen[candidate.group]?.count ?? 0) + (group.memory.removal?.targets.count ?? 0)
        let minimum = max(group.minimum, rules.smallestGroup)
        if group.target - going <= minimum {
            return Explanation(
                .minimumReached, "size \(group.target - going), at least \(minimum) (\(group.rules.origin).min)")
        }
        for (name, minimum) in engine.configuration.limits.minimum.sorted(by: { $0.key < $1.key }) {
            let takes: Int64 =
                switch name {
                case "nodes": 1
                case "cpu": candidate.cores
                case "memory": candidate.memory
                default: 0
                }
            if takes > 0 && (left[name] ?? 0) - takes < minimum {
                return Explanation(
                    .minimalResourceLimitExceeded, "\(name) \(left[name] ?? 0), at least \(minimum) (decider.limits)")
            }
        }
        if running >= rules.maximumParallel {
            return Explanation(
                .deletionBudgetReached,
                "\(running) under removal, at most \(rules.maximumParallel) "
                    + "(decider.scale_down.max_parallel)")
        }
        if !candidate.isEmpty && draining >= rules.maximumParallelDrain {
            return Explanation(
                .deletionBudgetReached,
                "\(draining) being drained, at most \(rules.maximumParallelDrain) "
                    + "(decider.scale_down.max_parallel_drain)")
        }
        return budgetObstacle(candidate, engine)
    }

    private func budgetObstacle(_ candidate: Candidate, _ engine: Engine) -> Explanation? {
        for budget in rules.budgets {
            if let schedule = budget.schedule, !schedule.holds(at: now) { continue }
            if let group = budget.group, group != engine.groups[candidate.group].rules.id { continue }
            if let zone = budget.zone, zone != candidate.zone { continue }
            let inUse =
                budget.zone != nil
                ? runningByZone[candidate.zone] ?? 0
                : budget.group != nil ? runningByGroup[candidate.group] ?? 0 : running
            var most = budget.nodes ?? Int.max
            if let percent = budget.percent {
                let of = budget.group != nil ? engine.groups[candidate.group].target : engine.model.order.count
                most = min(most, percent <= 0 ? 0 : max(1, Int(Double(of) * percent / 100)))
            }
            if inUse >= most {
                return Explanation(.deletionBudgetReached, "\(inUse) under removal, at most \(most) (\(budget.origin))")
            }
        }
        return nil
    }
}

extension Engine {
    /// What the cluster has, counted like limits.
    func remaining() -> [String: Int64] {
        var sums: [String: Int64] = ["nodes": 0, "cpu": 0, "memory": 0]
        guard !configuration.limits.minimum.isEmpty else { return sums }
        for slot in model.order {
            guard let node = model.nodes[Int(slot)]?.node, !model.briefs[Int(slot)].isLeaving else { continue }
            sums["nodes", default: 0] += 1
            sums["cpu", default: 0] += (node.capacity.cpuMillis + 999) / 1_000
            sums["memory", default: 0] += node.capacity.memoryBytes
        }
        return sums
    }

    /// Nodes by group and zone, those under removal left out.
    func zoneSizes() -> [Int: [String: Int]] {
        guard configuration.scaleDown.balancesZones else { return [:] }
        var sizes: [Int: [String: Int]] = [:]
        let label = configuration.scaleDown.zoneLabel
        for slot in model.order where groupOfSlot[Int(slot)] >= 0 && !model.briefs[Int(slot)].isLeaving {
            let number = Int(model.world.nodeClass[Int(slot)])
            let zone = model.catalog.nodeClasses[number].labels[label] ?? ""
            sizes[Int(groupOfSlot[Int(slot)]), default: [:]][zone, default: 0] += 1
        }
        return sizes
    }
}
