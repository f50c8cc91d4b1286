import Messages
import Support
import Testing

@testable import Decider

@Suite("Utilization of a pod, where containers request different things or nothing")
struct ContainerRequestTests {
    /// Two pods with a container `app` and one `log` that uses much and requests no CPU.
    private func stage(_ stat: String, _ goal: Intention.Goal, asWhole: Bool? = nil) -> ScalerStage {
        let shape = Stage.shape(cpu: 1_000, memory: 100) { shape in
            shape.containers = [
                .init(name: "app", cpuMillis: 1_000, memoryBytes: 40 << 20),
                .init(name: "log", cpuMillis: 0, memoryBytes: 60 << 20),
            ]
            shape.requestsAsWhole = asWhole
        }
        return ScalerStage(shape: shape) { $0.scaler.intentions = [Intention(stat: stat, goal: goal)] }
    }

    private func use(_ stage: inout ScalerStage) {
        let now = stage.stage.now
        let samples = stage.pods.map { pod in
            PodStats.Sample(
                namespace: "default", pod: pod.name, podUID: pod.uid, node: pod.node ?? "", at: now, cpuMillis: 900,
                memoryBytes: 90 << 20)
        }
        stage.stage.receive(.podStats(PodStats(cluster: "test", samples: samples)))
        stage.evaluate(after: .seconds(1))
    }

    @Test("As with HorizontalPodAutoscaler a container without a request makes it unknown, and the condition names it")
    func missing() {
        var cpu = stage("cpu", .utilization(50))
        use(&cpu)
        #expect(cpu.decided.isEmpty)
        #expect(
            cpu.entry()?.problem
                == Explanation(.statUnknown, "cpu: the container log of a pod requests nothing of it"))
    }

    @Test("Memory that each requests, an average, and requests of the pod as a whole are known")
    func known() {
        for (stat, goal, asWhole) in [
            ("memory", Intention.Goal.utilization(45), nil), ("cpu", .average(450), nil),
            ("cpu", .utilization(45), true),
        ] as [(String, Intention.Goal, Bool?)] {
            var stage = stage(stat, goal, asWhole: asWhole)
            use(&stage)
            #expect(stage.change == [2, 4], "\(stat) \(goal): \(String(describing: stage.entry()?.problem))")
        }
    }

    @Test("A request of 0 that somebody wrote is one, as with Kubernetes; where all come to 0 it is unknown")
    func zero() {
        for (cpu, problem) in [
            (500, nil),
            (0, Explanation(.statUnknown, "cpu: a pod requests nothing of it")),
        ] as [(Int64, Explanation?)] {
            let shape = Stage.shape(cpu: cpu) { shape in
                shape.containers = [
                    .init(name: "app", cpuMillis: cpu, memoryBytes: 0, saysZeroCPU: cpu == 0 ? true : nil),
                    .init(name: "sidecar", cpuMillis: 0, memoryBytes: 0, saysZeroCPU: true),
                ]
            }
            var stage = ScalerStage(shape: shape) {
                $0.scaler.intentions = [Intention(stat: "cpu", goal: .utilization(60))]
            }
            use(&stage)
            // 900 of 500 are 180 %, three times the goal.
            #expect(stage.change == (problem == nil ? [2, 6] : []), "\(cpu)")
            #expect(stage.entry()?.problem == problem)
        }
    }

    @Test("Another metric may still ask for more; for less it is not enough")
    func others() {
        for (average, change) in [(450.0, [2, 4]), (9_000, [])] {
            var stage = stage("cpu", .utilization(50))
            stage.scaler.intentions.append(Intention(stat: "load", isExternal: true, goal: .average(average)))
            stage.tellTarget()
            stage.tell("load", 1_800)
            use(&stage)
            #expect(stage.change == change, "\(average)")
        }
    }
}
