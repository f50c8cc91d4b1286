import FoundationEssentials
import HTTPServer
import JSONReader
import Messages
import ServiceRuntime
import Support
import Testing
import YAML

@testable import Actuator
@testable import Kubernetes
@testable import Notifier

/// One right: what RBAC compares.
struct Right: Hashable, CustomStringConvertible {
    var group: String
    var resource: String
    var verb: String

    var description: String { "\(verb) \(group.isEmpty ? resource : "\(resource).\(group)")" }

    /// The right that a request needs; nil for what every account may ask (discovery).
    init?(_ request: ServerRequest) {
        var parts = request.path.split(separator: "/").map(String.init)[...]
        if parts.first == "api" {
            group = ""
            parts = parts.dropFirst(2)
        } else {
            guard parts.count > 3 else { return nil }
            group = parts[1]
            parts = parts.dropFirst(3)
        }
        if parts.first == "namespaces", parts.count > 2 { parts = parts.dropFirst(2) }
        guard let kind = parts.popFirst() else { return nil }
        let isNamed = parts.popFirst() != nil
        resource = parts.first.map { "\(kind)/\($0)" } ?? kind
        switch request.method {
        case "GET": verb = isNamed ? "get" : ["1", "true"].contains(request[query: "watch"] ?? "") ? "watch" : "list"
        case "POST": verb = "create"
        default: verb = request.method == "PUT" ? "update" : request.method.lowercased()
        }
    }

    init(_ group: String, _ resource: String, _ verb: String) {
        (self.group, self.resource, self.verb) = (group, resource, verb)
    }

    /// The rules of a ClusterRole in `deploy/kubernetes/rbac.yaml`.
    static func granted(to role: String) throws -> Set<Right> {
        let path = #filePath.replacing("Tests/RemovalTests/RightsTests.swift", with: "deploy/kubernetes/rbac.yaml")
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        var rights: Set<Right> = []
        for document in text.split(separator: "\n---\n") {
            let tree = JSONValue(try YAML.parse(String(document)))
            guard tree["kind"]?.stringValue == "ClusterRole", tree[path: "metadata", "name"]?.stringValue == role
            else { continue }
            for rule in tree["rules"]?.arrayValue ?? [] {
                func words(_ key: String) -> [String] { (rule[key]?.arrayValue ?? []).compactMap(\.stringValue) }
                for group in words("apiGroups") {
                    for resource in words("resources") {
                        rights.formUnion(words("verbs").map { Right(group, resource, $0) })
                    }
                }
            }
        }
        return rights
    }
}

/// An API server that answers with one object of each kind, as recorded of a real one, and notes which rights were
/// needed.
final class NotingAPI: Sendable {
    let asked = Lock<Set<Right>>([])
    /// Answers that are given once, by right.
    private let once: Lock<[Right: (Int, String)]>
    private let served = Lock<HTTPServer?>(nil)

    /// Answers that are given once, before the ordinary ones.
    init(once: [Right: (Int, String)] = [:]) throws {
        self.once = Lock(once)
        let server = try HTTPServer { [weak self] request in
            .response(self?.answer(request) ?? ServerResponse(status: 503))
        }
        served.withLock { $0 = server }
    }

    func client() -> KubernetesClient {
        let port = served.withLock { $0?.port ?? 0 }
        return KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(port)"))
    }

    func stop() { served.withLock { $0 }?.stop() }

