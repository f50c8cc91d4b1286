import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

/// An incident stops a group until a person has looked, whatever becomes of the Node that it happened on.
@Suite("Incidents")
struct IncidentTests {
    /// The wrong member went with the chosen one; the cloud controller deletes both Nodes.
    private static func world() -> World {
        var world = World(nodes: 4)
        world.wrongVictim = "m1"
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        for name in ["node-m1", "node-m3"] { world.deleteNode(name) }
        world.pass(.seconds(1))
        return world
    }

    private static func telling(_ world: World) -> [String] {
        world.nodes.keys.sorted().filter {
            world.nodes[$0]?[path: "metadata", "annotations", RemovalNames.pausedGroup] != nil
        }
    }

    @Test("the Node is gone: another one tells of it, also to the next process")
    func moves() {
        var world = Self.world()
        #expect(Self.telling(world) == ["node-m2"])
        world.crash()
        world.pass(.seconds(5))
        world.send(world.scale(from: 2, to: 4))
        #expect(world.run { $0.reasons(.scaleRefused) == [.groupPaused] })
        #expect(Self.telling(world) == ["node-m2"])
    }

    @Test("what was on its way in the group ends, and nothing more begins: no pod is moved for nothing")
    func stopsOthers() {
        var world = World(nodes: 6)
        world.cooldown = .seconds(30)
        world.addPod("web", on: "node-m5")
        world.wrongVictim = "m1"
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.resizes == [5] })
        world.send(world.removal("r2", ["m5"]))
        #expect(world.run { $0.isCordoned("node-m5") })
        #expect(world.run { $0.conditions["incident/workers"] != nil }, "\(world.story)")
        #expect(world.run { !$0.isCordoned("node-m5") }, "\(world.story)")
        world.pass(.seconds(60))
        #expect(world.evictions.isEmpty && world.reasons(.removalFailed).contains(.groupPaused))
        // Nor does what Nova says of a server begin anything.
        world.others.fates["server-0002"] = .failed("disk")
        let server = world.members.first { $0.name == "m2" }?.server ?? ""
        world.feed(ExternalTests.report(world, server, "error"))
        world.pass(.seconds(60))
        #expect(!world.isCordoned("node-m2"))
    }

    @Test("two groups at once: each has a node of its own that tells of it")
    func two() {
        var world = Self.world()
        // The watch does not show yet that node-m2 tells of the group.
        world.core.groups["other"] = world.core.groups["workers"]
        world.core.groups["other"]?.pause = nil
        world.core.groups["other"]?.pauseStandsOn = nil
        world.core.pauseGroup("other", Explanation(.wrongMemberRemoved, "again"))
        world.pass(.minutes(2))
        #expect(Self.telling(world) == ["node-m2", "node-m4"])
    }

    @Test("that one goes as well: the next one tells")
    func movesOn() {
        var world = Self.world()
        world.nodes["node-m2"] = nil
        world.feed(.nodeGone(name: "node-m2", uid: "uid-m2"))
        #expect(Self.telling(world) == ["node-m4"])
        // Also where the watch missed that it went.
        world.nodes["node-m4"] = nil
        world.addMember(isReady: true)
        world.feed(.nodesListed(world.views))
        world.pass(.seconds(1))
        #expect(Self.telling(world) == ["node-m5"])
        world.send(world.scale(from: 3, to: 4))
        #expect(world.run { $0.reasons(.scaleRefused) == [.groupPaused] })
    }

    @Test("whoever has looked takes the annotation away: the group goes on")
    func ends() {
        var world = Self.world()
        world.merge("node-m2", ["metadata": ["annotations": [RemovalNames.pausedGroup: .null]]])
        world.see("node-m2")
        world.pass(.seconds(1))
        #expect(world.conditions["incident/workers"] == .some(nil) || world.conditions["incident/workers"] == nil)
        world.send(world.scale(from: 3, to: 4))
        #expect(world.run { $0.story.contains(.scaleCompleted) }, "\(world.story)")
        #expect(Self.telling(world).isEmpty)
    }

    @Test("a watch that lags behind our own write is no person")
    func lags() {
        var world = Self.world()
        var old = world.view("node-m2")
        old?.pausedGroup = nil
        if let old { world.feed(.nodeSeen(old)) }
        world.send(world.scale(from: 2, to: 4))
        #expect(world.run { $0.reasons(.scaleRefused) == [.groupPaused] })
    }

    @Test("nobody is left to tell: the next node that comes does")
    func alone() {
        var world = World(nodes: 2)
        world.wrongVictim = "m1"
        world.desired = 2
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalFailed) }, "\(world.story)")
        for name in ["node-m1", "node-m2"] { world.deleteNode(name) }
        #expect(Self.telling(world).isEmpty)
        // Nobody else can tell, so the Node of the chosen one stays.
        #expect(world.nodes["node-m2"] != nil && world.nodes["node-m1"] == nil)
        world.addMember(isReady: true)
        for name in world.nodes.keys.sorted() { world.see(name) }
        world.pass(.seconds(1))
        #expect(Self.telling(world).count == 1, "\(world.nodes.keys.sorted())")
        #expect(world.nodes["node-m2"] == nil)
    }

    @Test("what the annotation may hold", arguments: ["", " ", "workers", "workers the wrong one went", "other x"])
    func annotation(text: String) {
        let words = text.split(separator: " ")
        #expect(PausedGroup(text)?.group == words.first.map(String.init))
    }
}
