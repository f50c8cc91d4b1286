import Messages
import Support
import Testing

@testable import Decider

@Suite("The main job")
struct MainJobTests {
    private func workers(_ max: Int = 10) -> GroupRules {
        GroupRules(id: "workers", min: 1, max: max, origin: "groups[0]")
    }

    @Test("Pods that fit nowhere get as many nodes as they need")
    func pendingPods() throws {
        var stage = Stage(groups: [workers()])
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        let waiting = stage.pods("web", 8, Stage.shape(cpu: 1_000))
        stage.snapshot(nodes: [Stage.node("n1")], pods: running + waiting)
        stage.group("workers", ["n1"])
        stage.evaluate()
        let decision = try #require(stage.scaled.first)
        #expect(decision.from == 1)
        #expect(decision.to == 3)
        #expect(decision.podCount == 8)
        #expect(decision.reason.reason == .podsPending)
        #expect(decision.deadline > stage.now)
        let entry = try #require(stage.record?.pods.first)
        #expect(entry.count == 8)
        #expect(entry.group == "workers")
    }

    @Test("Pods that fit a node that is there trigger nothing")
    func fitsExisting() {
        var stage = Stage(groups: [workers()])
        let waiting = stage.pods("web", 4, Stage.shape(cpu: 1_000))
        stage.snapshot(nodes: [Stage.node("n1")], pods: waiting)
        stage.group("workers", ["n1"])
        stage.evaluate()
        #expect(stage.scaled.isEmpty)
        #expect(stage.record?.pods.first?.outcome.reason == .fitsExisting)
    }

    @Test("DaemonSets' pods that wait cause no node; neither do those whose priority is below the cut-off")
    func pendingThatDoNotCount() {
        var stage = Stage(groups: [GroupRules(id: "workers", min: 0, max: 10)])
        let daemon = Stage.shape(cpu: 1_000, app: "agent") {
            $0.owner = PodShape.Owner(kind: "DaemonSet", name: "agent")
        }
        let expendable = Stage.shape(cpu: 1_000, app: "batch") { $0.priority = -11 }
        let full = stage.pods("full", 1, Stage.shape(cpu: 3_900), on: "n1")
        stage.snapshot(
            nodes: [Stage.node("n1")], pods: full + stage.pods("agent", 1, daemon) + stage.pods("batch", 1, expendable))
        stage.group("workers", ["n1"])
        stage.evaluate()
        #expect(stage.scaled.isEmpty)
        let said = Dictionary(
            (stage.record?.pods ?? []).map { ($0.pod, $0.outcome.reason) }, uniquingKeysWith: { first, _ in first })
        #expect(said == ["default/agent-0": .daemonSetPod, "default/batch-0": .expendable])
    }

    @Test("A cordoned node takes no pod, but for one that tolerates it")
    func cordoned() {
        for tolerates in [false, true] {
            var stage = Stage(groups: [GroupRules(id: "workers", min: 0, max: 10)])
            var node = Stage.node("n1")
            node.unschedulable = true
            let shape = Stage.shape(cpu: 1_000) { shape in
                if tolerates {
                    shape.tolerations = [Toleration(key: "node.kubernetes.io/unschedulable", exists: true)]
                }
            }
            let full = stage.pods("full", 1, Stage.shape(cpu: 3_900), on: "n2")
            stage.snapshot(nodes: [node, Stage.node("n2")], pods: full + stage.pods("web", 1, shape))
            stage.group("workers", ["n1", "n2"])
            stage.evaluate()
            #expect(stage.sizes == (tolerates ? [:] : ["workers": 3]))
        }
    }

