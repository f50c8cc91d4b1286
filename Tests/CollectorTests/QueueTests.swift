import Crypto
import HTTPServer
import Messages
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Collector

@Suite("Depth and rates of queues")
struct QueueTests {
    /// As RabbitMQ 3.10.8 answers, shortened.
    private static func answer(published: Int = 50) -> String {
        """
        {"consumer_details":[],"auto_delete":false,"consumer_capacity":0,"consumers":0,"durable":true,"head_message_timestamp":null,
        "memory":197552,"message_bytes":28,"message_stats":{"ack":15,"ack_details":{"rate":0.0},"deliver":0,
        "deliver_details":{"rate":0.0},"deliver_get":20,"deliver_get_details":{"rate":0.0},"get":20,"get_details":{"rate":0.0},
        "publish":\(published),"publish_details":{"rate":0.0}},"messages":28,"messages_details":{"rate":0.0},"messages_ready":24,
        "messages_ready_details":{"rate":0.0},"messages_unacknowledged":4,"messages_unacknowledged_details":{"rate":0.0},
        "name":"or ders","node":"updraft-842@localhost","state":"running","type":"classic","vhost":"/"}
        """
    }

    private func reader(_ server: HTTPServer, _ ids: [String] = ["orders"]) throws -> QueueReader {
        let entries = ids.map {
            "{id: \($0), url: 'http://127.0.0.1:\(server.port)/', user: stats, password: s3cret-word, queue: 'or ders', namespace: shop}"
        }
        let loaded = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x/",
                "collector.queues=[\(entries.joined(separator: ", "))]",
            ])
        return QueueReader(
            publish: { _ in }, cluster: "test", loaded.collector,
            log: Logger(service: "collector", write: { _ in }), metrics: Metrics())
    }

    @Test("What the management API says becomes external stats under the queue's id, of its namespace")
    func values() async throws {
        let asked = Lock<[String]>([])
        let server = try HTTPServer { request in
            asked.withLock { $0.append("\(request.target) \(request.headers["Authorization"] ?? "")") }
            return .response(.json(Self.answer(published: asked.withLock { $0.count } * 50)))
        }
        var failures: [String: String] = [:]
        var meter = RateMeter()
        let reader = try reader(server)
        var samples = await reader.readAll(&failures, &meter, at: Timestamp(seconds: 1_000)).samples
        #expect(asked.withLock { $0 } == ["/api/queues/%2F/or%20ders Basic \(Array("stats:s3cret-word".utf8).base64)"])
        #expect(
            samples.map { "\($0.stat) \($0.value)" } == [
                "orders.consumers 0.0", "orders.messages 28.0", "orders.ready 24.0", "orders.unacknowledged 4.0",
            ], "rates need two readings, whatever the API's own say")
        samples = await reader.readAll(&failures, &meter, at: Timestamp(seconds: 1_020)).samples
        let rates = samples.filter {
            ["orders.published", "orders.delivered", "orders.acknowledged"].contains($0.stat)
        }
        #expect(
            rates.map { "\($0.stat) \($0.value)" } == [
                "orders.acknowledged 0.0", "orders.delivered 0.0", "orders.published 2.5",
            ])
        #expect(samples.allSatisfy { $0.namespace == "shop" } && failures.isEmpty)
    }

    @Test("What nothing has passed yet has a depth and no counts; what was just made has nothing: unknown is not zero")
    func newQueue() throws {
        let reading = try QueueReading(Array(#"{"messages":0,"messages_ready":0,"consumers":-1}"#.utf8))
        #expect(reading.numbers == ["messages": 0, "ready": 0])
        #expect(try QueueReading(Array(#"{"name":"q","messages":null}"#.utf8)).numbers.isEmpty)
    }

    @Test(
        "What goes wrong has a name, and the other queues go on",
        arguments: [
            (404, #"{"error":"Object Not Found"}"#, "status_404"), (401, "{}", "status_401"),
            (200, "{", "malformed"), (200, #"{"name":"q"}"#, "no_numbers"), (200, "[]", "no_numbers"),
            (200, #"{"messages":"many"}"#, "no_numbers"),
        ])
    func failures(status: Int, body: String, label: String) async throws {
        let number = Lock(0)
        let server = try HTTPServer { request in
            let isFirst = number.withLock { number in
                number += 1
                return number == 1
            }
            return .response(isFirst ? .json(status, body) : .json(Self.answer()))
        }
        var failures: [String: String] = [:]
        var meter = RateMeter()
        let stats = try await reader(server, ["a", "b"]).readAll(&failures, &meter, at: Timestamp(seconds: 1_000))
        #expect(Array(failures.values) == [label])
        #expect(stats.samples.count == 4)
        // Whoever scales by it is told why it is missing.
        let id = failures.keys.first ?? "?"
        let missing = (stats.failures ?? []).filter { $0.stat == "\(id).ready" }
        #expect(stats.failures?.count == 7 && missing.count == 1)
        #expect(missing.first?.namespace == "shop" && missing.first?.why.hasPrefix("queue or ders: ") == true)
    }

    @Test("A broker that is away")
    func away() async throws {
        let server = try HTTPServer { _ in .response(.json("{}")) }
        let reader = try reader(server)
        server.stop()
        var failures: [String: String] = [:]
        var meter = RateMeter()
        let stats = await reader.readAll(&failures, &meter, at: Timestamp(seconds: 1_000))
        #expect(stats.samples.isEmpty && stats.failures?.map(\.stat).contains("orders.published") == true)
        // (Refused; or, since the port is free for anybody now, whatever another test's server says.)
        #expect(failures.keys.sorted() == ["orders"], "\(failures)")
    }

    @Test("Two queues with one id, and a URL that is none, are mistakes of the configuration; the password is a secret")
    func configuration() throws {
        func load(_ list: String) throws -> Settings {
            try Settings.load(
                file: nil, environment: [:],
                flags: ["cluster=test", "bus.transport_url=rabbit://x/", "collector.queues=\(list)"])
        }
        #expect(throws: (any Error).self) {
            try load("[{id: a, url: 'http://x', queue: q}, {id: a, url: 'http://x', queue: r}]")
        }
        #expect(throws: (any Error).self) { try load("[{id: a, url: 'rabbit:15672', queue: q}]") }
        let good = try load("[{id: a, url: 'http://x', queue: q, password: hidden-word}]")
        #expect(good.secrets.contains("hidden-word"))
        #expect(!"\(good.collector.queues)".contains("hidden-word"))
    }
}
