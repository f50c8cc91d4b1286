import Messages
import Support
import Testing

@testable import Notifier

/// A removal of our own gives each pod the whole time that policy gives it, or does not take place.
@Suite("Pods have their whole cooldown")
struct OwnTimeTests {
    /// Told so late after the cordon that so much is left of the record's 660 s; the cooldown is 600 s.
    static func late(left: Interval, isExternal: Bool = false) -> Village {
        var village = Village { $0.pods.terms.cooldown = .seconds(600) }
        village.addPod("web-1", hook: true, gate: .serving)
        var record = Village.record("n1", at: village.now)
        if isExternal { record.reason = Explanation(.externalScaleIn, "Heat deletes member m") }
        village.node.record = record
        village.now = record.deadline - left
        village.feed(.nodeSeen(village.node))
        return village
    }

    @Test("a Notifier that comes when less than a cooldown is left tells nobody and lets nothing go on")
    func away() {
        var village = Self.late(left: .seconds(10))
        village.run(.seconds(120))
        #expect(village.deliveries.isEmpty)
        #expect(village.pods["web-1"]?.gate == .serving)
        #expect(village.story.isEmpty)
        // The Actuator gives it up: nothing was said, so nothing is taken back.
        village.step(.failed(Explanation(.cooldownExpired), stayCordoned: false))
        village.run(.seconds(10))
        #expect(village.withdrawals.isEmpty)
    }

    @Test("with a cooldown left it is told, and has it")
    func inTime() {
        var village = Self.late(left: .seconds(600))
        let toldAt = village.now
        #expect(village.deadlines["web-1"] == [toldAt + .seconds(600)])
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(ended - toldAt >= .seconds(600) && ended - toldAt <= .seconds(601))
    }

    @Test("a pod that could not be told for so long is not told any more, by no way")
    func unreachable() {
        for isBack in [Interval.seconds(40), .seconds(70)] {
            var village = Village { $0.pods.terms.cooldown = .seconds(600) }
            village.broken = Set(NoticeChannel.allCases)
            village.addPod("web-1", hook: true)
            village.cordon()
            village.run(isBack)
            let hookTries = village.hookTries
            village.broken = []
            village.run(.seconds(500))
            if isBack == .seconds(40) {
                #expect(village.deliveries["web-1"]?.contains(.annotation) == true)
                #expect((village.deadlines["web-1"]?.first ?? village.now) - Village.start >= .seconds(640))
            } else {
                #expect(village.deliveries.isEmpty)
                #expect(village.hookTries == hookTries)
                #expect(village.story.isEmpty)
            }
        }
    }

    @Test("who was told in time by a process that is no more is told by the other ways, however little is left")
    func takenOver() {
        var village = Self.late(left: .seconds(600))
        let told = village.deadlines["web-1"]
        village.pods["web-1"]?.annotations[RemovalNames.podNotice] = "r1 annotation=told gate=told hook=told bus=trying"
        village.deliveries = [:]
        village.now = village.now + .seconds(590)
        village.crash()
        village.run(.seconds(1))
        #expect(village.deliveries["web-1"] == [.bus, .event])
        #expect(village.deadlines["web-1"] == told)
        let ended = village.runUntil { $0.story.contains(.removalQuiesced) }
        #expect(told.map { $0.allSatisfy { ended >= $0 } } == true)
    }

    @Test("a pod that comes late in the cooldown holds it, and is told by the rules of the drain")
    func lateInCooldown() {
        var village = Village { $0.pods.terms.cooldown = .seconds(600) }
        village.addPod("web-1", gate: .serving)
        village.cordon()
        village.run(.seconds(200))
        village.addPod("late-1", gate: .unset)
        village.sees("late-1")
        #expect(village.answer("web-1", .done) == .accepted)
        village.run(.seconds(300))
        #expect(village.deliveries["late-1"] == nil)
        #expect(village.quiesced.isEmpty)
        // The Actuator goes on by itself at the record's deadline.
        village.drain(for: .seconds(1_800))
        let toldAt = village.now
        village.run(.seconds(1))
        #expect(village.deliveries["late-1"] == [.annotation, .gate, .bus, .event])
        #expect(village.deadlines["late-1"] == [toldAt + .seconds(600)])
    }

    @Test("what somebody else takes away waits for nobody: its pods are told, and have what is left")
    func external() {
        var village = Self.late(left: .seconds(10), isExternal: true)
        #expect(village.deadlines["web-1"] == [village.now + .seconds(10)])
        #expect(village.deliveries["web-1"] == [.annotation, .gate, .hook, .bus, .event])
        village.run(.seconds(1))
        #expect(village.story.contains(.removalNoticed))
    }

    @Test("a gate that was shut before tells a pod nothing: without a notice it has heard nothing")
    func gateShut() {
        var village = Village()
        village.broken = Set(NoticeChannel.allCases)
        village.addPod("web-1", gate: .notServing)
        village.cordon()
        village.run(.seconds(90))
        #expect(village.story.isEmpty)
        village.broken = []
        let toldBy = village.runUntil { $0.deadlines["web-1"] != nil }
        #expect(village.deadlines["web-1"].map { $0.allSatisfy { $0 - toldBy >= .seconds(59) } } == true)
    }
}