    private func answer(_ request: ServerRequest) -> ServerResponse {
        guard let right = Right(request) else {
            return .json(request.path == "/apis/policy" ? #"{"versions": [{"version": "v1"}]}"# : #"{"resources": []}"#)
        }
        asked.withLock { _ = $0.insert(right) }
        if let (status, text) = once.withLock({ $0.removeValue(forKey: right) }) { return .json(status, text) }
        let kind = right.resource
        switch right.verb {
        case "watch": return .json("")
        case "list": return .json("{\"metadata\": {\"resourceVersion\": \"1\"}, \"items\": [\(Self.object(kind))]}")
        default: return .json(right.verb == "create" ? 201 : 200, Self.object(kind))
        }
    }

    /// An object of a kind; for what nobody reads, an empty one.
    private static func object(_ kind: String) -> String {
        let names = [
            "nodes": "node.json", "pods": "pod-running.json", "pods/status": "pod-running.json",
            "poddisruptionbudgets": "poddisruptionbudget.json", "replicasets": "replicaset.json",
        ]
        if kind == "volumeattachments" {
            return """
                {"metadata": {"name": "csi-1", "uid": "a1", "resourceVersion": "1"},
                 "spec": {"nodeName": "node-1", "attacher": "x", "source": {"persistentVolumeName": "pv-1"}}}
                """
        }
        if kind == "persistentvolumes" { return #"{"spec": {"claimRef": {"namespace": "default", "name": "data"}}}"# }
        let name = kind.hasSuffix("/scale") ? "scale-deployment.json" : names[kind] ?? ""
        let path = #filePath.replacing("RemovalTests/RightsTests.swift", with: "KubernetesTests/Fixtures/\(name)")
        return (try? String(contentsOf: URL(filePath: path), encoding: .utf8)) ?? "{}"
    }
}

/// The ClusterRoles that are shipped against what the services ask for: every act of theirs is done once.
@Suite("Rights of Actuator and Notifier")
struct RightsTests {
    private let pod = NodePod(namespace: "default", name: "web-1", uid: "p1", node: "node-1")

    /// What was asked and is not granted, and the other way round.
    private func compare(_ asked: Set<Right>, _ role: String) throws {
        let granted = try Right.granted(to: role)
        let missing = asked.subtracting(granted).map(\.description).sorted()
        let idle = granted.subtracting(asked).map(\.description).sorted()
        #expect(missing.isEmpty, "rbac.yaml does not grant \(role) what it asks for: \(missing)")
        #expect(idle.isEmpty, "rbac.yaml grants \(role) what it never asks for: \(idle)")
    }

    /// Until `api` was asked for all of `rights`.
    private func wait(for rights: Set<Right>, _ api: NotingAPI, while body: @escaping @Sendable () async -> Void)
        async throws
    {
        let task = Task { await body() }
        for _ in 0..<600 where !rights.isSubset(of: api.asked.withLock { $0 }) {
            try await Task.sleep(for: .milliseconds(50))
        }
        task.cancel()
        await task.value
        let asked = api.asked.withLock { $0 }
        #expect(rights.isSubset(of: asked), "asked for \(asked.map(\.description).sorted())")
    }

    @Test("what the Actuator asks for is granted, and nothing else")
    func actuator() async throws {
        let twoBudgets = """
            {"kind": "Status", "status": "Failure", "code": 500, "message": "This pod has more than one \
            PodDisruptionBudget, which the eviction subresource does not support."}
            """
        let notAController = """
            {"metadata": {"name": "web-1", "namespace": "default", "uid": "p1", "ownerReferences": [{"apiVersion": "v1",
             "kind": "ReplicationController", "name": "web", "controller": true, "uid": "r1"}]}}
            """
        // A pod with a volume, so that it matters whose the attached one is.
        let stays = """
            {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"name": "ds-1", "namespace": "default",
             "uid": "p9", "resourceVersion": "1"}, "spec": {"nodeName": "node-1", "containers": [],
             "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}, "status": {"phase": "Running"}}]}
            """
        let api = try NotingAPI(once: [
            Right("", "pods/eviction", "create"): (500, twoBudgets), Right("", "pods", "get"): (200, notAController),
            Right("", "pods", "list"): (200, stays),
        ])
        defer { api.stop() }
        let client = api.client()
        let door = ClusterDoor(client, host: "h", isDryRun: false)
        try await wait(for: [Right("", "nodes", "list"), Right("", "nodes", "watch")], api) {
            await door.watchNodes(into: WarmTable<NodeView> { $0.name }) { _ in }
        }
        let node = try #require(try await door.node("node-1"))
        #expect(try await door.volumesLeft(on: "node-1").isEmpty)
        #expect(try await door.pods(on: "node-1").count == 1)
        _ = await door.edit(
            NodeEdit(node: node.name, uid: node.uid, kind: .dress(labels: ["pool": "workers"], taints: [])))
        guard case .blocked(let budget, _) = await door.evict(pod, grace: nil) else {
            Issue.record("two budgets do not block")
            return
        }
        #expect(budget.contains("more than one"))
        _ = await door.deletePod(pod, grace: nil)
        // One of a ReplicationController, then one of a Deployment.
        _ = try await door.workload(of: pod)
        _ = try await door.workload(of: pod)
        for (version, kind) in [
            ("v1", "ReplicationController"), ("apps/v1", "ReplicaSet"), ("apps/v1", "Deployment"),
            ("apps/v1", "StatefulSet"),
        ] {
            _ = await door.scale(
                PodsDecided(
                    cluster: "c", id: "d", apiVersion: version, kind: kind, namespace: "default", name: "web", from: 3,
                    to: 4, reason: Explanation(.ruleFired), decidedAt: .now(), deadline: .now() + .seconds(60)))
        }
        let scalers = ScalerDoor(
            client: client, recorder: EventRecorder(client, component: "updraft-actuator", host: "h"), isDryRun: false,
            log: Logger(service: "test", level: .error, write: { _ in }), lease: .unlimited)
        let standing = Evaluation.ScalerEntry(
            scaler: "default/web", generation: 1, target: "Deployment/default/web", current: 3, desired: 4,
            outcome: Explanation(.statAbove), thresholds: [], scaledAt: .now())
        await scalers.tell([standing], at: .now())
        for _ in 1...2 { await door.record(Explanation(.nodeUnneeded), isWarning: false, onNode: "node-1") }
        try await door.deleteNode("node-1", uid: "n1")
        await client.close()
        try compare(api.asked.withLock { $0 }, "updraft-actuator")
    }

    @Test("what the Notifier asks for is granted, and nothing else")
    func notifier() async throws {
        let conflict = #"{"kind": "Status", "status": "Failure", "code": 409, "reason": "Conflict", "message": "uid"}"#
        let api = try NotingAPI(once: [Right("", "pods", "patch"): (409, conflict)])
        defer { api.stop() }
        let client = api.client()
        let watched = ["nodes", "pods"].flatMap { [Right("", $0, "list"), Right("", $0, "watch")] }
        try await wait(for: Set(watched), api) { await WarmCluster().watch(client) { _, _ in } }
        let hooks = HookDoor(
            tls: .init(), timeout: .seconds(1), foreignHosts: [], maximumInFlight: 1, userAgent: "updraft-test")
        let door = PodDoor(client, hooks: hooks, cluster: "c", host: "h", isDryRun: false)
        #expect(await door.pods(on: "node-1")?.count == 1)
        let notice = Notice(
            removal: "r1", node: "node-1", serverID: "s1", pod: pod, reason: Explanation(.nodeUnneeded),
            deadline: .now() + .seconds(60))
        for channel in [NoticeChannel.annotation, .annotation, .gate, .event, .event] {
            _ = await door.deliver(notice, by: channel, token: "t", answerURL: nil)
        }
        await door.record(notice)
        #expect(await door.openGate(pod))
        await door.nodeEvent("node-1", Explanation(.nodeUnneeded))
        await client.close()
        try compare(api.asked.withLock { $0 }, "updraft-notifier")
    }

    @Test("Why the pods of a node cannot be read is told, once, and none of them is taken for all")
    func unreadablePod() async throws {
        let server = try HTTPServer { _ in
            .response(
                .json(
                    #"{"metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"odd","namespace":"shop"},"spec":7}]}"#
                ))
        }
        defer { server.stop() }
        let client = KubernetesClient(KubernetesConfiguration(server: "http://127.0.0.1:\(server.port)"))
        let hooks = HookDoor(
            tls: .init(), timeout: .seconds(1), foreignHosts: [], maximumInFlight: 1, userAgent: "updraft-test")
        let told = Lock<[String]>([])
        let door = PodDoor(client, hooks: hooks, cluster: "c", host: "h", isDryRun: false) { node, error in
            told.withLock { $0.append("\(node): \(error)") }
        }
        for _ in 0..<3 { #expect(await door.pods(on: "node-1") == nil) }
        let words = told.withLock { $0 }
        #expect(words.count == 1 && words.first?.contains("shop/odd") == true, "\(words)")
        await client.close()
    }
}
