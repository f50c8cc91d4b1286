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

/// The scheduler's hard constraints written down once more, slowly and without any index.
struct NaiveCluster {
    struct Machine {
        var labels: [String: String]
        var taints: [Taint]
        var allocatable: ResourceList
        var pods: [PodShape] = []
    }

    var machines: [Int: Machine]

    func allows(_ shape: PodShape, on slot: Int) -> String? {
        guard let machine = machines[slot] else { return "no such node" }
        var cpu = shape.requests.cpuMillis
        var memory = shape.requests.memoryBytes
        for pod in machine.pods {
            cpu += pod.requests.cpuMillis
            memory += pod.requests.memoryBytes
        }
        if cpu > machine.allocatable.cpuMillis { return "cpu" }
        if memory > machine.allocatable.memoryBytes { return "memory" }
        let storage = machine.pods.reduce(shape.requests.ephemeralStorageBytes) {
            $0 + $1.requests.ephemeralStorageBytes
        }
        if shape.requests.ephemeralStorageBytes > 0 && storage > machine.allocatable.ephemeralStorageBytes {
            return "storage"
        }
        for (name, amount) in shape.requests.extended {
            let used = machine.pods.reduce(amount) { $0 + ($1.requests.extended[name] ?? 0) }
            if used > machine.allocatable.extended[name] ?? 0 { return name }
        }
        // A shape with this label has a claim that is bound in that zone.
        if let zone = shape.labels["claim"], machine.labels["topology.kubernetes.io/zone"] != zone { return "volume" }
        if let terms = shape.nodeAffinity, !terms.contains(where: { $0.matches(labels: machine.labels, nodeName: "") })
        {
            return "node affinity"
        }
        if Int64(machine.pods.count) + 1 > machine.allocatable.pods { return "pods" }
        for (key, value) in shape.nodeSelector where machine.labels[key] != value { return "selector" }
        for taint in machine.taints where taint.effect != .preferNoSchedule {
            if !shape.tolerations.contains(where: { $0.tolerates(taint) }) { return "taint" }
        }
        for port in shape.hostPorts {
            if machine.pods.contains(where: { $0.hostPorts.contains { $0.port == port.port } }) { return "port" }
        }
        for term in shape.podAntiAffinity {
            if pods(near: machine, term.topologyKey).contains(where: { term.selector?.matches($0.labels) ?? false }) {
                return "anti-affinity"
            }
        }
        for other in pods(inReachOf: machine) {
            for term in other.shape.podAntiAffinity where term.selector?.matches(shape.labels) ?? false {
                if let value = machine.labels[term.topologyKey], other.labels[term.topologyKey] == value {
                    return "anti-affinity of another"
                }
            }
        }
        for term in shape.podAffinity where !together(term, shape, machine) { return "affinity" }
        for constraint in shape.topologySpread { if breaks(constraint, shape, machine) { return "spread" } }
        return nil
    }

    /// A pod that matches is in the domain; or none is anywhere, and the pod matches itself.
    private func together(_ term: PodAffinityTerm, _ shape: PodShape, _ machine: Machine) -> Bool {
        guard machine.labels[term.topologyKey] != nil else { return false }
        func matches(_ labels: [String: String]) -> Bool { term.selector?.matches(labels) ?? false }
        if pods(near: machine, term.topologyKey).contains(where: { matches($0.labels) }) { return true }
        // A pod on a node without the key is in no domain and counts nowhere.
        let anywhere = machines.values.contains { other in
            other.labels[term.topologyKey] != nil && other.pods.contains { matches($0.labels) }
        }
        return !anywhere && matches(shape.labels)
    }

    private func pods(near machine: Machine, _ key: String) -> [PodShape] {
        guard let value = machine.labels[key] else { return [] }
        return machines.values.filter { $0.labels[key] == value }.flatMap(\.pods)
    }

    private func pods(inReachOf machine: Machine) -> [(shape: PodShape, labels: [String: String])] {
        machines.values.flatMap { other in other.pods.map { ($0, other.labels) } }
    }

