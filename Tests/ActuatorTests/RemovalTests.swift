import Messages
import Support
import Testing

@testable import Actuator

@Suite("removal.decided")
struct RemovalTests {
    @Test("the chosen member goes, not the oldest: cordoned, drained, removed, Node deleted")
    func story() {
        var world = World(nodes: 4)
        world.addPod("web-1", on: "node-m3")
        world.addPod("web-2", on: "node-m3", grace: 5)
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.isCordoned("node-m3") && $0.isTainted("node-m3") })
        #expect(world.run { $0.story.last == .removalCompleted && $0.nodes["node-m3"] == nil })
        #expect(world.story == [.removalCordoned, .removalDrained, .removalCommitted, .removalCompleted])
        #expect(world.memberNames == ["m1", "m2", "m4"])
        #expect(world.marks == ["+m3"])
        #expect(world.resizes == [3])
        #expect(world.evictions.sorted() == ["web-1", "web-2"])
        #expect(world.unnoticedEvictions.isEmpty)
        #expect(world.inHand.isEmpty)
    }

    @Test("several drained nodes of a group go in one change")
    func several() {
        var world = World(nodes: 5)
        world.send(world.removal("r1", ["m2", "m4"]))
        #expect(world.run { $0.story.filter { $0 == .removalCompleted }.count == 2 })
        #expect(world.memberNames == ["m1", "m3", "m5"])
        #expect(world.resizes == [3])
    }

    @Test("no node beyond the minimum: the excess is refused, with the limit")
    func minimum() {
        var world = World(nodes: 3, min: 2)
        world.send(world.removal("r1", ["m1", "m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.reasons(.removalFailed) == [.minimumReached])
        #expect(world.members.count == 2)
    }

    @Test("nodes of a ResourceGroup are refused before any pod is told: Heat takes no chosen one out of it")
    func resourceGroup() {
        var world = World(nodes: 3)
        world.removesChosen = false
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { !$0.reasons(.removalFailed).isEmpty })
        #expect(world.reasons(.removalFailed) == [.heatRefused])
        world.pass(.seconds(60))
        #expect(world.marks.isEmpty && world.resizes.isEmpty && !world.story.contains(.removalCordoned))
    }

    @Test("an API server that is away past a decision's deadline: nothing is cordoned when it is back")
    func cordonTooLate() {
        var world = World(nodes: 3)
        world.editFailures = Array(
            repeating: ActFailure(.kubernetesUnreachable, "connection refused", isRetriable: true), count: 40)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run(within: .minutes(30)) { !$0.reasons(.removalFailed).isEmpty })
        #expect(world.reasons(.removalFailed) == [.decisionExpired])
        world.editFailures = []
        world.pass(.seconds(120))
        #expect(!world.story.contains(.removalCordoned) && world.inHand.isEmpty)
    }

    @Test(
        "somebody's update between the mark and the size, and a reading that took long: it is read anew before the size goes"
    )
    func staleReading() {
        // The core by itself: this is about the order of answers.
        var core = ActuatorCore(
            policy: ActuatorPolicy(cluster: "prod", groups: [.init(id: "g", stack: "k8s", min: 1, max: 9)]))
        var now = World.start
        let record = RemovalRecord(
            id: "r1", group: "g", nodeUID: "u2", serverID: "s2", member: "m2", memberID: "id-2", decidedAt: now,
            startedAt: now, deadline: now + .seconds(600), reason: Explanation(.nodeUnneeded))
        var removing = record
        removing.phase = .removing
        removing.change = RemovalRecord.Change(survivors: ["id-1", "id-3"], together: [])
        func reading(_ begunAt: Timestamp, _ isMarked: Bool, replaced: Bool = false) -> GroupReading {
            let members = (1...3).map { number in
                GroupState.Member(
                    name: "m\(number)", physicalID: replaced && number == 2 ? "id-9" : "id-\(number)",
                    serverID: replaced && number == 2 ? "s9" : "s\(number)",
                    status: isMarked && number == 2 ? "CHECK_FAILED" : "CREATE_COMPLETE", createdAt: World.start)
            }
            return GroupReading(begunAt: begunAt, stackID: "stack", desired: 3, members: members)
        }
        func resizes(_ actions: [ActuatorAction]) -> [Int] {
            actions.compactMap { if case .resize(_, let size, _) = $0 { size } else { nil } }
        }
        _ = core.handle(.tick, at: now)
        _ = core.handle(
            .nodesListed(
                (1...3).map {
                    NodeView(name: "n\($0)", uid: "u\($0)", serverID: "s\($0)", record: $0 == 2 ? removing : nil)
                }), at: now)
        _ = core.handle(.groupRead(group: "g", reading(now, false)), at: now)
        _ = core.handle(.groupRead(group: "g", reading(now, false)), at: now)
        _ = core.handle(.podsRead(node: "n2", []), at: now)
        _ = core.handle(.groupRead(group: "g", reading(now, false)), at: now)
        now = now + .seconds(1)
        let marked = core.handle(.marked(group: "g", member: "m2", unhealthy: true, nil), at: now)
        #expect(marked.contains { if case .readGroup = $0 { true } else { false } })
        // Asked now, answered six seconds later: what it shows is six seconds old.
        let begunAt = now
        now = now + .seconds(6)
        let late = core.handle(.groupRead(group: "g", reading(begunAt, true)), at: now)
        #expect(resizes(late).isEmpty)
        #expect(late.contains { if case .readGroup = $0 { true } else { false } })
        // Meanwhile somebody's update had replaced the marked one: no size is lowered for it any more.
        let fresh = core.handle(.groupRead(group: "g", reading(now, false, replaced: true)), at: now)
        #expect(resizes(fresh).isEmpty)
    }

    @Test("a Heat that is always slow does not hold a removal for ever")
    func alwaysSlow() {
        var world = World(nodes: 3)
        world.policy.freshness = .seconds(-1)
        world.restart()
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m3"])
    }

    @Test("at the minimum a node that is dead is replaced: drained, marked, the same size sent again")
    func deadAtMinimum() {
        var world = World(nodes: 3, min: 3)
        world.unready = ["node-m2"]
        world.addPod("web-1", on: "node-m2")
        var decision = world.removal("r1", ["m2"])
        guard case .removalDecided(var decided) = decision else { return }
        decided.nodes[0].reason = Explanation(.nodeUnready, "the kubelet is silent")
        decision = .removalDecided(decided)
        let id = world.members[1].id
        world.send(decision)
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.evictions == ["web-1"] && world.unnoticedEvictions.isEmpty)
        #expect(world.marks == ["+m2"] && world.resizes == [3])
        #expect(world.memberNames == ["m1", "m2", "m3"] && world.members[1].id != id)
        #expect(world.nodes["node-m2"] == nil && world.reasons(.removalFailed).isEmpty)
        // One that is merely not needed stays.
        world.send(world.removal("r2", ["m1"]))
        #expect(world.run { $0.reasons(.removalFailed) == [.minimumReached] })
        #expect(world.resizes == [3])
    }

    @Test("at the minimum, a dead node and one that is not needed at once: one goes, the other is replaced")
    func deadAndUnneeded() {
        var world = World(nodes: 3, min: 2)
        guard case .removalDecided(var decided) = world.removal("r1", ["m2", "m3"]) else { return }
        decided.nodes[0].reason = Explanation(.nodeUnready, "the kubelet is silent")
        decided.nodes[1].reason = Explanation(.nodeUnready, "the kubelet is silent")
        let ids = world.members.map(\.id)
        world.send(.removalDecided(decided))
        #expect(world.run { $0.story.count { $0 == .removalCompleted } == 2 }, "\(world.story)")
        #expect(world.members.count == 2 && world.members[0].id == ids[0] && !ids.contains(world.members[1].id))
        #expect(world.resizes == [2])
    }

    @Test("a node without a provider id, of another group, or of another uid is refused untouched")
    func unresolved() {
        var world = World(nodes: 3)
        world.nodes["node-m1"] = World.merge(world.nodes["node-m1"] ?? .null, ["spec": ["providerID": .null]])
        world.send(world.removal("r1", ["m1"]))
        #expect(world.run { $0.reasons(.removalFailed) == [.memberUnresolved] })
        world.members.removeAll { $0.name == "m2" }
        var target = world.target("m2")
        target.serverID = "server-0002"
        world.send(
            .removalDecided(
                RemovalDecided(
                    cluster: "prod", id: "r2", group: "workers", from: 2, nodes: [target], decidedAt: world.now,
                    deadline: world.now + .seconds(60))))
        #expect(world.run { $0.reasons(.removalFailed) == [.memberUnresolved, .memberUnresolved] })
        target = world.target("m3")
        target.nodeUID = "uid-of-an-older-one"
        world.send(
            .removalDecided(
                RemovalDecided(
                    cluster: "prod", id: "r3", group: "workers", from: 2, nodes: [target], decidedAt: world.now,
                    deadline: world.now + .seconds(60))))
        #expect(world.run { $0.reasons(.removalFailed).last == .decisionStale })
        #expect(!world.isCordoned("node-m1") && !world.isCordoned("node-m2") && !world.isCordoned("node-m3"))
    }

    @Test("a budget holds a pod: retried until it lets go")
    func budgetLetsGo() {
        var world = World(nodes: 3)
        world.addPod("web-1", on: "node-m2")
        world.budget["web-1"] = 3
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.evictions == ["web-1"])
    }

    @Test("a budget that never lets go: failed at the deadline, budget named, node back in service")
    func budgetHolds() {
        var world = World(nodes: 3)
        world.addPod("web-1", on: "node-m2")
        world.budget["web-1"] = 1_000_000
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run(within: .seconds(1_200)) { $0.story.contains(.removalFailed) })
        #expect(world.reasons(.removalFailed) == [.evictionBlocked])
        #expect(!world.isCordoned("node-m2") && !world.isTainted("node-m2"))
        #expect(world.record("node-m2")?.outcome?.detail.contains("the budget web") == true)
        #expect(world.memberNames == ["m1", "m2", "m3"])
        // The explanation stays on the node for a while, then goes.
        world.pass(.seconds(700))
        #expect(world.record("node-m2") == nil)
    }

    @Test("without a Notifier no pod is evicted; the node returns to service")
    func noNotifier() {
        var world = World(nodes: 3)
        world.notifierIsThere = false
        world.addPod("web-1", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run(within: .seconds(900)) { $0.story.contains(.removalFailed) })
        #expect(world.evictions.isEmpty)
        #expect(!world.isCordoned("node-m2"))
    }

    @Test("cancelled during the cooldown or the drain: everything that was ours is undone")
    func cancelled() {
        for delay in [1.0, 2.0, 4.0, 6.0] {
            var world = World(nodes: 3)
            world.addPod("web-1", on: "node-m2", grace: 30)
            world.send(world.removal("r1", ["m2"]))
            world.send(world.cancellation(), after: .seconds(delay))
            #expect(world.run { $0.story.contains(.removalFailed) })
            #expect(world.reasons(.removalFailed) == [.loadReturned])
            #expect(!world.isCordoned("node-m2") && !world.isTainted("node-m2"))
            world.pass(.seconds(60))
            #expect(world.memberNames == ["m1", "m2", "m3"], "cancelled after \(delay) s")
            #expect(world.inHand.isEmpty)
        }
    }

    @Test("a decision that comes once more after a later removal of its node was over begins nothing")
    func oldDecisionAgain() {
        var world = World(nodes: 3)
        world.notifierIsThere = false
        world.addPod("web-1", on: "node-m2")
        guard case .removalDecided(var old) = world.removal("r1", ["m2"]) else { return }
        old.deadline = world.now + .seconds(3_000)
        world.send(.removalDecided(old))
        #expect(world.run(within: .seconds(900)) { $0.reasons(.removalFailed).count == 1 })
        world.pass(.seconds(5))
        world.send(world.removal("r2", ["m2"]))
        #expect(world.run(within: .seconds(900)) { $0.reasons(.removalFailed).count == 2 })
        // Its own record was written over by that of r2.
        for count in [1, 2] {
            // (A new process tells again what it finds to be over.)
            if count == 2 { world.restart() }
            world.send(.removalDecided(old))
            #expect(world.run { $0.reasons(.removalFailed).count { $0 == .decisionStale } == count })
            #expect(world.record("node-m2")?.id == "r2" && !world.isCordoned("node-m2"))
        }
        #expect(world.evictions.isEmpty && world.memberNames == ["m1", "m2", "m3"])
    }

    @Test("once Heat was called it is too late")
    func tooLate() {
        var world = World(nodes: 3)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .removing })
        world.send(world.cancellation())
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.memberNames == ["m1", "m3"])
    }

    @Test("a process ends when one of two nodes knows of its cancellation: the other learns of it all the same")
    func cancelledForOneOfTwo() {
        var world = World(nodes: 5)
        world.cooldown = .seconds(30)
        world.addPod("web-1", on: "node-m2")
        world.addPod("web-2", on: "node-m4")
        world.send(world.removal("r1", ["m2", "m4"]))
        #expect(
            world.run { $0.record("node-m2")?.phase == .noticed && $0.record("node-m4")?.phase == .noticed })
        world.failingEdits["node-m4"] = ActFailure(.kubernetesUnreachable, "500", isRetriable: true)
        world.send(world.cancellation())
        #expect(world.run { $0.record("node-m2")?.phase == .cancelled })
        world.pass(.seconds(1))
        world.crash()
        world.failingEdits = [:]
        #expect(world.run(within: .seconds(20)) { $0.record("node-m4")?.phase == .cancelled })
        world.pass(.seconds(120))
        #expect(world.evictions.isEmpty && world.members.count == 5 && world.marks.isEmpty)
        #expect(!world.isCordoned("node-m2") && !world.isCordoned("node-m4"))
        #expect(world.inHand.isEmpty && world.queue.isEmpty)
    }

    @Test("a cancellation that overtakes its decision holds")
    func overtaken() {
        var world = World(nodes: 3)
        world.send(world.cancellation())
        world.send(world.removal("r1", ["m2"]), after: .seconds(2))
        #expect(world.run { !$0.reasons(.removalFailed).isEmpty })
        #expect(!world.isCordoned("node-m2"))
    }

    @Test("so does one that names its nodes, as all senders do; for those, and no others")
    func overtakenByName() {
        var world = World(nodes: 3)
        world.send(world.cancellation("r1", ["node-m2"]))
        world.send(world.removal("r1", ["m2", "m3"]), after: .seconds(2))
        #expect(world.run { $0.isCordoned("node-m3") })
        #expect(world.reasons(.removalFailed) == [.cancelledByOperator] && !world.isCordoned("node-m2"))
        #expect(world.run { $0.story.contains(.removalCompleted) } && !world.isCordoned("node-m2"))
    }

    /// A process that knows the nodes as they were before another one began r1 on node-m2.
    func behindTheWatch() -> World {
        var first = World(nodes: 3)
        first.cooldown = .seconds(30)
        first.addPod("web-1", on: "node-m2")
        first.send(first.removal("r1", ["m2"]))
        #expect(first.run { $0.isCordoned("node-m2") })
        var second = World(nodes: 3)
        second.pass(.seconds(1))
        second.addPod("web-1", on: "node-m2")
        second.now = first.now
        second.nodes = first.nodes
        return second
    }

    @Test("a cancellation of a node whose record the watch has not shown yet: the node is looked at, and taken back")
    func cancelledBehindTheWatch() {
        var world = behindTheWatch()
        world.send(world.cancellation("r1", ["node-m2"]))
        #expect(world.run(within: .seconds(10)) { $0.record("node-m2")?.phase == .cancelled })
        #expect(world.run(within: .seconds(10)) { $0.reasons(.removalFailed) == [.cancelledByOperator] })
        world.pass(.minutes(2))
        #expect(!world.isCordoned("node-m2") && world.evictions.isEmpty && world.members.count == 3)
        #expect(world.inHand.isEmpty && world.queue.isEmpty)
        #expect(world.reasons(.removalFailed) == [.cancelledByOperator])
    }

    @Test("the record shows after its cancellation was settled: it does not go on")
    func cancelledBeforeItIsSeen() {
        var world = behindTheWatch()
        let begun = world.nodes
        world.nodes = World(nodes: 3).nodes
        world.send(world.cancellation("r1", ["node-m2"]))
        #expect(world.run(within: .seconds(10)) { $0.queue.isEmpty && $0.inHand.isEmpty })
        #expect(world.notes.contains { $0.explanation.detail.contains("not under removal r1") }, "\(world.notes)")
        world.nodes = begun
        world.see("node-m2")
        #expect(world.run(within: .seconds(10)) { $0.record("node-m2")?.phase == .cancelled })
        #expect(!world.isCordoned("node-m2"))
        world.pass(.minutes(2))
        #expect(world.evictions.isEmpty && world.members.count == 3)
    }

    @Test("the node cannot be looked at: the cancellation comes again until it can")
    func cancelledUnseen() {
        var world = behindTheWatch()
        let command = RemovalCancelled(
            cluster: "prod", id: "r1", nodes: ["node-m2"], reason: Explanation(.loadReturned), decidedAt: world.now)
        let asked = world.core.handle(.removalCancelled(command, ticket: 7), at: world.now)
        #expect(asked.contains(.checkNode("node-m2")) && !asked.contains(.settle(ticket: 7, .done)))
        let later = world.core.handle(.tick, at: world.now + .seconds(3))
        #expect(later.contains(.settle(ticket: 7, .retryLater)))
    }

    @Test("a person cancels what is over just then: its end is told once more")
    func cancelledTwice() {
        var world = World(nodes: 3)
        world.addPod("web-1", on: "node-m2", grace: 30)
        world.send(world.removal("r1", ["m2"]))
        world.send(world.cancellation("r1", ["node-m2"]), after: .seconds(2))
        #expect(world.run { $0.reasons(.removalFailed) == [.loadReturned] })
        world.send(
            .removalCancelled(
                RemovalCancelled(
                    cluster: "prod", id: "r1", nodes: ["node-m2"], reason: Explanation(.cancelledByOperator),
                    decidedAt: world.now)))
        #expect(world.run(within: .seconds(10)) { $0.reasons(.removalFailed) == [.loadReturned, .loadReturned] })
        #expect(world.inHand.isEmpty)
    }

    @Test("a node that somebody else cordoned stays cordoned when the removal is cancelled")
    func foreignCordon() {
        var world = World(nodes: 3)
        world.nodes["node-m2"] = World.merge(
            world.nodes["node-m2"] ?? .null,
            [
                "metadata": ["labels": [RemovalNames.excludeFromLoadBalancers: "true"]],
                "spec": [
                    "unschedulable": true, "taints": [["key": "maintenance", "effect": "NoExecute", "timeAdded": "x"]],
                ],
            ])
        world.send(world.removal("r1", ["m2"]))
        world.send(world.cancellation(), after: .seconds(2))
        #expect(world.run { $0.story.contains(.removalFailed) })
        let node = world.nodes["node-m2"]
        #expect(world.isCordoned("node-m2") && !world.isTainted("node-m2"))
        #expect(node?[path: "metadata", "labels", RemovalNames.excludeFromLoadBalancers] != nil)
        #expect(node?[path: "spec", "taints"]?.arrayValue?.first?["timeAdded"]?.stringValue == "x")
    }

    @Test("the stack is busy with somebody else's change: wait, then remove exactly the chosen")
    func busyStack() {
        var world = World(nodes: 4)
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(60)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .drained })
        #expect(world.marks.isEmpty)
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.memberNames == ["m1", "m3", "m4"])
    }

    @Test("marking meets a conflict, lowering an error: both in the end")
    func stumbles() {
        var world = World(nodes: 4)
        world.markFailures = [ActFailure(.heatConflict, "ActionInProgress", isRetriable: true)]
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.memberNames == ["m1", "m3", "m4"])
        #expect(world.marks == ["+m2"])
    }

    @Test("the size is refused for good: unmarked, uncordoned, explained")
    func refused() {
        var world = World(nodes: 4)
        world.resizeFailures = [ActFailure(.heatRefused, "500 RemoteError: Delegated token", isRetriable: false)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalFailed) })
        #expect(world.reasons(.removalFailed) == [.heatRefused])
        #expect(world.marks == ["+m2", "-m2"])
        #expect(!world.isCordoned("node-m2"))
        world.pass(.seconds(60))
        #expect(world.members.count == 4)
    }

    @Test("the wrong member went: an incident, the group is paused, nothing more is decided")
    func wrongMember() {
        var world = World(nodes: 4)
        world.wrongVictim = "m1"
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.story.contains(.removalFailed) })
        #expect(world.reasons(.removalFailed) == [.wrongMemberRemoved])
        world.send(world.scale(from: 2, to: 4))
        #expect(world.run { $0.reasons(.scaleRefused) == [.groupPaused] })
        // Also after a restart: the record on the node tells.
        world.crash()
        world.send(world.scale("again", from: 2, to: 4))
        #expect(world.run { $0.reasons(.scaleRefused).count == 2 })
        #expect(world.reasons(.scaleRefused).last == .groupPaused)
    }

    @Test("the annotation is taken away by hand: ended, the mark and the taint are cleaned up")
    func takenAway() {
        var world = World(nodes: 3)
        world.addPod("web-1", on: "node-m2", grace: 60)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .quiesced })
        world.nodes["node-m2"] = World.merge(
            world.nodes["node-m2"] ?? .null, ["metadata": ["annotations": [RemovalNames.record: .null]]])
        world.crash()
        world.pass(.seconds(60))
        #expect(!world.isTainted("node-m2"))
        #expect(world.memberNames == ["m1", "m2", "m3"])
    }

    @Test("a mark that no removal claims is taken back")
    func orphanedMark() {
        var world = World(nodes: 3)
        world.members[1].status = "CHECK_FAILED"
        world.members[1].reason = "updraft removal r0"
        #expect(world.run { $0.marks == ["-m2"] })
        #expect(world.members[1].status == "CHECK_COMPLETE")
    }

    @Test("the Node vanishes while Heat works (a cloud controller was faster): completed all the same")
    func nodeVanishes() {
        var world = World(nodes: 3)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { !$0.resizes.isEmpty })
        world.nodes["node-m2"] = nil
        world.work += world.core.handle(.nodeGone(name: "node-m2", uid: "uid-m2"), at: world.now)
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.memberNames == ["m1", "m3"])
    }

    @Test("killed before or after any action, the end is the same: only the chosen went, each pod was told")
    func crashes() {
        var total = 60
        var when = 1
        while when <= total {
            for isBefore in [true, false] {
                var world = World(nodes: 4)
                world.addPod("web-1", on: "node-m3", grace: 2)
                world.addPod("web-2", on: "node-m2", grace: 2)
                if isBefore { world.crashBefore = when } else { world.crashAfter = when }
                world.send(world.removal("r1", ["m2", "m3"]))
                let ended = world.run {
                    $0.nodes.count == 2 && $0.members.count == 2 && $0.inHand.isEmpty && $0.queue.isEmpty
                        && $0.stackStatus == "UPDATE_COMPLETE"
                }
                #expect(ended, "crash \(isBefore ? "before" : "after") \(when)")
                #expect(world.memberNames == ["m1", "m4"], "crash \(isBefore ? "before" : "after") \(when)")
                #expect(world.unnoticedEvictions.isEmpty)
                #expect(world.reasons(.removalFailed).isEmpty, "crash \(isBefore ? "before" : "after") \(when)")
                if world.crashes == 0 { total = min(total, world.steps) }
            }
            when += 1
        }
    }
}
