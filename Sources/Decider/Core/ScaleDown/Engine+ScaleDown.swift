import Messages
import Support

/// What the last simulation of removals said, kept until something changes.
struct ScaleDownSimulation: Sendable {
    var doneAt: Timestamp?
    var revision = -1
    /// By slot: what was concluded.
    var verdicts: [Int: RemovalVerdict] = [:]
    /// Candidates that may go, in the order in which they should.
    var removable: [Int] = []
    /// Of these those that wait for a pod to run to its end.
    var awaited: [Int: Explanation] = [:]
    /// Why each other node stays.
    var obstacles: [Int: Explanation] = [:]
    var utilizations: [Int: Utilization] = [:]
    /// By slot, for nodes that are plainly too loaded: the load in percent, negative when memory decides, zero for others.
    var loaded: [Int16] = []
    /// Slots that are not plainly too loaded, in the order of their names.
    var open: [Int32] = []
    /// What `loaded` was worked out from.
    var loadedKey = LoadedKey()
    /// Slots whose load was worked out anew since the ledger was last told; nil: all.
    var news: [Int32]?

    struct LoadedKey: Equatable, Sendable {
        var nodes = -1
        var groups = -1
        var rules = ScaleDownRules()
    }
}

extension Engine {
    /// Finds the nodes that are not needed, and since when.
    mutating func simulateScaleDown(_ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp) {
        var result = ScaleDownSimulation()
        result.doneAt = now
        result.revision = model.revision
        guard configuration.scaleDown.enabled else {
            result.open = model.order
            simulation = result
            memory.unneededSince = [:]
            return
        }
        if let before = simulation.doneAt, now > before {
            shortestPause = min(shortestPause ?? configuration.scaleDown.unneededTime, now - before)
        }
        unremovableUntil = unremovableUntil.filter { $0.value > now }
        findZoneSets()
        let eligibility = Eligibility(rules: configuration.scaleDown, now: now)
        weigh(&result, eligibility)
        var candidates: [Int] = []
        var hindered: [Int] = []
        let holds = groups.indices.map { hold(of: $0) }
        for slot in result.open {
            let index = Int(slot)
            let number = Int(groupOfSlot[index])
            let utilization = eligibility.utilization(index, model)
            result.utilizations[index] = utilization
            let rules = number >= 0 ? groups[number].rules : nil
            if let obstacle = eligibility.obstacle(
                index, group: rules, utilization, measured: load(index, at: now), model)
            {
                result.obstacles[index] = obstacle
            } else if let hold = holds[number], !hold.sparesDead || model.briefs[index].isReady {
                result.obstacles[index] = hold.reason
                // What hinders the group for a moment does not make its idle nodes needed.
                if groups[number].state?.problem != nil { hindered.append(index) }
            } else if let until = unremovableUntil.isEmpty ? nil : unremovableUntil[key(index)] {
                result.obstacles[index] = Explanation(
                    .recentlyUnremovable, "looked at again at \(until) (decider.scale_down.recheck_after)")
            } else if let until = unwillingUntil(index, at: now), model.briefs[index].isReady {
                result.obstacles[index] = Explanation(
                    .recentlyUnremovable, "its removal ended over its pods; they are asked again after \(until)")
            } else {
                candidates.append(index)
            }
        }
        if !candidates.isEmpty { simulate(candidates, pass, &result, at: now) }
        noteUnneeded(result.removable, kept: hindered, at: now)
        simulation = result
    }

    /// Until when a node is left alone whose removal failed over what runs on it; nil: nothing speaks against it.
    func unwillingUntil(_ slot: Int, at now: Timestamp) -> Timestamp? {
        guard let at = memory.unwilling?[model.world.names[slot]], now < at + Self.unwillingPause else { return nil }
        return at + Self.unwillingPause
    }

