import Messages
import Support
import Testing

@testable import Actuator

@Suite("scale.decided")
struct ScaleTests {
    @Test("a group grows: started, read back, completed")
    func grows() {
        var world = World(nodes: 3)
        world.send(world.scale(from: 3, to: 5))
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        #expect(world.story == [.scaleStarted, .scaleCompleted])
        #expect(world.resizes == [5])
        #expect(world.members.count == 5)
        #expect(world.inHand.isEmpty)
    }

    @Test("the same decision twice acts once and answers twice")
    func repeated() {
        var world = World(nodes: 3)
        let decision = world.scale(from: 3, to: 4)
        world.send(decision)
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        world.send(decision)
        world.pass(.seconds(10))
        #expect(world.resizes == [4])
        #expect(world.story == [.scaleStarted, .scaleCompleted, .scaleCompleted])
        #expect(world.inHand.isEmpty && world.queue.isEmpty)
    }

    @Test("with a failed member that is still a node it is refused: an update would replace it, its pods untold")
    func failedNode() {
        var world = World(nodes: 3)
        world.members[1].status = "CHECK_FAILED"
        world.send(world.scale("up", from: 2, to: 4))
        world.pass(.seconds(5))
        #expect(world.reasons(.scaleRefused) == [.memberFailed])
        #expect(world.resizes.isEmpty)
        world.members[1].status = "CHECK_COMPLETE"
        world.send(world.scale("again", from: 3, to: 4))
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        #expect(world.resizes == [4])
    }

    @Test("outside the limits it is refused with the limit and where it stands")
    func limits() {
        var world = World(nodes: 3, min: 2, max: 4)
        world.send(world.scale("high", from: 3, to: 5))
        world.send(world.scale("low", from: 3, to: 1))
        world.pass(.seconds(3))
        #expect(world.reasons(.scaleRefused) == [.maximumReached, .minimumReached])
        guard case .scaleRefused(let refused)? = world.published.first(where: { $0.type == .scaleRefused }) else {
            Issue.record("no refusal")
            return
        }
        #expect(refused.scale.reason.detail == "5 wanted, max is 4 (groups[0].max)")
        #expect(world.resizes.isEmpty)
    }

    @Test("a group below its minimum comes nearer to it, as far as other limits let it")
    func belowMinimum() {
        var world = World(nodes: 1, min: 4, max: 6)
        world.send(world.scale(from: 1, to: 3))
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        #expect(world.resizes == [3])
        #expect(world.reasons(.scaleRefused).isEmpty)
    }

    @Test("a decision that saw another size is stale")
    func stale() {
        var world = World(nodes: 3)
        world.send(world.scale(from: 7, to: 8))
        #expect(world.run { !$0.reasons(.scaleRefused).isEmpty })
        #expect(world.reasons(.scaleRefused) == [.decisionStale])
        #expect(world.resizes.isEmpty)
    }

    @Test("lowering the size is refused: it would take the oldest member with its pods")
    func lower() {
        var world = World(nodes: 3)
        world.send(world.scale(from: 3, to: 2))
        #expect(world.run { !$0.reasons(.scaleRefused).isEmpty })
        #expect(world.members.count == 3)
        #expect(world.resizes.isEmpty)
    }

    @Test("after its deadline nothing is done")
    func expired() {
        var world = World(nodes: 3)
        world.send(world.scale(from: 3, to: 4), after: .seconds(400))
        #expect(world.run { !$0.reasons(.scaleRefused).isEmpty })
        #expect(world.reasons(.scaleRefused) == [.decisionExpired])
    }

    @Test("while the stack is busy decisions wait, and only the newest is carried out")
    func coalesced() {
        var world = World(nodes: 3)
        world.updateTakes = .seconds(60)
        world.send(world.scale("first", from: 3, to: 4))
        world.send(world.scale("second", from: 4, to: 5, after: .seconds(1)), after: .seconds(5))
        world.send(world.scale("third", from: 4, to: 6, after: .seconds(2)), after: .seconds(8))
        #expect(world.run { $0.story.filter { $0 == .scaleCompleted }.count == 2 })
        #expect(world.resizes == [4, 6])
        #expect(world.reasons(.scaleRefused) == [.superseded])
        #expect(world.inHand.isEmpty)
    }

    @Test("a newer decision comes while Heat is asked for the older: both get their own answer")
    func newerWhileAsked() {
        var world = World(nodes: 3)
        world.answerTakes = .seconds(10)
        world.send(world.scale("first", from: 3, to: 4))
        world.send(world.scale("second", from: 4, to: 5, after: .seconds(1)), after: .seconds(4))
        #expect(world.run { $0.story.filter { $0 == .scaleCompleted }.count == 2 }, "\(world.story)")
        #expect(world.resizes == [4, 5])
        #expect(world.reasons(.scaleRefused).isEmpty)
        #expect(world.inHand.isEmpty)
    }

