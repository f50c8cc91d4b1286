import Messages
import Support
import Testing

@testable import Decider

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite("Properties on random clusters")
struct PropertyTests {
    struct Case {
        var nodes: [Node] = []
        var shapes: [PodShape] = []
        var pods: [Pod] = []
        var groups: [String: [String]] = [:]
        var rules: [GroupRules] = []
    }

    /// `isRich`: also what plans cannot always serve best, which matters not where only their truth is looked at.
    static func random(_ seed: UInt64, isRich: Bool = false) -> Case {
        var numbers = Seeded(state: seed)
        var made = Case()
        for group in 0..<Int.random(in: 1...3, using: &numbers) {
            let id = "g\(group)"
            let cpu = Int64.random(in: 2...8, using: &numbers) * 1_000
            let tainted = Int.random(in: 0...3, using: &numbers) == 0
            let disk = ["ssd", "hdd"][Int.random(in: 0...1, using: &numbers)]
            let gpus = Int64.random(in: -2...4, using: &numbers)
            made.rules.append(GroupRules(id: id, min: 0, max: Int.random(in: 2...12, using: &numbers)))
            for index in 0..<Int.random(in: 1...4, using: &numbers) {
                let name = "\(id)-n\(index)"
                made.groups[id, default: []].append(name)
                var node = Stage.node(
                    name, cpu: cpu, zone: "z\(group)", labels: ["disk": disk],
                    taints: tainted ? [Taint(key: "team", value: "a", effect: .noSchedule)] : [])
                if gpus > 0 {
                    node.allocatable.extended = ["example.com/gpu": gpus]
                    node.capacity.extended = node.allocatable.extended
                }
                if isRich {
                    node.allocatable.ephemeralStorageBytes = Int64(10 + group) << 30
                    node.labels["generation"] = "\(group + index % 2)"
                }
                made.nodes.append(node)
            }
        }
        for number in 0..<Int.random(in: 2...8, using: &numbers) {
            made.shapes.append(shape(number, isRich: isRich, &numbers))
        }
        for (index, node) in made.nodes.enumerated() where Bool.random(using: &numbers) {
            // Of several shapes; whether the scheduler would have put them there does not matter.
            for number in 0..<(isRich ? Int.random(in: 1...3, using: &numbers) : 1) {
                let shape = isRich ? Int.random(in: 0..<made.shapes.count, using: &numbers) : 0
                made.pods.append(
                    Pod(
                        uid: "run-\(index)-\(number)", name: "run-\(index)-\(number)", shape: shape, node: node.name,
                        phase: .running, scheduling: .scheduled, claims: claims(of: made.shapes[shape])))
            }
        }
        for index in 0..<Int.random(in: 1...40, using: &numbers) {
            let shape = Int.random(in: 0..<made.shapes.count, using: &numbers)
            made.pods.append(
                Pod(
                    uid: "wait-\(index)", name: "wait-\(index)", shape: shape, scheduling: .unschedulable,
                    claims: claims(of: made.shapes[shape])))
        }
        return made
    }

    /// With pods of all shapes on the nodes, several on each, as the scheduler could have put them.
    static func loaded(_ seed: UInt64) -> Case {
        var made = random(seed, isRich: true)
        made.pods.removeAll { $0.node != nil }
        var numbers = Seeded(state: seed &+ 1)
        var cluster = naive(made)
        for index in 0..<40 {
            let shape = Int.random(in: 0..<made.shapes.count, using: &numbers)
            let slot = Int.random(in: 0..<made.nodes.count, using: &numbers)
            guard cluster.allows(made.shapes[shape], on: slot) == nil else { continue }
            cluster.machines[slot]?.pods.append(made.shapes[shape])
            made.pods.append(
                Pod(
                    uid: "run-\(index)", name: "run-\(index)", shape: shape, node: made.nodes[slot].name,
                    phase: .running, scheduling: .scheduled, claims: claims(of: made.shapes[shape])))
        }
        return made
    }

