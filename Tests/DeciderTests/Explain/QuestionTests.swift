import FoundationEssentials
import Messages
import Support
import Testing

@testable import Decider

/// Somebody asks the Decider, and gets a complete record with what is known of the subject.
@Suite("Questions to the Decider")
struct QuestionTests {
    private func stage(_ max: Int = 1) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "workers", min: 1, max: max, origin: "groups[0]")])
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500, app: "busy"), on: "node-1")
        let waiting = stage.pods("web", 8, Stage.shape(cpu: 1_000))
        stage.snapshot(nodes: [Stage.node("node-1")], pods: running + waiting)
        stage.group("workers", ["node-1"], max: max)
        stage.evaluate()
        return stage
    }

    private func ask(
        _ stage: inout Stage, _ kind: EvaluationRequested.Subject.Kind, _ name: String = "", id: String = "q1",
        after: Interval = .seconds(1)
    ) throws -> Explained {
        stage.receive(
            .evaluationRequested(
                EvaluationRequested(cluster: "test", id: id, requester: "test", subject: .init(kind, name))))
        #expect(stage.core.isDirty)
        stage.evaluate(after: after)
        let record = try #require(stage.record)
        let answer = try #require(record.answers?.first { $0.id == id })
        var view = LedgerView()
        for part in record.parts(of: 3) { view.apply(part) }
        return try #require(Explained(answer, view))
    }

    @Test("A waiting pod: why no group took it, also for a replica that the entry is not named after")
    func waitingPod() throws {
        var stage = stage()
        let explained = try ask(&stage, .pod, "default/web-5")
        #expect(explained.isKnown)
        #expect(explained.standing.hasPrefix("waits since"))
        let entry = try #require(explained.pods?.first)
        #expect(entry.count == 8)
        #expect(entry.outcome.reason == .maximumReached)
        #expect(explained.text.contains("largest size"), "\(explained.text)")
        #expect(explained.text.contains("groups[0]"), "where the limit was set is missing: \(explained.text)")
    }

    @Test("A pod scaler: target, thresholds with values, what holds it back")
    func podScaler() throws {
        var scaled = ScalerStage(pods: 3) {
            $0.scaler.maximum = 4
            $0.scaler.intentions.append(Intention(stat: "sessions", isExternal: true, goal: .average(10)))
        }
        scaled.evaluate(load: 1_600)
        scaled.carryOut()
        scaled.evaluate(load: 1_600)
        let explained = try ask(&scaled.stage, .podScaler, "default/web")
        let text = explained.text
        let expected = [
            "Podscaler default/web: a PodScaler object, 1 to 4 replicas",
            "  target Deployment/default/web: 4 replicas, wanted 4",
            "  cpu: 160, goal 50%: asks for 10; ",
            "  sessions: unknown, goal 10 (average): asks for nothing; ",
            "  held back by: 10 wanted, at most 4 (maxReplicas)  [MaximumReached]", "  replicas last changed at ",
        ]
        for line in expected { #expect(text.contains(line), "\(line) is missing in:\n\(text)") }
        let unknown = try ask(&scaled.stage, .podScaler, "default/wed", id: "q2", after: .seconds(3))
        #expect(!unknown.isKnown && unknown.near == ["default/web"])
    }

    @Test("A pod scaler that cannot scale: why")
    func brokenScaler() throws {
        var scaled = ScalerStage(pods: 2) { $0.scaler.target?.name = "gone" }
        scaled.evaluate(load: 1_600)
        let text = try ask(&scaled.stage, .podScaler, "default/web").text
        #expect(text.contains("  target Deployment/default/gone: 0 replicas, wanted 0"), "\(text)")
        #expect(text.contains("there is no Deployment gone in default") && text.contains("[TargetNotFound]"), "\(text)")
    }

    @Test("A pod too large for the group: the first constraint that failed, with its values")
    func tooLarge() throws {
        var stage = Stage(groups: [GroupRules(id: "workers", min: 1, max: 5, origin: "groups[0]")])
        let waiting = stage.pods("big", 1, Stage.shape(cpu: 64_000, app: "big"))
        stage.snapshot(nodes: [Stage.node("node-1")], pods: waiting)
        stage.group("workers", ["node-1"], max: 5)
        stage.evaluate()
        let explained = try ask(&stage, .pod, "default/big-0")
        let text = explained.text
        #expect(text.contains("group workers: not enough cpu: needs 64000m cpu, 4000m free"), "\(text)")
        #expect(text.contains("[InsufficientCPU]"))
    }

    @Test("A pod that runs: where, and nothing of others of its shape that wait")
    func runningPod() throws {
        var stage = stage()
        let explained = try ask(&stage, .pod, "default/busy-0")
        #expect(explained.standing == "runs on node node-1")
        #expect(explained.pods?.isEmpty ?? false)
    }

    @Test("Nodes: why they stay, utilization, and since when they are unneeded")
    func nodes() throws {
        var stage = Stage(groups: [GroupRules(id: "workers", min: 0, max: 5, origin: "groups[0]")])
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500, app: "busy"), on: "node-1")
        stage.snapshot(nodes: [Stage.node("node-1"), Stage.node("node-2")], pods: running)
        stage.group("workers", ["node-1", "node-2"])
        stage.evaluate()
        let loaded = try ask(&stage, .node, "node-1")
        #expect(loaded.node?.outcome.reason == .notUnderutilized)
        #expect(loaded.node?.group == "workers")
        #expect((loaded.node?.utilization ?? 0) > 0.8)
        let since = stage.now
        stage.evaluate(after: .seconds(30))
        let empty = try ask(&stage, .node, "node-2", id: "q2", after: .seconds(30))
        let unneeded = try #require(empty.node?.unneededSince)
        #expect(unneeded <= since)
        #expect(empty.text.contains("unneeded since"), "\(empty.text)")
    }

    @Test("A node under removal: how far it has come")
    func nodeUnderRemoval() throws {
        var stage = stage()
        let record = RemovalRecord(
            id: "r-7", group: "workers", nodeUID: "uid-node-1", serverID: "s", member: "m", memberID: "p",
            decidedAt: stage.now, startedAt: stage.now, deadline: stage.now + .minutes(5),
            reason: Explanation(.nodeUnneeded, "0% requested"))
        var node = Stage.node("node-1")
        node.annotations[RemovalNames.record] = try record.text()
        stage.delta(nodes: [node])
        let explained = try ask(&stage, .node, "node-1")
        #expect(explained.removal?.id == "r-7")
        #expect(explained.text.contains("removal r-7: cordoned"), "\(explained.text)")
        let cluster = try ask(&stage, .cluster, id: "q2")
        #expect(cluster.isKnown)
    }

    @Test("A group: sizes, and what bound it with value and origin")
    func group() throws {
        var stage = stage()
        let explained = try ask(&stage, .group, "workers")
        #expect(explained.group?.size == 1)
        #expect(explained.state?.max == 1)
        #expect(explained.text.contains("bound by:"), "\(explained.text)")
        #expect(explained.nodes?.values.reduce(0, +) == 1)
    }

    @Test("What is not known is said to be so, with names like it")
    func unknown() throws {
        var stage = stage()
        let node = try ask(&stage, .node, "nodee-1")
        #expect(!node.isKnown)
        #expect(node.near == ["node-1"])
        let pod = try ask(&stage, .pod, "web-5", id: "q2")
        #expect(!pod.isKnown)
        #expect(pod.near.contains("default/web-5"))
        #expect(pod.text.contains("NAMESPACE/NAME"))
        let group = try ask(&stage, .group, "worker", id: "q3")
        #expect(group.near == ["workers"])
        let nothing = try ask(&stage, .group, "zzz", id: "q4")
        #expect(nothing.near.isEmpty)
    }

    @Test("At most one complete record a second, which all who asked meanwhile share; a repeated question is one")
    func bounded() throws {
        var stage = stage()
        _ = try ask(&stage, .group, "workers")
        for id in ["q2", "q3", "q2"] {
            stage.receive(.evaluationRequested(EvaluationRequested(cluster: "test", id: id, requester: "test")))
        }
        stage.evaluate(after: .milliseconds(200))
        #expect(stage.record?.answers == nil)
        let timer = try #require(
            stage.actions.compactMap { if case .setTimer(let time) = $0 { time } else { nil } }.last)
        #expect(timer <= stage.now + .milliseconds(801))
        stage.evaluate(after: .milliseconds(800))
        #expect(stage.record?.isComplete ?? false)
        #expect(stage.record?.answers?.map(\.id) == ["q2", "q3"])
    }

    @Test("Many questions at once are bounded")
    func flood() throws {
        var stage = stage()
        for number in 0..<500 {
            stage.receive(.evaluationRequested(EvaluationRequested(cluster: "test", id: "q\(number)", requester: "t")))
        }
        stage.evaluate(after: .seconds(2))
        #expect(stage.record?.answers?.count == DeciderCore.maximumQuestions)
    }

    @Test("A Decider that knows nothing of its cluster yet answers so, and claims no completeness")
    func notReady() throws {
        var stage = Stage(groups: [GroupRules(id: "workers", min: 1, max: 5, origin: "groups[0]")])
        let explained = try ask(&stage, .node, "node-1")
        #expect(!explained.isKnown)
        #expect(!explained.isComplete)
        #expect(explained.summary.contains("not known yet"))
    }

    @Test("Right after another pass a complete record still holds every node")
    func completeBetweenPasses() throws {
        var stage = stage()
        stage.delta(pods: stage.pods("late", 1, Stage.shape(cpu: 100, app: "late"), on: "node-1"))
        let explained = try ask(&stage, .node, "node-1", after: .milliseconds(10))
        #expect(explained.node != nil)
    }

    @Test("A large answer comes in parts; each says whom it is for, the first says all")
    func parts() throws {
        var evaluation = Evaluation(cluster: "test", number: 1, at: Stage.start, summary: "s")
        evaluation.nodes = (0..<7).map { .init(node: "n\($0)", outcome: Explanation(.nodeUnneeded)) }
        evaluation.answers = [.init(id: "q", subject: .init(.node, "n6"), isKnown: true, standing: "is ready")]
        let parts = evaluation.parts(of: 3)
        #expect(parts.map(\.part) == [0, 1, 2])
        #expect(parts.allSatisfy { $0.parts == 3 && $0.answers?.first?.id == "q" })
        #expect(parts.filter { $0.answers?.first?.isKnown ?? false }.count == 1)
        #expect(parts.flatMap(\.nodes) == evaluation.nodes)
    }

    @Test("The answer as JSON holds reasons as they are named on the bus")
    func json() throws {
        var stage = stage()
        let explained = try ask(&stage, .pod, "default/web-5")
        let text = String(decoding: explained.json, as: UTF8.self)
        #expect(text.contains("\"MaximumReached\""))
        #expect(text.contains("\"isKnown\":true"))
    }
}
