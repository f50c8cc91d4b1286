import Messages
import Support
import Testing

@testable import AMQP
@testable import Bus
@testable import Crypto

/// Conversations with the judge that stands before every handler.
@Suite struct IntakeTests {
    private final class Nobody: DeliverySettler {
        func settle(tag: UInt64, generation: UInt64, as outcome: SettlementOutcome) {}
    }

    private let now = Timestamp(seconds: 1_800_000_000)
    private let keys = SigningKeys(
        [
            SigningKeys.Key(id: "2026b", secret: Array(repeating: 7, count: 32)),
            SigningKeys.Key(id: "2026a", secret: Array(repeating: 9, count: 32)),
        ].compactMap { $0 })

    private func settings(_ keys: SigningKeys?) throws -> BusSettings {
        BusSettings(
            amqp: AMQPSettings(url: try TransportURL("rabbit://h/")), cluster: "prod", service: "actuator", host: "n1",
            keys: keys)
    }

    private func decision(cluster: String = "prod") -> RemovalCancelled {
        TestPayloads.removalCancelled(cluster: cluster)
    }

    /// A delivery of what `publish` would have sent.
    private func delivery(
        _ payload: some Payload, id: String = "m1", key: String = "updraft.prod.decisions.info",
        signedAs signedKey: String? = nil, keys: SigningKeys? = nil, written: Timestamp? = nil,
        redelivered: Bool = false, exchange: String = "updraft", arrivedAs: String? = nil,
        headers extra: [String: AMQPValue] = [:]
    ) throws -> Delivery {
        let encoded = try MessageCoder.encode(
            payload, messageID: id, publisherID: "updraft-decider.n0", priority: .info, timestamp: written ?? now)
        var headers = keys?.headers(routingKey: signedKey ?? key, text: encoded.text) ?? [:]
        headers.merge(extra) { $1 }
        return raw(
            encoded.body, key: arrivedAs ?? key, headers: headers, redelivered: redelivered, exchange: exchange)
    }

    private func raw(
        _ body: [UInt8], key: String = "updraft.prod.decisions.info", headers: [String: AMQPValue] = [:],
        size: UInt64? = nil, redelivered: Bool = false, exchange: String = "updraft"
    ) -> Delivery {
        Delivery(
            body: body, bodySize: size ?? UInt64(body.count), exchange: exchange, routingKey: key,
            properties: MessageProperties(headers: headers), redelivered: redelivered, tag: 1, generation: 1,
            settler: Nobody())
    }

    private func word(_ verdict: Intake.Verdict) -> String {
        switch verdict {
        case .handle(let incoming): "handle \(incoming.event.type.rawValue)"
        case .park(let reason, _, _): reason.description
        case .repeated: "repeated"
        case .ignore(let type): "ignored \(type ?? "again")"
        }
    }

    @Test func `Without keys a well-formed command is handled`() throws {
        var intake = Intake(try settings(nil), queue: "q")
        #expect(word(intake.judge(try delivery(decision()), now: now)) == "handle updraft.removal.cancelled")
    }

