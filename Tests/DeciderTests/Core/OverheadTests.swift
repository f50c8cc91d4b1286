import Messages
import Support
import Testing

@testable import Decider

@Suite("What a new node carries from the beginning")
struct OverheadTests {
    /// An empty group of machines with 4 cores; a DaemonSet of this shape; pods of one core wait.
    private func stage(_ daemon: PodShape, pods count: Int) -> Stage {
        var rules = GroupRules(id: "w", min: 0, max: 9)
        rules.template = GroupRules.Template(
            allocatable: Stage.resources(cpu: 4_000), labels: ["disk": "ssd"],
            taints: [Taint(key: "team", value: "a", effect: .noSchedule)])
        var stage = Stage(groups: [rules])
        let number = stage.number(daemon)
        let shape = Stage.shape(cpu: 1_000) { shape in
            shape.tolerations = [Toleration(key: "team", exists: true)]
        }
        stage.snapshot(
            nodes: [], pods: stage.pods("web", count, shape),
            workloads: [
                Stage.webOwner,
                Workload(kind: "DaemonSet", namespace: "default", name: "agent", template: number),
            ])
        stage.group("w", [])
        stage.evaluate()
        return stage
    }

    private func daemon(cpu: Int64, _ change: (inout PodShape) -> Void = { _ in }) -> PodShape {
        Stage.shape(cpu: cpu, app: "agent") { shape in
            shape.owner = PodShape.Owner(kind: "DaemonSet", name: "agent")
            shape.tolerations = [Toleration(key: nil, exists: true)]
            change(&shape)
        }
    }

    @Test("A group without nodes: DaemonSets that would run there take their part, those that would not take none")
    func empty() {
        #expect(stage(daemon(cpu: 100), pods: 4).sizes == ["w": 2])
        #expect(stage(daemon(cpu: 100) { $0.tolerations = [] }, pods: 4).sizes == ["w": 1])
        #expect(stage(daemon(cpu: 100) { $0.nodeSelector = ["disk": "hdd"] }, pods: 4).sizes == ["w": 1])
        #expect(stage(daemon(cpu: 100) { $0.nodeSelector = ["disk": "ssd"] }, pods: 4).sizes == ["w": 2])
        #expect(stage(daemon(cpu: 4_000), pods: 4).sizes == [:])
    }

    @Test("A group with nodes: a DaemonSet that is new and runs on none of them yet counts as well")
    func new() {
        for isNew in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let number = stage.number(daemon(cpu: 500))
            let full = stage.pods("full", 1, Stage.shape(cpu: 3_900), on: "n1")
            let agent = Workload(kind: "DaemonSet", namespace: "default", name: "agent", template: number)
            stage.snapshot(
                nodes: [Stage.node("n1")], pods: full + stage.pods("web", 4, Stage.shape(cpu: 1_000)),
                workloads: isNew ? [Stage.webOwner, agent] : [Stage.webOwner])
            stage.group("w", ["n1"])
            stage.evaluate()
            #expect(stage.sizes == (isNew ? ["w": 3] : ["w": 2]))
        }
    }

    @Test("The host port of a DaemonSet is taken on a new node")
    func port() {
        for port in [80, 81] {
            var rules = GroupRules(id: "w", min: 0, max: 9)
            rules.template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
            var stage = Stage(groups: [rules])
            let number = stage.number(daemon(cpu: 100) { $0.hostPorts = [PodShape.HostPort(port: 80)] })
            let shape = Stage.shape(cpu: 1_000) { $0.hostPorts = [PodShape.HostPort(port: Int32(port))] }
            stage.snapshot(
                nodes: [], pods: stage.pods("web", 1, shape),
                workloads: [
                    Stage.webOwner, Workload(kind: "DaemonSet", namespace: "default", name: "agent", template: number),
                ])
            stage.group("w", [])
            stage.evaluate()
            #expect(stage.sizes == (port == 80 ? [:] : ["w": 1]))
        }
    }
}
