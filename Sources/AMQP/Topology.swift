/// What has to exist at the broker before work starts; declared again at every (re)connect.
public struct Topology: Sendable, Equatable {
    /// How a thing comes to exist.
    public enum Mode: Sendable, Equatable {
        /// Ours: declared with these arguments; other arguments at the broker are an error (406).
        case declare
        /// Somebody else's: only checked for. Missing is an error (404); a publisher or consumer waits
        /// for such an exchange (`ConnectionState.awaiting`).
        case passive
        /// Somebody else's: checked for, and declared like this if missing. Whatever is there is accepted.
        case declareIfMissing
    }

    /// An exchange.
    public struct Exchange: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// `topic`, `fanout`, `direct`, `headers` or a plugin's type.
        public var kind: String
        /// Whether it survives a restart of the broker.
        public var durable: Bool
        /// Whether it goes with its last binding.
        public var autoDelete: Bool
        /// Extra arguments.
        public var arguments: [String: AMQPValue]
        /// How it comes to exist.
        public var mode: Mode

        /// An exchange.
        public init(
            _ name: String, kind: String = "topic", durable: Bool = true, autoDelete: Bool = false,
            arguments: [String: AMQPValue] = [:], mode: Mode = .declare
        ) {
            self.name = name
            self.kind = kind
            self.durable = durable
            self.autoDelete = autoDelete
            self.arguments = arguments
            self.mode = mode
        }
    }

    /// A queue.
    public struct Queue: Sendable, Equatable {
        /// Its name.
        public var name: String
        /// Whether it survives a restart of the broker.
        public var durable: Bool
        /// Whether it belongs to this connection alone and goes with it.
        public var exclusive: Bool
        /// Whether it goes with its last consumer.
        public var autoDelete: Bool
        /// Extra arguments (`x-queue-type`, `x-max-length`, …).
        public var arguments: [String: AMQPValue]
        /// How it comes to exist.
        public var mode: Mode

        /// A queue.
        public init(
            _ name: String, durable: Bool = true, exclusive: Bool = false, autoDelete: Bool = false,
            arguments: [String: AMQPValue] = [:], mode: Mode = .declare
        ) {
            self.name = name
            self.durable = durable
            self.exclusive = exclusive
            self.autoDelete = autoDelete
            self.arguments = arguments
            self.mode = mode
        }
    }

    /// A binding of a queue to an exchange.
    public struct Binding: Sendable, Equatable {
        /// The queue.
        public var queue: String
        /// The exchange.
        public var exchange: String
        /// The routing key or pattern.
        public var routingKey: String
        /// Extra arguments.
        public var arguments: [String: AMQPValue]

        /// A binding of `queue` to `exchange`.
        public init(queue: String, exchange: String, routingKey: String, arguments: [String: AMQPValue] = [:]) {
            self.queue = queue
            self.exchange = exchange
            self.routingKey = routingKey
            self.arguments = arguments
        }
    }

    /// Exchanges, declared first.
    public var exchanges: [Exchange]
    /// Queues, declared second.
    public var queues: [Queue]
    /// Bindings, made last.
    public var bindings: [Binding]

    /// What has to exist.
    public init(exchanges: [Exchange] = [], queues: [Queue] = [], bindings: [Binding] = []) {
        self.exchanges = exchanges
        self.queues = queues
        self.bindings = bindings
    }

    /// Both together.
    public static func + (left: Topology, right: Topology) -> Topology {
        Topology(
            exchanges: left.exchanges + right.exchanges, queues: left.queues + right.queues,
            bindings: left.bindings + right.bindings)
    }
}
