import JSONReader
import Testing

@testable import OpenStack

@Suite("What holds the deletion of members")
struct HoldTests {
    static func environment(_ pattern: String, _ hooks: JSONValue) -> JSONValue {
        ["resource_registry": ["resources": .object([pattern: ["*": ["server": ["hooks": hooks]]]])]]
    }

    static let member: JSONValue = [
        "resources": ["server": ["type": "OS::Nova::Server"], "port": ["type": "OS::Neutron::Port"]]
    ]

    static func hasHook(_ environment: JSONValue, _ template: JSONValue = HoldTests.member) -> Bool {
        HoldCapability.hasHook(environment, group: "workers", memberTemplate: template)
    }

    @Test("a pre-delete hook inside the group's members", arguments: ["workers", "*", "work*", "w*rs", "*rs"])
    func hook(pattern: String) {
        #expect(Self.hasHook(Self.environment(pattern, "pre-delete")))
        #expect(Self.hasHook(Self.environment(pattern, ["post-create", "pre-delete"])))
        #expect(!Self.hasHook(Self.environment(pattern, "post-create")))
    }

    @Test("hooks of others do not count", arguments: ["masters", "workers2", "worker", "w*x", "workers*workers"])
    func otherHook(pattern: String) {
        #expect(!Self.hasHook(Self.environment(pattern, "pre-delete")))
        #expect(HoldCapability.hooked(Self.environment(pattern, "pre-delete"), group: "workers") == [])
    }

    @Test("a hook on a resource that members do not have never fires; patterns find those that they have")
    func onNothing() {
        let environment = Self.environment("workers", "pre-delete")
        let other: JSONValue = ["resources": ["node": ["type": "OS::Nova::Server"]]]
        #expect(!Self.hasHook(environment, other))
        #expect(HoldCapability.hooked(environment, group: "workers") == ["server"])
        #expect(HoldCapability.resourceNames(other) == ["node"])
        for template in [nil, [:], ["resources": "server"]] as [JSONValue] {
            #expect(!Self.hasHook(environment, template))
        }
        let anything: JSONValue = [
            "resource_registry": ["resources": ["workers": ["*": ["no*": ["hooks": "pre-delete"]]]]]
        ]
        #expect(Self.hasHook(anything, other) && !Self.hasHook(anything))
        // The older format of templates.
        #expect(Self.hasHook(environment, ["Resources": ["server": ["Type": "OS::Nova::Server"]]]))
        #expect(!Self.hasHook(environment, ["Resources": ["node": ["Type": "OS::Nova::Server"]]]))
    }

    @Test(
        "a hook on the member itself is silent when the group shrinks; odd environments are none",
        arguments: [
            ["resource_registry": ["resources": ["workers": ["*": ["hooks": "pre-delete"]]]]],
            ["resource_registry": ["resources": ["workers": ["hooks": "pre-delete"]]]],
            ["resource_registry": ["resources": "pre-delete"]], ["resource_registry": nil], [:], nil,
        ] as [JSONValue])
    func silent(environment: JSONValue) {
        #expect(!Self.hasHook(environment))
    }

