import Messages
import Support
import Testing

@testable import Decider

@Suite("More room and the pods that get none of it")
struct RetryTests {
    private static let zone = "topology.kubernetes.io/zone"

    /// Groups `a` and `b` in one zone. Two pods `y` may run in `a` only, `x` in both, but not in a zone with `y`.
    private func stage(b: Int, retries: Bool, priority: Int32? = nil) -> Stage {
        var rules = [GroupRules(id: "a", min: 0, max: 1), GroupRules(id: "b", min: 0, max: b)]
        rules[0].template = GroupRules.Template(
            allocatable: Stage.resources(cpu: 4_000), labels: [Self.zone: "z", "kind": "a"])
        rules[1].template = GroupRules.Template(
            allocatable: Stage.resources(cpu: 1_000), labels: [Self.zone: "z", "kind": "b"])
        var stage = Stage(groups: rules) { $0.scaleUp.retriesPlans = retries }
        let alone = Stage.shape(cpu: 1_000, app: "x") { shape in
            shape.priority = priority
            shape.podAntiAffinity = [
                PodAffinityTerm(selector: LabelSelector([Requirement("app", .in, ["y"])]), topologyKey: Self.zone)
            ]
        }
        let bound = Stage.shape(cpu: 1_900, app: "y") { $0.nodeSelector = ["kind": "a"] }
        stage.snapshot(nodes: [], pods: stage.pods("x", 1, alone) + stage.pods("y", 2, bound))
        stage.group("a", [], max: 1)
        stage.group("b", [], max: b)
        stage.evaluate()
        return stage
    }

    private func served(_ stage: Stage) -> Int {
        stage.record?.pods.filter { $0.group != nil }.map(\.count).reduce(0, +) ?? 0
    }

    @Test("The larger pods, nodes and groups make each plan, the fewer are made")
    func attempts() {
        #expect(ScaleUpPlanner.attempts(pods: 30, nodes: 20, groups: 4) == 200)
        #expect(ScaleUpPlanner.attempts(pods: 5_000, nodes: 0, groups: 4) == 10)
        #expect(ScaleUpPlanner.attempts(pods: 30, nodes: 5_000, groups: 4) == 24)
        #expect(ScaleUpPlanner.attempts(pods: 30, nodes: 5_000, groups: 500) == 8)
        #expect(ScaleUpPlanner.attempts(pods: 5_001, nodes: 20, groups: 4) == 0)
    }

    @Test("The first plan serves fewer pods when another group may grow as well; the plan that is taken does not")
    func example() {
        #expect(served(stage(b: 0, retries: false)) == 2)
        #expect(served(stage(b: 1, retries: false)) == 1)
        let best = stage(b: 1, retries: true)
        #expect(served(best) == 2)
        #expect(best.sizes == ["a": 1])
        // It is said why the other group is not used.
        let bound = best.record?.groups.first { $0.group == "b" }?.bound.first
        #expect(bound?.reason == .heldBack)
        #expect(bound?.detail == "at 0 nodes: more of them would leave more pods without a place")
        let waits = best.record?.pods.first { $0.pod == "default/x-0" }
        #expect(waits?.group == nil && waits?.groups["b"]?.reason == .heldBack, "\(String(describing: waits))")
    }

    /// Groups `a` and `b`, the second of one node at most. Pods of 4 and of 1 core fit both, one of 2 cores `b` only.
    private func plain(a: Int, cpu: Int64, retries: Bool) -> Stage {
        var rules = [GroupRules(id: "a", min: 0, max: a), GroupRules(id: "b", min: 0, max: 1)]
        rules[0].template = GroupRules.Template(allocatable: Stage.resources(cpu: cpu), labels: ["kind": "a"])
        rules[1].template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000), labels: ["kind": "b"])
        var stage = Stage(groups: rules) { $0.scaleUp.retriesPlans = retries }
        let bound = Stage.shape(cpu: 2_000, app: "q") { $0.nodeSelector = ["kind": "b"] }
        stage.snapshot(
            nodes: [],
            pods: stage.pods("large", 1, Stage.shape(cpu: 4_000)) + stage.pods("small", 1, Stage.shape(cpu: 1_000))
                + stage.pods("q", 1, bound))
        stage.group("a", [], max: a)
        stage.group("b", [], max: 1)
        stage.evaluate()
        return stage
    }

    @Test("Plain pods that could go elsewhere do not take the last room of those that cannot")
    func contended() {
        #expect(served(plain(a: 1, cpu: 4_000, retries: false)) == 3)
        // More nodes, and larger ones.
        #expect(served(plain(a: 2, cpu: 4_000, retries: false)) == 2)
        #expect(served(plain(a: 1, cpu: 8_000, retries: false)) == 2)
        let more = plain(a: 2, cpu: 4_000, retries: true)
        #expect(served(more) == 3)
        #expect(more.sizes == ["a": 1, "b": 1])
        let larger = plain(a: 1, cpu: 8_000, retries: true)
        #expect(served(larger) == 3)
        #expect(larger.sizes == ["a": 1, "b": 1])
        let small = larger.record?.pods.first { $0.pod == "default/small-0" }
        #expect(
            small?.groups["b"]?.detail == "a was chosen, so that fewer pods are left without a place",
            "\(String(describing: small))")
    }

    @Test("A limit that groups share goes to the group that serves more pods")
    func shared() {
        func stage(a: Int) -> Stage {
            var rules = [GroupRules(id: "a", min: 0, max: a), GroupRules(id: "b", min: 0, max: 1)]
            rules[0].template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000), labels: ["kind": "a"])
            rules[1].template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000), labels: ["kind": "b"])
            var stage = Stage(groups: rules) { $0.limits.maximumNodes = 1 }
            let one = Stage.shape(cpu: 4_000, app: "p") { $0.nodeSelector = ["kind": "a"] }
            let two = Stage.shape(cpu: 1_500, app: "q") { $0.nodeSelector = ["kind": "b"] }
            stage.snapshot(nodes: [], pods: stage.pods("p", 1, one) + stage.pods("q", 2, two))
            stage.group("a", [], max: a)
            stage.group("b", [], max: 1)
            stage.evaluate()
            return stage
        }
        #expect(served(stage(a: 0)) == 2)
        #expect(served(stage(a: 1)) == 2)
    }

    @Test("An important pod is not left for the sake of two that are less so")
    func priority() {
        let best = stage(b: 1, retries: true, priority: 100)
        #expect(best.sizes == ["b": 1])
        #expect(best.record?.pods.first { $0.pod == "default/x-0" }?.group == "b")
    }

    @Test("What was held back is not used later either, while the pods still wait")
    func steady() {
        var stage = stage(b: 1, retries: true)
        stage.group("a", ["a1"], max: 1)
        for _ in 0..<3 {
            stage.evaluate(after: .seconds(10))
            #expect(stage.scaled.isEmpty, "\(stage.sizes)")
        }
    }
}
