import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

@Suite("What Heat and Nova do not say")
struct RecoveryTests {
    @Test("replaced instead of removed: the new machine goes too, before it is a node")
    func replaced() {
        var world = World(nodes: 4)
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.marks == ["+m2"] })
        // Somebody's update meets the mark.
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(5)
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m3", "m4"])
        #expect(world.warnings.contains { $0.reason == .memberReplaced })
        #expect(world.reports.count { $0.reason == .memberReplaced } == 1)
        #expect(world.reasons(.removalFailed).isEmpty)
    }

    @Test("replaced, and the Actuator begins anew at any action: the new machine goes all the same")
    func replacedCrashes() {
        func story(_ change: (inout World) -> Void) -> World {
            var world = World(nodes: 4)
            world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
            change(&world)
            world.send(world.removal("r1", ["m2"]))
            _ = world.run { $0.marks == ["+m2"] }
            world.stackStatus = "UPDATE_IN_PROGRESS"
            world.updateEndsAt = world.now + .seconds(5)
            // Its Node goes with it only in the end: the cloud controller is slower.
            _ = world.run { $0.members.count == 3 && $0.nodes["node-m2"] == nil }
            return world
        }
        let calm = story { _ in }
        #expect(calm.memberNames == ["m1", "m3", "m4"])
        for step in 1...calm.steps {
            for isBefore in [true, false] {
                let world = story { if isBefore { $0.crashBefore = step } else { $0.crashAfter = step } }
                let what = "crash \(isBefore ? "before" : "after") action \(step): \(world.memberNames), \(world.story)"
                #expect(world.memberNames == ["m1", "m3", "m4"], "\(what)")
                #expect(world.story.contains(.removalCompleted) && world.nodes["node-m2"] == nil, "\(what)")
                if world.members.count != 3 { return }
            }
        }
    }

    @Test("one that took the place and is a node already stays, and so does one that the group cannot spare")
    func replacedByNode() {
        var world = World(nodes: 4)
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.updateTakes = .seconds(5)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.marks == ["+m2"] })
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(5)
        // Its machine registers while the stack is still busy.
        world.addNode(World.Member(name: "new", id: "", server: "server-0005", bornAt: world.now))
        world.createdAt["node-new"] = world.now
        world.see("node-new")
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m2", "m3", "m4"] && world.members[1].server == "server-0005")
    }

    @Test("somebody's update with the old size supersedes ours: the chosen is replaced, and its replacement goes")
    func superseded() {
        var world = World(nodes: 4)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.resizes == [3] })
        world.desired = 4
        #expect(world.run { $0.memberNames == ["m1", "m3", "m4"] })
        #expect(world.resizes == [3, 3])
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.nodes["node-m2"] == nil && world.reasons(.removalFailed).isEmpty)
    }

    @Test("a scaling_in_progress that a dead engine left: the size that is there frees the stack")
    func stuckFlag() {
        var world = World(nodes: 3)
        world.scalingInProgress = true
        world.pass(.seconds(60))
        #expect(world.resizes.isEmpty)
        #expect(world.run(within: .seconds(120)) { $0.conditions["stuck/workers"]?.reason == .stackStuck })
        #expect(world.run(within: .seconds(60)) { $0.resizes == [3] && $0.conditions["stuck/workers"] == nil })
        world.pass(.seconds(600))
        #expect(world.resizes == [3] && world.members.count == 3)
    }

    @Test("a stuck stack gets no size that would take a live node with it, and none without a parameter for it")
    func stuckAndNotFreed() {
        var world = World(nodes: 3)
        world.scalingInProgress = true
        world.members[1].status = "CHECK_FAILED"
        world.addPod("web", on: "node-m2")
        #expect(world.run { $0.conditions["stuck/workers"]?.reason == .stackStuck })
        world.pass(.seconds(1))
        #expect(world.resizes.isEmpty && world.memberNames == ["m1", "m2", "m3"])
        // Nobody else can free it: the node is emptied first.
        #expect(world.run { !$0.resizes.isEmpty }, "\(world.story)")
        #expect(world.evictions == ["web"] && world.unnoticedEvictions.isEmpty && world.pods.isEmpty)
        #expect(world.run { $0.memberNames == ["m1", "m3"] && $0.conditions["stuck/workers"] == .some(nil) })

        world = World(nodes: 3)
        world.hasParameter = false
        world.scalingInProgress = true
        #expect(world.run { $0.conditions["stuck/workers"]?.reason == .stackStuck })
        world.pass(.seconds(600))
        #expect(world.resizes.isEmpty)
    }

    @Test("a removal whose member is gone is over also where the engine then died: what frees the stack waits for it")
    func stuckAfterItsMemberWent() {
        var world = World(nodes: 4)
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { !$0.memberNames.contains("m3") })
        // A signal, over which the engine dies, and a check that doubts a live node.
        world.scalingInProgress = true
        world.members[0].status = "CHECK_FAILED"
        #expect(!world.story.contains(.removalCompleted))
        #expect(world.run { $0.ends(of: "node-m3") == [.removalCompleted] }, "\(world.story)")
        #expect(world.run { $0.memberNames == ["m2", "m4"] }, "\(world.story)")
        #expect(world.unnoticedEvictions.isEmpty)
    }

    @Test("a stuck stack gets no size while the failed member that was chosen still has its pods")
    func stuckInCooldown() {
        var world = World(nodes: 3)
        world.cooldown = .seconds(400)
        world.addPod("web", on: "node-m2")
        world.members[1].status = "CHECK_FAILED"
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .noticed })
        world.scalingInProgress = true
        world.engineIsDead = true
        #expect(world.run { $0.conditions["stuck/workers"]?.reason == .stackStuck })
        world.pass(.seconds(100))
        #expect(world.resizes.isEmpty && world.evictions.isEmpty)
        #expect(world.run { !$0.resizes.isEmpty })
        #expect(world.evictions == ["web"] && world.pods.isEmpty)
    }

    @Test("a stack that stands still in an update is freed as soon as its failed node is empty")
    func stuckUpdate() {
        var world = World(nodes: 3)
        world.policy.heatTimeout = .seconds(1_800)
        world.restart()
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.engineIsDead = true
        world.members[1].status = "CHECK_FAILED"
        world.addPod("web", on: "node-m2")
        #expect(world.run(within: .minutes(60)) { $0.conditions["stuck/workers"]?.reason == .stackStuck })
        #expect(world.run(within: .minutes(10)) { $0.record("node-m2")?.phase == .drained }, "\(world.story)")
        #expect(world.run(within: .seconds(10)) { !$0.resizes.isEmpty }, "\(world.story)")
        #expect(world.unnoticedEvictions.isEmpty && world.pods.isEmpty)
    }

    @Test("a ResourceGroup is never sent fewer than it has: it would take the highest number, a live node")
    func resourceGroupAtRest() {
        var world = World(nodes: 3)
        world.removesChosen = false
        world.members[0].status = "CHECK_FAILED"
        world.nodes["node-m1"] = nil
        world.feed(.nodeGone(name: "node-m1", uid: "uid-m1"))
        #expect(world.run { !$0.resizes.isEmpty })
        #expect(world.resizes == [3] && world.memberNames == ["m1", "m2", "m3"])
        world.pass(.seconds(1_200))
        #expect(world.resizes == [3])

        var stuck = World(nodes: 3)
        stuck.removesChosen = false
        stuck.members[0].status = "CHECK_FAILED"
        stuck.nodes["node-m1"] = nil
        stuck.scalingInProgress = true
        #expect(stuck.run { !$0.resizes.isEmpty })
        #expect(stuck.resizes == [3])
    }

    @Test("failed members that are no nodes are swept out of a group at rest, once")
    func sweptAtRest() {
        var world = World(nodes: 3)
        world.members[1].status = "CHECK_FAILED"
        world.nodes["node-m2"] = nil
        world.feed(.nodeGone(name: "node-m2", uid: "uid-m2"))
        #expect(world.run { !$0.resizes.isEmpty })
        world.pass(.seconds(1_200))
        #expect(world.resizes == [2] && world.memberNames == ["m1", "m3"])
    }

    @Test("an engine that dies in our own removal: sent again, exactly the chosen go")
    func stuckRemoval() {
        var world = World(nodes: 4)
        world.policy.heatTimeout = .seconds(300)
        world.restart()
        world.engineIsDead = true
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.resizes == [3] })
        world.engineIsDead = true
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.resizes == [3, 3])
        #expect(world.memberNames == ["m1", "m2", "m4"])
        let took = world.now - World.start
        #expect(took >= .seconds(300) && took < .seconds(400), "\(took)")
    }

    @Test("a stack that moves is not stuck, however long it takes")
    func slowIsNotStuck() {
        var world = World(nodes: 3)
        world.policy.heatTimeout = .seconds(60)
        world.restart()
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(500)
        for _ in 0..<10 {
            world.pass(.seconds(45))
            world.addMember(isReady: false)
        }
        #expect(world.resizes.isEmpty)
    }

    @Test("a group that failed and that nobody works on is repaired, not at once and not too often")
    func atRest() {
        var world = World(nodes: 3)
        world.stackStatus = "UPDATE_FAILED"
        world.stackReason = "Timed out"
        world.addMember(isReady: false)
        world.members[3].status = "DELETE_FAILED"
        world.pass(.seconds(50))
        #expect(world.resizes.isEmpty)
        world.updateFailure = "Timed out again"
        #expect(world.run(within: .seconds(60)) { $0.resizes == [3] })
        world.pass(.seconds(300))
        #expect(world.resizes == [3])
        #expect(world.run(within: .seconds(400)) { $0.stackStatus == "UPDATE_COMPLETE" })
        #expect(world.memberNames == ["m1", "m2", "m3"])
    }

    @Test("a failed member that still is a node: told and drained, then it goes, and nothing goes before")
    func failedNode() {
        var world = World(nodes: 3)
        world.stackStatus = "UPDATE_FAILED"
        world.members[1].status = "CREATE_FAILED"
        world.members[1].reason = "Timed out"
        world.addPod("web-1", on: "node-m2")
        world.pass(.seconds(50))
        #expect(world.story.isEmpty && world.resizes.isEmpty)
        #expect(world.run(within: .seconds(60)) { $0.record("node-m2")?.reason.reason == .memberFailed })
        #expect(world.run(within: .seconds(120)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.evictions == ["web-1"] && world.unnoticedEvictions.isEmpty)
        #expect(world.memberNames == ["m1", "m3"] && world.resizes == [2] && world.nodes["node-m2"] == nil)
        world.pass(.seconds(600))
        #expect(world.resizes == [2])
    }

    @Test("where the group cannot spare it, it is replaced")
    func failedNodeAtMinimum() {
        var world = World(nodes: 3, min: 3)
        world.members[1].status = "DELETE_FAILED"
        let id = world.members[1].id
        world.addPod("web-1", on: "node-m2")
        #expect(world.run(within: .seconds(200)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.evictions == ["web-1"] && world.unnoticedEvictions.isEmpty)
        #expect(world.memberNames == ["m1", "m2", "m3"] && world.members[1].id != id && world.resizes == [3])
    }

    @Test("while a failed member is still a node no other removal begins, and no size is sent: it would go untold")
    func failedNodeFirst() {
        var world = World(nodes: 4)
        world.members[1].status = "CREATE_FAILED"
        world.addPod("web-1", on: "node-m2")
        world.budget["web-1"] = 20
        world.send(world.removal("r1", ["m4"]))
        #expect(world.run { $0.reasons(.removalFailed) == [.memberFailed] })
        #expect(!world.isCordoned("node-m4"))
        world.send(world.scale(from: 3, to: 5))
        #expect(world.run { $0.reasons(.scaleRefused) == [.memberFailed] })
        #expect(world.resizes.isEmpty)
        #expect(world.run(within: .seconds(300)) { $0.memberNames == ["m1", "m3", "m4"] }, "\(world.story)")
        #expect(world.evictions == ["web-1"])
        // Then both are as possible as ever.
        world.send(world.removal("r2", ["m4"]))
        #expect(world.run { $0.memberNames == ["m1", "m3"] })
    }

    @Test("several failed nodes go together, since any update would take them all")
    func failedNodes() {
        var world = World(nodes: 4)
        for index in [1, 2] { world.members[index].status = "CREATE_FAILED" }
        #expect(
            world.run(within: .seconds(200)) { $0.story.count { $0 == .removalCompleted } == 2 }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m4"] && world.resizes == [2] && world.unnoticedEvictions.isEmpty)
    }

    @Test(
        "a doubted node that cannot be emptied would stop the group for ever: if it is ready, the doubt is taken back",
        arguments: ["CHECK_FAILED", "CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED"], [true, false])
    func doubtedAndFull(_ status: String, isReady: Bool) {
        var world = Self.doubted(status)
        if !isReady { world.unready.insert("node-m2") }
        #expect(world.run(within: .seconds(600)) { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.marks.isEmpty)
        world.pass(.seconds(700))
        // (Half deleted: it is a person's.)
        guard isReady, status != "DELETE_FAILED" else {
            #expect(world.marks.isEmpty && world.members[1].status == status)
            return
        }
        // Only a mark can be taken back.
        let marks = status == "CHECK_FAILED" ? ["-m2"] : ["+m2", "-m2"]
        #expect(world.marks == marks && !world.isCordoned("node-m2"), "\(world.marks) \(world.warnings)")
        #expect(world.members[1].status == "CHECK_COMPLETE")
        world.send(world.scale(from: 3, to: 4))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story) \(world.warnings)")
        #expect(world.members.contains { $0.name == "m2" && $0.server == "server-0002" })
        #expect(world.unnoticedEvictions.isEmpty && world.evictions.isEmpty)
    }

    @Test("a mark that was set to be taken back is taken back, also if Heat refuses that once, also by another process")
    func doubtTakenBackLater() {
        for dies in [true, false] {
            var world = Self.doubted("CREATE_FAILED")
            world.markFailures = [nil, ActFailure(.heatConflict, "ActionInProgress", isRetriable: true)]
            #expect(world.run(within: .seconds(1_500)) { $0.marks == ["+m2"] }, "\(world.marks) \(world.warnings)")
            #expect(world.members[1].status == "CHECK_FAILED")
            if dies { world.crash() }
            #expect(world.run { $0.marks == ["+m2", "-m2"] }, "\(world.marks) \(world.warnings)")
            world.send(world.scale(from: 3, to: 4))
            #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story) \(world.warnings)")
            #expect(world.members.contains { $0.name == "m2" && $0.server == "server-0002" })
        }
    }

    /// One of three members has failed, its node works, and a budget keeps its pod.
    static func doubted(_ status: String) -> World {
        var world = World(nodes: 3)
        world.policy.drainTimeout = .seconds(60)
        world.restart()
        world.addPod("web", on: "node-m2")
        world.budget["web"] = 10_000
        world.members[1].status = status
        world.members[1].reason = "CHECK failed: Not ACTIVE"
        if !status.hasPrefix("CHECK_") { world.members[1].reason = "Resource CREATE failed: WaitConditionTimeout" }
        return world
    }

    @Test("a failed node of another group of the same stack holds changes too: an update is one of the whole stack")
    func failedNodeOfOtherGroup() {
        let groups = ["a", "b"].map { ActuatorPolicy.Group(id: $0, stack: "k8s", min: 1, max: 9) }
        var core = ActuatorCore(policy: ActuatorPolicy(cluster: "prod", groups: groups))
        let now = World.start
        func reading(_ group: String, failed: Bool) -> GroupReading {
            let member = GroupState.Member(
                name: "m-\(group)", physicalID: "id-\(group)", serverID: "s-\(group)",
                status: failed ? "CREATE_FAILED" : "CREATE_COMPLETE", createdAt: now)
            let other = GroupState.Member(
                name: "o-\(group)", physicalID: "other-\(group)", serverID: "t-\(group)", status: "CREATE_COMPLETE",
                createdAt: now)
            return GroupReading(
                begunAt: now, stackID: "stack", desired: failed ? 1 : 2, members: [member, other])
        }
        _ = core.handle(.tick, at: now)
        _ = core.handle(
            .nodesListed(
                ["s-a", "s-b", "t-a", "t-b"].map { (server: String) in
                    NodeView(name: "n-\(server)", uid: "u-\(server)", serverID: server)
                }),
            at: now)
        _ = core.handle(.groupRead(group: "b", reading("b", failed: true)), at: now)
        _ = core.handle(
            .scaleDecided(
                ScaleDecided(
                    cluster: "prod", id: "s1", group: "a", from: 2, to: 3, reason: Explanation(.podsPending),
                    decidedAt: now, deadline: now + .seconds(60)), ticket: 1), at: now)
        let actions = core.handle(.groupRead(group: "a", reading("a", failed: false)), at: now)
        #expect(!actions.contains { if case .resize = $0 { true } else { false } })
        let refusals = actions.compactMap { action -> Reason? in
            if case .publish(.scaleRefused(let event)) = action { event.scale.reason.reason } else { nil }
        }
        #expect(refusals == [.memberFailed])
    }

    @Test("Heat doubts most nodes at once (a stack check while Nova is away): none is touched, and it is said")
    func doubted() {
        var world = World(nodes: 3)
        for index in [0, 1] {
            world.members[index].status = "CHECK_FAILED"
            world.members[index].reason = "CHECK failed: Nova does not answer"
        }
        world.pass(.seconds(900))
        #expect(world.resizes.isEmpty && world.story.isEmpty && !world.isCordoned("node-m1"))
        #expect(world.warnings.contains { $0.reason == .memberFailed && $0.detail.contains("2 of 3 nodes") })
        // One alone is believed.
        world.members[0].status = "CHECK_COMPLETE"
        #expect(world.run(within: .seconds(900)) { $0.memberNames == ["m1", "m3"] }, "\(world.story)")
    }

    @Test("a server that was deleted by hand: named, and its node is not drained for ever")
    func serverGone() {
        var world = World(nodes: 3)
        world.addPod("web-1", on: "node-m2", grace: 120)
        world.stuckPods = ["web-1"]
        world.unready = ["node-m2"]
        world.servers["server-0002"] = .gone
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run(within: .seconds(120)) { $0.story.contains(.removalCompleted) })
        #expect(world.memberNames == ["m1", "m3"])
        #expect(world.reports.contains { $0.reason == .serverGone })
        #expect(
            world.published.contains {
                guard case .groupState(let state) = $0 else { return false }
                return state.members.contains { $0.name == "m2" && $0.statusReason.contains("no such server") }
            })
    }

    @Test("a server in ERROR is named with its fault; a node that is only unready is drained as ever")
    func serverFailed() {
        var world = World(nodes: 3)
        world.unready = ["node-m2"]
        world.servers["server-0002"] = .status("ERROR", fault: "hypervisor lost")
        world.pass(.seconds(120))
        #expect(world.warnings.contains { $0.reason == .serverFailed && $0.detail.contains("hypervisor lost") })
        #expect(world.reports.filter { $0.reason == .serverFailed }.count == 1)
        #expect(world.askedForServers <= 5)
    }

    @Test("nobody asks Nova about nodes that are well")
    func quiet() {
        var world = World(nodes: 3)
        world.pass(.seconds(300))
        #expect(world.askedForServers == 0)
    }
}

