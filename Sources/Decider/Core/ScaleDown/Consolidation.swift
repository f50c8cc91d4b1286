import Messages
import Support

/// A replacement of nodes that has been decided: first the new ones come up, then the old ones go.
struct ConsolidationPlan: Sendable, Codable, Equatable {
    /// The group that grows; nil: the pods fit on nodes that are there.
    var group: String?
    /// How many nodes come.
    var added: Int
    /// Nodes that go, by name.
    var nodes: [String]
    var decidedAt: Timestamp
    /// What it saves, for a person.
    var saving: String
    /// GPUs that nodes of the group offered when it was decided; nil: it was decided before this was kept, and any may be.
    var gpus: [String]?
}

/// Nodes that could be replaced, and by what.
struct ConsolidationOption: Sendable {
    var slots: [Int]
    /// Group and number of new nodes; nil: none.
    var replacement: (group: Int, count: Int)?
    /// What the nodes cost, and what those cost that replace them.
    var before: Double
    var after: Double
    var unit: String

    var saved: Double { before - after }

    var text: String {
        let part = Int((saved / max(before, .leastNonzeroMagnitude) * 100).rounded())
        return "saves \(part)% of the \(unit) of \(slots.count) nodes"
    }
}

extension Engine {
    /// Looks for nodes to replace, begins a replacement, or takes a begun one further. Returns what was decided.
    mutating func consolidate(
        _ pass: ScaleUpPass, _ standings: [GroupStanding], growing: Bool, at now: Timestamp,
        _ result: inout EvaluationResult
    ) -> [String] {
        guard configuration.scaleDown.consolidates, configuration.scaleDown.enabled else {
            memory.consolidation = nil
            memory.consolidationSince = nil
            replaceable = nil
            return []
        }
        if let plan = memory.consolidation {
            return proceed(plan, pass, standings, growing: growing, at: now, &result)
        }
        guard simulation.doneAt == now else { return [] }
        replaceable = nil
        let rules = configuration.scaleDown
        let rests = [
            memory.consolidatedAt.map { $0 + rules.consolidationPause }, memory.grewAt.map { $0 + rules.delayAfterAdd },
        ]
        let isBusy = groups.contains { $0.memory.scale != nil || $0.memory.removal != nil || $0.memory.expected > 0 }
        guard !growing, removalHolds.isEmpty, !isBusy, !rests.contains(where: { $0.map { now < $0 } ?? false }),
            !standings.contains(where: { $0.upcoming > 0 }),
            simulation.removable.allSatisfy({ simulation.awaited[$0] != nil })
        else {
            memory.consolidationSince = nil
            return []
        }
        guard let option = bestConsolidation(pass, standings, at: now) else {
            memory.consolidationSince = nil
            return []
        }
        // It has to be possible for as long as a node has to be unneeded: load that comes and goes replaces nothing.
        let since = memory.consolidationSince ?? now
        memory.consolidationSince = since
        guard since + rules.unneededTime < now else {
            let instead =
                option.replacement.map { "\($0.count) of \(groups[$0.group].rules.id) instead" } ?? "none instead"
            replaceable = (
                option.slots,
                Explanation(
                    .consolidated, "could be: \(instead), \(option.text); begins at \(since + rules.unneededTime)")
            )
            return []
        }
        memory.consolidationSince = nil
        return begin(option, pass, standings, at: now, &result)
    }

    // MARK: A replacement that was decided

    private mutating func begin(
        _ option: ConsolidationOption, _ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp,
        _ result: inout EvaluationResult
    ) -> [String] {
        let names = option.slots.map { model.world.names[$0] }
        var plan = ConsolidationPlan(
            group: nil, added: 0, nodes: names.sorted(), decidedAt: now, saving: option.text)
        memory.consolidatedAt = now
        guard let (number, count) = option.replacement else {
            memory.consolidation = plan
            return proceed(plan, pass, standings, growing: false, at: now, &result)
        }
        plan.group = groups[number].rules.id
        plan.added = count
        plan.gpus = configuration.scaleDown.gpuResources.filter { offers(templates[number], $0) }
        memory.consolidation = plan
        let from = groups[number].target
        let reason = Explanation(
            .consolidated, "\(count) for \(plan.nodes.joined(separator: ", ")): \(plan.saving)")
        let act = ScaleAct(
            id: decisionID("k", groups[number].rules.id, "\(from)-\(from + count)"), from: from, to: from + count,
            decidedAt: now, deadline: now + configuration.scaleUp.decisionLifetime)
        groups[number].memory.scale = act
        groups[number].grow(by: count, at: now)
        memory.grewAt = now
        memory.recentGrowth.append(EngineMemory.Growth(at: now, count: count))
        result.decisions.append(
            .scaleDecided(
                ScaleDecided(
                    cluster: configuration.cluster, id: act.id, group: groups[number].rules.id, from: act.from,
                    to: act.to, reason: reason, decidedAt: now, deadline: act.deadline)))
        result.evaluation.decisions.append(act.id)
        return ["\(groups[number].rules.id) from \(act.from) to \(act.to): \(reason.detail)"]
    }

