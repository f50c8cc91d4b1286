import FoundationEssentials
import Messages
import Support
import Testing

@testable import AMQP
@testable import Bus

@Suite struct ParkingTests {
    private final class Nobody: DeliverySettler {
        func settle(tag: UInt64, generation: UInt64, as outcome: SettlementOutcome) {}
    }

    private func received(_ type: String, secret: String) throws -> (body: [UInt8], MessageCoder.Received) {
        let body = Array(
            """
            {"oslo.version":"2.0","oslo.message":"{\\"event_type\\":\\"\(type)\\",\\"message_id\\":\\"m1\\",\
            \\"payload\\":{\\"token\\":\\"\(secret)\\"}}"}
            """.utf8)
        return (body, try MessageCoder.open(body))
    }

    @Test(arguments: ["compute.instance.update", "updraft.pod.shutdown", "updraft.pod.shutdown.done"])
    func `Bodies that may hold secrets are reduced to what identifies them`(type: String) throws {
        let (body, received) = try received(type, secret: "hunter2")
        let parked = Parking.body(body, size: UInt64(body.count), received: received)
        let text = String(decoding: parked.body, as: UTF8.self)
        #expect(parked.kept == "metadata")
        #expect(!text.contains("hunter2"))
        #expect(text.contains(type) && text.contains("m1") && text.contains("sha256"))
    }

    @Test func `A foreign message is reduced whatever it calls itself`() throws {
        let (body, received) = try received("updraft.scale.decided", secret: "hunter2")
        let parked = Parking.body(body, size: UInt64(body.count), received: received, isOurs: false)
        #expect(parked.kept == "metadata")
        #expect(!String(decoding: parked.body, as: UTF8.self).contains("hunter2"))
    }

    /// Every recorded notification of Nova, with a live token in the two places where Nova puts one.
    @Test func `No token of a foreign notification gets into what is parked`() throws {
        let folder = #filePath.replacing("BusTests/ParkingTests.swift", with: "MessagesTests/Fixtures/oslo/")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
            $0.hasPrefix("nova.") && $0.hasSuffix(".body")
        }
        #expect(names.count > 40)
        let settings = BusSettings(
            amqp: AMQPSettings(url: try TransportURL("rabbit://h/")), cluster: "prod", service: "collector", host: "n1")
        var blanked = 0
        for name in names {
            let text = String(decoding: try Data(contentsOf: URL(filePath: folder + name)), as: UTF8.self)
            let secret = text.replacing("BLANKED", with: "gAAAAAlive")
                .replacing(#"\"_context_auth_token\": null"#, with: #"\"_context_auth_token\": \"gAAAAAlive\""#)
            #expect(secret.contains("gAAAAAlive"), "\(name)")
            if text.contains("BLANKED") { blanked += 1 }
            let body = Array(secret.utf8)
            let delivery = Delivery(
                body: body, bodySize: UInt64(body.count), exchange: "nova", routingKey: "notifications.info",
                properties: MessageProperties(), redelivered: false, tag: 1, generation: 1, settler: Nobody())
            let message = Parking.message(
                delivery, routingKey: "notifications.info", queue: "q", reason: .handler, detail: "why",
                received: try MessageCoder.open(body), settings: settings)
            #expect(!String(decoding: message.body, as: UTF8.self).contains("gAAAAA"), "\(name)")
            #expect(!"\(message.properties.headers)".contains("gAAAAA"), "\(name)")
        }
        #expect(blanked > 0)
    }

    @Test(arguments: ["👩‍👩‍👧‍👦", "e" + String(repeating: "\u{301}", count: 100), "€", "x"])
    func `Whatever a message calls itself, it can be parked: AMQP's bounds are bytes`(word: String) throws {
        let long = String(repeating: word, count: 400)
        let settings = BusSettings(
            amqp: AMQPSettings(url: try TransportURL("rabbit://h/")), cluster: "prod", service: "collector", host: "n1")
        let text = """
            {"event_type":"\(long)","message_id":"\(long)","publisher_id":"\(long)","timestamp":"\(long)","payload":{}}
            """
        let body = Array(text.utf8)
        _ = try MessageCoder.open(body)
        let headers: [String: AMQPValue] = [
            SigningKeys.keyHeader: .string(long), SigningKeys.signatureHeader: .string(long),
            BusSettings.Header.routingKey: .string(long),
        ]
        // As it comes back from a lap, and as it comes from somebody.
        for (exchange, key) in [
            ("", "q"), ("updraft", String(decoding: [UInt8](repeating: 0xFF, count: 255), as: UTF8.self)),
        ] {
            let delivery = Delivery(
                body: body, bodySize: UInt64(body.count), exchange: exchange, routingKey: key,
                properties: MessageProperties(headers: headers), redelivered: false, tag: 1, generation: 1,
                settler: Nobody())
            var intake = Intake(settings, queue: "q")
            guard case .park(let reason, let detail, let judged) = intake.judge(delivery, now: .now()) else {
                Issue.record("handled")
                continue
            }
            let message = Parking.message(
                delivery, routingKey: intake.routingKey(of: delivery), queue: "q", reason: reason, detail: detail,
                received: judged, settings: settings)
            try message.validate(maximumBodyBytes: settings.maximumMessageBytes, maximumHeaderBytes: 4_000)
            #expect(detail.utf8.count < 600, "\(detail.utf8.count) bytes")
            try Parking.remains(delivery, queue: "q", reason: reason, settings: settings)
                .validate(maximumBodyBytes: 0, maximumHeaderBytes: 1_000)
        }
    }

