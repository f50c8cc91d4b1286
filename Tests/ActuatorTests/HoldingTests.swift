import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

/// From the call to Heat until the end was published, a Node stays whoever deletes it.
@Suite("Nodes that are held for their removal")
struct HoldingTests {
    private static func isHeld(_ world: World, _ node: String) -> Bool {
        World.finalizers(world.nodes[node] ?? .null).contains(RemovalNames.finalizer)
    }

    /// Heat is called, its machine goes, and the Node is deleted while no Actuator lives.
    private static func orphaned(_ prepare: (inout World) -> Void = { _ in }) -> World {
        var world = World(nodes: 4)
        prepare(&world)
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { !$0.resizes.isEmpty })
        #expect(isHeld(world, "node-m3"))
        world.deleteNode("node-m3", isHeard: false)
        world.crash()
        return world
    }

    @Test("the Actuator dies and the cloud controller deletes the Node: the next one says how it ended")
    func ends() {
        var world = Self.orphaned()
        #expect(world.nodes["node-m3"] != nil)
        #expect(world.run { $0.ends(of: "node-m3") == [.removalCompleted] && $0.nodes["node-m3"] == nil })
        #expect(world.memberNames == ["m1", "m2", "m4"] && world.untoldReleases.isEmpty)
        world.pass(.minutes(2))
        #expect(world.ends(of: "node-m3") == [.removalCompleted])
    }

    @Test("…and the wrong one went with it: the next one sees that, and the group stops")
    func incident() {
        var world = Self.orphaned { $0.wrongVictim = "m1" }
        #expect(world.run { $0.reasons(.removalFailed) == [.wrongMemberRemoved] })
        // Another node tells of it before the one that does may go.
        #expect(world.run { $0.nodes["node-m3"] == nil })
        #expect(
            world.nodes.values.contains { $0[path: "metadata", "annotations", RemovalNames.pausedGroup] != nil })
        world.crash()
        world.send(world.scale(from: 2, to: 4))
        #expect(world.run { $0.reasons(.scaleRefused) == [.groupPaused] })
    }

    @Test("killed before or after any action, with a controller that deletes Nodes at once: each end is said")
    func crashes() {
        var total = 60
        var when = 1
        while when <= total {
            for isBefore in [true, false] {
                var world = World(nodes: 4)
                world.others.controllerDeletesNodes = true
                world.addPod("web-1", on: "node-m3", grace: 2)
                if isBefore { world.crashBefore = when } else { world.crashAfter = when }
                world.send(world.removal("r1", ["m2", "m3"]))
                let ended = world.run { $0.nodes.count == 2 && $0.members.count == 2 && $0.inHand.isEmpty }
                let about = "crash \(isBefore ? "before" : "after") \(when): \(world.story)"
                #expect(ended, "\(about)")
                for node in ["node-m2", "node-m3"] { #expect(!world.ends(of: node).isEmpty, "\(node), \(about)") }
                #expect(world.reasons(.removalFailed).isEmpty, "\(about)")
                if world.crashes == 0 { total = min(total, world.steps) }
            }
            when += 1
        }
    }

    @Test("a removal that fails after all lets its Node go, once that was said")
    func fails() {
        var world = World(nodes: 3)
        world.resizeFailures = Array(
            repeating: ActFailure(.heatRefused, "no such parameter", isRetriable: false), count: 9)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.ends(of: "node-m2") == [.removalFailed] }, "\(world.story)")
        #expect(world.run { !Self.isHeld($0, "node-m2") })
        #expect(world.untoldReleases.isEmpty && !world.isCordoned("node-m2"))
        // Also where the watch showed late that it is held, and where its process died before it let go.
        world.merge("node-m2", ["metadata": ["finalizers": ["theirs", .string(RemovalNames.finalizer)]]])
        world.crash()
        #expect(world.run { World.finalizers($0.nodes["node-m2"] ?? .null) == ["theirs"] })
    }

    @Test("before Heat is called nothing is held: who deletes the Node ends its removal")
    func notBefore() {
        var world = World(nodes: 3)
        world.addPod("web", on: "node-m2", grace: 60)
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .quiesced })
        world.deleteNode("node-m2")
        #expect(world.nodes["node-m2"] == nil)
        #expect(world.run { $0.reasons(.removalFailed) == [.nodeGone] })
    }

    @Test("one whose machine went with pods on it is not held")
    func lostPods() {
        var world = World(nodes: 3)
        world.addPod("web", on: "node-m2", grace: 60)
        world.stuckPods = ["web"]
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.record("node-m2")?.phase == .quiesced })
        world.unready = ["node-m2"]
        world.servers["server-0002"] = .gone
        world.see("node-m2")
        #expect(world.run(within: .minutes(20)) { $0.record("node-m2")?.phase == .removing }, "\(world.story)")
        #expect(!Self.isHeld(world, "node-m2"))
    }

    @Test("a finalizer without a record is a leftover; those of others stay")
    func leftover() {
        var world = World(nodes: 3)
        world.merge("node-m2", ["metadata": ["finalizers": ["theirs", .string(RemovalNames.finalizer)]]])
        #expect(world.run { World.finalizers($0.nodes["node-m2"] ?? .null) == ["theirs"] })
        #expect(world.warnings.contains { $0.reason == .leftover })
    }

    @Test("a refusal keeps no Node for ever: it is let go at a later look, and the refusal is said once")
    func refused() {
        var world = World(nodes: 3)
        world.editFailures = Array(
            repeating: ActFailure(.kubernetesRefused, "401 Unauthorized", isRetriable: false), count: 3)
        world.merge("node-m2", ["metadata": ["finalizers": [.string(RemovalNames.finalizer)]]])
        world.deleteNode("node-m2", isHeard: false)
        #expect(world.run(within: .minutes(5)) { $0.nodes["node-m2"] == nil }, "\(world.warnings)")
        #expect(
            world.editFailures.isEmpty && world.warnings.count { $0.detail.contains("401") } == 1, "\(world.warnings)")
    }

    @Test("a removal of a group that is not configured any more holds its Node for its time only")
    func stranger() throws {
        for phase in [RemovalPhase.removing, .removed, .failed] {
            var world = World(nodes: 3)
            try LeftoverTests().leave(&world, phase: phase, group: "of-yesterday")
            world.merge("node-m2", ["metadata": ["finalizers": [.string(RemovalNames.finalizer)]]])
            world.deleteNode("node-m2", isHeard: false)
            #expect(world.run(within: .minutes(20)) { $0.nodes["node-m2"] == nil }, "\(phase)")
            if phase != .failed { #expect(world.ends(of: "node-m2").count == 1, "\(phase)") }
        }
    }

    @Test("to a Node that somebody has deleted already no finalizer is added: the API refuses that")
    func deletedBefore() throws {
        var record = RemovalRecord(
            id: "r1", group: "g", nodeUID: "u", serverID: "s", member: "m", memberID: "id", decidedAt: World.start,
            startedAt: World.start, deadline: World.start, reason: Explanation(.nodeUnneeded))
        record.phase = .drained
        var next = record
        next.phase = .removing
        var edit = NodeEdit(node: "n", uid: "u", kind: .advance(from: .drained, next, undo: false))
        edit.holds = true
        var raw: JSONValue = [
            "metadata": [
                "uid": "u", "resourceVersion": "7", "finalizers": ["theirs"],
                "annotations": .object([RemovalNames.record: .string(try record.text())]),
            ]
        ]
        #expect(
            try edit.patch(for: raw).patch[path: "metadata", "finalizers"] == [
                "theirs", .string(RemovalNames.finalizer),
            ])
        raw = World.merge(raw, ["metadata": ["deletionTimestamp": "2027-01-15T08:00:00Z"]])
        #expect(try edit.patch(for: raw).patch[path: "metadata", "finalizers"] == nil)
    }
}
