import Messages
import Support
import Testing

@testable import Actuator

@Suite("removal of machines that never became nodes")
struct MachineTests {
    /// Three nodes, and m4, a machine that runs and did not register.
    func world(min: Int = 1) -> World {
        var world = World(nodes: 3, min: min)
        world.addMember(isReady: false)
        world.members[3].status = "CREATE_COMPLETE"
        world.desired = 4
        return world
    }

    func removal(_ world: World, _ id: String = "u1", _ servers: [String] = ["server-0004"]) -> Event {
        .removalDecided(
            RemovalDecided(
                cluster: "prod", id: id, group: "workers", from: 4,
                nodes: servers.map {
                    RemovalTarget(
                        node: $0, nodeUID: RemovalNames.unregistered, serverID: $0,
                        reason: Explanation(.nodeNeverRegistered, "no Node within 15m"))
                }, decidedAt: world.now, deadline: world.now + .seconds(300)))
    }

    @Test("marked and taken out, nobody is told, and the delivery is kept until the member is gone")
    func story() {
        var world = world()
        world.updateTakes = .seconds(30)
        world.send(removal(world))
        #expect(world.run { $0.resizes == [3] })
        world.pass(.seconds(10))
        #expect(!world.inHand.isEmpty || !world.queue.isEmpty, "settled before the member is gone")
        #expect(world.run { $0.story.contains(.removalCompleted) })
        #expect(world.run { $0.inHand.isEmpty && $0.queue.isEmpty })
        #expect(world.story == [.removalCompleted])
        #expect(world.memberNames == ["m1", "m2", "m3"])
        #expect(world.marks == ["+m4"])
        #expect(world.resizes == [3])
    }

    @Test("a member that failed goes without a mark")
    func failed() {
        var world = world()
        world.members[3].status = "CREATE_FAILED"
        world.members[3].reason = "No valid host was found"
        world.send(removal(world))
        #expect(world.run { $0.story == [.removalCompleted] })
        #expect(world.memberNames == ["m1", "m2", "m3"])
        #expect(world.marks.isEmpty)
    }

    @Test("one that registered is refused; so is one that registers while the stack is busy")
    func registers() {
        var world = world()
        world.addNode(world.members[3])
        world.send(removal(world))
        #expect(world.run { $0.reasons(.removalFailed) == [.decisionStale] })

        world = self.world()
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(60)
        world.send(removal(world))
        world.pass(.seconds(20))
        #expect(world.story.isEmpty)
        world.register("m4")
        #expect(world.run { $0.reasons(.removalFailed) == [.decisionStale] })
        world.pass(.seconds(120))
        #expect(world.memberNames == ["m1", "m2", "m3", "m4"])
        #expect(world.marks.isEmpty && world.resizes.isEmpty && world.inHand.isEmpty && world.queue.isEmpty)
    }

    @Test("one that registers after its mark and before Heat took the size is unmarked")
    func registersMarked() {
        var world = world()
        world.resizeFailures = Array(
            repeating: ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true), count: 3)
        world.send(removal(world))
        #expect(world.run { $0.resizeFailures.count == 2 })
        world.register("m4")
        #expect(world.run { $0.reasons(.removalFailed) == [.decisionStale] })
        #expect(world.marks == ["+m4", "-m4"])
        world.pass(.seconds(60))
        #expect(world.memberNames == ["m1", "m2", "m3", "m4"])
    }

    @Test("a member that is not there any more is done")
    func gone() {
        var world = world()
        world.members.remove(at: 3)
        world.send(removal(world))
        #expect(world.run { $0.story == [.removalCompleted] })
        #expect(world.resizes.isEmpty)
    }

    @Test("at the minimum it is replaced")
    func replaced() {
        var world = world(min: 4)
        let id = world.members[3].id
        world.send(removal(world))
        #expect(world.run { $0.story == [.removalCompleted] })
        #expect(world.resizes == [4])
        #expect(world.memberNames == ["m1", "m2", "m3", "m4"])
        #expect(world.members[3].id != id)
    }

    @Test("together with a node: each in its own change, exactly the chosen")
    func withNode() {
        var world = world()
        world.send(removal(world))
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.filter { $0 == .removalCompleted }.count == 2 })
        #expect(world.memberNames == ["m1", "m3"])
        #expect(world.reasons(.removalFailed).isEmpty)
    }

    @Test("cancelled before Heat was called")
    func cancelled() {
        var world = world()
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(60)
        world.send(removal(world))
        world.send(world.cancellation("u1"), after: .seconds(10))
        #expect(world.run { $0.reasons(.removalFailed) == [.loadReturned] })
        world.pass(.seconds(120))
        #expect(world.members.count == 4 && world.inHand.isEmpty && world.queue.isEmpty)
    }

    @Test("a mark of a process that died before its size arrived is finished, not taken back")
    func orphanFinished() {
        var world = world()
        world.members[3].status = "CHECK_FAILED"
        world.members[3].reason = "updraft removal u0"
        world.desired = 3
        #expect(world.run { $0.memberNames == ["m1", "m2", "m3"] })
        #expect(world.marks.isEmpty)
    }

    @Test("killed before or after any action, the end is the same")
    func crashes() {
        var total = 40
        var when = 1
        while when <= total {
            for isBefore in [true, false] {
                var world = world()
                if isBefore { world.crashBefore = when } else { world.crashAfter = when }
                world.send(removal(world))
                let ended = world.run {
                    $0.members.count == 3 && $0.inHand.isEmpty && $0.queue.isEmpty
                        && $0.stackStatus == "UPDATE_COMPLETE" && $0.story.contains(.removalCompleted)
                }
                #expect(ended, "crash \(isBefore ? "before" : "after") \(when): \(world.story)")
                #expect(world.memberNames == ["m1", "m2", "m3"], "crash \(isBefore ? "before" : "after") \(when)")
                #expect(world.reasons(.removalFailed).isEmpty)
                if world.crashes == 0 { total = min(total, world.steps) }
            }
            when += 1
        }
    }
}
