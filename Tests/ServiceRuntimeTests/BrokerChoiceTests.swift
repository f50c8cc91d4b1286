import Settings
import Support
import Testing

@testable import ServiceRuntime

@Suite("Which broker is looked at for whom")
struct BrokerChoiceTests {
    /// Where Ceilometer and Aodh are looked for.
    private static func hosts(_ flags: [String]) throws -> [String?] {
        let own = ["cluster=x", "bus.transport_url=rabbit://guest:guest@ours:5672/"]
        let context = ServiceContext(
            name: "actuator", settings: try Settings.load(file: nil, environment: [:], flags: own + flags),
            log: testLogger(Written()), readiness: Readiness(), shutdown: Shutdown())
        return [try context.telemetryConnection(), try context.alarmConnection()].map { $0.url.hosts.first?.host }
    }

    @Test("Aodh at its own, else at Ceilometer's, else at the suite's")
    func alarms() throws {
        let telemetry = "collector.telemetry.transport_url=rabbit://u:p@ceilometer:5672/"
        let alarms = "collector.alarms.transport_url=rabbit://u:p@aodh:5672/"
        #expect(try Self.hosts([]) == ["ours", "ours"])
        #expect(try Self.hosts([telemetry]) == ["ceilometer", "ceilometer"])
        #expect(try Self.hosts([telemetry, alarms]) == ["ceilometer", "aodh"])
        #expect(try Self.hosts([alarms]) == ["ours", "aodh"])
    }
}
