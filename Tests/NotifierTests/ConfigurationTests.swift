import Settings
import TestServer
import Testing

@testable import Notifier

/// The core has defaults for its tests, the configuration has defaults for users: they must be the same product.
@Suite("Policy from settings")
struct ConfigurationTests {
    private func policy(_ text: String) throws -> NotifierPolicy {
        let file = try TemporaryFile(text)
        return NotifierPolicy(try Settings.load(file: file.path))
    }

    @Test("Without a word the policy is the core's own")
    func defaults() throws {
        #expect(try policy("cluster: prod") == NotifierPolicy(cluster: "prod"))
    }

    @Test("A word changes it")
    func changed() throws {
        #expect(try policy("cluster: prod\nnotifier: {cooldown: 5m}") != NotifierPolicy(cluster: "prod"))
    }
}
