import Messages
import Support
import Testing

@testable import Decider

@Suite("Room that is kept for pods on their way")
struct ReserveTests {
    /// `n1`, under removal.
    private static var leaving: Node {
        var leaving = Stage.node("n1", taints: [Taint.underRemoval])
        leaving.annotations[RemovalNames.record] = "{}"
        leaving.unschedulable = true
        return leaving
    }

    /// `n1` is under removal; a pod of two cores was evicted from it. `n2` has two cores free.
    private func stage(replaced: Bool, kind: String = "ReplicaSet") -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let shape = Stage.shape(cpu: 2_000, app: "db") { $0.owner = PodShape.Owner(kind: kind, name: "db") }
        let pods = stage.pods("db", 1, shape, on: "n1") + stage.pods("on", 1, Stage.shape(cpu: 2_000), on: "n2")
        stage.snapshot(
            nodes: [Self.leaving, Stage.node("n2")], pods: pods,
            workloads: [
                Stage.webOwner,
                Workload(kind: kind, namespace: "default", name: "db", replicas: 1, currentReplicas: replaced ? 1 : 0),
            ])
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        stage.delta(pods: stage.pods("new", 1, Stage.shape(cpu: 2_000, app: "new")), removedPods: ["db-0"])
        return stage
    }

    @Test("The place of an evicted pod is kept until its owner has replaced it, at most for some minutes")
    func evicted() {
        var waiting = stage(replaced: false)
        waiting.evaluate(after: .seconds(2))
        #expect(waiting.sizes == ["w": 3])
        var late = stage(replaced: false)
        late.evaluate(after: .minutes(3))
        #expect(late.sizes == [:])
        var replaced = stage(replaced: true)
        replaced.evaluate(after: .seconds(2))
        #expect(replaced.sizes == [:])
        // A DaemonSet's pod goes with its node.
        var daemon = stage(replaced: false, kind: "DaemonSet")
        daemon.evaluate(after: .seconds(2))
        #expect(daemon.sizes == [:])
    }

    @Test("Of a node that goes anyway all pods are counted, also where a drain rule would have kept one")
    func blockedPodOfLeaving() {
        for blocked in [false, true] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let shape = Stage.shape(cpu: 500, app: "db")
            let kept = Stage.shape(cpu: 500, app: "own") {
                if blocked { $0.annotations = ["cluster-autoscaler.kubernetes.io/safe-to-evict": "false"] }
            }
            // 2 cores go, and n2 has 2 free: the pods of n3 find no place beside them.
            stage.snapshot(
                nodes: [Self.leaving, Stage.node("n2"), Stage.node("n3")],
                pods: stage.pods("db", 3, shape, on: "n1") + stage.pods("own", 1, kept, on: "n1")
                    + stage.pods("on", 1, Stage.shape(cpu: 2_000), on: "n2")
                    + stage.pods("small", 1, Stage.shape(cpu: 1_000, app: "s"), on: "n3"))
            stage.group("w", ["n1", "n2", "n3"])
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.isEmpty, "blocked: \(blocked)")
        }
    }

    @Test("A node stays for the pod that is nominated for it, unless that has a place elsewhere")
    func nominated() {
        for room in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 2)])
            let shape = Stage.shape(cpu: 1_500, app: "p", owner: "p") { $0.priority = 100 }
            var pod = stage.pods("p", 1, shape)[0]
            pod.nominatedNode = "n1"
            stage.snapshot(
                nodes: [Stage.node("n1"), Stage.node("n2")],
                pods: [pod] + stage.pods("on", 1, Stage.shape(cpu: room ? 2_400 : 3_000), on: "n2"))
            stage.group("w", ["n1", "n2"], max: 2)
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (room ? ["n1"] : []), "room: \(room)")
        }
    }

    @Test("A pod whose nominated node goes asks for room")
    func nominatedOnLeaving() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        var pod = stage.pods("p", 1, Stage.shape(cpu: 3_000, app: "p", owner: "p"))[0]
        pod.nominatedNode = "n1"
        stage.snapshot(
            nodes: [Self.leaving, Stage.node("n2")],
            pods: [pod] + stage.pods("on", 1, Stage.shape(cpu: 3_000), on: "n2"))
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        #expect(stage.sizes == ["w": 3])
    }

    @Test("The place of an evicted pod is kept across a snapshot as well")
    func evictedAcrossSnapshot() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let nodes = [Self.leaving, Stage.node("n2")]
        let on = stage.pods("on", 1, Stage.shape(cpu: 2_000), on: "n2")
        stage.snapshot(
            nodes: nodes, pods: stage.pods("db", 1, Stage.shape(cpu: 2_000, app: "db", owner: nil), on: "n1") + on)
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        stage.delta(removedPods: ["db-0"])
        stage.snapshot(nodes: nodes, pods: on + stage.pods("new", 1, Stage.shape(cpu: 2_000, app: "new")))
        stage.evaluate(after: .seconds(2))
        #expect(stage.sizes == ["w": 3])
    }

    @Test("The place of an evicted pod of which no owner is known is kept as well: somebody may make it anew")
    func bare() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        stage.snapshot(
            nodes: [Self.leaving, Stage.node("n2")],
            pods: stage.pods("db", 1, Stage.shape(cpu: 2_000, app: "db", owner: nil), on: "n1")
                + stage.pods("on", 1, Stage.shape(cpu: 2_000), on: "n2"))
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        stage.delta(pods: stage.pods("new", 1, Stage.shape(cpu: 2_000, app: "new")), removedPods: ["db-0"])
        stage.evaluate(after: .seconds(2))
        #expect(stage.sizes == ["w": 3])
    }

    @Test("The pods of a node that somebody removes, and that fit nowhere else, ask for room before they are evicted")
    func homeless() {
        for free in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            var leaving = Stage.node("n1", taints: [Taint.underRemoval])
            leaving.annotations[RemovalNames.record] = "{}"
            let pods =
                stage.pods("web", 1, Stage.shape(cpu: 2_000), on: "n1")
                + stage.pods("on", 1, Stage.shape(cpu: free ? 1_000 : 3_000), on: "n2")
            stage.snapshot(nodes: [leaving, Stage.node("n2")], pods: pods)
            stage.group("w", ["n1", "n2"])
            stage.evaluate()
            #expect(stage.sizes == (free ? [:] : ["w": 3]))
        }
    }

    @Test("An only pod whose second one runs elsewhere needs no room any more")
    func succeeded() throws {
        for isRaised in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let pods =
                stage.pods("web", 1, Stage.shape(cpu: 2_000), on: "n1")
                + stage.pods("on", 1, Stage.shape(cpu: 3_000), on: "n2")
            var record = RemovalRecord(
                id: "r1", group: "w", nodeUID: "u", serverID: "s", member: "m", memberID: "p", decidedAt: stage.now,
                startedAt: stage.now, deadline: stage.now + .minutes(5), reason: Explanation(.nodeUnneeded))
            if isRaised {
                record.drain = .init(surges: [
                    .init(
                        apiVersion: "apps/v1", kind: "ReplicaSet", namespace: "default", name: "web", from: 1, to: 2,
                        podUID: pods[0].uid, since: stage.now)
                ])
            }
            var leaving = Stage.node("n1", taints: [Taint.underRemoval])
            leaving.annotations[RemovalNames.record] = try record.text()
            stage.snapshot(nodes: [leaving, Stage.node("n2")], pods: pods)
            stage.group("w", ["n1", "n2"])
            stage.evaluate()
            #expect(stage.sizes == (isRaised ? [:] : ["w": 3]))
        }
    }

    @Test("A node whose removal is over serves while its record is kept: its pods ask for no room, and it takes others")
    func removalIsOver() throws {
        for isOver in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            var record = RemovalRecord(
                id: "r1", group: "w", nodeUID: "u", serverID: "s", member: "m", memberID: "p", decidedAt: stage.now,
                startedAt: stage.now, deadline: stage.now + .minutes(5), reason: Explanation(.nodeUnneeded))
            if isOver { record = try record.applying(.cancelled(Explanation(.loadReturned)), at: stage.now) }
            var node = Stage.node("n1")
            node.annotations[RemovalNames.record] = try record.text()
            let pods =
                stage.pods("web", 1, Stage.shape(cpu: 2_000), on: "n1")
                + stage.pods("on", 1, Stage.shape(cpu: 3_000), on: "n2")
            stage.snapshot(nodes: [node, Stage.node("n2")], pods: pods)
            stage.group("w", ["n1", "n2"])
            stage.evaluate()
            #expect(stage.sizes == (isOver ? [:] : ["w": 3]))
            guard isOver else { continue }
            stage.delta(pods: stage.pods("more", 1, Stage.shape(cpu: 1_500, app: "more")))
            stage.evaluate(after: .minutes(1))
            #expect(stage.sizes == [:])
        }
    }

    @Test("A node that pods were simulated onto is emptied only if those fit elsewhere as well")
    func received() {
        // Three nodes at 40 %: the pods of one fit on the other two, not those of two on the third.
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let names = ["n1", "n2", "n3"]
        let pods = names.flatMap { stage.pods("p-\($0)", 2, Stage.shape(cpu: 900, app: $0), on: $0) }
        stage.snapshot(nodes: names.map { Stage.node($0) }, pods: pods)
        stage.group("w", names)
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).count == 1)
        // A pending pod that is about to be bound takes room on a node: it is there to be moved as well.
        var pending = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        pending.snapshot(
            nodes: ["n1", "n2"].map { Stage.node($0) },
            pods: pending.pods("on", 4, Stage.shape(cpu: 900), on: "n2")
                + pending.pods("wait", 1, Stage.shape(cpu: 500, app: "wait")))
        pending.group("w", ["n1", "n2"])
        for _ in 0..<4 {
            pending.evaluate(after: .minutes(6))
            #expect(pending.removed.isEmpty)
        }
    }
}
