import Messages
import Support
import Testing

@testable import Decider

@Suite("More room and pods with rules on other pods")
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
