import Messages
import Support
import Testing

@testable import Decider

/// An alarm drives the nodes of a group, a scaler the pods on them.
@Suite("A cloud alarm and a pod scaler at work on one group")
struct AlarmBesideScalerTests {
    /// One node of four cores with three pods of one core.
    private func stage(_ direction: ScalingRule.Direction) -> ScalerStage {
        ScalerStage(
            pods: 3,
            configure: {
                var rule = ScalingRule("busy", group: "w", direction, when: .alarm(ScalingRule.Alarm("a1")))
                rule.repeats = false
                $0.rules = [rule]
            }, change: { $0.scaler.scaleUp.policies = [.init(.pods, 100, per: .seconds(15))] })
    }

    @Test("Both ask for nodes in one evaluation: what pods get anyway is what the alarm gets, nothing is bought twice")
    func atOnce() {
        var stage = stage(.up)
        stage.stage.receive(RuleTests.alarm(stage.stage, "alarm"))
        stage.evaluate(load: 1_600)
        #expect(stage.change == [3, 10])
        #expect(stage.stage.sizes == ["w": 3], "one pod fits the node, six need two more; the alarm asked for one")
        let signal = stage.stage.record?.signals?.first
        #expect(signal?.who == "rule busy" && signal?.decided == 1, "\(String(describing: signal))")
        stage.stage.group("w", ["n1", "n2", "n3"])
        stage.carryOut()
        for _ in 1...6 {
            stage.evaluate(load: 500)
            #expect(stage.stage.scaled.isEmpty, "\(stage.stage.scaled)")
        }
    }

    @Test("The alarm's machine is on its way when the scaler grows: its room counts")
    func oneAfterTheOther() {
        var stage = stage(.up)
        stage.stage.receive(RuleTests.alarm(stage.stage, "alarm"))
        stage.evaluate(load: 500)
        #expect(stage.decided.isEmpty && stage.stage.sizes == ["w": 2])
        stage.stage.group("w", ["n1", "n2"])
        stage.evaluate(load: 1_600)
        #expect(stage.change == [3, 10])
        #expect(stage.stage.sizes == ["w": 3], "one pod on n1, four on the machine that comes, two on one more")
    }

    @Test("While an alarm holds the group a scaler shrinks its pods, and no freed node goes; they go when it is over")
    func held() {
        var stage = ScalerStage(
            nodes: ["n1", "n2", "n3"], pods: 6,
            configure: {
                $0.scaleDown.delayAfterAdd = .zero
                $0.rules = [ScalingRule("calm", group: "w", .hold, when: .alarm(ScalingRule.Alarm("a1")))]
            },
            change: {
                $0.scaler.minimum = 2
                $0.scaler.scaleDown.stabilization = .zero
            })
        var pods = stage.pods
        for index in pods.indices { pods[index].node = ["n1", "n2", "n3"][index / 2] }
        stage.stage.delta(pods: pods)
        stage.stage.receive(RuleTests.alarm(stage.stage, "alarm"))
        stage.evaluate(load: 100)
        #expect(stage.change == [6, 2])
        stage.carryOut()
        stage.tellTarget(removedPods: pods[2...].map(\.uid))
        for _ in 1...4 {
            stage.evaluate()
            #expect(stage.stage.removed.isEmpty && stage.stage.scaled.isEmpty)
        }
        let told = stage.stage.core.engine.ledger.nodes.values.filter { $0.outcome.reason == .ruleHolds }
        #expect(told.map(\.name).sorted() == ["n2", "n3"])
        stage.stage.receive(RuleTests.alarm(stage.stage, "ok"))
        stage.evaluate(after: .seconds(5))
        let nodes = stage.stage.removed.flatMap { $0.nodes.map(\.node) }
        #expect(!nodes.isEmpty && !nodes.contains("n1"), "\(stage.stage.record?.summary ?? "")")
    }
}
