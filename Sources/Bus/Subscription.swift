import Messages
import Support

/// What a service wants to read of Updraft's own messages.
public struct Subscription: Sendable, Equatable {
    /// What may happen to messages that wait.
    public enum Kind: Sendable, Equatable {
        /// Nothing: a quorum queue, dead-lettered after the delivery limit (dropped where messages hold tokens).
        case command
        /// They may be dropped, oldest first, beyond `maximumLength` messages or after `ttl`.
        case perishable(maximumLength: Int, ttl: Interval)
    }

    /// The topics, in one queue and thus in order.
    public var topics: [Topic]
    /// What may happen to messages that wait.
    public var kind: Kind
    /// Last part of the queue's name, where a service reads the same topics twice.
    public var suffix: String?
    /// Whether only one replica reads at a time; another takes over when it goes.
    public var singleActive: Bool
    /// Whether the queue belongs to this process alone and goes with it, instead of being shared by the replicas.
    public var exclusive: Bool
    /// How many messages are handed out before the first is settled.
    public var prefetch: Int
    /// Pauses that `Disposition.retryLater` can choose from.
    public var laps: [Interval]
    /// How often a message may be put off before it is parked.
    public var maximumLaps: Int
    /// Heartbeat of its connection, where another replica must soon get what a silent one holds (the broker gives a
    /// connection up after two to three of them); nil, or longer than the settings': theirs.
    public var heartbeat: Interval?

    /// A subscription. Without `kind`: commands are kept, the rest is bounded by 10,000 messages and 10 minutes.
    public init(
        topics: [Topic], kind: Kind? = nil, suffix: String? = nil, singleActive: Bool = true,
        exclusive: Bool = false, prefetch: Int = 32,
        laps: [Interval] = [.seconds(1), .seconds(5), .seconds(30)], maximumLaps: Int = 200,
        heartbeat: Interval? = nil
    ) {
        self.topics = topics
        self.kind =
            kind
            ?? (topics.allSatisfy(\.isPerishable) ? .perishable(maximumLength: 10_000, ttl: .seconds(600)) : .command)
        self.suffix = suffix
        self.singleActive = singleActive && !exclusive
        self.exclusive = exclusive
        self.prefetch = prefetch
        self.laps = laps
        self.maximumLaps = maximumLaps
        self.heartbeat = heartbeat
    }

    /// The lap to wait for about `pause`: the shortest that is no shorter, else the longest; nil if there are none.
    func lap(for pause: Interval) -> Interval? {
        guard !exclusive else { return nil }
        let sorted = laps.sorted()
        return sorted.first { $0 >= pause } ?? sorted.last
    }
}

/// What a service wants to read of other services' notifications, from a queue of its own.
public struct ForeignSubscription: Sendable, Equatable {
    /// Their exchange: `nova`, `heat`, `aodh`, `ceilometer`, `openstack`, …
    public var exchange: String
    /// Whom it hears, which is what the exchange is usually called. Where it is called otherwise this is part of the queue's name:
    /// several services may publish to one exchange (oslo's own default is `openstack`), and readers of one queue would
    /// take each other's notifications.
    public var sender: String?
    /// Routing keys to bind, for example `notifications.info`.
    public var routingKeys: [String]
    /// Whether to declare the exchange, in oslo's usual way (topic, not durable), if it is missing; else it is waited
    /// for. An existing one is never changed.
    public var declareExchange: Bool
    /// Most messages kept while nobody reads; older ones are dropped.
    public var maximumLength: Int
    /// How long a message is kept.
    public var ttl: Interval
    /// Whether only one replica reads at a time.
    public var singleActive: Bool
    /// How many messages are handed out before the first is settled.
    public var prefetch: Int
    /// As of `Subscription`.
    public var heartbeat: Interval?

    /// A subscription.
    public init(
        exchange: String, of sender: String? = nil,
        routingKeys: [String] = ["notifications.info", "notifications.error"],
        declareExchange: Bool = false, maximumLength: Int = 10_000, ttl: Interval = .seconds(600),
        singleActive: Bool = true, prefetch: Int = 64, heartbeat: Interval? = nil
    ) {
        self.exchange = exchange
        self.sender = sender
        self.routingKeys = routingKeys
        self.declareExchange = declareExchange
        self.maximumLength = maximumLength
        self.ttl = ttl
        self.singleActive = singleActive
        self.prefetch = prefetch
        self.heartbeat = heartbeat
    }
}

/// What becomes of a message after its handler has seen it.
public enum Disposition: Sendable, Equatable {
    /// The step is durable; the broker may forget the message.
    case done
    /// Back to the queue, after a pause that grows to a second while one after the other is given back.
    case requeue
    /// Again after about this long: the shortest lap of the subscription that is no shorter, else its longest.
    case retryLater(Interval)
    /// To `updraft.dead`, with the reason.
    case park(reason: String)
}

/// One of our messages, checked and decoded.
public struct Incoming: Sendable {
    /// The header.
    public let envelope: Envelope
    /// What it says.
    public let event: Event
    /// What it was published with.
    public let routingKey: RoutingKey
    /// Whether the broker has handed it out before.
    public let redelivered: Bool
    /// How often a quorum queue has handed it out before; nil where the queue does not count.
    public let deliveryCount: Int?
    /// How often `retryLater` has put it off.
    public let laps: Int
}

/// A notification of another service.
public struct ForeignNotification: Sendable {
    /// The header.
    public let envelope: Envelope
    /// Header and inner text, for `MessageCoder.payload(_:of:)`. Never log the text: some services send live tokens.
    public let received: MessageCoder.Received
    /// The exchange it came by.
    public let exchange: String
    /// What it was published with.
    public let routingKey: String
    /// Whether the broker has handed it out before.
    public let redelivered: Bool
}