    static func claims(of shape: PodShape) -> [String] {
        shape.labels["claim"].map { ["data-\($0)"] } ?? []
    }

    /// One claim a zone, bound there.
    static let claims = ["z0", "z1", "z2"].map { zone in
        Claim(
            namespace: "default", name: "data-\(zone)", isBound: true,
            nodeAffinity: [NodeSelectorTerm(expressions: [Requirement("topology.kubernetes.io/zone", .in, [zone])])])
    }

    private static func shape(_ number: Int, isRich: Bool, _ numbers: inout Seeded) -> PodShape {
        let app = "a\(Int.random(in: 0...2, using: &numbers))"
        let selector = LabelSelector([Requirement("app", .in, [app])])
        let keys = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        let key = keys[Int.random(in: 0...1, using: &numbers)]
        let kind = Int.random(in: 0...(isRich ? 23 : 11), using: &numbers)
        let cpu = Int64.random(in: 1...30, using: &numbers) * 100
        return Stage.shape(cpu: cpu, memory: 64, app: app, owner: "o\(number)") { shape in
            if kind == 1 { shape.podAntiAffinity = [PodAffinityTerm(selector: selector, topologyKey: key)] }
            if kind == 2 {
                shape.topologySpread = [TopologySpreadConstraint(maxSkew: 1, topologyKey: key, selector: selector)]
            }
            if kind == 2 && number % 2 == 0 { shape.nodeSelector = ["disk": "ssd"] }
            if kind == 3 { shape.hostPorts = [PodShape.HostPort(port: 8_080)] }
            if kind == 4 { shape.nodeSelector = ["disk": "ssd"] }
            if kind == 8 { shape.podAffinity = [PodAffinityTerm(selector: selector, topologyKey: key)] }
            if kind == 9 {
                shape.nodeAffinity = [
                    NodeSelectorTerm(expressions: [Requirement("disk", .notIn, ["ssd"])]),
                    NodeSelectorTerm(expressions: [Requirement("topology.kubernetes.io/zone", .in, ["z0"])]),
                ]
            }
            if kind == 10 { shape.requests.extended = ["example.com/gpu": 1] }
            if kind == 12 {
                shape.requests.ephemeralStorageBytes = Int64.random(in: 1...12, using: &numbers) << 30
            }
            if kind == 13 {
                shape.topologySpread = [
                    TopologySpreadConstraint(
                        maxSkew: 2, topologyKey: key, selector: selector, minDomains: Int32(2 + number % 3))
                ]
            }
            if kind == 11 { shape.labels["claim"] = "z\(number % 3)" }
            if kind >= 5 && kind != 14 { shape.tolerations = [Toleration(key: "team", exists: true)] }
            if isRich { enrich(&shape, kind, number, key, selector) }
        }
    }

    /// Rarer rules.
    private static func enrich(
        _ shape: inout PodShape, _ kind: Int, _ number: Int, _ key: String, _ selector: LabelSelector
    ) {
        if number % 3 == 2 && kind != 11 { shape.namespace = "other" }
        shape.labels["version"] = "v\(number % 2)"
        var spread = TopologySpreadConstraint(maxSkew: 1, topologyKey: key, selector: selector)
        switch kind {
        case 14:
            spread.nodeTaintsPolicy = .honor
            shape.topologySpread = [spread]
        case 15:
            spread.nodeAffinityPolicy = .ignore
            shape.topologySpread = [spread]
            shape.nodeSelector = ["disk": "ssd"]
        case 16:
            spread.matchLabelKeys = ["version"]
            shape.topologySpread = [spread]
        case 17:
            shape.podAntiAffinity = [PodAffinityTerm(selector: selector, namespaces: ["other"], topologyKey: key)]
        case 18:
            let two = LabelSelector([Requirement("tier", .in, ["two"])])
            shape.podAntiAffinity = [PodAffinityTerm(selector: selector, namespaceSelector: two, topologyKey: key)]
        case 19:
            let all = LabelSelector([])
            shape.podAffinity = [PodAffinityTerm(selector: selector, namespaceSelector: all, topologyKey: key)]
        case 20:
            shape.hostPorts = [
                PodShape.HostPort(port: 8_080, address: number % 2 == 0 ? "10.0.0.1" : "10.0.0.2"),
                PodShape.HostPort(port: 53, transport: number % 2 == 0 ? "UDP" : "TCP"),
            ]
        case 21:
            shape.nodeAffinity = [NodeSelectorTerm(expressions: [Requirement("generation", .greaterThan, ["0"])])]
        case 22:
            shape.nodeAffinity = [
                NodeSelectorTerm(expressions: [], fields: [Requirement("metadata.name", .in, ["g0-n0", "g1-n1"])]),
                NodeSelectorTerm(expressions: [Requirement("generation", .lessThan, ["1"])]),
            ]
        case 23:
            shape.nodeAffinity = [
                NodeSelectorTerm(expressions: [Requirement("kubernetes.io/hostname", .notIn, ["g0-n0", "g1-n0"])])
            ]
        default: break
        }
    }