@Suite("Nodes that join")
struct ArrivalTests {
    func growing(_ change: (inout ActuatorPolicy.Group) -> Void = { _ in }) -> World {
        var world = World(nodes: 2)
        world.policy.groups = world.policy.groups.map { group in
            var group = group
            change(&group)
            return group
        }
        world.restart()
        world.pass(.seconds(5))
        world.addMember(isReady: false)
        world.members[2].status = "CREATE_COMPLETE"
        world.desired = 3
        return world
    }

    func count(_ world: World, _ type: EventType) -> Int { world.published.count { $0.type == type } }

    @Test("joined and ready are said once each")
    func once() {
        var world = growing()
        world.unready = ["node-m3"]
        world.register("m3")
        #expect(world.run { count($0, .nodeJoined) == 1 })
        #expect(count(world, .nodeReady) == 0)
        world.unready = []
        world.see("node-m3")
        #expect(world.run { count($0, .nodeReady) == 1 })
        world.see("node-m3")
        world.pass(.seconds(120))
        #expect(count(world, .nodeJoined) == 1 && count(world, .nodeReady) == 1)
    }

    @Test("labels and taints of the group are applied where they lack; others' stay; an old node gets no NoExecute")
    func dressed() {
        var world = growing {
            $0.labels = ["pool": "blue", "disk": "ssd"]
            $0.taints = [
                Taint(key: "dedicated", value: "blue", effect: .noSchedule),
                Taint(key: "x", value: "", effect: .noExecute),
            ]
        }
        world.editFailures = [ActFailure(.kubernetesUnreachable, "503", isRetriable: true)]
        world.register("m3")
        world.merge(
            "node-m3",
            [
                "metadata": ["labels": ["disk": "hdd", "own": "1"]],
                "spec": ["taints": [["key": "x", "effect": "NoExecute", "timeAdded": "t"]]],
            ])
        world.pass(.seconds(1))
        world.see("node-m3")
        #expect(world.run { $0.nodes["node-m3"]?[path: "metadata", "labels", "pool"]?.stringValue == "blue" })
        let node = world.nodes["node-m3"]
        #expect(node?[path: "metadata", "labels", "disk"]?.stringValue == "hdd")
        #expect(node?[path: "metadata", "labels", "own"]?.stringValue == "1")
        let taints = node?[path: "spec", "taints"]?.arrayValue ?? []
        #expect(taints.map { $0["key"]?.stringValue } == ["x", "dedicated"])
        #expect(taints.first?["timeAdded"]?.stringValue == "t")
        world.pass(.seconds(120))
        // It joined while no Actuator ran, perhaps; pods run there.
        let old = world.nodes["node-m1"]
        #expect(old?[path: "metadata", "labels", "pool"]?.stringValue == "blue")
        #expect((old?[path: "spec", "taints"]?.arrayValue ?? []).map { $0["key"]?.stringValue } == ["dedicated"])
        // Taken away later by somebody: theirs to do.
        world.merge("node-m3", ["metadata": ["labels": ["pool": .null]]])
        world.see("node-m3")
        world.pass(.seconds(120))
        #expect(world.nodes["node-m3"]?[path: "metadata", "labels", "pool"] == nil)
    }

