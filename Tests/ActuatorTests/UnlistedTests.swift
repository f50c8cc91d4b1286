import Messages
import Support
import Testing

@testable import Actuator

/// Members that Heat's lists have no more, or say too little of: none is gone by an error, and none waits for ever.
@Suite("Members that left Heat's lists long ago, or cannot be read")
struct UnlistedTests {
    /// The first is held, nobody tells its pods.
    private static func untold() -> World {
        var world = ExternalTests.world()
        world.notifierIsThere = false
        world.leave("m1")
        #expect(world.isCordoned("node-m1"))
        return world
    }

    @Test("it went while no Actuator ran, for longer than anything is held: Nova is asked, and it is lost")
    func goneMeanwhile() {
        var world = ExternalTests.replaced()
        world.others.unlisted = []
        world.others.held = [:]
        world.members.removeFirst()
        world.now = world.now + .minutes(180)
        world.crash()
        #expect(world.run(within: .minutes(2)) { $0.nodes.count == 2 }, "\(world.story) \(world.warnings)")
        #expect(world.ends(of: "node-m1") == [.removalCompleted])
        #expect(world.losses.map(\.reason) == [.podsLost], "\(world.losses)")
    }

    @Test("its deletion failed, and hours later somebody tries again: Nova is asked, and it is lost")
    func goneLater() {
        var world = Self.untold()
        #expect(world.run(within: .minutes(130)) { $0.members.first?.status == "DELETE_FAILED" })
        world.pass(.minutes(120))
        #expect(world.ends(of: "node-m1").isEmpty && world.nodes.count == 3, "\(world.story)")
        world.members.removeFirst()
        #expect(world.run(within: .minutes(2)) { $0.nodes.count == 2 }, "\(world.story) \(world.warnings)")
        #expect(world.ends(of: "node-m1") == [.removalCompleted])
        #expect(world.losses.last?.reason == .podsLost, "\(world.losses)")
    }

    @Test("after a restart Nova says nothing of it: given up, and not before it was asked for a while")
    func unknownAfterRestart() {
        var world = Self.untold()
        world.others.unlisted = ["m1"]
        world.others.fates["server-0001"] = .unknown(ExternalTests.noAnswer)
        world.now = world.now + .minutes(180)
        world.crash()
        world.pass(.minutes(4.5))
        #expect(world.ends(of: "node-m1").isEmpty, "\(world.story)")
        #expect(world.others.asked.count { $0 == "server-0001" } > 3)
        #expect(world.run(within: .minutes(3)) { $0.story.contains(.removalFailed) }, "\(world.story)")
        world.pass(.minutes(5))
        #expect(world.nodes.count == 3 && world.isCordoned("node-m1") && world.isTainted("node-m1"))
    }

