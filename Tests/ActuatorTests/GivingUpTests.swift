import Messages
import OpenStack
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

    // MARK: A size without an answer

    /// The chosen is marked, the size has no answer, and each further try is refused by a proxy.
    static func unanswered(carriedOutAfter late: Interval) -> World {
        var world = World(nodes: 4)
        world.resizeIsLate = late
        world.resizeFailures = Array(
            repeating: ActFailure(.heatUnreachable, "503", isRetriable: true), count: world.policy.heatAttempts - 1)
        world.send(world.removal("r1", ["m3"]))
        return world
    }

    @Test(
        "a size without an answer is carried out after the change was given up: it takes the chosen, which is still marked"
    )
    func late() {
        var world = Self.unanswered(carriedOutAfter: .seconds(60))
        #expect(world.run(within: .minutes(5)) { $0.resizes == [3] })
        #expect(world.marks == ["+m3"])
        #expect(world.run(within: .minutes(2)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        world.pass(.minutes(5))
        #expect(world.memberNames == ["m1", "m2", "m4"] && world.resizes == [3] && world.marks == ["+m3"])
        #expect(world.nodes["node-m3"] == nil && world.reasons(.removalFailed).isEmpty)
    }

    @Test("it is never carried out: the mark goes when that is sure, and the node serves again")
    func neverCarriedOut() {
        var world = Self.unanswered(carriedOutAfter: .seconds(100_000))
        #expect(world.run(within: .minutes(5)) { $0.resizeFailures.isEmpty })
        world.pass(.seconds(60))
        #expect(world.marks == ["+m3"] && world.isCordoned("node-m3"))
        #expect(world.run(within: .minutes(2)) { $0.story.contains(.removalFailed) })
        #expect(world.marks == ["+m3", "-m3"] && !world.isCordoned("node-m3"))
        #expect(world.reasons(.removalFailed) == [.heatUnreachable])
    }

    @Test("another process takes the change up: whether the size that was sent had an answer it cannot know")
    func anotherProcess() {
        var world = Self.unanswered(carriedOutAfter: .seconds(60))
        #expect(world.run { !$0.lateResizes.isEmpty })
        world.resizeFailures.append(ActFailure(.heatUnreachable, "503", isRetriable: true))
        world.crash()
        #expect(world.run(within: .minutes(5)) { $0.story.contains(.removalCompleted) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m2", "m4"])
    }

    @Test("what Heat may yet carry out, and what it surely does not")
    func unansweredErrors() {
        func isUnanswered(_ code: OpenStackError.Code, _ status: Int? = nil, isUnsent: Bool = false) -> Bool {
            ActFailure(OpenStackError(code, call: "PATCH", status: status, message: "", isUnsent: isUnsent))
                .isUnanswered
        }
        #expect(isUnanswered(.transport) && isUnanswered(.server, 500) && isUnanswered(.server, 504))
        #expect(isUnanswered(.cancelled))
        #expect(!isUnanswered(.transport, isUnsent: true) && !isUnanswered(.server, 503))
        #expect(!isUnanswered(.conflict, 409) && !isUnanswered(.badRequest, 400))
    }
}
