import JSONReader
import Messages
import Support

extension Scenario {
    private func reason(_ explanation: Explanation) -> JSONValue { .string(Self.peerName(explanation.reason)) }

    private func names(_ pods: [Int32], _ engine: Engine) -> JSONValue {
        .array(pods.compactMap { engine.model.pods[Int($0)].map { .string($0.name) } })
    }

    func drain() -> JSONValue {
        var engine = Engine(configuration(), term: "scenario")
        var snapshot = snapshot(at: now)
        let name = document["node"]?.stringValue ?? "node"
        if snapshot.nodes.isEmpty {
            snapshot.nodes = [Node(name: name, allocatable: ResourceList(cpuMillis: 1, memoryBytes: 1, pods: 100))]
        }
        _ = engine.apply(snapshot, at: now)
        guard let slot = engine.model.nodeSlots[name] else { return .object([:]) }
        var check = DrainCheck(
            rules: engine.configuration.scaleDown.drain, now: now,
            budgets: BudgetTracker(Array(engine.model.budgets.values)))
        check.isPeers = true
        let outcome = check.check(slot, engine.model)
        var result: [String: JSONValue] = [
            "drainable": .bool(outcome.isDrainable), "evict": names(outcome.evict, engine),
            "daemonSetPods": names(outcome.daemonSetPods, engine),
            "waitForCompletion": names(outcome.waitsFor, engine),
        ]
        if let blocking = outcome.blocking {
            result["blockingPod"] = .string(engine.model.pods[Int(blocking.pod)]?.name ?? "")
            result["reason"] = reason(blocking.reason)
        }
        return .object(result)
    }

    func nodeRemoval() -> JSONValue {
        let engine = engine()
        let name = document["target"]?.stringValue ?? document["node"]?.stringValue ?? ""
        guard let slot = engine.model.nodeSlots[name] else { return .object([:]) }
        var simulator = RemovalSimulator(
            engine.model, world: engine.model.world, drain: engine.configuration.scaleDown.drain, now: now,
            destinations: engine.model.order.filter { Int($0) != slot }, peer: engine.configuration.peer)
        switch simulator.tryRemoving(slot) {
        case .removable(let pods):
            return .object(["removable": true, "reschedule": names(pods, engine)])
        case .stays(let why):
            return .object(["removable": false, "reschedule": .array([]), "reason": reason(why)])
        }
    }

    func eligibility() -> JSONValue {
        let engine = engine()
        let eligibility = Eligibility(rules: engine.configuration.scaleDown, now: now)
        var eligible: [JSONValue] = []
        var ineligible: [String: JSONValue] = [:]
        for slot in engine.model.order.map({ Int($0) }) {
            let group = Int(engine.groupOfSlot[slot])
            let obstacle = eligibility.obstacle(
                slot, group: group >= 0 ? engine.groups[group].rules : nil,
                eligibility.utilization(slot, engine.model), measured: nil, engine.model)
            let name = engine.model.world.names[slot]
            if let obstacle { ineligible[name] = reason(obstacle) } else { eligible.append(.string(name)) }
        }
        return .object(["eligible": .array(eligible), "ineligible": .object(ineligible)])
    }

    func utilization() -> JSONValue {
        let engine = engine()
        let eligibility = Eligibility(rules: engine.configuration.scaleDown, now: now)
        guard let slot = engine.model.order.first else { return .object([:]) }
        guard let utilization = eligibility.utilization(Int(slot), engine.model) else {
            return .object(["utilization": .null])
        }
        return .object(["utilization": .double(utilization.value)])
    }

    func scaleDownPlan() -> JSONValue {
        var engine = engine()
        for item in list("recentlyEvicted") {
            let number = engine.model.addClass(values.shape(item))
            engine.model.evicted.append(EvictedPod(podClass: Int32(number), at: now))
        }
        let wanted = ScenarioValues.list(document[path: "config", "eligible"])
        let candidates = wanted.compactMap { engine.model.nodeSlots[$0] }
        let isCandidate = Set(candidates)
        // Others first, then candidates from the end of the list.
        let destinations =
            engine.model.order.filter { !isCandidate.contains(Int($0)) } + candidates.reversed().map { Int32($0) }
        var simulator = RemovalSimulator(
            engine.model, world: engine.model.world, drain: engine.configuration.scaleDown.drain, now: now,
            destinations: destinations, peer: engine.configuration.peer)
        for item in engine.missingEvicted(at: now) { simulator.reserve(Int(item.podClass)) }
        var simulation = ScaleDownSimulation()
        engine.judge(candidates, &simulator, &simulation)
        func name(_ slot: Int) -> JSONValue { .string(engine.model.world.names[slot]) }
        let unneeded = simulation.removable.map(name)
        // What is beyond the limit on candidates is not looked at.
        let unremovable = engine.model.order.map { Int($0) }.filter { slot in
            !isCandidate.contains(slot)
                || simulation.obstacles[slot].map { $0.reason != .candidateLimitReached } ?? false
        }.map(name)
        return .object(["unneeded": .array(unneeded), "unremovable": .array(unremovable)])
    }

    // MARK: Selection

