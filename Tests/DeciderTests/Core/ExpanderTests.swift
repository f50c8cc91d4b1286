import Messages
import Support
import Testing

@testable import Decider

@Suite("Expanders")
struct ExpanderTests {
    /// Groups by id with cores of a node and price; pods of one core wait.
    private func sizes(
        _ expanders: [Expander], pods: Int, _ groups: [(String, Int64, Double?)],
        labels: [String: [String: String]] = [:], shape: PodShape = Stage.shape(cpu: 1_000)
    ) -> [String: Int] {
        let rules = groups.map { id, cores, price in
            var rules = GroupRules(id: id, min: 0, max: 20)
            rules.price = price
            rules.template = GroupRules.Template(
                allocatable: Stage.resources(cpu: cores * 1_000, memory: cores * 2), labels: labels[id] ?? [:])
            return rules
        }
        var stage = Stage(groups: rules) { $0.scaleUp.expanders = expanders }
        stage.snapshot(nodes: [], pods: stage.pods("web", pods, shape))
        for (id, _, _) in groups { stage.group(id, []) }
        stage.evaluate()
        return stage.sizes
    }

    @Test("least-waste takes the nodes that are filled best")
    func leastWaste() {
        #expect(sizes([.leastWaste], pods: 4, [("big", 16, nil), ("mid", 4, nil)]) == ["mid": 1])
        #expect(sizes([.leastWaste], pods: 16, [("big", 16, nil), ("mid", 6, nil)]) == ["big": 1])
    }

    @Test("least-nodes takes the fewest, whatever they waste")
    func leastNodes() {
        #expect(sizes([.leastNodes], pods: 6, [("big", 16, nil), ("mid", 4, nil)]) == ["big": 1])
    }

    @Test("most-pods takes the group that can serve the most; what is left goes to another")
    func mostPods() {
        let shape = Stage.shape(cpu: 1_000)
        let waiting = sizes([.mostPods], pods: 8, [("a", 4, nil), ("b", 4, nil)], shape: shape)
        #expect(waiting == ["a": 2])
        // Group "a" is limited to two nodes, "b" is not: b serves more pods.
        var few = GroupRules(id: "a", min: 0, max: 2)
        few.template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
        var many = GroupRules(id: "b", min: 0, max: 20)
        many.template = GroupRules.Template(allocatable: Stage.resources(cpu: 2_000))
        var stage = Stage(groups: [few, many]) { $0.scaleUp.expanders = [.mostPods] }
        stage.snapshot(nodes: [], pods: stage.pods("web", 12, shape))
        stage.group("a", [])
        stage.group("b", [])
        stage.evaluate()
        #expect(stage.sizes == ["b": 6])
    }

    @Test("price takes the cheapest sum, not the cheapest node; groups without a price come last")
    func price() {
        #expect(sizes([.price], pods: 16, [("big", 16, 1.0), ("mid", 4, 0.3)]) == ["big": 1])
        #expect(sizes([.price], pods: 4, [("big", 16, 1.0), ("mid", 4, 0.3)]) == ["mid": 1])
        #expect(sizes([.price], pods: 4, [("free", 4, nil), ("mid", 4, 0.3)]) == ["mid": 1])
    }

