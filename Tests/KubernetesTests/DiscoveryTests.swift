import HTTPServer
import Messages
import Support
import Testing

@testable import Kubernetes

@Suite("Kinds that can be scaled")
struct DiscoveryTests {
    private static let list = """
        {"kind":"APIResourceList","groupVersion":"example.org/v1alpha1","resources":[
         {"name":"shops","singularName":"shop","namespaced":true,"kind":"Shop","verbs":["get"]},
         {"name":"shops/scale","singularName":"","namespaced":true,"group":"autoscaling","version":"v1","kind":"Scale","verbs":["get"]},
         {"name":"shelves","singularName":"shelf","namespaced":true,"kind":"Shelf","verbs":["get"]},
         {"name":"malls","namespaced":false,"kind":"Mall"},{"name":"malls/scale","namespaced":false,"kind":"Scale"}]}
        """

    private func server() throws -> ScriptedServer {
        try ScriptedServer { request, _ in
            request.path == "/apis/example.org/v1alpha1"
                ? ScriptedServer.json(Self.list) : ScriptedServer.status(404, "NotFound")
        }
    }

    @Test("The kinds that every server has are not asked for, in whatever version they are named")
    func builtIn() async throws {
        let server = try server()
        let client = server.client()
        let expected = [
            ("apps/v1", "Deployment", "/apis/apps/v1/deployments"),
            ("extensions/v1beta1", "ReplicaSet", "/apis/apps/v1/replicasets"),
            ("", "StatefulSet", "/apis/apps/v1/statefulsets"),
            ("v1", "ReplicationController", "/api/v1/replicationcontrollers"),
        ]
        for (version, kind, path) in expected {
            guard case .scalable(let resource) = try await client.scalability(version, kind: kind) else {
                Issue.record("\(kind) is not scalable")
                continue
            }
            #expect(resource.path() == path)
        }
        #expect(server.log.isEmpty)
    }

    @Test("Another kind is found by its API version, once; its plural is the server's")
    func found() async throws {
        let server = try server()
        let client = server.client()
        let shops = Scalability.scalable(ResourceName(group: "example.org", version: "v1alpha1", "shops"))
        #expect(try await client.scalability("example.org/v1alpha1", kind: "Shop") == shops)
        #expect(try await client.scalability("example.org/v1alpha1", kind: "Shop") == shops)
        #expect(server.log == ["GET /apis/example.org/v1alpha1"])
    }

    @Test(
        "A kind whose definition was made anew under another plural is found again after the first 404, read or written"
    )
    func moved() async throws {
        let plural = Lock("shops")
        let server = try ScriptedServer { request, _ in
            let now = plural.withLock { $0 }
            if request.path == "/apis/example.org/v1" {
                return ScriptedServer.json(
                    #"{"resources":[{"name":"\#(now)","namespaced":true,"kind":"Shop"},{"name":"\#(now)/scale","namespaced":true,"kind":"Scale"}]}"#
                )
            }
            return request.path == "/apis/example.org/v1/namespaces/n/\(now)/web/scale"
                ? ScriptedServer.json(#"{"metadata":{"name":"web"},"spec":{"replicas":3},"status":{"replicas":3}}"#)
                : ScriptedServer.status(404, "NotFound")
        }
        let client = server.client()
        func resource() async throws -> ResourceName {
            guard case .scalable(let name) = try await client.scalability("example.org/v1", kind: "Shop") else {
                throw KubernetesError(.notFound, operation: "test", message: "not scalable")
            }
            return name
        }
        for (next, write) in [("shopses", false), ("shops", true)] {
            let before = try await resource()
            #expect(try await client.scale(of: before, namespace: "n", "web").replicas == 3)
            plural.withLock { $0 = next }
            await #expect(throws: KubernetesError.self) {
                if write {
                    try await client.setScale(of: before, namespace: "n", "web", replicas: 4)
                } else {
                    _ = try await client.scale(of: before, namespace: "n", "web")
                }
            }
            let after = try await resource()
            #expect(after == ResourceName(group: "example.org", version: "v1", next))
            #expect(try await client.scale(of: after, namespace: "n", "web").replicas == 3)
        }
    }

    @Test(
        "What cannot be scaled says why",
        arguments: [
            ("example.org/v1alpha1", "Shelf", "Shelf has no scale subresource"),
            ("example.org/v1alpha1", "Mall", "objects of Mall are in no namespace"),
            ("example.org/v1alpha1", "Hall", "the API server has no kind Hall in example.org/v1alpha1"),
            ("example.org/v2", "Shop", "the API server has no example.org/v2"),
            ("apps/v1", "DaemonSet", "the API server has no apps/v1"),
            ("../../api/v1/secrets", "Shop", "apiVersion \"../../api/v1/secrets\" is none"),
            ("../v1", "Shop", "apiVersion \"../v1\" is none"), ("a?b=c/v1", "Shop", "apiVersion \"a?b=c/v1\" is none"),
            ("", "Shop", "apiVersion \"\" is none"),
        ])
    func notScalable(version: String, kind: String, why: String) async throws {
        let server = try server()
        #expect(try await server.client().scalability(version, kind: kind) == .not(why))
        #expect(!server.log.contains { $0.contains("secrets") || $0.contains("..") })
    }

    @Test("A server that does not answer is no server without the kind")
    func failing() async throws {
        let server = try ScriptedServer { _, _ in ScriptedServer.status(403, "Forbidden", "no discovery") }
        await #expect(throws: KubernetesError.self) {
            _ = try await server.client().scalability("example.org/v1alpha1", kind: "Shop")
        }
    }

    @Test(
        "Selectors in text form",
        arguments: [
            ("app=web", [Requirement("app", .in, ["web"])]), ("app==web", [Requirement("app", .in, ["web"])]),
            ("a!=b", [Requirement("a", .notIn, ["b"])]),
            (
                "example.org/tier in (a, b), !old,new ,x notin (y)",
                [
                    Requirement("example.org/tier", .in, ["a", "b"]), Requirement("old", .doesNotExist),
                    Requirement("new", .exists), Requirement("x", .notIn, ["y"]),
                ]
            ), ("empty=", [Requirement("empty", .in, [""])]),
        ])
    func selectors(text: String, requirements: [Requirement]) {
        #expect(LabelSelector(text: text)?.requirements == requirements)
    }

    @Test(
        "What is no selector matches nothing",
        arguments: ["", ",", "=a", "a=b=c", "a in b", "a in (b", "a b", "é=1", "!"])
    func noSelectors(text: String) {
        #expect(LabelSelector(text: text) == nil)
    }

    @Test("A kind of somebody's own does not share its name with one that every cluster has")
    func names() {
        let own = TargetReference(apiVersion: "example.org/v1", kind: "Deployment", name: "web")
        let usual = TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web")
        #expect(own.id(in: "n") == "Deployment.example.org/n/web" && usual.id(in: "n") == "Deployment/n/web")
        #expect(!own.isBuiltIn && usual.isBuiltIn)
    }
}