    /// Why no node may leave the group, whatever runs on it. It is no candidate then: its pods stay where they are, and it takes those
    /// of others. `sparesDead`: Heat replaces a machine that is dead where the group cannot spare it.
    private func hold(of number: Int) -> (reason: Explanation, sparesDead: Bool)? {
        let group = groups[number]
        if let problem = group.state?.problem { return (problem, false) }
        if group.state?.paused ?? false { return (Explanation(.groupPaused), false) }
        let least = group.smallest(configuration.scaleDown)
        if group.rules.zeroOrMax { return least > 0 ? (group.minimumReached(least: least), false) : nil }
        let going = configuration.scaleDown.oneRemovalPerGroup ? group.memory.removal?.targets.count ?? 0 : 0
        guard group.target - going <= least else { return nil }
        return (group.minimumReached(least: least, going: going), configuration.health.replacesAtMinimum)
    }

    /// Finds the nodes that are plainly too loaded; those that nothing happened to since the last time are so still.
    private mutating func weigh(_ result: inout ScaleDownSimulation, _ eligibility: Eligibility) {
        let touched = model.takeTouched()
        let key = ScaleDownSimulation.LoadedKey(
            nodes: model.nodesRevision, groups: assignedGroupsRevision, rules: configuration.scaleDown)
        result.loadedKey = key
        guard simulation.loadedKey == key else {
            result.loaded = [Int16](repeating: 0, count: model.nodes.count)
            for slot in model.order { result.loaded[Int(slot)] = plainLoad(Int(slot), eligibility) }
            result.open = model.order.filter { result.loaded[Int($0)] == 0 }
            result.news = nil
            return
        }
        result.news = simulation.news.map { $0 + touched }
        swap(&result.loaded, &simulation.loaded)
        swap(&result.open, &simulation.open)
        var hasTurned = false
        for slot in touched {
            let load = plainLoad(Int(slot), eligibility)
            if (load == 0) != (result.loaded[Int(slot)] == 0) { hasTurned = true }
            result.loaded[Int(slot)] = load
        }
        if hasTurned { result.open = model.order.filter { result.loaded[Int($0)] == 0 } }
    }

    /// The load in percent of a node that it plainly keeps, negative when memory decides; zero for others.
    private func plainLoad(_ slot: Int, _ eligibility: Eligibility) -> Int16 {
        let number = Int(groupOfSlot[slot])
        guard number >= 0, let plain = eligibility.plainUtilization(slot, model),
            plain.value > groups[number].rules.utilizationThreshold ?? configuration.scaleDown.utilizationThreshold
        else { return 0 }
        let percent = Int16(clamping: Int((plain.value * 100).rounded()))
        return plain.isCPU ? max(1, percent) : -max(1, percent)
    }

    private func load(_ slot: Int, at now: Timestamp) -> Double? {
        guard let name = model.nodes[slot]?.node.name, let sample = measured[name],
            sample.at + configuration.scaleDown.measurementLifetime > now
        else { return nil }
        return sample.value
    }

    /// Cheapest first: empty, unready, few and unimportant pods, those that would rather be elsewhere, of the fullest zone, of another
    /// flavor than new nodes of the group, oldest.
    func orderVictims(_ slots: [Int], _ utilizations: [Int: Utilization], at now: Timestamp) -> [Int] {
        struct Cost {
            var slot: Int
            var isReady: Bool
            var wasUnneeded: Bool
            var pods: Int
            var weight: Double
            var liking: Int64
            var utilization: Double
            /// With the whole age of Jobs, for nodes that are as cheap but for that.
            var exactWeight: Double
            var isOfOldFlavor: Bool
            var createdAt: Timestamp
            var name: String
        }
        let preferences = preferences(of: slots)
        let costs = slots.map { slot in
            let pods = Int(model.briefs[slot].pods - model.briefs[slot].fixedPods)
            let weight: (steps: Double, exact: Double) = pods == 0 ? (0, 0) : disruption(slot, at: now)
            return Cost(
                slot: slot, isReady: model.briefs[slot].isReady, wasUnneeded: memory.unneededSince[key(slot)] != nil,
                pods: pods, weight: weight.steps,
                liking: pods == 0 ? 0 : liking(slot, preferences),
                utilization: utilizations[slot]?.value ?? 0,
                exactWeight: weight.exact, isOfOldFlavor: isOfOldFlavor(slot), createdAt: model.briefs[slot].createdAt,
                name: model.world.names[slot])
        }
        let sorted = costs.sorted { left, right in
            if (left.pods == 0) != (right.pods == 0) { return left.pods == 0 }
            if left.isReady != right.isReady { return !left.isReady }
            // A node whose time is running keeps its place: otherwise small changes would restart timers.
            if left.wasUnneeded != right.wasUnneeded { return left.wasUnneeded }
            if left.weight != right.weight { return left.weight < right.weight }
            if left.liking != right.liking { return left.liking < right.liking }
            if left.exactWeight != right.exactWeight { return left.exactWeight < right.exactWeight }
            if left.isOfOldFlavor != right.isOfOldFlavor { return left.isOfOldFlavor }
            if left.createdAt != right.createdAt { return left.createdAt < right.createdAt }
            return left.name < right.name
        }
        return levelled(sorted.map(\.slot), costs: sorted) { left, right in
            // Of empty nodes all may go: which of them do first is chosen at the end, and said.
            left.pods > 0 && right.pods > 0 && left.isReady == right.isReady
                && left.wasUnneeded == right.wasUnneeded && left.weight == right.weight && left.liking == right.liking
        }
    }