    @Test func `With keys it has to be signed, by any key that is configured`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        #expect(word(intake.judge(try delivery(decision()), now: now)) == "unsigned")
        let good = try delivery(decision(), keys: keys)
        #expect(word(intake.judge(good, now: now)) == "handle updraft.removal.cancelled")
        let older = try #require(SigningKeys([keys.keys[1]]))
        let rotated = try delivery(decision(), id: "m2", keys: older)
        #expect(word(intake.judge(rotated, now: now)) == "handle updraft.removal.cancelled")
        let strange = try #require(
            SigningKeys([.init(id: "x", secret: Array(repeating: 1, count: 16))].compactMap { $0 }))
        #expect(word(intake.judge(try delivery(decision(), id: "m3", keys: strange), now: now)) == "unknown_key")
        let forged = try #require(
            SigningKeys([.init(id: "2026b", secret: Array(repeating: 1, count: 16))].compactMap { $0 }))
        #expect(word(intake.judge(try delivery(decision(), id: "m4", keys: forged), now: now)) == "altered")
    }

    @Test func `A signature for another routing key does not count`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        let moved = try delivery(decision(), signedAs: "updraft.test.decisions.info", keys: keys)
        #expect(word(intake.judge(moved, now: now)) == "altered")
    }

    @Test func `Broken base64 and non-text signatures are altered or unsigned, never a crash`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        let broken = try delivery(decision(), keys: keys, headers: [SigningKeys.signatureHeader: "%%%"])
        #expect(word(intake.judge(broken, now: now)) == "altered")
        let number = try delivery(decision(), keys: keys, headers: [SigningKeys.signatureHeader: 5])
        #expect(word(intake.judge(number, now: now)) == "unsigned")
    }

    @Test func `A command is believed once`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        let command = try delivery(decision(), keys: keys)
        #expect(word(intake.judge(command, now: now)) == "handle updraft.removal.cancelled")
        #expect(word(intake.judge(command, now: now)) == "replayed")
        let again = try delivery(decision(), keys: keys, redelivered: true)
        #expect(word(intake.judge(again, now: now)) == "repeated")
    }

    @Test func `What was given back may come again`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        let command = try delivery(decision(), keys: keys)
        #expect(word(intake.judge(command, now: now)) == "handle updraft.removal.cancelled")
        intake.willComeAgain("m1")
        #expect(word(intake.judge(command, now: now)) == "handle updraft.removal.cancelled")
    }

    @Test func `Commands have an age`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        func judged(_ id: String, _ written: Timestamp) throws -> String {
            word(intake.judge(try delivery(decision(), id: id, keys: keys, written: written), now: now))
        }
        #expect(try judged("1", now - .seconds(900)) == "handle updraft.removal.cancelled")
        #expect(try judged("2", now - .seconds(901)) == "too_old")
        #expect(try judged("3", now + .seconds(300)) == "handle updraft.removal.cancelled")
        #expect(try judged("4", now + .seconds(301)) == "too_new")
    }

    @Test func `The memory for replays is bounded and still remembers the newest`() throws {
        let keys = try #require(keys)
        var verifier = Verifier(keys, capacity: 3)
        let key = "updraft.prod.decisions.info"
        func check(_ id: String, _ time: Timestamp) throws -> Refusal? {
            let encoded = try MessageCoder.encode(
                decision(), messageID: id, publisherID: "p", priority: .info, timestamp: time)
            let received = try MessageCoder.open(encoded.body)
            return verifier.check(
                received, routingKey: key, headers: keys.headers(routingKey: key, text: encoded.text), now: time)
        }
        for id in 1...5 { #expect(try check("\(id)", now + .seconds(Double(id))) == nil) }
        #expect(try check("5", now + .seconds(5)) == .replayed)
        #expect(try check("4", now + .seconds(4)) == .replayed)
        // Much later the ids are gone, but so is the right to say the old thing.
        #expect(try check("6", now + .seconds(5_000)) == nil)
    }

    @Test func `A lap in a wait queue keeps the first routing key and its signature`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "updraft.prod.actuator.decisions")
        let lap: [String: AMQPValue] = [
            BusSettings.Header.routingKey: "updraft.prod.decisions.info", BusSettings.Header.laps: 3,
        ]
        let back = try delivery(
            decision(), keys: keys, exchange: "", arrivedAs: "updraft.prod.actuator.decisions", headers: lap)
        guard case .handle(let incoming) = intake.judge(back, now: now) else {
            Issue.record("refused")
            return
        }
        #expect(incoming.laps == 3)
        #expect(incoming.routingKey.description == "updraft.prod.decisions.info")
        // The header counts only for what comes back to this queue by the default exchange.
        let forged = try delivery(decision(), id: "m2", keys: keys, arrivedAs: "nonsense", headers: lap)
        #expect(word(intake.judge(forged, now: now)) == "routing_key")
    }

    @Test func `A command may be older by as long as we have put it off, and no longer`() throws {
        let keys = try #require(keys)
        let queue = "updraft.prod.actuator.decisions"
        var intake = Intake(try settings(keys), queue: queue, maximumLaps: 100, longestLap: .seconds(30))
        func verdict(_ id: String, laps: Int, after age: Interval, exchange: String = "") throws -> String {
            let back = try delivery(
                decision(), id: id, keys: keys, exchange: exchange, arrivedAs: exchange.isEmpty ? queue : nil,
                headers: [
                    BusSettings.Header.routingKey: "updraft.prod.decisions.info",
                    BusSettings.Header.laps: .int(Int64(laps)),
                ])
            return word(intake.judge(back, now: now + age))
        }
        let limit = keys.maximumAge
        #expect(try verdict("1", laps: 40, after: limit + .seconds(1_000)) == "handle updraft.removal.cancelled")
        #expect(try verdict("2", laps: 40, after: limit + .seconds(1_300)) == "too_old")
        #expect(try verdict("3", laps: .max, after: limit + .seconds(3_100)) == "too_old")
        // Said again by somebody, and not out of our wait queue.
        #expect(try verdict("4", laps: 40, after: limit + .seconds(10), exchange: "updraft") == "too_old")
    }

    @Test func `A command by a topic that needs no signature is refused`() throws {
        let keys = try #require(keys)
        var intake = Intake(try settings(keys), queue: "q")
        let smuggled = try delivery(decision(), key: "updraft.prod.stats.info")
        #expect(word(intake.judge(smuggled, now: now)) == "routing_key")
    }

    @Test func `Messages for another cluster are parked`() throws {
        var intake = Intake(try settings(nil), queue: "q")
        #expect(word(intake.judge(try delivery(decision(cluster: "test")), now: now)) == "other_cluster")
    }

    @Test(arguments: [
        ("", "malformed"), ("{", "malformed"), ("[]", "malformed"), ("{\"oslo.version\":\"2.0\"}", "malformed"),
        ("{\"oslo.version\":\"3.0\",\"oslo.message\":\"{}\"}", "malformed"),
        (
            "{\"oslo.version\":\"2.0\",\"oslo.message\":\"{\\\"event_type\\\":\\\"updraft.nonsense\\\"}\"}",
            "unknown_event"
        ),
    ])
    func `What is not understood is parked with its reason`(body: String, reason: String) throws {
        var intake = Intake(try settings(nil), queue: "q")
        let parked = word(intake.judge(raw(Array(body.utf8)), now: now))
        #expect(parked == reason || (reason == "malformed" && parked == "invalid_field"))
    }

    @Test func `An event of a newer release is left alone and named once; a command or nonsense is parked`() throws {
        var intake = Intake(try settings(nil), queue: "q")
        func judge(_ type: String, _ key: String) throws -> String {
            let text =
                #"{"oslo.version":"2.0","oslo.message":"{\"event_type\":\"\#(type)\",\"message_id\":\"m\",\"publisher_id\":\"p\",\"payload\":{},\"timestamp\":\"2026-11-26 00:00:00.000000\"}"}"#
            return word(intake.judge(raw(Array(text.utf8), key: key), now: now))
        }
        let lifecycle = "updraft.prod.lifecycle.info"
        #expect(try judge("updraft.removal.blessed", lifecycle) == "ignored updraft.removal.blessed")
        #expect(try judge("updraft.removal.blessed", lifecycle) == "ignored again")
        #expect(try judge("updraft.node.praised", lifecycle) == "ignored updraft.node.praised")
        #expect(try judge("updraft.removal.blessed", "updraft.prod.decisions.info") == "unknown_event")
        #expect(try judge("compute.instance.update", lifecycle) == "unknown_event")
        #expect(try judge("updraft.removal.blessed", "updraft.test.lifecycle.info") == "unknown_event")
        // Nor does a known one become anything else by its topic.
        #expect(try judge("updraft.removal.cordoned", lifecycle) != "ignored updraft.removal.cordoned")
    }

    @Test func `A body above the limit was never kept and is parked by its size`() throws {
        var intake = Intake(try settings(nil), queue: "q")
        guard case .park(.message(.tooLarge), let detail, nil) = intake.judge(raw([], size: 500_000_000), now: now)
        else {
            Issue.record("not parked")
            return
        }
        #expect(detail.contains("500000000"))
    }
}
