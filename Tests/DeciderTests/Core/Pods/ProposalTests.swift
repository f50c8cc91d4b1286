import Messages
import Support
import Testing

@testable import Decider

/// Each test is named after a sentence of Kubernetes' original proposal (`docs/proposals/autoscaling.md`).
@Suite("The sentences of the auto-scaler proposal")
struct ProposalTests {
    private static let upAndDown: [ValueThreshold] = [
        ValueThreshold(
            stat: "rps", isExternal: true, comparison: .above, value: 50, duration: .seconds(30), step: .replicas(1)),
        ValueThreshold(
            stat: "rps", isExternal: true, comparison: .below, value: 25, duration: .seconds(30), step: .replicas(-1)),
    ]

    private func onTraffic(_ change: (inout ScalerStage) -> Void = { _ in }) -> ScalerStage {
        ScalerStage(pods: 3) {
            $0.scaler.intentions = []
            $0.scaler.values = Self.upAndDown
            change(&$0)
        }
    }

    /// An external value holds for a while; the changes that were decided.
    private func hold(_ stage: inout ScalerStage, _ value: Double, seconds: Int) -> [[Int]] {
        var changes: [[Int]] = []
        for _ in 0..<(seconds / 5) {
            stage.stage.now = stage.stage.now + .seconds(5)
            stage.tell("rps", value)
            stage.stage.now = stage.stage.now - .seconds(5)
            stage.evaluate(after: .seconds(5))
            if !stage.change.isEmpty { changes.append(stage.change) }
            stage.carryOut()
        }
        return changes
    }

    @Test(
        "The auto-scaler must be aware of user defined actions: someone explicitly setting the replica count to 0 means that it does not try to scale the application up"
    )
    func zeroIsRespected() {
        for minimum in [0, 1] {
            var stage = ScalerStage(pods: 0) {
                $0.scaler.minimum = minimum
                $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            }
            stage.tell("queue", 500)
            stage.evaluate(after: .seconds(1))
            #expect(stage.decided.isEmpty)
            #expect(stage.entry()?.problem?.reason == .targetIsZero)
            // Once the user wants it again, it is scaled again.
            stage.target.replicas = 1
            stage.tellTarget()
            stage.tell("queue", 500)
            stage.evaluate(after: .seconds(5))
            #expect(stage.change == [1, 5])
        }
    }

