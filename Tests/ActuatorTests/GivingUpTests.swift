import Messages
import Support
import Testing

@testable import Actuator

@Suite("Giving up a change of the stack")
struct GivingUpTests {
    static let conflict = ActFailure(.heatConflict, "409 ActionInProgress", isRetriable: true)
    static let refused = ActFailure(.heatRefused, "400 StackValidationFailed", isRetriable: false)

    /// The chosen is marked, the size is refused for good, and marks cannot be taken back.
    static func refusing() -> World {
        var world = World(nodes: 4)
        world.resizeFailures = [refused]
        world.markFailures = [nil] + Array(repeating: conflict, count: 100_000)
        world.send(world.removal("r1", ["m2"]))
        return world
    }

    @Test("Heat does not let a mark be taken back for a while: asked again now and then, until it does")
    func slowly() {
        var world = Self.refusing()
        #expect(world.run { $0.markFailures.count < 100_000 })
        let first = world.markFailures.count
        world.pass(.seconds(60))
        let times = first - world.markFailures.count
        #expect((10...35).contains(times), "\(times) times in a minute")
        #expect(world.record("node-m2")?.phase == .removing && world.isCordoned("node-m2"))
        world.markFailures = []
        #expect(world.run(within: .seconds(10)) { $0.story.contains(.removalFailed) })
        #expect(world.marks == ["+m2", "-m2"] && !world.isCordoned("node-m2"))
        #expect(world.reasons(.removalFailed) == [.heatRefused])
    }

    @Test("it never does: that ends, and the marked node stays out of service until the stack is repaired")
    func never() {
        var world = Self.refusing()
        world.policy.heatTimeout = .seconds(60)
        world.restart()
        #expect(world.run(within: .minutes(10)) { $0.story.contains(.removalFailed) })
        #expect(world.now - World.start > .seconds(60))
        // Anybody's update would take it, with what began to run on it.
        #expect(world.isCordoned("node-m2") && world.isTainted("node-m2"))
        // A repair of the group takes it, empty as it is.
        #expect(world.run(within: .minutes(2)) { $0.memberNames == ["m1", "m3", "m4"] })
        #expect(world.resizes == [3] && world.unnoticedEvictions.isEmpty)
    }

    @Test("Heat cannot be read when the time is over: the marks are asked for once more before that is the end")
    func unreadable() {
        var world = Self.refusing()
        world.policy.heatTimeout = .seconds(60)
        world.restart()
        #expect(world.run { $0.markFailures.count < 100_000 })
        world.others.readFailure = ActFailure(.heatUnreachable, "503", isRetriable: true)
        world.pass(.minutes(10))
        #expect(world.record("node-m2")?.phase == .removing)
        world.markFailures = []
        world.others.readFailure = nil
        #expect(world.run(within: .minutes(1)) { $0.story.contains(.removalFailed) })
        #expect(world.marks == ["+m2", "-m2"] && !world.isCordoned("node-m2"))
    }

    @Test("the engine dies meanwhile, and no mark can be taken back: what frees the stack takes the marked one along")
    func stuck() {
        var world = Self.refusing()
        world.policy.heatTimeout = .seconds(60)
        world.restart()
        #expect(world.run { $0.markFailures.count < 100_000 })
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(1)
        world.engineIsDead = true
        #expect(world.run(within: .minutes(5)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m3", "m4"] && world.resizes == [3])
    }
}