    private func breaks(_ constraint: TopologySpreadConstraint, _ shape: PodShape, _ machine: Machine) -> Bool {
        guard let own = machine.labels[constraint.topologyKey] else { return true }
        var counts: [String: Int] = [:]
        for other in machines.values {
            guard let value = other.labels[constraint.topologyKey],
                shape.nodeSelector.allSatisfy({ other.labels[$0.key] == $0.value })
            else { continue }
            counts[value, default: 0] += other.pods.filter { constraint.selector?.matches($0.labels) ?? false }.count
        }
        // With fewer domains than are asked for the emptiest one is none of them.
        let isShort = counts.count < Int(constraint.minDomains ?? 1)
        let least = isShort ? 0 : counts.values.min() ?? 0
        return (counts[own] ?? 0) + 1 - least > Int(constraint.maxSkew)
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
                if gpus > 0 { node.allocatable.extended = ["example.com/gpu": gpus] }
                if isRich { node.allocatable.ephemeralStorageBytes = Int64(10 + group) << 30 }
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
        let kind = Int.random(in: 0...(isRich ? 13 : 11), using: &numbers)
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
            if kind >= 5 { shape.tolerations = [Toleration(key: "team", exists: true)] }
        }
    }

    static func engine(_ made: Case, reversed: Bool = false) -> Engine {
        var engine = Engine(DeciderConfiguration(cluster: "test", groups: made.rules), term: "t")
        let now = Stage.start
        let owners = made.shapes.compactMap(\.owner).map {
            Workload(kind: $0.kind, namespace: "default", name: $0.name, replicas: 10, currentReplicas: 10)
        }
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
                claims: reversed ? claims.reversed() : claims), at: now)
        for rules in made.rules {
            _ = engine.apply(
                Stage.group(rules.id, made.groups[rules.id] ?? [], max: rules.max, at: now), at: now)
        }
        return engine
    }

    /// Everything that is decided at once and after the unneeded time, as text without ids.
    static func decisions(_ engine: inout Engine) -> [String] {
        engine.configuration.scaleDown.unneededTime = .zero
        engine.configuration.scaleDown.delayAfterAdd = .zero
        engine.configuration.scaleDown.interval = .zero
        var texts: [String] = []
        for time in [Stage.start, Stage.start + .seconds(1)] {
            for decision in engine.evaluate(at: time).decisions {
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
        engine.assign()
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
                labels: record.node.labels, taints: record.node.taints, allocatable: record.node.allocatable,
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
                    labels: labels, taints: nodeClass.taints, allocatable: model?.allocatable ?? ResourceList())
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

    @Test("Equal inputs give equal decisions, whatever the order in which they came", arguments: 0..<100)
    func order(seed: Int) {
        let made = Self.random(UInt64(seed) &+ 10_000)
        var first = Self.engine(made)
        var second = Self.engine(made)
        var turned = Self.engine(made, reversed: true)
        let decisions = Self.decisions(&first)
        #expect(decisions == Self.decisions(&second))
        #expect(decisions == Self.decisions(&turned))
    }

    @Test("A scale-down is not followed by a scale-up for the same pods", arguments: 0..<60)
    func noFlapping(seed: Int) {
        var made = Self.random(UInt64(seed) &+ 20_000)
        made.pods.removeAll { $0.node == nil }
        var engine = Self.engine(made)
        engine.configuration.scaleDown.unneededTime = .zero
        engine.configuration.scaleDown.interval = .zero
        _ = engine.evaluate(at: Stage.start)
        var gone: Set<String> = []
        for case .removalDecided(let removal) in engine.evaluate(at: Stage.start + .seconds(1)).decisions {
            gone.formUnion(removal.nodes.map(\.node))
        }
        guard !gone.isEmpty else { return }
        // The nodes go, their pods come back as pending ones.
        var after = made
        after.nodes.removeAll { gone.contains($0.name) }
        for group in after.groups.keys { after.groups[group]?.removeAll { gone.contains($0) } }
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
        engine.assign()
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
        let before = Self.unserved(made)
        for number in made.rules.indices {
            made.rules[number].max += 3
            #expect(Self.unserved(made) <= before, "seed \(seed), group \(number)")
        }
    }

    @Test("More capacity never makes more pods unschedulable: larger nodes", arguments: 0..<100)
    func largerNodes(seed: Int) {
        var made = Self.independent(UInt64(seed) &+ 40_000)
        let before = Self.unserved(made)
        for index in made.nodes.indices { made.nodes[index].allocatable.cpuMillis *= 2 }
        #expect(Self.unserved(made) <= before, "seed \(seed)")
    }

    @Test("No limit of the cluster is passed", arguments: 0..<100)
    func limits(seed: Int) {
        let made = Self.random(UInt64(seed) &+ 50_000)
        var numbers = Seeded(state: UInt64(seed))
        var engine = Self.engine(made)
        let nodes = made.nodes.count + Int.random(in: 0...4, using: &numbers)
        let cores =
            made.nodes.reduce(0) { $0 + $1.allocatable.cpuMillis } / 1_000 + Int64.random(in: 0...20, using: &numbers)
        engine.configuration.limits.maximumNodes = nodes
        engine.configuration.limits.quotas = [
            ClusterLimits.Quota(id: "all", groups: nil, limits: ["cpu": cores], origin: "test")
        ]
        let sizes = Self.sizes(&engine)
        var totals = (nodes: 0, cores: Int64(0))
        for rules in made.rules {
            let size = sizes[rules.id] ?? made.groups[rules.id]?.count ?? 0
            let each = made.nodes.first { $0.name.hasPrefix(rules.id + "-") }?.allocatable.cpuMillis ?? 0
            totals.nodes += size
            totals.cores += Int64(size) * (each / 1_000)
            #expect(size <= max(rules.max, made.groups[rules.id]?.count ?? 0))
        }
        #expect(totals.nodes <= nodes, "seed \(seed)")
        #expect(totals.cores <= cores, "seed \(seed)")
    }

    @Test("Where the pods of removed nodes go, every one of them may run", arguments: 0..<150)
    func removals(seed: Int) {
        var made = Self.random(UInt64(seed) &+ 60_000)
        made.pods.removeAll { $0.node == nil }
        var numbers = Seeded(state: UInt64(seed))
        // More of them, of all shapes, as the scheduler could have put them.
        var cluster = Self.naive(made)
        for index in 0..<12 {
            let shape = Int.random(in: 0..<made.shapes.count, using: &numbers)
            let slot = Int.random(in: 0..<made.nodes.count, using: &numbers)
            guard cluster.allows(made.shapes[shape], on: slot) == nil else { continue }
            cluster.machines[slot]?.pods.append(made.shapes[shape])
            made.pods.append(
                Pod(
                    uid: "more-\(index)", name: "more-\(index)", shape: shape, node: made.nodes[slot].name,
                    phase: .running, scheduling: .scheduled, claims: Self.claims(of: made.shapes[shape])))
        }
        let engine = Self.engine(made)
        let order = engine.model.order.map { Int($0) }
        var simulator = RemovalSimulator(
            engine.model, world: engine.model.world, drain: DrainRules(), now: Stage.start,
            destinations: engine.model.order)
        let gone = order.filter { simulator.tryRemoving($0).isRemovable }
        // The end state, pod by pod: each has to be allowed beside all others.
        var after = Self.naive(made)
        for slot in gone { after.machines[Self.number(engine, slot, made)]?.pods = [] }
        for (slot, held) in simulator.received {
            #expect(!gone.contains(slot))
            for item in held {
                for _ in 0..<item.count {
                    after.machines[Self.number(engine, slot, made)]?.pods.append(
                        engine.model.catalog.classes[item.podClass].shape)
                }
            }
        }
        let count = { (cluster: NaiveCluster) in cluster.machines.values.reduce(0) { $0 + $1.pods.count } }
        #expect(count(after) == count(Self.naive(made)), "seed \(seed): no pod is lost")
        for (slot, held) in simulator.received {
            let machine = Self.number(engine, slot, made)
            for item in held {
                let shape = engine.model.catalog.classes[item.podClass].shape
                // Spread is judged when a pod is placed; later moves may undo it, as in a real cluster.
                guard shape.topologySpread.isEmpty, shape.podAffinity.isEmpty else { continue }
                var without = after
                guard let place = without.machines[machine]?.pods.firstIndex(of: shape) else { continue }
                without.machines[machine]?.pods.remove(at: place)
                let objection = without.allows(shape, on: machine)
                #expect(
                    objection == nil, "seed \(seed): \(shape.labels) on \(made.nodes[machine].name): \(objection ?? "")"
                )
            }
        }
    }

    private static func number(_ engine: Engine, _ slot: Int, _ made: Case) -> Int {
        made.nodes.firstIndex { $0.name == engine.model.world.names[slot] } ?? -1
    }

    private static func naive(_ made: Case) -> NaiveCluster {
        var cluster = NaiveCluster(machines: [:])
        for (index, node) in made.nodes.enumerated() {
            cluster.machines[index] = NaiveCluster.Machine(
                labels: node.labels, taints: node.taints, allocatable: node.allocatable,
                pods: made.pods.filter { $0.node == node.name }.map { made.shapes[$0.shape] })
        }
        return cluster
    }
}