    /// The new nodes are there: the old ones go, as budgets allow. Anything unforeseen ends the replacement; what has come by then
    /// is used or removed like any other node. A rule that holds removals is waited for: if it outlasts the hour, machines were bought
    /// in vain, as with anything else that keeps the old nodes.
    private mutating func proceed(
        _ plan: ConsolidationPlan, _ pass: ScaleUpPass, _ standings: [GroupStanding], growing: Bool, at now: Timestamp,
        _ result: inout EvaluationResult
    ) -> [String] {
        let left = plan.nodes.compactMap { model.nodeSlots[$0] }
        if let id = plan.group, let number = groupNumbers[id] {
            let limit = provisionTimeout(groups[number]) + configuration.scaleDown.decisionLifetime
            let hasFailed =
                groups[number].isBackedOff(at: now)
                || standings[number].refusal.map { $0.reason == .groupPaused } ?? false
            if newNodes(plan).count < plan.added {
                if hasFailed || growing || now > plan.decidedAt + limit { memory.consolidation = nil }
                return []
            }
        }
        // An hour: longer than any drain; by then the cluster is another one.
        if left.isEmpty || growing || now > plan.decidedAt + .minutes(60) {
            if left.allSatisfy({ !model.briefs[$0].isUnderRemoval }) || now > plan.decidedAt + .minutes(60) {
                // Pods that wait for room take what has come.
                let isInVain = !growing && left.contains { !model.briefs[$0].isLeaving }
                end(plan, left.isEmpty ? .done : isInVain ? .inVain : .overtaken, at: now)
            }
            return []
        }
        let cooling = memory.removalFailedAt.map { now < $0 + configuration.scaleDown.delayAfterFailure } ?? false
        let waiting = left.filter { !model.briefs[$0].isLeaving && unwillingUntil($0, at: now) == nil }
        guard !waiting.isEmpty, !cooling, removalHolds.isEmpty,
            groups.allSatisfy({ $0.memory.removal == nil && $0.memory.scale == nil })
        else {
            return []
        }
        guard
            let verdicts = emptied(waiting, nodes: model.order, worldToMoveIn(pass, at: now), pass.held, at: now)?
                .verdicts
        else {
            let bare = withoutGPU(plan, waiting)
            if bare.contains(where: { now < model.briefs[$0].createdAt + configuration.health.startupTimeout }) {
                return []
            }
            // One without its GPU goes, and the next one would lack it as well.
            end(plan, bare.isEmpty ? .inVain : .unequipped, at: now)
            return []
        }
        for (slot, verdict) in verdicts { simulation.verdicts[slot] = verdict }
        var sentences: [String] = []
        var chosen = permitted(waiting, at: now)
        var later: [Int: Explanation] = [:]
        let isAllowed = !chosen.isEmpty
        keepTogether(&chosen, &later, pass, among: waiting)
        if isAllowed && chosen.values.allSatisfy(\.isEmpty) {
            // Placed anew, not even the pods of one of them all find room: the cluster is not what it was.
            end(plan, .inVain, at: now)
            return []
        }
        for (number, slots) in chosen.sorted(by: { $0.key < $1.key }) where !slots.isEmpty {
            sentences += decideRemoval(
                number, slots, at: now, reason: Explanation(.consolidated, plan.saving), &result)
        }
        return sentences
    }

    /// What the ledger says of nodes that are replaced, or could be. By slot.
    var replacements: [Int: Explanation] {
        guard let plan = memory.consolidation else {
            guard let replaceable else { return [:] }
            return Dictionary(
                replaceable.slots.map { ($0, replaceable.reason) }, uniquingKeysWith: { first, _ in first })
        }
        var reason = Explanation(.consolidated, plan.saving)
        if let group = plan.group {
            reason.detail += "; \(newNodes(plan).count) of \(plan.added) of \(group) are there"
        }
        var replaced: [Int: Explanation] = [:]
        for name in plan.nodes {
            if let slot = model.nodeSlots[name], !model.briefs[slot].isLeaving { replaced[slot] = reason }
        }
        return replaced
    }

