import AMQP
import Bus
import Support
import Testing

/// A guest at somebody else's exchange.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct ForeignPublisherTests {
    private func outcome(_ publisher: ForeignPublisher) async -> ForeignPublisher.Failure? {
        do throws(ForeignPublisher.Failure) {
            try await publisher.publish(Array("{}".utf8), routingKey: "notifications.sample", within: .seconds(3))
            return nil
        } catch {
            return error
        }
    }

    @Test func `Waits for the exchange, never makes it; no queue is an error; with one the message is there`()
        async throws
    {
        let exchange = TestBroker.unique("test.ceilometer")
        var settings = try TestBroker.settings()
        settings.backoff = Backoff(first: .milliseconds(50), cap: .milliseconds(200))
        let publisher = try ForeignPublisher(settings, exchange: exchange)
        let missing = await outcome(publisher)
        #expect(missing?.code == .noExchange, "\(String(describing: missing))")
        #expect(missing?.isRetriable == true)
        let passive = Topology(exchanges: [.init(exchange, mode: .passive)])
        let stillMissing = await failure { try await OneShot.check(settings, topology: passive) }
        #expect(stillMissing?.code == .notFound)

        // Ceilometer comes, with the flags that it likes; they are not ours to judge.
        try await OneShot.check(
            settings, topology: Topology(exchanges: [.init(exchange, durable: false)]))
        var last: ForeignPublisher.Failure? = missing
        for _ in 0..<20 where last?.code != .noQueue { last = await outcome(publisher) }
        #expect(last?.code == .noQueue, "\(String(describing: last))")

        let queue = TestBroker.unique("test.samples")
        #expect(try await OneShot.look(settings, queue: queue) == nil)
        try await OneShot.check(
            settings,
            topology: Topology(
                queues: [.init(queue, durable: false, arguments: ["x-expires": 60_000])],
                bindings: [.init(queue: queue, exchange: exchange, routingKey: "notifications.sample")]))
        #expect(await outcome(publisher) == nil)
        let look = try #require(try await OneShot.look(settings, queue: queue))
        #expect(look.messages == 1 && look.consumers == 0)
        let peeked = try #require(try await OneShot.peek(settings, queue: queue))
        #expect(peeked.properties.contentType == "application/json")
        #expect(peeked.properties.contentEncoding == "utf-8")
        #expect(peeked.properties.persistent)
        // A queue that nobody reads does not fill the broker.
        #expect(peeked.properties.expiration == ForeignPublisher.lifetime)
        await publisher.close()
    }
}
