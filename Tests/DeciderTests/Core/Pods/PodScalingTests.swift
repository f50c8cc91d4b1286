import FoundationEssentials
import Messages
import Support
import Testing

@testable import Decider

@Suite("Pods and nodes in one decision")
struct PodScalingTests {
    @Test("Replicas and the nodes for them are decided together: no wait for pending pods")
    func together() {
        // One node of four cores holds three pods of one core each; ten are wanted.
        var stage = ScalerStage(pods: 3) { $0.scaler.scaleUp.policies = [.init(.pods, 100, per: .seconds(15))] }
        stage.evaluate(load: 1_600)
        #expect(stage.change == [3, 10])
        #expect(stage.stage.sizes == ["w": 3], "one fits the node, six need two more")
        #expect(stage.stage.scaled.first?.reason.reason == .replicasComing)
        // The pods are made, first unseen, then unschedulable: no further node.
        stage.carryOut()
        stage.evaluate(after: .seconds(1))
        #expect(stage.stage.scaled.isEmpty)
        let before = stage.pods.count
        stage.addPods(7, on: nil)
        var new = Array(stage.pods[before...])
        for index in new.indices { new[index].scheduling = .unseen }
        stage.stage.delta(pods: new)
        stage.evaluate(after: .seconds(1))
        #expect(stage.stage.scaled.isEmpty)
        for index in new.indices { new[index].scheduling = .unschedulable }
        stage.stage.delta(pods: new)
        stage.evaluate(after: .seconds(1))
        #expect(stage.stage.scaled.isEmpty)
    }

    @Test("What pods tell themselves and what their kubelets tell stand side by side, each with a time of its own")
    func ownStats() {
        var stage = ScalerStage(pods: 2) { $0.scaler.intentions = [Intention(stat: "sessions", goal: .average(10))] }
        stage.tellOwn("sessions", 25)
        stage.load(100)
        stage.evaluate(after: .seconds(5))
        #expect(stage.change == [2, 5])
        stage.carryOut()
        stage.scaler.intentions = [Intention(stat: "cpu", goal: .average(400))]
        stage.tellTarget()
        stage.tellOwn("sessions", 25)
        stage.evaluate(after: .seconds(5))
        #expect(stage.entry()?.thresholds.first?.value == 100, "its own stats do not wipe those of the kubelet")
        // The kubelet goes on, the pods fall silent: their stat ages by itself.
        stage.scaler.intentions = [Intention(stat: "sessions", goal: .average(10))]
        stage.tellTarget()
        stage.evaluate(after: .seconds(70), load: 100)
        #expect(stage.entry()?.problem?.reason == .statStale)
    }

    @Test(
        "A target of a kind of its own: its problem is told, the replicas stay; two kinds of one name are two targets")
    func foreignKind() {
        var stage = ScalerStage(pods: 2) {
            $0.target.apiVersion = "example.org/v1"
            $0.scaler.target?.apiVersion = "example.org/v1"
        }
        stage.evaluate(load: 900)
        #expect(stage.change == [2, 4] && stage.decided.last?.apiVersion == "example.org/v1")
        #expect(stage.entry()?.target == "Deployment.example.org/default/web")
        #expect(stage.entry()?.targetAPIVersion == "example.org/v1")
        stage.target.problem = Explanation(.kubernetesRefused, "no right")
        stage.tellTarget()
        stage.evaluate(load: 900)
        #expect(stage.decided.isEmpty && stage.entry()?.problem?.reason == .kubernetesRefused)
        // A scaler that means the Deployment of every cluster does not get this one.
        stage.scaler.target?.apiVersion = "apps/v1"
        stage.tellTarget()
        stage.evaluate(load: 900)
        #expect(stage.entry()?.problem?.reason == .targetNotFound)
    }