    /// Whether the node's label names another flavor than the one that its group has now.
    private func isOfOldFlavor(_ slot: Int) -> Bool {
        let number = Int(groupOfSlot[slot])
        guard number >= 0, let flavor = groups[number].state?.flavor?.name,
            let own = model.nodes[slot]?.node.labels["node.kubernetes.io/instance-type"]
        else { return false }
        return own != flavor
    }

    /// What moving a node's pods costs: each pod one, more by priority, more for a Job's pod the longer it has run: one in ten minutes.
    /// `exact`: with parts of ten minutes, by which no two nodes with Jobs would be as cheap.
    func disruption(_ slot: Int, at now: Timestamp) -> (steps: Double, exact: Double) {
        // In whole millionths: sums that differ by the order of the pods would choose another node.
        var sum: Int64 = 0
        var parts: Int64 = 0
        for index in model.nodes[slot]?.pods ?? [] {
            guard let pod = model.pods[Int(index)] else { continue }
            let number = Int(pod.podClass)
            if model.catalog.classes[number].isFixed { continue }
            sum += 1_000_000
            if let priority = model.catalog.classes[number].shape.priority, priority > 0 {
                sum += Int64(priority)
            }
            if model.catalog.classes[number].shape.owner?.kind == "Job" {
                let age = max(0, (now - pod.createdAt).microseconds)
                sum += age / 600_000_000 * 1_000_000
                parts += age % 600_000_000 / 600
            }
        }
        return (Double(sum) / 1_000_000, Double(sum + parts) / 1_000_000)
    }

    /// `kept`: nodes that could not be looked at; their time runs on if it ran before.
    private mutating func noteUnneeded(_ removable: [Int], kept: [Int], at now: Timestamp) {
        var since: [String: Timestamp] = [:]
        for slot in kept { since[key(slot)] = memory.unneededSince[key(slot)] }
        for slot in removable {
            let name = key(slot)
            since[name] = memory.unneededSince[name] ?? now
        }
        memory.unneededSince = since
    }

