import Messages
import Support
import Testing

@testable import Actuator

@Suite("Replicas of workloads")
struct WorkloadTests {
    private func decision(_ world: World, _ id: String = "p1") -> Event {
        .podsDecided(
            PodsDecided(
                cluster: "prod", id: id, apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "web",
                from: world.replicas, to: world.replicas + 2, reason: Explanation(.statAbove, "cpu 160%"),
                decidedAt: world.now, deadline: world.now + .seconds(30)))
    }

    @Test(
        "What fails for as long as the decision lives is answered with what stood in the way: a conflict, an API that fails"
    )
    func expired() {
        let failures: [(Reason, String)] = [
            (.kubernetesConflict, "conflict: PATCH scale: 409"), (.kubernetesUnreachable, "server: PATCH scale: 500"),
        ]
        for (reason, why) in failures {
            var world = World(nodes: 3)
            world.scaleFailure = ActFailure(reason, why, isRetriable: true)
            world.send(decision(world))
            #expect(world.run { $0.story.contains(.scaleRefused) })
            #expect(world.reasons(.scaleRefused) == [reason])
            #expect(world.now - World.start >= .seconds(30), "it is tried until the deadline")
            #expect(world.core.workloadFailures.isEmpty)
        }
    }

    @Test("A conflict that passes is none: the change is made, once")
    func passes() {
        var world = World(nodes: 3)
        let replicas = world.replicas
        world.scaleFailure = ActFailure(.kubernetesConflict, "conflict: PATCH scale: 409", isRetriable: true)
        world.send(decision(world))
        world.pass(.seconds(10))
        world.scaleFailure = nil
        #expect(world.run { $0.story.contains(.scaleCompleted) })
        #expect(world.scales == [replicas + 2] && world.core.workloadFailures.isEmpty)
    }
}
