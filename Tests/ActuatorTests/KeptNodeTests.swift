import Messages
import Support
import Testing

@testable import Actuator

/// Members that Heat holds for failed again and again, though their nodes work and cannot be emptied.
@Suite("Kept nodes")
struct KeptNodeTests {
    /// Kept once: told, not emptied, unmarked.
    private static func kept() -> World {
        var world = RecoveryTests.doubted("CREATE_FAILED")
        #expect(world.run(within: .seconds(1_500)) { $0.marks == ["+m2", "-m2"] }, "\(world.marks) \(world.warnings)")
        #expect(world.story.count { $0 == .removalCordoned } == 1)
        return world
    }

    private static func fail(
        _ world: inout World, _ status: String = "UPDATE_FAILED", _ reason: String = "WaitCondition"
    ) {
        world.members[1].status = status
        world.members[1].reason = reason
    }

    /// How long until it is unmarked once more.
    private static func untilUnmarked(_ world: inout World) -> Interval? {
        let (before, marks) = (world.now, world.marks.count)
        guard world.run(within: .seconds(900), until: { $0.marks.count > marks && $0.marks.last == "-m2" }) else {
            return nil
        }
        return world.now - before
    }

    @Test("where the cause lasts it is unmarked each time, its pods are told once, and that is said once")
    func again() {
        var world = Self.kept()
        world.pass(.seconds(120))
        var waits: [Interval] = []
        for _ in 0..<7 {
            Self.fail(&world)
            guard let wait = Self.untilUnmarked(&world) else { return #expect(Bool(false), "\(world.marks)") }
            waits.append(wait)
        }
        // At once, and then in growing distances, but never for long: nothing changes the stack meanwhile.
        #expect(waits[0] <= .seconds(35), "\(waits)")
        #expect(zip(waits, waits.dropFirst()).allSatisfy { $0 <= $1 + .seconds(35) }, "\(waits)")
        #expect(waits[3] > .seconds(200) && waits.allSatisfy { $0 <= .seconds(640) }, "\(waits)")
        #expect(world.story.count { $0 == .removalCordoned } == 1 && world.evictions.isEmpty, "\(world.story)")
        #expect(world.warnings.count { $0.detail.contains("is UPDATE_FAILED again") } == 1, "\(world.warnings)")
        // And the stack can be changed.
        world.send(world.scale(from: 3, to: 4))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story) \(world.warnings)")
        #expect(world.members.contains { $0.name == "m2" && $0.server == "server-0002" })
    }

    @Test("the repair of its group makes it fail as well: it comes in growing distances")
    func repairs() {
        var world = Self.kept()
        world.stackStatus = "UPDATE_FAILED"
        var times: [Timestamp] = []
        for number in 1...5 {
            world.updateFailure = "WaitConditionTimeout"
            let isRepaired = world.run(within: .seconds(6_000)) { $0.resizes.count == number && $0.updateEndsAt == nil }
            #expect(isRepaired, "\(number): \(times)")
            times.append(world.now)
            Self.fail(&world)
            #expect(Self.untilUnmarked(&world) != nil, "\(world.marks)")
        }
        let between = zip(times, times.dropFirst()).map { $1 - $0 }
        #expect(between.first.map { $0 >= .seconds(595) && $0 < .seconds(1_300) } == true, "\(between)")
        #expect(between.last.map { $0 > .seconds(4_000) && $0 < .seconds(5_000) } == true, "\(between)")
        #expect(world.resizes == [3, 3, 3, 3, 3] && world.story.count { $0 == .removalCordoned } == 1)
    }

    /// docs/operations/running.md says so, and what a person can do.
    @Test("a half deleted one waits for a person: told every ten minutes, the stack stays; the budget ends it")
    func halfDeleted() {
        var world = RecoveryTests.doubted("DELETE_FAILED")
        #expect(world.run(within: .seconds(700)) { $0.story.contains(.removalCordoned) })
        // The machine goes whatever its pods say: none may refuse.
        #expect(world.record("node-m2")?.taken == true)
        var rounds: [Timestamp] = []
        for round in 1...3 {
            #expect(
                world.run(within: .seconds(700)) { $0.story.count { $0 == .removalFailed } == round }, "\(world.story)")
            rounds.append(world.now)
        }
        #expect(zip(rounds, rounds.dropFirst()).allSatisfy { $1 - $0 > .seconds(590) && $1 - $0 < .seconds(650) })
        #expect(world.reasons(.removalFailed) == [.evictionBlocked, .evictionBlocked, .evictionBlocked])
        world.send(world.scale(from: 2, to: 4))
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.story.contains(.scaleRefused) && $0.reasons(.removalFailed).count == 4 })
        #expect(world.reasons(.scaleRefused) == [.memberFailed] && world.reasons(.removalFailed).last == .memberFailed)
        #expect(world.marks.isEmpty && world.resizes.isEmpty && world.evictions.isEmpty)
        world.budget = [:]
        #expect(world.run(within: .seconds(700)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m3"] && world.evictions == ["web"] && world.unnoticedEvictions.isEmpty)
    }

    @Test("another doubt is another matter: a new mark, a half deleted member, a node that is not ready")
    func otherDoubts() {
        for (status, reason) in [("CHECK_FAILED", "an operator wants it replaced"), ("DELETE_FAILED", "Timed out")] {
            var world = Self.kept()
            world.pass(.seconds(700))
            Self.fail(&world, status, reason)
            #expect(
                world.run(within: .seconds(900)) { $0.story.count { $0 == .removalCordoned } == 2 }, "\(world.story)")
        }
        var world = Self.kept()
        world.pass(.seconds(700))
        world.unready.insert("node-m2")
        world.see("node-m2")
        Self.fail(&world)
        #expect(world.run(within: .seconds(900)) { $0.story.count { $0 == .removalCordoned } == 2 }, "\(world.story)")
    }

    @Test("a check that says the same again is the same doubt; a new member of the name is none that was kept")
    func sameDoubt() {
        var world = RecoveryTests.doubted("CHECK_FAILED")
        #expect(world.run(within: .seconds(1_500)) { $0.marks == ["-m2"] })
        world.pass(.seconds(700))
        Self.fail(&world, "CHECK_FAILED", "CHECK failed: Not ACTIVE")
        #expect(Self.untilUnmarked(&world).map { $0 <= .seconds(35) } == true)
        #expect(world.story.count { $0 == .removalCordoned } == 1)
        world.pass(.seconds(700))
        world.members[1].id = "another-member"
        Self.fail(&world)
        #expect(world.run(within: .seconds(900)) { $0.story.count { $0 == .removalCordoned } == 2 }, "\(world.story)")
    }
}
