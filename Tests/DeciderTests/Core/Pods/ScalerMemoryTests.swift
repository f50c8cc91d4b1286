import FoundationEssentials
import Messages
import Support
import Testing

@testable import Decider

@Suite("What a scaler remembers of what it did")
struct ScalerMemoryTests {
    /// Set to zero by its scaler, with nothing to do.
    private func idle() -> ScalerStage {
        var stage = ScalerStage(pods: 2) {
            $0.scaler.minimum = 0
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.tell("queue", 0)
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == [2, 0])
        stage.carryOut()
        stage.tellTarget(removedPods: stage.pods.map(\.uid))
        stage.evaluate(after: .seconds(20))
        return stage
    }

    /// Set to zero by its scaler, and the Actuator says that it is done: nobody tells the zero yet.
    private func done() -> ScalerStage {
        var stage = ScalerStage(pods: 2) {
            $0.scaler.minimum = 0
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.tell("queue", 0)
        stage.evaluate(after: .seconds(1))
        #expect(stage.change == [2, 0])
        let progress = ScaleProgress(
            id: stage.decided.last?.id ?? "", group: "Deployment/default/web", from: 2, to: 0,
            reason: Explanation(.statBelow), at: stage.stage.now)
        stage.stage.receive(.scaleCompleted(ScaleCompleted(cluster: "test", scale: progress)))
        return stage
    }

    @Test(
        "A target that we set to zero is woken also if scaler or target were missing for a while in what the Collector could read",
        arguments: [true, false])
    func missing(scaler: Bool) {
        var stage = idle()
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: [],
            scaling: scaler ? PodScaling(targets: [stage.target]) : PodScaling(scalers: [stage.scaler]))
        stage.evaluate(after: .seconds(30))
        stage.evaluate(after: .minutes(20))
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: [], scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(20))
        #expect(stage.change == [0, 3])
    }

    @Test(
        "What we set to zero is woken by whoever scales it, however long nobody did: switched off for hours, deleted and made anew, under another name"
    )
    func woken() throws {
        func wakes(_ stage: inout ScalerStage, _ name: String = "web") -> Bool {
            stage.scaler.name = name
            stage.tellTarget()
            stage.tell("queue", 30)
            stage.evaluate(after: .seconds(20))
            return stage.change == [0, 3]
        }
        for name in ["web", "renamed"] {
            var stage = idle()
            stage.stage.delta(
                scaling: PodScalingChange(removedScalers: ["default/web"], removedTargets: [stage.target.id]))
            stage.evaluate(after: .seconds(30))
            stage.evaluate(after: .minutes(3 * 1_440))
            #expect(wakes(&stage, name), "\(name)")
        }
        // `decider.pods.enabled: false` for a while.
        var stage = idle()
        var configuration = stage.stage.core.engine.configuration
        for isEnabled in [false, true] {
            let saved = try stage.stage.core.engine.checkpoint()
            configuration.podScaling.enabled = isEnabled
            stage.stage.core = DeciderCore(configuration, term: "t\(isEnabled)")
            try stage.stage.core.restore(saved)
            stage.stage.snapshot(
                nodes: [Stage.node("n1")], pods: [],
                scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
            stage.stage.group("w", ["n1"])
            stage.evaluate(after: .seconds(30))
            stage.evaluate(after: .minutes(120))
        }
        #expect(wakes(&stage))
        // Once it has replicas again, the next zero is somebody's.
        stage.carryOut()
        stage.evaluate(after: .seconds(20))
        stage.target.replicas = 0
        stage.tellTarget()
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(20))
        #expect(stage.decided.isEmpty && stage.entry()?.problem?.reason == .targetIsZero)
    }

    @Test(
        "What we set to zero is woken also if the Collector tells the zero late, with load that is back before",
        arguments: [(40.0, true), (700, false)])
    func toldLate(seconds: Double, isWoken: Bool) {
        var stage = done()
        // The watch of Deployments is behind: two replicas, as before. They would be enough.
        for _ in 0..<Int(seconds / 10) {
            stage.tell("queue", 20)
            stage.evaluate(after: .seconds(10))
            #expect(stage.decided.isEmpty)
        }
        stage.target.replicas = 0
        stage.tellTarget(removedPods: stage.pods.map(\.uid))
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(10))
        #expect(stage.change == (isWoken ? [0, 3] : []), "\(String(describing: stage.entry()?.problem))")
    }

    @Test("What we set to zero is woken also if it was decided again while the zero was not told, and that was refused")
    func refusedMeanwhile() {
        var stage = done()
        // The API server is away: neither the zero is told nor the second change done.
        var again: [PodsDecided] = []
        for _ in 1...6 where again.isEmpty {
            stage.tell("queue", 0)
            stage.evaluate(after: .seconds(10))
            again = stage.decided
        }
        #expect(again.map { [$0.from, $0.to] } == [[2, 0]])
        if let decision = again.last { refuse(&stage, decision, .kubernetesUnreachable) }
        stage.target.replicas = 0
        stage.tellTarget(removedPods: stage.pods.map(\.uid))
        var changes: [[Int]] = []
        for _ in 1...6 where changes.isEmpty {
            stage.tell("queue", 30)
            stage.evaluate(after: .seconds(10))
            changes += stage.decided.map { [$0.from, $0.to] }
        }
        #expect(changes == [[0, 3]], "\(String(describing: stage.entry()?.problem))")
    }

    @Test(
        "The replicas of before with pods that were made since are somebody's, and so is the zero after them",
        arguments: [true, false])
    func setAgain(isMade: Bool) {
        var stage = done()
        // Our zero itself was never looked at.
        stage.tell("queue", 20)
        stage.evaluate(after: .seconds(20))
        let before = stage.pods.map(\.uid)
        if isMade { stage.addPods(2, on: "n1") }
        var anew = Array(stage.pods.dropFirst(before.count))
        for index in anew.indices { anew[index].createdAt = stage.stage.now }
        stage.tellTarget(pods: anew, removedPods: isMade ? before : [])
        // The act is over after its deadline.
        for _ in 1...4 {
            stage.tell("queue", 20)
            stage.evaluate(after: .seconds(10))
            #expect(stage.decided.isEmpty)
        }
        stage.target.replicas = 0
        stage.tellTarget(removedPods: stage.pods.map(\.uid))
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(10))
        #expect(stage.change == (isMade ? [] : [0, 3]))
        #expect(stage.entry()?.problem?.reason == (isMade ? .targetIsZero : nil))
    }

    @Test("A workload that is deleted and made anew at zero is somebody's zero", arguments: [true, false])
    func madeAnew(isSame: Bool) {
        var stage = ScalerStage(pods: 2) {
            $0.target.uid = "first"
            $0.scaler.minimum = 0
            $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
            $0.scaler.scaleDown.stabilization = .zero
        }
        stage.tell("queue", 0)
        stage.evaluate(after: .seconds(1))
        stage.carryOut()
        stage.stage.delta(scaling: PodScalingChange(removedTargets: [stage.target.id]))
        stage.evaluate(after: .seconds(30))
        if !isSame { stage.target.uid = "second" }
        stage.tellTarget()
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(20))
        #expect(stage.change == (isSame ? [0, 3] : []))
        #expect(stage.entry()?.problem?.reason == (isSame ? nil : .targetIsZero))
    }

    @Test("A target that nobody has told of for a month is forgotten")
    func forgotten() {
        var stage = idle()
        stage.stage.delta(scaling: PodScalingChange(removedScalers: ["default/web"], removedTargets: [stage.target.id]))
        stage.evaluate(after: .seconds(30))
        stage.evaluate(after: .minutes(31 * 1_440))
        stage.evaluate(after: .seconds(30))
        #expect(stage.stage.core.engine.memory.pods?.idled == nil)
    }

    @Test("What the Collector could not list is not gone: scalers and targets stay as they were last known, and go on")
    func unlisted() {
        var stage = ScalerStage(pods: 2)
        stage.evaluate(load: 500)
        let nodes = [Stage.node("n1")]
        stage.stage.snapshot(
            nodes: nodes, pods: stage.pods, scaling: PodScaling(scalersProblem: "500", deploymentsProblem: "403"))
        stage.evaluate(after: .seconds(10), load: 1_000)
        #expect(stage.change == [2, 4])
        stage.carryOut()
        stage.stage.snapshot(
            nodes: nodes, pods: stage.pods, scaling: PodScaling(scalers: [stage.scaler], deploymentsProblem: "403"))
        stage.evaluate(after: .seconds(10), load: 500)
        #expect(stage.entry()?.target == "Deployment/default/web" && stage.entry()?.problem == nil)
        // Listed at last: now what is not there is gone.
        stage.stage.snapshot(nodes: nodes, pods: stage.pods, scaling: PodScaling(scalers: [stage.scaler]))
        stage.evaluate(after: .seconds(10), load: 500)
        #expect(stage.entry()?.problem?.reason == .targetNotFound)
        stage.stage.snapshot(nodes: nodes, pods: stage.pods, scaling: PodScaling(targets: [stage.target]))
        stage.evaluate(after: .seconds(10), load: 500)
        #expect(stage.stage.record?.scalers?.first?.isGone == true)
    }

    @Test(
        "A Decider that never knew them says that Deployments cannot be listed; what a selector means is not known then either"
    )
    func neverListed() {
        for isSelected in [false, true] {
            var stage = ScalerStage(pods: 2) {
                guard isSelected else { return }
                $0.scaler.target = nil
                $0.scaler.targetSelector = LabelSelector([Requirement("app", .in, ["web"])])
            }
            let controller = ScaleTarget(
                apiVersion: "v1", kind: "ReplicationController", namespace: "default", name: "rc",
                labels: ["app": "web"], selector: nil, replicas: 2)
            let core = DeciderCore(stage.stage.core.engine.configuration, term: "u")
            stage.stage.core = core
            stage.stage.snapshot(
                nodes: [Stage.node("n1")], pods: stage.pods,
                scaling: PodScaling(scalers: [stage.scaler], targets: [controller], deploymentsProblem: "403"))
            stage.stage.group("w", ["n1"])
            stage.evaluate(after: .seconds(5), load: 1_000)
            #expect(stage.decided.isEmpty)
            #expect(stage.entry()?.problem?.reason == .kubernetesRefused)
            #expect(stage.entry()?.problem?.detail.contains("Deployments cannot be listed") == true)
        }
    }

    @Test("What a scaler did is remembered also while whoever takes over cannot list the scalers")
    func takenOver() throws {
        var stage = idle()
        let saved = try stage.stage.core.engine.checkpoint()
        stage.stage.core = DeciderCore(stage.stage.core.engine.configuration, term: "u")
        try stage.stage.core.restore(saved)
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: [],
            scaling: PodScaling(targets: [stage.target], scalersProblem: "500"))
        stage.stage.group("w", ["n1"])
        stage.evaluate(after: .seconds(30))
        stage.evaluate(after: .minutes(90))
        stage.evaluate(after: .seconds(30))
        #expect(stage.entry()?.isGone == nil)
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: [], scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
        stage.tell("queue", 30)
        stage.evaluate(after: .seconds(20))
        #expect(stage.change == [0, 3])
    }

    @Test(
        "A checkpoint of the release that kept with each scaler what it set to zero is read, and ours can be read by it"
    )
    func formBefore() throws {
        var stage = idle()
        let written = try stage.stage.core.engine.checkpoint()
        let text = String(decoding: written, as: UTF8.self)
        #expect(text.contains(#""idled":["Deployment\/default\/web"]"#), "\(text)")
        let before = #"""
            {"version":1,"cluster":"test","number":7,"groups":{},"unneededSince":{},"recentGrowth":[],"pods":{"freed":{},"scalers":{
              "default/web":{"ups":[],"downs":[],"idled":["Deployment/default/web"]},
              "default/other":{"ups":[],"downs":[],"idled":[]}}}}
            """#
        // Between the two was one that wrote none.
        let between = #"""
            {"version":1,"cluster":"test","number":7,"groups":{},"unneededSince":{},"recentGrowth":[],"pods":{"freed":{},"idled":{"Deployment/default/web":{}},"scalers":{
              "default/web":{"ups":[],"downs":[]}}}}
            """#
        for checkpoint in [before, between] {
            stage.stage.core = DeciderCore(stage.stage.core.engine.configuration, term: "u")
            try stage.stage.core.restore(Array(checkpoint.utf8))
            stage.stage.snapshot(
                nodes: [Stage.node("n1")], pods: [],
                scaling: PodScaling(scalers: [stage.scaler], targets: [stage.target]))
            stage.stage.group("w", ["n1"])
            stage.tell("queue", 30)
            stage.evaluate(after: .seconds(20))
            #expect(stage.change == [0, 3], "\(checkpoint)")
        }
        // Woken: it is nobody's any more, in either form.
        stage.carryOut()
        stage.evaluate(after: .seconds(20))
        let after = try stage.stage.core.engine.checkpoint()
        let scalers = try #require(JSONDecoder().decode(EngineMemory.self, from: Data(after)).pods?.scalers)
        #expect(!scalers.isEmpty && scalers.values.allSatisfy { $0.idled.isEmpty })
        let keys = String(decoding: after, as: UTF8.self).ranges(of: #""idled":[]"#).count
        #expect(keys == scalers.count, "each has the key")
    }

    @Test(
        "A target that cannot be listed any more is scaled by what the Actuator answers; what it refuses waits, and buys nothing"
    )
    func kept() {
        var stage = ScalerStage(pods: 2) { $0.scaler.maximum = 40 }
        stage.evaluate(load: 500)
        stage.stage.snapshot(
            nodes: [Stage.node("n1")], pods: stage.pods,
            scaling: PodScaling(scalers: [stage.scaler], deploymentsProblem: "403"))
        stage.evaluate(after: .seconds(10), load: 1_000)
        #expect(stage.change == [2, 4])
        func progress(_ reason: Explanation) -> ScaleProgress {
            ScaleProgress(
                id: stage.decided.last?.id ?? "", group: "Deployment/default/web", from: 2, to: 4, reason: reason,
                at: stage.stage.now)
        }
        stage.stage.receive(
            .scaleCompleted(ScaleCompleted(cluster: "test", scale: progress(Explanation(.statAbove)))))
        stage.evaluate(after: .seconds(1), load: 500)
        #expect(stage.entry()?.current == 4, "no delta has told it")
        for _ in 1...20 where stage.change.first != 4 { stage.evaluate(load: 2_000) }
        #expect(stage.change.first == 4)
        let refused = progress(Explanation(.decisionStale, "it has 7 replicas"))
        stage.stage.receive(.scaleRefused(ScaleRefused(cluster: "test", scale: refused)))
        for _ in 1...4 {
            stage.evaluate(after: .seconds(3), load: 2_000)
            #expect(stage.decided.isEmpty && stage.stage.scaled.isEmpty)
            #expect(stage.entry()?.problem?.reason == .decisionStale)
        }
        // It is tried again in the end.
        for _ in 1...5 where stage.change.first != 4 { stage.evaluate(load: 2_000) }
        #expect(stage.change.first == 4)
    }

    @Test("A retry that the target shows ends the refusal, also if the answer comes late")
    func refusalEnds() {
        var stage = ScalerStage(pods: 2)
        stage.evaluate(load: 1_000)
        if let decision = stage.decided.last { refuse(&stage, decision) }
        stage.evaluate(after: .seconds(10), load: 1_000)
        #expect(stage.entry()?.problem?.reason == .kubernetesRefused)
        for _ in 1...3 where stage.change.isEmpty { stage.evaluate(after: .seconds(10), load: 1_000) }
        let retry = stage.decided.last
        #expect(retry?.to == 4)
        stage.carryOut()
        stage.addPods(2, on: "n1")
        stage.tellTarget(pods: stage.pods)
        stage.evaluate(load: 500)
        if let retry {
            let progress = ScaleProgress(
                id: retry.id, group: "Deployment/default/web", from: retry.from, to: retry.to, reason: retry.reason,
                at: stage.stage.now)
            stage.stage.receive(.scaleCompleted(ScaleCompleted(cluster: "test", scale: progress)))
        }
        var next: [Int] = []
        for _ in 1...6 where next.isEmpty {
            stage.evaluate(load: 1_000)
            next = stage.change
        }
        #expect(next.first == 4 && stage.entry()?.problem == nil, "\(String(describing: stage.entry()?.problem))")
    }

    private func stepping(_ change: (inout ScalerStage) -> Void = { _ in }) -> ScalerStage {
        ScalerStage(pods: 3) {
            $0.scaler.intentions = []
            $0.scaler.values = [
                ValueThreshold(
                    stat: "rate", isExternal: true, comparison: .above, value: 50, duration: .minutes(10),
                    step: .replicas(2))
            ]
            change(&$0)
        }
    }

    /// The stat holds for so long; what was decided.
    private func decided(_ stage: inout ScalerStage, _ value: Double, _ length: Interval) -> [PodsDecided] {
        var decisions: [PodsDecided] = []
        for _ in 0..<Int(length.inSeconds / 10) {
            stage.tell("rate", value)
            stage.evaluate(after: .seconds(10))
            decisions += stage.decided
        }
        return decisions
    }

    private func hold(_ stage: inout ScalerStage, _ value: Double, _ length: Interval) -> [[Int]] {
        decided(&stage, value, length).map { [$0.from, $0.to] }
    }

    private func refuse(
        _ stage: inout ScalerStage, _ decision: PodsDecided, _ reason: Reason = .kubernetesRefused
    ) {
        let progress = ScaleProgress(
            id: decision.id, group: "Deployment/default/web", from: decision.from, to: decision.to,
            reason: Explanation(reason, "403"), at: stage.stage.now)
        stage.stage.receive(.scaleRefused(ScaleRefused(cluster: "test", scale: progress)))
    }

    @Test("A step that was refused, that nobody took up or that could not be sent waits for no second duration")
    func refusedStep() {
        var stage = stepping()
        var made = decided(&stage, 60, .seconds(610))
        #expect(made.map(\.to) == [5])
        if let decision = made.last { refuse(&stage, decision) }
        // The pause after a refusal, not ten minutes.
        made = decided(&stage, 60, .seconds(30))
        #expect(made.map(\.to) == [5])
        // Nobody takes this one up: its deadline passes, and the step is decided anew.
        made = decided(&stage, 60, .seconds(40))
        #expect(made.map(\.to) == [5])
        stage.target.replicas = 5
        stage.tellTarget()
        #expect(hold(&stage, 60, .seconds(500)).isEmpty, "a step that was made begins its time anew")
        #expect(hold(&stage, 60, .seconds(120)) == [[5, 7]])
    }

    @Test("A step that a pause held back is made when the pause ends")
    func heldBack() {
        var stage = stepping { $0.scaler.pause = .up }
        #expect(hold(&stage, 60, .minutes(12)).isEmpty)
        stage.scaler.pause = .none
        stage.tellTarget()
        #expect(hold(&stage, 60, .seconds(20)) == [[3, 5]])
        var rolling = stepping {
            $0.scaler.values[0].comparison = .below
            $0.scaler.values[0].step = .replicas(-1)
            $0.target.isRollingOut = true
        }
        #expect(hold(&rolling, 10, .minutes(12)).isEmpty)
        rolling.target.isRollingOut = false
        rolling.tellTarget()
        #expect(hold(&rolling, 10, .seconds(20)) == [[3, 2]])
    }

    @Test(
        "A threshold that a new spec leaves as it was holds since when it did; one that it changes begins its time anew"
    )
    func newSpec() {
        var stage = stepping()
        let threshold = stage.scaler.values[0]
        #expect(hold(&stage, 60, .minutes(6)).isEmpty)
        stage.scaler.maximum = 9
        // The same, in another place.
        var other = threshold
        other.stat = "unheard"
        stage.scaler.values = [other, threshold]
        stage.tellTarget()
        #expect(hold(&stage, 60, .seconds(200)).isEmpty)
        #expect(hold(&stage, 60, .seconds(60)) == [[3, 5]])
        stage = stepping()
        #expect(hold(&stage, 60, .minutes(6)).isEmpty)
        stage.scaler.values[0].value = 55
        stage.tellTarget()
        #expect(hold(&stage, 60, .seconds(590)).isEmpty)
        #expect(hold(&stage, 60, .seconds(40)) == [[3, 5]])
    }

    @Test("Stabilization windows hold what intentions ask for, not steps")
    func steps() {
        var stage = ScalerStage(pods: 4) {
            $0.scaler.values = [
                ValueThreshold(
                    stat: "rate", isExternal: true, comparison: .above, value: 50, duration: .seconds(30),
                    step: .replicas(1))
            ]
            $0.scaler.scaleUp.stabilization = .seconds(60)
        }
        var changes: [[Int]] = []
        for _ in 1...5 where changes.isEmpty {
            stage.tell("rate", 60)
            stage.load(500)
            stage.evaluate(after: .seconds(10))
            if !stage.decided.isEmpty { changes.append(stage.change) }
        }
        #expect(changes == [[4, 5]])
    }

    @Test("A node is freed when a pod of the smaller target has left it; a refused shrink frees none")
    func freed() {
        func made() -> (ScalerStage, [Pod]) {
            var stage = ScalerStage(
                nodes: ["n1", "n2", "n3"], pods: 6, configure: { $0.scaleDown.delayAfterAdd = .zero },
                change: {
                    $0.scaler.minimum = 2
                    $0.scaler.scaleDown.stabilization = .zero
                })
            var pods = stage.pods
            for index in pods.indices { pods[index].node = ["n1", "n2", "n3"][index / 2] }
            stage.stage.delta(pods: pods)
            stage.evaluate(after: .seconds(15), load: 100)
            #expect(stage.change == [6, 2])
            return (stage, pods)
        }
        var (stage, pods) = made()
        stage.carryOut()
        // Only the pods of one node end: the others have lost none.
        stage.tellTarget(removedPods: pods[4...].map(\.uid))
        var removed: Set<String> = []
        for _ in 1...4 {
            stage.evaluate(after: .seconds(15), load: 250)
            removed.formUnion(stage.stage.removed.flatMap { $0.nodes.map(\.node) })
        }
        #expect(removed == ["n3"])
        // Three more go than the target became smaller: they go for other reasons, and free no node.
        (stage, pods) = made()
        stage.carryOut()
        #expect(stage.stage.core.engine.podScaling.leaving["Deployment/default/web"]?.count == 4)
        stage.tellTarget(removedPods: pods[2...].map(\.uid))
        stage.evaluate(after: .seconds(15), load: 250)
        #expect(stage.stage.core.engine.podScaling.leaving.isEmpty, "as many have gone as were to go")
        stage.tellTarget(removedPods: pods[..<2].map(\.uid))
        stage.evaluate(after: .seconds(15), load: 250)
        #expect(Set(stage.stage.core.engine.memory.pods?.freed.keys.map { $0 } ?? []).count == 2, "n2 and n3")
        // Refused: what ends now ends for other reasons.
        (stage, pods) = made()
        if let decision = stage.decided.last { refuse(&stage, decision) }
        stage.scaler.enabled = false
        stage.tellTarget(removedPods: pods[4...].map(\.uid))
        for _ in 1...4 {
            stage.evaluate(after: .seconds(15))
            #expect(stage.stage.removed.isEmpty)
        }
    }
}

@Suite("Scalers whose numbers cannot be meant")
struct ScalerBoundsTests {
    @Test("Each is invalid, and nothing else suffers")
    func invalid() {
        let changes: [(inout PodScaler) -> Void] = [
            { $0.values[0].step = .replicas(.min) }, { $0.values[0].step = .replicas(.max) },
            { $0.scaleUp.policies = [.init(.pods, .max, per: .seconds(15))] },
            { $0.scaleDown.policies = [.init(.percent, .max, per: .seconds(15))] },
            { $0.maximum = .max },
            {
                $0.minimum = .max
                $0.maximum = .max
            },
            { $0.fallback = .max }, { $0.minimum = .min },
        ]
        for (number, change) in changes.enumerated() {
            var stage = ScalerStage()
            var second = ScalerStage.configured
            (second.name, second.origin) = ("bad", .object)
            second.target = TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "other")
            second.values = [
                ValueThreshold(
                    stat: "x", isExternal: true, comparison: .above, value: 1, duration: .zero, step: .replicas(1))
            ]
            change(&second)
            var other = stage.target
            other.name = "other"
            stage.stage.delta(
                scaling: PodScalingChange(changed: PodScaling(scalers: [second], targets: [other])))
            stage.tell("x", 5)
            stage.evaluate(load: 1_000)
            #expect(stage.entry("default/bad")?.problem?.reason == .scalerInvalid, "\(number)")
            #expect(stage.change == [2, 4], "\(number)")
        }
    }

    @Test("The largest policies that are allowed count as no limit")
    func largest() {
        for kind in [ScalingRules.Policy.Kind.pods, .percent] {
            var stage = ScalerStage(pods: 4) {
                $0.scaler.maximum = 1_000_000
                $0.scaler.scaleUp.policies = [.init(kind, Int(Int32.max), per: .seconds(15))]
                $0.scaler.scaleDown.policies = [.init(kind, Int(Int32.max), per: .seconds(15))]
                $0.scaler.scaleDown.stabilization = .zero
            }
            stage.evaluate(load: 50_000)
            #expect(stage.change == [4, 400])
            var small = stage
            small = ScalerStage(pods: 4) {
                $0.scaler.scaleDown.policies = [.init(kind, Int(Int32.max), per: .seconds(15))]
                $0.scaler.scaleDown.stabilization = .zero
            }
            small.evaluate(load: 1)
            #expect(small.change == [4, 1])
        }
    }

    @Test(
        "A minimum of zero needs something that asks for the first pod again, as with HorizontalPodAutoscaler",
        arguments: [(0, false), (1, true), (2, true), (3, true), (4, false)])
    func zero(which: Int, isValid: Bool) {
        var scaler = ScalerStage.configured
        scaler.minimum = 0
        func step(_ count: Int) -> ValueThreshold {
            ValueThreshold(
                stat: "q", isExternal: true, comparison: .above, value: 1, duration: .zero, step: .replicas(count))
        }
        switch which {
        case 1: scaler.intentions.append(Intention(stat: "q", isExternal: true, goal: .average(1)))
        case 2: scaler.values = [step(1)]
        case 3: scaler.fallback = 1
        case 4: scaler.values = [step(-1)]
        default: break
        }
        #expect((scaler.problem == nil) == isValid, "\(String(describing: scaler.problem))")
    }
}