    @Test func `What is not understood may hold anything`() {
        let parked = Parking.body(Array("password=hunter2".utf8), size: 16, received: nil)
        #expect(!String(decoding: parked.body, as: UTF8.self).contains("hunter2"))
        #expect(parked.kept == "metadata")
    }

    @Test func `Our own messages are kept, up to a bound`() throws {
        let (small, received) = try received("updraft.scale.decided", secret: "x")
        #expect(Parking.body(small, size: 1, received: received).body == small)
        let (large, again) = try self.received("updraft.scale.decided", secret: String(repeating: "x", count: 100_000))
        let parked = Parking.body(large, size: UInt64(large.count), received: again)
        #expect(parked.kept == "truncated")
        #expect(parked.body.count == Parking.maximumBytes)
    }
}

@Suite struct TopologyTests {
    private func settings(_ type: BusSettings.QueueType = .quorum) throws -> BusSettings {
        BusSettings(
            amqp: AMQPSettings(url: try TransportURL("rabbit://h/")), cluster: "prod", service: "decider", host: "n1",
            queueType: type)
    }

    @Test func `Commands go to a quorum queue with a delivery limit and a dead-letter exchange`() throws {
        let topology = try settings().topology(Subscription(topics: [.decisions, .lifecycle]))
        let queue = try #require(topology.queues.first)
        #expect(queue.name == "updraft.prod.decider.decisions.lifecycle")
        #expect(queue.durable)
        #expect(queue.arguments["x-queue-type"] == "quorum")
        #expect(queue.arguments["x-delivery-limit"] == 20)
        #expect(queue.arguments["x-dead-letter-exchange"] == "updraft.dead")
        #expect(queue.arguments["x-single-active-consumer"] == true)
        #expect(
            topology.bindings.map(\.routingKey).filter { $0 != "#" }
                == ["updraft.prod.decisions.*", "updraft.prod.lifecycle.*"])
    }

    @Test func `What holds tokens is never moved to the dead-letter queue by the broker`() throws {
        for topics in [[Topic.answers], [.notices], [.lifecycle, .answers]] {
            let topology = try settings().topology(Subscription(topics: topics))
            let queue = try #require(topology.queues.first)
            #expect(queue.arguments["x-dead-letter-exchange"] == nil, "\(topics)")
            // Kept and bounded as other commands are.
            #expect(queue.arguments["x-queue-type"] == "quorum")
            #expect(queue.arguments["x-delivery-limit"] == 20)
            #expect(queue.arguments["x-max-length"] == 100_000)
        }
    }

    @Test func `Perishables are bounded, and the oldest are dropped`() throws {
        let topology = try settings().topology(
            Subscription(topics: [.stats], kind: .perishable(maximumLength: 50, ttl: .seconds(7))))
        let arguments = try #require(topology.queues.first).arguments
        #expect(arguments["x-max-length"] == 50)
        #expect(arguments["x-message-ttl"] == 7_000)
        #expect(arguments["x-overflow"] == "drop-head")
        #expect(arguments["x-dead-letter-exchange"] == nil)
    }

    @Test func `Without a kind the topics decide it`() {
        #expect(Subscription(topics: [.decisions]).kind == .command)
        #expect(Subscription(topics: [.stats, .decisions]).kind == .command)
        #expect(Subscription(topics: [.stats, .state]).kind != .command)
    }

    @Test func `A queue of one process has only arguments that such queues know`() throws {
        let topology = try settings().topology(
            Subscription(topics: [.lifecycle], suffix: "console", exclusive: true))
        let queue = try #require(topology.queues.first)
        #expect(queue.name == "updraft.prod.decider.lifecycle.console.n1")
        #expect(queue.exclusive && !queue.durable)
        #expect(queue.arguments["x-delivery-limit"] == nil && queue.arguments["x-queue-type"] == nil)
    }

    @Test func `Others' exchanges are never declared unless told to, and never changed`() throws {
        let settings = try settings()
        #expect(settings.topology(ForeignSubscription(exchange: "nova")).exchanges.first?.mode == .passive)
        let declared = settings.topology(ForeignSubscription(exchange: "nova", declareExchange: true))
        #expect(declared.exchanges.first?.mode == .declareIfMissing)
        #expect(declared.queues.first?.name == "updraft.prod.decider.foreign.nova")
    }

    @Test func `Two services that publish to one exchange are heard by a queue each`() throws {
        let settings = try settings()
        func queue(_ exchange: String, _ sender: String?) -> String {
            settings.queueName(ForeignSubscription(exchange: exchange, of: sender))
        }
        #expect(queue("openstack", "nova") == "updraft.prod.decider.foreign.openstack.nova")
        #expect(queue("openstack", "aodh") == "updraft.prod.decider.foreign.openstack.aodh")
        // One that is called as usual keeps the name that it has had.
        #expect(queue("nova", "nova") == queue("nova", nil))
        #expect(Set([queue("aodh", "aodh"), queue("aodh", "nova"), queue("aodh", "ceilometer")]).count == 3)
    }

    @Test func `Names of queues hold a key's id, never its secret`() throws {
        let key = try #require(SigningKeys.Key(id: "k1", secret: Array("hunter2hunter2!!".utf8)))
        let keys = try #require(SigningKeys([key]))
        #expect("\(keys)".contains("k1"))
        #expect(!"\(keys)".contains("104"))
        #expect(SigningKeys.Key(id: "k", secret: [1, 2, 3]) == nil)
        #expect(SigningKeys([key, key]) == nil)
        #expect(SigningKeys([]) == nil)
    }
}