    @Test("Capacity that is coming is not ordered twice")
    func inFlight() throws {
        var stage = Stage(groups: [workers()])
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        let waiting = stage.pods("web", 8, Stage.shape(cpu: 1_000))
        stage.snapshot(nodes: [Stage.node("n1")], pods: running + waiting)
        stage.group("workers", ["n1"])
        stage.evaluate()
        let first = try #require(stage.scaled.first)
        // Nothing has happened yet; the same pods still wait.
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
        // Heat has accepted it, members are being made.
        let progress = ScaleProgress(
            id: first.id, group: "workers", from: 1, to: 3, reason: first.reason, at: stage.now)
        stage.receive(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
        stage.group("workers", ["n1", "n2", "n3"])
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
        // More pods: only what is missing beyond the nodes that come.
        stage.delta(pods: stage.pods("more", 1, Stage.shape(cpu: 2_000, app: "more", owner: "more")))
        stage.evaluate()
        #expect(stage.sizes == ["workers": 4])
    }

    @Test("A node that has registered and still has the taint not-ready is coming, not there")
    func registered() throws {
        var stage = Stage(groups: [workers()])
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        let waiting = stage.pods("web", 2, Stage.shape(cpu: 1_000))
        stage.snapshot(nodes: [Stage.node("n1")], pods: running + waiting)
        stage.group("workers", ["n1", "n2"])
        stage.evaluate()
        #expect(stage.scaled.isEmpty)
        // The node controller removes the taint a moment after the kubelet said Ready.
        let taint = Taint(key: "node.kubernetes.io/not-ready", effect: .noSchedule)
        stage.delta(nodes: [Stage.node("n2", taints: [taint], createdAt: stage.now)])
        stage.evaluate(after: .milliseconds(10))
        #expect(stage.scaled.isEmpty)
        stage.delta(nodes: [Stage.node("n2", createdAt: stage.now)])
        stage.evaluate(after: .milliseconds(10))
        #expect(stage.scaled.isEmpty)
    }

    @Test("The group that can take the pods is chosen: selector, taint, size")
    func rightGroup() {
        let rules = [
            GroupRules(id: "plain", min: 0, max: 5), GroupRules(id: "ssd", min: 0, max: 5),
            GroupRules(id: "gpu", min: 0, max: 5),
        ]
        var stage = Stage(groups: rules)
        let waiting = stage.pods("disk", 1, Stage.shape(cpu: 500) { $0.nodeSelector = ["disk": "ssd"] })
        let tainted = Taint(key: "gpu", value: "yes", effect: .noSchedule)
        stage.snapshot(
            nodes: [
                Stage.node("p1", cpu: 400), Stage.node("s1", cpu: 400, labels: ["disk": "ssd"]),
                Stage.node("g1", cpu: 400, labels: ["disk": "ssd"], taints: [tainted]),
            ], pods: waiting)
        stage.group("plain", ["p1"])
        stage.group("ssd", ["s1"])
        stage.group("gpu", ["g1"])
        stage.evaluate()
        #expect(stage.scaled.isEmpty)
        let entry = stage.record?.pods.first
        #expect(entry?.groups["plain"]?.reason == .nodeAffinityMismatch)
        #expect(entry?.groups["plain"]?.detail == "wants disk=ssd, label is not set")
        #expect(entry?.groups["ssd"]?.reason == .insufficientCPU)
        #expect(entry?.groups["ssd"]?.detail == "needs 500m cpu, 400m free")
        #expect(entry?.groups["gpu"]?.reason == .taintNotTolerated)
        #expect(entry?.groups["gpu"]?.detail == "taint gpu=yes:NoSchedule")
        stage.delta(nodes: [Stage.node("s1", cpu: 900, labels: ["disk": "ssd"])])
        stage.delta(pods: stage.pods("filler", 1, Stage.shape(cpu: 800, app: "filler"), on: "s1"))
        stage.evaluate()
        #expect(stage.sizes == ["ssd": 2])
    }

    @Test("An empty group is judged by its flavor and the configured template")
    func fromZero() {
        var rules = GroupRules(id: "big", min: 0, max: 5, origin: "groups[0]")
        rules.template = GroupRules.Template(
            reserved: ResourceList(cpuMillis: 200, memoryBytes: 512 << 20), labels: ["size": "big"])
        var stage = Stage(groups: [rules])
        stage.snapshot(
            nodes: [], pods: stage.pods("web", 5, Stage.shape(cpu: 2_000) { $0.nodeSelector = ["size": "big"] }))
        var state = Stage.group("big", [], at: stage.now)
        state.flavor = GroupState.Flavor(name: "m1.xlarge", vcpus: 8, ramMiB: 16_384, diskGiB: 100)
        stage.receive(.groupState(state))
        stage.evaluate()
        // 7,800m for pods: three of 2,000m a node.
        #expect(stage.sizes == ["big": 2])
    }

    @Test("The maximum binds, and its value and origin are named")
    func maximum() throws {
        var stage = Stage(groups: [workers(2)])
        stage.snapshot(nodes: [Stage.node("n1", cpu: 1_000)], pods: stage.pods("web", 9, Stage.shape(cpu: 1_000)))
        stage.group("workers", ["n1"], min: 1, max: 2)
        stage.evaluate()
        #expect(stage.sizes == ["workers": 2])
        let bound = try #require(stage.record?.groups.first?.bound.first { $0.reason == .maximumReached })
        #expect(bound.detail.contains("2 (groups[0].max)"))
    }

    @Test("An idle node goes after its time; what is on the ledger says so before")
    func idleNode() throws {
        var stage = Stage(groups: [workers()])
        let running = stage.pods("web", 2, Stage.shape(cpu: 1_500), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        #expect(stage.removed.isEmpty)
        let idle = try #require(stage.record?.nodes.first { $0.node == "n2" })
        #expect(idle.outcome.reason == .notUnneededLongEnough)
        #expect(idle.unneededSince == stage.now)
        #expect(stage.record?.nodes.first { $0.node == "n1" }?.outcome.reason == .notUnderutilized)
        stage.evaluate(after: .minutes(10))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(1))
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.map(\.node) == ["n2"])
        #expect(removal.nodes.first?.serverID == "server-n2")
        #expect(removal.nodes.first?.nodeUID == "uid-n2")
        #expect(removal.from == 2)
        // It is decided once.
        stage.evaluate(after: .seconds(5))
        #expect(stage.removed.isEmpty)
    }

