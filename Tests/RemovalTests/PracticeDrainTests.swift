import JSONReader
import Kubernetes
import Messages
import Support
import Testing

@Suite("Drains on a practice cloud", .serialized)
struct PracticeDrainTests {
    @Test("a machine that never became a node is taken out of the group, and no other")
    func machine() async throws {
        let stage = try PracticeStage(desired: 2)
        try await stage.ready(2)
        try await stage.control(.post, "actions/no-boot", ["count": 1])
        let before = try await stage.group()
        try await stage.openstack.patch(before.stack.id, parameters: ["desired": 3])
        try await stage.wait("three members") {
            let group = try await stage.group()
            return group.size == 3 && !group.isChanging && group.members.allSatisfy { $0.serverID != nil }
        }
        let known = Set(before.members.compactMap(\.serverID))
        let server = try #require(
            try await stage.group().members.compactMap(\.serverID).first { !known.contains($0) })
        stage.startActuator()
        let decision = RemovalDecided(
            cluster: "practice", id: "u1", group: "workers", from: 3,
            nodes: [
                RemovalTarget(
                    node: server, nodeUID: RemovalNames.unregistered, serverID: server,
                    reason: Explanation(.nodeNeverRegistered))
            ], decidedAt: .now(), deadline: .now() + .seconds(60))
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        let left = try await stage.group()
        #expect(Set(left.members.compactMap(\.serverID)) == known)
        #expect(left.desired == 2)
        await stage.close()
    }

    @Test("the only pod of a Deployment goes when a second one serves; the replicas are put back")
    func surge() async throws {
        let stage = try PracticeStage(desired: 3, extra: ["actuator.drain.surge=true"])
        try await stage.ready(3)
        try await stage.control(.post, "workloads", ["name": "only", "replicas": 1, "grace": 2])
        try await stage.wait("running") {
            try await stage.pods().contains { $0.labels["app"] == "only" && $0.phase == .running }
        }
        stage.startActuator()
        stage.startNotifier()
        let pod = try #require(try await stage.pods().first { $0.labels["app"] == "only" })
        let node = try #require(try await stage.nodes().first { $0.name == pod.node })
        let deployment = ResourceName(group: "apps", "deployments")
        let watch = Lock(false)
        let decision = stage.removal("r1", of: node, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("completed") {
            let scale = try await stage.kubernetes.scale(of: deployment, namespace: "default", "only")
            if scale.replicas == 2 { watch.withLock { $0 = true } }
            return stage.story.contains(.removalCompleted)
        }
        #expect(watch.withLock { $0 }, "it never had two replicas")
        try await stage.wait("put back") {
            try await stage.kubernetes.scale(of: deployment, namespace: "default", "only").replicas == 1
        }
        try await stage.wait("one pod") {
            let pods = try await stage.pods().filter { $0.labels["app"] == "only" && $0.deletedAt == nil }
            return pods.count == 1 && pods[0].uid != pod.uid
        }
        await stage.close()
    }

    @Test("a volume that is still attached holds the node")
    func volumes() async throws {
        let stage = try PracticeStage(desired: 3)
        try await stage.ready(3)
        let node = try await stage.nodes()[1]
        func attach(_ name: String, _ volume: String) async throws {
            let body: JSONValue = [
                "apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": ["name": .string(name)],
                "spec": [
                    "attacher": "cinder.csi.openstack.org", "nodeName": .string(node.name),
                    "source": ["persistentVolumeName": .string(volume)],
                ],
            ]
            _ = try await stage.kubernetes.request(
                KubernetesClient.Call(.post, AttachmentObject.resource.path(), body: body.bytes))
        }
        try await attach("csi-1", "pv-1")
        stage.startActuator()
        stage.startNotifier()
        let decision = stage.removal("r1", of: node, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("no pod is left") {
            let left = try await stage.pods().contains { $0.node == node.name && $0.isMoved }
            return stage.story.contains(.removalQuiesced) && !left
        }
        let detachedAt = Timestamp.now()
        try await stage.kubernetes.delete(AttachmentObject.self, "csi-1")
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        let drained = stage.events.compactMap { event -> Timestamp? in
            if case .removalDrained(let event) = event { event.removal.at } else { nil }
        }
        #expect(try #require(drained.first) >= detachedAt, "drained with a volume attached")
        await stage.close()
    }

    @Test("a budget that never lets go: deleted after the deadline, where policy says so, with the reason")
    func force() async throws {
        let stage = try PracticeStage(
            desired: 3, extra: ["actuator.drain.force=after_deadline", "actuator.drain.timeout=3s"])
        try await stage.ready(3)
        try await stage.control(
            .post, "workloads",
            ["name": "held", "replicas": 2, "grace": 1, "antiAffinity": "hostname", "budget": ["minAvailable": 2]])
        try await stage.wait("running") {
            try await stage.pods().filter { $0.labels["app"] == "held" && $0.phase == .running }.count == 2
        }
        stage.startActuator()
        stage.startNotifier()
        let pods = try await stage.pods().filter { $0.labels["app"] == "held" }
        let chosen = try #require(try await stage.nodes().first { $0.name == pods[0].node })
        let decision = stage.removal("r1", of: chosen, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        let events = try await stage.kubernetes.request(
            KubernetesClient.Call(.get, ResourceName("events").path(namespace: nil), query: []))
        #expect(events.text.contains("DrainForced"))
        await stage.close()
    }

    @Test("a pod with two budgets can never be evicted: both are named when the time is over")
    func twoBudgets() async throws {
        let stage = try PracticeStage(desired: 3, extra: ["actuator.drain.timeout=3s"])
        try await stage.ready(3)
        try await stage.control(
            .post, "workloads", ["name": "web", "replicas": 3, "budget": ["minAvailable": 1]])
        let second: JSONValue = [
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": ["name": "second", "namespace": "default"],
            "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": "web"]]],
        ]
        _ = try await stage.kubernetes.request(
            KubernetesClient.Call(.post, BudgetObject.resource.path(namespace: "default"), body: second.bytes))
        try await stage.wait("running") {
            try await stage.pods().filter { $0.labels["app"] == "web" && $0.phase == .running }.count == 3
        }
        stage.startActuator()
        stage.startNotifier()
        let pod = try #require(try await stage.pods().first { $0.labels["app"] == "web" })
        let chosen = try #require(try await stage.nodes().first { $0.name == pod.node })
        let decision = stage.removal("r1", of: chosen, from: 3)
        try await stage.decide { .removalDecided(decision, ticket: $0) }
        try await stage.wait("failed") { stage.story.contains(.removalFailed) }
        let why = stage.events.compactMap { event -> Explanation? in
            if case .removalFailed(let event) = event { event.removal.reason } else { nil }
        }
        #expect(why.first?.reason == .evictionBlocked)
        #expect(why.first?.detail.contains("2 budgets, second, web") == true, "\(why)")
        #expect(try await stage.group().size == 3)
        await stage.close()
    }

    @Test(
        "a node that joins gets the labels and taints of its group where it lacks them")
    func joins() async throws {
        let stage = try PracticeStage(
            desired: 2,
            extra: [
                "groups=[{id: workers, stack: k8s, resource: workers, min: 1, max: 8, "
                    + "template: {apply: true, labels: {pool: blue}, taints: [\"dedicated=blue:PreferNoSchedule\"]}}]"
            ])
        try await stage.ready(2)
        stage.startActuator()
        let decision = ScaleDecided(
            cluster: "practice", id: "s1", group: "workers", from: 2, to: 3, reason: Explanation(.podsPending),
            decidedAt: .now(), deadline: .now() + .seconds(60))
        try await stage.decide { .scaleDecided(decision, ticket: $0) }
        try await stage.wait("dressed") {
            try await stage.nodes().contains { $0.labels["pool"] == "blue" && $0.taints.map(\.key) == ["dedicated"] }
        }
        await stage.close()
    }
}