    /// As Kubernetes' own controller writes them: the list as it read it before ours were there.
    private func loseTaints(_ world: inout World, _ node: String = "node-m3") {
        world.merge(node, ["spec": ["taints": .null]])
        world.see(node)
    }

    private func taints(_ world: World, _ node: String = "node-m3") -> [String] {
        (world.nodes[node]?[path: "spec", "taints"]?.arrayValue ?? []).compactMap { $0["key"]?.stringValue }
    }

    @Test("a new node that loses a declared taint gets it again, but nothing that ends pods once it is ready")
    func dressedAgain() {
        var world = growing {
            $0.labels = ["pool": "blue"]
            $0.taints = [Taint(key: "dedicated", effect: .noSchedule), Taint(key: "x", effect: .noExecute)]
        }
        world.unready = ["node-m3"]
        world.register("m3")
        #expect(world.run { taints($0) == ["dedicated", "x"] })
        // While it is not ready no pod is there that could be ended.
        world.pass(.minutes(5))
        loseTaints(&world)
        #expect(world.run(within: .seconds(40)) { taints($0) == ["dedicated", "x"] })
        world.unready = []
        world.pass(.seconds(5))
        loseTaints(&world)
        #expect(world.run(within: .seconds(40)) { taints($0) == ["dedicated"] })
        world.pass(.seconds(30))
        #expect(taints(world) == ["dedicated"])
    }

