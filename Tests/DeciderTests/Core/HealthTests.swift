import Messages
import Support
import Testing

@testable import Decider

@Suite("Health")
struct HealthTests {
    private func stage(_ nodes: [Node], members: [GroupState.Member] = [], min: Int = 0, desired: Int? = nil) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: min, max: 20)]) { $0.scaleDown.enabled = false }
        stage.snapshot(nodes: nodes)
        group(&stage, nodes.map(\.name), members, min: min, desired: desired)
        stage.evaluate()
        return stage
    }

    private func group(
        _ stage: inout Stage, _ names: [String], _ others: [GroupState.Member], min: Int = 0, desired: Int? = nil
    ) {
        var state = Stage.group("w", names, min: min, max: 20, at: stage.now)
        state.members += others
        state.size = state.members.filter { !$0.isFailed && !$0.isLeaving }.count
        state.desired = desired ?? state.size
        stage.group(state)
    }

    private func lost(_ number: Int, at time: Timestamp) -> GroupState.Member {
        GroupState.Member(
            name: "m\(number)", physicalID: "p\(number)", serverID: "server-lost-\(number)", status: "CREATE_COMPLETE",
            createdAt: time)
    }

    @Test("A machine that never became a node is removed after the provision time, and named by its server")
    func unregistered() throws {
        var stage = stage([Stage.node("n1")], members: [lost(1, at: Stage.start), lost(2, at: Stage.start)], min: 1)
        stage.evaluate(after: .minutes(15))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(1))
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.map(\.serverID) == ["server-lost-1", "server-lost-2"])
        #expect(removal.nodes.map(\.nodeUID) == ["unregistered", "unregistered"])
        #expect(removal.nodes[0].reason.reason == .nodeNeverRegistered)
        // Once, while it is under way.
        stage.evaluate(after: .minutes(1))
        #expect(stage.removed.isEmpty)
    }

    @Test(
        "Its time begins when it is first seen without a Node: after a start nothing goes that may have been a Node before"
    )
    func firstSight() throws {
        var stage = stage([Stage.node("n1")], members: [lost(1, at: Stage.start - .minutes(600))], min: 1)
        stage.evaluate(after: .minutes(15))
        #expect(stage.removed.isEmpty)
        // Whoever takes over knows since when.
        let checkpoint = try stage.core.engine.checkpoint()
        var next = Stage(groups: [GroupRules(id: "w", min: 1, max: 20)]) { $0.scaleDown.enabled = false }
        try next.core.restore(checkpoint)
        next.now = stage.now
        next.snapshot(nodes: [Stage.node("n1")])
        group(&next, ["n1"], [lost(1, at: Stage.start - .minutes(600))], min: 1)
        next.evaluate(after: .seconds(1))
        #expect(next.removed.flatMap(\.nodes).map(\.serverID) == ["server-lost-1"])
    }

    @Test("A member that Heat is still making and its server are one machine: its time does not begin anew")
    func sameMachine() {
        var making = lost(1, at: Stage.start)
        making.serverID = nil
        var stage = stage([Stage.node("n1")], members: [making], min: 1)
        stage.evaluate(after: .minutes(10))
        group(&stage, ["n1"], [lost(1, at: Stage.start)], min: 1)
        stage.evaluate(after: .minutes(5))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.flatMap(\.nodes).map(\.serverID) == ["server-lost-1"])
    }

    @Test("Where most machines lack a Node and did so from the first look on, none goes, and the group says why")
    func foreignStack() throws {
        let old = (0..<5).map { lost($0, at: Stage.start - .minutes(600)) }
        var stage = stage([Stage.node("n1")], members: old, min: 1)
        stage.evaluate(after: .minutes(16))
        stage.evaluate(after: .minutes(60))
        #expect(stage.removed.isEmpty)
        let bound = stage.record?.groups.flatMap(\.bound) ?? []
        let ledger = stage.core.evaluate(at: stage.now, complete: true)
        let all =
            ledger.compactMap { if case .publish(.evaluation(let record)) = $0 { record } else { nil } }
            .flatMap(\.groups).flatMap(\.bound) + bound
        #expect(
            all.contains { $0.reason == .groupUnhealthy && $0.detail.hasPrefix("5 of 6 machines have no Node") },
            "\(all)")
        // New ones that were seen from the beginning never were Nodes: they go.
        let new = (5..<8).map { lost($0, at: stage.now) }
        group(&stage, ["n1"], old + new, min: 1)
        stage.evaluate(after: .seconds(1))
        stage.evaluate(after: .minutes(16))
        #expect(
            stage.removed.flatMap(\.nodes).map(\.serverID)
                == ["server-lost-5", "server-lost-6", "server-lost-7"])
    }

    @Test("Machines that are left alone are no part of an increase: it is over when its own nodes are there")
    func growthBesideForeign() {
        let old = (0..<5).map { lost($0, at: Stage.start - .minutes(600)) }
        var stage = stage([Stage.node("n1")], members: old, min: 1)
        stage.evaluate(after: .minutes(16))
        let shape = Stage.shape(cpu: 3_000)
        stage.delta(pods: stage.pods("full", 1, shape, on: "n1") + stage.pods("web", 2, shape))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["w": 8])
        stage.delta(nodes: [Stage.node("n2", createdAt: stage.now), Stage.node("n3", createdAt: stage.now)])
        group(&stage, ["n1", "n2", "n3"], old, min: 1)
        stage.evaluate(after: .seconds(30))
        // A state that could not be read says nothing of them.
        var unread = Stage.group("w", [], min: 1, max: 20, at: stage.now)
        unread.problem = Explanation(.heatUnreachable)
        stage.group(unread)
        stage.evaluate(after: .seconds(1))
        #expect(stage.core.engine.groups[0].memory.unregisteredSince.count == 5)
        group(&stage, ["n1", "n2", "n3"], old, min: 1)
        stage.evaluate(after: .minutes(16))
        #expect(!stage.core.engine.groups[0].isBackedOff(at: stage.now))
    }

    @Test("Nodes that are deleted all at once do not take their machines with them")
    func nodesDeleted() {
        let names = (0..<8).map { "n\($0)" }
        var stage = stage(names.map { Stage.node($0) }, min: 1)
        var state = Stage.group("w", names, min: 1, max: 20, at: stage.now)
        for index in state.members.indices { state.members[index].createdAt = Stage.start - .minutes(600) }
        stage.group(state)
        stage.evaluate(after: .minutes(1))
        stage.delta(removedNodes: Array(names.dropFirst()))
        stage.evaluate(after: .seconds(1))
        for _ in 0..<10 {
            stage.evaluate(after: .minutes(10))
            #expect(stage.removed.isEmpty)
        }
    }

    @Test("Many machines that never became nodes go as many at once as other nodes would")
    func manyUnregistered() {
        let nodes = (0..<7).map { Stage.node("n\($0)") }
        var stage = stage(nodes, members: (10..<22).map { lost($0, at: Stage.start) }, min: 1)
        stage.evaluate(after: .minutes(16))
        #expect(stage.removed.flatMap(\.nodes).count == 10)
    }

    @Test(
        "While a Node does not say which machine it is, it may be any of them: none is removed, and the ledger says why"
    )
    func unknownMachine() throws {
        var unknown = Stage.node("n2")
        for provider in [nil, "", "k3s://n2"] {
            unknown.providerID = provider
            var stage = stage([Stage.node("n1"), unknown], members: [lost(1, at: Stage.start)], min: 1)
            stage.evaluate(after: .minutes(16))
            #expect(stage.removed.isEmpty)
            let bound = stage.record?.groups.flatMap(\.bound) ?? []
            #expect(bound.contains { $0.reason == .providerUnknown && $0.detail.contains("node n2") }, "\(bound)")
        }
        // A machine of another cloud is none of them.
        unknown.providerID = "metal3://n2"
        var foreign = stage([Stage.node("n1"), unknown], members: [lost(1, at: Stage.start)], min: 1)
        foreign.evaluate(after: .minutes(16))
        #expect(foreign.removed.count == 1)
        // The control plane is nobody's member.
        unknown.providerID = nil
        unknown.labels["node-role.kubernetes.io/control-plane"] = ""
        var stage = stage([Stage.node("n1"), unknown], members: [lost(1, at: Stage.start)], min: 1)
        stage.evaluate(after: .minutes(16))
        #expect(stage.removed.count == 1)
    }

    @Test("At the group's minimum too: Heat replaces it there")
    func unregisteredMinimum() throws {
        var stage = stage([Stage.node("n1")], members: [lost(1, at: Stage.start)], min: 2)
        stage.evaluate(after: .minutes(16))
        #expect(stage.removed.flatMap(\.nodes).map(\.serverID) == ["server-lost-1"])
    }

    @Test("Where that is not wanted, it stays as long as the group has no more than its minimum")
    func unregisteredMinimumKept() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 2, max: 20)]) {
            $0.scaleDown.enabled = false
            $0.health.replacesAtMinimum = false
        }
        stage.snapshot(nodes: [Stage.node("n1")])
        group(&stage, ["n1"], [lost(1, at: Stage.start), lost(2, at: Stage.start)], min: 2)
        stage.evaluate()
        stage.evaluate(after: .minutes(16))
        #expect(stage.removed.flatMap(\.nodes).map(\.serverID) == ["server-lost-1"])
    }

    @Test("A node that is dead is removed at the group's minimum, where Heat replaces it; one that works is not")
    func deadAtMinimum() throws {
        for replaces in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 2, max: 20)]) {
                $0.health.replacesAtMinimum = replaces
                $0.limits.minimum = ["nodes": 2]
            }
            stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")])
            stage.group("w", ["n1", "n2"], min: 2)
            stage.evaluate()
            stage.evaluate(after: .minutes(60))
            #expect(stage.removed.isEmpty)
            stage.delta(nodes: [Stage.node("n2", readiness: .notReady)])
            stage.evaluate(after: .seconds(1))
            var removed: [RemovalTarget] = []
            for _ in 0..<60 {
                stage.evaluate(after: .seconds(60))
                removed += stage.removed.flatMap(\.nodes)
            }
            #expect(removed.first?.node == (replaces ? "n2" : nil))
            if replaces { #expect(removed.first?.reason.reason == .nodeUnready) }
            if !replaces { #expect(removed.isEmpty) }
        }
    }

    @Test("One that becomes a node in time is left alone, and one that is refused is tried again after the delay")
    func inTime() throws {
        var stage = stage([Stage.node("n1")], members: [lost(1, at: Stage.start)])
        stage.evaluate(after: .minutes(14))
        let node = Stage.node("late", server: "server-lost-1", createdAt: stage.now)
        stage.delta(nodes: [node])
        stage.evaluate(after: .minutes(20))
        #expect(stage.removed.isEmpty)
        // The node object is deleted; its server lives on.
        stage.delta(removedNodes: ["late"])
        stage.evaluate(after: .seconds(1))
        stage.evaluate(after: .minutes(16))
        let removal = try #require(stage.removed.first)
        let progress = RemovalProgress(
            id: removal.id, group: "w", node: removal.nodes[0].node, nodeUID: "unregistered", serverID: "server-lost-1",
            reason: Explanation(.heatRefused, "not now"), at: stage.now)
        stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
        stage.evaluate(after: .minutes(2))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .minutes(2))
        #expect(stage.removed.flatMap(\.nodes).map(\.serverID) == ["server-lost-1"])
    }

    @Test("A member that failed to be made, and that nobody needs, is given up after the provision time")
    func failedMember() throws {
        let failed = GroupState.Member(name: "f", physicalID: nil, serverID: nil, status: "CREATE_FAILED")
        var stage = stage([Stage.node("n1")], members: [failed], min: 1, desired: 2)
        stage.evaluate(after: .minutes(14))
        #expect(stage.decisions.isEmpty)
        stage.evaluate(after: .minutes(2))
        let decision = try #require(stage.scaled.first)
        #expect(decision.to == 1)
        #expect(decision.reason.reason == .sizeMismatch)
        #expect(decision.reason.detail == "2 wanted, 1 members for 15m")
    }

    @Test("A member that failed while pods wait is made anew: the same size is asked for again")
    func failedMemberNeeded() throws {
        let failed = GroupState.Member(name: "f", physicalID: nil, serverID: nil, status: "CREATE_FAILED")
        var stage = stage([Stage.node("n1", cpu: 1_000)], members: [failed], min: 1, desired: 2)
        stage.delta(pods: stage.pods("web", 1, Stage.shape(cpu: 1_000)))
        stage.delta(pods: stage.pods("full", 1, Stage.shape(cpu: 900), on: "n1"))
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["w": 2])
    }

    @Test("A wanted size that stays wrong is corrected once; one that comes right in time is not")
    func wrongTarget() throws {
        var stage = stage(["n1", "n2"].map { Stage.node($0) }, desired: 5)
        stage.evaluate(after: .minutes(10))
        group(&stage, ["n1", "n2"], [lost(1, at: stage.now)], desired: 5)
        // Something moved: the time begins anew.
        stage.evaluate(after: .minutes(6))
        #expect(stage.scaled.isEmpty)
        stage.evaluate(after: .minutes(8))
        #expect(stage.scaled.isEmpty)
        let node = Stage.node("late", server: "server-lost-1", createdAt: stage.now)
        stage.delta(nodes: [node])
        stage.evaluate(after: .minutes(8))
        let decision = try #require(stage.scaled.first)
        #expect(decision.to == 3)
        stage.evaluate(after: .seconds(30))
        #expect(stage.scaled.isEmpty)
    }

    @Test("An increase that runs out of time is taken back as far as no machine stands behind it, at once and once")
    func overdueGrowth() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
        stage.snapshot(
            nodes: [Stage.node("n1")],
            pods: stage.pods("on", 1, Stage.shape(cpu: 4_000), on: "n1") + stage.pods("web", 3, Stage.shape(cpu: 4_000))
        )
        group(&stage, ["n1"], [])
        stage.evaluate()
        let growth = try #require(stage.scaled.first)
        #expect(growth.to == 4)
        let progress = ScaleProgress(id: growth.id, group: "w", from: 1, to: 4, reason: growth.reason, at: stage.now)
        stage.receive(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
        // Heat makes one of the three and then stands still.
        stage.now = stage.now + .minutes(10)
        group(&stage, ["n1"], [lost(1, at: stage.now)], desired: 4)
        stage.evaluate(after: .seconds(1))
        stage.evaluate(after: .minutes(4))
        #expect(stage.scaled.isEmpty)
        stage.evaluate(after: .seconds(60))
        let back = try #require(stage.scaled.first)
        #expect(back.to == 2)
        #expect(back.reason == Explanation(.provisionTimedOut, "4 wanted, 2 members 15m after 3 were asked for"))
        group(&stage, ["n1"], [lost(1, at: Stage.start + .minutes(10))], desired: 2)
        stage.evaluate(after: .seconds(10))
        #expect(stage.scaled.isEmpty)
    }

    @Test("A group most of whose nodes do not work is not made larger; another is")
    func unhealthyGroup() {
        var stage = Stage(groups: [GroupRules(id: "bad", min: 0, max: 20), GroupRules(id: "good", min: 0, max: 20)])
        let nodes =
            (0..<5).map { Stage.node("b\($0)", readiness: $0 == 0 ? .ready : .notReady) }
            + (0..<6).map { Stage.node("g\($0)") }
        let working = ["b0"] + (0..<6).map { "g\($0)" }
        let pods = working.flatMap { stage.pods("on-\($0)", 1, Stage.shape(cpu: 4_000), on: $0) }
        stage.snapshot(nodes: nodes, pods: pods + stage.pods("web", 4, Stage.shape(cpu: 1_000)))
        stage.group("bad", (0..<5).map { "b\($0)" }, max: 20)
        stage.group("good", (0..<6).map { "g\($0)" }, max: 20)
        stage.evaluate()
        #expect(stage.sizes == ["good": 7])
        let bound = stage.record?.groups.first { $0.group == "bad" }?.bound.first
        #expect(bound == Explanation(.groupUnhealthy, "1 of 5 nodes are ready"))
    }

    @Test("Too many nodes that are not ready stop everything, and the timers begin anew when they are back")
    func unhealthy() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 20)])
        let names = (0..<8).map { "n\($0)" }
        func nodes(_ unready: Int) -> [Node] {
            names.enumerated().map { Stage.node($0.element, readiness: $0.offset < unready ? .notReady : .ready) }
        }
        let pods = names.flatMap { name in
            stage.pods("p-\(name)", 1, Stage.shape(cpu: name == "n7" ? 0 : 3_000), on: name)
        }
        stage.snapshot(nodes: nodes(0), pods: pods)
        stage.group("w", names, min: 1)
        stage.evaluate()
        stage.evaluate(after: .minutes(9))
        // Four of eight: above three, and above 45 percent.
        stage.delta(nodes: nodes(4), pods: stage.pods("web", 1, Stage.shape(cpu: 3_500)))
        stage.evaluate(after: .minutes(5))
        #expect(stage.decisions.isEmpty)
        #expect(stage.record?.summary.contains("4 of 8 nodes are not ready") == true)
        #expect(stage.record?.groups.first?.bound.contains { $0.reason == .clusterUnhealthy } == true)
        // Three are tolerated.
        stage.delta(nodes: nodes(3), removedPods: ["web-0"])
        stage.evaluate(after: .seconds(1))
        #expect(stage.decisions.isEmpty)
        stage.evaluate(after: .minutes(9))
        #expect(stage.decisions.isEmpty)
        stage.evaluate(after: .minutes(2))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n7"])
    }

    @Test("A node that is young and not ready yet is no sign of bad health")
    func starting() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 20), GroupRules(id: "young", min: 1, max: 6)])
        let old = (0..<2).map { Stage.node("o\($0)", cpu: 1_000) }
        let young = (0..<6).map { Stage.node("y\($0)", cpu: 1_000, readiness: .notReady, createdAt: Stage.start) }
        stage.snapshot(nodes: old + young, pods: stage.pods("web", 20, Stage.shape(cpu: 900)))
        stage.group("w", old.map(\.name), min: 1, max: 20)
        stage.group("young", young.map(\.name), min: 1, max: 6)
        stage.evaluate()
        // Two pods fit on what works, six on what starts.
        #expect(stage.sizes == ["w": 14])
        stage.evaluate(after: .minutes(16))
        #expect(stage.record?.summary.contains("6 of 8 nodes are not ready") == true)
    }

    @Test("Pods of a node that cannot be taken back ask for their room before they are evicted")
    func replacements() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 20)])
        var leaving = Stage.node("n2", taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.annotations["updraft.io/removal"] = "{}"
        stage.snapshot(
            nodes: [Stage.node("n1"), leaving],
            pods: stage.pods("a", 3, Stage.shape(cpu: 1_000), on: "n1")
                + stage.pods("b", 3, Stage.shape(cpu: 1_000), on: "n2"))
        stage.group("w", ["n1", "n2"], min: 1)
        // Somebody else removes n2: one of its pods fits on n1, two do not.
        stage.evaluate()
        #expect(stage.sizes == ["w": 3])
        #expect(stage.scaled.first?.podCount == 2)
    }

    @Test("Room is kept for pods of a node under removal while their budget is used up")
    func budgetUsedUp() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 20)])
        var leaving = Stage.node("n2", taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.annotations["updraft.io/removal"] = "{}"
        let selector = LabelSelector([Requirement("app", .in, ["web"])])
        stage.snapshot(
            nodes: [Stage.node("n1"), leaving],
            pods: stage.pods("b", 2, Stage.shape(cpu: 1_000), on: "n2")
                + stage.pods("new", 3, Stage.shape(cpu: 1_000, app: "new", owner: "new")),
            budgets: [Budget(namespace: "default", name: "web", selector: selector, disruptionsAllowed: 0)])
        stage.group("w", ["n1", "n2"], min: 1)
        // n1 has room for four: two are kept for what n2 holds, so one of three new pods needs a node.
        stage.evaluate()
        #expect(stage.sizes == ["w": 3])
        #expect(stage.scaled.first?.podCount == 1)
    }

    @Test(
        "A node whose pods need more than their budget has at once is drained one by one; the next with such pods waits"
    )
    func budgetOneByOne() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 20)])
        let selector = LabelSelector([Requirement("app", .in, ["web"])])
        stage.snapshot(
            nodes: ["n1", "n2", "n3"].map { Stage.node($0) },
            pods: stage.pods("a", 2, Stage.shape(cpu: 100), on: "n1")
                + stage.pods("b", 2, Stage.shape(cpu: 100), on: "n2")
                + stage.pods("c", 3, Stage.shape(cpu: 1_000, app: "other"), on: "n3"),
            budgets: [Budget(namespace: "default", name: "web", selector: selector, disruptionsAllowed: 1)])
        stage.group("w", ["n1", "n2", "n3"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n1"])
        let held = stage.record?.nodes.first { $0.node == "n2" }?.outcome
        #expect(
            stage.core.engine.simulation.obstacles.values.contains { $0.detail.contains("NotEnoughPdb") },
            "\(String(describing: held))")
    }
}
