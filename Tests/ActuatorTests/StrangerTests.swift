import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

/// What others do while a removal of ours is under way, and what nobody can know.
@Suite("Strangers")
struct StrangerTests {
    // MARK: Nodes that do not say which machine they are

    /// Four members, the machine of the last did not register; a Node there says nothing of its machine.
    private static func world(_ provider: String?) -> World {
        var world = World(nodes: 3)
        world.addMember(isReady: false)
        world.members[3].status = "CREATE_COMPLETE"
        if let provider {
            world.nodes["unknown"] = [
                "metadata": ["name": "unknown", "uid": "uid-unknown", "resourceVersion": "7"],
                "spec": provider.isEmpty ? [:] : ["providerID": .string(provider)],
            ]
        }
        return world
    }

    private static func removal(_ world: World) -> Event {
        .removalDecided(
            RemovalDecided(
                cluster: "prod", id: "u1", group: "workers", from: 4,
                nodes: [
                    RemovalTarget(
                        node: "server-0004", nodeUID: RemovalNames.unregistered, serverID: "server-0004",
                        reason: Explanation(.nodeNeverRegistered, "no Node within 15m"))
                ], decidedAt: world.now, deadline: world.now + .seconds(300)))
    }

    @Test("a machine without a Node is not removed while a Node does not say which machine it is")
    func unknownMachine() {
        var world = Self.world("")
        world.send(Self.removal(world))
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.providerUnknown])
        #expect(world.marks.isEmpty && world.resizes.isEmpty)

        var plain = Self.world(nil)
        plain.send(Self.removal(plain))
        #expect(plain.run { $0.story.contains(.removalCompleted) }, "\(plain.story)")
        #expect(plain.memberNames == ["m1", "m2", "m3"])
    }

    @Test("such a Node comes when the machine is marked already: the mark is taken back")
    func unknownComes() {
        var world = Self.world(nil)
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(Self.removal(world))
        #expect(world.run { $0.marks == ["+m4"] })
        world.nodes["unknown"] = ["metadata": ["name": "unknown", "uid": "uid-unknown", "resourceVersion": "7"]]
        world.see("unknown")
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.marks == ["+m4", "-m4"] && world.resizes.isEmpty)
    }

    @Test("a failed member that such a Node may be is not swept out by an update")
    func unknownFailed() {
        var world = Self.world("")
        world.members[3].status = "CHECK_FAILED"
        world.send(world.scale(from: 3, to: 5))
        #expect(world.run { $0.story.contains(.scaleRefused) }, "\(world.story)")
        #expect(world.reasons(.scaleRefused) == [.memberFailed] && world.resizes.isEmpty)
    }

    // MARK: A member fails during our change

    @Test(
        "a live member fails when the chosen one is marked: the update would take it untold, so the mark is taken back")
    func failsMeanwhile() {
        var world = World(nodes: 4)
        world.addPod("web", on: "node-m1")
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.marks == ["+m2"] })
        world.members[0].status = "UPDATE_FAILED"
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.memberFailed])
        #expect(world.marks == ["+m2", "-m2"] && world.resizes.isEmpty)
        #expect(!world.isCordoned("node-m2"))
    }

    @Test("another process goes on with the change: it looks as well")
    func failsBeforeRestart() {
        var world = World(nodes: 4)
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.marks == ["+m2"] })
        world.members[0].status = "CHECK_FAILED"
        world.crash()
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.marks.contains("-m2") && world.memberNames.contains("m1"))
        #expect(world.nodes["node-m1"] != nil)
    }

    // MARK: Somebody else's scale-in meanwhile

    @Test("a signal takes the oldest together with the marked one: a removal of its own, and no incident")
    func signalMeanwhile() {
        var world = ExternalTests.world()
        world.resizeFailures = [ActFailure(.heatUnreachable, "500 MessagingTimeout", isRetriable: true)]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.marks == ["+m2"] })
        world.leave("m1")
        world.members.removeAll { $0.name == "m2" }
        #expect(world.run { $0.nodes.count == 1 }, "\(world.story) \(world.memberNames)")
        #expect(world.memberNames == ["m3"])
        #expect(world.reasons(.removalFailed).isEmpty && world.conditions["incident/workers"] ?? nil == nil)
        #expect(world.unnoticedEvictions.isEmpty)
    }

    // MARK: The stack is deleted

    @Test("the stack is deleted when Heat was called for a removal: that one ends with it")
    func stackDeleted() {
        var world = World(nodes: 3)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.resizes == [2] })
        world.stackStatus = "DELETE_IN_PROGRESS"
        world.pass(.seconds(3))
        world.feed(.groupUnread(group: "workers", ActFailure(.stackNotFound, "404", isRetriable: false)))
        #expect(world.record("node-m2") == nil || world.record("node-m2")?.phase == .removed)
        #expect(world.story.contains(.removalCompleted), "\(world.story)")
    }

    // MARK: Pods that come late

    @Test("a pod that comes after the cooldown is evicted when it was told and its own time is over, not before")
    func latePod() {
        var world = World(nodes: 3)
        world.addPod("slow", on: "node-m2", grace: 60)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .quiesced })
        world.pass(.seconds(2))
        world.addPod("late", on: "node-m2")
        world.pods["late"]?.createdAt = world.now
        world.pass(.seconds(20))
        #expect(world.evictions == ["slow"])
        let deadline = world.now + .seconds(10)
        world.pods["late"]?.annotations = [
            RemovalNames.podRemoval: "r1", RemovalNames.podDeadline: deadline.rfc3339,
        ]
        // Written on it, and not yet told by each of the other ways.
        world.pass(.seconds(15))
        #expect(world.evictions == ["slow"])
        world.pods["late"]?.annotations[RemovalNames.podNotice] = "r1 annotation=told hook=told"
        #expect(world.run { $0.evictions.contains("late") })
        #expect(world.now >= deadline)
        #expect(world.run { $0.story.contains(.removalCompleted) }, "\(world.story)")
    }

    @Test("a pod without notice that is there when the cooldown ends is held until it has one, and has its own time")
    func boundMeanwhile() {
        var world = World(nodes: 3)
        world.addPod("web", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .noticed })
        world.pass(.seconds(2))
        // Bound at the last moment: the Notifier's word does not speak of it.
        world.addPod("bound", on: "node-m2")
        world.pods["bound"]?.createdAt = World.start
        #expect(world.run { $0.evictions == ["web"] })
        world.pass(.seconds(5))
        #expect(world.evictions == ["web"])
        let deadline = world.now + .seconds(10)
        world.pods["bound"]?.annotations = [
            RemovalNames.podRemoval: "r1", RemovalNames.podDeadline: deadline.rfc3339,
            RemovalNames.podNotice: "r1 annotation=told bus=told",
        ]
        #expect(world.run { $0.evictions.contains("bound") })
        #expect(world.now >= deadline)
    }

    @Test("nobody tells it: the removal fails at its deadline and says why")
    func latePodUntold() {
        var world = World(nodes: 3)
        world.addPod("slow", on: "node-m2", grace: 30)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .quiesced })
        world.pass(.seconds(2))
        world.addPod("late", on: "node-m2")
        world.pods["late"]?.createdAt = world.now
        #expect(world.run(within: .minutes(60)) { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.podNotTold])
        #expect(world.evictions == ["slow"] && !world.isCordoned("node-m2"))
    }

    @Test("nodes that waited for their stack are looked at in one round, however long that takes, and go in one change")
    func roundOfLooks() {
        var world = World(nodes: 9)
        world.stackStatus = "UPDATE_IN_PROGRESS"
        let chosen = (2...7).map { "m\($0)" }
        world.send(world.removal("r1", chosen))
        #expect(world.run { world in chosen.allSatisfy { world.record("node-\($0)")?.phase == .drained } })
        world.pass(.seconds(20))
        world.lookTakes = .milliseconds(700)
        world.stackStatus = "UPDATE_COMPLETE"
        #expect(world.run { world in world.story.filter { $0 == .removalCompleted }.count == 6 }, "\(world.story)")
        #expect(world.resizes == [3])
    }

    @Test("a pod comes while the drained node waits for its stack: the machine stays")
    func podAfterDrain() {
        var world = World(nodes: 3)
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .drained })
        world.pass(.seconds(20))
        world.addPod("late", on: "node-m2")
        world.stackStatus = "UPDATE_COMPLETE"
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.podNotTold])
        #expect(world.marks.isEmpty && world.resizes.isEmpty && world.evictions.isEmpty)
        #expect(!world.isCordoned("node-m2"))
    }

    // MARK: StatefulSets

    @Test("the pods of one StatefulSet go one by one, also from two nodes at once")
    func statefulSet() {
        var world = World(nodes: 4)
        for (name, node) in [("db-0", "node-m1"), ("db-1", "node-m2")] {
            world.addPod(name, on: node, grace: 20, owner: "StatefulSet")
            world.pods[name]?.ownerUID = "uid-db"
        }
        world.addPod("other-0", on: "node-m2", grace: 20, owner: "StatefulSet")
        world.send(world.removal("r1", ["m1", "m2"]))
        #expect(world.run { $0.evictions.contains("db-0") || $0.evictions.contains("db-1") })
        world.pass(.seconds(10))
        #expect(world.evictions.filter { $0.hasPrefix("db") }.count == 1 && world.evictions.contains("other-0"))
        #expect(world.run { $0.story.count { $0 == .removalCompleted } == 2 }, "\(world.story)")
        let times = ["db-0", "db-1"].compactMap { world.evictedAt[$0] }.sorted()
        #expect(times.count == 2 && times[1] - times[0] >= .seconds(20))
    }
}
