import FoundationEssentials
import JSONReader
import Kubernetes
import Messages
import Support
import Testing

/// Against a real API server, when `UPDRAFT_TEST_KUBECONFIG` names a kubeconfig with all rights.
@Suite(
    "A real API server", .serialized, .timeLimit(.minutes(6)),
    .enabled(if: ProcessInfo.processInfo.environment["UPDRAFT_TEST_KUBECONFIG"] != nil))
struct LiveServerTests {
    private func client() throws -> KubernetesClient {
        let path = try #require(ProcessInfo.processInfo.environment["UPDRAFT_TEST_KUBECONFIG"])
        return KubernetesClient(try KubernetesConfiguration.kubeconfig(path: path), userAgent: "updraft-tests")
    }

    private func name(_ prefix: String) -> String { "\(prefix)-\(UInt32.random(in: 0 ... .max))" }

    private func create(_ client: KubernetesClient, _ path: String, _ body: JSONValue) async throws {
        _ = try await client.request(KubernetesClient.Call(.post, path, body: body.bytes))
    }

    private func pod(_ name: String, cpu: String, labels: [String: JSONValue] = [:]) -> JSONValue {
        [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "labels": .object(labels)],
            "spec": [
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    ["name": "main", "image": "x", "resources": ["requests": ["cpu": .string(cpu)]]]
                ],
            ],
        ]
    }

    @Test("version, every kind listed and decoded without a reject")
    func lists() async throws {
        let client = try client()
        #expect(try await client.serverVersion().major == 1)
        func check<Object: KubernetesResource>(_ type: Object.Type) async throws {
            let page = try await client.page(type, limit: 50)
            #expect(page.rejected.isEmpty, "\(type)")
            #expect(!page.resourceVersion.isEmpty, "\(type)")
        }
        try await check(NodeObject.self)
        try await check(PodObject.self)
        try await check(BudgetObject.self)
        try await check(ReplicaSetObject.self)
        try await check(ReplicationControllerObject.self)
        try await check(StatefulSetObject.self)
        try await check(DaemonSetObject.self)
        try await check(JobObject.self)
        try await check(DeploymentObject.self)
        try await check(ClaimObject.self)
        try await check(VolumeObject.self)
        try await check(NamespaceObject.self)
        try await check(LeaseObject.self)
        await client.close()
    }

    @Test("a pod is seen by the reflector, evicted, and seen to go")
    func lifeOfAPod() async throws {
        let client = try client()
        let name = name("live")
        let (stream, continuation) = AsyncStream<String>.makeStream()
        let watcher = Task {
            await Reflector<PodObject>(client, limit: 1).run { event in
                switch event {
                case .watching: continuation.yield("watching")
                case .upserted(let pod) where pod.meta.name == name:
                    continuation.yield(pod.pod.deletedAt == nil ? "there" : "terminating")
                case .deleted(let pod) where pod.meta.name == name: continuation.yield("gone")
                default: break
                }
            }
        }
        var iterator = stream.makeAsyncIterator()
        func wait(for word: String) async { while let next = await iterator.next(), next != word {} }
        await wait(for: "watching")
        try await create(client, "/api/v1/namespaces/default/pods", pod(name, cpu: "1m"))
        await wait(for: "there")
        let object = try await client.get(PodObject.self, namespace: "default", name)
        #expect(object.shape.requests.cpuMillis == 1)
        try await client.annotatePod(namespace: "default", name, uid: object.meta.uid, ["updraft.io/test": "1"])
        let told = try await client.setPodCondition(
            namespace: "default", name, uid: object.meta.uid, type: "updraft.io/serving", status: false,
            reason: "Test", message: "told", at: .now())
        #expect(told.shape.annotations == ["updraft.io/test": "1"])
        await #expect(throws: KubernetesError.self) {
            try await client.annotatePod(namespace: "default", name, uid: "another", ["updraft.io/test": "2"])
        }
        do throws(KubernetesError) {
            try await client.evict(namespace: "default", name, uid: "00000000-0000-0000-0000-000000000000")
            Issue.record("a wrong uid was accepted")
        } catch {
            #expect(error.code == .conflict)
        }
        try await client.evict(namespace: "default", name, uid: object.meta.uid, dryRun: true)
        try await client.evict(namespace: "default", name, uid: object.meta.uid, gracePeriodSeconds: 1)
        await wait(for: "gone")
        watcher.cancel()
        await watcher.value
        do throws(KubernetesError) {
            try await client.evict(namespace: "default", name)
            Issue.record("a pod that is gone was evicted")
        } catch {
            #expect(error.code == .notFound)
        }
    }

    @Test("a budget refuses, two budgets are an error of their own")
    func budgets() async throws {
        let client = try client()
        let name = name("budget")
        try await create(
            client, "/api/v1/namespaces/default/pods", pod(name, cpu: "1m", labels: ["app": .string(name)]))
        func budget(_ suffix: String) -> JSONValue {
            [
                "metadata": ["name": .string(name + suffix)],
                "spec": ["minAvailable": 1, "selector": ["matchLabels": ["app": .string(name)]]],
            ]
        }
        var version = "v1beta1"
        if try await client.serverVersion().minor >= 21 { version = "v1" }
        let path = "/apis/policy/\(version)/namespaces/default/poddisruptionbudgets"
        func code() async -> KubernetesError.Code? {
            do throws(KubernetesError) {
                try await client.evict(namespace: "default", name)
                return nil
            } catch {
                return error.code
            }
        }
        // A pod that does not run yet is evicted in spite of its budget.
        while try await !client.get(PodObject.self, namespace: "default", name).pod.ready {
            try await Task.sleep(for: .milliseconds(100))
        }
        try await create(client, path, budget(""))
        while await code() != .disruptionBudget(name: name, isProcessing: false) {
            try await Task.sleep(for: .milliseconds(100))
        }
        try await create(client, path, budget("-2"))
        while await code() != .twoBudgets { try await Task.sleep(for: .milliseconds(100)) }
        try await client.delete(BudgetObject.self, namespace: "default", name)
        try await client.delete(BudgetObject.self, namespace: "default", name + "-2")
        try await client.delete(PodObject.self, namespace: "default", name)
    }

    @Test("a node's taint by conditional edit, a wrong uid, events, a lease, a scale")
    func writing() async throws {
        let client = try client()
        let name = name("live-node")
        try await create(client, "/api/v1/nodes", ["metadata": ["name": .string(name)]])
        try await client.edit(NodeObject.resource, name) { _ in
            [
                "spec": [
                    "unschedulable": true, "taints": [["key": "updraft.io/removing", "effect": "NoSchedule"]],
                ]
            ]
        }
        let node = try await client.get(NodeObject.self, name)
        #expect(node.node.unschedulable)
        #expect(node.node.taints.contains(Taint(key: "updraft.io/removing", effect: .noSchedule)))
        do throws(KubernetesError) {
            try await client.deleteNode(name, uid: "00000000-0000-0000-0000-000000000000")
            Issue.record("a wrong uid was accepted")
        } catch {
            #expect(error.code == .conflict)
        }
        let recorder = EventRecorder(client, component: "updraft-tests", host: "here")
        for _ in 0..<2 {
            try await recorder.record(EventText(reason: "Tested", message: "twice"), on: .node(name), at: .now())
        }
        try await client.deleteNode(name, uid: node.meta.uid)
        var meta = ObjectMeta()
        meta.name = name
        meta.namespace = "default"
        let now = Timestamp.now()
        let lease = try await client.createLease(
            LeaseObject(meta: meta, holder: "a", durationSeconds: 15, acquiredAt: now, renewedAt: now))
        var renewed = lease
        renewed.holder = "b"
        #expect(try await client.updateLease(renewed).holder == "b")
        do throws(KubernetesError) {
            _ = try await client.updateLease(lease)
            Issue.record("a lease was written over another's")
        } catch {
            #expect(error.code == .conflict)
        }
        try await client.delete(LeaseObject.self, namespace: "default", name)
        let controller: JSONValue = [
            "metadata": ["name": .string(name)],
            "spec": [
                "replicas": 0, "selector": ["app": .string(name)],
                "template": [
                    "metadata": ["labels": ["app": .string(name)]],
                    "spec": ["containers": [["name": "main", "image": "x"]]],
                ],
            ],
        ]
        try await create(client, "/api/v1/namespaces/default/replicationcontrollers", controller)
        let resource = ReplicationControllerObject.resource
        // Its controller writes to it as well, soon after it was made: then it is read again.
        var bigger: Scale?
        for _ in 0..<50 where bigger == nil {
            let scale = try await client.scale(of: resource, namespace: "default", name)
            #expect(scale.replicas == 0)
            do throws(KubernetesError) {
                bigger = try await client.setScale(
                    of: resource, namespace: "default", name, replicas: 1, resourceVersion: scale.meta.resourceVersion)
            } catch {
                guard error.code == .conflict else { throw error }
            }
        }
        #expect(bigger?.replicas == 1)
        try await client.setScale(of: resource, namespace: "default", name, replicas: 0)
        try await client.delete(ReplicationControllerObject.self, namespace: "default", name)
    }
}
