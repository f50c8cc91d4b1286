import Messages
import Support
import Testing

@testable import Decider

/// What was decided for somebody who asked, and came to nothing afterwards.
@Suite("Requests and rules whose decisions come to nothing")
struct VainRequestTests {
    static func rule(_ direction: ScalingRule.Direction, repeats: Bool) -> ScalingRule {
        RuleTests.rule(direction) { $0.repeats = repeats }
    }

    /// The alarm has fired, and the rule has asked.
    static func asked(_ direction: ScalingRule.Direction, repeats: Bool = true, step: Int = 1) -> Stage {
        var rule = rule(direction, repeats: repeats)
        rule.step = .nodes(step)
        var stage = RuleTests.stage(rule)
        stage.receive(RuleTests.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        return stage
    }

    /// How a decision to grow may end without a node.
    enum End: CaseIterable {
        case failed, refused, undelivered, neverTaken, timedOut
    }

    /// The decision ends so.
    static func end(_ stage: inout Stage, _ how: End) throws {
        let decision = try #require(stage.scaled.first)
        let progress = ScaleProgress(
            id: decision.id, group: "workers", from: decision.from, to: decision.to,
            reason: Explanation(.groupBusy, "another change"), at: stage.now)
        switch how {
        case .failed: stage.receive(.scaleFailed(ScaleFailed(cluster: "test", scale: progress)))
        case .refused: stage.receive(.scaleRefused(ScaleRefused(cluster: "test", scale: progress)))
        case .undelivered: _ = stage.core.retract(.scaleDecided(decision), at: stage.now)
        case .neverTaken: stage.now = decision.deadline + .seconds(5)
        case .timedOut:
            stage.receive(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
            stage.now = stage.now + .minutes(20)
        }
        stage.evaluate(after: .seconds(1))
    }

    static func end(
        _ stage: inout Stage, _ removal: RemovalDecided, _ reason: Reason, node index: Int = 0, done: Bool = false
    ) {
        let target = removal.nodes[index]
        let progress = RemovalProgress(
            id: removal.id, group: "workers", node: target.node, nodeUID: target.nodeUID, serverID: target.serverID,
            reason: Explanation(reason, "so it was"), at: stage.now)
        if done {
            stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
        } else {
            stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
        }
    }

    /// What the ledger says of requests: nodes decided, and why.
    static func told(_ stage: Stage) -> [String] {
        (stage.record?.signals ?? []).map { "\($0.decided) \($0.outcome.reason.rawValue)" }
    }

    @Test(
        "up: an increase that ends before its nodes are there is no act of the rule: it asks again after a minute, also one that acts once",
        arguments: End.allCases, [true, false])
    func upAgain(_ how: End, _ repeats: Bool) throws {
        var stage = Self.asked(.up, repeats: repeats)
        #expect(stage.sizes == ["workers": 4] && Self.told(stage) == ["1 RuleFired"])
        try Self.end(&stage, how)
        #expect(stage.scaled.isEmpty)
        let outcome = try #require(Self.told(stage).first)
        #expect(outcome.hasPrefix("0 "), "the ledger says that nothing came of it: \(outcome)")
        #expect(
            stage.core.engine.memory.rules?["busy"]?.refusedAt == stage.now || how == .failed || how == .refused
                || how == .undelivered)
        // Not at once.
        stage.evaluate(after: .seconds(50))
        #expect(stage.scaled.isEmpty && stage.core.engine.groups[0].memory.signal == nil)
        stage.evaluate(after: .seconds(15))
        let waits = stage.core.engine.groups[0].memory.rule == "busy"
        #expect(stage.sizes == ["workers": 4] || waits, "\(stage.record?.summary ?? "")")
        // A group that failed is left alone for a while; the rule goes on asking.
        for _ in 0..<40 where stage.scaled.isEmpty { stage.evaluate(after: .seconds(61)) }
        #expect(stage.sizes == ["workers": 4], "\(stage.record?.summary ?? "")")
    }

    @Test("up: once the node has come, a rule that acts once has acted, and one that repeats has its whole cooldown")
    func upCame() {
        for repeats in [true, false] {
            var stage = Self.asked(.up, repeats: repeats)
            stage.delta(nodes: [Stage.node("n4")])
            stage.group("workers", ["n1", "n2", "n3", "n4"], min: 1, max: 6)
            stage.evaluate(after: .minutes(4))
            #expect(stage.scaled.isEmpty && Self.told(stage).isEmpty)
            stage.evaluate(after: .minutes(2))
            #expect(stage.scaled.isEmpty == !repeats)
        }
    }

    @Test("up: the group has that size already: that is what was asked for")
    func upAlready() throws {
        var stage = Self.asked(.up, repeats: false)
        let decision = try #require(stage.scaled.first)
        stage.receive(
            .scaleRefused(
                ScaleRefused(
                    cluster: "test",
                    scale: ScaleProgress(
                        id: decision.id, group: "workers", from: 3, to: 4,
                        reason: Explanation(.alreadyApplied, "the group has 4 members"), at: stage.now))))
        stage.evaluate(after: .minutes(10))
        #expect(stage.scaled.isEmpty && Self.told(stage).isEmpty)
    }

    @Test("up: of three nodes one came before Heat failed: the ledger says one, and the rule has acted")
    func upInPart() throws {
        var stage = Self.asked(.up, repeats: false, step: 3)
        #expect(stage.sizes == ["workers": 6])
        let decision = try #require(stage.scaled.first)
        stage.delta(nodes: [Stage.node("n4")])
        stage.group("workers", ["n1", "n2", "n3", "n4"], min: 1, max: 6)
        stage.receive(
            .scaleFailed(
                ScaleFailed(
                    cluster: "test",
                    scale: ScaleProgress(
                        id: decision.id, group: "workers", from: 3, to: 6,
                        reason: Explanation(.quotaReached, "instances"), at: stage.now))))
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage) == ["1 QuotaReached"])
        stage.evaluate(after: .minutes(20))
        #expect(stage.scaled.isEmpty)
    }

    @Test("up: an increase that has begun and is made larger for pods is still the rule's, when it fails")
    func upLarger() throws {
        var stage = Self.asked(.up, repeats: false)
        let first = try #require(stage.scaled.first)
        stage.receive(
            .scaleStarted(
                ScaleStarted(
                    cluster: "test",
                    scale: ScaleProgress(
                        id: first.id, group: "workers", from: 3, to: 4, reason: first.reason, at: stage.now))))
        let waiting = stage.pods("w", 3, Stage.shape(cpu: 4_000))
        stage.delta(pods: waiting)
        stage.evaluate(after: .seconds(1))
        let second = try #require(stage.scaled.first)
        #expect(second.from == 4 && second.to == 5)
        stage.receive(
            .scaleFailed(
                ScaleFailed(
                    cluster: "test",
                    scale: ScaleProgress(
                        id: second.id, group: "workers", from: 4, to: 5, size: 3,
                        reason: Explanation(.quotaReached, "instances"), at: stage.now))))
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage) == ["0 QuotaReached"])
    }

    @Test(
        "down: a node whose removal fails is no act of the rule: after a minute another one goes",
        arguments: [true, false])
    func downAgain(_ repeats: Bool) throws {
        var stage = Self.asked(.down, repeats: repeats)
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.map(\.node) == ["n3"])
        Self.end(&stage, removal, .podRefused)
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage) == ["0 PodRefused"] && stage.removed.isEmpty)
        stage.evaluate(after: .seconds(50))
        #expect(stage.removed.isEmpty)
        // The pause after a removal that failed is the group's own.
        for _ in 0..<20 where stage.removed.isEmpty { stage.evaluate(after: .seconds(30)) }
        let next = try #require(stage.removed.first)
        #expect(next.nodes.map(\.node) != ["n3"] && next.nodes.count == 1)
        stage.receive(RuleTests.alarm(stage, "alarm"))
        Self.end(&stage, next, .nodeUnneeded, done: true)
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage).isEmpty, "it went, as was said")
    }

    @Test("down: a removal that was not delivered, or that nobody took up", arguments: [true, false])
    func downNeverTaken(_ delivered: Bool) throws {
        var stage = Self.asked(.down, repeats: false)
        let removal = try #require(stage.removed.first)
        if delivered {
            stage.now = removal.deadline + .seconds(5)
        } else {
            _ = stage.core.retract(.removalDecided(removal), at: stage.now)
        }
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage) == ["0 DecisionExpired"])
        for _ in 0..<4 where stage.removed.isEmpty { stage.evaluate(after: .seconds(30)) }
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n3"])
    }

    @Test(
        "down: what was taken back, since load returned or by an operator, is not asked for again in a minute",
        arguments: [Reason.loadReturned, .cancelledByOperator])
    func downTakenBack(_ reason: Reason) throws {
        for repeats in [true, false] {
            var stage = Self.asked(.down, repeats: repeats)
            let removal = try #require(stage.removed.first)
            Self.end(&stage, removal, reason)
            stage.evaluate(after: .seconds(1))
            #expect(Self.told(stage) == ["0 \(reason.rawValue)"])
            stage.evaluate(after: .minutes(4))
            #expect(stage.removed.isEmpty)
            stage.evaluate(after: .minutes(2))
            #expect(stage.removed.isEmpty == !repeats, "its cooldown is over")
        }
    }

    @Test("down: of two nodes one went: the ledger says one, and the rule has acted")
    func downInPart() throws {
        var stage = Self.asked(.down, repeats: false, step: 2)
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.count == 2)
        Self.end(&stage, removal, .nodeUnneeded, done: true)
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage).isEmpty)
        Self.end(&stage, removal, .evictionBlocked, node: 1)
        stage.evaluate(after: .seconds(1))
        #expect(Self.told(stage) == ["-1 EvictionBlocked"])
        stage.evaluate(after: .minutes(6))
        #expect(stage.removed.isEmpty)
    }

    @Test(
        "a request by the signal URL: what became of its decision stands in the ledger under its id; nobody repeats it")
    func bySignal() throws {
        var up = SignalTests.stage()
        up.receive(SignalTests.request(up, .up))
        up.evaluate(after: .seconds(1))
        #expect(Self.told(up) == ["1 Signalled"])
        try Self.end(&up, .refused)
        #expect(Self.told(up) == ["0 GroupBusy"] && up.record?.signals?.first?.id == "signal-1")
        #expect(up.record?.summary.contains("alarm cpu (a1) asked for 1 in workers: 0") == true)
        up.evaluate(after: .minutes(3))
        #expect(up.scaled.isEmpty)
        var down = SignalTests.stage()
        down.receive(SignalTests.request(down, .down))
        down.evaluate(after: .seconds(1))
        let removal = try #require(down.removed.first)
        Self.end(&down, removal, .podRefused)
        down.evaluate(after: .seconds(1))
        #expect(Self.told(down) == ["0 PodRefused"] && down.record?.signals?.first?.id == "signal-1")
    }

    @Test("the Decider that takes over knows who asked")
    func takeover() throws {
        let stage = Self.asked(.up, repeats: false)
        var next = RuleTests.stage(Self.rule(.up, repeats: false))
        next.now = stage.now
        try next.core.restore(try stage.core.engine.checkpoint())
        next.heartbeat()
        let act = try #require(next.core.engine.groups[0].memory.scale)
        next.receive(
            .scaleRefused(
                ScaleRefused(
                    cluster: "test",
                    scale: ScaleProgress(
                        id: act.id, group: "workers", from: act.from, to: act.to,
                        reason: Explanation(.heatConflict, "409"), at: next.now))))
        next.evaluate(after: .seconds(1))
        #expect(Self.told(next) == ["0 HeatConflict"])
        next.evaluate(after: .seconds(61))
        #expect(next.sizes == ["workers": 4])
    }
}
