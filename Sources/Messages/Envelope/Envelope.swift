import FoundationEssentials
import Support

/// The header of an oslo.messaging notification, envelope 2.0.
///
/// On the wire: `{"oslo.version": "2.0", "oslo.message": "<JSON text>"}`, the text holding the fields below and the
/// payload. Ours and those of OpenStack's own services have the same form.
public struct Envelope: Sendable, Equatable, Codable {
    /// Unique per message; repeated deliveries of one message share it.
    public var messageID: String
    /// `<service>.<host>`, e.g. `updraft-decider.node7`.
    public var publisherID: String
    /// e.g. `updraft.scale.decided` or `orchestration.stack.delete.start`.
    public var eventType: String
    /// Upper case in the message, as oslo writes it.
    public var priority: String
    /// When it was written; oslo's form has no zone and is UTC.
    public var timestamp: String

    enum CodingKeys: String, CodingKey {
        case messageID = "message_id"
        case publisherID = "publisher_id"
        case eventType = "event_type"
        case priority
        case timestamp
    }

    /// From its parts.
    public init(messageID: String, publisherID: String, eventType: String, priority: Priority, timestamp: Timestamp) {
        self.messageID = messageID
        self.publisherID = publisherID
        self.eventType = eventType
        self.priority = priority.rawValue.uppercased()
        self.timestamp = timestamp.oslo
    }

    /// Only `event_type` is needed: Ceilometer and others accept (and some tools send) notifications without the rest.
    /// For our own events `Event` insists on `message_id` too.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        messageID = try container.decodeIfPresent(String.self, forKey: .messageID) ?? ""
        publisherID = try container.decodeIfPresent(String.self, forKey: .publisherID) ?? ""
        eventType = try container.decode(String.self, forKey: .eventType)
        priority = try container.decodeIfPresent(String.self, forKey: .priority) ?? "INFO"
        timestamp = try container.decodeIfPresent(String.self, forKey: .timestamp) ?? ""
    }

    /// When it was written, if that can be told.
    public var time: Timestamp? { Timestamp(timestamp) }
}
