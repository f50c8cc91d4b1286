import Messages
import Support
import Testing

@testable import Actuator

/// Between the drain of a node and the moment at which Heat is called.
@Suite("The last look before a machine goes")
struct LastLookTests {
    /// Four nodes, of which m2's record says that Heat is called, and somebody else's update keeps the stack busy.
    private func waiting(_ members: [String] = ["m2"], of count: Int = 4) -> World {
        var world = World(nodes: count)
        // The first mark meets somebody's update, which then goes on for a minute.
        world.markFailures = members.map { _ in ActFailure(.heatConflict, "ActionInProgress", isRetriable: true) }
        world.send(world.removal("r1", members))
        #expect(
            world.run { world in
                members.allSatisfy { world.record("node-\($0)")?.phase == .removing } && world.markFailures.isEmpty
            })
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(60)
        return world
    }

    @Test("a pod that came while the stack was busy is not taken untold: the removal ends, the node serves again")
    func cameMeanwhile() {
        var world = waiting()
        world.pass(.seconds(30))
        world.addPod("tolerant", on: "node-m2")
        #expect(world.run { $0.story.last == .removalFailed }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.podNotTold])
        #expect(world.run { !$0.isCordoned("node-m2") })
        world.pass(.seconds(60))
        #expect(world.memberNames == ["m1", "m2", "m3", "m4"])
        #expect(world.pods["tolerant"] != nil && world.resizes.isEmpty)
        #expect(world.members.allSatisfy { !$0.status.hasSuffix("_FAILED") })
    }

    @Test("the same after a restart of the Actuator")
    func afterRestart() {
        var world = waiting()
        world.pass(.seconds(30))
        world.addPod("tolerant", on: "node-m2")
        world.crash()
        #expect(world.run { $0.story.last == .removalFailed }, "\(world.story)")
        world.pass(.seconds(60))
        #expect(world.memberNames == ["m1", "m2", "m3", "m4"] && world.pods["tolerant"] != nil)
    }

    @Test("a node without pods goes as soon as the stack is at rest")
    func stillEmpty() {
        var world = waiting()
        #expect(world.run { $0.story.last == .removalCompleted }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m3", "m4"] && world.resizes == [3])
    }

    @Test("a look that fails is said")
    func unread() {
        var world = waiting()
        #expect(world.warnings.allSatisfy { $0.reason != .kubernetesUnreachable })
        world.feed(.podsUnread(node: "node-m2", ActFailure(.kubernetesUnreachable, "503", isRetriable: true)))
        #expect(world.warnings.contains { $0.reason == .kubernetesUnreachable })
        #expect(world.run { $0.story.last == .removalCompleted }, "\(world.story)")
    }

    @Test("of two in one change the empty one goes, the other serves again")
    func oneOfTwo() {
        var world = waiting(["m2", "m4"], of: 5)
        world.pass(.seconds(20))
        world.addPod("tolerant", on: "node-m4")
        #expect(
            world.run { $0.story.contains(.removalCompleted) && $0.story.contains(.removalFailed) }, "\(world.story)")
        #expect(world.memberNames == ["m1", "m3", "m4", "m5"] && world.resizes == [4])
        #expect(world.pods["tolerant"] != nil)
    }

    @Test("the member got another server meanwhile: the removal ends, and what runs there stays")
    func otherServer() {
        var world = World(nodes: 4)
        world.stackStatus = "UPDATE_IN_PROGRESS"
        world.updateEndsAt = world.now + .seconds(60)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .drained })
        let index = world.members.firstIndex { $0.name == "m2" } ?? 0
        world.members[index].server = "server-new"
        world.unready.insert("node-m2")
        #expect(world.run { $0.story.last == .removalFailed }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.decisionStale])
        world.pass(.seconds(60))
        #expect(world.memberNames.contains("m2") && world.resizes.isEmpty && world.marks.isEmpty)
    }

    @Test("the same when the record says already that Heat is called")
    func otherServerInChange() {
        var world = waiting()
        let index = world.members.firstIndex { $0.name == "m2" } ?? 0
        world.members[index].server = "server-new"
        #expect(world.run { $0.story.last == .removalFailed }, "\(world.story)")
        #expect(world.reasons(.removalFailed) == [.decisionStale])
        world.pass(.seconds(60))
        #expect(world.memberNames.contains("m2") && world.resizes.isEmpty)
    }

    @Test("an update replaces a server and deletes the old one: its node is cordoned and told at once")
    func replacedServer() {
        var world = World(nodes: 3)
        world.addPod("web", on: "node-m1")
        world.pass(.seconds(2))
        let old = world.members[0].server
        world.members[0].server = "server-new"
        world.feed(.stackHint)
        world.pass(.seconds(5))
        #expect(world.record("node-m1") == nil)
        world.others.fates[old] = .leaving
        world.feed(
            .serverReported(
                CloudServer(
                    cluster: "prod", serverID: old, state: "deleting", event: "compute.instance.delete.start",
                    at: world.now)))
        #expect(world.run { $0.isCordoned("node-m1") }, "\(world.notes)")
        #expect(world.record("node-m1")?.reason.reason == .externalScaleIn)
        #expect(world.run { $0.evictions == ["web"] && $0.unnoticedEvictions.isEmpty }, "\(world.story)")
        world.others.fates[old] = .gone
        world.unready.insert("node-m1")
        world.see("node-m1")
        #expect(world.run { $0.nodes["node-m1"] == nil }, "\(world.story)")
        // The member with its new server stays as it is.
        world.pass(.seconds(60))
        #expect(world.memberNames == ["m1", "m2", "m3"] && world.resizes.isEmpty && world.marks.isEmpty)
    }

    @Test("somebody deletes the Node of a held machine: its pods keep the time that they were told")
    func nodeOfHeldIsDeleted() {
        var world = ExternalTests.world()
        world.cooldown = .seconds(60)
        world.leave("m1")
        #expect(world.run { $0.record("node-m1")?.phase == .cordoned })
        let until = world.record("node-m1")?.deadline ?? world.now
        #expect(until > world.now + .seconds(20))
        world.nodes["node-m1"] = nil
        world.feed(.nodeGone(name: "node-m1", uid: "uid-m1"))
        #expect(!world.run(within: (until + .seconds(-2)) - world.now) { !$0.others.released.isEmpty })
        #expect(world.run { $0.others.released == ["m1"] })
    }

    @Test("who failed at Heat and stays out of service does not go with a repair while it has pods again")
    func failedHasPodsAgain() {
        var world = waiting()
        let index = world.members.firstIndex { $0.name == "m2" } ?? 0
        world.resizeFailures = [ActFailure(.heatRefused, "500 RemoteError", isRetriable: false)]
        world.members[index].status = "DELETE_FAILED"
        world.stackStatus = "UPDATE_COMPLETE"
        world.updateEndsAt = nil
        #expect(world.run { $0.record("node-m2")?.phase == .failed }, "\(world.story) \(world.notes)")
        world.addPod("tolerant", on: "node-m2")
        #expect(world.run(within: .seconds(3_600)) { $0.memberNames == ["m1", "m3", "m4"] || $0.resizes.count > 1 })
        // It was told and drained first.
        #expect(world.evictions == ["tolerant"] && world.unnoticedEvictions.isEmpty)
    }

    @Test("what ended and whose object others deleted is waited for, and not without end")
    func endedObjects() {
        let policy = ActuatorPolicy(cluster: "prod", groups: [])
        let now = Timestamp(seconds: 1_800_000_000)
        var pod = NodePod(
            name: "job", uid: "job", node: "n", ownerKind: "Job", priority: 0, gracePeriodSeconds: 30)
        pod.phase = .succeeded
        var plan = DrainPlan()
        func next(_ pods: [NodePod], at time: Timestamp) -> DrainPlan.Step {
            plan.next(pods: pods, at: time, deadline: now + .seconds(600), policy: policy)
        }
        #expect(next([pod], at: now) == .drained)
        pod.deletedAt = now
        #expect(next([pod], at: now + .seconds(5)) != .drained)
        #expect(next([pod], at: now + policy.strandedAfter + .seconds(1)) == .drained)
        pod.ownerKind = "DaemonSet"
        #expect(next([pod], at: now + .seconds(5)) == .drained)
    }
}
