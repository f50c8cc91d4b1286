import AMQP
import Support
import Testing

/// Publishing and consuming at a real broker.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct PublishingTests {
    private func queue(_ arguments: [String: AMQPValue] = ["x-queue-type": "quorum"]) -> (String, Topology) {
        let name = TestBroker.unique("test.queue")
        return (name, Topology(queues: [.init(name, arguments: arguments)]))
    }

    @Test func `Everything confirmed arrives, once and in order`() async throws {
        let (name, topology) = queue()
        let publisher = try Publisher(settings: try TestBroker.settings(), topology: topology)
        let messages = (0..<2_000).map {
            OutgoingMessage(exchange: "", routingKey: name, body: Array("\($0)".utf8), mandatory: true)
        }
        try await publisher.publish(messages)
        #expect(publisher.backlog == 0)
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: name, prefetch: 100)
        let texts = await consumer.take(2_000).map(\.text)
        #expect(texts == (0..<2_000).map(String.init))
        await consumer.close()
        await publisher.close()
        #expect(publisher.state == .closed)
    }

    @Test func `Many tasks may publish at once`() async throws {
        let (name, topology) = queue(["x-queue-type": "classic"])
        let publisher = try Publisher(settings: try TestBroker.settings(), topology: topology)
        await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<500 {
                group.addTask {
                    try await publisher.publish(
                        OutgoingMessage(exchange: "", routingKey: name, body: Array("\(number)".utf8), mandatory: true))
                }
            }
        }
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: name)
        #expect(Set(await consumer.take(500).map(\.text)).count == 500)
        await consumer.close()
        await publisher.close()
    }

    @Test func `Properties and headers of every kind make the journey`() async throws {
        let (name, topology) = queue()
        let publisher = try Publisher(settings: try TestBroker.settings(), topology: topology)
        let headers: [String: AMQPValue] = [
            "text": "äöü", "number": -5, "flag": true, "ratio": .double(0.5), "nothing": .null,
            "bytes": .bytes([0, 255]), "when": .timestamp(1_800_000_000),
            "list": .array([1, "two", .array([])]), "table": .table(["inner": .table(["deep": 1])]),
        ]
        let properties = MessageProperties(
            contentType: "application/json", contentEncoding: "utf-8", persistent: true, priority: 3,
            correlationID: "c", replyTo: "r", expiration: .seconds(60), messageID: "m", timestamp: 1_800_000_000,
            type: "t", applicationID: "a", headers: headers)
        try await publisher.publish(
            OutgoingMessage(exchange: "", routingKey: name, body: [], properties: properties, mandatory: true))
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: name)
        let delivery = try #require(await consumer.take(1).first)
        #expect(delivery.body == [])
        #expect(!delivery.redelivered)
        #expect(delivery.properties.headers == headers)
        #expect(delivery.properties == properties)
        await consumer.close()
        await publisher.close()
    }

    @Test func `A mandatory message that no queue takes fails, its neighbours do not`() async throws {
        let (name, topology) = queue()
        let publisher = try Publisher(settings: try TestBroker.settings(), topology: topology)
        let lost = OutgoingMessage(exchange: "", routingKey: TestBroker.unique("nobody"), body: [1], mandatory: true)
        let good = OutgoingMessage(exchange: "", routingKey: name, body: [2], mandatory: true)
        async let first: Void = publisher.publish(good)
        async let second: Void = publisher.publish(good)
        let error = await failure { try await publisher.publish(lost) }
        #expect(error?.code == .unroutable)
        #expect(error?.text.contains("NO_ROUTE") == true)
        try await first
        try await second
        await publisher.close()
    }

    @Test func `An exchange that does not exist fails its message only`() async throws {
        let (name, topology) = queue()
        let publisher = try Publisher(settings: try TestBroker.settings(), topology: topology)
        let outcomes = await withTaskGroup(of: (Int, AMQPError?).self) { group in
            for number in 0..<50 {
                let exchange = number == 25 ? "no-such-exchange" : ""
                group.addTask {
                    let message = OutgoingMessage(
                        exchange: exchange, routingKey: name, body: Array("\(number)".utf8), mandatory: true)
                    return (number, await failure { try await publisher.publish(message) })
                }
            }
            var outcomes: [Int: AMQPError] = [:]
            for await (number, error) in group { outcomes[number] = error }
            return outcomes
        }
        #expect(outcomes.keys.sorted() == [25])
        #expect(outcomes[25]?.code == .notFound)
        #expect(outcomes[25]?.text.contains("no-such-exchange") == true)
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: name)
        // The broker had taken some of them when it closed the channel, and they were sent again: twice is allowed.
        let expected = Set((0..<50).filter { $0 != 25 }.map(String.init))
        var arrived: Set<String> = []
        while arrived.count < expected.count, let delivery = await consumer.take(1).first {
            arrived.insert(delivery.text)
        }
        #expect(arrived == expected)
        await consumer.close()
        await publisher.close()
    }

    @Test func `A queue at its bound refuses, and says so`() async throws {
        let (name, topology) = queue([
            "x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish",
        ])
        let publisher = try Publisher(settings: try TestBroker.settings(), topology: topology)
        let message = OutgoingMessage(exchange: "", routingKey: name, body: [1])
        try await publisher.publish(message)
        let error = await failure { try await publisher.publish(message) }
        #expect(error?.code == .nacked)
        #expect(error?.isRetriable == true)
        await publisher.close()
    }

    @Test func `A broker that is not there: deadlines, cancellation, bounds and close all end the waiting`()
        async throws
    {
        var settings = try TestBroker.settings("rabbit://guest:guest@127.0.0.1:1/")
        settings.maximumWaiting = 3
        let events = Log<ConnectionEvent>()
        let publisher = try Publisher(settings: settings) { events.add($0) }
        let message = OutgoingMessage(exchange: "", routingKey: "q", body: [1])
        #expect(await failure { try await publisher.publish(message, within: .milliseconds(100)) }?.code == .timedOut)
        let cancelled = Task { await failure { try await publisher.publish(message) } }
        let waiting = Task { await failure { try await publisher.publish([message, message]) } }
        try await eventually("they wait") { publisher.backlog == 3 }
        #expect(await failure { try await publisher.publish(message) }?.code == .full)
        cancelled.cancel()
        #expect(await cancelled.value?.code == .cancelled)
        try await eventually("the attempt fails") { events.count > 0 }
        guard case .disconnected(let error, _)? = events.all.first else {
            Issue.record("\(events.all)")
            return
        }
        #expect(error.code == .connection)
        guard case .connecting = publisher.state else {
            Issue.record("\(publisher.state)")
            return
        }
        await publisher.close(flushWithin: .milliseconds(100))
        #expect(await waiting.value?.code == .closed)
        #expect(await failure { try await publisher.publish(message) }?.code == .closed)
    }

    @Test func `The next host is taken when one is down`() async throws {
        let url = try TransportURL(try #require(TestBroker.transportURL))
        let host = url.hosts[0]
        let settings = try TestBroker.settings(
            "rabbit://x:y@127.0.0.1:1,\(host.user):\(host.password)@\(host.host):\(host.port)/")
        let (name, topology) = queue()
        let publisher = try Publisher(settings: settings, topology: topology)
        try await publisher.publish(OutgoingMessage(exchange: "", routingKey: name, body: [1], mandatory: true))
        #expect(publisher.state == .connected(host.description))
        await publisher.close()
    }
}
