import Settings
import TestServer
import Testing

@testable import Actuator

/// The core has defaults for its tests, the configuration has defaults for users: they must be the same product.
@Suite("Policy from settings")
struct ConfigurationTests {
    private func policy(_ text: String) throws -> ActuatorPolicy {
        let file = try TemporaryFile(text)
        return ActuatorPolicy(try Settings.load(file: file.path))
    }

    @Test("Without a word the policy is the core's own")
    func defaults() throws {
        #expect(try policy("cluster: prod") == ActuatorPolicy(cluster: "prod", groups: []))
    }

    @Test("A word changes it")
    func changed() throws {
        #expect(
            try policy("cluster: prod\nactuator: {drain: {timeout: 5m}}") != ActuatorPolicy(cluster: "prod", groups: [])
        )
    }
}
