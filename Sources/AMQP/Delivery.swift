/// A message received. Settle each exactly once with `ack` or `nack`; neither blocks.
///
/// A delivery that is never settled stays with its consumer until the connection ends and uses up prefetch.
public struct Delivery: Sendable {
    /// The content; empty if `isOversize`.
    public let body: [UInt8]
    /// How long the body was on the wire.
    public let bodySize: UInt64
    /// The exchange it was published to.
    public let exchange: String
    /// The routing key it was published with.
    public let routingKey: String
    /// What travelled with it.
    public let properties: MessageProperties
    /// Whether the broker has handed it out before.
    public let redelivered: Bool

    /// Which connection of its consumer it came by: grows with each one.
    public let generation: UInt64

    let tag: UInt64
    let settler: any DeliverySettler

    package init(
        body: [UInt8], bodySize: UInt64, exchange: String, routingKey: String, properties: MessageProperties,
        redelivered: Bool, tag: UInt64, generation: UInt64, settler: any DeliverySettler
    ) {
        self.body = body
        self.bodySize = bodySize
        self.exchange = exchange
        self.routingKey = routingKey
        self.properties = properties
        self.redelivered = redelivered
        self.tag = tag
        self.generation = generation
        self.settler = settler
    }

    /// Whether the body was beyond the limit and therefore thrown away while it came in.
    public var isOversize: Bool { bodySize > UInt64(body.count) }

    /// How often a quorum queue handed it out before; nil where the queue does not count.
    public var deliveryCount: Int? {
        properties.headers["x-delivery-count"]?.int.map { Int(clamping: $0) }
    }

    /// The step is durable: the broker may forget the message. Dropped silently if the connection it came by is gone
    /// (the broker then delivers the message again).
    public func ack() {
        settler.settle(tag: tag, generation: generation, as: .ack)
    }

    /// Gives the message back: to the queue, or (not requeued) to its dead-letter exchange.
    public func nack(requeue: Bool) {
        settler.settle(tag: tag, generation: generation, as: requeue ? .requeue : .reject)
    }
}

/// Who passes a settlement on to the broker. (Tests of other modules have their own.)
package protocol DeliverySettler: AnyObject, Sendable {
    func settle(tag: UInt64, generation: UInt64, as outcome: SettlementOutcome)
}

/// What became of a delivery.
package enum SettlementOutcome: Sendable, Equatable {
    /// Done.
    case ack
    /// Back to the queue.
    case requeue
    /// To the dead-letter exchange.
    case reject
}