    @Test("Without a pod of the target its template says what the first will need")
    func fromTemplate() {
        var stage = ScalerStage(nodes: [], pods: 1) { $0.scaler.minimum = 4 }
        stage.stage.group("w", ["n1"])
        var big = Stage.shape(cpu: 3_000)
        big.labels["app"] = "web"
        stage.target.template = stage.stage.number(big)
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: [],
            scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == [1, 4])
        #expect(stage.stage.sizes == ["w": 4], "four of three cores need a node each")
    }

    @Test("Replicas that nobody makes ask for room for two minutes only")
    func notForEver() {
        var stage = ScalerStage(pods: 3) { $0.scaler.scaleUp.policies = [.init(.pods, 100, per: .seconds(15))] }
        stage.evaluate(load: 1_600)
        stage.carryOut()
        #expect(stage.stage.core.engine.memory.pods?.scalers["default/web"]?.act != nil)
        stage.evaluate(after: .seconds(130))
        #expect(stage.stage.core.engine.memory.pods?.scalers["default/web"]?.act == nil)
    }

    @Test(
        "Nodes that a smaller target frees go at once, also soon after the group grew; others after their time",
        arguments: [false, true])
    func freed(grewBefore: Bool) throws {
        var stage = ScalerStage(
            nodes: ["n1", "n2", "n3"], pods: 6, configure: { if !grewBefore { $0.scaleDown.delayAfterAdd = .zero } },
            change: {
                $0.scaler.minimum = 2
                $0.scaler.scaleDown.stabilization = .seconds(60)
            })
        if grewBefore {
            var saved = try JSONDecoder().decode(
                EngineMemory.self, from: Data(try stage.stage.core.engine.checkpoint()))
            saved.grewAt = stage.stage.now
            stage.stage.core = DeciderCore(stage.stage.core.engine.configuration, term: "u")
            try stage.stage.core.restore(Array(try JSONEncoder().encode(saved)))
            stage.stage.snapshot(
                nodes: ["n1", "n2", "n3"].map { Stage.node($0) }, pods: stage.pods,
                scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
            stage.stage.group("w", ["n1", "n2", "n3"])
        }
        // Two pods a node; the load goes.
        var pods = stage.pods
        for index in pods.indices { pods[index].node = ["n1", "n2", "n3"][index / 2] }
        stage.stage.delta(pods: pods)
        stage.evaluate(after: .seconds(15), load: 100)
        #expect(stage.decided.isEmpty)
        var changed: [Int] = []
        for _ in 0..<5 where changed.isEmpty {
            stage.evaluate(after: .seconds(15), load: 100)
            changed = stage.change
        }
        #expect(changed == [6, 2])
        stage.carryOut()
        #expect(stage.stage.removed.isEmpty)
        // Four pods end; two nodes are empty, and nothing waits ten minutes.
        stage.tellTarget(removedPods: pods[2...].map(\.uid))
        stage.evaluate(after: .seconds(15))
        stage.evaluate(after: .seconds(15))
        let nodes = stage.stage.removed.flatMap { $0.nodes.map(\.node) }
        #expect(!nodes.isEmpty && !nodes.contains("n1"), "\(stage.stage.decisions)")
    }

    @Test("A change that is being carried out is waited for; one that nobody takes up is decided anew")
    func inFlight() {
        var stage = ScalerStage()
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.outcome.reason == .replicasComing)
        stage.evaluate(after: .seconds(30), load: 1_000)
        #expect(stage.change == [2, 4])
    }

    @Test("A refusal is told and tried again after a pause that doubles; then it is forgotten")
    func refused() {
        var stage = ScalerStage()
        stage.evaluate(load: 1_000)
        func refuse(_ reason: Reason, _ stage: inout ScalerStage) {
            guard let decision = stage.decided.first else { return }
            stage.stage.receive(
                .scaleRefused(
                    ScaleRefused(
                        cluster: "test",
                        scale: ScaleProgress(
                            id: decision.id, group: "Deployment/default/web", from: 2, to: 4,
                            reason: Explanation(reason, "403: may not"), at: stage.stage.now))))
        }
        refuse(.kubernetesRefused, &stage)
        stage.evaluate(after: .seconds(5), load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem == Explanation(.kubernetesRefused, "403: may not"))
        // Nor is it a recovery that no change is wanted for a moment.
        stage.evaluate(after: .seconds(1), load: 500)
        #expect(stage.entry()?.desired == 2 && stage.entry()?.problem?.reason == .kubernetesRefused)
        stage.evaluate(after: .seconds(11), load: 1_000)
        #expect(stage.change == [2, 4])
        // Neither the retry nor its being under way is a recovery.
        #expect(stage.stage.record?.scalers?.allSatisfy { $0.problem != nil } ?? true)
        #expect(
            stage.entry()?.outcome.reason == .replicasComing && stage.entry()?.problem?.reason == .kubernetesRefused)
        refuse(.kubernetesRefused, &stage)
        stage.evaluate(after: .seconds(20), load: 1_000)
        #expect(stage.decided.isEmpty)
        stage.evaluate(after: .seconds(12), load: 1_000)
        #expect(stage.change == [2, 4])
        // Somebody else writes the object whenever we do: a problem as well.
        refuse(.kubernetesConflict, &stage)
        stage.evaluate(after: .seconds(5), load: 1_000)
        #expect(stage.decided.isEmpty && stage.entry()?.problem?.reason == .kubernetesConflict)
        stage.evaluate(after: .minutes(2), load: 1_000)
        #expect(stage.change == [2, 4])
        // Somebody else changed the replicas meanwhile: looked at anew, without a pause.
        refuse(.decisionStale, &stage)
        stage.target.replicas = 3
        stage.tellTarget()
        stage.evaluate(after: .seconds(5), load: 1_000)
        #expect(stage.decided.first?.from == 3)
        // Done at last: now it is well.
        let done = stage.decided.first
        stage.stage.receive(
            .scaleCompleted(
                ScaleCompleted(
                    cluster: "test",
                    scale: ScaleProgress(
                        id: done?.id ?? "", group: "Deployment/default/web", from: 3, to: done?.to ?? 0, size: done?.to,
                        reason: Explanation(.statAbove), at: stage.stage.now))))
        stage.target.replicas = done?.to ?? 0
        stage.tellTarget()
        stage.evaluate(after: .seconds(5), load: 500)
        #expect(stage.entry()?.problem == nil)
    }

    @Test("Who takes over knows what is under way, and shrinks nothing before a window has passed")
    func takeover() throws {
        var stage = ScalerStage(pods: 4)
        stage.evaluate(load: 1_000)
        #expect(stage.change == [4, 8])
        let saved = try stage.stage.core.engine.checkpoint()
        stage.stage.core = DeciderCore(stage.stage.core.engine.configuration, term: "u")
        try stage.stage.core.restore(saved)
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: stage.pods,
            scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
        stage.stage.group("w", ["n1"])
        stage.evaluate(after: .seconds(5), load: 1_000)
        #expect(stage.decided.isEmpty, "on its way")
        stage.target.replicas = 8
        stage.tellTarget()
        stage.evaluate(after: .seconds(60), load: 50)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.limits.first?.reason == .scalingStabilized)
    }

    @Test("A dry run works everything out and decides nothing")
    func dryRun() {
        var stage = ScalerStage { $0.scaler.dryRun = true }
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty && stage.stage.scaled.isEmpty)
        let entry = stage.entry()
        #expect(entry?.desired == 4 && entry?.limits.last?.reason == .dryRun)
    }

    @Test(
        "Each direction can be paused",
        arguments: [
            (PodScaler.Pause.up, 1_000.0, [Int]()), (.up, 100, [4, 1]), (.down, 1_000, [4, 8]), (.down, 100, []),
            (.both, 1_000, []), (.both, 100, []),
        ])
    func pause(pause: PodScaler.Pause, load: Double, expected: [Int]) {
        var stage = ScalerStage(pods: 4) {
            $0.scaler.pause = pause
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.evaluate(load: load)
        #expect(stage.change == expected)
        if expected.isEmpty { #expect(stage.entry()?.limits.last?.reason == .scalerPaused) }
    }

    @Test(
        "A value threshold on a stat of pods looks at their average; a pod without a value counts for what speaks against the step",
        arguments: [
            (.above, [60, 60, 60, 60], 1, [4, 5]), (.above, [60, 60, 60, nil], 1, []),
            (.above, [50, 50, 50, 50], 1, []),
            (.atLeast, [50, 50, 50, 50], 1, [4, 5]), (.below, [20, 20, 20, nil], -1, [4, 3]),
            (.below, [49, 49, 49, nil], -1, [4, 3]), (.below, [50, 50, 50, nil], -1, []),
            (.atMost, [50, 50, 50, 50], -1, [4, 3]), (.atMost, [51, 50, 50, nil], -1, []),
            (.above, [nil, nil, nil, nil], 1, []),
        ] as [(ValueThreshold.Comparison, [Double?], Int, [Int])])
    func perPod(comparison: ValueThreshold.Comparison, values: [Double?], step: Int, expected: [Int]) {
        var stage = ScalerStage(pods: 4) {
            $0.scaler.intentions = []
            $0.scaler.values = [
                ValueThreshold(
                    stat: "requests", comparison: comparison, value: 50, duration: .zero, step: .replicas(step))
            ]
        }
        let samples = zip(stage.pods, values).compactMap { pod, value -> PodStats.Sample? in
            guard let value else { return nil }
            var sample = PodStats.Sample(
                namespace: "default", pod: pod.name, podUID: pod.uid, node: pod.node ?? "", at: stage.stage.now)
            sample.values = ["requests": value]
            return sample
        }
        stage.stage.receive(.podStats(PodStats(cluster: "test", samples: samples)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == expected)
        if values.allSatisfy({ $0 == nil }) { #expect(stage.entry()?.problem?.reason == .statUnknown) }
    }

    @Test("The largest of several thresholds counts; one that is not known stops shrinking, not growing")
    func several() {
        var stage = ScalerStage(pods: 4) {
            $0.scaler.intentions.append(Intention(stat: "queue", isExternal: true, goal: .average(10)))
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.evaluate(load: 100)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.outcome.reason == .statUnknown)
        #expect(
            stage.entry()?.problem == Explanation(.statUnknown, "queue: nobody has told it"),
            "it is told that nothing shrinks")
        stage.evaluate(load: 1_000)
        #expect(stage.change == [4, 8] && stage.entry()?.problem == nil)
        stage.carryOut()
        stage.tell("queue", 100)
        stage.evaluate(after: .seconds(20), load: 100)
        #expect(stage.change == [8, 10])
    }

    /// Values of CPU of the first pods, one after the other, and of pods that are in no cluster.
    private func loads(_ stage: inout ScalerStage, _ values: [Double], strangers: [Double] = []) {
        stage.stage.now = stage.stage.now + .seconds(15)
        let known = zip(stage.pods, values).map { ($0.name, $0.uid, $1) }
        let others = strangers.enumerated().map { ("other\($0.offset)", "stranger\($0.offset)", $0.element) }
        stage.stage.receive(
            .podStats(
                PodStats(
                    cluster: "test",
                    samples: (known + others).map {
                        PodStats.Sample(
                            namespace: "default", pod: $0.0, podUID: $0.1, node: "n1", at: stage.stage.now,
                            cpuMillis: $0.2)
                    })))
        stage.evaluate(after: .seconds(1))
    }

    @Test(
        "HPA v2's ScaleUpIgnoresFailedPods, ScaleDownIgnoresFailedPods, ...IgnoresDeletionPods: what is over or on its way out counts for nothing",
        arguments: ["failed", "succeeded", "terminating"], [true, false])
    func ignored(what: String, isUp: Bool) {
        let values = isUp ? [500.0, 700] : [100, 300, 500, 250, 250]
        var stage = ScalerStage(pods: values.count) {
            $0.scaler.intentions = [Intention(stat: "cpu", goal: .utilization(isUp ? 30 : 50))]
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.addPods(2, on: "n1")
        var more = Array(stage.pods.suffix(2))
        for index in more.indices {
            more[index].ready = false
            switch what {
            case "failed": more[index].phase = .failed
            case "succeeded": more[index].phase = .succeeded
            default: more[index].deletedAt = stage.stage.now + .seconds(30)
            }
        }
        stage.tellTarget(pods: more)
        loads(&stage, values + [5_000, 5_000])
        #expect(stage.change == (isUp ? [2, 4] : [5, 3]), "\(String(describing: stage.entry()))")
    }

    @Test("An external average is over the pods that are there, which a rollout makes more than shall be")
    func averageInRollout() {
        for (leaving, change) in [(0, [10, 11]), (2, [])] {
            var stage = ScalerStage(pods: 12) {
                $0.target.replicas = 10
                $0.target.isRollingOut = true
                $0.scaler.maximum = 40
                $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(50))]
            }
            let away = stage.pods.prefix(leaving).map { pod in
                var pod = pod
                pod.deletedAt = stage.stage.now + .seconds(30)
                return pod
            }
            stage.tellTarget(pods: away)
            stage.tell("queue", 530)
            stage.evaluate(after: .seconds(5))
            // 530 over twelve pods are 44, and eleven keep 50; over ten they are 53, within the tolerance.
            #expect(stage.change == change, "\(leaving) on their way out: \(String(describing: stage.entry()))")
        }
    }

    @Test("HPA v2's SuperfluousMetrics: values of pods that are none of the target's count for nothing")
    func superfluous() {
        var stage = ScalerStage(pods: 4) {
            $0.scaler.maximum = 100
            $0.scaler.intentions = [Intention(stat: "cpu", goal: .utilization(100))]
            $0.scaler.scaleUp.policies = [.init(.pods, 100, per: .seconds(15))]
        }
        loads(&stage, [4_000, 9_500, 3_000, 7_000], strangers: [3_200, 2_000])
        #expect(stage.change == [4, 24] && stage.entry()?.thresholds.first?.value == 587)
    }

    @Test(
        "One of several stats that is missing for a moment now and then does not keep the others from shrinking: that look recommends nothing"
    )
    func gaps() {
        var stage = ScalerStage(pods: 10) {
            $0.scaler.intentions.append(Intention(stat: "queue", isExternal: true, goal: .average(10)))
        }
        var changes: [[Int]] = []
        for look in 1...40 {
            // At every twelfth look the queue's value is more than a minute old.
            if (1...8).contains(look % 12) { stage.tell("queue", 30) }
            stage.evaluate(load: 200)
            if !stage.decided.isEmpty {
                changes.append(stage.change)
                break
            }
        }
        #expect(changes == [[10, 4]])
        #expect(stage.stage.now - Stage.start >= .minutes(5), "the window holds all the same")
    }

    @Test("After a gap in one of several stats that is longer than the window it is as at the first look")
    func longGap() {
        var stage = ScalerStage(pods: 10) {
            $0.scaler.intentions.append(Intention(stat: "queue", isExternal: true, goal: .average(10)))
        }
        func looks(_ count: Int, queue: Double?) -> [[Int]] {
            var changes: [[Int]] = []
            for _ in 0..<count {
                if let queue { stage.tell("queue", queue) }
                stage.evaluate(load: 200)
                if !stage.decided.isEmpty { changes.append(stage.change) }
            }
            return changes
        }
        #expect(looks(8, queue: 30).isEmpty)
        #expect(looks(24, queue: nil).isEmpty)
        #expect(looks(19, queue: 30).isEmpty, "six minutes without, then five with it")
        #expect(looks(3, queue: 30).first == [10, 4])
    }

    @Test("A window that is shorter than looks are apart holds nothing up")
    func shortWindow() {
        var stage = ScalerStage(pods: 4) { $0.scaler.scaleDown.stabilization = .seconds(10) }
        var changes: [[Int]] = []
        for _ in 1...2 {
            stage.evaluate(load: 100)
            if !stage.decided.isEmpty { changes.append(stage.change) }
        }
        #expect(changes.first == [4, 1])
    }

    @Test("A window of two looks lasts no longer for a stat that is missing at every third look")
    func gapsInShortWindow() {
        var stage = ScalerStage(pods: 4) {
            $0.scaler.scaleDown.stabilization = .seconds(10)
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
        }
        var changes: [[Int]] = []
        for look in 1...24 where changes.isEmpty {
            stage.tell("queue", look % 3 == 0 ? -1 : 10)
            stage.evaluate(after: .seconds(5))
            if !stage.decided.isEmpty { changes.append(stage.change) }
        }
        #expect(changes == [[4, 1]])
    }

    @Test(
        "Nodes are asked for ahead of policies only as far as these allow within the time that a machine takes",
        arguments: [
            (ScalingRules.Policy(.pods, 1, per: .minutes(30)), 0), (.init(.percent, 10, per: .minutes(5)), 0),
            (.init(.pods, 1, per: .seconds(60)), 2), (.init(.pods, 4, per: .seconds(15)), 32),
            (.init(.percent, 100, per: .seconds(15)), 30),
        ])
    func ahead(policy: ScalingRules.Policy, expected: Int) {
        var stage = ScalerStage(pods: 8) {
            $0.scaler.maximum = 46
            $0.scaler.scaleUp.policies = [policy]
        }
        stage.evaluate(load: 10_000)
        let act = stage.stage.core.engine.memory.pods?.scalers["default/web"]?.act
        #expect(act?.from == 8 && act?.ahead == min(expected, 46 - (act?.to ?? 0)), "\(String(describing: act))")
    }

    @Test("A slow policy buys no machines before its time")
    func slowPolicy() {
        var stage = ScalerStage(pods: 1) {
            $0.scaler.maximum = 40
            $0.scaler.scaleUp.policies = [.init(.pods, 1, per: .minutes(30))]
        }
        stage.evaluate(load: 1_000 * 20)
        #expect(stage.change == [1, 2])
        #expect(stage.stage.scaled.isEmpty, "the second pod has room on the node that is there")
    }

    @Test("Where something keeps pods from being made no nodes are asked for replicas that never become pods")
    func quota() {
        var stage = ScalerStage(pods: 3) { $0.scaler.maximum = 100 }
        stage.evaluate(load: 1_000)
        #expect(stage.change == [3, 6])
        stage.carryOut()
        // A quota lets no pod of these be made.
        stage.evaluate(after: .seconds(60), load: 1_000)
        stage.target.replicas = 6
        stage.tellTarget()
        var asked: [Int] = []
        for _ in 1...12 {
            stage.evaluate(load: 2_000)
            asked += stage.stage.scaled.map(\.to)
            if stage.change.first == 6 { break }
        }
        #expect(stage.change.first == 6 && asked.isEmpty, "\(stage.change) \(asked)")
        #expect(
            stage.entry()?.limits.contains { $0.detail.hasPrefix("only 3 of 6 replicas have pods") } == true,
            "\(String(describing: stage.entry()))")
    }

    @Test(
        "A StatefulSet makes its pods one after the other: while the newest starts the rest are not held by a quota; one that never becomes ready holds them",
        arguments: [
            (2, .running, 2, true), (2, .running, 30, false), (0, .running, 2, false), (nil, .running, 0, false),
            // Its image never comes; its place has not come.
            (2, .pending, 30, false), (2, .pending, 2, true), (2, .pending, nil, true),
        ] as [(Int?, Pod.Phase, Double?, Bool)])
    func orderedReady(unready: Int?, phase: Pod.Phase, minutes: Double?, asks: Bool) {
        var stage = ScalerStage(nodes: ["n1", "n2"], pods: 3) {
            $0.scaler.maximum = 100
            $0.target.kind = "StatefulSet"
            $0.scaler.target?.kind = "StatefulSet"
        }
        stage.evaluate(load: 1_000)
        #expect(stage.change == [3, 6])
        stage.carryOut()
        stage.evaluate(after: .seconds(60), load: 1_000)
        var pods: [Pod] = []
        if let unready {
            pods = [stage.pods[unready]]
            pods[0].ready = false
            pods[0].phase = phase
            pods[0].startedAt = minutes.map { stage.stage.now - .seconds(60 * $0) }
            if minutes == nil { pods[0].node = nil }
        }
        stage.tellTarget(pods: pods)
        var asked: [Int] = []
        for _ in 1...12 {
            stage.evaluate(load: 4_000)
            asked += stage.stage.scaled.map(\.to)
            if stage.change.first == 6 { break }
        }
        #expect(stage.change.first == 6 && asked.isEmpty != asks, "\(stage.change) \(asked)")
    }

    @Test("A scaler that only tries is in nobody's way, and says what it would do beside whoever scales")
    func tries() {
        let reference = TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web")
        var stage = ScalerStage { $0.scaler.dryRun = true }
        let owner = PodAutoscaler(namespace: "default", name: "h", target: reference)
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(autoscalers: [owner])))
        stage.evaluate(load: 1_000)
        var entry = stage.entry()
        #expect(stage.decided.isEmpty && entry?.problem == nil && entry?.desired == 4 && entry?.thresholds.count == 1)
        #expect(entry?.limits.map(\.reason) == [.autoscalerOwnsTarget, .dryRun])
        // Beside one that is at work.
        stage = ScalerStage()
        var second = stage.scaler
        second.name = "trial"
        second.dryRun = true
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(scalers: [second])))
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
        entry = stage.entry("default/trial")
        #expect(entry?.problem == nil && entry?.desired == 4)
        #expect(entry?.limits.first == Explanation(.scalerConflict, "Deployment/default/web is scaled by default/web"))
        // While HorizontalPodAutoscalers cannot be read it goes on as well.
        stage = ScalerStage { $0.scaler.dryRun = true }
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(autoscalersProblem: "403")))
        stage.evaluate(load: 1_000)
        #expect(stage.entry()?.problem == nil && stage.entry()?.desired == 4)
    }

    @Test("Many scalers that only try beside as many HorizontalPodAutoscalers: each is told of its own")
    func manyTries() {
        var stage = ScalerStage()
        var scaling = PodScaling()
        for number in 0..<100 {
            let reference = TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "w\(number)")
            var (scaler, target) = (stage.scaler, stage.target)
            (scaler.name, scaler.target, scaler.dryRun) = ("s\(number)", reference, true)
            target.name = reference.name
            scaling.scalers.append(scaler)
            scaling.targets.append(target)
            scaling.autoscalers.append(PodAutoscaler(namespace: "default", name: "h\(number)", target: reference))
        }
        stage.stage.delta(scaling: PodScalingChange(changed: scaling))
        stage.evaluate(load: 500)
        for number in 0..<100 {
            let told = stage.entry("default/s\(number)")?.limits.filter { $0.reason == .autoscalerOwnsTarget }
            #expect(
                told?.map(\.detail) == [
                    "HorizontalPodAutoscaler default/h\(number) scales Deployment/default/w\(number)"
                ])
        }
    }

    @Test(
        "A workload at zero gets its first pod also by policies that allow a share",
        arguments: [ScalingRules.Selection.max, .min])
    func wakesByPercent(selection: ScalingRules.Selection) {
        var stage = ScalerStage(pods: 2) {
            $0.scaler.minimum = 0
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            $0.scaler.scaleDown.stabilization = .zero
            $0.scaler.scaleUp.policies = [
                .init(.percent, 100, per: .seconds(15)), .init(.percent, 10, per: .seconds(15)),
            ]
            $0.scaler.scaleUp.selection = selection
        }
        stage.tell("queue", 0)
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == [2, 0])
        stage.carryOut()
        stage.evaluate(after: .seconds(20))
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(20))
        #expect(stage.change == [0, 1])
        stage = ScalerStage {
            $0.scaler.minimum = 0
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            $0.scaler.scaleUp.selection = .disabled
        }
        stage.evaluate(after: .seconds(1))
        #expect(stage.entry()?.problem?.reason == .scalerInvalid, "it would never wake")
    }

    @Test("The replica more that a workload has while its only pod moves is not taken away as one too many")
    func surge() throws {
        var stage = ScalerStage(nodes: ["n1", "n2"], pods: 1) { $0.scaler.maximum = 1 }
        var record = RemovalRecord(
            id: "r1", group: "w", nodeUID: "u", serverID: "s", member: "m", memberID: "p", decidedAt: stage.stage.now,
            startedAt: stage.stage.now, deadline: stage.stage.now + .minutes(5), reason: Explanation(.nodeUnneeded))
        record.drain = .init(surges: [
            .init(
                apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "web", from: 1, to: 2,
                podUID: stage.pods[0].uid, since: stage.stage.now)
        ])
        var node = Stage.node("n1")
        node.annotations[RemovalNames.record] = try record.text()
        stage.target.replicas = 2
        stage.tellTarget()
        stage.stage.delta(nodes: [node])
        stage.evaluate(load: 500)
        #expect(stage.decided.isEmpty && stage.entry()?.limits.map(\.reason) == [.surged])
        // Also when that removal was cancelled and the replica is not put back yet.
        node.annotations[RemovalNames.record] = try record.applying(
            .cancelled(Explanation(.loadReturned)), at: stage.stage.now
        ).text()
        stage.stage.delta(nodes: [node])
        stage.evaluate(load: 500)
        #expect(stage.decided.isEmpty && stage.entry()?.limits.map(\.reason) == [.surged])
        // Another number is somebody else's.
        stage.target.replicas = 3
        stage.tellTarget()
        stage.evaluate(load: 500)
        #expect(stage.change == [3, 1])
    }

    @Test("The replica more of one of several workloads is not taken from another")
    func surgeOfOne() throws {
        var stage = ScalerStage(nodes: ["n1", "n2"], pods: 3) {
            $0.scaler.target = nil
            $0.scaler.targetSelector = LabelSelector([Requirement("tier", .in, ["front"])])
            $0.scaler.maximum = 4
            $0.target.labels["tier"] = "front"
        }
        var other = ScaleTarget(
            apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "other", labels: ["tier": "front"],
            selector: LabelSelector([Requirement("app", .in, ["other"])]), replicas: 2)
        var record = RemovalRecord(
            id: "r1", group: "w", nodeUID: "u", serverID: "s", member: "m", memberID: "p", decidedAt: stage.stage.now,
            startedAt: stage.stage.now, deadline: stage.stage.now + .minutes(5), reason: Explanation(.nodeUnneeded))
        record.drain = .init(surges: [
            .init(
                apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "other", from: 1, to: 2,
                podUID: "p", since: stage.stage.now)
        ])
        var node = Stage.node("n2")
        node.annotations[RemovalNames.record] = try record.text()
        stage.stage.delta(
            nodes: [node], scaling: PodScalingChange(changed: PodScaling(targets: [other])))
        stage.evaluate(load: 500)
        #expect(stage.decided.isEmpty && stage.entry()?.limits.map(\.reason) == [.surged], "\(stage.change)")
        // Another number is somebody else's.
        other.replicas = 3
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(targets: [other])))
        stage.evaluate(load: 500)
        #expect(!stage.decided.isEmpty && stage.entry()?.limits.map(\.reason) != [.surged])
    }

    @Test("The ledger says the same once, and what changed again")
    func ledger() {
        var stage = ScalerStage()
        stage.evaluate(load: 500)
        #expect(stage.stage.record?.scalers?.first?.outcome.reason == .scalerSatisfied)
        stage.evaluate(load: 505)
        #expect(stage.stage.record?.scalers == nil)
        stage.evaluate(load: 1_000)
        #expect(stage.stage.record?.scalers?.first?.desired == 4)
        stage.stage.delta(scaling: PodScalingChange(removedScalers: ["default/web"]))
        stage.evaluate(after: .seconds(5))
        #expect(stage.stage.record?.scalers?.first?.isGone == true)
    }
}