    @Test("MinAutoScaleCount: 0 means that the application is allowed to idle")
    func mayIdle() {
        var stage = ScalerStage(pods: 2) {
            $0.scaler.minimum = 0
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.tell("queue", 0)
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == [2, 0])
        stage.carryOut()
        // It was not a user who set this zero.
        stage.evaluate(after: .seconds(20))
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(20))
        #expect(stage.change == [0, 3])
    }

    @Test("If multiple targets are found the auto-scaler will scale the largest target up or down as appropriate")
    func largestTarget() {
        var stage = ScalerStage(pods: 4) {
            $0.target.labels = ["tier": "web"]
            $0.scaler.target = nil
            $0.scaler.targetSelector = LabelSelector([Requirement("tier", .in, ["web"])])
            $0.scaler.scaleDown.stabilization = .zero
        }
        let small = ScaleTarget(
            apiVersion: "v1", kind: "ReplicationController", namespace: "default", name: "small",
            labels: ["tier": "web"], selector: LabelSelector([Requirement("app", .in, ["small"])]), replicas: 2)
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [small])))
        // Four that are measured ask for eight over the set of six: the two more go to the larger.
        stage.evaluate(load: 1_000)
        #expect(stage.decided.map(\.name) == ["web"])
        #expect(stage.change == [4, 6])
        stage.carryOut()
        stage.evaluate(after: .seconds(60), load: 100)
        #expect(stage.decided.map(\.name) == ["web"])
        #expect((stage.change.last ?? 99) < 6, "\(stage.change)")
    }

    @Test(
        "Auto-scalers must be able to monitor multiple replication controllers while only targeting a single scalable object; capacity is checked against Max and Min over the monitored set"
    )
    func monitorsTheWholeSet() {
        var stage = ScalerStage(pods: 3) {
            $0.scaler.maximum = 8
            $0.scaler.monitorSelector = LabelSelector([Requirement("service", .in, ["shop"])])
        }
        // Pods of an old version are part of the service and not of the target.
        let old = Stage.shape(cpu: 1_000, app: "old", owner: "old") { $0.labels["service"] = "shop" }
        let new = Stage.shape(cpu: 1_000) { $0.labels["service"] = "shop" }
        var pods = stage.stage.pods("old", 2, old, on: "n1") + stage.stage.pods("new", 3, new, on: "n1")
        for index in pods.indices {
            pods[index].startedAt = stage.stage.now - .minutes(60)
            pods[index].readyChangedAt = stage.stage.now - .minutes(59)
        }
        stage.stage.delta(pods: pods, removedPods: stage.pods.map(\.uid))
        stage.stage.now = stage.stage.now + .seconds(15)
        stage.stage.receive(
            .podStats(
                PodStats(
                    cluster: "test",
                    samples: pods.map {
                        PodStats.Sample(
                            namespace: "default", pod: $0.name, podUID: $0.uid, node: "n1", at: stage.stage.now,
                            cpuMillis: 1_000)
                    })))
        stage.stage.evaluate(after: .seconds(1))
        // Five in all, ten wanted, eight allowed over the set: three more of the target.
        #expect(stage.change == [3, 6])
        #expect(stage.entry()?.current == 5)
    }

    @Test("Enabled turns auto scaling on or off")
    func enabled() {
        var stage = ScalerStage { $0.scaler.enabled = false }
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.outcome.reason == .scalerDisabled)
        stage.scaler.enabled = true
        stage.tellTarget()
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
    }

    @Test(
        "MaxAutoScaleCount must be greater than 0 and >= MinAutoScaleCount",
        arguments: [(0, 0), (1, 0), (5, 4), (-1, 3)])
    func bounds(minimum: Int, maximum: Int) {
        var stage = ScalerStage {
            $0.scaler.minimum = minimum
            $0.scaler.maximum = maximum
        }
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem?.reason == .scalerInvalid)
    }

    @Test("When requests per second rise above 50 for 30 seconds scale the application up by 1")
    func valueUp() {
        var stage = onTraffic()
        #expect(hold(&stage, 50, seconds: 60).isEmpty, "50 is not above 50")
        #expect(hold(&stage, 51, seconds: 30).isEmpty, "not for 30 s yet")
        #expect(hold(&stage, 51, seconds: 5) == [[3, 4]])
        #expect(hold(&stage, 51, seconds: 25).isEmpty)
        #expect(hold(&stage, 51, seconds: 5) == [[4, 5]])
    }

    @Test(
        "When requests per second fall below 25 for 30 seconds scale the application down by 1 (implemented by using -1)"
    )
    func valueDown() {
        var stage = onTraffic()
        #expect(hold(&stage, 20, seconds: 25).isEmpty)
        #expect(
            hold(&stage, 40, seconds: 5).isEmpty, "between the two bounds nothing changes, and the time begins anew")
        #expect(hold(&stage, 20, seconds: 35) == [[3, 2]])
        #expect(hold(&stage, 20, seconds: 120) == [[2, 1]], "never below the minimum")
    }

    @Test(
        "Deployment orchestration should notify the auto-scaler: negative thresholds are disabled until the deployment process is completed; growing goes on"
    )
    func rollout() {
        var stage = onTraffic { $0.target.isRollingOut = true }
        #expect(hold(&stage, 20, seconds: 60).isEmpty)
        #expect(stage.entry()?.current == 3)
        #expect(hold(&stage, 60, seconds: 35) == [[3, 4]], "it is more important to grow")
        stage.target.isRollingOut = false
        stage.tellTarget()
        #expect(hold(&stage, 20, seconds: 35) == [[4, 3]])
    }

    @Test("A rollout stops intentions from shrinking as well")
    func rolloutAndIntentions() {
        var stage = ScalerStage(pods: 4) {
            $0.target.isRollingOut = true
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.evaluate(load: 100)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.limits.contains { $0.reason == .rolloutInProgress } ?? false)
    }

    @Test(
        "The auto-scaler does not directly manipulate the underlying resource: what is decided names target, seen and wanted replicas"
    )
    func throughScale() {
        var stage = ScalerStage()
        stage.evaluate(load: 1_000)
        let decision = stage.decided.first
        #expect(decision?.apiVersion == "apps/v1" && decision?.kind == "Deployment" && decision?.name == "web")
        #expect(decision?.from == 2 && decision?.to == 4)
        #expect(decision?.reason.reason == .statAbove)
    }

    @Test(
        "Increments may be percents, at least one replica",
        arguments: [
            (4, ValueThreshold.Step.percent(50), 6), (1, .percent(10), 2), (3, .percent(-50), 1), (5, .replicas(-2), 3),
        ] as [(Int, ValueThreshold.Step, Int)])
    func steps(current: Int, step: ValueThreshold.Step, wanted: Int) {
        var stage = ScalerStage(pods: current) {
            $0.scaler.intentions = []
            $0.scaler.values = [
                ValueThreshold(
                    stat: "x", isExternal: true, comparison: .atLeast, value: 1, duration: .zero, step: step)
            ]
        }
        stage.tell("x", 1)
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == [current, wanted])
    }
}
