import Messages
import Support
import Testing

@testable import Decider

@Suite("Nodes that are ready and not set up yet")
struct NodeSetupTests {
    /// A full node, one that has just come, and pods that the new one will take.
    private func stage(
        _ new: Node, extended: [String: Int64] = [:], configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)], configure: configure)
        var old = Stage.node("old", labels: new.labels.filter { $0.key != "kubernetes.io/hostname" })
        old.allocatable.extended = extended
        let full = stage.pods("full", 1, Stage.shape(cpu: 3_900) { $0.requests.extended = extended }, on: "old")
        let waiting = stage.pods("web", 1, Stage.shape(cpu: 1_000) { $0.requests.extended = extended })
        stage.snapshot(nodes: [old, new], pods: full + waiting)
        stage.group("w", ["old", "new"])
        stage.evaluate()
        return stage
    }

    @Test(
        "A node with a startup taint counts as coming, by the peer's names and by those of the settings",
        arguments: [
            ("startup-taint.cluster-autoscaler.kubernetes.io/network", true),
            ("ignore-taint.cluster-autoscaler.kubernetes.io/x", true), ("node.cilium.io/agent-not-ready", true),
            ("vendor.example/setup-disk", true), ("vendor.example/other", false),
        ])
    func startup(key: String, counts: Bool) {
        // One that has worked for more than a minute is what the nodes to come are like.
        let new = Stage.node(
            "new", taints: [Taint(key: key, effect: .noSchedule)], createdAt: Stage.start - .minutes(counts ? 0 : 2))
        var stage = stage(new) {
            $0.health.startupTaints = ["node.cilium.io/agent-not-ready", "vendor.example/setup-*"]
        }
        #expect(stage.sizes == [:], "\(key)")
        // Any other taint stays, also on the nodes that would come.
        #expect(stage.record?.pods.first?.outcome.reason == (counts ? .fitsExisting : .taintNotTolerated))
        guard counts else { return }
        // The taint goes: the node is what it was taken for.
        stage.delta(nodes: [Stage.node("new", createdAt: Stage.start)])
        stage.evaluate(after: .seconds(5))
        #expect(stage.scaled.isEmpty)
        // It stays beyond the time: the node does not work, and another is asked for.
        stage.delta(nodes: [new])
        stage.evaluate(after: .minutes(16))
        #expect(stage.sizes == ["w": 3])
    }

    @Test(
        "A node with a GPU's label that offers none yet counts as coming; without the label it will have what others have"
    )
    func gpu() {
        for labels in [["gpu"], []] {
            let new = Stage.node("new", labels: ["gpu": "yes"], createdAt: Stage.start)
            let stage = stage(new, extended: ["nvidia.com/gpu": 1]) { $0.scaleDown.gpuLabels = labels }
            #expect(stage.sizes == [:])
            #expect(stage.record?.pods.first?.outcome.reason == .fitsExisting)
        }
    }

    @Test("A status taint on the model of a group is none of a new node")
    func status() {
        for taints in [["vendor.example/busy"], []] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.health.statusTaints = taints }
            let busy = Taint(key: "vendor.example/busy", effect: .noSchedule)
            stage.snapshot(
                nodes: [Stage.node("n1", taints: [busy])], pods: stage.pods("web", 1, Stage.shape(cpu: 1_000)))
            stage.group("w", ["n1"])
            stage.evaluate()
            #expect(stage.sizes == (taints.isEmpty ? [:] : ["w": 2]))
        }
    }
}