    /// Nodes that came for the replacement and work.
    private func newNodes(_ plan: ConsolidationPlan) -> [Int] {
        guard let id = plan.group, let number = groupNumbers[id] else { return [] }
        return model.order.map { Int($0) }.filter { slot in
            groupOfSlot[slot] == Int32(number) && model.briefs[slot].createdAt >= plan.decidedAt - .seconds(60)
                && model.briefs[slot].isReady && !model.briefs[slot].isLeaving
        }
    }

    private func offers(_ template: NodeTemplate?, _ resource: String) -> Bool {
        guard let template, let dimension = model.catalog.resources.firstIndex(of: resource) else { return false }
        return dimension < template.allocatable.count && template.allocatable[dimension] > 0
    }

    /// New nodes that lack a GPU which nodes of their group offer and pods on these nodes ask for: it comes some minutes after the
    /// node is ready, when its driver is set up. Given up before that, the node would be bought in vain, and again after the pause.
    private func withoutGPU(_ plan: ConsolidationPlan, _ slots: [Int]) -> [Int] {
        let wanted = (plan.gpus ?? configuration.scaleDown.gpuResources).filter { resource in
            slots.contains { slot in
                (model.nodes[slot]?.pods ?? []).contains { index in
                    guard let pod = model.pods[Int(index)] else { return false }
                    let asked = model.catalog.classes[Int(pod.podClass)]
                    return !asked.isFixed && asked.shape.requests.extended[resource] ?? 0 > 0
                }
            }
        }
        return newNodes(plan).filter { slot in
            wanted.contains { model.nodes[slot]?.node.allocatable.extended[$0] ?? 0 == 0 }
        }
    }

    /// Whether a node came for a replacement that is under way: it stays although it is empty.
    func isReplacement(_ slot: Int) -> Bool {
        guard let plan = memory.consolidation, let id = plan.group, let number = groupNumbers[id] else { return false }
        return groupOfSlot[slot] == Int32(number) && model.briefs[slot].createdAt >= plan.decidedAt - .seconds(60)
    }

    /// Whether minimum sizes and budgets let all of the nodes go at once.
    private func areFree(_ slots: [Int], at now: Timestamp, later: Timestamp? = nil) -> Bool {
        permitted(slots, at: now, later: later).values.reduce(0) { $0 + $1.count } == slots.count
    }

    /// Which of the nodes minimum sizes and budgets let go now.
    private func permitted(_ slots: [Int], at now: Timestamp, later: Timestamp? = nil) -> [Int: [Int]] {
        var selection = RemovalSelection(rules: configuration.scaleDown, now: now, later: later)
        // Nodes that are replaced go together: none is chosen by what its pods would like.
        selection.budgetsInUse(self, for: [])
        var waiting: [Int: Explanation] = [:]
        let candidates = slots.filter { !isHindered(Int(groupOfSlot[$0])) }.map {
            selection.candidate($0, Int(groupOfSlot[$0]), self)
        }
        return selection.choose(candidates, self, &waiting)
    }

    /// Whether nothing leaves the group now: an operator holds it, or its stack is not well.
    private func isHindered(_ number: Int) -> Bool {
        guard let state = groups[number].state else { return true }
        return state.paused || state.problem != nil
    }

    // MARK: Looking for one

    private mutating func bestConsolidation(
        _ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp
    ) -> ConsolidationOption? {
        let candidates = replaceable(at: now)
        guard !candidates.isEmpty else { return nil }
        // Each of the first by itself, and the first two, three, … together.
        var sets = candidates.prefix(10).map { [$0] }
        for count in 2...10 where count <= candidates.count { sets.append(Array(candidates.prefix(count))) }
        var best: ConsolidationOption?
        for slots in sets where areFree(slots, at: now) {
            for option in options(slots, pass, standings, at: now) {
                if let known = best,
                    known.saved > option.saved || known.saved == option.saved && known.slots.count <= slots.count
                {
                    continue
                }
                best = option
            }
        }
        return best
    }