    @Test("priority: the highest pattern that matches; groups that none matches are left out if any is matched")
    func priority() {
        let patterns = [
            PriorityPatterns(priority: 10, patterns: ["^on-demand"]),
            PriorityPatterns(priority: 50, patterns: ["spot", "cheap$"]),
        ]
        let groups: [(String, Int64, Double?)] = [("on-demand-1", 4, nil), ("spot-a", 4, nil), ("x", 4, nil)]
        #expect(sizes([.priority(patterns)], pods: 4, groups) == ["spot-a": 1])
        #expect(sizes([.priority(patterns)], pods: 4, [("on-demand-1", 4, nil), ("x", 4, nil)]) == ["on-demand-1": 1])
        #expect(sizes([.priority(patterns)], pods: 4, [("very-cheap", 4, nil), ("x", 4, nil)]) == ["very-cheap": 1])
        // None matches: no opinion, the next in the chain decides.
        #expect(
            sizes([.priority(patterns), .leastWaste], pods: 4, [("x", 16, nil), ("y", 4, nil)]) == ["y": 1])
    }

    @Test("A chain: each gets the ties of the one before; what ties to the end goes by the id")
    func chain() {
        let patterns = [PriorityPatterns(priority: 1, patterns: ["^p"])]
        let groups: [(String, Int64, Double?)] = [("p1", 16, 2.0), ("p2", 8, 1.0), ("q", 4, 0.1)]
        #expect(sizes([.priority(patterns), .price], pods: 8, groups) == ["p2": 1])
        #expect(sizes([.priority(patterns), .leastNodes, .price], pods: 16, groups) == ["p1": 1])
        #expect(sizes([.leastNodes], pods: 4, [("b", 4, nil), ("a", 4, nil), ("c", 4, nil)]) == ["a": 1])
    }

    @Test("random picks by what it saw: the same again, and not always the same group")
    func random() {
        var picked: Set<String> = []
        for cluster in 0..<40 {
            func pick() -> String? {
                let rules = ["a", "b", "c"].map { id in
                    var rules = GroupRules(id: id, min: 0, max: 5)
                    rules.template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
                    return rules
                }
                var configuration = DeciderConfiguration(cluster: "c\(cluster)", groups: rules)
                configuration.scaleUp.expanders = [.random]
                var engine = Engine(configuration, term: "t")
                let now = Stage.start
                _ = engine.apply(
                    ClusterSnapshot(
                        cluster: "c\(cluster)", epoch: "e", sequence: 1, takenAt: now,
                        shapes: [NumberedShape(id: 0, shape: Stage.shape(cpu: 1_000))],
                        pods: [Pod(uid: "p", name: "p", shape: 0, scheduling: .unschedulable)]), at: now)
                for id in ["a", "b", "c"] {
                    _ = engine.apply(Stage.group(id, [], at: now), at: now)
                }
                for case .scaleDecided(let decision) in engine.evaluate(at: now).decisions { return decision.group }
                return nil
            }
            let first = pick()
            #expect(first != nil)
            #expect(first == pick())
            picked.insert(first ?? "")
        }
        #expect(picked == ["a", "b", "c"])
    }

    @Test("Among equals the zone decides that soft rules on other pods prefer, unless the peer's rule is asked for")
    func softNeighbours() {
        let zone = "topology.kubernetes.io/zone"
        let cache = LabelSelector([Requirement("app", .in, ["cache"])])
        let own = LabelSelector([Requirement("app", .in, ["web"])])
        let changes: [(name: String, zone: String, change: (inout PodShape) -> Void)] = [
            ("none", "a", { _ in }),
            (
                "affinity", "b",
                { $0.podAffinity = [PodAffinityTerm(selector: cache, topologyKey: zone, weight: 1)] }
            ),
            (
                "anti-affinity", "b",
                { $0.podAntiAffinity = [PodAffinityTerm(selector: own, topologyKey: zone, weight: 1)] }
            ),
            (
                "spread", "b",
                {
                    $0.topologySpread = [
                        TopologySpreadConstraint(maxSkew: 1, topologyKey: zone, isHard: false, selector: own)
                    ]
                }
            ),
        ]
        for item in changes {
            for isSoft in [true, false] {
                var stage = Stage(groups: [GroupRules(id: "a", min: 0, max: 9), GroupRules(id: "b", min: 0, max: 9)]) {
                    $0.scaleUp.softTieBreaks = isSoft
                }
                let full = ["a1", "b1"].flatMap { (name: String) in
                    stage.pods("full-\(name)", 1, Stage.shape(cpu: 3_500, app: "full"), on: name)
                }
                stage.snapshot(
                    nodes: [Stage.node("a1", zone: "a"), Stage.node("b1", zone: "b")],
                    pods: full + stage.pods("web", 1, Stage.shape(cpu: 100), on: "a1")
                        + stage.pods("cache", 1, Stage.shape(cpu: 100, app: "cache"), on: "b1")
                        + stage.pods("wait", 2, Stage.shape(cpu: 1_000, item.change)))
                stage.group("a", ["a1"])
                stage.group("b", ["b1"])
                stage.evaluate()
                #expect(stage.sizes == [isSoft ? item.zone : "a": 2], "\(item.name), \(isSoft)")
            }
        }
    }

    @Test("Among equals what the pods would prefer decides, unless the peer's rule is asked for")
    func softTies() {
        let shape = Stage.shape(cpu: 1_000) { shape in
            shape.preferredNodeAffinity = [
                WeightedNodeTerm(
                    weight: 10, term: NodeSelectorTerm(expressions: [Requirement("disk", .in, ["ssd"])]))
            ]
        }
        let groups: [(String, Int64, Double?)] = [("a", 4, nil), ("b", 4, nil)]
        let labels = ["b": ["disk": "ssd"]]
        #expect(sizes([.leastWaste], pods: 4, groups, labels: labels, shape: shape) == ["b": 1])
        #expect(sizes([.leastWaste], pods: 4, groups, labels: labels) == ["a": 1])
    }

    @Test("Pods alike but for what they prefer speak each for themselves, in whatever order they came")
    func softTiesOfMany() {
        func shape(_ disk: String) -> PodShape {
            Stage.shape(cpu: 100) { shape in
                shape.preferredNodeAffinity = [
                    WeightedNodeTerm(
                        weight: 100, term: NodeSelectorTerm(expressions: [Requirement("disk", .in, [disk])]))
                ]
            }
        }
        for isFirst in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "a", min: 0, max: 9), GroupRules(id: "b", min: 0, max: 9)])
            let full = Stage.shape(cpu: 4_000, app: "full")
            if isFirst { _ = stage.number(shape("hdd")) }
            let pods = stage.pods("many", 9, shape("ssd")) + stage.pods("one", 1, shape("hdd"))
            stage.snapshot(
                nodes: [Stage.node("a1", labels: ["disk": "hdd"]), Stage.node("b1", labels: ["disk": "ssd"])],
                pods: pods + stage.pods("x", 1, full, on: "a1") + stage.pods("y", 1, full, on: "b1"))
            stage.group("a", ["a1"])
            stage.group("b", ["b1"])
            stage.evaluate()
            #expect(stage.sizes == ["b": 2], "first: \(isFirst)")
        }
    }
}
