import Messages
import Support
import Testing

@testable import Actuator

@Suite("Machines that somebody else takes away")
struct ExternalTests {
    /// Three nodes, two pods on the first, a stack that holds deletions this way.
    static func world(_ hold: HeldDeletion.Kind? = .hook) -> World {
        var world = World()
        world.others.hold = hold
        world.addPod("web", on: "node-m1")
        world.addPod("api", on: "node-m1")
        world.pass(.seconds(2))
        return world
    }

    static let wholeStory: [EventType] = [
        .removalCordoned, .removalDrained, .removalCommitted, .removalCompleted,
    ]

    @Test(
        "a policy takes the oldest member: told, drained, then let go",
        arguments: [HeldDeletion.Kind.hook, .deployment])
    func held(kind: HeldDeletion.Kind) {
        var world = Self.world(kind)
        world.leave("m1")
        #expect(world.isCordoned("node-m1"))
        #expect(world.record("node-m1")?.reason.reason == .externalScaleIn)
        #expect(world.run { $0.story.contains(.removalDrained) }, "\(world.story)")
        #expect(world.evictions == ["api", "web"])
        #expect(world.unnoticedEvictions.isEmpty)
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.story == Self.wholeStory)
        #expect(world.others.released == ["m1"])
        #expect(world.memberNames == ["m2", "m3"])
        // The size is not ours to change for it.
        #expect(world.resizes.isEmpty && world.marks.isEmpty)
        #expect(world.losses.isEmpty && world.conditions.isEmpty)
    }

    @Test("nothing is let go before the pods are gone")
    func heldUntilDrained() {
        var world = Self.world()
        world.budget["web"] = 20
        world.leave("m1")
        #expect(world.run(within: .seconds(60)) { $0.evictions == ["api"] })
        world.pass(.seconds(30))
        #expect(world.others.released.isEmpty)
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.evictions == ["api", "web"])
    }

    @Test("the whole stack is deleted: all members at once")
    func wholeStack() {
        var world = Self.world()
        world.stackStatus = "DELETE_IN_PROGRESS"
        world.leave("m1", "m2", "m3")
        #expect(world.run { $0.nodes.isEmpty }, "\(world.story)")
        #expect(world.others.released.sorted() == ["m1", "m2", "m3"])
        #expect(world.unnoticedEvictions.isEmpty && world.evictions == ["api", "web"])
        #expect(world.story.count { $0 == .removalCompleted } == 3)
    }

    @Test("a message that was lost changes nothing: the member list says it as well")
    func lostMessage() {
        var world = Self.world()
        world.members[0].status = "DELETE_IN_PROGRESS"
        world.others.held[world.members[0].id] = world.now
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
    }

    @Test("the cordon is refused for a while: said loudly, tried again, and then told, drained and let go")
    func cordonRefused() {
        var world = Self.world()
        world.failingEdits["node-m1"] = ActFailure(.kubernetesRefused, "403: nodes is forbidden", isRetriable: false)
        world.leave("m1")
        world.pass(.seconds(5))
        #expect(!world.isCordoned("node-m1"))
        #expect(world.conditions["held/workers"]?.detail.contains("node-m1 (member m1): it cannot be cordoned") == true)
        #expect(world.reports.contains { $0.reason == .kubernetesRefused })
        world.pass(.seconds(100))
        #expect(world.conditions["held/workers"] != nil && world.others.released.isEmpty && world.evictions.isEmpty)
        #expect(world.story == [.removalFailed], "told once, not at each try")
        world.failingEdits = [:]
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.story == [.removalFailed] + Self.wholeStory)
        #expect(world.others.released == ["m1"] && world.unnoticedEvictions.isEmpty)
        #expect(world.conditions.isEmpty, "\(world.conditions)")
    }

    @Test("the cordon is refused, and Heat then fails the deletion: nothing is waited for any more")
    func cordonRefusedAndStays() {
        var world = Self.world()
        world.others.timeout = .minutes(2)
        world.failingEdits["node-m1"] = ActFailure(.kubernetesRefused, "403: nodes is forbidden", isRetriable: false)
        world.leave("m1")
        world.pass(.seconds(5))
        #expect(world.conditions["held/workers"] != nil)
        world.pass(.minutes(4))
        #expect(world.conditions["held/workers"] == nil && world.members.count == 3)
    }

    @Test("in a dry run the cordon is not made: told once, and nothing is wrong")
    func dryRunCordon() {
        var world = Self.world()
        world.failingEdits["node-m1"] = ActFailure(
            .dryRun, "dry run: checked by the server, not done", isRetriable: false)
        world.leave("m1")
        world.pass(.seconds(200))
        #expect(!world.isCordoned("node-m1") && world.evictions.isEmpty && world.others.released.isEmpty)
        #expect(world.conditions.isEmpty && world.reports.isEmpty, "\(world.conditions) \(world.reports)")
        #expect(world.story == [.removalFailed], "told once, not at each try")
    }

    @Test("it cannot be cancelled")
    func notCancelled() {
        var world = Self.world()
        world.leave("m1")
        let id = world.record("node-m1")?.id ?? ""
        world.send(world.cancellation(id))
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(!world.story.contains(.removalFailed))
    }

    @Test("held, and the Actuator begins anew in the cooldown: the pods keep the time that they were told")
    func begunAnewInCooldown() {
        var world = Self.world()
        world.cooldown = .seconds(30)
        world.leave("m1")
        #expect(world.run { $0.record("node-m1")?.phase == .noticed })
        let noticed = world.now
        // It learns of its nodes first and of the group, and what holds there, a moment later.
        world.crash()
        #expect(world.record("node-m1")?.phase == .noticed)
        #expect(world.run { !$0.evictions.isEmpty }, "\(world.story)")
        #expect(world.now - noticed >= .seconds(25), "\(world.now - noticed)")
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.others.released == ["m1"])
    }

    @Test("ended and begun anew at every action, the end is the same")
    func crashes() {
        var calm = Self.world()
        calm.leave("m1")
        #expect(calm.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 })
        for step in 1...calm.steps {
            for isBefore in [true, false] {
                var world = Self.world()
                if isBefore { world.crashBefore = step } else { world.crashAfter = step }
                world.leave("m1")
                let ended = world.run { $0.nodes.count == 2 && $0.members.count == 2 }
                let what = "crash \(isBefore ? "before" : "after") action \(step): \(world.story)"
                #expect(ended, "\(what)")
                #expect(world.story.contains(.removalCompleted), "\(what)")
                #expect(world.unnoticedEvictions.isEmpty && world.resizes.isEmpty, "\(what)")
                #expect(world.memberNames == ["m2", "m3"], "\(what)")
                if !ended { return }
            }
        }
    }

    @Test("nothing holds it: told at once, drained without a cooldown, what was lost is said")
    func unheld() {
        var world = Self.world(nil)
        world.cooldown = .seconds(60)
        // One pod takes its time, and the machine is gone after two seconds.
        world.addPod("slow", on: "node-m1", grace: 60)
        world.leave("m1")
        #expect(world.isCordoned("node-m1"))
        #expect(world.run(within: .seconds(10)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.evictions.sorted() == ["api", "slow", "web"])
        #expect(world.unnoticedEvictions.isEmpty)
        #expect(world.resizes.isEmpty)
    }

    @Test("nothing holds it and no Notifier runs: nothing is evicted untold, and the loss is loud")
    func unheldUntold() {
        var world = Self.world(nil)
        world.notifierIsThere = false
        world.leave("m1")
        #expect(world.run(within: .seconds(20)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.evictions.isEmpty)
        #expect(world.losses.map(\.reason) == [.podsLost])
        let detail = world.losses.first?.detail ?? ""
        #expect(detail.contains("2 pods left (default/api, default/web)") && detail.contains("2 of them not told"))
        let completed = world.published.compactMap { event -> RemovalProgress? in
            if case .removalCompleted(let event) = event { event.removal } else { nil }
        }
        #expect(completed.first?.reason.reason == .podsLost && completed.first?.pods == 2)
    }

    @Test("its Node is deleted by a cloud controller before anything else: the same end")
    func nodeDeleted() {
        var world = Self.world(nil)
        world.others.controllerDeletesNodes = true
        world.notifierIsThere = false
        world.leave("m1")
        #expect(world.run(within: .seconds(20)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.losses.map(\.reason) == [.podsLost])
    }

    @Test("whether anything holds it is not known: it gets its cooldown")
    func unknownHold() {
        var world = Self.world(nil)
        world.others.isReadable = false
        world.others.hold = .hook
        world.leave("m1")
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.others.released == ["m1"])
    }

    @Test("no Notifier tells the pods of a held machine: it is never let go, and that is said until it is over")
    func neverTold() {
        var world = Self.world()
        world.notifierIsThere = false
        world.leave("m1")
        #expect(world.run(within: .minutes(110)) { $0.conditions["held/workers"] != nil })
        #expect(world.losses.map(\.reason) == [.deletionHeld])
        world.pass(.minutes(20))
        #expect(world.losses.count == 1, "said once: \(world.losses)")
        #expect(world.others.released.isEmpty && world.evictions.isEmpty)
        // At the timeout Heat gives up; the machine lives on.
        world.pass(.minutes(100))
        #expect(world.members.first?.status == "DELETE_FAILED")
        #expect(world.conditions["held/workers"] == nil)
        #expect(world.evictions.isEmpty)
    }

    @Test("a budget blocks the drain until Heat's timeout: let go shortly before it, with the pods named")
    func limit() {
        var world = Self.world()
        world.others.timeout = .minutes(10)
        world.budget["web"] = 100_000
        let begun = world.now
        world.leave("m1")
        #expect(world.run(within: .minutes(11)) { !$0.others.released.isEmpty })
        #expect(world.now - begun >= .minutes(8.9) && world.now - begun <= .minutes(9.2), "\(world.now - begun)")
        #expect(world.losses.map(\.reason) == [.podsLost])
        #expect(world.losses.first?.detail.contains("default/web") == true)
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
    }

    @Test("by policy it is kept instead: the deletion fails, and is tried again when the node is drained")
    func kept() {
        var world = Self.world()
        world.policy.releaseAtLimit = false
        world.core = ActuatorCore(policy: world.policy)
        world.crash()
        world.others.timeout = .minutes(10)
        world.budget["web"] = 100_000
        world.leave("m1")
        #expect(world.run(within: .minutes(11)) { $0.conditions["held/workers"] != nil })
        #expect(world.run(within: .minutes(11)) { $0.members.first?.status == "DELETE_FAILED" })
        #expect(world.others.released.isEmpty)
        world.budget["web"] = 0
        #expect(world.run { $0.nodes.count == 2 && $0.members.count == 2 }, "\(world.story) \(world.members)")
        #expect(world.memberNames == ["m2", "m3"])
        #expect(world.unnoticedEvictions.isEmpty)
    }

    @Test("a deployment refuses instead: the machine lives on before Heat's timeout, and goes when its node is drained")
    func refused() {
        var world = Self.world(.deployment)
        world.policy.releaseAtLimit = false
        world.restart()
        world.pass(.seconds(2))
        world.others.timeout = .minutes(10)
        world.budget["web"] = 100_000
        let begun = world.now
        world.leave("m1")
        #expect(world.run(within: .minutes(11)) { $0.others.refused == ["m1"] })
        #expect(world.now - begun >= .minutes(8.9) && world.now - begun <= .minutes(9.2), "\(world.now - begun)")
        #expect(world.losses.map(\.reason) == [.deletionHeld])
        #expect(world.losses.first?.detail.contains("node-m1") == true, "\(world.losses)")
        // The repair of stacks at rest does not meddle: nothing is sent, and the pod runs on.
        world.pass(.minutes(20))
        #expect(world.resizes.isEmpty && world.marks.isEmpty && world.nodes.count == 3)
        #expect(world.pods["web"] != nil && world.others.released.isEmpty && world.others.refused == ["m1"])
        world.budget["web"] = 0
        #expect(world.run(within: .minutes(60)) { $0.nodes.count == 2 && $0.members.count == 2 }, "\(world.story)")
        #expect(world.memberNames == ["m2", "m3"] && world.unnoticedEvictions.isEmpty)
    }

    @Test("pods that nobody told: a deployment refuses, whatever the policy; a hook cannot")
    func refusedUntold() {
        for hold in [HeldDeletion.Kind.hook, .deployment] {
            var world = Self.world(hold)
            world.notifierIsThere = false
            world.others.timeout = .minutes(40)
            world.leave("m1")
            #expect(world.run(within: .minutes(60)) { $0.members.first?.status == "DELETE_FAILED" })
            #expect(world.others.refused == (hold == .deployment ? ["m1"] : []))
            #expect(world.others.released.isEmpty && world.evictions.isEmpty && world.nodes.count == 3)
        }
    }

    @Test("Heat does not let go: said, with what it answered, until it does")
    func cannotBeLetGo() {
        var world = Self.world()
        world.others.letGoFailure = ActFailure(.heatUnreachable, "503 Service Unavailable", isRetriable: true)
        world.leave("m1")
        #expect(world.run(within: .minutes(5)) { $0.conditions["held/workers"] != nil }, "\(world.story)")
        #expect(world.conditions["held/workers"]?.detail.contains("503 Service Unavailable") == true)
        world.others.letGoFailure = nil
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.run(within: .seconds(10)) { $0.conditions["held/workers"] == nil })
    }

    @Test("while a member is held the group still grows, and the member is let go all the same")
    func growsMeanwhile() {
        var world = Self.world()
        world.cooldown = .minutes(5)
        world.leave("m1")
        #expect(world.run(within: .seconds(10)) { $0.isCordoned("node-m1") })
        world.send(world.scale(from: 2, to: 4))
        #expect(world.run(within: .seconds(30)) { $0.members.count == 5 }, "\(world.story) \(world.memberNames)")
        #expect(world.others.released.isEmpty)
        #expect(world.run(within: .minutes(20)) { $0.members.count == 4 && $0.nodes.count == 4 }, "\(world.story)")
        #expect(world.story.contains(.scaleCompleted) && world.story.contains(.removalCompleted))
        #expect(world.resizes == [4] && !world.memberNames.contains("m1"))
    }

    @Test("a member that is no Node has nothing to drain: let go at once")
    func withoutNode() {
        var world = Self.world()
        world.addMember(isReady: false)
        world.members[3].status = "CREATE_COMPLETE"
        world.pass(.seconds(2))
        world.leave("m4")
        #expect(world.run(within: .seconds(10)) { $0.others.released == ["m4"] })
        #expect(world.story.isEmpty)
    }

    @Test("unless it holds several servers, and one of them, whichever, is a Node")
    func withoutNodeAmongServers() {
        for other in ["server-elsewhere", "server-0004"] {
            var world = Self.world()
            world.addMember(isReady: true)
            world.others.candidates["m4"] = ["server-x", other]
            world.crash()
            world.leave("m4")
            world.pass(.seconds(30))
            let isNode = other == "server-0004"
            #expect(world.others.released == (isNode ? [] : ["m4"]), "\(other)")
            #expect(world.conditions["held/workers"]?.detail.contains("node-m4") == (isNode ? true : nil))
        }
    }

    @Test("unless a Node does not say which machine it is")
    func withoutNodePerhaps() {
        var world = Self.world()
        world.addMember(isReady: true)
        world.nodes["node-m4"] = World.merge(world.nodes["node-m4"] ?? .null, ["spec": ["providerID": .null]])
        world.crash()
        world.leave("m4")
        world.pass(.seconds(30))
        #expect(world.others.released.isEmpty)
        #expect(world.conditions["held/workers"]?.detail.contains("node-m4") == true)
    }

    @Test("a removal of ours whose member somebody else takes meanwhile is finished, not undone")
    func oursTakenMeanwhile() {
        var world = Self.world()
        world.cooldown = .seconds(20)
        world.send(world.removal("r1", ["m1"]))
        #expect(world.run { $0.story.contains(.removalCordoned) })
        world.leave("m1")
        world.send(world.cancellation())
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.resizes.isEmpty && world.others.released == ["m1"])
        #expect(!world.story.contains(.removalFailed))
    }

    @Test("that somebody else takes the member of our removal stands on its record, until the deletion fails")
    func oursTakenIsRecorded() {
        var world = Self.world()
        world.cooldown = .seconds(60)
        world.send(world.removal("r1", ["m1"]))
        #expect(world.run { $0.record("node-m1")?.phase == .noticed })
        #expect(world.record("node-m1")?.isTaken == false)
        world.leave("m1")
        #expect(world.run(within: .seconds(10)) { $0.record("node-m1")?.taken == true })
        #expect(world.record("node-m1")?.phase == .noticed && world.record("node-m1")?.isExternal == false)
        world.crash()
        world.others.held = [:]
        world.members[0].status = "DELETE_FAILED"
        #expect(world.run(within: .seconds(40)) { $0.record("node-m1")?.taken == nil })
        #expect(world.record("node-m1")?.phase == .noticed, "\(world.story)")
    }

    @Test("a removal of ours beside one of somebody else's: both go, the size is counted right")
    func both() {
        var world = Self.world()
        world.leave("m1")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.nodes.count == 1 && $0.members.count == 1 }, "\(world.story) \(world.memberNames)")
        #expect(world.memberNames == ["m3"])
        #expect(world.resizes == [1])
        #expect(world.unnoticedEvictions.isEmpty)
    }

    // MARK: Replaced members

    /// The first is held, its pods are told, and no list of Heat has it any more.
    static func replaced() -> World {
        var world = Self.world()
        world.cooldown = .minutes(5)
        world.leave("m1")
        #expect(world.run(within: .seconds(30)) { $0.record("node-m1")?.phase == .noticed }, "\(world.story)")
        world.others.unlisted = ["m1"]
        return world
    }

    static let noAnswer = ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)

    @Test("a held member that is in no list of Heat is not lost while its server is there")
    func unlisted() {
        var world = Self.replaced()
        world.pass(.minutes(1))
        // Nor while Nova says nothing.
        world.others.fates["server-0001"] = .unknown(Self.noAnswer)
        world.pass(.minutes(1))
        #expect(world.record("node-m1")?.phase == .noticed)
        // That it takes long is said, and nothing else.
        #expect(world.nodes.count == 3 && world.story == [.removalCordoned], "\(world.story)")
        #expect(world.losses.allSatisfy { $0.reason == .deletionHeld }, "\(world.losses)")
        // Found again: drained and let go as any other.
        world.others.fates = [:]
        world.others.unlisted = []
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.evictions == ["api", "web"] && world.unnoticedEvictions.isEmpty)
        #expect(world.losses.allSatisfy { $0.reason == .deletionHeld }, "\(world.losses)")
        #expect(world.others.released == ["m1"])
    }

    @Test("it is lost when Nova says that its server is gone")
    func unlistedAndGone() {
        var world = Self.replaced()
        world.others.fates["server-0001"] = .gone
        #expect(world.run(within: .minutes(1)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.losses.map(\.reason) == [.podsLost])
        #expect(world.run(within: .seconds(30)) { $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.resizes.isEmpty)
    }

    @Test("a reading that failed changes nothing")
    func unread() {
        var world = Self.replaced()
        world.others.unlisted = []
        world.others.readFailure = Self.noAnswer
        world.pass(.minutes(2))
        #expect(world.record("node-m1")?.phase == .noticed)
        #expect(world.nodes.count == 3 && world.losses.isEmpty, "\(world.losses)")
        world.others.readFailure = nil
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.losses.isEmpty && world.others.released == ["m1"])
    }

    @Test(
        "it was let go and is in no list of Heat: its Node stays as long as its machine runs", arguments: [false, true])
    func releasedAndUnlisted(isRestarted: Bool) {
        var world = Self.world()
        world.others.letGoFailure = Self.noAnswer
        world.leave("m1")
        #expect(world.run { $0.record("node-m1")?.phase == .removing }, "\(world.story)")
        // At the stack's timeout the deletion fails, the stack comes to rest, and the server lives on.
        world.others.held = [:]
        world.members[0].status = "DELETE_FAILED"
        world.others.unlisted = ["m1"]
        if isRestarted { world.crash() }
        world.pass(.minutes(5))
        #expect(world.nodes.count == 3 && !world.story.contains(.removalCompleted), "\(world.story)")
        #expect(world.conditions["held/workers"]?.detail.contains("its server lives on") == true)
        world.others.fates["server-0001"] = .gone
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.run(within: .minutes(1)) { $0.conditions["held/workers"] == nil })
    }

    @Test("Nova never says what became of it: said, held no longer than Heat's time, and never taken for gone")
    func neverAnswered() {
        var world = Self.replaced()
        world.others.fates["server-0001"] = .unknown(Self.noAnswer)
        #expect(world.run(within: .minutes(2)) { $0.conditions["held/workers"] != nil }, "\(world.story)")
        #expect(world.conditions["held/workers"]?.detail.contains("Nova does not say") == true)
        let losses = world.losses.count
        world.pass(.minutes(30))
        #expect(world.losses.count == losses, "said once: \(world.losses)")
        // The stack's timeout is two hours here.
        #expect(world.run(within: .minutes(180)) { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.deletionHeld])
        world.pass(.minutes(30))
        #expect(world.nodes.count == 3 && world.isCordoned("node-m1") && world.isTainted("node-m1"))
        #expect(!world.story.contains(.removalCompleted) && world.conditions["held/workers"] == nil)
        // The group is not held by it.
        world.others.held = [:]
        world.members.removeFirst()
        world.send(world.scale(from: 2, to: 5))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story) \(world.warnings)")
    }

    @Test("more servers than Nova is asked for at once: each gets its turn")
    func turns() {
        var world = World(nodes: 150, max: 200)
        world.others.hold = .hook
        world.notifierIsThere = false
        world.pass(.seconds(2))
        world.others.novaTakes = .seconds(10)
        let names = world.memberNames
        for name in names { world.leave(name) }
        world.pass(.seconds(2))
        world.others.unlisted = Set(names)
        world.others.asked = []
        world.pass(.minutes(2))
        let counts = Dictionary(grouping: world.others.asked) { $0 }.mapValues(\.count)
        #expect(counts.count == 150)
        let most = counts.values.max() ?? 0
        let least = counts.values.min() ?? 0
        #expect(least >= 3 && most - least <= 2, "\(least)…\(most)")
        #expect(world.nodes.count == 150)
    }

    @Test("what one member says cannot be read: the others are followed, it is not taken for gone, and that is said")
    func oneUnread() {
        var world = Self.world()
        world.leave("m1", "m2")
        world.others.unlisted = ["m1"]
        world.others.unsettled = ["m1": "500 MessagingTimeout"]
        #expect(world.run { $0.memberNames == ["m1", "m3"] && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.run(within: .minutes(2)) { $0.conditions["held/workers"] != nil })
        #expect(world.others.released == ["m2"] && world.nodes["node-m1"] != nil)
        world.others.unlisted = []
        world.others.unsettled = [:]
        #expect(world.run { $0.nodes.count == 1 }, "\(world.story)")
        #expect(world.others.released == ["m2", "m1"] && world.losses.map(\.reason) == [.deletionHeld])
    }

    @Test(
        "a chosen member that no list has, and of which too little is known, is not taken for gone",
        arguments: [false, true])
    func chosenUnlisted(comesBack: Bool) {
        var world = Self.world()
        world.policy.heatTimeout = .minutes(5)
        world.restart()
        world.pass(.seconds(2))
        world.updateFailure = "Timed out"
        world.send(world.removal("r1", ["m1"]))
        #expect(world.run { !$0.resizes.isEmpty }, "\(world.story)")
        world.others.unlisted = ["m1"]
        world.others.unsettled = ["m1": "its stack is CREATE_COMPLETE"]
        world.pass(.minutes(2))
        #expect(world.nodes.count == 3 && !world.story.contains(.removalCompleted), "\(world.story)")
        if comesBack {
            world.others.unlisted = []
            world.others.unsettled = [:]
            #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        } else {
            #expect(world.run(within: .minutes(10)) { $0.story.contains(.removalFailed) }, "\(world.story)")
            world.pass(.minutes(1))
            #expect(world.nodes.count == 3 && world.isCordoned("node-m1"))
        }
    }

    // MARK: Edits beside it

    @Test("a Node that is just being tidied is not changed a second time: its removal begins when that is over")
    func besideTidying() throws {
        var world = Self.world()
        // Our finalizer, and no removal that it belongs to.
        world.merge("node-m1", ["metadata": ["finalizers": [.string(RemovalNames.finalizer)]]])
        let view = try #require(world.view("node-m1"))
        _ = world.core.handle(.nodeSeen(view), at: world.now)
        let tidying = world.core.handle(.nodeChecked(name: "node-m1", view), at: world.now)
        let edits = { (actions: [ActuatorAction]) in
            actions.compactMap { if case .editNode(let edit) = $0 { edit } else { nil } }
        }
        #expect(edits(tidying).map(\.kind) == [.untaint])
        // Its answer is on its way when Heat begins to delete the member.
        world.members[0].status = "DELETE_IN_PROGRESS"
        world.others.held[world.members[0].id] = world.now
        _ = world.core.handle(.stackHint, at: world.now)
        let read = world.core.handle(.groupRead(group: "workers", world.reading), at: world.now)
        #expect(edits(read) == [], "\(read)")
        let done = world.core.handle(.nodeEdited(node: "node-m1", .done(nil)), at: world.now)
        #expect(done.contains { if case .readGroup = $0 { true } else { false } }, "\(done)")
        world.merge("node-m1", ["metadata": ["finalizers": .null]])
        world.work += done
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.unnoticedEvictions.isEmpty && world.others.released == ["m1"])
    }

    // MARK: Nova

    static func report(_ world: World, _ server: String, _ state: String) -> ActuatorEvent {
        .serverReported(
            CloudServer(
                cluster: "prod", serverID: server, state: state, event: "compute.instance.delete.start", at: world.now))
    }

    @Test("a server is deleted by hand: Nova is asked, the node's pods are told, the dead member leaves Heat")
    func deletedInNova() {
        var world = Self.world(nil)
        world.others.fates["server-0001"] = .leaving
        world.feed(Self.report(world, "server-0001", "deleting"))
        #expect(world.isCordoned("node-m1"))
        #expect(world.record("node-m1")?.reason.detail.contains("deleted in Nova") == true)
        world.pass(.seconds(2))
        world.others.fates["server-0001"] = .gone
        #expect(world.run { $0.nodes.count == 2 && $0.members.count == 2 }, "\(world.story)")
        #expect(world.memberNames == ["m2", "m3"])
        #expect(world.marks == ["+m1"] && world.resizes == [2])
    }

    @Test("a node whose server went before this process began, and a question that failed: asked about again")
    func deletedBeforeTheBeginning() {
        var world = Self.world(nil)
        world.unready = ["node-m1"]
        world.servers["server-0001"] = .gone
        world.others.fates["server-0001"] = .unknown(Self.noAnswer)
        world.crash()
        world.pass(.seconds(120))
        #expect(!world.isCordoned("node-m1"))
        #expect(
            world.warnings.contains { $0.detail.contains("500 MessagingTimeout") }, "it was asked: \(world.warnings)")
        world.others.fates["server-0001"] = .gone
        #expect(world.run(within: .minutes(2)) { $0.isCordoned("node-m1") })
        #expect(world.run { $0.nodes.count == 2 && $0.members.count == 2 }, "\(world.story)")
        #expect(world.memberNames == ["m2", "m3"])
    }

    @Test("where Heat refuses for good, a dead server's removal does not begin again at each look")
    func refusedAgainAndAgain() {
        var world = Self.world(nil)
        world.unready = ["node-m1"]
        world.servers["server-0001"] = .gone
        world.others.fates["server-0001"] = .gone
        world.resizeFailures = Array(
            repeating: ActFailure(.heatRefused, "no such parameter", isRetriable: false), count: 999)
        world.crash()
        world.pass(.minutes(30))
        let begun = world.story.count { $0 == .removalCordoned }
        #expect((1...4).contains(begun), "\(world.story)")
    }

    @Test("at the minimum the dead member is replaced instead")
    func deletedInNovaAtTheMinimum() {
        var world = World(nodes: 2, min: 2)
        world.pass(.seconds(2))
        world.others.fates["server-0001"] = .gone
        world.feed(Self.report(world, "server-0001", "deleted"))
        #expect(world.run { $0.nodes.count == 1 && $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.marks == ["+m1"] && world.resizes == [2])
        #expect(world.members.count == 2 && world.members.allSatisfy { $0.status == "CREATE_COMPLETE" })
    }

    @Test("what was heard is a hint only: a server that Nova says is there stays")
    func falseReport() {
        var world = Self.world(nil)
        world.feed(Self.report(world, "server-0001", "deleting"))
        world.feed(Self.report(world, "server-unknown", "deleted"))
        world.pass(.seconds(5))
        #expect(!world.isCordoned("node-m1"))
        #expect(world.story.isEmpty)
    }

    @Test("a deletion that Nova took back: the node serves again")
    func takenBack() {
        var world = Self.world(nil)
        world.notifierIsThere = false
        world.others.fates["server-0001"] = .leaving
        world.feed(Self.report(world, "server-0001", "deleting"))
        world.pass(.seconds(5))
        world.others.fates["server-0001"] = .there
        #expect(world.run(within: .minutes(2)) { !$0.isCordoned("node-m1") }, "\(world.story)")
        #expect(world.story == [.removalCordoned, .removalFailed])
    }

    @Test("a deletion that ends in ERROR: the node is taken back, and then removed in the ordinary way")
    func deletionThatFailed() {
        var world = Self.world(nil)
        world.budget["web"] = 1_000_000
        world.others.fates["server-0001"] = .leaving
        world.feed(Self.report(world, "server-0001", "deleting"))
        world.pass(.seconds(20))
        #expect(world.record("node-m1")?.isExternal == true && world.evictions == ["api"])
        world.others.fates["server-0001"] = .failed("no host answers")
        // Not at once: a deletion may take a while to show.
        world.pass(.seconds(5))
        #expect(world.record("node-m1")?.isExternal == true)
        #expect(world.run(within: .minutes(1)) { $0.record("node-m1")?.id.hasPrefix("failed-") == true })
        #expect(world.reasons(.removalFailed) == [.serverFailed])
        // With all that such a one has: it ends at its deadline.
        #expect(world.run(within: .minutes(30)) { $0.reasons(.removalFailed).last == .evictionBlocked })
        #expect(!world.isCordoned("node-m1"))
        var easy = Self.world(nil)
        easy.notifierIsThere = false
        easy.others.fates["server-0001"] = .leaving
        easy.feed(Self.report(easy, "server-0001", "deleting"))
        easy.pass(.seconds(20))
        easy.notifierIsThere = true
        easy.others.fates["server-0001"] = .failed("no host answers")
        #expect(easy.run { $0.nodes.count == 2 && $0.story.contains(.removalCompleted) }, "\(easy.story)")
        #expect(easy.memberNames == ["m2", "m3"] && easy.resizes == [2] && easy.unnoticedEvictions.isEmpty)
    }

    @Test("a server in ERROR is removed in the ordinary way, and replaced where the group cannot spare it")
    func failedInNova() {
        var world = Self.world(nil)
        world.others.fates["server-0001"] = .failed("disk")
        world.feed(Self.report(world, "server-0001", "error"))
        #expect(world.run { $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.resizes == [2] && world.unnoticedEvictions.isEmpty)
        // What failed is tried again, and not at once.
        var held = Self.world(nil)
        held.policy.drainTimeout = .seconds(60)
        held.restart()
        held.pass(.seconds(2))
        held.budget = ["web": 150]
        held.others.fates["server-0001"] = .failed("disk")
        held.feed(Self.report(held, "server-0001", "error"))
        #expect(held.run { $0.story.contains(.removalFailed) }, "\(held.story)")
        held.budget = [:]
        held.feed(Self.report(held, "server-0001", "error"))
        held.pass(.seconds(60))
        #expect(held.nodes.count == 3)
        held.pass(.seconds(600))
        held.feed(Self.report(held, "server-0001", "error"))
        #expect(held.run { $0.nodes.count == 2 }, "\(held.story)")
        var small = World(nodes: 1)
        small.pass(.seconds(2))
        small.others.fates["server-0001"] = .failed("disk")
        small.feed(Self.report(small, "server-0001", "error"))
        #expect(small.run { $0.story.contains(.removalCompleted) }, "\(small.story)")
        #expect(small.resizes == [1] && small.members.count == 1 && small.members[0].server != "server-0001")
    }
}
