import AMQP
import Crypto
import FoundationEssentials
import Messages
import Support
import Testing

@testable import Bus

/// The bus at a real broker. Each test has a cluster of its own, so they do not see each other.
@Suite(.enabled(if: TestBroker.isGiven, TestBroker.missing), .timeLimit(.minutes(6)))
struct BusIntegrationTests {
    private static let keys = SigningKeys([SigningKeys.Key(id: "k1", secret: randomBytes(32))].compactMap { $0 })

    private func decision(_ cluster: String, id: String = "r1") -> RemovalCancelled {
        RemovalCancelled(
            cluster: cluster, id: id, nodes: ["n"], reason: Explanation(.podsPending, "test"), decidedAt: .now())
    }

    /// Reads `subscription` while `body` runs; `handler` sees each message.
    private func reading(
        _ bus: Bus, _ subscription: Subscription, handler: @escaping @Sendable (Incoming) async -> Disposition,
        _ body: () async throws -> Void
    ) async throws {
        let task = Task { try await bus.subscribe(subscription, handler: handler) }
        try await eventually("the subscription stands") { bus.health.problems.isEmpty && bus.health.isReading }
        do {
            try await body()
        } catch {
            task.cancel()
            throw error
        }
        await bus.close()
        try await task.value
    }

    /// What has been parked for `cluster`: routing key, headers, body.
    private func parked(_ cluster: String, _ count: Int) async throws -> [Delivery] {
        // The queue updraft.dead itself is shared: look, give back what is not ours.
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: "updraft.dead", prefetch: 10_000)
        var mine: [Delivery] = []
        for await delivery in consumer.deliveries {
            guard delivery.properties.headers["x-updraft-cluster"]?.string == cluster else { continue }
            delivery.ack()
            mine.append(delivery)
            if mine.count == count { break }
        }
        await consumer.close(within: .zero)
        return mine
    }

    @Test func `What comes while a ready replica stands by waits for its turn`() async throws {
        let cluster = TestBroker.unique("c")
        let decisions = Subscription(topics: [.decisions])
        let standby = try TestBroker.bus(
            cluster: cluster, service: "actuator", keys: Self.keys, standing: [decisions])
        try await eventually("the replica is ready") { standby.health.isReady }
        let decider = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys)
        _ = try await decider.publish(decision(cluster, id: "before its turn"))
        let seen = Log<Incoming>()
        try await reading(
            standby, decisions,
            handler: {
                seen.add($0); return .done
            }
        ) {
            try await eventually("the decision arrives") { seen.all.count == 1 }
        }
        await decider.close()
    }

    @Test func `A standing queue that others declared in another way keeps nobody from publishing`() async throws {
        let cluster = TestBroker.unique("c")
        let decisions = Subscription(topics: [.decisions])
        let other = try TestBroker.bus(cluster: cluster, service: "actuator", standing: [decisions]) {
            $0.queueType = .classic
        }
        try await eventually("the queue is there") { other.health.isReady }
        let bus = try TestBroker.bus(cluster: cluster, service: "actuator", keys: Self.keys, standing: [decisions])
        _ = try await bus.publish(decision(cluster))
        let task = Task { try await bus.subscribe(decisions) { _ in .done } }
        try await eventually("its reader says what is wrong") {
            bus.health.problems.contains { $0.description.contains("406") || $0.description.contains("PRECONDITION") }
        }
        await bus.close()
        await other.close()
        try await task.value
    }

    @Test func `Signed commands arrive, checked and decoded, in order`() async throws {
        let cluster = TestBroker.unique("c")
        let published = Log<Topic>()
        let decider = try TestBroker.bus(
            cluster: cluster, service: "decider", keys: Self.keys,
            observer: BusObserver(published: { topic, _ in published.add(topic) }))
        let actuator = try TestBroker.bus(cluster: cluster, service: "actuator", keys: Self.keys)
        let seen = Log<Incoming>()
        let handler: @Sendable (Incoming) async -> Disposition = {
            seen.add($0)
            return .done
        }
        try await reading(actuator, Subscription(topics: [.decisions]), handler: handler) {
            for number in 0..<20 { try await decider.publish(decision(cluster, id: "r\(number)")) }
            try await eventually("all arrived") { seen.count == 20 }
        }
        let ids = seen.all.map { incoming -> String in
            if case .removalCancelled(let payload) = incoming.event { payload.id } else { "?" }
        }
        #expect(ids == (0..<20).map { "r\($0)" })
        #expect(seen.all[0].routingKey.description == "updraft.\(cluster).decisions.info")
        #expect(seen.all[0].envelope.publisherID == "updraft-decider.test-host")
        #expect(published.count == 20)
        await decider.close()
    }

    @Test func `A decision that nobody has ever subscribed to is an error, not silence`() async throws {
        let cluster = TestBroker.unique("c")
        let decider = try TestBroker.bus(cluster: cluster, service: "decider")
        await #expect {
            try await decider.publish(decision(cluster))
        } throws: { error in
            (error as? BusError)?.code == .unroutable && (error as? BusError)?.isRetriable == true
        }
        await decider.close()
    }

    @Test func `A request is an error where no Decider has ever been, and is kept where one has`() async throws {
        let cluster = TestBroker.unique("c")
        let collector = try TestBroker.bus(cluster: cluster, service: "collector")
        let request = ScaleRequested(
            cluster: cluster, id: "signal-1", group: "workers", direction: .up, step: 1, who: "alarm", at: .now(),
            deadline: .now() + .seconds(120))
        await #expect {
            try await collector.publish(request)
        } throws: { error in
            (error as? BusError)?.code == .unroutable && (error as? BusError)?.isRetriable == true
        }
        let decider = try TestBroker.bus(cluster: cluster, service: "decider")
        try await reading(decider, Subscription(topics: [.signals]), handler: { _ in .done }) {
            try await eventually("its queue is there") { (try? await collector.publish(request)) != nil }
        }
        // Nobody reads; it waits.
        try await collector.publish(request)
        let next = try TestBroker.bus(cluster: cluster, service: "decider")
        let seen = Log<String>()
        try await reading(
            next, Subscription(topics: [.signals]),
            handler: { incoming in
                if case .scaleRequested(let request) = incoming.event { seen.add(request.id) }
                return .done
            }
        ) { try await eventually("it has come") { seen.all.last == "signal-1" } }
        await collector.close()
    }

    @Test func `Everything that must not be handled is parked with its reason, and the rest goes on`() async throws {
        let cluster = TestBroker.unique("c")
        let reasons = Log<String>()
        let refusals = Log<Refusal>()
        let observer = BusObserver(
            parked: { reason, _ in reasons.add(reason.description) }, refused: { refusal, _ in refusals.add(refusal) })
        let actuator = try TestBroker.bus(cluster: cluster, service: "actuator", keys: Self.keys, observer: observer) {
            $0.maximumMessageBytes = 100_000
        }
        let decider = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys)
        let unsigned = try TestBroker.bus(cluster: cluster, service: "decider")
        let forger = try TestBroker.bus(
            cluster: cluster, service: "decider",
            keys: SigningKeys([SigningKeys.Key(id: "k1", secret: randomBytes(32))].compactMap { $0 }))
        let seen = Log<Incoming>()
        let key = "updraft.\(cluster).decisions.info"
        func raw(_ text: String, _ routingKey: String? = nil) async throws {
            try await unsigned.publishRaw(
                exchange: "updraft", routingKey: routingKey ?? key, body: Array(text.utf8), mandatory: true)
        }
        let handler: @Sendable (Incoming) async -> Disposition = { incoming in
            seen.add(incoming)
            if case .removalCancelled(let payload) = incoming.event, payload.id == "poison" {
                return .park(reason: "no such removal")
            }
            return .done
        }
        try await reading(actuator, Subscription(topics: [.decisions]), handler: handler) {
            try await raw("{ not json")
            try await raw(String(repeating: "x", count: 200_000))
            try await raw("[]", "updraft.\(cluster).decisions.nonsense")
            try await unsigned.publish(decision(cluster))
            try await forger.publish(decision(cluster))
            try await decider.publish(decision(cluster, id: "poison"))
            try await decider.publish(decision(cluster, id: "good"))
            try await eventually("all judged") { reasons.count == 6 && seen.count == 2 }
        }
        #expect(
            reasons.all == ["malformed", "too_large", "invalid_field", "unsigned", "altered", "handler"]
                || reasons.all == ["malformed", "too_large", "malformed", "unsigned", "altered", "handler"],
            "\(reasons.all)")
        #expect(refusals.all == [.unsigned, .altered])
        let dead = try await parked(cluster, 6)
        #expect(dead.map { $0.properties.headers["x-updraft-reason"]?.string ?? "" } == reasons.all)
        #expect(dead[1].properties.headers["x-updraft-body-size"] == 200_000)
        #expect(dead[1].properties.headers["x-updraft-body"] == "metadata")
        #expect(dead[5].properties.headers["x-updraft-detail"] == "no such removal")
        #expect(dead[5].routingKey == key)
        #expect(dead[5].text.contains("poison"))
        for bus in [decider, unsigned, forger] { await bus.close() }
    }

    @Test func `Whatever a message holds it is parked, and does not come back for ever`() async throws {
        let cluster = TestBroker.unique("c")
        let (reasons, failures) = (Log<ParkReason>(), Log<BusError>())
        // So little fits into a message here that what is parked of one is too large itself.
        let actuator = try TestBroker.bus(
            cluster: cluster, service: "actuator",
            observer: BusObserver(parked: { reason, _ in reasons.add(reason) }, parkFailed: { failures.add($1) })
        ) { $0.maximumMessageBytes = 64 }
        let seen = Log<Incoming>()
        let family = String(repeating: "👩‍👩‍👧‍👦", count: 60)
        let accents = "e" + String(repeating: "\u{301}", count: 60_000)
        let reader = try TestBroker.bus(
            cluster: cluster, service: "notifier", keys: Self.keys,
            observer: BusObserver(parked: { reason, _ in reasons.add(reason) }, parkFailed: { failures.add($1) }))
        let handler: @Sendable (Incoming) async -> Disposition = {
            seen.add($0)
            return .done
        }
        try await reading(reader, Subscription(topics: [.lifecycle]), handler: handler) {
            for word in [family, accents] {
                let text = #"{"event_type":"\#(word)","message_id":"\#(word)","publisher_id":"p","payload":{}}"#
                try await reader.publishRaw(
                    exchange: "updraft", routingKey: "updraft.\(cluster).lifecycle.info", body: Array(text.utf8))
            }
            try await eventually("both are parked") { reasons.count == 2 }
        }
        #expect(failures.count == 0, "\(failures.all)")
        try await reading(actuator, Subscription(topics: [.decisions]), handler: handler) {
            try await actuator.publishRaw(
                exchange: "updraft", routingKey: "updraft.\(cluster).decisions.info", body: Array("{ not json".utf8))
            try await eventually("that there was something is parked") { reasons.count == 3 }
        }
        #expect(failures.all.map(\.code) == [.message], "\(failures.all)")
        let dead = try await parked(cluster, 3)
        #expect(dead.map { $0.properties.headers["x-updraft-body"]?.string ?? "" } == ["metadata", "metadata", "none"])
        #expect(dead[2].properties.headers["x-updraft-reason"] == "malformed")
        #expect(seen.count == 0)
    }

    @Test func `A signed command that is of no use is parked, also when updraft.dead takes nothing at first`()
        async throws
    {
        let cluster = TestBroker.unique("c")
        let exchange = TestBroker.unique("updraft")
        // Room for one message, which is taken.
        let dead = Topology.Queue(
            "\(exchange).dead", arguments: ["x-max-length": 1, "x-overflow": "reject-publish"])
        let filler = try Publisher(settings: try TestBroker.settings(), topology: Topology(queues: [dead]))
        try await filler.publish(OutgoingMessage(exchange: "", routingKey: dead.name, body: [1]))
        let (reasons, failures, refusals) = (Log<ParkReason>(), Log<BusError>(), Log<Refusal>())
        let actuator = try TestBroker.bus(
            cluster: cluster, service: "actuator", keys: Self.keys,
            observer: BusObserver(
                parked: { reason, _ in reasons.add(reason) }, refused: { refusal, _ in refusals.add(refusal) },
                parkFailed: { failures.add($1) })
        ) { $0.exchange = exchange }
        let decider = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys) {
            $0.exchange = exchange
        }
        let handler: @Sendable (Incoming) async -> Disposition = { _ in .done }
        try await reading(actuator, Subscription(topics: [.decisions]), handler: handler) {
            // Properly signed, of a type that nobody knows: an older release's, or a newer one's.
            let key = "updraft.\(cluster).decisions.info"
            let text =
                #"{"event_type":"updraft.future","message_id":"m1","publisher_id":"p","payload":{},"#
                + #""timestamp":"\#(Timestamp.now().rfc3339)"}"#
            try await decider.publishRaw(
                exchange: exchange, routingKey: key, body: Array(text.utf8), mandatory: true,
                headers: try #require(Self.keys).headers(routingKey: key, text: text))
            try await eventually("it cannot be parked") { failures.count >= 1 }
            #expect(reasons.count == 0 && failures.all[0].isRetriable, "\(failures.all)")
            let drain = try Consumer(settings: try TestBroker.settings(), queue: dead.name)
            #expect(await drain.take(1).first?.body == [1])
            try await eventually("it is parked") { reasons.count == 1 }
            let taken = await drain.take(1)
            // Of what nobody knows, only what identifies it.
            let (reason, id) = (taken.first?.properties.headers["x-updraft-reason"], taken.first?.properties.messageID)
            #expect(reason == "unknown_event" && id == "m1")
            await drain.close()
        }
        #expect(reasons.all == [.message(.unknownEvent)])
        #expect(refusals.count == 0, "\(refusals.all)")
        await decider.close()
        await filler.close()
    }

    @Test func `A pause before a message goes back ends with the bus`() async throws {
        let cluster = TestBroker.unique("c")
        let bus = try TestBroker.bus(cluster: cluster, service: "decider")
        let started = ContinuousClock.now
        async let rest: Void = bus.rest(.minutes(5))
        await bus.close()
        await rest
        await bus.rest(.minutes(5))
        #expect(ContinuousClock.now - started < .seconds(200))
    }

    @Test
    func `Notifications of others that are refused keep a service from being ready; those that do not exist do not`()
        async throws
    {
        let cluster = TestBroker.unique("c")
        let (theirs, missing) = (TestBroker.unique("nova"), TestBroker.unique("heat"))
        let queue = "updraft.\(cluster).collector.foreign.\(theirs)"
        try await OneShot.check(
            try TestBroker.settings(),
            topology: Topology(
                exchanges: [.init(theirs, durable: false)], queues: [.init(queue, arguments: ["x-max-length": 5])]))
        let events = Log<ConnectionEvent>()
        let settings = BusSettings(
            amqp: try TestBroker.settings(), cluster: cluster, service: "collector", host: "test-host")
        let bus = try Bus(settings) { connection, event in
            if connection.hasSuffix(missing) { events.add(event) }
        }
        let reading = [theirs, missing].map { exchange in
            Task { try await bus.subscribeForeign(ForeignSubscription(exchange: exchange)) { _ in .done } }
        }
        try await eventually("our own queue with other arguments is told") {
            bus.health.complaint?.contains("PRECONDITION_FAILED") == true
                && bus.health.problems.contains { $0.isAbsence }
        }
        let complaint = bus.health.complaint ?? ""
        #expect(complaint.contains(queue) && !complaint.contains(missing), "\(complaint)")
        #expect(!bus.health.isReady)
        // An ordinary absence is told once, as no refusal; its next looks are told by nothing.
        let isAwaiting = events.all.map { if case .awaiting = $0 { true } else { false } }
        #expect(isAwaiting == [true], "\(events.all)")
        try await OneShot.check(
            try TestBroker.settings(), topology: Topology(exchanges: [.init(missing, durable: false)]))
        try await eventually("the other came") { !bus.health.problems.contains { $0.isAbsence } }
        #expect(events.count == 2, "\(events.all)")
        await bus.close()
        for task in reading { try await task.value }

        // A password that is wrong.
        let host = try TransportURL(try #require(TestBroker.transportURL)).hosts[0]
        var wrong = settings
        wrong.amqp.url = try TransportURL("rabbit://\(host.user):wrong-word@\(host.host):\(host.port)/")
        let locked = try Bus(wrong)
        let foreign = Task {
            try await locked.subscribeForeign(ForeignSubscription(exchange: theirs)) { _ in .done }
        }
        try await eventually("both connections are refused") {
            locked.health.complaint?.split(separator: "ACCESS_REFUSED", omittingEmptySubsequences: false).count == 3
        }
        #expect(locked.health.complaint?.contains("wrong-word") == false)
        await locked.close()
        try await foreign.value
    }

    @Test func `A replayed and an altered message are refused`() async throws {
        let cluster = TestBroker.unique("c")
        let refusals = Log<Refusal>()
        let actuator = try TestBroker.bus(
            cluster: cluster, service: "actuator", keys: Self.keys,
            observer: BusObserver(refused: { refusal, _ in refusals.add(refusal) }))
        let decider = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys)
        // Somebody who listens on the bus and says what was heard once more.
        let tap = TestBroker.unique("test.tap")
        let key = "updraft.\(cluster).decisions.info"
        let listener = try Consumer(
            settings: try TestBroker.settings(),
            topology: Topology(
                exchanges: [.init("updraft")], queues: [.init(tap)],
                bindings: [.init(queue: tap, exchange: "updraft", routingKey: key)]), queue: tap)
        try await eventually("listening") { if case .connected = listener.state { true } else { false } }
        let seen = Log<Incoming>()
        let handler: @Sendable (Incoming) async -> Disposition = {
            seen.add($0)
            return .done
        }
        try await reading(actuator, Subscription(topics: [.decisions]), handler: handler) {
            try await decider.publish(decision(cluster))
            let heard = try #require(await listener.take(1).first)
            try await decider.publishRaw(
                exchange: "updraft", routingKey: key, body: heard.body, headers: heard.properties.headers)
            let other = heard.text.replacing("r1", with: "r2")
            try await decider.publishRaw(
                exchange: "updraft", routingKey: key, body: Array(other.utf8), headers: heard.properties.headers)
            try await eventually("both refused") { refusals.count == 2 }
        }
        #expect(refusals.all == [.replayed, .altered])
        #expect(seen.count == 1)
        await listener.close()
        await decider.close()
    }

    @Test func `A message put off comes back after its lap, signed as ever, and is parked after too many`() async throws
    {
        let cluster = TestBroker.unique("c")
        let reasons = Log<ParkReason>()
        let actuator = try TestBroker.bus(
            cluster: cluster, service: "actuator", keys: Self.keys,
            observer: BusObserver(parked: { reason, _ in reasons.add(reason) }))
        let decider = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys)
        let laps = Log<Int>()
        let subscription = Subscription(
            topics: [.decisions], laps: [.milliseconds(200), .seconds(20)], maximumLaps: 3)
        let started = ContinuousClock.now
        let handler: @Sendable (Incoming) async -> Disposition = {
            laps.add($0.laps)
            return .retryLater(.milliseconds(150))
        }
        try await reading(actuator, subscription, handler: handler) {
            try await decider.publish(decision(cluster))
            try await eventually("parked") { reasons.count == 1 }
        }
        #expect(laps.all == [0, 1, 2, 3])
        #expect(reasons.all == [.lapsExhausted])
        #expect(ContinuousClock.now - started >= .milliseconds(600))
        await decider.close()
    }

    @Test func `A handler that always fails ends in updraft.dead by the delivery limit`() async throws {
        let cluster = TestBroker.unique("c")
        let actuator = try TestBroker.bus(cluster: cluster, service: "actuator") { $0.deliveryLimit = 2 }
        let decider = try TestBroker.bus(cluster: cluster, service: "decider")
        let seen = Log<Int?>()
        let started = ContinuousClock.now
        let handler: @Sendable (Incoming) async -> Disposition = {
            seen.add($0.deliveryCount)
            return .requeue
        }
        try await reading(actuator, Subscription(topics: [.decisions]), handler: handler) {
            try await decider.publish(decision(cluster))
            try await eventually("tried three times") { seen.count == 3 }
        }
        #expect(seen.all.map { $0 ?? 0 } == [0, 1, 2])
        // Not at once: pauses of at least 50 and 100 ms lie between, so that what is wrong may pass.
        #expect(ContinuousClock.now - started >= .milliseconds(150))
        let consumer = try Consumer(settings: try TestBroker.settings(), queue: "updraft.dead", prefetch: 10_000)
        for await delivery in consumer.deliveries where delivery.routingKey == "updraft.\(cluster).decisions.info" {
            delivery.ack()
            break
        }
        await consumer.close(within: .zero)
        await decider.close()
    }

    @Test func `A queue with other arguments is told, with both values, and the others go on`() async throws {
        let cluster = TestBroker.unique("c")
        try await OneShot.check(
            try TestBroker.settings(),
            topology: Topology(queues: [
                .init(
                    "updraft.\(cluster).actuator.decisions",
                    arguments: ["x-queue-type": "quorum", "x-delivery-limit": 7])
            ]))
        let bus = try TestBroker.bus(cluster: cluster, service: "actuator")
        let broken = Task { try await bus.subscribe(Subscription(topics: [.decisions])) { _ in .done } }
        let seen = Log<Incoming>()
        let working = Task {
            try await bus.subscribe(Subscription(topics: [.answers])) {
                seen.add($0)
                return .done
            }
        }
        try await eventually("told") { bus.health.problems.contains { $0.isLasting } }
        let problem = try #require(bus.health.problems.first { $0.isLasting })
        #expect(problem.connection == "updraft.\(cluster).actuator.decisions")
        #expect(problem.text.contains("PRECONDITION_FAILED") && problem.text.contains("x-"), "\(problem.text)")
        #expect(!bus.health.isReady)
        try await eventually("the other stands") { bus.health.problems.count == 1 }
        try await bus.publish(
            PodShutdownDone(cluster: cluster, answer: Answer(removal: "r", podUID: "u", token: "t")))
        try await eventually("the other works") { seen.count == 1 }
        await bus.close()
        try await broken.value
        try await working.value
    }

    @Test func `Others' notifications: waits for their exchange, changes nothing, parks no body`() async throws {
        let cluster = TestBroker.unique("c")
        let exchange = TestBroker.unique("nova")
        let parked = Log<ParkReason>()
        let bus = try TestBroker.bus(
            cluster: cluster, service: "collector", observer: BusObserver(parked: { reason, _ in parked.add(reason) }))
        let seen = Log<ForeignNotification>()
        let reading = Task {
            try await bus.subscribeForeign(ForeignSubscription(exchange: exchange)) {
                seen.add($0)
                return .done
            }
        }
        try await eventually("it waits") {
            bus.health.problems.contains { $0.isAbsence && $0.text.contains("NOT_FOUND") }
        }
        try await eventually("a missing exchange of others leaves the bus ready") { bus.health.isReady }
        // The service comes, with an exchange as oslo makes it.
        try await OneShot.check(
            try TestBroker.settings(), topology: Topology(exchanges: [.init(exchange, durable: false)]))
        try await eventually("it stands") { bus.health.problems.isEmpty }
        let text = #"{"event_type":"compute.instance.update","publisher_id":"compute.h","message_id":"1","payload":{}}"#
        let wrapped = "{\"oslo.version\":\"2.0\",\"oslo.message\":\"\(text.replacing("\"", with: "\\\""))\"}"
        for body in ["{ secret=hunter2", text, wrapped] {
            try await bus.publishRaw(exchange: exchange, routingKey: "notifications.info", body: Array(body.utf8))
        }
        try await eventually("both forms arrived") { seen.count == 2 && parked.count == 1 }
        #expect(seen.all.allSatisfy { $0.envelope.eventType == "compute.instance.update" })
        let dead = try await self.parked(cluster, 1)
        #expect(!dead[0].text.contains("hunter2"))
        #expect(dead[0].properties.headers["x-updraft-exchange"] == .string(exchange))
        await bus.close()
        try await reading.value
    }

    @Test func `The last checkpoint is what the next replica reads`() async throws {
        let cluster = TestBroker.unique("c")
        let first = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys)
        let second = try TestBroker.bus(cluster: cluster, service: "decider", keys: Self.keys)
        #expect(try await first.checkpoint() == nil)
        #expect(try await first.checkpoint("other") == nil)
        for number in 1...20 { try await first.saveCheckpoint([UInt8(number)]) }
        #expect(try await second.checkpoint() == [20])
        // Reading takes nothing away.
        #expect(try await first.checkpoint() == [20])
        await first.close()
        try await second.saveCheckpoint(Array(repeating: 7, count: 1_000_000))
        let large = try await second.checkpoint()
        #expect(large?.count == 1_000_000)
        // Without the key it is not believed.
        let stranger = try TestBroker.bus(
            cluster: cluster, service: "decider",
            keys: SigningKeys([SigningKeys.Key(id: "k2", secret: randomBytes(32))].compactMap { $0 }))
        #expect(try await stranger.checkpoint() == nil)
        await stranger.close()
        await second.close()
    }

    @Test func `A checkpoint saved before any was read makes its queue`() async throws {
        let bus = try TestBroker.bus(cluster: TestBroker.unique("c"), service: "decider")
        try await bus.saveCheckpoint([1, 2, 3])
        #expect(try await bus.checkpoint() == [1, 2, 3])
        await bus.close()
    }

    @Test func `Closing lets the handler in progress finish`() async throws {
        let cluster = TestBroker.unique("c")
        let bus = try TestBroker.bus(cluster: cluster, service: "actuator")
        let decider = try TestBroker.bus(cluster: cluster, service: "decider")
        let begun = Log<Bool>()
        let finished = Log<Bool>()
        let task = Task {
            try await bus.subscribe(Subscription(topics: [.decisions])) { _ in
                begun.add(true)
                try? await Task.sleep(for: .milliseconds(500))
                finished.add(true)
                return .done
            }
        }
        try await eventually("it stands") { bus.health.isReading && bus.health.problems.isEmpty }
        for number in 0..<5 { try await decider.publish(decision(cluster, id: "\(number)")) }
        try await eventually("one is in hand") { begun.count >= 1 }
        await bus.close()
        try await task.value
        // Usually one; on a busy machine the second may have begun before the look at the first.
        #expect(finished.count == begun.count)
        // The others are there for the next replica.
        let next = try TestBroker.bus(cluster: cluster, service: "actuator")
        let seen = Log<Incoming>()
        let handler: @Sendable (Incoming) async -> Disposition = {
            seen.add($0)
            return .done
        }
        try await reading(next, Subscription(topics: [.decisions]), handler: handler) {
            try await eventually("the rest arrived") { seen.count == 5 - finished.count }
        }
        await decider.close()
    }
}

extension BusHealth {
    /// Whether there is any subscription at all; its problems are told apart.
    var isReading: Bool { connections > 1 }
}