@Suite("Scalers that cannot be served: replicas stay as they are, and the reason is told")
struct ScalerProblemTests {
    private func problem(_ change: (inout ScalerStage) -> Void) -> Explanation? {
        var stage = ScalerStage(change: change)
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        return stage.entry()?.problem
    }

    @Test("As it was written") func written() {
        #expect(problem { $0.scaler.mistake = "spec.targetSelector: unknown operator" }?.reason == .scalerInvalid)
        #expect(problem { $0.scaler.intentions = [] }?.detail == "has no threshold")
        #expect(problem { $0.scaler.target = nil }?.reason == .scalerInvalid)
        #expect(problem { $0.scaler.fallback = 99 }?.reason == .scalerInvalid)
        #expect(
            problem { $0.scaler.intentions = [Intention(stat: "cpu", goal: .utilization(0))] }?.reason == .scalerInvalid
        )
        #expect(
            problem { $0.scaler.intentions = [Intention(stat: "x", goal: .average(.nan))] }?.reason == .scalerInvalid)
        #expect(problem { $0.scaler.intentions = [Intention(stat: "x", goal: .total(5))] }?.reason == .scalerInvalid)
        #expect(problem { $0.scaler.scaleUp.policies = [] }?.reason == .scalerInvalid)
        #expect(problem { $0.scaler.monitorSelector = LabelSelector() }?.reason == .scalerInvalid)
    }

    @Test("An unknown stat") func unknownStat() {
        let unknown = problem { $0.scaler.intentions = [Intention(stat: "sessions", goal: .average(5))] }
        #expect(unknown?.reason == .statUnknown && unknown?.detail == "sessions: 2 pods gave none")
    }

    @Test("Negative, infinite and stale stats") func unusable() {
        for value in [-5.0, .infinity, .nan, 1e308] {
            var stage = ScalerStage()
            stage.evaluate(load: value)
            #expect(stage.decided.isEmpty)
            #expect(
                stage.entry()?.problem?.detail == "cpu: 2 pods gave a value that is negative, too large or no number")
        }
        var stage = ScalerStage()
        stage.load(1_000, at: stage.stage.now)
        stage.evaluate(after: .seconds(61))
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem?.reason == .statStale)
        // A clock that is ahead makes nothing fresh for longer than that.
        stage.load(1_000, at: stage.stage.now + .minutes(600))
        stage.evaluate(after: .seconds(61))
        #expect(stage.decided.isEmpty)
        stage.tell("x", -3)
        #expect(stage.entry()?.problem?.reason == .statStale)
    }

    @Test("External values that cannot be used") func external() {
        for (value, age, reason) in [
            (-3.0, 0.0, Reason.statUnknown), (1e308, 0, .statUnknown), (5, 120, .statStale),
        ] {
            var stage = ScalerStage {
                $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(1))]
            }
            stage.tell("queue", value, at: stage.stage.now - .seconds(age))
            stage.evaluate(after: .seconds(1))
            #expect(stage.decided.isEmpty)
            #expect(stage.entry()?.problem?.reason == reason)
        }
    }

    @Test(
        "When no stat can be had for longer than a minute the replicas are raised to those named for that, never lowered"
    )
    func fallback() {
        var stage = ScalerStage { $0.scaler.fallback = 4 }
        stage.evaluate(after: .seconds(5))
        #expect(stage.decided.isEmpty)
        stage.evaluate(after: .seconds(61))
        #expect(stage.change == [2, 4])
        #expect(stage.decided.first?.reason.reason == .fallbackReplicas)
        var many = ScalerStage(pods: 6) { $0.scaler.fallback = 4 }
        many.evaluate(after: .seconds(5))
        many.evaluate(after: .seconds(100))
        #expect(many.decided.isEmpty)
    }

    @Test("The target is gone, is owned by another workload, or cannot be read") func target() {
        #expect(problem { $0.target.name = "other" }?.reason == .targetNotFound)
        // Of those that another workload owns nobody tells.
        for (kind, words) in [
            ("ReplicaSet", "there is no ReplicaSet web in default, or another workload owns it"),
            ("Deployment", "there is no Deployment web in default"),
        ] {
            let missing = problem {
                $0.scaler.target?.kind = kind
                $0.target.name = "other"
            }
            #expect(missing == Explanation(.targetNotFound, words))
        }
        #expect(problem { $0.target.owner = "Deployment/shop" }?.reason == .scalerInvalid)
        #expect(
            problem { $0.target.problem = Explanation(.kubernetesRefused, "403") }
                == Explanation(.kubernetesRefused, "403"))
    }

    @Test("A HorizontalPodAutoscaler that owns the target") func autoscaler() {
        var stage = ScalerStage()
        let reference = TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web")
        stage.stage.delta(
            scaling: PodScalingChange(
                changed: PodScaling(
                    autoscalers: [PodAutoscaler(namespace: "default", name: "old", target: reference)])))
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem?.reason == .autoscalerOwnsTarget)
        stage.stage.delta(scaling: PodScalingChange(removedAutoscalers: ["default/old"]))
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
    }

    @Test("HorizontalPodAutoscalers that cannot be read: one may own the target, so nothing is done until they can be")
    func unreadAutoscalers() {
        var stage = ScalerStage()
        stage.stage.delta(
            scaling: PodScalingChange(changed: PodScaling(autoscalersProblem: "403: horizontalpodautoscalers")))
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem?.reason == .kubernetesRefused)
        #expect(stage.entry()?.problem?.detail.contains("403: horizontalpodautoscalers") == true)
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(autoscalersProblem: "")))
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
    }

    @Test("Use is compared with what the containers request, not with what initialization needs once")
    func runningRequests() {
        for (running, expected) in [(nil, [2, 1]), (200, [2, 4])] as [(Int64?, [Int])] {
            var shape = Stage.shape(cpu: 2_000)
            shape.runningRequests = running.map { ResourceList(cpuMillis: $0) }
            var stage = ScalerStage(shape: shape) { $0.scaler.scaleDown.stabilization = .zero }
            stage.evaluate(load: 200)
            #expect(stage.change == expected)
        }
    }

    @Test("Pods of two versions count with what those of each request")
    func mixedRequests() {
        var stage = ScalerStage { stage in
            stage.target.replicas = 4
            stage.scaler.scaleDown.stabilization = .zero
        }
        let small = Stage.shape(cpu: 200)
        var others = stage.stage.pods("small", 2, small, on: "n1")
        for index in others.indices {
            others[index].startedAt = stage.stage.now - .minutes(60)
            others[index].readyChangedAt = stage.stage.now - .minutes(59)
        }
        stage.stage.delta(pods: others)
        let now = stage.stage.now
        // 300 of 1,000 and of 200 thousandths of a core: half of what all request, as is wanted.
        let samples = (stage.pods + others).map { pod in
            PodStats.Sample(
                namespace: "default", pod: pod.name, podUID: pod.uid, node: "n1", at: now, cpuMillis: 300)
        }
        stage.stage.receive(.podStats(PodStats(cluster: "test", samples: samples)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.decided.isEmpty && stage.entry()?.thresholds.first?.value == 50)
    }

    @Test("CPU that the Collector tells rounded up by container counts so, as with Kubernetes: 55 % is 56 %")
    func wholeThousandths() {
        for (whole, expected) in [(nil, nil), (560, 3)] as [(Double?, Int?)] {
            var stage = ScalerStage()
            let now = stage.stage.now
            let samples = stage.pods.map { pod in
                var sample = PodStats.Sample(
                    namespace: "default", pod: pod.name, podUID: pod.uid, node: pod.node ?? "", at: now,
                    cpuMillis: 558.4)
                sample.cpuWholeMillis = whole
                return sample
            }
            stage.stage.receive(.podStats(PodStats(cluster: "test", samples: samples)))
            stage.evaluate(after: .seconds(1))
            #expect(stage.decided.last?.to == expected)
        }
    }

    /// Pods with a container `app` that requests 400 and one `log` that requests 600, and what they use.
    private func stage(
        _ goal: Intention.Goal, of container: String = "app", stat: String = "cpu", named: Bool = true
    ) -> ScalerStage {
        let shape = Stage.shape(cpu: 1_000, memory: 100) { shape in
            guard named else { return }
            shape.containers = [
                .init(name: "app", cpuMillis: 400, memoryBytes: 40 << 20),
                .init(name: "log", cpuMillis: 600, memoryBytes: 60 << 20),
            ]
        }
        return ScalerStage(shape: shape) { stage in
            stage.scaler.intentions = [Intention(stat: stat, container: container, goal: goal)]
        }
    }

    private func use(_ stage: inout ScalerStage, of containers: [(name: String, cpu: Double?, memory: Int64?)]) {
        let now = stage.stage.now
        let samples = stage.pods.map { pod in
            var sample = PodStats.Sample(
                namespace: "default", pod: pod.name, podUID: pod.uid, node: pod.node ?? "", at: now, cpuMillis: 500,
                memoryBytes: 50 << 20)
            sample.containers = containers.map { name, cpu, memory in
                var container = PodStats.Container(name: name)
                (container.cpuMillis, container.memoryBytes) = (cpu, memory)
                return container
            }
            return sample
        }
        stage.stage.receive(.podStats(PodStats(cluster: "test", samples: samples)))
        stage.evaluate(after: .seconds(1))
    }

    @Test("ContainerResource: one container's use against its own requests, whatever the others of the pod do")
    func container() {
        // 360 of 400 is 90 %, with a goal of 50 % twice two pods less a little; the whole pod is at 50 %.
        var busy = stage(.utilization(50))
        use(&busy, of: [("app", 360, nil), ("log", 140, nil)])
        #expect(busy.change == [2, 4])
        let threshold = busy.entry()?.thresholds.first
        #expect(threshold?.stat == "cpu of app" && threshold?.value == 90, "\(String(describing: threshold))")
        var whole = stage(.utilization(50))
        whole.scaler.intentions = [Intention(stat: "cpu", goal: .utilization(50))]
        whole.tellTarget()
        use(&whole, of: [("app", 360, nil), ("log", 140, nil)])
        #expect(whole.decided.isEmpty && whole.entry()?.outcome.reason == .scalerSatisfied)
        // As with Kubernetes each is rounded up to whole thousandths: 99.2 twice is 100 on average.
        var average = stage(.average(90))
        use(&average, of: [("app", 99.2, nil), ("log", 1, nil)])
        #expect(average.change == [2, 3], "a ratio of 100/90, not of 99/90, is beyond the tolerance")
        var memory = stage(.utilization(50), stat: "memory")
        use(&memory, of: [("app", 1, 36 << 20), ("log", 1, 14 << 20)])
        #expect(memory.change == [2, 4])
    }

    @Test(
        "ContainerResource: a container that is not there, requests nothing or tells nothing scales nothing, and says so"
    )
    func containerMissing() {
        var other = stage(.utilization(50), of: "proxy")
        use(&other, of: [("app", 360, nil), ("log", 140, nil)])
        #expect(other.decided.isEmpty && other.entry()?.problem?.detail == "cpu of proxy: a pod has no such container")
        var silent = stage(.utilization(50))
        use(&silent, of: [("app", nil, 1), ("log", 140, nil)])
        #expect(silent.decided.isEmpty && silent.entry()?.problem?.reason == .statUnknown)
        // The kubelet's word of an only container: it has the requests of the pod.
        var only = stage(.utilization(30), named: false)
        use(&only, of: [("app", 600, nil)])
        #expect(only.change == [2, 4])
        only = stage(.utilization(30), of: "proxy", named: false)
        use(&only, of: [("app", 600, nil)])
        #expect(only.decided.isEmpty && only.entry()?.problem?.reason == .statUnknown)
        // Old stats of it are as old as the rest.
        var old = stage(.utilization(50))
        use(&old, of: [("app", 200, nil), ("log", 140, nil)])
        old.evaluate(after: .seconds(90))
        #expect(old.entry()?.problem?.reason == .statStale)
    }

    @Test("Disk and network have a time of their own: what is repeated of them grows old all the same")
    func details() {
        var stage = ScalerStage {
            $0.scaler.intentions = [Intention(stat: "received", goal: .average(100))]
        }
        func tell(detailsAt: Timestamp) {
            stage.stage.receive(
                .podStats(
                    PodStats(
                        cluster: "test",
                        samples: stage.pods.map {
                            var sample = PodStats.Sample(
                                namespace: "default", pod: $0.name, podUID: $0.uid, node: $0.node ?? "",
                                at: stage.stage.now, cpuMillis: 10)
                            sample.receivedPerSecond = 200
                            sample.detailsAt = detailsAt
                            return sample
                        })))
        }
        tell(detailsAt: stage.stage.now - .seconds(125))
        stage.evaluate(after: .seconds(1))
        #expect(stage.decided.isEmpty && stage.entry()?.problem?.reason == .statStale)
        tell(detailsAt: stage.stage.now - .seconds(110))
        stage.evaluate(after: .seconds(6))
        #expect(stage.change == [2, 4])
    }

    @Test("Two scalers on one target: neither acts, until one is switched off") func two() {
        var stage = ScalerStage()
        var second = stage.scaler
        second.name = "second"
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(scalers: [second])))
        stage.evaluate(load: 1_000)
        #expect(stage.decided.isEmpty)
        #expect(stage.entry()?.problem?.detail == "Deployment/default/web is scaled by default/second as well")
        #expect(stage.entry("default/second")?.problem?.reason == .scalerConflict)
        second.enabled = false
        stage.stage.delta(scaling: PodScalingChange(changed: PodScaling(scalers: [second])))
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
    }

    @Test("Scalers of the configuration need no object of the cluster") func configuration() {
        var stage = ScalerStage(configure: { $0.podScalers = [ScalerStage.configured] }, change: { _ in })
        stage.stage.delta(scaling: PodScalingChange(removedScalers: ["default/web"]))
        stage.evaluate(load: 1_000)
        #expect(stage.change == [2, 4])
        #expect(stage.entry("default/configured")?.isObject == false)
    }
}

extension ScalerStage {
    static let configured = PodScaler(
        namespace: "default", name: "configured", origin: .configuration,
        target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web"), maximum: 10,
        intentions: [Intention(stat: "cpu", goal: .utilization(50))])
}
