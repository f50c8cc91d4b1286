import JSONReader
import Messages
import Support

extension Scenario {
    /// A number of things, within what can be: a file may say anything.
    static func count(_ value: JSONValue?) -> Int { Int(min(max(0, value?.intValue ?? 0), 100_000)) }

    func estimate() -> JSONValue {
        let engine = engine()
        guard let template = engine.templates.first ?? nil else { return .object([:]) }
        var pass = ScaleUpPass(world: engine.model.world)
        engine.collectDemands(&pass, at: now)
        let limit = engine.configuration.scaleUp.maximumNodesPerDecision
        var estimator = Estimator(template: template, group: 0, limit: limit > 0 ? limit : Int.max)
        estimator.fillsOthers = true
        var catalog = engine.model.catalog
        let option = estimator.run(pass.demands, keepsOrder: true, &pass.world, &catalog)
        var placed: [String: JSONValue] = [:]
        for item in list("pods") { if let name = item["name"]?.stringValue { placed[name] = 0 } }
        for (index, count) in option.placed {
            for pod in pass.demands[index].pods.prefix(count) {
                let name = baseName(engine, pod)
                placed[name] = .int((placed[name]?.intValue ?? 0) + 1)
            }
        }
        return .object([
            "newNodes": .int(Int64(option.nodes)), "podsPlaced": .int(Int64(option.podCount)),
            "placedPods": .object(placed),
        ])
    }

    /// The name in the file of a replica.
    private func baseName(_ engine: Engine, _ pod: Int32) -> String {
        guard let record = engine.model.pods[Int(pod)], let rank = Int(record.uid.prefix(6)),
            list("pods").indices.contains(rank)
        else { return "" }
        return list("pods")[rank]["name"]?.stringValue ?? ""
    }

    private func name(_ engine: Engine, _ pod: Int32) -> JSONValue {
        .string(engine.model.pods[Int(pod)]?.name ?? "")
    }

    func scaleUp() -> JSONValue {
        var engine = engine()
        let standings = engine.standings(at: now)
        let (world, upcoming) = engine.worldWithUpcoming(standings, at: now)
        var pass = ScaleUpPass(world: world)
        pass.upcoming = upcoming
        engine.collectDemands(&pass, at: now)
        // The peer's tests enter after the filter for pods that fit.
        engine.plan(&pass, standings, at: now)
        engine.enforceMinimums(&pass, standings, at: now)
        var added: [String: JSONValue] = [:]
        var targets: [String: JSONValue] = [:]
        var options: [String: JSONValue] = [:]
        for number in engine.groups.indices {
            let id = engine.groups[number].rules.id
            let count = pass.growth[number]?.count ?? 0
            if count > 0 { added[id] = .int(Int64(count)) }
            targets[id] = .int(Int64(engine.groups[number].target + count))
        }
        for option in pass.plan?.options ?? [] {
            options[engine.groups[option.group].rules.id] = .int(Int64(option.nodes))
        }
        var triggered: [JSONValue] = []
        var remaining: [JSONValue] = []
        var awaiting: [JSONValue] = []
        var events: [String: JSONValue] = [:]
        for (index, demand) in pass.demands.enumerated() {
            let count = added.isEmpty ? 0 : pass.plan?.triggered[index] ?? 0
            for pod in demand.pods.prefix(count) {
                triggered.append(name(engine, pod))
                events[name(engine, pod).stringValue ?? ""] = "TriggeredScaleUp"
            }
            let isHopeless =
                pass.plan?.refusal != nil
                || engine.groups.indices.allSatisfy { pass.plan?.obstacles[index][$0] != nil }
                || pass.plan?.options.isEmpty ?? true
            for pod in demand.pods.dropFirst(count) {
                if isHopeless {
                    remaining.append(name(engine, pod))
                    events[name(engine, pod).stringValue ?? ""] = "NotTriggerScaleUp"
                } else if let best = pass.plan?.best, pass.plan?.obstacles[index][best] != nil {
                    // Another group could take it.
                    awaiting.append(name(engine, pod))
                }
            }
        }
        return .object([
            "scaleUp": .object(added), "targetSizes": .object(targets), "options": .object(options),
            "triggered": .array(triggered), "remainUnschedulable": .array(remaining),
            "awaitEvaluation": .array(awaiting), "podEvents": .object(events),
        ])
    }

    func pendingFilter() -> JSONValue {
        var engine = engine()
        let standings = engine.standings(at: now)
        let (world, upcoming) = engine.worldWithUpcoming(standings, at: now)
        var pass = ScaleUpPass(world: world)
        pass.upcoming = upcoming
        engine.collectDemands(&pass, at: now)
        let considered = pass.demands.flatMap { $0.pods.map { name(engine, $0) } }
        engine.placeOnExisting(&pass)
        var fitting: [JSONValue] = []
        var pending: [JSONValue] = []
        for (index, demand) in pass.demands.enumerated() {
            fitting += demand.pods.prefix(pass.fitting[index]).map { name(engine, $0) }
            pending += demand.pods.dropFirst(pass.fitting[index]).map { name(engine, $0) }
        }
        return .object([
            "considered": .array(considered), "fitOnExisting": .array(fitting), "stillPending": .array(pending),
        ])
    }