    @Test("a software deployment that waits at deletion")
    func deployment() {
        func template(_ type: String, _ properties: JSONValue) -> JSONValue {
            [
                "resources": [
                    "server": ["type": "OS::Nova::Server"], "drain": ["type": .string(type), "properties": properties],
                ]
            ]
        }
        let type = "OS::Heat::SoftwareDeployment"
        #expect(
            HoldCapability.hasDeployment(template(type, ["actions": ["DELETE"], "signal_transport": "HEAT_SIGNAL"])))
        #expect(HoldCapability.hasDeployment(template(type, ["actions": ["CREATE", "DELETE"]])))
        #expect(!HoldCapability.hasDeployment(template(type, ["actions": ["CREATE"]])))
        #expect(!HoldCapability.hasDeployment(template(type, [:])))
        #expect(
            !HoldCapability.hasDeployment(template(type, ["actions": ["DELETE"], "signal_transport": "NO_SIGNAL"])))
        #expect(!HoldCapability.hasDeployment(template("OS::Nova::Server", ["actions": ["DELETE"]])))
        #expect(!HoldCapability.hasDeployment(nil))
        let cfn: JSONValue = ["Resources": ["drain": ["Type": .string(type), "Properties": ["actions": ["DELETE"]]]]]
        #expect(HoldCapability.hasDeployment(cfn))
    }

    /// The history of a member: `events` and then, with the newest last, what its deletion has said so far.
    private static func history(_ older: Int, _ deletion: [(resource: String, status: String, reason: String)])
        -> [String]
    {
        let updates = (0..<older).map {
            (
                resource: "member-1", status: $0 % 2 == 0 ? "UPDATE_IN_PROGRESS" : "UPDATE_COMPLETE",
                reason: "state changed"
            )
        }
        return (updates + deletion).enumerated().map { index, event in
            """
            {"id": "e\(index)", "event_time": "2026-11-26T00:00:00Z", "resource_name": "\(event.resource)", "links": [],
             "resource_status": "\(event.status)", "resource_status_reason": "\(event.reason)"}
            """
        }
    }

    /// A Heat that pages, at most `limit` events in an answer, and lists `resources`.
    private static func heat(_ events: [String], resources: String = "[]") -> FakeCloud {
        FakeCloud { request in
            guard request.path.hasSuffix("/events") else { return .json("{\"resources\": \(resources)}") }
            let query = request.query
            var page = Array(query.contains("sort_dir=desc") ? events.reversed() : events)
            if let marker = query.split(separator: "&").first(where: { $0.hasPrefix("marker=") })?.dropFirst(7),
                let seen = page.firstIndex(where: { $0.contains("\"id\": \"\(marker)\"") })
            {
                page.removeFirst(seen + 1)
            }
            return .json("{\"events\": [\(page.prefix(500).joined(separator: ","))]}")
        }
    }

    private static let stack = StackID(name: "member-1", id: "s1")
    private static let begun = (resource: "member-1", status: "DELETE_IN_PROGRESS", reason: "Stack DELETE started")
    private static let paused = (
        resource: "server", status: "UPDATE_COMPLETE", reason: "DELETE paused until Hook pre-delete is cleared"
    )
    private static let cleared = (
        resource: "server", status: "UPDATE_COMPLETE", reason: "Hook pre-delete is cleared"
    )

    @Test("a hook of a member that lived long is found behind thousands of older events, and with one call")
    func longLived() async throws {
        let cloud = Self.heat(Self.history(3_000, [Self.begun, Self.paused]))
        let holds = try await cloud.client().holds(of: Self.stack)
        #expect(holds.map(\.resource) == ["server"] && holds.map(\.kind) == [.hook])
        #expect(cloud.calls.filter { $0.contains("/events") }.count == 1)
    }

    @Test("what was cleared, and hooks of an earlier deletion, hold nothing")
    func cleared() async throws {
        let events = Self.history(0, [Self.begun, Self.paused, Self.cleared])
        let first = Self.heat(events)
        #expect(try await first.client().holds(of: Self.stack) == [])
        let again = Self.history(0, [Self.begun, Self.paused, Self.begun])
        let second = Self.heat(again)
        #expect(try await second.client().holds(of: Self.stack) == [])
    }

    @Test("a deletion that says a lot is read page by page")
    func manyPages() async throws {
        let chatter = (0..<1_200).map { (resource: "r\($0)", status: "DELETE_COMPLETE", reason: "state changed") }
        let cloud = Self.heat(Self.history(0, [Self.begun, Self.paused] + chatter))
        #expect(try await cloud.client().holds(of: Self.stack).map(\.resource) == ["server"])
        #expect(cloud.calls.filter { $0.contains("/events") }.count == 3)
    }

    @Test("deployments of both types hold while they wait for their signal, and only those")
    func deployments() async throws {
        func resource(_ name: String, _ type: String, _ status: String) -> String {
            """
            {"resource_name": "\(name)", "resource_type": "\(type)", "resource_status": "\(status)", "links": []}
            """
        }
        let resources = [
            resource("soft", "OS::Heat::SoftwareDeployment", "DELETE_IN_PROGRESS"),
            resource("structured", "OS::Heat::StructuredDeployment", "DELETE_IN_PROGRESS"),
            resource("done", "OS::Heat::SoftwareDeployment", "DELETE_COMPLETE"),
            resource("server", "OS::Nova::Server", "DELETE_IN_PROGRESS"),
        ]
        let cloud = Self.heat([], resources: "[\(resources.joined(separator: ","))]")
        let holds = try await cloud.client().holds(of: Self.stack)
        #expect(holds.map(\.resource) == ["soft", "structured"])
        #expect(holds.allSatisfy { $0.kind == .deployment })
    }

    @Test("a deployment lets go with status 0 and refuses with another; a hook cannot refuse, so nothing is sent")
    func answers() async throws {
        let cloud = FakeCloud { _ in .json("null") }
        let client = try cloud.client()
        let deployment = HeatHold(kind: .deployment, resource: "drain")
        try await client.release(deployment, of: Self.stack)
        #expect(try await client.refuse(deployment, of: Self.stack))
        #expect(try await !client.refuse(HeatHold(kind: .hook, resource: "server"), of: Self.stack))
        #expect(cloud.bodies == [#"{"deploy_status_code":0}"#, #"{"deploy_status_code":1}"#])
        #expect(cloud.calls.allSatisfy { $0.hasPrefix("POST") && $0.hasSuffix("/resources/drain/signal") })
    }

    @Test("a stack that is gone is held by nothing")
    func gone() async throws {
        let cloud = FakeCloud { _ in .json(#"{"code": 404, "title": "Not Found", "error": {"message": "gone"}}"#, 404) }
        #expect(try await cloud.client().holds(of: Self.stack) == [])
    }
}