    @Test("a ready node that another Actuator saw join gets nothing that ends pods")
    func dressedByAnother() {
        var world = growing {
            $0.taints = [Taint(key: "dedicated", effect: .noSchedule), Taint(key: "x", effect: .noExecute)]
        }
        world.register("m3")
        #expect(world.run { taints($0) == ["dedicated", "x"] })
        world.merge("node-m3", ["spec": ["taints": .null]])
        world.crash()
        #expect(world.run { taints($0) == ["dedicated"] })
        world.pass(.seconds(30))
        #expect(taints(world) == ["dedicated"])
    }

    @Test("that ends: after two minutes, or five times, what somebody takes off stays off")
    func dressedNoMore() {
        var world = growing { $0.taints = [Taint(key: "dedicated", effect: .noSchedule)] }
        world.register("m3")
        #expect(world.run { taints($0) == ["dedicated"] })
        world.pass(.seconds(125))
        loseTaints(&world)
        world.pass(.seconds(120))
        #expect(taints(world).isEmpty)

        world = growing { $0.taints = [Taint(key: "dedicated", effect: .noSchedule)] }
        world.register("m3")
        var given = 0
        while world.run(within: .seconds(35), until: { !taints($0).isEmpty }) {
            given += 1
            guard given < 20 else { break }
            loseTaints(&world)
        }
        #expect(given == 5)
        world.pass(.seconds(120))
        #expect(taints(world).isEmpty)
    }

