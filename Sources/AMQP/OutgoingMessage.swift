import Support

/// The properties that travel with a message.
public struct MessageProperties: Sendable, Equatable {
    /// MIME type of the body.
    public var contentType: String?
    /// Encoding of the body, `utf-8` for oslo's messages.
    public var contentEncoding: String?
    /// Whether the message survives a restart of the broker (delivery mode 2).
    public var persistent: Bool
    /// 0…9; queues without priorities ignore it.
    public var priority: UInt8?
    /// Ties a reply to its request.
    public var correlationID: String?
    /// Queue for replies.
    public var replyTo: String?
    /// Time to live in the queue.
    public var expiration: Interval?
    /// Identity of the message.
    public var messageID: String?
    /// Seconds since the Unix epoch.
    public var timestamp: UInt64?
    /// The application's name for the kind of message.
    public var type: String?
    /// Who wrote it.
    public var applicationID: String?
    /// The application's own headers.
    public var headers: [String: AMQPValue]

    /// Properties; everything not given is left out.
    public init(
        contentType: String? = nil, contentEncoding: String? = nil, persistent: Bool = true, priority: UInt8? = nil,
        correlationID: String? = nil, replyTo: String? = nil, expiration: Interval? = nil, messageID: String? = nil,
        timestamp: UInt64? = nil, type: String? = nil, applicationID: String? = nil, headers: [String: AMQPValue] = [:]
    ) {
        self.contentType = contentType
        self.contentEncoding = contentEncoding
        self.persistent = persistent
        self.priority = priority
        self.correlationID = correlationID
        self.replyTo = replyTo
        self.expiration = expiration
        self.messageID = messageID
        self.timestamp = timestamp
        self.type = type
        self.applicationID = applicationID
        self.headers = headers
    }
}

/// A message to publish.
public struct OutgoingMessage: Sendable, Equatable {
    /// The exchange; empty is the default exchange, which routes to the queue named by the routing key.
    public var exchange: String
    /// The routing key, at most 255 bytes.
    public var routingKey: String
    /// The content.
    public var body: [UInt8]
    /// What travels with it.
    public var properties: MessageProperties
    /// Whether it is an error (`.unroutable`) that no queue takes it.
    public var mandatory: Bool

    /// A message to publish.
    public init(
        exchange: String, routingKey: String, body: [UInt8], properties: MessageProperties = .init(),
        mandatory: Bool = false
    ) {
        self.exchange = exchange
        self.routingKey = routingKey
        self.body = body
        self.properties = properties
        self.mandatory = mandatory
    }
}

extension OutgoingMessage {
    /// Refuses what AMQP cannot carry before anything is written: a frame half written costs the connection, and with
    /// it every other message in flight.
    func validate(maximumBodyBytes: Int, maximumHeaderBytes: Int = 100_000) throws(AMQPError) {
        func short(_ text: String?, _ name: String) throws(AMQPError) {
            guard let text, text.utf8.count > 255 else { return }
            throw AMQPError(
                .invalid, "\(name) is \(text.utf8.count) bytes long, more than AMQP's 255: \(text.cut(utf8: 60))…")
        }
        try short(exchange, "exchange")
        try short(routingKey, "routing key")
        try short(properties.contentType, "content type")
        try short(properties.contentEncoding, "content encoding")
        try short(properties.correlationID, "correlation id")
        try short(properties.replyTo, "reply-to")
        try short(properties.messageID, "message id")
        try short(properties.type, "type")
        try short(properties.applicationID, "application id")
        for name in properties.headers.keys { try short(name, "header name") }
        guard body.count <= maximumBodyBytes else {
            throw AMQPError(
                .tooLarge, "message of \(body.count) bytes to \(routingKey), the limit is \(maximumBodyBytes)")
        }
        let headerBytes = AMQPValue.encodedSize(of: properties.headers)
        guard headerBytes <= maximumHeaderBytes else {
            throw AMQPError(
                .tooLarge, "headers of \(headerBytes) bytes to \(routingKey), the limit is \(maximumHeaderBytes)")
        }
    }
}
