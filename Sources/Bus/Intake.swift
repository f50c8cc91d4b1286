import AMQP
import Messages
import Support

/// Judges what arrives for one subscription before any handler sees it. Pure: the caller gives the time.
struct Intake: Sendable {
    /// What to do with a delivery.
    enum Verdict: Sendable {
        /// Hand it to the handler.
        case handle(Incoming)
        /// Park it.
        case park(ParkReason, detail: String, MessageCoder.Received?)
        /// Handled before and delivered again because its ack was lost: ack it.
        case repeated
        /// An event of a newer release that this one can do without: ack it. Its type, the first time only.
        case ignore(String?)
    }

    private let cluster: String
    private let queue: String
    private let maximumBytes: Int
    private let maximumLaps: Int
    private let longestLap: Interval
    private var verifier: Verifier?
    /// Types of events that were ignored, so that each is said once. (What somebody invents has no end.)
    private var ignored: Set<String> = []
    private static let maximumIgnored = 100

    init(_ settings: BusSettings, queue: String, maximumLaps: Int = 0, longestLap: Interval = .zero) {
        cluster = settings.cluster
        self.queue = queue
        self.maximumLaps = maximumLaps
        self.longestLap = longestLap
        maximumBytes = settings.maximumMessageBytes
        verifier = settings.keys.map { Verifier($0) }
    }

    /// The routing key a message was first published with: a lap in a wait queue brings it back by the default exchange
    /// with the queue's name, the first key then stands in a header. (Whoever forges the header gains nothing: the
    /// signature covers the key it names.)
    func routingKey(of delivery: Delivery) -> String {
        guard delivery.exchange.isEmpty, delivery.routingKey == queue else { return delivery.routingKey }
        return delivery.properties.headers[BusSettings.Header.routingKey]?.string ?? delivery.routingKey
    }

    /// Checks size, form, routing key, signature, type and cluster, in this order.
    mutating func judge(_ delivery: Delivery, now: Timestamp) -> Verdict {
        guard !delivery.isOversize else {
            return .park(
                .message(.tooLarge), detail: "\(delivery.bodySize) bytes, the limit is \(maximumBytes)", nil)
        }
        let received: MessageCoder.Received
        do throws(MessageError) {
            received = try MessageCoder.open(delivery.body, maximumBytes: maximumBytes)
        } catch {
            return .park(.message(error.code), detail: error.description, nil)
        }
        let text = routingKey(of: delivery)
        guard let key = RoutingKey(text) else {
            return .park(.routingKey, detail: "'\(text.cut(utf8: 100))' is no routing key of Updraft", received)
        }
        let putOff = putOff(delivery)
        if key.topic.isCommand,
            let refusal = verifier?.check(
                received, routingKey: text, headers: delivery.properties.headers, now: now, putOff: putOff)
        {
            if refusal == .replayed, delivery.redelivered { return .repeated }
            let (type, id) = (received.envelope.eventType.cut(utf8: 60), received.envelope.messageID.cut(utf8: 60))
            return .park(.refused(refusal), detail: "\(type) \(id)", received)
        }
        return decode(delivery, received, key)
    }

    private mutating func decode(
        _ delivery: Delivery, _ received: MessageCoder.Received, _ key: RoutingKey
    ) -> Verdict {
        let event: Event
        do throws(MessageError) {
            event = try Event(received)
        } catch {
            if error.code == .unknownEvent, isOfAnotherRelease(received, key) {
                let type = received.envelope.eventType.cut(utf8: 100)
                let isNews = ignored.count < Self.maximumIgnored && ignored.insert(type).inserted
                return .ignore(isNews ? type : nil)
            }
            return .park(.message(error.code), detail: error.description, received)
        }
        // Else a command could come by a topic that needs no signature.
        guard event.type.topic == key.topic else {
            return .park(
                .routingKey,
                detail: "\(event.type.rawValue) belongs to the topic \(event.type.topic.rawValue), "
                    + "not \(key.topic.rawValue)", received)
        }
        guard event.cluster == cluster, key.cluster == cluster else {
            return .park(
                .message(.otherCluster), detail: "for \(event.cluster), this is \(cluster)", received)
        }
        return .handle(
            Incoming(
                envelope: received.envelope, event: event, routingKey: key, redelivered: delivery.redelivered,
                deliveryCount: delivery.deliveryCount, laps: laps(of: delivery)))
    }

    /// While replicas of several releases run, the newer ones tell steps that the older ones do not know. What happened is for
    /// information, so nothing is lost; a command that is not understood is another matter.
    private func isOfAnotherRelease(_ received: MessageCoder.Received, _ key: RoutingKey) -> Bool {
        key.topic == .lifecycle && key.cluster == cluster && received.envelope.eventType.hasPrefix("updraft.")
    }

    private func laps(of delivery: Delivery) -> Int {
        delivery.properties.headers[BusSettings.Header.laps]?.int.map { Int(clamping: max(0, $0)) } ?? 0
    }

    /// A command that waits for its turn is not an old one that somebody sends again. The header could be forged: that
    /// gains as much as all laps may last, and what a command says of its own deadline still holds.
    private func putOff(_ delivery: Delivery) -> Interval {
        guard delivery.exchange.isEmpty, delivery.routingKey == queue else { return .zero }
        return longestLap * Double(min(laps(of: delivery), maximumLaps))
    }

    /// The message was not handled for good and will come again.
    mutating func willComeAgain(_ messageID: String) {
        verifier?.forget(messageID)
    }
}
