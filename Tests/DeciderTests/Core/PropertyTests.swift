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
        for constraint in shape.topologySpread { if breaks(constraint, shape, machine) { return "spread" } }
        return nil
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
        let least = counts.values.min() ?? 0
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

    static func random(_ seed: UInt64) -> Case {
        var numbers = Seeded(state: seed)
        var made = Case()
        for group in 0..<Int.random(in: 1...3, using: &numbers) {
            let id = "g\(group)"
            let cpu = Int64.random(in: 2...8, using: &numbers) * 1_000
            let tainted = Int.random(in: 0...3, using: &numbers) == 0
            let disk = ["ssd", "hdd"][Int.random(in: 0...1, using: &numbers)]
            made.rules.append(GroupRules(id: id, min: 0, max: Int.random(in: 2...12, using: &numbers)))
            for index in 0..<Int.random(in: 1...4, using: &numbers) {
                let name = "\(id)-n\(index)"
                made.groups[id, default: []].append(name)
                made.nodes.append(
                    Stage.node(
                        name, cpu: cpu, zone: "z\(group)", labels: ["disk": disk],
                        taints: tainted ? [Taint(key: "team", value: "a", effect: .noSchedule)] : []))
            }
        }
        for number in 0..<Int.random(in: 2...8, using: &numbers) {
            made.shapes.append(shape(number, &numbers))
        }
        for (index, node) in made.nodes.enumerated() where Bool.random(using: &numbers) {
            made.pods.append(
                Pod(
                    uid: "run-\(index)", name: "run-\(index)", shape: 0, node: node.name, phase: .running,
                    scheduling: .scheduled))
        }
        for index in 0..<Int.random(in: 1...40, using: &numbers) {
            made.pods.append(
                Pod(
                    uid: "wait-\(index)", name: "wait-\(index)",
                    shape: Int.random(in: 0..<made.shapes.count, using: &numbers), scheduling: .unschedulable))
        }
        return made
    }

    private static func shape(_ number: Int, _ numbers: inout Seeded) -> PodShape {
        let app = "a\(Int.random(in: 0...2, using: &numbers))"
        let selector = LabelSelector([Requirement("app", .in, [app])])
        let keys = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        let key = keys[Int.random(in: 0...1, using: &numbers)]
        let kind = Int.random(in: 0...7, using: &numbers)
        let cpu = Int64.random(in: 1...30, using: &numbers) * 100
        return Stage.shape(cpu: cpu, memory: 64, app: app, owner: "o\(number)") { shape in
            if kind == 1 { shape.podAntiAffinity = [PodAffinityTerm(selector: selector, topologyKey: key)] }
            if kind == 2 {
                shape.topologySpread = [TopologySpreadConstraint(maxSkew: 1, topologyKey: key, selector: selector)]
            }
            if kind == 3 { shape.hostPorts = [PodShape.HostPort(port: 8_080)] }
            if kind == 4 { shape.nodeSelector = ["disk": "ssd"] }
            if kind >= 5 { shape.tolerations = [Toleration(key: "team", exists: true)] }
        }
    }

    static func engine(_ made: Case, reversed: Bool = false) -> Engine {
        var engine = Engine(DeciderConfiguration(cluster: "test", groups: made.rules), term: "t")
        let now = Stage.start
        let owners = made.shapes.compactMap(\.owner).map {
            Workload(kind: $0.kind, namespace: "default", name: $0.name, replicas: 10, currentReplicas: 10)
        }
        _ = engine.apply(
            ClusterSnapshot(
                cluster: "test", epoch: "e", sequence: 1, takenAt: now,
                shapes: made.shapes.enumerated().map { NumberedShape(id: $0.offset, shape: $0.element) },
                nodes: reversed ? made.nodes.reversed() : made.nodes,
                pods: reversed ? made.pods.reversed() : made.pods, workloads: owners), at: now)
        for rules in made.rules {
            _ = engine.apply(
                Stage.group(rules.id, made.groups[rules.id] ?? [], max: rules.max, at: now), at: now)
        }
        return engine
    }

    static func sizes(_ engine: inout Engine) -> [String: Int] {
        var sizes: [String: Int] = [:]
        for case .scaleDecided(let decision) in engine.evaluate(at: Stage.start).decisions {
            sizes[decision.group] = decision.to
        }
        return sizes
    }

    @Test("Every pod counted as placed satisfies every hard constraint; no limit is passed", arguments: 0..<150)
    func placements(seed: Int) {
        let made = Self.random(UInt64(seed))
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
                let vector = engine.templates[group]?.allocatable ?? []
                cluster.machines[placement.node] = NaiveCluster.Machine(
                    labels: labels, taints: nodeClass.taints,
                    allocatable: ResourceList(cpuMillis: vector[0], memoryBytes: vector[1], pods: vector[3]))
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
        let sizes = Self.sizes(&first)
        #expect(sizes == Self.sizes(&second))
        #expect(sizes == Self.sizes(&turned))
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
            return Pod(uid: pod.uid, name: pod.name, shape: pod.shape, scheduling: .unschedulable)
        }
        var next = Self.engine(after)
        #expect(Self.sizes(&next) == [:], "seed \(seed)")
    }
}