    /// Nodes whose pods may be moved, those first that cost much and whose pods are little disturbed.
    private func replaceable(at now: Timestamp) -> [Int] {
        let eligibility = Eligibility(rules: configuration.scaleDown, now: now)
        let check = DrainCheck(
            rules: configuration.scaleDown.drain, now: now, budgets: BudgetTracker(Array(model.budgets.values)))
        let slots = model.order.map { Int($0) }.filter { slot in
            let number = Int(groupOfSlot[slot])
            guard number >= 0, !groups[number].rules.zeroOrMax, !isHindered(number), model.briefs[slot].isReady,
                model.briefs[slot].createdAt + configuration.scaleDown.unneededTime < now,
                unwillingUntil(slot, at: now) == nil
            else { return false }
            return eligibility.mark(slot, model) == nil
        }
        let scores = slots.map {
            (slot: $0, score: disruption($0, at: now).exact / max(cost(of: $0).value, .leastNonzeroMagnitude))
        }
        let ordered = scores.sorted {
            $0.score != $1.score ? $0.score < $1.score : model.world.names[$0.slot] < model.world.names[$1.slot]
        }
        var found: [Int] = []
        for item in ordered {
            let outcome = check.check(item.slot, model)
            guard outcome.isDrainable, outcome.waitsFor.isEmpty else { continue }
            found.append(item.slot)
            if found.count == 10 { break }
        }
        return found
    }

    private var allPriced: Bool { groups.indices.allSatisfy { price(of: $0) != nil } }

    private func cost(of slot: Int) -> (value: Double, unit: String) {
        if allPriced, let price = price(of: Int(groupOfSlot[slot])) { return (price, "price") }
        let capacity = model.nodes[slot]?.node.capacity.cpuMillis ?? 0
        return (Double(capacity > 0 ? capacity : model.briefs[slot].cpu) / 1_000, "cores")
    }

    private mutating func options(
        _ slots: [Int], _ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp
    ) -> [ConsolidationOption] {
        let before = slots.reduce(0) { $0 + cost(of: $1).value }
        let unit = cost(of: slots[0]).unit
        // Node by node, and together: their pods are placed anew in another order.
        let present = worldToMoveIn(pass, at: now)
        if let outcome = emptied(slots, nodes: model.order, present, pass.held, at: now),
            haveRoom(slots, outcome.verdicts, pass.held, in: present, nodes: model.order)
        {
            return [ConsolidationOption(slots: slots, replacement: nil, before: before, after: 0, unit: unit)]
        }
        let most = before * (1 - configuration.scaleDown.consolidationGain)
        let limit = nodeLimit(at: now).rest
        let allowance = allowance()
        var found: [ConsolidationOption] = []
        // By how long a machine may take: groups mostly agree.
        var isFree: [Interval: Bool] = [:]
        for (number, candidate) in growthCandidates(standings).enumerated() {
            guard candidate.refusal == nil, !candidate.zeroOrMax, let template = candidate.template,
                replacementPause(of: number, at: now) == nil
            else { continue }
            let each = allPriced ? candidate.price ?? 0 : Double(template.capacity[Catalog.cpu]) / 1_000
            guard each > 0, most / each >= 1 else { continue }
            let (count, _) = allowance.allowed(
                min(Int(min(most / each, 1_000)), candidate.room, limit), group: number, template)
            guard count > 0 else { continue }
            // What is bought has to come first: a budget that begins until then would keep the old nodes, and it were in vain.
            let wait = provisionTimeout(groups[number])
            let free = isFree[wait] ?? areFree(slots, at: now, later: now + wait)
            isFree[wait] = free
            guard free else { continue }
            var world = worldToMoveIn(pass, at: now)
            let fresh = (0..<count).map { index in
                Int32(world.addTemplate(template, number: 200_000 + index, group: number, &model.catalog))
            }
            guard let outcome = emptied(slots, nodes: model.order + fresh, world, pass.held, at: now) else {
                continue
            }
            let used = fresh.filter { outcome.receivers.contains(Int($0)) }.count
            let receivers = model.order + fresh.filter { outcome.receivers.contains(Int($0)) }
            guard used > 0, haveRoom(slots, outcome.verdicts, pass.held, in: world, nodes: receivers) else { continue }
            found.append(
                ConsolidationOption(
                    slots: slots, replacement: (number, used), before: before, after: each * Double(used), unit: unit))
        }
        return found
    }

    /// Empties the nodes one after the other onto others; nil when a pod finds no place.
    private func emptied(
        _ slots: [Int], nodes: [Int32], _ world: World, _ held: [Int: [Held]], at now: Timestamp
    ) -> (verdicts: [Int: RemovalVerdict], receivers: Set<Int>)? {
        let going = Set(slots)
        var simulator = RemovalSimulator(
            model, world: world, drain: configuration.scaleDown.drain, now: now,
            destinations: nodes.filter { !going.contains(Int($0)) })
        simulator.hold(held)
        var verdicts: [Int: RemovalVerdict] = [:]
        for slot in slots {
            let verdict = simulator.tryRemoving(slot)
            guard verdict.isRemovable, simulator.awaited[slot] == nil else { return nil }
            verdicts[slot] = verdict
        }
        return (verdicts, simulator.receivers)
    }
}