    static func engine(_ made: Case, reversed: Bool = false) -> Engine {
        var engine = Engine(DeciderConfiguration(cluster: "test", groups: made.rules), term: "t")
        let now = Stage.start
        let owners = made.shapes.compactMap { shape in
            shape.owner.map {
                Workload(
                    kind: $0.kind, namespace: shape.namespace, name: $0.name, replicas: 10, currentReplicas: 10)
            }
        }
        let namespaces = NaiveCluster.namespaces.sorted { $0.key < $1.key }
            .map { Namespace(name: $0.key, labels: $0.value) }
        // Turned round, also the numbers that another Collector would give the shapes.
        func number(_ shape: Int) -> Int { reversed ? made.shapes.count - 1 - shape : shape }
        let pods = made.pods.map { pod in
            var pod = pod
            pod.shape = number(pod.shape)
            return pod
        }
        _ = engine.apply(
            ClusterSnapshot(
                cluster: "test", epoch: "e", sequence: 1, takenAt: now,
                shapes: made.shapes.enumerated().map { NumberedShape(id: number($0.offset), shape: $0.element) },
                nodes: reversed ? made.nodes.reversed() : made.nodes, pods: reversed ? pods.reversed() : pods,
                workloads: owners,
                claims: reversed ? claims.reversed() : claims,
                namespaces: reversed ? namespaces.reversed() : namespaces), at: now)
        for rules in made.rules {
            _ = engine.apply(
                Stage.group(rules.id, made.groups[rules.id] ?? [], max: rules.max, at: now), at: now)
        }
        return engine
    }

    /// Everything that is decided at once and after the unneeded time, as text without ids, and all that the ledger says of it.
    static func decisions(_ engine: inout Engine) -> [String] {
        engine.configuration.scaleDown.unneededTime = .zero
        engine.configuration.scaleDown.delayAfterAdd = .zero
        engine.configuration.scaleDown.interval = .zero
        var texts: [String] = []
        for time in [Stage.start, Stage.start + .seconds(1)] {
            let result = engine.evaluate(at: time)
            texts += result.evaluation.pods.map {
                "\($0.pod) \($0.count) \($0.outcome) \($0.group ?? "") \(sorted($0.groups))"
            }
            texts += result.evaluation.nodes.map { "\($0)" }
            texts += result.evaluation.groups.map { "\($0)" }
            texts.append(result.evaluation.summary)
            for decision in result.decisions {
                switch decision {
                case .scaleDecided(let item):
                    texts.append("\(item.group) \(item.from) \(item.to) \(item.reason) \(item.pods)")
                case .removalDecided(let item): texts.append("\(item.group) \(item.nodes)")
                default: texts.append("\(decision)")
                }
            }
        }
        return texts
    }

    private static func sorted(_ groups: [String: Explanation]) -> String {
        groups.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }

    static func sizes(_ engine: inout Engine) -> [String: Int] {
        var sizes: [String: Int] = [:]
        for case .scaleDecided(let decision) in engine.evaluate(at: Stage.start).decisions {
            sizes[decision.group] = decision.to
        }
        return sizes
    }

    @Test("Every pod counted as placed satisfies every hard constraint; no limit is passed", arguments: 0..<300)
    func placements(seed: Int) {
        let made = Self.random(UInt64(seed / 2), isRich: seed % 2 == 1)
        var engine = Self.engine(made)
        engine.assign(at: Stage.start)
        let standings = engine.standings(at: Stage.start)
        var pass = ScaleUpPass(world: engine.model.world)
        engine.collectDemands(&pass, at: Stage.start)
        let asked = pass.demands.reduce(0) { $0 + $1.pods.count }
        engine.placeOnExisting(&pass)
        engine.plan(&pass, standings, at: Stage.start)
        var cluster = NaiveCluster(machines: [:])
        for slot in engine.model.order.map({ Int($0) }) {
            guard let record = engine.model.nodes[slot] else { continue }
            cluster.machines[slot] = NaiveCluster.Machine(
                name: record.node.name, labels: record.node.labels, taints: record.node.taints,
                allocatable: record.node.allocatable,
                pods: record.pods.compactMap { index in
                    engine.model.pods[Int(index)].map { engine.model.catalog.classes[Int($0.podClass)].shape }
                })
        }
        var placed = 0
        for placement in pass.placements + (pass.plan?.placements ?? []) {
            if cluster.machines[placement.node] == nil {
                let nodeClass = engine.model.catalog.nodeClasses[Int(pass.world.nodeClass[placement.node])]
                var labels = nodeClass.labels
                labels["kubernetes.io/hostname"] = pass.world.hosts[placement.node]
                let group = labels["topology.kubernetes.io/zone"].flatMap { Int($0.dropFirst()) } ?? 0
                // As the nodes of its group are, by the input alone.
                let model = made.nodes.first { $0.name.hasPrefix("g\(group)-") }
                cluster.machines[placement.node] = NaiveCluster.Machine(
                    name: pass.world.names[placement.node], labels: labels, taints: nodeClass.taints,
                    allocatable: model?.allocatable ?? ResourceList())
            }
            let shape = engine.model.catalog.classes[placement.podClass].shape
            for _ in 0..<placement.count {
                let objection = cluster.allows(shape, on: placement.node)
                #expect(objection == nil, "seed \(seed): \(shape.labels) on \(placement.node): \(objection ?? "")")
                cluster.machines[placement.node]?.pods.append(shape)
                placed += 1
            }
        }
        #expect(placed + pass.demands.reduce(0) { $0 + $1.open } == asked)
        for (number, growth) in pass.growth {
            #expect(engine.groups[number].target + growth.count <= engine.groups[number].maximum)
        }
    }

    @Test(
        "Equal inputs give equal decisions and an equal ledger, whatever the order in which they came",
        arguments: 0..<200)
    func order(seed: Int) {
        let made =
            seed % 2 == 0 ? Self.random(UInt64(seed / 2) &+ 10_000) : Self.loaded(UInt64(seed) &+ 10_000)
        var first = Self.engine(made)
        var second = Self.engine(made)
        var turned = Self.engine(made, reversed: true)
        let decisions = Self.decisions(&first)
        #expect(decisions == Self.decisions(&second))
        #expect(decisions == Self.decisions(&turned))
    }

    @Test("A scale-down is not followed by a scale-up for the same pods", arguments: 0..<300)
    func noFlapping(seed: Int) {
        expectNoFlapping(seed, consolidates: false)
    }

    @Test("Nor are nodes that others have room for, whatever their load", arguments: 60..<210)
    func noFlappingWhenConsolidating(seed: Int) {
        expectNoFlapping(seed, consolidates: true)
    }

