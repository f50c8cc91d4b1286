import AMQP
import Bus
import FoundationEssentials
import Messages
import Support
import Testing

/// Unmodified oslo.messaging on the other side, as Debian packages it (python3-oslo.messaging).
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct OsloTests {
    private var peer: String { "\(TestBroker.repository)/Tests/IntegrationTests/oslo/peer.py" }

    /// What an oslo endpoint was given.
    private struct Heard: Decodable {
        struct Metadata: Decodable {
            var message_id: String
            var timestamp: String
        }
        struct Payload: Decodable {
            var schema: Int
            var cluster: String
            var id: String
        }
        var priority: String
        var publisher_id: String
        var event_type: String
        var payload: Payload
        var metadata: Metadata
    }

    @Test func `Its listener receives ours`() async throws {
        let cluster = TestBroker.unique("c")
        let output = "\(environmentTemporary())/\(TestBroker.unique("updraft-oslo"))"
        func lines() -> [Substring] {
            let data = (try? Data(contentsOf: URL(filePath: output))) ?? Data()
            return String(decoding: data, as: UTF8.self).split(separator: "\n")
        }
        defer { try? FileManager.default.removeItem(atPath: output) }
        let url = try #require(TestBroker.transportURL)
        // The exchange is there first, as in a running Updraft.
        let bus = try TestBroker.bus(cluster: cluster, service: "decider")
        try await eventually("connected") { bus.health.isReady }
        let process = try Command.spawn(
            ["/usr/bin/python3", peer, "listen", url, "updraft", "updraft.\(cluster).decisions", "3"], output: output)
        try await eventually("it listens") { lines().contains("READY") }
        var ids: [String] = []
        for number in 0..<3 {
            let decision = RemovalCancelled(
                cluster: cluster, id: "r\(number)", nodes: ["nöde"], reason: Explanation(.podsPending, "test"),
                decidedAt: .now())
            ids.append(try await bus.publish(decision, priority: number == 2 ? .warn : .info))
        }
        let status = await Command.wait(process)
        #expect(status == 0, "\(lines().joined(separator: "\n"))")
        let heard = try lines().filter { $0.hasPrefix("{") }.map { line in
            try JSONDecoder().decode(Heard.self, from: Data(line.utf8))
        }.sorted { $0.payload.id < $1.payload.id }
        #expect(heard.map(\.metadata.message_id) == ids)
        #expect(heard.map(\.priority) == ["info", "info", "warn"])
        let first = try #require(heard.first)
        #expect(first.event_type == "updraft.removal.cancelled")
        #expect(first.publisher_id == "updraft-decider.test-host")
        #expect(first.payload.schema == 1)
        #expect(first.payload.cluster == cluster)
        #expect(Timestamp(first.metadata.timestamp) != nil)
        await bus.close()
    }

    private struct Deletion: Decodable {
        var instance_id: String
        var näme: String
    }

    @Test func `We receive its notifier's`() async throws {
        let exchange = TestBroker.unique("nova")
        let bus = try TestBroker.bus(cluster: TestBroker.unique("c"), service: "collector")
        let seen = Log<ForeignNotification>()
        let reading = Task {
            try await bus.subscribeForeign(ForeignSubscription(exchange: exchange, declareExchange: true)) {
                seen.add($0)
                return .done
            }
        }
        try await eventually("it stands") { bus.health.connections == 2 && bus.health.problems.isEmpty }
        let url = try #require(TestBroker.transportURL)
        let result = try await Command.run(["/usr/bin/python3", peer, "notify", url, exchange, "notifications", "5"])
        #expect(result.status == 0, "\(result.output)")
        try await eventually("all arrived") { seen.count == 5 }
        for (number, notification) in seen.all.enumerated() {
            #expect(notification.envelope.eventType == "compute.instance.delete.start")
            #expect(notification.envelope.publisherID == "compute.test-host")
            #expect(notification.routingKey == "notifications.info")
            #expect(notification.exchange == exchange)
            let payload = try MessageCoder.payload(Deletion.self, of: notification.received)
            #expect(payload.instance_id == "i-\(number)")
            #expect(payload.näme == "ü")
        }
        await bus.close()
        try await reading.value
    }
}
