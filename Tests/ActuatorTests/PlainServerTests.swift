import OpenStack
import Settings
import Support
import TestServer
import Testing

@testable import Actuator

/// A Keystone, a Heat with one group whose only listed member is the plain server `s2`, and a Nova that answers as it is told.
private final class PlainCloud: Sendable {
    private let answer = Lock((status: 200, body: "{}"))
    private let server: TestServer

    init() {
        let answer = answer
        server = TestServer.answering { request in
            let host = request.headers["host"] ?? ""
            if request.path == "/v3/auth/tokens" {
                return (201, [("X-Subject-Token", "token"), ("Content-Type", "application/json")], Self.token(host))
            }
            let reply =
                request.path.hasSuffix("/servers/s1")
                ? answer.withLock { $0 } : Self.heat(request.path, isDeep: request.target.contains("nested_depth"))
            return (reply.status, [("Content-Type", "application/json")], reply.body)
        }
    }

    /// What Nova says of the server `s1` from now on.
    func say(_ status: Int, _ server: String = "{}") {
        answer.withLock { $0 = (status, #"{"server": \#(server)}"#) }
    }

    /// Nova says that there is no such server.
    func sayGone() {
        answer.withLock {
            $0 = (404, #"{"itemNotFound": {"code": 404, "message": "Instance s1 could not be found."}}"#)
        }
    }

    /// The door of one process.
    func door() throws -> HeatDoor {
        let configuration = try CloudConfiguration.load(environment: [
            "OS_AUTH_URL": server.url + "/v3", "OS_USERNAME": "k8s", "OS_PASSWORD": "secret",
            "OS_PROJECT_NAME": "k8s", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
        ])
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://guest:guest@127.0.0.1:1/",
                "groups=[{id: workers, stack: k8s/S1, resource: workers, desired_parameter: desired, min: 1, max: 8}]",
            ])
        return HeatDoor(OpenStackClient(configuration), groups: settings.groups, isDryRun: false)
    }

    private static func token(_ host: String) -> String {
        func service(_ type: String, _ path: String) -> String {
            #"{"type": "\#(type)", "endpoints": [{"interface": "public", "region": "One", "url": "http://\#(host)/\#(path)"}]}"#
        }
        return """
            {"token": {"methods": ["password"], "issued_at": "2026-01-01T00:00:00Z",
             "expires_at": "2099-01-01T00:00:00Z", "project": {"id": "p1", "name": "k8s"},
             "user": {"id": "u1", "name": "k8s"},
             "catalog": [\(service("orchestration", "heat")), \(service("compute", "nova"))]}}
            """
    }

    private static func heat(_ path: String, isDeep: Bool) -> (status: Int, body: String) {
        func stack(_ name: String, _ id: String) -> String {
            #"{"stack": {"stack_name": "\#(name)", "id": "\#(id)", "stack_status": "UPDATE_COMPLETE"}}"#
        }
        switch path {
        case "/heat/stacks/k8s/S1": return (200, stack("k8s", "S1"))
        case "/heat/stacks/k8s-workers/G1": return (200, stack("k8s-workers", "G1"))
        case "/heat/stacks/k8s/S1/resources/workers":
            return (
                200,
                """
                {"resource": {"resource_name": "workers", "resource_type": "OS::Heat::AutoScalingGroup",
                 "physical_resource_id": "G1", "resource_status": "UPDATE_COMPLETE",
                 "links": [{"rel": "nested", "href": "http://heat/v1/p1/stacks/k8s-workers/G1"}]}}
                """
            )
        case "/heat/stacks/k8s/S1/resources/workers/metadata": return (200, #"{"metadata": {}}"#)
        case "/heat/stacks/k8s-workers/G1/resources" where !isDeep:
            return (
                200,
                """
                {"resources": [{"resource_name": "m2", "resource_type": "OS::Nova::Server",
                 "physical_resource_id": "s2", "resource_status": "CREATE_COMPLETE"}]}
                """
            )
        case "/heat/stacks/k8s/S1/resources": return (200, #"{"resources": []}"#)
        default: return (404, #"{"itemNotFound": {"code": 404, "message": "no such thing"}}"#)
        }
    }
}

@Suite("Members that are plain servers, and what Nova says of servers")
struct PlainServerTests {
    private static func server(_ status: String, task: String? = nil) -> String {
        let task = task.map { "\"\($0)\"" } ?? "null"
        return #"{"id": "s1", "name": "m1", "status": "\#(status)", "OS-EXT-STS:task_state": \#(task)}"#
    }

    @Test("one that no list has is gone by Nova's word alone, and not by an error")
    func unlisted() async throws {
        let cloud = PlainCloud()
        let door = try cloud.door()
        let member = ExpectedMember(name: "m1", physicalID: "s1", serverID: "s1")
        func doubt() async throws -> String? {
            let reading = try await door.read("workers", expecting: [member])
            #expect(reading.members.map(\.name) == ["m2"])
            return reading.unsettled["s1"]
        }
        cloud.say(500)
        #expect(try await doubt()?.contains("could not be read") == true)
        cloud.say(403)
        #expect(try await doubt()?.contains("could not be read") == true)
        // A proxy's word, or that of a wrong endpoint.
        cloud.say(404)
        #expect(try await doubt()?.contains("itemNotFound") == true)
        cloud.say(200, Self.server("ACTIVE"))
        #expect(try await doubt()?.contains("ACTIVE") == true)
        cloud.say(200, Self.server("SOFT_DELETED"))
        #expect(try await doubt() == nil)
        cloud.sayGone()
        #expect(try await doubt() == nil)
    }

    @Test("a server that Nova keeps for a while after its deletion is gone; one that is being deleted is not yet")
    func fates() async throws {
        let cloud = PlainCloud()
        let door = try cloud.door()
        let expected: [(status: String, task: String?, fate: ServerFate)] = [
            ("SOFT_DELETED", nil, .gone), ("SOFT_DELETED", "deleting", .leaving),
            ("SOFT_DELETED", "restoring", .leaving),
            ("DELETED", nil, .gone), ("ACTIVE", "soft-deleting", .leaving), ("ACTIVE", "deleting", .leaving),
            ("ACTIVE", nil, .there), ("SHUTOFF", nil, .there),
        ]
        for (status, task, fate) in expected {
            cloud.say(200, Self.server(status, task: task))
            #expect(await door.fate(ofServer: "s1") == fate, "\(status) \(task ?? "")")
        }
        cloud.sayGone()
        #expect(await door.fate(ofServer: "s1") == .gone)
        // 404: of a proxy, or of a wrong endpoint.
        for status in [404, 500] {
            cloud.say(status)
            let fate = await door.fate(ofServer: "s1")
            guard case .unknown = fate else { return #expect(Bool(false), "\(status): \(fate)") }
        }
    }

    @Test("A 404 that is not Heat's word for a stack that is gone is no such word")
    func stackNotFound() {
        func failure(_ type: String?) -> ActFailure {
            ActFailure(
                OpenStackError(.notFound, call: "GET orchestration stacks/k8s", status: 404, type: type, message: "no"))
        }
        #expect(failure("EntityNotFound").reason == .stackNotFound && !failure("EntityNotFound").isRetriable)
        #expect(failure(nil).reason == .heatUnreachable && failure(nil).isRetriable)
        #expect(failure("ResourceNotFound").reason == .heatRefused && !failure("ResourceNotFound").isRetriable)
    }
}