    /// Nodes without pods would go first.
    private static func dropEmpty(_ made: inout Case) {
        let used = Set(made.pods.compactMap(\.node))
        made.nodes.removeAll { !used.contains($0.name) }
        made.groups = made.groups.mapValues { $0.filter { used.contains($0) } }
    }

    @Test("There are such nodes: otherwise that would not have been looked at")
    func emptiedWhenConsolidating() {
        let count = (60..<210).count { !Self.removed($0, consolidates: true).gone.isEmpty }
        #expect(count >= 10, "\(count)")
    }

    /// A cluster, and the nodes of it that are removed.
    private static func removed(_ seed: Int, consolidates: Bool) -> (made: Case, gone: Set<String>) {
        var made = seed < 60 ? Self.random(UInt64(seed) &+ 20_000) : Self.loaded(UInt64(seed) &+ 20_000)
        made.pods.removeAll { $0.node == nil }
        if consolidates { Self.dropEmpty(&made) }
        var engine = Self.engine(made)
        engine.configuration.scaleDown.unneededTime = .zero
        engine.configuration.scaleDown.interval = .zero
        engine.configuration.scaleDown.consolidates = consolidates
        engine.configuration.scaleDown.consolidationGain = 0.05
        // Nothing goes by itself.
        if consolidates { engine.configuration.scaleDown.utilizationThreshold = 0 }
        _ = engine.evaluate(at: Stage.start)
        var gone: Set<String> = []
        for case .removalDecided(let removal) in engine.evaluate(at: Stage.start + .seconds(11)).decisions {
            gone.formUnion(removal.nodes.map(\.node))
        }
        return (made, gone)
    }

    private func expectNoFlapping(_ seed: Int, consolidates: Bool) {
        let (made, gone) = Self.removed(seed, consolidates: consolidates)
        guard !gone.isEmpty else { return }
        // The pods come back as pending ones, while the nodes are drained or when they are gone.
        var after = made
        for number in after.rules.indices { after.rules[number].max += 10 }
        if seed < 60 {
            after.nodes.removeAll { gone.contains($0.name) }
            for group in after.groups.keys { after.groups[group]?.removeAll { gone.contains($0) } }
        } else {
            for index in after.nodes.indices where gone.contains(after.nodes[index].name) {
                after.nodes[index].taints.append(.underRemoval)
            }
        }
        after.pods = after.pods.map { pod in
            guard let node = pod.node, gone.contains(node) else { return pod }
            return Pod(
                uid: pod.uid, name: pod.name, shape: pod.shape, scheduling: .unschedulable, claims: pod.claims)
        }
        var next = Self.engine(after)
        #expect(Self.sizes(&next) == [:], "seed \(seed)")
    }

    /// Pods that get no place, now or on new nodes.
    private static func unserved(_ made: Case, retries: Bool = true) -> Int {
        var engine = engine(made)
        engine.configuration.scaleUp.retriesPlans = retries
        engine.assign(at: Stage.start)
        let standings = engine.standings(at: Stage.start)
        var pass = ScaleUpPass(world: engine.model.world)
        engine.collectDemands(&pass, at: Stage.start)
        engine.placeOnExisting(&pass)
        engine.plan(&pass, standings, at: Stage.start)
        return pass.demands.reduce(0) { $0 + $1.open }
    }

    /// With rules on other pods no scheduler that places one pod after the other has the property by itself: a pod that gets
    /// room in a zone may keep two others out of it. So the engine plans again with less, and takes what serves the most.
    @Test(
        "More room in one group never leaves more pods than a plan without it would, also of pods with rules on others",
        arguments: 0..<100)
    func largerMaximumsWithRules(seed: Int) {
        let made = Self.random(UInt64(seed) &+ 30_000)
        let before = Self.unserved(made, retries: false)
        for number in made.rules.indices {
            var larger = made
            larger.rules[number].max += 3
            #expect(Self.unserved(larger) <= before, "seed \(seed), group \(number)")
        }
    }