    @Test("Heat fails to answer the older of two: that one is superseded, the newer is carried out")
    func newerWhileAskedInVain() {
        var world = World(nodes: 3)
        world.answerTakes = .seconds(10)
        world.resizeFailures = [ActFailure(.heatUnreachable, "504", isRetriable: true)]
        world.send(world.scale("first", from: 3, to: 4))
        world.send(world.scale("second", from: 3, to: 5, after: .seconds(1)), after: .seconds(4))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story)")
        #expect(world.resizes == [5])
        #expect(world.reasons(.scaleRefused) == [.superseded])
        #expect(world.inHand.isEmpty)
    }

    @Test("Heat's answer is lost, the size was seen, and somebody set another: ours is not sent again over theirs")
    func setAnewWhileAsked() {
        var world = World(nodes: 3)
        world.answerTakes = .seconds(30)
        world.lostAnswer = ActFailure(.heatUnreachable, "no answer", isRetriable: true)
        world.send(world.scale(from: 3, to: 4))
        world.pass(.seconds(20))
        #expect(world.resizes == [4] && world.members.count == 4)
        world.desired = 3
        world.members.removeLast()
        #expect(world.run { !$0.reasons(.scaleRefused).isEmpty }, "\(world.story)")
        #expect(world.reasons(.scaleRefused) == [.decisionStale])
        #expect(world.resizes == [4])
        #expect(world.inHand.isEmpty)
    }

    @Test("a decision is in hand until Heat has accepted it: a crash before that brings it back")
    func crashWhileAsked() {
        var world = World(nodes: 3)
        world.answerTakes = .seconds(20)
        world.resizeFailures = [ActFailure(.heatUnreachable, "the connection broke", isRetriable: true)]
        world.send(world.scale("first", from: 3, to: 4))
        world.pass(.seconds(15))
        world.crash()
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story)")
        #expect(world.resizes == [4])
    }

    @Test("a delivery is never held for the whole of a long change")
    func held() {
        var world = World(nodes: 3)
        world.updateTakes = .seconds(120)
        world.send(world.scale("first", from: 3, to: 4))
        world.send(world.scale("second", from: 4, to: 5, after: .seconds(1)), after: .seconds(5))
        var longest = Interval.zero
        var since: Timestamp?
        #expect(
            world.run { world in
                if world.inHand.isEmpty {
                    since = nil
                } else {
                    since = since ?? world.now
                    longest = max(longest, world.now - (since ?? world.now))
                }
                return world.story.filter { $0 == .scaleCompleted }.count == 2
            })
        #expect(longest <= .seconds(3))
    }

    @Test("Heat refuses for good: refused; Heat stumbles: tried again")
    func heatAnswers() {
        var world = World(nodes: 3)
        world.resizeFailures = [ActFailure(.heatRefused, "400 StackValidationFailed", isRetriable: false)]
        world.send(world.scale("a", from: 3, to: 4))
        #expect(world.run { !$0.reasons(.scaleRefused).isEmpty })
        #expect(world.reasons(.scaleRefused) == [.heatRefused])
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(world.scale("b", from: 3, to: 4))
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        #expect(world.resizes == [4])
    }

    @Test("a growth over quota is a failure that names it, and the failed member is swept out")
    func quota() {
        var world = World(nodes: 3)
        world.updateFailure = "Resource CREATE failed: Forbidden: Quota exceeded for instances: Requested 1"
        world.send(world.scale(from: 3, to: 4))
        world.pass(.seconds(2))
        world.members.append(
            World.Member(
                name: "m9", id: "", server: "server-none", status: "CREATE_FAILED", reason: "", bornAt: world.now))
        #expect(world.run { $0.resizes.count == 2 && $0.stackStatus == "UPDATE_COMPLETE" })
        #expect(world.reasons(.scaleFailed) == [.quotaReached])
        #expect(world.resizes == [4, 3])
        #expect(world.memberNames == ["m1", "m2", "m3"])
    }

    @Test("killed before or after any action, the group ends with the size and Heat is asked for no other")
    func crashes() {
        for when in 1...14 {
            for isBefore in [true, false] {
                var world = World(nodes: 3)
                if isBefore { world.crashBefore = when } else { world.crashAfter = when }
                world.send(world.scale(from: 3, to: 5))
                let ended = world.run {
                    $0.members.count == 5 && $0.stackStatus == "UPDATE_COMPLETE" && $0.inHand.isEmpty
                        && $0.queue.isEmpty
                }
                #expect(ended, "crash at \(when)")
                #expect(Set(world.resizes) == [5], "crash at \(when)")
                #expect(world.reasons(.scaleRefused).isEmpty, "crash at \(when)")
            }
        }
    }

    @Test("published once more after a restart, when what it made is being removed again: it is not carried out twice")
    func repeatedAfterRemoval() {
        var world = World(nodes: 2)
        let decision = world.scale(from: 2, to: 3)
        world.send(decision)
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        world.see("node-m3")
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.record("node-m3")?.phase == .removing && $0.members.count == 2 })
        world.crash()
        world.send(decision)
        #expect(world.run { $0.reasons(.scaleRefused) == [.superseded] }, "\(world.story)")
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.resizes == [3, 2] && world.memberNames == ["m1", "m2"])
    }

    @Test(
        "published once more after a restart, when another machine went meanwhile: what it made is there, so it is stale"
    )
    func repeatedAfterOther() {
        var world = World(nodes: 2)
        let decision = world.scale(from: 2, to: 3)
        world.send(decision)
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        world.members.removeFirst()
        world.desired = 2
        world.pass(.seconds(1))
        world.crash()
        world.send(decision)
        #expect(world.run { $0.reasons(.scaleRefused) == [.decisionStale] }, "\(world.story)")
        #expect(world.resizes == [3])
    }

    @Test("decided before this process began and not carried out: it still is")
    func decidedBefore() {
        var world = World(nodes: 2)
        let decision = world.scale(from: 2, to: 3)
        world.pass(.seconds(5))
        world.crash()
        world.send(decision)
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story)")
        #expect(world.resizes == [3])
    }
}
