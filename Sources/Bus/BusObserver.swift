import Messages
import Support

/// Hooks for metrics and logs. Called from any thread; must return soon.
public struct BusObserver: Sendable {
    /// A message of this topic was confirmed, this long after it was given to the bus.
    public var published: @Sendable (Topic, Interval) -> Void
    /// A message of this topic could not be published.
    public var publishFailed: @Sendable (Topic, BusError) -> Void
    /// A message of ours was handled, with what came of it.
    public var consumed: @Sendable (EventType, Disposition) -> Void
    /// A notification of another service was handled: its exchange, and what came of it.
    public var consumedForeign: @Sendable (String, Disposition) -> Void
    /// A message went to `updraft.dead`: a reason of a bounded set (a label), and the details for the log.
    public var parked: @Sendable (ParkReason, String) -> Void
    /// A command was refused for its signature, age or repetition (it is parked too, unless it is a mere redelivery).
    public var refused: @Sendable (Refusal, String) -> Void
    /// An event was acknowledged and left alone, because this release does not know its type: the type, once each.
    public var ignored: @Sendable (String) -> Void
    /// A message could not be put into `updraft.dead`: for which reason it should have been, and why not. It comes again, or
    /// (`.message`: something in it cannot be sent) is parked without what came with it.
    public var parkFailed: @Sendable (ParkReason, BusError) -> Void

    /// An observer; what is not given is ignored.
    public init(
        published: @escaping @Sendable (Topic, Interval) -> Void = { _, _ in },
        publishFailed: @escaping @Sendable (Topic, BusError) -> Void = { _, _ in },
        consumed: @escaping @Sendable (EventType, Disposition) -> Void = { _, _ in },
        consumedForeign: @escaping @Sendable (String, Disposition) -> Void = { _, _ in },
        parked: @escaping @Sendable (ParkReason, String) -> Void = { _, _ in },
        refused: @escaping @Sendable (Refusal, String) -> Void = { _, _ in },
        ignored: @escaping @Sendable (String) -> Void = { _ in },
        parkFailed: @escaping @Sendable (ParkReason, BusError) -> Void = { _, _ in }
    ) {
        self.published = published
        self.publishFailed = publishFailed
        self.consumed = consumed
        self.consumedForeign = consumedForeign
        self.parked = parked
        self.refused = refused
        self.ignored = ignored
        self.parkFailed = parkFailed
    }
}

/// Why a message was parked.
public enum ParkReason: Sendable, Hashable, CustomStringConvertible {
    /// It could not be understood, or is for another cluster.
    case message(MessageError.Code)
    /// Its routing key is none of ours, or does not fit what it says.
    case routingKey
    /// It was refused.
    case refused(Refusal)
    /// Its handler said so.
    case handler
    /// It was put off too often.
    case lapsExhausted

    /// Whether it was a command that is not believed.
    var isRefusal: Bool {
        if case .refused = self { true } else { false }
    }

    /// The bounded label.
    public var description: String {
        switch self {
        case .message(let code): code.rawValue
        case .routingKey: "routing_key"
        case .refused(let refusal): refusal.rawValue
        case .handler: "handler"
        case .lapsExhausted: "laps_exhausted"
        }
    }
}
