import Messages
import Support

/// Which of the nodes that may go do go now: minimum sizes, what must remain, and budgets.
struct RemovalSelection {
    struct Candidate {
        var slot: Int
        var group: Int
        var zone: String
        var isEmpty: Bool
        /// It does not work.
        var isDead = false
        /// What moving its pods costs.
        var disruption = 0.0
        /// How much they would like to stay.
        var liking: Int64 = 0
        /// What it takes away from what must remain, by resource.
        var takes: [String: Int64] = [:]
    }

    let rules: ScaleDownRules
    let now: Timestamp
    /// Nodes under removal.
    var running = 0
    /// Of them those with pods to move.
    var draining = 0
    /// Nodes under removal by where they are.
    private var runningIn: [Place: Int] = [:]
    /// Of them those with pods to move.
    private var drainingIn: [Place: Int] = [:]
    /// Nodes of the groups by where they are.
    private var nodesIn: [Place: Int] = [:]
    /// What the pods of the candidates would like.
    private var preferences = Preferences()
    /// The budgets that hold now.
    private let budgets: [DisruptionBudget]

    /// A group's part of a zone.
    private struct Place: Hashable {
        var group: Int
        var zone: String
    }

    /// - Parameter later: budgets that hold then count as well; nil: those that hold now.
    init(rules: ScaleDownRules, now: Timestamp, later: Timestamp? = nil) {
        self.rules = rules
        self.now = now
        budgets = rules.budgets.filter { budget in
            guard let schedule = budget.schedule else { return true }
            return schedule.holds(at: now) || later.map { schedule.holds(at: $0) } ?? false
        }
    }

    /// Counts the removals that are under way. `slots`: the nodes that may go.
    mutating func budgetsInUse(_ engine: Engine, for slots: [Int]) {
        if rules.balancesZones { preferences = engine.preferences(of: slots) }
        for (number, group) in engine.groups.enumerated() {
            guard let removal = group.memory.removal else { continue }
            for target in removal.targets {
                running += 1
                let slot = engine.model.nodeSlots[target.node]
                let place = Place(group: number, zone: slot.map { engine.zone(of: $0) } ?? "")
                runningIn[place, default: 0] += 1
                if target.drains {
                    draining += 1
                    drainingIn[place, default: 0] += 1
                }
            }
        }
        guard !budgets.isEmpty else { return }
        for slot in engine.model.order where engine.groupOfSlot[Int(slot)] >= 0 {
            let place = Place(group: Int(engine.groupOfSlot[Int(slot)]), zone: engine.zone(of: Int(slot)))
            nodesIn[place, default: 0] += 1
        }
    }

    /// When the first of the budgets with a schedule stops holding.
    var budgetsEnd: Timestamp? {
        budgets.compactMap { $0.schedule?.end(at: now) }.min()
    }

    func candidate(_ slot: Int, _ group: Int, _ engine: Engine) -> Candidate {
        let node = engine.model.nodes[slot]?.node
        // Of one that is to be replaced no simulation has said what moves.
        var isEmpty = engine.model.briefs[slot].pods <= engine.model.briefs[slot].fixedPods
        if case .removable(let pods) = engine.simulation.verdicts[slot] { isEmpty = pods.isEmpty }
        let isWeighed = !isEmpty && rules.balancesZones
        return Candidate(
            slot: slot, group: group, zone: engine.zone(of: slot), isEmpty: isEmpty,
            isDead: !engine.model.briefs[slot].isReady,
            disruption: isWeighed ? engine.disruption(slot, at: now).steps : 0,
            liking: isWeighed ? engine.liking(slot, preferences) : 0,
            takes: node.map { engine.counted($0) } ?? [:])
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
        // What is said of nodes that would have gone but for their zone.
        var passedOver: [Int: String] = [:]
        while !queue.isEmpty {
            let index = rules.balancesZones && running < rules.maximumParallel ? fullestZone(queue, zones, engine) : 0
            let candidate = queue.remove(at: index)
            if var reason = obstacle(candidate, engine, chosen, left) {
                if let fuller = passedOver[candidate.slot] {
                    reason = Explanation(.zoneBalance, "\(fuller); then: \(reason.reason.rawValue) \(reason.detail)")
                }
                waiting[candidate.slot] = reason
                continue
            }
            let set = engine.zoneSet(of: candidate.group)
            let whose = engine.isAlone(set) ? "the group" : "groups alike"
            for other in queue[..<index]
            where engine.zoneSet(of: other.group) == set && passedOver[other.slot] == nil {
                passedOver[other.slot] =
                    "zone \(Self.size(of: other, zones[set], whose)); one of \(Self.size(of: candidate, zones[set], whose)) "
                    + "went first"
            }
            take(candidate, &left)
            zones[set, default: [:]][candidate.zone, default: 0] -= 1
            chosen[candidate.group, default: []].append(candidate.slot)
        }
        return chosen
    }