    /// Where the attempts reach for every plan that there is, the one that is taken is the best of them; and with more room
    /// there are those without it, and others.
    @Test(
        "More room never leaves more pods, where every plan can be tried: the taken one against the taken one",
        arguments: 0..<200)
    func largerMaximumsWhereAllIsTried(seed: Int) {
        var made = Self.random(UInt64(seed) &+ 70_000, isRich: seed % 2 == 1)
        for number in made.rules.indices {
            let count = made.groups[made.rules[number].id]?.count ?? 0
            made.rules[number].max = min(made.rules[number].max, count + 3)
        }
        let before = Self.unserved(made)
        for number in made.rules.indices {
            var larger = made
            larger.rules[number].max += 2
            #expect(Self.unserved(larger) <= before, "seed \(seed), group \(number)")
        }
    }

    @Test("A plan that is made again never serves fewer pods")
    func retries() {
        for seed in 0..<100 {
            let made = Self.random(UInt64(seed) &+ 30_000)
            let plain = Self.unserved(made, retries: false)
            let best = Self.unserved(made)
            #expect(best <= plain, "seed \(seed)")
        }
    }

    /// Without rules on other pods.
    private static func independent(_ seed: UInt64) -> Case {
        var made = random(seed)
        for index in made.shapes.indices {
            made.shapes[index].podAffinity = []
            made.shapes[index].podAntiAffinity = []
            made.shapes[index].topologySpread = []
        }
        return made
    }

    @Test("More capacity never makes more pods unschedulable: larger maximums", arguments: 0..<150)
    func largerMaximums(seed: Int) {
        var made = Self.independent(UInt64(seed) &+ 30_000)
        var before = Self.unserved(made)
        for number in made.rules.indices {
            made.rules[number].max += 3
            let after = Self.unserved(made)
            #expect(after <= before, "seed \(seed), group \(number)")
            before = after
        }
    }

    /// Groups that are short of room and some pods for one of them only: every plan can be tried.
    @Test(
        "More capacity never makes more pods unschedulable: one node more where groups are nearly full",
        arguments: 0..<300)
    func largerMaximumsNearlyFull(seed: Int) {
        var made = Self.independent(UInt64(seed) &+ 90_000)
        var numbers = Seeded(state: UInt64(seed))
        for index in made.rules.indices {
            made.rules[index].max =
                (made.groups[made.rules[index].id]?.count ?? 0) + Int.random(in: 0...2, using: &numbers)
        }
        for index in made.shapes.indices {
            let zone = Int.random(in: 0...5, using: &numbers)
            made.shapes[index].hostPorts = []
            if zone < 3 { made.shapes[index].nodeSelector["topology.kubernetes.io/zone"] = "z\(zone)" }
        }
        let before = Self.unserved(made)
        for number in made.rules.indices {
            var larger = made
            larger.rules[number].max += 1
            #expect(Self.unserved(larger) <= before, "seed \(seed), group \(number)")
        }
    }

    @Test("More capacity never makes more pods unschedulable: larger nodes", arguments: 0..<100)
    func largerNodes(seed: Int) {
        var made = Self.independent(UInt64(seed) &+ 40_000)
        let before = Self.unserved(made)
        for index in made.nodes.indices { made.nodes[index].allocatable.cpuMillis *= 2 }
        #expect(Self.unserved(made) <= before, "seed \(seed)")
    }

