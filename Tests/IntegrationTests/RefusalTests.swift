import AMQP
import Support
import Testing

/// What the broker says no to, and how it is told.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct RefusalTests {
    private func url(user: String? = nil, password: String? = nil, virtualHost: String = "") throws -> String {
        let host = try TransportURL(try #require(TestBroker.transportURL)).hosts[0]
        return "rabbit://\(user ?? host.user):\(password ?? host.password)@\(host.host):\(host.port)/\(virtualHost)"
    }

    @Test func `Wrong password`() async throws {
        let settings = try TestBroker.settings(try url(password: "wrong-word"))
        let error = await failure { try await OneShot.check(settings) }
        #expect(error?.code == .accessRefused)
        #expect(error?.text.contains("ACCESS_REFUSED") == true)
        #expect(error?.isLasting == true)
        #expect(error?.description.contains("wrong-word") == false)
    }

    @Test func `Virtual host that does not exist`() async throws {
        let settings = try TestBroker.settings(try url(virtualHost: "nowhere"))
        let error = await failure { try await OneShot.check(settings) }
        #expect(error?.code == .notAllowed)
        #expect(error?.text.contains("nowhere") == true)
    }

    @Test func `Exchange type that the broker does not know`() async throws {
        let topology = Topology(exchanges: [.init(TestBroker.unique("test.x"), kind: "x-no-such-type")])
        let error = await failure { try await OneShot.check(try TestBroker.settings(), topology: topology) }
        #expect(error?.code == .commandInvalid)
        #expect(error?.text.contains("x-no-such-type") == true)
        #expect(error?.isLasting == true)
    }

    @Test func `Queue with other arguments: both values are named, and it is retried slowly, not in a loop`()
        async throws
    {
        let name = TestBroker.unique("test.arguments")
        try await OneShot.check(
            try TestBroker.settings(), topology: Topology(queues: [.init(name, arguments: ["x-max-length": 5])]))
        let other = Topology(queues: [.init(name, arguments: ["x-max-length": 6])])
        let events = Log<ConnectionEvent>()
        var settings = try TestBroker.settings()
        settings.backoff = Backoff(first: .milliseconds(200), cap: .seconds(60))
        let consumer = try Consumer(settings: settings, topology: other, queue: name) { events.add($0) }
        try await eventually("refused three times") {
            events.all.filter { if case .topologyRefused = $0 { true } else { false } }.count >= 3
        }
        guard case .connecting(let error?) = consumer.state else {
            Issue.record("\(consumer.state)")
            return
        }
        #expect(error.code == .preconditionFailed)
        #expect(error.text.contains("'5'") && error.text.contains("'6'"), "\(error.text)")
        let pauses = events.all.compactMap { event -> Interval? in
            if case .disconnected(_, let pause) = event { pause } else { nil }
        }
        #expect(pauses.count >= 2 && pauses[1] >= .milliseconds(200) && pauses[1] > pauses[0] * 0.9, "\(pauses)")
        await consumer.close()
    }

    @Test func `Exchange of another type: both types are named`() async throws {
        let name = TestBroker.unique("test.kind")
        let settings = try TestBroker.settings()
        try await OneShot.check(settings, topology: Topology(exchanges: [.init(name, kind: "fanout")]))
        let error = await failure {
            try await OneShot.check(settings, topology: Topology(exchanges: [.init(name, kind: "topic")]))
        }
        #expect(error?.code == .preconditionFailed)
        #expect(error?.isLasting == true)
        let text = error?.text ?? ""
        #expect(text.contains(name) && text.contains("'topic'") && text.contains("'fanout'"), "\(text)")
    }

    @Test func `Queue or exchange that is only checked for and missing`() async throws {
        let settings = try TestBroker.settings()
        let queue = Topology(queues: [.init(TestBroker.unique("none"), mode: .passive)])
        #expect(await failure { try await OneShot.check(settings, topology: queue) }?.code == .notFound)
        let exchange = Topology(exchanges: [.init(TestBroker.unique("none"), mode: .passive)])
        #expect(await failure { try await OneShot.check(settings, topology: exchange) }?.code == .notFound)
    }

    @Test func `What exists is taken as it is where we may not insist`() async throws {
        let settings = try TestBroker.settings()
        let exchange = TestBroker.unique("test.theirs")
        let queue = TestBroker.unique("test.theirs")
        try await OneShot.check(
            settings,
            topology: Topology(
                exchanges: [.init(exchange, kind: "fanout")], queues: [.init(queue, arguments: ["x-max-length": 1])]))
        try await OneShot.check(
            settings,
            topology: Topology(
                exchanges: [.init(exchange, kind: "topic", durable: false, mode: .declareIfMissing)],
                queues: [.init(queue, arguments: ["x-max-length": 9], mode: .declareIfMissing)],
                bindings: [.init(queue: queue, exchange: exchange, routingKey: "#")]))
        // And declared if it is missing.
        let fresh = TestBroker.unique("test.fresh")
        try await OneShot.check(settings, topology: Topology(queues: [.init(fresh, mode: .declareIfMissing)]))
        try await OneShot.check(settings, topology: Topology(queues: [.init(fresh, mode: .passive)]))
    }

    @Test func `Subscription to a queue that another holds exclusively`() async throws {
        let name = TestBroker.unique("test.exclusive")
        let topology = Topology(queues: [.init(name)])
        let holder = try Consumer(
            settings: try TestBroker.settings(), topology: topology, queue: name, exclusive: true)
        try await eventually("held") { if case .connected = holder.state { true } else { false } }
        let late = try Consumer(settings: try TestBroker.settings(), topology: topology, queue: name)
        try await eventually("refused") {
            if case .connecting(let error?) = late.state { error.code == .accessRefused } else { false }
        }
        await holder.close()
        try await eventually("free") { if case .connected = late.state { true } else { false } }
        await late.close()
    }

    @Test func `Files of TLS that are missing are named`() async throws {
        var settings = try TestBroker.settings("rabbits://h:1/")
        settings.tls.caFile = "/no/such/ca.pem"
        let error = await failure { try await OneShot.check(settings) }
        #expect(error?.code == .tls)
        #expect(error?.text.contains("/no/such/ca.pem") == true)
    }

    @Test func `Something that is no broker`() async throws {
        // The node's own Erlang distribution port speaks another protocol.
        let directory = try #require(TestBroker.directory, "UPDRAFT_TEST_BROKER_DIR is not set")
        let result = try await Command.run(["cat", "\(directory)/port.dist"])
        let port = try #require(UInt16(result.output.split(separator: "\n").first ?? ""))
        var settings = try TestBroker.settings("rabbit://127.0.0.1:\(port)/")
        settings.connectTimeout = .seconds(2)
        let error = await failure { try await OneShot.check(settings) }
        #expect([.connection, .timedOut].contains(error?.code))
    }
}