    private static func size(of candidate: Candidate, _ zones: [String: Int]?, _ whose: String) -> String {
        "\(candidate.zone.isEmpty ? "(none)" : candidate.zone) with \(zones?[candidate.zone] ?? 0) nodes of \(whose)"
    }

    /// Among the candidates that are as cheap as the first (and of its group or one like it), one of the fullest zone.
    private func fullestZone(_ queue: [Candidate], _ zones: [Int: [String: Int]], _ engine: Engine) -> Int {
        let first = queue[0]
        let set = engine.zoneSet(of: first.group)
        var best = 0
        var size = zones[set]?[first.zone] ?? 0
        for (index, candidate) in queue.enumerated()
        where candidate.isEmpty == first.isEmpty && candidate.isDead == first.isDead
            && candidate.disruption == first.disruption && candidate.liking == first.liking
            && engine.zoneSet(of: candidate.group) == set
        {
            let other = zones[set]?[candidate.zone] ?? 0
            if other > size { (best, size) = (index, other) }
        }
        return best
    }

    /// Groups that go whole or not at all come first, of them those with empty nodes. One of them may go beyond the budgets, or it
    /// would starve behind nodes that go one by one; and the first that does not fit ends its turn, or it would starve behind
    /// smaller ones (the peer's rules).
    private mutating func chooseAtomic(
        _ candidates: [Candidate], _ engine: Engine, _ chosen: inout [Int: [Int]],
        _ waiting: inout [Int: Explanation], _ left: inout [String: Int64]
    ) {
        var mayOverflow = true
        for hasEmpty in [true, false] {
            var isOver = false
            for members in Self.byGroup(candidates) where members.contains(where: \.isEmpty) == hasEmpty {
                let group = members[0].group
                var reason = atomicObstacle(members, engine, left)
                if reason == nil {
                    reason = parallelObstacle(members, mayOverflow: mayOverflow && !isOver, isOver: isOver)
                    if reason != nil { isOver = true }
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
    }

    /// Candidates by group, in the order in which they come.
    private static func byGroup(_ candidates: [Candidate]) -> [[Candidate]] {
        var numbers: [Int: Int] = [:]
        var groups: [[Candidate]] = []
        for candidate in candidates {
            if let number = numbers[candidate.group] {
                groups[number].append(candidate)
            } else {
                numbers[candidate.group] = groups.count
                groups.append([candidate])
            }
        }
        return groups
    }

    /// Why a group cannot go as a whole, whatever else goes.
    private func atomicObstacle(
        _ members: [Candidate], _ engine: Engine, _ left: [String: Int64]
    ) -> Explanation? {
        let group = engine.groups[members[0].group]
        if members.count < group.target {
            return Explanation(
                .atomicScaleDownFailed, "\(members.count) of \(group.target) nodes may go, all or none do")
        }
        let least = group.smallest(rules)
        if least > 0 { return group.minimumReached(least: least) }
        return shortage(members, engine, left) ?? atomicBudgetObstacle(members, engine)
    }

    /// Whether more would be under removal at once than is allowed.
    private func parallelObstacle(_ members: [Candidate], mayOverflow: Bool, isOver: Bool) -> Explanation? {
        let drains = members.filter { !$0.isEmpty }.count
        let room = rules.maximumParallel - running
        let drainRoom = min(room, rules.maximumParallelDrain - draining)
        let fits = room >= members.count && drainRoom >= drains
        let overflows = mayOverflow && room > 0 && (drains == 0 || drainRoom > 0)
        if !isOver && (fits || overflows) { return nil }
        return Explanation(.deletionBudgetReached, "\(members.count) nodes at once are more than allowed")
    }

    private mutating func take(_ candidate: Candidate, _ left: inout [String: Int64]) {
        let place = Place(group: candidate.group, zone: candidate.zone)
        running += 1
        runningIn[place, default: 0] += 1
        if !candidate.isEmpty {
            draining += 1
            drainingIn[place, default: 0] += 1
        }
        for (name, amount) in candidate.takes { left[name, default: 0] -= amount }
    }

    private func obstacle(
        _ candidate: Candidate, _ engine: Engine, _ chosen: [Int: [Int]], _ left: [String: Int64]
    ) -> Explanation? {
        let group = engine.groups[candidate.group]
        let going = (chosen[candidate.group]?.count ?? 0) + (group.memory.removal?.targets.count ?? 0)
        let minimum = group.smallest(rules)
        // Heat replaces a machine that is dead where the group cannot spare it: the size stays.
        let isReplaced =
            candidate.isDead && engine.configuration.health.replacesAtMinimum && group.target - going <= minimum
        if group.target - going <= minimum && !isReplaced {
            return group.minimumReached(least: minimum, going: going)
        }
        if !isReplaced, let short = shortage([candidate], engine, left) { return short }
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
                    + "(decider.scale_down.max_parallel_drains)")
        }
        return budgetObstacle(candidate, engine)
    }

    /// What the cluster would have too little of without the nodes.
    private func shortage(_ nodes: [Candidate], _ engine: Engine, _ left: [String: Int64]) -> Explanation? {
        for (name, minimum) in engine.configuration.limits.minimum.sorted(by: { $0.key < $1.key }) {
            let takes = nodes.reduce(0) { $0 + ($1.takes[name] ?? 0) }
            guard takes > 0, (left[name] ?? 0) - takes < minimum else { continue }
            func words(_ amount: Int64) -> String { name == "memory" ? World.mebibytes(amount) : "\(amount)" }
            return Explanation(
                .minimalResourceLimitExceeded,
                "\(name) \(words(left[name] ?? 0)), at least \(words(minimum)) (decider.limits)")
        }
        return nil
    }

    private func budgetObstacle(_ candidate: Candidate, _ engine: Engine) -> Explanation? {
        for budget in budgets {
            guard let (inUse, most) = use(of: budget, by: candidate, engine), inUse >= most else { continue }
            let what = budget.drains ? "being drained" : "under removal"
            return Explanation(.deletionBudgetReached, "\(inUse) \(what), at most \(most) (\(budget.origin))")
        }
        return nil
    }

    /// What a budget that covers the candidate has in use, and its limit.
    private func use(of budget: DisruptionBudget, by candidate: Candidate, _ engine: Engine) -> (Int, Int)? {
        if budget.drains && candidate.isEmpty { return nil }
        guard budget.group.covers(engine.groups[candidate.group].rules.id), budget.zone.covers(candidate.zone) else {
            return nil
        }
        func shares(_ place: Place) -> Bool {
            (budget.group == .all || place.group == candidate.group)
                && (budget.zone == .all || place.zone == candidate.zone)
        }
        func sum(_ counts: [Place: Int]) -> Int { counts.reduce(0) { $0 + (shares($1.key) ? $1.value : 0) } }
        return (sum(budget.drains ? drainingIn : runningIn), budget.most(of: sum(nodesIn)))
    }

    /// All of them go or none does: what a budget is short of by size alone is overlooked as long as nothing else uses it.
    private func atomicBudgetObstacle(_ members: [Candidate], _ engine: Engine) -> Explanation? {
        for member in members {
            for budget in budgets {
                guard let (inUse, most) = use(of: budget, by: member, engine) else { continue }
                let count = budget.drains ? members.count { !$0.isEmpty } : members.count
                if most == 0 || inUse > 0 && inUse + count > most {
                    let what = budget.drains ? "being drained" : "under removal"
                    return Explanation(
                        .deletionBudgetReached,
                        "\(inUse) \(what) and \(count) at once, at most \(most) (\(budget.origin))")
                }
            }
        }
        return nil
    }
}

extension Engine {
    /// What the cluster has, counted like limits.
    func remaining() -> [String: Int64] {
        var sums: [String: Int64] = [:]
        guard !configuration.limits.minimum.isEmpty else { return sums }
        for slot in model.order {
            guard let node = model.nodes[Int(slot)]?.node, !model.briefs[Int(slot)].isLeaving else { continue }
            for (name, amount) in counted(node) { sums[name, default: 0] += amount }
        }
        return sums
    }

    /// What a node counts for in each minimum that is set.
    func counted(_ node: Node) -> [String: Int64] {
        var counted: [String: Int64] = [:]
        for name in configuration.limits.minimum.keys {
            switch name {
            case "nodes": counted[name] = 1
            case "cpu": counted[name] = (node.capacity.cpuMillis + 999) / 1_000
            case "memory": counted[name] = node.capacity.memoryBytes
            default: counted[name] = node.capacity.extended[name] ?? node.allocatable.extended[name] ?? 0
            }
        }
        return counted
    }

}