    @Test(
        "No limit is passed: nodes, resources, of all groups or some, of the cloud, and new nodes a minute",
        arguments: 0..<200)
    func limits(seed: Int) {
        var made = Self.random(UInt64(seed) &+ 50_000, isRich: seed % 2 == 1)
        var numbers = Seeded(state: UInt64(seed))
        // Some below their minimum; some that requests from outside are made for.
        if seed % 3 > 0 {
            for index in made.rules.indices {
                made.rules[index].min = Int.random(in: 0...made.rules[index].max, using: &numbers)
            }
        }
        func some(_ most: Int64) -> Int64 { Int64.random(in: 0...most, using: &numbers) }
        func total(_ amount: (ResourceList) -> Int64) -> Int64 {
            made.nodes.reduce(0) { $0 + amount($1.allocatable) }
        }
        let gpu = "example.com/gpu"
        let limits: [String: Int64] = [
            "nodes": Int64(made.nodes.count) + some(4), "cpu": total(\.cpuMillis) / 1_000 + some(20),
            "memory": total(\.memoryBytes) + some(40) << 30, gpu: total { $0.extended[gpu] ?? 0 } + some(4),
        ]
        let first = Int64(made.groups["g0"]?.count ?? 0) + some(3)
        let instances = some(5)
        let members = some(3)
        let minute = Int(some(6))
        var engine = Self.engine(made)
        engine.configuration.limits.maximumNodes = Int(limits["nodes"] ?? 0)
        engine.configuration.scaleUp.maximumNodesPerMinute = minute
        engine.configuration.scaleUp.balancesSimilarGroups = seed % 4 < 2
        engine.configuration.limits.quotas = ["cpu", "memory", gpu].map {
            ClusterLimits.Quota(id: "all", groups: nil, limits: [$0: limits[$0] ?? 0], origin: "test")
        }
        engine.configuration.limits.quotas.append(
            ClusterLimits.Quota(id: "first", groups: ["g0"], limits: ["nodes": first], origin: "test"))
        for rules in made.rules {
            let names = made.groups[rules.id] ?? []
            var state = Stage.group(rules.id, names, min: rules.min, max: rules.max, at: Stage.start)
            state.quotas = [
                GroupState.Quota(
                    name: "instances", used: Int64(made.nodes.count), limit: Int64(made.nodes.count) + instances),
                GroupState.Quota(
                    name: "serverGroupMembers", used: Int64(names.count), limit: Int64(names.count) + members),
            ]
            _ = engine.apply(state, at: Stage.start)
        }
        if seed % 3 > 1 {
            for rules in made.rules where Bool.random(using: &numbers) {
                _ = engine.scaleRequested(
                    ScaleRequested(
                        cluster: "test", id: rules.id, group: rules.id, direction: .up,
                        step: Int.random(in: 1...6, using: &numbers), who: "test", why: "", at: Stage.start,
                        deadline: Stage.start + .minutes(2)), at: Stage.start)
            }
        }
        let sizes = Self.sizes(&engine)
        var totals: [String: Int64] = [:]
        for rules in made.rules {
            let before = made.groups[rules.id]?.count ?? 0
            let size = sizes[rules.id] ?? before
            let each = made.nodes.first { $0.name.hasPrefix(rules.id + "-") }?.allocatable ?? ResourceList()
            totals["nodes", default: 0] += Int64(size)
            totals["cpu", default: 0] += Int64(size) * (each.cpuMillis / 1_000)
            totals["memory", default: 0] += Int64(size) * each.memoryBytes
            totals[gpu, default: 0] += Int64(size) * (each.extended[gpu] ?? 0)
            #expect(size <= max(rules.max, before), "seed \(seed), \(rules.id)")
            #expect(Int64(size - before) <= members, "seed \(seed), \(rules.id)")
            if rules.id == "g0" { #expect(Int64(size) <= first, "seed \(seed)") }
        }
        for (name, limit) in limits { #expect(totals[name] ?? 0 <= limit, "seed \(seed): \(name)") }
        let added = (totals["nodes"] ?? 0) - Int64(made.nodes.count)
        #expect(added <= instances, "seed \(seed)")
        #expect(minute == 0 || added <= Int64(minute), "seed \(seed)")
    }

    @Test("No limit is passed by nodes that replace others either")
    func limitsWhenConsolidating() {
        var replacements = 0
        for seed in 0..<300 {
            var made = Self.loaded(UInt64(seed) &+ 80_000)
            made.pods.removeAll { $0.node == nil }
            Self.dropEmpty(&made)
            var numbers = Seeded(state: UInt64(seed))
            for index in made.rules.indices {
                made.rules[index].price = Double(Int.random(in: 1...9, using: &numbers))
            }
            let free = Int.random(in: 0...3, using: &numbers)
            let minute = Int.random(in: 0...2, using: &numbers)
            var engine = Self.engine(made)
            engine.configuration.limits.maximumNodes = made.nodes.count + free
            engine.configuration.scaleUp.maximumNodesPerMinute = minute
            engine.configuration.scaleDown.interval = .zero
            engine.configuration.scaleDown.unneededTime = .zero
            // Nothing goes by itself.
            engine.configuration.scaleDown.utilizationThreshold = 0
            engine.configuration.scaleDown.consolidates = true
            engine.configuration.scaleDown.consolidationGain = 0.05
            var added = 0
            for time in [Stage.start, Stage.start + .seconds(11), Stage.start + .seconds(22)] {
                for case .scaleDecided(let decision) in engine.evaluate(at: time).decisions {
                    replacements += 1
                    added += decision.to - decision.from
                    let most = made.rules.first { $0.id == decision.group }?.max ?? 0
                    #expect(decision.to <= most, "seed \(seed), \(decision.group)")
                }
            }
            #expect(added <= free, "seed \(seed)")
            #expect(minute == 0 || added <= minute, "seed \(seed)")
        }
        #expect(replacements > 0, "nothing was replaced: the property was not looked at")
    }

    @Test("Where the pods of removed nodes go, every one of them may run when it comes", arguments: 0..<300)
    func removals(seed: Int) {
        var made = Self.loaded(UInt64(seed) &+ 60_000)
        made.pods.removeAll { $0.node == nil }
        let engine = Self.engine(made)
        var simulator = RemovalSimulator(
            engine.model, world: engine.model.world, drain: DrainRules(), now: Stage.start,
            destinations: engine.model.order)
        var cluster = Self.naive(made)
        for slot in engine.model.order.map({ Int($0) }) {
            guard simulator.tryRemoving(slot).isRemovable else { continue }
            let machine = Self.number(engine, slot, made)
            // Everything off, also what an earlier removal put there; the node is marked until it is gone.
            let leaving = cluster.machines[machine]?.pods ?? []
            cluster.machines[machine]?.pods = []
            cluster.machines[machine]?.taints.append(.underRemoval)
            var moved: [PodShape] = []
            for move in simulator.lastMoves {
                let shape = engine.model.catalog.classes[move.podClass].shape
                let target = Self.number(engine, move.node, made)
                for _ in 0..<move.count {
                    let objection = cluster.allows(shape, on: target)
                    #expect(
                        objection == nil,
                        "seed \(seed): \(shape.labels) on \(made.nodes[target].name): \(objection ?? "")")
                    cluster.machines[target]?.pods.append(shape)
                    moved.append(shape)
                }
            }
            #expect(Self.kinds(moved) == Self.kinds(leaving), "seed \(seed): no pod is lost")
        }
    }

    /// How many pods of each requests: those that behave alike stand for one another.
    private static func kinds(_ shapes: [PodShape]) -> [ResourceList: Int] {
        shapes.reduce(into: [:]) { $0[$1.requests, default: 0] += 1 }
    }

    private static func number(_ engine: Engine, _ slot: Int, _ made: Case) -> Int {
        made.nodes.firstIndex { $0.name == engine.model.world.names[slot] } ?? -1
    }

    private static func naive(_ made: Case) -> NaiveCluster {
        var cluster = NaiveCluster(machines: [:])
        for (index, node) in made.nodes.enumerated() {
            cluster.machines[index] = NaiveCluster.Machine(
                name: node.name, labels: node.labels, taints: node.taints, allocatable: node.allocatable,
                pods: made.pods.filter { $0.node == node.name }.map { made.shapes[$0.shape] })
        }
        return cluster
    }
}
