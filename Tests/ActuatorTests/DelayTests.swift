import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

@Suite("Annotations that delay the deletion of a machine")
struct DelayTests {
    private let key = RemovalNames.delayPrefix + "backup"

    /// One of four nodes is drained, with the annotation on it.
    private func world(_ change: (inout World) -> Void = { _ in }) -> World {
        var world = World(nodes: 4)
        change(&world)
        world.addPod("web-1", on: "node-m2")
        annotate(&world, "true")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalDrained) })
        return world
    }

    private func annotate(_ world: inout World, _ value: JSONValue, on node: String = "node-m2") {
        world.merge(node, ["metadata": ["annotations": .object([key: value])]])
        world.see(node)
    }

    @Test("a drained node waits until they are taken away, then its machine goes at once")
    func waits() {
        var world = world()
        world.pass(.seconds(60))
        #expect(world.marks.isEmpty && world.resizes.isEmpty, "nothing is asked of Heat")
        let said = world.notes.map(\.explanation).filter { $0.reason == .deletionDelayed }
        #expect(said.count == 1 && said.first?.detail.contains("backup") == true, "\(said)")
        annotate(&world, .null)
        let begun = world.now
        #expect(world.run { $0.marks == ["+m2"] })
        #expect(world.now - begun < .seconds(10))
        #expect(world.run { $0.story.last == .removalCompleted })
        #expect(world.memberNames == ["m1", "m3", "m4"])
    }

    @Test("at most as long as the configuration says: then it goes all the same, and that is said")
    func bounded() {
        var world = world()
        let begun = world.now
        #expect(world.run { $0.story.last == .removalCompleted })
        #expect(world.now - begun >= .seconds(118))
        #expect(world.now - begun < .seconds(180))
        #expect(world.warnings.map(\.reason).filter { $0 == .deletionDelayed }.count == 1)
    }

    @Test("0: they mean nothing")
    func off() {
        var world = world {
            $0.policy.deletionDelay = .zero
            $0.restart()
        }
        let begun = world.now
        #expect(world.run { $0.story.last == .removalCompleted })
        #expect(world.now - begun < .seconds(60))
    }

    @Test("a removal that waits can be cancelled: the node serves again")
    func cancelled() {
        var world = world()
        world.pass(.seconds(20))
        world.send(world.cancellation("r1"))
        #expect(world.run { !$0.isCordoned("node-m2") })
        world.pass(.seconds(300))
        #expect(world.members.count == 4 && world.marks.isEmpty && world.resizes.isEmpty)
    }

    @Test("others of the group do not wait for it")
    func others() {
        var world = World(nodes: 4)
        annotate(&world, "true")
        world.send(world.removal("r1", ["m2", "m3"]))
        #expect(world.run { $0.nodes["node-m3"] == nil })
        #expect(world.marks == ["+m3"] && world.memberNames == ["m1", "m2", "m4"])
        annotate(&world, .null)
        #expect(world.run { $0.nodes["node-m2"] == nil })
        #expect(world.memberNames == ["m1", "m4"])
    }

    @Test("another process that takes over waits no longer than the first would have")
    func takenOver() {
        var world = world()
        let begun = world.now
        world.pass(.seconds(60))
        world.crash()
        #expect(world.run { $0.story.last == .removalCompleted })
        #expect(world.now - begun < .seconds(180))
        #expect(world.memberNames == ["m1", "m3", "m4"])
    }
}
