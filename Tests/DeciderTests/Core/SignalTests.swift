import Messages
import Support
import Testing

@testable import Decider

@Suite("Requests from outside for nodes more or less")
struct SignalTests {
    /// Three nodes of 4 cores; a pod of 1 core on the first two, so that each fits on the third.
    static func stage(min: Int = 1, max: Int = 5, used: Int64 = 1_000) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "workers", min: min, max: max)]) {
            // The load alone would keep every node.
            $0.scaleDown.utilizationThreshold = 0.01
        }
        let shape = Stage.shape(cpu: used)
        var pods = stage.pods("a", 1, shape, on: "n1")
        pods += stage.pods("b", 1, shape, on: "n2")
        stage.snapshot(nodes: ["n1", "n2", "n3"].map { Stage.node($0) }, pods: pods)
        stage.group("workers", ["n1", "n2", "n3"], min: min, max: max)
        stage.evaluate(after: .seconds(1))
        return stage
    }

    static func request(
        _ stage: Stage, _ direction: ScaleRequested.Direction, _ step: Int = 1, id: String = "signal-1",
        group: String = "workers"
    ) -> Event {
        .scaleRequested(
            ScaleRequested(
                cluster: "test", id: id, group: group, direction: direction, step: step, who: "alarm cpu (a1)",
                why: "1 sample outside", at: stage.now, deadline: stage.now + .seconds(120)))
    }

    @Test("down: the cheapest node goes, by a removal with notice, and the ledger says for whom")
    func down() {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .down))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.map { $0.nodes.map(\.node) } == [["n3"]], "the empty one: \(stage.record?.summary ?? "")")
        #expect(stage.removed.first?.nodes.first?.reason.reason == .signalled)
        let entry = stage.record?.signals?.first
        #expect(entry?.id == "signal-1" && entry?.change == -1 && entry?.decided == -1)
        #expect(entry?.outcome.reason == .signalled)
        #expect(stage.record?.summary.contains("alarm cpu (a1) asked for -1 in workers: -1") == true)
        #expect(stage.scaled.isEmpty)
    }

    @Test("a second request with the same outcome is on the ledger too: its sender has its id")
    func sameOutcome() {
        var stage = Self.stage(max: 3)
        var told: [String] = []
        for id in ["signal-1", "signal-2"] {
            stage.receive(Self.request(stage, .up, id: id))
            stage.evaluate(after: .seconds(1))
            told += stage.record?.signals?.map(\.id) ?? []
        }
        #expect(told == ["signal-1", "signal-2"])
    }

    @Test("down: a node with pods goes too if they fit elsewhere")
    func downWithPods() {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .down, 2))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.flatMap(\.nodes).count == 2)
        #expect(stage.record?.signals?.first?.decided == -2)
    }

    @Test("down: no node whose pods do not fit elsewhere goes, and the obstacle is named")
    func downDoesNotFit() {
        var stage = Self.stage(used: 3_000)
        stage.receive(Self.request(stage, .down, 3))
        stage.evaluate(after: .seconds(1))
        // The empty one goes; the others have nowhere to put their pods.
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n3"])
        let entry = stage.record?.signals?.first
        #expect(entry?.decided == -1 && entry?.outcome.reason == .noPlaceToMovePods, "\(String(describing: entry))")
    }

    @Test(
        "down: a node whose pods did not go is not asked again at once: the next one goes, also by the Decider that takes over",
        arguments: [Reason.podRefused, .podNotTold, .drainTimedOut, .evictionBlocked, .volumesAttached])
    func downRefused(reason: Reason) throws {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .down))
        stage.evaluate(after: .seconds(1))
        let removal = try #require(stage.removed.first)
        let target = try #require(removal.nodes.first)
        #expect(target.node == "n3", "the cheapest")
        let progress = RemovalProgress(
            id: removal.id, group: "workers", node: target.node, nodeUID: target.nodeUID, serverID: target.serverID,
            reason: Explanation(reason, "default/a-0"), at: stage.now)
        stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
        stage.evaluate(after: .seconds(1))
        let saved = try #require(
            stage.actions.compactMap { if case .saveCheckpoint(let bytes) = $0 { bytes } else { nil } }.last)
        try stage.core.restore(saved)

        stage.receive(Self.request(stage, .down, id: "signal-2"))
        stage.evaluate(after: .minutes(5))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n1"], "\(stage.record?.summary ?? "")")
        #expect(stage.record?.signals?.first?.decided == -1)
        #expect(stage.cancelled.isEmpty)
    }

    @Test(
        "down: when the only node that could go has refused, that is what the sender hears; after a quarter of an hour it is asked again"
    )
    func downRefusedAlone() throws {
        var stage = Stage(groups: [GroupRules(id: "workers", min: 1, max: 5)]) {
            $0.scaleDown.utilizationThreshold = 0.01
            $0.scaleDown.unneededTime = .minutes(600)
        }
        let pods = stage.pods("a", 1, Stage.shape(cpu: 3_000), on: "n1")
        // The pod of the first does not fit on the second.
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2", cpu: 2_000)], pods: pods)
        stage.group("workers", ["n1", "n2"], min: 1, max: 5)
        stage.evaluate(after: .seconds(1))
        var said: [Reason?] = []
        for (id, pause) in [("signal-1", Interval.seconds(1)), ("signal-2", .minutes(5)), ("signal-3", .minutes(11))] {
            stage.now = stage.now + pause
            stage.receive(Self.request(stage, .down, id: id))
            stage.evaluate(after: .seconds(1))
            said.append(stage.record?.signals?.last?.outcome.reason)
            guard let removal = stage.removed.first, let target = removal.nodes.first else { continue }
            #expect(target.node == "n2")
            let progress = RemovalProgress(
                id: removal.id, group: "workers", node: target.node, nodeUID: target.nodeUID, serverID: target.serverID,
                reason: Explanation(.podRefused, "default/a-0"), at: stage.now)
            stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
        }
        #expect(said == [.signalled, .recentlyUnremovable, .signalled])
    }

    @Test("down: never below the minimum")
    func downMinimum() {
        var stage = Self.stage(min: 3)
        stage.receive(Self.request(stage, .down))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty)
        #expect(stage.record?.signals?.first?.outcome.reason == .minimumReached)
        #expect(stage.record?.signals?.first?.decided == 0)
    }

    @Test("up: a node more, within the maximum")
    func up() {
        var stage = Self.stage(max: 4)
        stage.receive(Self.request(stage, .up, 3))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        #expect(stage.scaled.first?.reason.reason == .signalled)
        let entry = stage.record?.signals?.first
        #expect(entry?.decided == 1 && entry?.outcome.reason == .maximumReached)
    }

    @Test("the same request twice counts once; of two at a time the second is refused")
    func twice() {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .up))
        stage.receive(Self.request(stage, .up))
        stage.receive(Self.request(stage, .up, id: "signal-2"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        let entries = stage.record?.signals ?? []
        #expect(entries.map(\.id).sorted() == ["signal-1", "signal-2"])
        #expect(entries.first { $0.id == "signal-2" }?.outcome.reason == .groupBusy)
        stage.receive(Self.request(stage, .up))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.signals == nil)
    }

    @Test("a request survives the Decider, and is not taken twice by the next one")
    func restart() throws {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .down))
        let saved = try stage.core.engine.checkpoint()
        var next = Self.stage()
        try next.core.restore(saved)
        next.receive(Self.request(next, .down))
        next.evaluate(after: .seconds(1))
        #expect(next.removed.flatMap(\.nodes).count == 1)
    }

    /// A Decider that takes over from the checkpoint, which has been saved in the meantime.
    private func takenOver(_ stage: Stage, _ save: DeciderAction?, _ rules: ScalingRule...) throws -> Stage {
        guard case .saveCheckpoint(let bytes)? = save else { throw Missing() }
        var next = Stage(groups: [GroupRules(id: "workers", min: 1, max: 5)], term: "next") { $0.rules = rules }
        try next.core.restore(bytes)
        next.snapshot(nodes: ["n1", "n2", "n3"].map { Stage.node($0) })
        next.group("workers", ["n1", "n2", "n3"], min: 1, max: 5)
        return next
    }

    private struct Missing: Error {}

    @Test(
        "a request is in a checkpoint before its message is let go, and the Decider that takes over carries it out, once"
    )
    func durable() throws {
        var stage = Self.stage()
        #expect(stage.core.checkpointOfSignals() == nil, "nothing was said")
        let request = Self.request(stage, .up)
        stage.receive(request)
        let save = stage.core.checkpointOfSignals()
        var next = try takenOver(stage, save)
        // The message came again: its end had not been heard of.
        next.receive(request)
        #expect(next.core.checkpointOfSignals() == nil, "that it came again changes nothing")
        next.evaluate(after: .seconds(1))
        #expect(next.sizes == ["workers": 4])
        next.receive(request)
        next.evaluate(after: .seconds(1))
        #expect(next.scaled.isEmpty && next.record?.signals == nil)
        // Not saved: what comes again is saved again.
        stage.core.checkpointNotSaved()
        stage.receive(request)
        #expect(stage.core.checkpointOfSignals() != nil && stage.core.checkpointOfSignals() == nil)
    }

    @Test("the state of an alarm is in a checkpoint before its message is let go; said again it needs none")
    func durableAlarm() throws {
        let rule = RuleTests.rule(.up)
        var stage = RuleTests.stage(rule)
        stage.receive(RuleTests.alarm(stage, "alarm"))
        var next = try takenOver(stage, stage.core.checkpointOfSignals(), rule)
        next.evaluate(after: .seconds(1))
        #expect(next.sizes == ["workers": 4])
        for _ in 0..<3 {
            stage.now = stage.now + .seconds(120)
            stage.receive(RuleTests.alarm(stage, "alarm"))
            stage.receive(RuleTests.alarm(stage, "alarm", id: "other"))
            #expect(stage.core.checkpointOfSignals() == nil)
        }
        stage.receive(RuleTests.alarm(stage, "ok"))
        #expect(stage.core.checkpointOfSignals() != nil)
        // An evaluation that has saved it leaves nothing to save.
        stage.receive(RuleTests.alarm(stage, "alarm"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.checkpointOfSignals() == nil)
    }

    @Test("what stands in the way is waited for, and named when the time is over")
    func waits() {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .up))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.count == 1)
        stage.receive(Self.request(stage, .down, id: "signal-2"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty && stage.record?.signals == nil)
        stage.evaluate(after: .seconds(121))
        let entry = stage.record?.signals?.first
        #expect(entry?.id == "signal-2" && entry?.outcome.reason == .decisionExpired, "\(String(describing: entry))")
    }

    @Test("more is not kept waiting by a request for fewer that waits: that one ends, and both are on the ledger")
    func upBeforeDown() {
        var stage = Self.stage()
        // A change of size is under way, so the request for fewer waits.
        stage.receive(Self.request(stage, .up))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["workers": 4])
        stage.receive(Self.request(stage, .down, id: "fewer"))
        stage.receive(Self.request(stage, .up, id: "more"))
        stage.receive(Self.request(stage, .down, id: "fewer again"))
        stage.evaluate(after: .seconds(1))
        let told = (stage.record?.signals ?? []).map { "\($0.id): \($0.outcome.reason.rawValue) \($0.outcome.detail)" }
        #expect(
            told == ["fewer: Superseded by request more", "fewer again: GroupBusy request more is being considered"])
        #expect(stage.core.engine.groups[0].memory.signal?.id == "more")
    }

    @Test("a request whose time ran out unseen ends with an entry when the next one comes")
    func expiredUnseen() {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .down, id: "old"))
        stage.now = stage.now + .seconds(121)
        stage.receive(Self.request(stage, .up, id: "new"))
        stage.heartbeat()
        stage.evaluate(after: .seconds(1))
        let told = (stage.record?.signals ?? []).map { "\($0.id): \($0.outcome.reason.rawValue)" }
        #expect(told == ["old: DecisionExpired", "new: Signalled"])
    }

    @Test("a group that is not configured, a request that comes too late")
    func refused() {
        var stage = Self.stage()
        stage.receive(Self.request(stage, .down, group: "nobody"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.signals?.first?.outcome.reason == .groupUnknown)
        let late = Self.request(stage, .down, id: "late")
        stage.now = stage.now + .seconds(200)
        stage.receive(late)
        stage.heartbeat()
        stage.evaluate()
        #expect(stage.record?.signals?.first?.outcome.reason == .decisionExpired)
        #expect(stage.removed.isEmpty)
    }
}
