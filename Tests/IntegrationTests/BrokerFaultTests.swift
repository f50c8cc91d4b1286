import AMQP
import Support
import Testing

/// What a broker does to its clients: each test has one of its own.
@Suite(.serialized, .enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct BrokerFaultTests {
    /// Publishes `count` messages while `disturb` runs, and checks that every one was confirmed and arrives.
    private func nothingIsLost(
        _ broker: OwnBroker, count: Int, rate: Duration, _ disturb: (_ losses: Log<AMQPError>) async throws -> Void
    ) async throws {
        let name = TestBroker.unique("test.faults")
        let topology = Topology(queues: [.init(name, arguments: ["x-queue-type": "quorum"])])
        try await OneShot.check(broker.settings, topology: topology)
        // RabbitMQ 3.10 writes the name of a new quorum queue to disk half a second late (ra's directory); killed before, it
        // would come back with an empty queue of that name and no leader.
        try await Task.sleep(for: .seconds(2))
        let losses = Log<AMQPError>()
        let publisher = try Publisher(settings: broker.settings, topology: topology) {
            if case .disconnected(let error, _) = $0 { losses.add(error) }
        }
        let consumer = try Consumer(settings: broker.settings, topology: topology, queue: name, prefetch: 50)
        let arrived = Lock<Set<String>>([])
        let repeats = Lock(0)
        let reading = Task {
            for await delivery in consumer.deliveries {
                let new = arrived.withLock { $0.insert(delivery.text).inserted }
                if !new { repeats.withLock { $0 += 1 } }
                delivery.ack()
                if arrived.withLock({ $0.count }) == count { break }
            }
        }
        let publishing = Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<count {
                    group.addTask {
                        try await publisher.publish(
                            OutgoingMessage(
                                exchange: "", routingKey: name, body: Array("\(number)".utf8), mandatory: true))
                    }
                    if number % 10 == 0 { try await Task.sleep(for: rate) }
                }
                try await group.waitForAll()
            }
        }
        try await eventually("it has begun") { arrived.withLock { $0.count } > 20 }
        try await disturb(losses)
        try await publishing.value
        try await eventually("all have arrived", within: 60) { arrived.withLock { $0.count } == count }
        await reading.value
        #expect(losses.count > 0, "the publisher noticed nothing, so the test tested nothing")
        #expect(repeats.withLock { $0 } <= 200, "\(repeats.withLock { $0 }) repeated")
        await consumer.close()
        await publisher.close()
    }

    @Test func `Connections closed by the operator: nothing is lost`() async throws {
        try await OwnBroker.with { broker in
            try await nothingIsLost(broker, count: 1_500, rate: .milliseconds(20)) { _ in
                for _ in 0..<3 { try await broker.run("ctl", "close_all_connections", "test") }
            }
        }
    }

    @Test func `Broker stopped and started: nothing is lost`() async throws {
        try await OwnBroker.with { broker in
            try await nothingIsLost(broker, count: 1_000, rate: .milliseconds(10)) { _ in
                try await broker.run("stop")
                try await broker.run("start")
            }
        }
    }

    @Test func `Broker killed and started: nothing is lost`() async throws {
        try await OwnBroker.with { broker in
            try await nothingIsLost(broker, count: 1_000, rate: .milliseconds(10)) { _ in
                try await broker.run("kill")
                try await broker.run("start")
            }
        }
    }

    @Test func `Broker frozen until it is given up, then going on: nothing is lost`() async throws {
        try await OwnBroker.with { broker in
            // So slow that what is written and not confirmed meanwhile stays below what may come twice.
            try await nothingIsLost(broker, count: 300, rate: .milliseconds(800)) { losses in
                try broker.freeze()
                try await eventually("the publisher gives the connection up") { losses.count > 0 }
                try broker.thaw()
            }
        }
    }

    @Test func `Broker frozen for less than its heartbeats: what was published meanwhile is confirmed afterwards`()
        async throws
    {
        try await OwnBroker.with { broker in
            let topology = Topology(queues: [.init("q")])
            let events = Log<ConnectionEvent>()
            let publisher = try Publisher(settings: broker.settings, topology: topology) { events.add($0) }
            func message(_ number: UInt8) -> OutgoingMessage {
                OutgoingMessage(exchange: "", routingKey: "q", body: [number], mandatory: true)
            }
            try await publisher.publish(message(1))
            try broker.freeze()
            let confirmed = Lock(false)
            let waiting = Task {
                try await publisher.publish(message(2))
                confirmed.withLock { $0 = true }
            }
            try await eventually("it is on its way") { publisher.backlog == 1 }
            #expect(!confirmed.withLock { $0 }, "a frozen broker confirms nothing")
            try broker.thaw()
            try await waiting.value
            let consumer = try Consumer(settings: broker.settings, queue: "q")
            #expect(Set(await consumer.take(2).map(\.body)) == [[1], [2]])
            await consumer.close()
            await publisher.close()
        }
    }

    @Test func `Memory alarm: the publisher is told, waits, and loses nothing; acknowledging goes on`() async throws {
        try await OwnBroker.with { broker in
            let topology = Topology(queues: [.init("q")])
            let events = Log<ConnectionEvent>()
            let publisher = try Publisher(settings: broker.settings, topology: topology) { events.add($0) }
            let message = OutgoingMessage(exchange: "", routingKey: "q", body: [1], mandatory: true)
            for _ in 0..<5 { try await publisher.publish(message) }
            try await broker.run("ctl", "set_vm_memory_high_watermark", "absolute", "1MB")
            // The broker blocks a connection when it publishes next.
            let waiting = Task { try await publisher.publish(message) }
            try await eventually("blocked") {
                events.all.contains { if case .blocked = $0 { true } else { false } }
            }
            guard case .blocked(let reason) = publisher.state else {
                Issue.record("\(publisher.state)")
                return
            }
            #expect(reason.contains("memory"))
            #expect(publisher.backlog == 1)
            let consumer = try Consumer(settings: broker.settings, queue: "q")
            #expect(await consumer.take(5).count == 5)
            await consumer.close()
            try await broker.run("ctl", "set_vm_memory_high_watermark", "0.9")
            try await waiting.value
            #expect(events.all.contains(.unblocked))
            await publisher.close()
        }
    }
}