    func balance() -> JSONValue {
        let groups = list("nodeGroups")
        let count = Int(document["newNodes"]?.intValue ?? 0)
        let added = Balancer.spread(
            count,
            over: groups.map {
                Balancer.Group(size: Int($0["size"]?.intValue ?? 0), maximum: Int($0["max"]?.intValue ?? 0))
            })
        var sizes: [String: JSONValue] = [:]
        for (group, extra) in zip(groups, added) where extra > 0 {
            sizes[group["id"]?.stringValue ?? ""] = .int((group["size"]?.intValue ?? 0) + Int64(extra))
        }
        return .object(["newSizes": .object(sizes)])
    }

    func similarNodes() -> JSONValue {
        let nodes = list("nodes")
        guard nodes.count == 2 else { return .object([:]) }
        let samples = nodes.map { node in
            let allocatable = Self.amounts(node["allocatable"])
            var free = allocatable
            for pod in list("pods") where pod["node"] == node["name"] {
                for (name, amount) in Self.amounts(pod["requests"]) { free[name, default: 0] -= amount }
            }
            return Similarity.Sample(
                labels: ScenarioValues.texts(node["labels"]),
                capacity: node["capacity"].map { Self.amounts($0) } ?? allocatable, allocatable: allocatable,
                free: free)
        }
        let alike = Similarity.alike(samples[0], samples[1], configuration().scaleUp.similarity)
        return .object(["similar": .bool(alike)])
    }

    private static func amounts(_ value: JSONValue?) -> [String: Int64] {
        var amounts: [String: Int64] = [:]
        for (name, amount) in value?.objectValue ?? [:] {
            amounts[name] = ScenarioValues.quantity(amount, millis: name == "cpu")
        }
        return amounts
    }

    func expander() -> JSONValue {
        var configuration = configuration()
        let patterns = list("priorities").map { item in
            PriorityPatterns(
                priority: Int(item["priority"]?.intValue ?? 0), patterns: ScenarioValues.list(item["regex"]))
        }
        configuration.scaleUp.expanders = configuration.scaleUp.expanders.map {
            if case .priority = $0 { .priority(patterns) } else { $0 }
        }
        var model = ClusterModel(cluster: "scenario", expendableCutoff: Int32.min)
        var candidates: [GrowthCandidate] = []
        var options: [ScaleUpOption] = []
        for (index, item) in list("options").enumerated() {
            let template = self.template(item["template"] ?? .object([:]))
            let allocatable = template.allocatable ?? ResourceList()
            var candidate = GrowthCandidate(
                id: item["group"]?.stringValue ?? "", target: 0, maximum: Int.max,
                template: model.template(
                    labels: template.labels, taints: template.taints, allocatable: allocatable,
                    capacity: template.capacity ?? allocatable, origin: "scenario"))
            candidate.price = item["price"]?.doubleValue
            candidates.append(candidate)
            var requested = ResourceList()
            var pods = 0
            for pod in item["pods"]?.arrayValue ?? [] {
                let count = Int64(pod["count"].map(Self.count) ?? 1)
                let each = ScenarioValues.resources(pod["requests"])
                requested.cpuMillis += each.cpuMillis * count
                requested.memoryBytes += each.memoryBytes * count
                pods += Int(count)
            }
            if let count = item["podCount"]?.intValue { pods = Int(count) }
            options.append(
                ScaleUpOption(
                    group: index, nodes: Int(item["nodeCount"]?.intValue ?? 1), placed: [0: pods],
                    requested: model.catalog.vector(requested)))
        }
        let chain = ExpanderChain(expanders: configuration.scaleUp.expanders, candidates: candidates, seed: 0)
        return .object(["best": .array(chain.best(options).map { .string(candidates[$0.group].id) })])
    }

    func templateKind() -> JSONValue {
        var engine = engine()
        guard let slot = engine.model.order.first.map({ Int($0) }), let node = engine.model.nodes[slot]?.node else {
            return .object([:])
        }
        let force = engine.configuration.scaleUp.forcesDaemonSets
        let kept = engine.model.keptPods(on: slot)
        var names = kept.map { name(engine, $0) }
        let template = engine.model.template(from: slot, forceDaemonSets: force)
        for podClass in (template?.carried ?? []).dropFirst(kept.count) {
            names.append(.string(engine.model.catalog.classes[podClass].shape.owner?.name ?? ""))
        }
        return .object([
            "templatePods": .array(names),
            "taintsKept": .array(ClusterModel.templateTaints(node.taints).map { .string($0.key) }),
        ])
    }
}
