import FoundationEssentials
import Support

/// Bytes of oslo notifications to values and back. No I/O, no clock: the caller gives id and time.
public enum MessageCoder {
    /// What fits into one message unless a caller says otherwise: 4 MiB.
    public static let defaultMaximumBytes = 4 << 20

    /// The schema limit, the envelope and the inner text of a received notification, its payload not yet looked at.
    public struct Received: Sendable, Equatable {
        /// The header.
        public var envelope: Envelope
        /// The inner JSON text, exactly as received: what signatures cover.
        public var text: String
    }

    /// Opens the outer layers of a notification, ours or another service's.
    ///
    /// Accepts envelope 2.0 and the bare inner object that oslo's `messaging` (v1) driver sends.
    /// - Throws: `tooLarge`, `malformed`, or `invalidField` with the path of the header field.
    public static func open(_ body: [UInt8], maximumBytes: Int = defaultMaximumBytes) throws(MessageError) -> Received {
        guard body.count <= maximumBytes else {
            throw MessageError(.tooLarge, what: "\(body.count) bytes, the limit is \(maximumBytes)")
        }
        let outer: Outer = try decode(Outer.self, Data(body), root: "")
        let text: String
        if let version = outer.version {
            guard version == "2.0" else {
                throw MessageError(.malformed, path: "oslo.version", what: "'\(version.cut(utf8: 20))' is not '2.0'")
            }
            guard let message = outer.message else {
                throw MessageError(.malformed, path: "oslo.message", what: "missing")
            }
            text = message
        } else if let bare = String(validating: body, as: UTF8.self) {
            text = bare
        } else {
            throw MessageError(.malformed, what: "not UTF-8")
        }
        let envelope: Envelope = try decode(Envelope.self, Data(text.utf8), root: "")
        return Received(envelope: envelope, text: text)
    }

    /// Decodes the payload of an opened message as `type`; any `Decodable` does, also those of foreign messages.
    public static func payload<Value: Decodable>(
        _ type: Value.Type, of received: Received
    ) throws(MessageError) -> Value {
        let inner: Inner<Value> = try decode(Inner<Value>.self, Data(received.text.utf8), root: "")
        return inner.payload
    }

    /// Decodes and validates one of our payloads.
    public static func payload<Value: Payload>(
        ours type: Value.Type, of received: Received
    ) throws(MessageError) -> Value {
        let header: Inner<SchemaHeader> = try decode(
            Inner<SchemaHeader>.self, Data(received.text.utf8), root: "")
        guard (1...Value.schema).contains(header.payload.schema) else {
            throw MessageError(
                .unsupportedSchema, path: "payload.schema",
                what: "\(header.payload.schema), this release reads up to \(Value.schema)")
        }
        let value = try payload(type, of: received)
        guard RoutingKey.isClusterName(value.cluster) else {
            throw MessageError(.invalidField, path: "payload.cluster", what: "not a cluster name")
        }
        try value.validate()
        return value
    }

    /// The bytes of a notification.
    ///
    /// - Throws: `invalidField` when the payload does not validate, `unencodable`, `tooLarge`.
    public static func encode<Value: Payload>(
        _ payload: Value, messageID: String, publisherID: String, priority: Priority, timestamp: Timestamp,
        maximumBytes: Int = defaultMaximumBytes
    ) throws(MessageError) -> (body: [UInt8], text: String) {
        try payload.validate()
        let envelope = Envelope(
            messageID: messageID, publisherID: publisherID, eventType: Value.eventType.rawValue, priority: priority,
            timestamp: timestamp)
        return try encode(
            envelope, Versioned(schema: Value.schema, payload: payload), maximumBytes: maximumBytes)
    }

    /// The bytes of a notification with any payload and event type: for foreign consumers such as Ceilometer.
    public static func encode<Value: Encodable>(
        _ envelope: Envelope, _ payload: Value, maximumBytes: Int = defaultMaximumBytes
    ) throws(MessageError) -> (body: [UInt8], text: String) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let inner = try encoder.encode(Sent(envelope: envelope, payload: payload))
            let text = String(decoding: inner, as: UTF8.self)
            let body = try encoder.encode(Outer(version: "2.0", message: text))
            guard body.count <= maximumBytes else {
                throw MessageError(.tooLarge, what: "\(body.count) bytes, the limit is \(maximumBytes)")
            }
            return (Array(body), text)
        } catch let error as MessageError {
            throw error
        } catch let EncodingError.invalidValue(_, context) {
            throw MessageError(
                .unencodable, path: path(context.codingPath, root: ""), what: context.debugDescription)
        } catch {
            throw MessageError(.unencodable, what: "\(error)")
        }
    }

    /// `JSONDecoder` with errors that name the path.
    private static func decode<Value: Decodable>(
        _ type: Value.Type, _ data: Data, root: String
    ) throws(MessageError) -> Value {
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let DecodingError.keyNotFound(key, context) {
            throw MessageError(
                .invalidField, path: path(context.codingPath + [key], root: root), what: "missing")
        } catch let DecodingError.valueNotFound(type, context) {
            throw MessageError(
                .invalidField, path: path(context.codingPath, root: root), what: "null instead of \(type)")
        } catch let DecodingError.typeMismatch(type, context) {
            throw MessageError(
                .invalidField, path: path(context.codingPath, root: root), what: "\(type) is needed")
        } catch let DecodingError.dataCorrupted(context) {
            let isField = !context.codingPath.isEmpty
            throw MessageError(
                isField ? .invalidField : .malformed, path: path(context.codingPath, root: root),
                what: isField ? context.debugDescription : "not JSON")
        } catch {
            throw MessageError(.malformed, what: "not JSON")
        }
    }

    private static func path(_ keys: [any CodingKey], root: String) -> String {
        keys.reduce(root) { path, key in
            if let index = key.intValue { return "\(path)[\(index)]" }
            return path.isEmpty ? key.stringValue : "\(path).\(key.stringValue)"
        }
    }
}

/// The outer object. Both fields are optional so that a v1 message (the bare inner object) is told from a broken one.
private struct Outer: Codable {
    var version: String?
    var message: String?

    enum CodingKeys: String, CodingKey {
        case version = "oslo.version"
        case message = "oslo.message"
    }
}

/// The inner object when only its payload is wanted.
private struct Inner<Value: Decodable>: Decodable {
    var payload: Value
}

private struct SchemaHeader: Decodable {
    var schema: Int
}

/// A payload with its schema beside its own fields.
private struct Versioned<Value: Encodable>: Encodable {
    var schema: Int
    var payload: Value

    enum CodingKeys: String, CodingKey {
        case schema
    }

    func encode(to encoder: any Encoder) throws {
        try payload.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(schema, forKey: .schema)
    }
}

/// The inner object: the header's fields and the payload.
private struct Sent<Value: Encodable>: Encodable {
    var envelope: Envelope
    var payload: Value

    enum CodingKeys: String, CodingKey {
        case payload
    }

    func encode(to encoder: any Encoder) throws {
        try envelope.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(payload, forKey: .payload)
    }
}