    @Test("an old node that lacks nothing is not touched, also where another group declares something")
    func dressedLongAgo() {
        var world = World(nodes: 2)
        world.policy.groups[0].labels = ["pool": "blue"]
        world.policy.groups[0].taints = [Taint(key: "x", effect: .noExecute)]
        world.restart()
        for node in ["node-m1", "node-m2"] { world.merge(node, ["metadata": ["labels": ["pool": "green"]]]) }
        let version = world.version
        world.pass(.seconds(120))
        #expect(world.version == version && world.nodes["node-m1"]?[path: "spec", "taints"] == nil)
    }

    @Test("a removal that is decided while a node is being dressed waits for that, and is not confused by it")
    func dressedAndRemoved() {
        var world = growing { $0.labels = ["pool": "blue"] }
        world.register("m3")
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.memberNames == ["m1", "m2"] && world.reasons(.removalFailed).isEmpty)
    }

    @Test("a node without a provider id, or with one of no group, is named once")
    func provider() {
        for id in ["", "openstack:///server-of-nobody"] {
            var world = growing()
            world.addNode(world.members[2])
            world.createdAt["node-m3"] = world.now
            world.merge("node-m3", ["spec": ["providerID": .string(id)]])
            world.see("node-m3")
            // The cloud controller manager may be a moment later than the kubelet.
            world.pass(.seconds(30))
            #expect(world.reports.isEmpty)
            world.pass(.seconds(300))
            let told = world.reports.filter { $0.reason == .providerUnknown }
            #expect(told.count == 1)
            #expect(told.first?.detail.contains(id.isEmpty ? "no provider id" : "server-of-nobody") == true)
            // It lasts, so the metric says it for as long as it is so.
            #expect(world.core.nodesWithoutGroup == 1)
            world.merge("node-m3", ["spec": ["providerID": .string("openstack:///\(world.members[2].server)")]])
            world.see("node-m3")
            world.pass(.seconds(10))
            #expect(world.core.nodesWithoutGroup == 0)
        }
    }

    @Test("nodes of no group that were there at the start are named in one line, and get no Event")
    func residents() {
        var world = World(nodes: 9)
        world.members.removeFirst(7)
        world.desired = 2
        world.pass(.minutes(10))
        let told = world.notes.filter { $0.explanation.reason == .providerUnknown }
        #expect(told.count == 1 && world.reports.isEmpty, "\(told) \(world.reports)")
        #expect(told.first?.explanation.detail.contains("7 nodes") == true, "\(told)")
        #expect(told.first?.explanation.detail.contains("node-m1, node-m2, ") == true, "\(told)")
        #expect(world.core.nodesWithoutGroup == 7)
        world.pass(.minutes(10))
        #expect(world.notes.count { $0.explanation.reason == .providerUnknown } == 1 && world.reports.isEmpty)
    }

    @Test("an old node of which no list of Heat tells any more is named once, and not at once")
    func oldStranger() {
        var world = World(nodes: 3)
        world.pass(.minutes(1))
        world.members.removeFirst()
        world.desired = 2
        world.pass(.minutes(4))
        #expect(world.reports.isEmpty && world.core.nodesWithoutGroup == 0)
        world.pass(.minutes(5))
        let told = world.reports.filter { $0.reason == .providerUnknown }
        #expect(told.count == 1 && told.first?.detail.contains("server-0001") == true, "\(world.reports)")
        #expect(world.core.nodesWithoutGroup == 1 && world.nodes.count == 3 && world.story.isEmpty)
        world.pass(.minutes(20))
        #expect(world.reports.count == told.count)
        // A dead one is no use to anybody; a node of a member never is one.
        world.unready.insert("node-m1")
        world.see("node-m1")
        world.pass(.minutes(2))
        #expect(world.core.nodesWithoutGroup == 0)
    }

    @Test("a machine that is no node in time is reported once, with what Nova says")
    func late() {
        var world = growing { $0.provisionTimeout = .seconds(200) }
        world.servers["server-0003"] = .status("ERROR", fault: "No valid host was found")
        world.pass(.seconds(150))
        #expect(world.warnings.allSatisfy { $0.reason != .provisionTimedOut })
        world.pass(.seconds(300))
        let told = world.warnings.filter { $0.reason == .provisionTimedOut }
        #expect(told.count == 1)
        #expect(told.first?.detail.contains("No valid host was found") == true)
        #expect(told.first?.detail.contains("m3") == true)
        let events = world.published.compactMap { if case .nodeOverdue(let event) = $0 { event } else { nil } }
        #expect(events.count == 1)
        #expect(events.first?.serverID == "server-0003" && events.first?.member == "m3" && events.first?.node == nil)
        #expect(events.first.map { $0.after >= .seconds(200) } == true)
        #expect(events.first?.reason == told.first)
    }
}
