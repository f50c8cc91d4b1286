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
        // One of the set that goes does not count any more, though no workload has changed.
        stage.stage.delta(removedPods: [pods[0].uid])
        stage.stage.evaluate(after: .seconds(16))
        #expect(stage.entry()?.current == 4)
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

    @Test(
        "A deployment that is told of on a replication controller that is monitored only disables negative thresholds as well"
    )
    func rolloutOfMonitored() {
        var stage = onTraffic { $0.scaler.monitorSelector = LabelSelector([Requirement("app", .in, ["web", "old"])]) }
        let shape = Stage.shape(cpu: 1_000, app: "old", owner: "old")
        var old = ScaleTarget(
            apiVersion: "v1", kind: "ReplicationController", namespace: "default", name: "old",
            selector: LabelSelector([Requirement("app", .in, ["old"])]), replicas: 1, isRollingOut: true)
        let pods = stage.stage.pods("old", 1, shape, on: "n1")
        stage.stage.delta(pods: pods, scaling: PodScalingChange(changed: PodScaling(targets: [old])))
        #expect(hold(&stage, 20, seconds: 60).isEmpty)
        #expect(stage.entry()?.limits.contains { $0.reason == .rolloutInProgress } == true)
        old.isRollingOut = false
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [old])))
        #expect(hold(&stage, 20, seconds: 5) == [[3, 2]])
        // Another service's rollout is none of ours.
        old.isRollingOut = true
        old.selector = LabelSelector([Requirement("app", .in, ["else"])])
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [old])))
        #expect(hold(&stage, 20, seconds: 60) == [[2, 1]])
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
        "An intention based threshold defines no increment, the scaler will adjust accordingly and maintain once the intention is reached"
    )
    func intention() {
        var stage = ScalerStage(pods: 2) { $0.scaler.scaleDown.stabilization = .zero }
        // 1,600 thousandths in all, 500 for each pod: four.
        stage.evaluate(load: 800)
        #expect(stage.change == [2, 4])
        stage.addPods(2, on: "n1")
        stage.carryOut()
        stage.tellTarget(pods: Array(stage.pods.suffix(2)))
        for _ in 1...10 {
            stage.evaluate(load: 400)
            #expect(stage.decided.isEmpty)
        }
        #expect(stage.entry()?.outcome.reason == .scalerSatisfied)
    }

    @Test("Auto-scalers belong to the namespace just as a ReplicationController", arguments: [false, true])
    func namespace(isSelected: Bool) {
        var stage = ScalerStage {
            $0.target.namespace = "other"
            guard isSelected else { return }
            $0.scaler.target = nil
            $0.scaler.targetSelector = LabelSelector([Requirement("app", .in, ["web"])])
        }
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty && stage.entry()?.problem?.reason == .targetNotFound)
    }

    @Test(
        "In a rolling deployment there will be multiple replication controllers, with one scaling up and another scaling down: the entire set of capacity is checked, and the deployer is not fought with"
    )
    func rollingDeployment() {
        var stage = ScalerStage(pods: 6) {
            $0.target = ScaleTarget(
                apiVersion: "v1", kind: "ReplicationController", namespace: "default", name: "old",
                labels: ["service": "shop"], selector: LabelSelector([Requirement("app", .in, ["web"])]), replicas: 6,
                isRollingOut: true)
            $0.scaler.target = nil
            $0.scaler.targetSelector = LabelSelector([Requirement("service", .in, ["shop"])])
            $0.scaler.monitorSelector = LabelSelector([Requirement("app", .in, ["web", "new"])])
            $0.scaler.minimum = 5
            $0.scaler.intentions = [Intention(stat: "rps", isExternal: true, goal: .average(10))]
            $0.scaler.scaleDown.stabilization = .zero
        }
        var new = stage.target
        new.name = "new"
        new.selector = LabelSelector([Requirement("app", .in, ["new"])])
        new.replicas = 2
        let pods = stage.stage.pods("new", 2, Stage.shape(cpu: 1_000, app: "new", owner: "new"), on: "n1")
        stage.stage.delta(pods: pods, scaling: PodScalingChange(changed: PodScaling(targets: [new])))
        func ask(_ value: Double) -> [String] {
            stage.tell("rps", value)
            stage.evaluate(after: .seconds(15))
            return stage.decided.map { "\($0.name) \($0.from) \($0.to)" }
        }
        // Twenty are wanted and ten allowed over both, which have eight.
        #expect(ask(200) == ["old 6 8"])
        stage.carryOut()
        // The deployer goes on.
        (stage.target.replicas, new.replicas) = (3, 7)
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [stage.target, new])))
        #expect(ask(20) == [], "nothing is taken away meanwhile")
        #expect(stage.entry()?.current == 10)
        #expect(stage.entry()?.limits.contains { $0.reason == .rolloutInProgress } == true)
        // It is done: five of ten are to stay over both, and the largest gives them.
        (stage.target.isRollingOut, new.isRollingOut) = (false, false)
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [stage.target, new])))
        #expect(ask(20) == ["new 7 2"])
        (stage.target.replicas, new.replicas) = (2, 1)
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [stage.target, new])))
        #expect(ask(20) == ["old 2 4"], "five are the least over both")
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
