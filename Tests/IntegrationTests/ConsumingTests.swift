import AMQP
import Support
import Testing

/// Consuming at a real broker.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct ConsumingTests {
    private func publish(_ count: Int, to name: String, size: Int = 1, _ topology: Topology) async throws {
        var settings = try TestBroker.settings()
        settings.maximumMessageBytes = 1 << 30
        settings.maximumWaitingBytes = 1 << 30
        let publisher = try Publisher(settings: settings, topology: topology)
        let messages = (0..<count).map { number in
            let text = Array("\(number)".utf8)
            return OutgoingMessage(
                exchange: "", routingKey: name, body: text + Array(repeating: 32, count: max(0, size - text.count)),
                mandatory: true)
        }
        try await publisher.publish(messages)
        await publisher.close()
    }

    @Test func `No more is handed out than the prefetch allows`() async throws {
        let name = TestBroker.unique("test.prefetch")
        let topology = Topology(queues: [.init(name)])
        try await publish(10, to: name, topology)
        let first = try Consumer(settings: try TestBroker.settings(), queue: name, prefetch: 3)
        var iterator = first.deliveries.makeAsyncIterator()
        var held: [Delivery] = []
        for _ in 0..<3 { held.append(try #require(await iterator.next())) }
        // The rest goes to whoever has room.
        let second = try Consumer(settings: try TestBroker.settings(), queue: name, prefetch: 100)
        #expect(await second.take(7).map { $0.text.trimming() } == (3..<10).map(String.init))
        for delivery in held.reversed() { delivery.ack() }
        await first.close()
        await second.close()
    }

    @Test func `What a stopped consumer had not handed on goes back, and what it had can be settled`() async throws {
        let name = TestBroker.unique("test.stop")
        let topology = Topology(queues: [.init(name, arguments: ["x-queue-type": "quorum"])])
        try await publish(10, to: name, topology)
        let first = try Consumer(settings: try TestBroker.settings(), queue: name, prefetch: 10)
        var iterator = first.deliveries.makeAsyncIterator()
        let mine = try #require(await iterator.next())
        await first.stop()
        #expect(await iterator.next() == nil)
        let second = try Consumer(settings: try TestBroker.settings(), queue: name)
        let others = await second.take(9)
        #expect(others.map { $0.text.trimming() } == (1..<10).map(String.init))
        mine.ack()
        await first.close()
        await second.close()
        #expect(try await OneShot.peek(try TestBroker.settings(), queue: name) == nil)
    }

    @Test func `A single active consumer is followed by the next, which gets what was unsettled`() async throws {
        let name = TestBroker.unique("test.single")
        let topology = Topology(queues: [
            .init(name, arguments: ["x-queue-type": "quorum", "x-single-active-consumer": true])
        ])
        try await publish(10, to: name, topology)
        let first = try Consumer(settings: try TestBroker.settings(), topology: topology, queue: name)
        var iterator = first.deliveries.makeAsyncIterator()
        for _ in 0..<5 { try #require(await iterator.next()).ack() }
        let second = try Consumer(settings: try TestBroker.settings(), topology: topology, queue: name)
        try await eventually("the second is connected") {
            if case .connected = second.state { true } else { false }
        }
        async let taken = second.take(5)
        // Not settled: it comes again at the second, marked.
        let held = try #require(await iterator.next())
        await first.close(within: .zero)
        let rest = await taken
        #expect(rest.map { $0.text.trimming() } == (5..<10).map(String.init))
        #expect(rest.first?.redelivered == true)
        held.ack()
        await second.close()
    }

    @Test func `A queue deleted under a consumer is told, declared again and consumed again`() async throws {
        let name = TestBroker.unique("test.deleted")
        let topology = Topology(queues: [.init(name)])
        let events = Log<ConnectionEvent>()
        let consumer = try Consumer(settings: try TestBroker.settings(), topology: topology, queue: name) {
            events.add($0)
        }
        try await eventually("connected") { events.count > 0 }
        let directory = try #require(TestBroker.directory, "UPDRAFT_TEST_BROKER_DIR is not set")
        let result = try await Command.run(
            ["\(TestBroker.repository)/scripts/broker", "ctl", directory, "delete_queue", name])
        #expect(result.status == 0)
        try await eventually("told") { events.all.contains(.consumerCancelled(queue: name)) }
        try await eventually("consuming again") {
            if case .connected = consumer.state { true } else { false }
        }
        try await publish(1, to: name, topology)
        #expect(await consumer.take(1).count == 1)
        await consumer.close()
    }

    @Test func `A message above the limit arrives as a stub, and the next ones as ever`() async throws {
        let name = TestBroker.unique("test.oversize")
        let dead = TestBroker.unique("test.dead")
        let topology = Topology(queues: [
            .init(dead),
            .init(name, arguments: ["x-dead-letter-exchange": "", "x-dead-letter-routing-key": .string(dead)]),
        ])
        try await publish(1, to: name, size: 40 << 20, topology)
        try await publish(1, to: name, topology)
        var settings = try TestBroker.settings()
        settings.maximumMessageBytes = 1 << 20
        let consumer = try Consumer(settings: settings, queue: name)
        var iterator = consumer.deliveries.makeAsyncIterator()
        let stub = try #require(await iterator.next())
        #expect(stub.isOversize)
        #expect(stub.bodySize == 40 << 20)
        #expect(stub.body.isEmpty)
        stub.nack(requeue: false)
        let next = try #require(await iterator.next())
        #expect(!next.isOversize)
        #expect(next.text.trimming() == "0")
        next.ack()
        await consumer.close()
        let parked = try Consumer(settings: settings, queue: dead)
        let delivery = try #require(await parked.take(1).first)
        #expect(delivery.bodySize == 40 << 20)
        await parked.close()
    }

    @Test func `After the delivery limit a message is dead-lettered with its history`() async throws {
        let name = TestBroker.unique("test.limit")
        let dead = TestBroker.unique("test.dead")
        let topology = Topology(queues: [
            .init(dead),
            .init(
                name,
                arguments: [
                    "x-queue-type": "quorum", "x-delivery-limit": 3, "x-dead-letter-exchange": "",
                    "x-dead-letter-routing-key": .string(dead),
                ]),
        ])
        try await publish(1, to: name, topology)
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: name)
        var iterator = consumer.deliveries.makeAsyncIterator()
        for attempt in 0..<4 {
            let delivery = try #require(await iterator.next())
            #expect((delivery.deliveryCount ?? 0) == attempt)
            delivery.nack(requeue: true)
        }
        let parked = try Consumer(settings: try TestBroker.settings(), queue: dead)
        let delivery = try #require(await parked.take(1).first)
        guard case .array(let deaths)? = delivery.properties.headers["x-death"], case .table(let death)? = deaths.first
        else {
            Issue.record("no x-death: \(delivery.properties.headers)")
            return
        }
        #expect(death["reason"] == "delivery_limit")
        #expect(death["queue"] == .string(name))
        await consumer.close()
        await parked.close()
    }
}

extension String {
    /// Without spaces at its end.
    func trimming() -> String {
        var text = Substring(self)
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
