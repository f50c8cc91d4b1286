import AMQP
import Bus
import FoundationEssentials
import Messages
import Support
import Testing

/// Nova and Aodh at brokers of their own: a Collector as a process hears each where its settings say, and tells it on ours.
@Suite(.serialized, .enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct HearingElsewhereTests {
    /// An exchange of a service of the cloud, which that service makes.
    private static func exchange(_ name: String) -> Topology {
        Topology(exchanges: [.init(name, durable: false, mode: .declareIfMissing)])
    }

    /// A recorded notification, with another id in the place of the one that it is of.
    private static func recorded(_ name: String, _ old: String, _ new: String) throws -> [UInt8] {
        let path = "\(TestBroker.repository)/Tests/MessagesTests/Fixtures/oslo/\(name).body"
        let text = String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        try #require(text.contains(old), "\(path)")
        return Array(text.replacing(old, with: new).utf8)
    }

    /// Nova says that a server was deleted.
    private static func deletion(_ server: String) throws -> OutgoingMessage {
        OutgoingMessage(
            exchange: "nova", routingKey: "notifications.info",
            body: try recorded("nova.compute.instance.delete.end", "e6e9601f-b87b-4618-a4b7-ac778b7b60d8", server))
    }

    /// Aodh says that an alarm fires.
    private static func transition(_ alarm: String) throws -> OutgoingMessage {
        OutgoingMessage(
            exchange: "aodh", routingKey: "notifications.info",
            body: try recorded(
                "aodh.alarm.state_transition.alarm", "13c177ce-75f3-4f42-bfc2-dc98eb504822", alarm))
    }

    /// Hears on our bus what the Collector says of servers and alarms: `STATE ID` each.
    private static func hearing(
        _ stage: ReplicaStage, _ body: (_ heard: Log<String>) async throws -> Void
    ) async throws {
        let bus = try TestBroker.bus(cluster: stage.cluster, service: "test", keys: stage.keys)
        let heard = Log<String>()
        let task = Task {
            try await bus.subscribe(Subscription(topics: [.cloud, .signals])) { incoming in
                switch incoming.event {
                case .cloudServer(let server): heard.add("\(server.state) \(server.serverID)")
                case .cloudAlarm(let alarm): heard.add("\(alarm.state) \(alarm.alarmID)")
                default: break
                }
                return .done
            }
        }
        do {
            try await body(heard)
        } catch {
            await bus.close()
            throw error
        }
        await bus.close()
        try await task.value
    }

    /// Says it until the Collector has told it: its queue may not be bound yet, and it may not know the node yet.
    private static func say(
        _ message: OutgoingMessage, at publisher: Publisher, until word: String, in heard: Log<String>
    ) async throws {
        try await eventually("\(word) is told") {
            try? await publisher.publish(message, within: .seconds(5))
            return heard.all.contains(word)
        }
    }

    private static func server(_ stage: ReplicaStage) async throws -> String {
        try await eventually("a server runs") { try await stage.server() != nil }
        return try #require(try await stage.server())
    }

    @Test("Nova and Aodh have a broker each: each is heard at its own, and how it stands is said by its setting's name")
    func each() async throws {
        let (first, second) = ("0a0a0a0a-75f3-4f42-bfc2-dc98eb504822", "0b0b0b0b-75f3-4f42-bfc2-dc98eb504822")
        try await OwnBroker.with { novas in
            try await OwnBroker.with { aodhs in
                let flags = [
                    "collector.cloud.transport_url=\(novas.url)", "collector.alarms.enabled=true",
                    "collector.alarms.transport_url=\(aodhs.url)",
                ]
                try await ReplicaStage.with("collector", names: ["a"], flags: flags) { stage in
                    let nova = try Publisher(settings: novas.settings, topology: Self.exchange("nova"))
                    let aodh = try Publisher(settings: aodhs.settings, topology: Self.exchange("aodh"))
                    try await Self.hearing(stage) { heard in
                        let server = try await Self.server(stage)
                        try await Self.say(
                            try Self.deletion(server), at: nova, until: "deleted \(server)", in: heard)
                        try await Self.say(try Self.transition(first), at: aodh, until: "alarm \(first)", in: heard)
                        func missed() async -> Bool {
                            let ready = try? await stage.get("a", "/readyz")
                            return ready?.text.contains("collector.alarms.transport_url") == true
                        }
                        try await eventually("both are well") {
                            let ready = try? await stage.get("a", "/readyz")
                            return ready?.text.contains("transport_url") == false
                        }
                        try aodhs.freeze()
                        try await eventually("Aodh's broker is missed") { await missed() }
                        let ready = try await stage.get("a", "/readyz")
                        #expect(!ready.text.contains("collector.cloud.transport_url"), "\(ready.text)")
                        try aodhs.thaw()
                        try await Self.say(try Self.transition(second), at: aodh, until: "alarm \(second)", in: heard)
                        try await eventually("Aodh's broker is well again") { await !missed() }
                    }
                    await nova.close()
                    await aodh.close()
                }
            }
        }
    }

    @Test("Aodh's broker is named and is Ceilometer's as well, Nova has none of its own: both are heard there")
    func together() async throws {
        let alarm = "0c0c0c0c-75f3-4f42-bfc2-dc98eb504822"
        try await OwnBroker.with { broker in
            let flags = [
                "collector.telemetry.transport_url=\(broker.url)", "collector.alarms.enabled=true",
                "collector.alarms.transport_url=\(broker.url)",
            ]
            try await ReplicaStage.with("collector", names: ["a"], flags: flags) { stage in
                let cloud = try Publisher(
                    settings: broker.settings, topology: Self.exchange("nova") + Self.exchange("aodh"))
                try await Self.hearing(stage) { heard in
                    let server = try await Self.server(stage)
                    try await Self.say(try Self.deletion(server), at: cloud, until: "deleted \(server)", in: heard)
                    try await Self.say(try Self.transition(alarm), at: cloud, until: "alarm \(alarm)", in: heard)
                }
                await cloud.close()
            }
        }
    }
}
