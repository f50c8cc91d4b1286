import Messages
import Support
import Testing

@testable import Actuator

/// The notice on a pod says that its refusal was accepted, while the cancellation that follows from it is on its way, lost
/// with a process, or behind others in its queue.
@Suite("Pods that refused are not evicted")
struct RefusedDrainTests {
    /// The pods of a node were told, and one has said this.
    static func told(_ notice: String, mayRefuse: Bool = true) -> World {
        var world = World(nodes: 3)
        world.policy.pods.terms.mayRefuse = mayRefuse
        world.core = ActuatorCore(policy: world.policy)
        world.addPod("web-1", on: "node-m2")
        world.addPod("web-2", on: "node-m2")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.told.contains("node-m2") })
        world.pods["web-2"]?.annotations[RemovalNames.podNotice] = notice
        return world
    }

    @Test("a refusal that stands on a pod takes the removal back, whoever says that the cooldown is over")
    func refused() {
        var world = Self.told("r1 annotation=told answer=refuse message=m1")
        #expect(world.run { $0.story.contains(.removalFailed) })
        #expect(world.evictions.isEmpty)
        #expect(world.reasons(.removalFailed) == [.podRefused])
        #expect(world.record("node-m2")?.phase == .cancelled)
        #expect(world.record("node-m2")?.outcome?.detail.contains("web-2") == true)
        #expect(!world.isCordoned("node-m2"))
    }

    @Test("a refusal that somebody wrote on a pod that may not refuse holds nothing")
    func forged() {
        var world = Self.told("r1 annotation=told answer=refuse message=m1", mayRefuse: false)
        #expect(world.run { $0.evictions.contains("web-1") })
        #expect(!world.story.contains(.removalFailed))
    }

    @Test("what another removal's notice says, or one whose pod is done, holds no other pod", arguments: ["r0", "r1"])
    func others(_ removal: String) {
        var world = Self.told("\(removal) annotation=told answer=\(removal == "r0" ? "refuse" : "done")")
        #expect(world.run { $0.evictions.contains("web-1") })
        #expect(!world.story.contains(.removalFailed))
    }
}
