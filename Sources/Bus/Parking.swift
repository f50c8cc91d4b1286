import AMQP
import Crypto
import FoundationEssentials
import Messages
import Support

/// What of a message's body is kept in `updraft.dead`. Pure.
///
/// Foreign notifications may hold live tokens and passwords, and so may whatever is not understood; our own notices
/// and answers hold the tokens by which pods answer. Of all these only what identifies them is kept. Of other messages of
/// ours the body is, up to a bound.
enum Parking {
    /// Bytes of a name in AMQP at most.
    static let maximumNameBytes = 255
    /// Bytes of a body kept at most.
    static let maximumBytes = 16 << 10

    /// The body to park, and the word for how much of it is left. `isOurs`: it came by our own exchange; what comes by
    /// others' is foreign, whatever it calls itself.
    static func body(
        _ body: [UInt8], size: UInt64, received: MessageCoder.Received?, isOurs: Bool = true
    ) -> (body: [UInt8], kept: String) {
        if isOurs, let received, let type = EventType(rawValue: received.envelope.eventType),
            !type.topic.holdsTokens
        {
            return body.count <= maximumBytes
                ? (body, "whole") : (Array(body.prefix(maximumBytes)), "truncated")
        }
        return (metadata(body, size: size, received: received), "metadata")
    }

    private struct Metadata: Encodable {
        var size: UInt64
        var sha256: String?
        var event_type: String?
        var message_id: String?
        var publisher_id: String?
        var timestamp: String?
    }

    private static func metadata(_ body: [UInt8], size: UInt64, received: MessageCoder.Received?) -> [UInt8] {
        // An id or type that is longer than any real one is not one, and may be anything.
        func short(_ text: String?) -> String? { text.map { $0.cut(utf8: 200) } }
        let metadata = Metadata(
            size: size, sha256: body.isEmpty ? nil : sha256(body).hex,
            event_type: short(received?.envelope.eventType), message_id: short(received?.envelope.messageID),
            publisher_id: short(received?.envelope.publisherID), timestamp: short(received?.envelope.timestamp))
        return (try? JSONEncoder().encode(metadata)).map { Array($0) } ?? []
    }

    /// The message for the dead-letter exchange. It keeps its routing key, so that readers of `updraft.dead` can bind
    /// to some of it.
    static func message(
        _ delivery: Delivery, routingKey: String, queue: String, reason: ParkReason, detail: String,
        received: MessageCoder.Received?, settings: BusSettings
    ) -> OutgoingMessage {
        // A lap in a wait queue brings a message back by the default exchange.
        let isOurs = delivery.exchange == settings.exchange || delivery.exchange.isEmpty
        // Out of a header it can be of any length; out of broken UTF-8 on the wire, three times as long as it was.
        let routingKey = routingKey.cut(utf8: maximumNameBytes)
        let (body, kept) = body(delivery.body, size: delivery.bodySize, received: received, isOurs: isOurs)
        var headers: [String: AMQPValue] = [
            BusSettings.Header.reason: .string(reason.description),
            BusSettings.Header.detail: .string(detail.cut(utf8: 500)),
            BusSettings.Header.queue: .string(queue),
            BusSettings.Header.exchange: .string(delivery.exchange),
            BusSettings.Header.routingKey: .string(routingKey),
            BusSettings.Header.service: .string(settings.service),
            BusSettings.Header.cluster: .string(settings.cluster),
            BusSettings.Header.bodySize: .int(Int64(clamping: delivery.bodySize)),
            BusSettings.Header.bodyKept: .string(kept),
        ]
        for name in [SigningKeys.keyHeader, SigningKeys.signatureHeader] {
            if let value = delivery.properties.headers[name]?.string {
                headers[name] = .string(value.cut(utf8: 100))
            }
        }
        return OutgoingMessage(
            exchange: settings.deadName, routingKey: routingKey, body: body,
            properties: MessageProperties(
                contentType: "application/json", contentEncoding: "utf-8", persistent: true,
                messageID: received.map { $0.envelope.messageID.cut(utf8: 60) },
                applicationID: "updraft", headers: headers))
    }

    /// The last resort, where `message` cannot be sent: that something was received and why it is not used, without
    /// anything that came with it.
    static func remains(
        _ delivery: Delivery, queue: String, reason: ParkReason, settings: BusSettings
    ) -> OutgoingMessage {
        OutgoingMessage(
            exchange: settings.deadName, routingKey: "", body: [],
            properties: MessageProperties(
                persistent: true, applicationID: "updraft",
                headers: [
                    BusSettings.Header.reason: .string(reason.description),
                    BusSettings.Header.queue: .string(queue.cut(utf8: maximumNameBytes)),
                    BusSettings.Header.service: .string(settings.service.cut(utf8: maximumNameBytes)),
                    BusSettings.Header.cluster: .string(settings.cluster.cut(utf8: maximumNameBytes)),
                    BusSettings.Header.bodySize: .int(Int64(clamping: delivery.bodySize)),
                    BusSettings.Header.bodyKept: .string("none"),
                ]))
    }
}