    @Test("what holds another's member cannot be read: our removal beside it is not given up for that")
    func otherUnread() {
        var world = ExternalTests.world()
        world.policy.heatTimeout = .minutes(5)
        world.policy.drainTimeout = .minutes(60)
        world.restart()
        world.pass(.seconds(2))
        world.addPod("db", on: "node-m2")
        world.budget["db"] = 100_000
        world.send(world.removal("r1", ["m1"]))
        #expect(world.run { $0.memberNames == ["m2", "m3"] }, "\(world.story)")
        #expect(world.ends(of: "node-m1").isEmpty)
        world.others.unsettled = ["m2": "what holds it could not be read: 500 MessagingTimeout"]
        world.leave("m2")
        #expect(world.ends(of: "node-m1").isEmpty)
        world.pass(.minutes(8))
        #expect(!world.story.contains(.removalFailed), "\(world.story) \(world.warnings)")
        world.budget["db"] = 0
        world.others.unsettled = [:]
        #expect(world.run { $0.nodes.count == 1 && $0.members.count == 1 }, "\(world.story) \(world.memberNames)")
        #expect(world.ends(of: "node-m1") == [.removalCompleted] && world.ends(of: "node-m2") == [.removalCompleted])
        world.send(world.scale("s1", from: 1, to: 2))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story) \(world.warnings)")
    }

    @Test("drained, it could not be read past its deadline; then it is there, and its stack takes no change: given up")
    func drainedMeanwhile() {
        var world = ExternalTests.world()
        world.policy.heatTimeout = .minutes(5)
        world.restart()
        world.pass(.seconds(2))
        world.budget["web"] = 100_000
        world.leave("m1")
        #expect(world.run { $0.record("node-m1")?.phase == .quiesced }, "\(world.story)")
        world.others.unlisted = ["m1"]
        world.others.unsettled = ["m1": "its stack could not be read: 500 MessagingTimeout"]
        world.feed(.stackHint)
        world.pass(.seconds(10))
        world.budget["web"] = 0
        #expect(world.run { $0.record("node-m1")?.phase == .drained }, "\(world.story) \(world.evictions)")
        world.pass(.minutes(8))
        #expect(world.ends(of: "node-m1").isEmpty && world.record("node-m1")?.phase == .drained, "\(world.story)")
        world.others.unlisted = []
        world.others.unsettled = [:]
        world.others.held = [:]
        world.members[0].status = "DELETE_FAILED"
        world.stackStatus = "SUSPEND_COMPLETE"
        #expect(world.run { !$0.ends(of: "node-m1").isEmpty }, "\(world.story) \(world.warnings)")
        #expect(world.ends(of: "node-m1") == [.removalFailed] && world.nodes.count == 3)
    }

    @Test("a removal of ours, untold, whose member others take: its deployment refuses in time, and the removal ends")
    func oursRefused() {
        var world = ExternalTests.world(.deployment)
        world.notifierIsThere = false
        world.others.timeout = .minutes(40)
        world.send(world.removal("r1", ["m1"]))
        #expect(world.run { $0.record("node-m1")?.phase == .cordoned }, "\(world.story)")
        world.pass(.minutes(9))
        let begun = world.now
        world.leave("m1")
        #expect(world.run(within: .minutes(50)) { !$0.others.refused.isEmpty })
        #expect(world.now - begun >= .minutes(38.9) && world.now - begun <= .minutes(39.6), "\(world.now - begun)")
        #expect(world.evictions.isEmpty && world.others.released.isEmpty)
        #expect(world.run(within: .minutes(2)) { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.cooldownExpired])
        // The failed member goes in order once its pods can be told, and the group grows again.
        world.notifierIsThere = true
        #expect(world.run(within: .minutes(90)) { $0.nodes.count == 2 }, "\(world.story) \(world.warnings)")
        #expect(world.unnoticedEvictions.isEmpty && !world.memberNames.contains("m1"))
        world.send(world.scale("s1", from: 2, to: 3))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story) \(world.warnings)")
    }

    @Test("nothing can hold a machine that is in no list while its server still runs: its pods are hurried on")
    func unheldAndUnlisted() {
        var world = ExternalTests.world(nil)
        world.notifierIsThere = false
        world.leave("m1")
        #expect(world.record("node-m1")?.phase == .cordoned)
        world.others.goneAt = [:]
        world.others.unlisted = ["m1"]
        world.others.unsettled = ["m1": "its server is ACTIVE"]
        world.feed(.stackHint)
        world.pass(.seconds(5))
        guard let record = world.record("node-m1") else { return #expect(Bool(false), "\(world.story)") }
        world.tell("node-m1", of: record.id)
        let progress = record.progress(node: "node-m1", deadline: world.now + .minutes(5), at: world.now)
        world.send(.removalNoticed(RemovalNoticed(cluster: "prod", removal: progress)))
        let patience = world.policy.unheldNotice + .seconds(10)
        #expect(world.run(within: patience) { !$0.evictions.isEmpty }, "\(world.story)")
        #expect(world.unnoticedEvictions.isEmpty)
    }

    @Test("a held member that is replaced cannot be read just when its pods are told: they keep their cooldown")
    func unreadAtTheNotice() {
        var world = ExternalTests.world()
        world.cooldown = .minutes(5)
        world.leave("m1")
        #expect(world.record("node-m1")?.phase == .cordoned)
        world.others.isReadable = false
        world.others.unlisted = ["m1"]
        world.others.unsettled = ["m1": "its stack could not be read: 500 MessagingTimeout"]
        world.feed(.stackHint)
        let told = world.now
        #expect(world.run(within: .seconds(10)) { $0.record("node-m1")?.phase == .noticed }, "\(world.story)")
        world.pass(.minutes(4))
        #expect(world.evictions.isEmpty && world.record("node-m1")?.phase == .noticed)
        #expect(world.run(within: .minutes(3)) { !$0.evictions.isEmpty }, "\(world.story)")
        #expect(world.now - told >= .minutes(5), "\(world.now - told)")
        world.others.unlisted = []
        world.others.unsettled = [:]
        #expect(world.run { $0.story.contains(.removalCompleted) && $0.nodes.count == 2 }, "\(world.story)")
        #expect(world.losses.allSatisfy { $0.reason == .deletionHeld }, "\(world.losses)")
    }
}