    @Test("Load that returns takes a node back before a new one is ordered")
    func takenBack() throws {
        var stage = Stage(groups: [workers()]) { $0.scaleDown.unneededTime = .seconds(10) }
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .seconds(11))
        let removal = try #require(stage.removed.first)
        var leaving = Stage.node("n2", taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.unschedulable = true
        leaving.annotations["updraft.io/removal"] = "{}"
        stage.delta(nodes: [leaving], pods: stage.pods("web", 2, Stage.shape(cpu: 1_500)))
        stage.evaluate(after: .seconds(2))
        #expect(stage.scaled.isEmpty)
        #expect(stage.cancelled.first?.id == removal.id)
        #expect(stage.cancelled.first?.nodes == ["n2"])
        // Asked for once; the pods are spoken for.
        stage.evaluate(after: .seconds(2))
        #expect(stage.cancelled.isEmpty)
        #expect(stage.scaled.isEmpty)
    }

    @Test("A node that was given back is not replaced before its marks are seen to be gone")
    func givenBack() throws {
        var stage = Stage(groups: [workers()]) { $0.scaleDown.unneededTime = .seconds(10) }
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .seconds(11))
        let removal = try #require(stage.removed.first)
        var leaving = Stage.node("n2", taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.unschedulable = true
        leaving.annotations["updraft.io/removal"] = "{}"
        stage.delta(nodes: [leaving], pods: stage.pods("web", 2, Stage.shape(cpu: 1_500)))
        stage.evaluate(after: .seconds(2))
        #expect(stage.cancelled.map(\.id) == [removal.id])
        // The Actuator says so before the Collector has seen the Node change.
        let progress = RemovalProgress(
            id: removal.id, group: "workers", node: "n2", nodeUID: "uid-n2", serverID: "server-n2",
            reason: Explanation(.loadReturned), at: stage.now)
        stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
        stage.evaluate(after: .milliseconds(10))
        #expect(stage.scaled.isEmpty)
        // The Actuator's marks are gone, its record tells of the end, and Kubernetes has not taken its own taint off
        // yet.
        var given = Stage.node("n2", taints: [Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)])
        given.annotations["updraft.io/removal"] = try RemovalRecord(
            id: removal.id, group: "workers", nodeUID: "uid-n2", serverID: "server-n2", member: "n2", memberID: "n2",
            decidedAt: stage.now, startedAt: stage.now, deadline: stage.now + .minutes(5),
            reason: Explanation(.nodeUnneeded)
        ).applying(.cancelled(Explanation(.loadReturned)), at: stage.now).text()
        stage.delta(nodes: [given])
        stage.evaluate(after: .milliseconds(10))
        #expect(stage.scaled.isEmpty)
        stage.delta(nodes: [Stage.node("n2")])
        stage.evaluate(after: .milliseconds(10))
        #expect(stage.scaled.isEmpty)
        #expect(stage.removed.isEmpty)
    }

    @Test(
        "A taint like that of a cordon counts on every node but one whose removal is over, and with another effect there too"
    )
    func taintOfNoCordon() throws {
        let record = RemovalRecord(
            id: "r", group: "workers", nodeUID: "uid-n1", serverID: "server-n1", member: "n1", memberID: "n1",
            decidedAt: Stage.start, startedAt: Stage.start, deadline: Stage.start + .minutes(5),
            reason: Explanation(.nodeUnneeded))
        let over = try record.applying(.cancelled(Explanation(.loadReturned)), at: Stage.start).text()
        let cases: [(TaintEffect, String?)] = [(.noSchedule, nil), (.noExecute, over), (.noSchedule, over)]
        for (effect, text) in cases {
            var stage = Stage(groups: [workers()])
            var node = Stage.node("n1", taints: [Taint(key: "node.kubernetes.io/unschedulable", effect: effect)])
            node.annotations["updraft.io/removal"] = text
            let full = stage.pods("full", 1, Stage.shape(cpu: 3_900), on: "n2")
            stage.snapshot(
                nodes: [node, Stage.node("n2")], pods: full + stage.pods("web", 1, Stage.shape(cpu: 1_000)))
            stage.group("workers", ["n1", "n2"])
            stage.evaluate()
            let isOpen = effect == .noSchedule && text != nil
            #expect(stage.sizes == (isOpen ? [:] : ["workers": 3]), "\(effect) \(text ?? "")")
            guard isOpen else { continue }
            // The Actuator forgets the removal, and the taint is still there: it is somebody's own.
            node.annotations = [:]
            stage.delta(nodes: [node])
            stage.evaluate(after: .seconds(1))
            #expect(stage.sizes == ["workers": 3])
        }
    }

    @Test(
        "Word of a removal's end was lost, and its Node went while Heat has the member: the group is not busy for ever")
    func lostEnd() throws {
        var stage = Stage(groups: [workers()]) { $0.scaleDown.unneededTime = .seconds(10) }
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .seconds(11))
        let removal = try #require(stage.removed.first)
        let progress = RemovalProgress(
            id: removal.id, group: "workers", node: "n2", nodeUID: "uid-n2", serverID: "server-n2",
            reason: Explanation(.nodeUnneeded), at: stage.now)
        stage.receive(.removalCordoned(RemovalCordoned(cluster: "test", removal: progress)))
        stage.delta(removedNodes: ["n2"])
        stage.evaluate(after: .minutes(4))
        #expect(stage.core.engine.groups[0].memory.removal != nil, "Heat may be at it")
        stage.evaluate(after: .minutes(2))
        #expect(stage.core.engine.groups[0].memory.removal == nil)
    }

    @Test(
        "A Node that is gone while Heat still deletes its machine: the removal is under way until Heat is done, or for an hour"
    )
    func longDeletion() throws {
        for ends in [true, false] {
            var stage = Stage(groups: [workers()]) { $0.scaleDown.unneededTime = .seconds(10) }
            let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
            stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
            stage.group("workers", ["n1", "n2"], min: 1)
            stage.evaluate()
            stage.evaluate(after: .seconds(11))
            let removal = try #require(stage.removed.first)
            let progress = RemovalProgress(
                id: removal.id, group: "workers", node: "n2", nodeUID: "uid-n2", serverID: "server-n2",
                reason: Explanation(.nodeUnneeded), at: stage.now)
            stage.receive(.removalCordoned(RemovalCordoned(cluster: "test", removal: progress)))
            stage.delta(removedNodes: ["n2"])
            var state = Stage.group("workers", ["n1", "n2"], min: 1, at: stage.now)
            state.members[1].status = "DELETE_IN_PROGRESS"
            stage.group(state)
            stage.evaluate(after: .minutes(10))
            #expect(stage.core.engine.groups[0].memory.removal != nil)
            if ends { stage.group("workers", ["n1"], min: 1) }
            stage.evaluate(after: .minutes(ends ? 1 : 45))
            #expect((stage.core.engine.groups[0].memory.removal == nil) == ends)
            stage.evaluate(after: .minutes(10))
            #expect(stage.core.engine.groups[0].memory.removal == nil)
        }
    }

    @Test("The hour that Heat has for a machine begins when its Node is gone, however long the drain took")
    func deletionAfterLongDrain() throws {
        var stage = Stage(groups: [workers()]) { $0.scaleDown.unneededTime = .seconds(10) }
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .seconds(11))
        let removal = try #require(stage.removed.first)
        let progress = RemovalProgress(
            id: removal.id, group: "workers", node: "n2", nodeUID: "uid-n2", serverID: "server-n2",
            reason: Explanation(.nodeUnneeded), at: stage.now)
        stage.receive(.removalCordoned(RemovalCordoned(cluster: "test", removal: progress)))
        stage.delta(nodes: [Stage.node("n2", taints: [.underRemoval])])
        stage.evaluate(after: .minutes(50))
        #expect(stage.core.engine.groups[0].memory.removal != nil)
        stage.delta(removedNodes: ["n2"])
        var state = Stage.group("workers", ["n1", "n2"], min: 1, at: stage.now)
        state.members[1].status = "DELETE_IN_PROGRESS"
        stage.group(state)
        stage.evaluate(after: .seconds(10))
        for _ in 0..<2 {
            stage.evaluate(after: .minutes(29))
            #expect(stage.core.engine.groups[0].memory.removal != nil)
        }
        // Seeing it again begins no hour anew.
        stage.evaluate(after: .minutes(3))
        #expect(stage.core.engine.groups[0].memory.removal == nil)
    }

    @Test("A node that a pending pod waits for is not idle, however long the scheduler takes")
    func awaitedNode() throws {
        var stage = Stage(groups: [workers()]) {
            $0.scaleDown.unneededTime = .seconds(5)
            $0.scaleDown.delayAfterAdd = .zero
        }
        let shape = Stage.shape(cpu: 900)
        let running =
            stage.pods("a", 2, shape, on: "n1") + stage.pods("b", 2, shape, on: "n2") + stage.pods("web", 1, shape)
        stage.snapshot(nodes: [Stage.node("n1", cpu: 2_000), Stage.node("n2", cpu: 2_000)], pods: running)
        stage.group("workers", ["n1", "n2", "n3"], min: 1)
        stage.evaluate()
        let taint = Taint(key: "node.kubernetes.io/not-ready", effect: .noSchedule)
        let created = stage.now
        stage.delta(nodes: [Stage.node("n3", cpu: 2_000, taints: [taint], readiness: .notReady, createdAt: created)])
        for _ in 0..<3 { stage.evaluate(after: .seconds(1)) }
        stage.delta(nodes: [Stage.node("n3", cpu: 2_000, createdAt: created)])
        for _ in 0..<12 {
            stage.evaluate(after: .seconds(1))
            #expect(stage.removed.isEmpty)
            #expect(stage.scaled.isEmpty)
        }
    }

    @Test("A removal past its drain is not taken back: a new machine is ordered")
    func tooLateToTakeBack() throws {
        var stage = Stage(groups: [workers()]) { $0.scaleDown.unneededTime = .seconds(10) }
        let running = stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: running)
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .seconds(11))
        let removal = try #require(stage.removed.first)
        let progress = RemovalProgress(
            id: removal.id, group: "workers", node: "n2", nodeUID: "uid-n2", serverID: "server-n2",
            reason: Explanation(.nodeUnneeded), at: stage.now)
        var leaving = Stage.node("n2", taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.annotations["updraft.io/removal"] = "{}"
        stage.delta(nodes: [leaving], pods: stage.pods("web", 2, Stage.shape(cpu: 1_500)))
        stage.receive(.removalDrained(RemovalDrained(cluster: "test", removal: progress)))
        stage.evaluate(after: .seconds(2))
        #expect(stage.cancelled.isEmpty)
        #expect(stage.sizes == ["workers": 3])
    }

    @Test("Nothing is decided on state that nobody keeps up to date, and the ledger says so")
    func stale() {
        var stage = Stage(groups: [workers()])
        stage.snapshot(nodes: [Stage.node("n1", cpu: 100)], pods: stage.pods("web", 3, Stage.shape(cpu: 90)))
        stage.group("workers", ["n1"])
        stage.now = stage.now + .minutes(3)
        stage.receive(.groupState(Stage.group("workers", ["n1"], at: stage.now)))
        stage.evaluate()
        #expect(stage.decisions.isEmpty)
        #expect(stage.record?.summary.contains("last word from the Collector 3m ago") == true)
    }

    @Test("A gap in the deltas asks for a snapshot, once for a burst")
    func gap() {
        var stage = Stage(groups: [workers()])
        stage.snapshot(nodes: [Stage.node("n1")])
        let later = ClusterDelta(
            cluster: "test", epoch: "e1", sequence: 9, takenAt: stage.now, nodes: [Stage.node("n2")])
        stage.receive(.clusterDelta(later))
        stage.receive(.clusterDelta(later))
        let requests = stage.actions.filter { if case .requestSnapshot = $0 { true } else { false } }
        #expect(requests.count == 1)
    }

    @Test("Timers, acts and backoffs survive a restart")
    func restart() throws {
        var stage = Stage(groups: [workers()])
        stage.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2")], pods: stage.pods("b", 2, Stage.shape(cpu: 1_500), on: "n1"))
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        let saved = try #require(
            stage.actions.compactMap { if case .saveCheckpoint(let bytes) = $0 { bytes } else { nil } }.last)
        stage.now = stage.now + .minutes(9)
        stage.core = DeciderCore(stage.core.engine.configuration, term: "u")
        try stage.core.restore(saved)
        stage.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2")], pods: stage.pods("b", 2, Stage.shape(cpu: 1_500), on: "n1"))
        stage.group("workers", ["n1", "n2"], min: 1)
        stage.evaluate()
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(61))
        #expect(stage.removed.first?.nodes.map(\.node) == ["n2"])
    }

    @Test("What a message alone changed is saved by the next evaluation, once, and again if that did not get through")
    func savedAfterMessage() throws {
        var stage = Stage(groups: [workers()])
        stage.snapshot(
            nodes: [Stage.node("n1")],
            pods: stage.pods("busy", 1, Stage.shape(cpu: 3_500), on: "n1")
                + stage.pods("web", 3, Stage.shape(cpu: 1_000)))
        stage.group("workers", ["n1"], min: 1)
        stage.evaluate()
        let growth = try #require(stage.scaled.first)
        func saved() -> [UInt8]? {
            stage.evaluate(after: .seconds(1))
            return stage.actions.compactMap { if case .saveCheckpoint(let bytes) = $0 { bytes } else { nil } }.last
        }
        #expect(saved() == nil)
        let progress = ScaleProgress(
            id: growth.id, group: "workers", from: growth.from, to: growth.to,
            reason: Explanation(.quotaReached, "no more"), at: stage.now)
        stage.receive(.scaleFailed(ScaleFailed(cluster: "test", scale: progress)))
        var next = DeciderCore(stage.core.engine.configuration, term: "u")
        try next.restore(try #require(saved()))
        #expect(next.engine.groups[0].memory.backoff?.cause.reason == .quotaReached)
        #expect(next.engine.groups[0].memory.scale == nil)
        #expect(saved() == nil)
        stage.core.checkpointNotSaved()
        #expect(saved() != nil)
        #expect(saved() == nil)
    }

    @Test("A checkpoint that cannot be read is refused with the reason")
    func badCheckpoint() {
        var core = DeciderCore(DeciderConfiguration(cluster: "test", groups: []), term: "t")
        #expect(throws: DeciderError.self) { try core.restore(Array("{".utf8)) }
        #expect(throws: DeciderError.self) { try core.restore(Array(#"{"version":99,"cluster":"test"}"#.utf8)) }
    }
}
