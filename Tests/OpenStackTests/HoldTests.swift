import JSONReader
import Testing

@testable import OpenStack

@Suite("What holds the deletion of members")
struct HoldTests {
    static func environment(_ pattern: String, _ hooks: JSONValue) -> JSONValue {
        ["resource_registry": ["resources": .object([pattern: ["*": ["server": ["hooks": hooks]]]])]]
    }

    @Test("a pre-delete hook inside the group's members", arguments: ["workers", "*", "work*", "w*rs", "*rs"])
    func hook(pattern: String) {
        #expect(HoldCapability.hasHook(Self.environment(pattern, "pre-delete"), group: "workers"))
        #expect(HoldCapability.hasHook(Self.environment(pattern, ["post-create", "pre-delete"]), group: "workers"))
        #expect(!HoldCapability.hasHook(Self.environment(pattern, "post-create"), group: "workers"))
    }

    @Test("hooks of others do not count", arguments: ["masters", "workers2", "worker", "w*x", "workers*workers"])
    func otherHook(pattern: String) {
        #expect(!HoldCapability.hasHook(Self.environment(pattern, "pre-delete"), group: "workers"))
    }

    @Test(
        "a hook on the member itself is silent when the group shrinks; odd environments are none",
        arguments: [
            ["resource_registry": ["resources": ["workers": ["*": ["hooks": "pre-delete"]]]]],
            ["resource_registry": ["resources": ["workers": ["hooks": "pre-delete"]]]],
            ["resource_registry": ["resources": "pre-delete"]], ["resource_registry": nil], [:], nil,
        ] as [JSONValue])
    func silent(environment: JSONValue) {
        #expect(!HoldCapability.hasHook(environment, group: "workers"))
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
    }
}