    func deletionSet() -> JSONValue {
        var document = document
        var drains: Set<String> = []
        if let candidates = document["candidates"], let group = candidates["group"]?.stringValue {
            var nodes: [JSONValue] = []
            for (kind, key) in [("e", "empty"), ("d", "needDrain")] {
                for index in 0..<Self.count(candidates[key]) {
                    let name = "\(kind)-\(index)"
                    if kind == "d" { drains.insert(name) }
                    nodes.append(
                        .object([
                            "name": .string(name), "group": .string(group),
                            "allocatable": .object(["cpu": "1000m", "memory": 1_000, "pods": 10]),
                        ]))
                }
            }
            document["nodes"] = .array(nodes)
        }
        guard let scenario = try? Scenario(document.bytes) else { return .object([:]) }
        var engine = scenario.engine()
        engine.configuration.scaleDown.maximumParallel = 1_000_000
        engine.configuration.scaleDown.maximumParallelDrain = 1_000_000
        engine.configuration.scaleDown.delayAfterAdd = .zero
        note(document["deletionsInProgress"], in: &engine)
        let age = document[path: "clock", "unneededForSeconds"]?.doubleValue ?? 0
        for slot in engine.model.order.map({ Int($0) }) {
            let name = engine.model.world.names[slot]
            engine.memory.unneededSince[engine.key(slot)] = now - .seconds(age)
            engine.simulation.removable.append(slot)
            engine.simulation.verdicts[slot] = .removable(pods: drains.contains(name) ? [0] : [])
        }
        let standings = engine.standings(at: now)
        let (chosen, waiting, _) = engine.selectRemovals(standings, wanted: [], at: now)
        let slots = chosen.values.flatMap { $0 }
        let names = slots.map { engine.model.world.names[$0] }
        var result: [String: JSONValue] = [
            "deletable": .array(names.map { .string($0) }),
            "emptyCount": .int(Int64(names.filter { !drains.contains($0) }.count)),
            "drainCount": .int(Int64(names.filter { drains.contains($0) }.count)),
        ]
        if let first = waiting.sorted(by: { $0.key < $1.key }).first { result["reason"] = reason(first.value) }
        return .object(result)
    }

    /// Removals that run already, by group.
    private func note(_ running: JSONValue?, in engine: inout Engine) {
        for (group, count) in running?.objectValue ?? [:] {
            guard let number = engine.groupNumbers[group], let count = count.intValue, count > 0 else { continue }
            engine.groups[number].memory.removal = RemovalAct(
                id: "running-\(group)",
                targets: (0..<Int(count)).map {
                    RemovalAct.Target(node: "gone-\($0)", nodeUID: "", serverID: "gone-\($0)", drains: false)
                }, decidedAt: now, deadline: now + .minutes(10), startedAt: now)
        }
    }

    func deletionBudget() -> JSONValue {
        var rules = list("nodeGroups").map { group($0) }
        var sizes = Dictionary(
            list("nodeGroups").map { ($0["id"]?.stringValue ?? "", Int($0["size"]?.intValue ?? 0)) },
            uniquingKeysWith: { first, _ in first })
        let kinds = ["empty", "drain"]
        for kind in kinds {
            for item in document[path: "candidates", kind]?.arrayValue ?? [] {
                guard let id = item["group"]?.stringValue, sizes[id] == nil else { continue }
                sizes[id] = 1_000_000
                rules.append(GroupRules(id: id, min: 0, max: 1_000_000))
            }
        }
        var configuration = configuration()
        configuration.groups = rules
        var engine = Engine(configuration, term: "scenario")
        for rule in rules {
            let size = sizes[rule.id] ?? 0
            _ = engine.apply(
                GroupState(
                    cluster: "scenario", group: rule.id, min: rule.min, max: rule.max, size: size, observedAt: now),
                at: now)
        }
        var selection = RemovalSelection(rules: configuration.scaleDown, now: now)
        let running = document["deletionsInProgress"]
        selection.draining = Int(running?["drain"]?.intValue ?? 0)
        selection.running = selection.draining + Int(running?["empty"]?.intValue ?? 0)
        var candidates: [RemovalSelection.Candidate] = []
        for kind in kinds {
            for item in document[path: "candidates", kind]?.arrayValue ?? [] {
                guard let number = engine.groupNumbers[item["group"]?.stringValue ?? ""] else { continue }
                for _ in 0..<Self.count(item["count"]) {
                    candidates.append(
                        RemovalSelection.Candidate(
                            slot: candidates.count, group: number, zone: "", isEmpty: kind == "empty"))
                }
            }
        }
        var waiting: [Int: Explanation] = [:]
        let chosen = selection.choose(candidates, engine, &waiting)
        var counts: [String: [String: JSONValue]] = ["empty": [:], "drain": [:]]
        for (number, slots) in chosen {
            for slot in slots {
                let kind = candidates[slot].isEmpty ? "empty" : "drain"
                let id = engine.groups[number].rules.id
                let before = counts[kind]?[id]?.intValue ?? 0
                counts[kind]?[id] = .int(before + 1)
            }
        }
        return .object(counts.mapValues { .object($0) })
    }
}