    /// Which of the unneeded nodes go now, and why the others do not yet. `wanted`: groups that pods wait for.
    mutating func selectRemovals(
        _ standings: [GroupStanding], wanted: Set<Int>, at now: Timestamp
    ) -> (chosen: [Int: [Int]], waiting: [Int: Explanation], next: Timestamp?) {
        let eligibility = Eligibility(rules: configuration.scaleDown, now: now)
        var waiting: [Int: Explanation] = [:]
        var next: Timestamp?
        var ripe: [(slot: Int, group: Int)] = []
        for slot in simulation.removable {
            guard model.nodes[slot] != nil, let since = memory.unneededSince[key(slot)] else { continue }
            // Looked at again right before: a mark may have come after the simulation.
            if let mark = eligibility.mark(slot, model) {
                waiting[slot] = mark
                continue
            }
            let number = Int(groupOfSlot[slot])
            guard number >= 0 else {
                waiting[slot] = Explanation(.notAutoscaled, "belongs to no configured group")
                continue
            }
            let (due, reason) = ripeness(slot, number, since, at: now)
            if !(due < now) && !(configuration.peer.zeroTimeIsOver && due == since) {
                waiting[slot] = Explanation(reason, "until \(due)")
                next = min(next ?? due, due)
                continue
            }
            if let held = cooldown(number, isFreed: model.briefs[slot].isReady && isFreed(slot, at: now), at: now) {
                waiting[slot] = held.reason
                next = min(next ?? held.until, held.until)
                continue
            }
            if isReplacement(slot) {
                waiting[slot] = Explanation(.consolidated, "came for pods of nodes that are being replaced")
                continue
            }
            if model.briefs[slot].isReady, let hold = removalHolds[number] {
                waiting[slot] = hold
                continue
            }
            // Pods that wait for room gain nothing by a node that takes none: in a full group it stands in their way.
            let takesPods = model.briefs[slot].isReady && !(model.nodes[slot]?.node.unschedulable ?? false)
            let waits = wanted.contains(number) && takesPods
            if let refusal = removalRefusal(number, standings[number], growing: waits) {
                waiting[slot] = refusal
                continue
            }
            if let pod = simulation.awaited[slot] {
                waiting[slot] = pod
                continue
            }
            ripe.append((slot, number))
        }
        guard !ripe.isEmpty else { return ([:], waiting, next) }
        var selection = RemovalSelection(rules: configuration.scaleDown, now: now)
        selection.budgetsInUse(self, for: ripe.map(\.slot))
        if let end = selection.budgetsEnd { next = min(next ?? end, end) }
        let chosen = selection.choose(ripe.map { selection.candidate($0.slot, $0.group, self) }, self, &waiting)
        return (chosen, waiting, next)
    }

    private func ripeness(
        _ slot: Int, _ number: Int, _ since: Timestamp, at now: Timestamp
    ) -> (Timestamp, Reason) {
        let rules = groups[number].rules
        if model.briefs[slot].isReady {
            if isFreed(slot, at: now) { return (since, .notUnneededLongEnough) }
            return (since + (rules.unneededTime ?? configuration.scaleDown.unneededTime), .notUnneededLongEnough)
        }
        let changed = configuration.peer.unreadySinceUnneeded ? nil : model.briefs[slot].readinessChangedAt
        let start = max(since, changed ?? since)
        return (start + (rules.unreadyTime ?? configuration.scaleDown.unreadyTime), .notUnreadyLongEnough)
    }

    /// - Parameter isFreed: a pod scaler freed the node, whose own window has passed already: no growth is waited for.
    private func cooldown(
        _ number: Int, isFreed: Bool, at now: Timestamp
    ) -> (reason: Explanation, until: Timestamp)? {
        let rules = configuration.scaleDown
        let own = groups[number].memory
        let local = rules.delaysPerGroup
        let delays: [(Timestamp?, Interval, String)] = [
            (local ? own.grewAt : memory.grewAt, isFreed ? .zero : rules.delayAfterAdd, "scale-up"),
            (local ? own.removedAt : memory.removedAt, rules.delayAfterDelete, "removal"),
            (local ? own.removalFailedAt : memory.removalFailedAt, rules.delayAfterFailure, "failed removal"),
        ]
        var longest: (reason: Explanation, until: Timestamp)?
        for (at, delay, name) in delays {
            guard let at, delay > .zero, now < at + delay else { continue }
            let until = at + delay
            if longest.map({ $0.until < until }) ?? true {
                longest = (Explanation(.scaleDownInCooldown, "until \(until), after a \(name)"), until)
            }
        }
        return longest
    }

    func removalRefusal(_ number: Int, _ standing: GroupStanding, growing: Bool) -> Explanation? {
        let group = groups[number]
        guard let state = group.state else { return Explanation(.groupUnknown) }
        if let problem = state.problem { return problem }
        if state.paused { return Explanation(.groupPaused) }
        if group.memory.removal != nil && configuration.scaleDown.oneRemovalPerGroup {
            return Explanation(.groupBusy, "a removal is under way")
        }
        if group.memory.scale != nil { return Explanation(.groupBusy, "a change of size is under way") }
        if growing { return Explanation(.scaleDownInCooldown, "pods wait for room") }
        if standing.refusal?.reason == .stateStale { return standing.refusal }
        return nil
    }
}
