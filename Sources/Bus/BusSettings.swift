import AMQP
import Support

/// Everything a service's side of the bus needs to know.
public struct BusSettings: Sendable {
    /// Type of the queues that must not lose anything.
    public enum QueueType: String, Sendable {
        /// Replicated (docs/architecture.md §3).
        case quorum
        /// For brokers without quorum queues.
        case classic
    }

    /// The connection.
    public var amqp: AMQPSettings
    /// Our topic exchange.
    public var exchange: String
    /// The cluster served.
    public var cluster: String
    /// The service's short name: `collector`, `decider`, `actuator`, `notifier`.
    public var service: String
    /// This machine's name, for `publisher_id`.
    public var host: String
    /// Keys for commands; nil leaves commands unsigned and accepts any.
    public var keys: SigningKeys?
    /// Type of command queues.
    public var queueType: QueueType
    /// Largest message sent or read.
    public var maximumMessageBytes: Int
    /// How often a quorum queue hands a command out again before it goes to `updraft.dead`.
    public var deliveryLimit: Int
    /// How long a perishable message may wait for the broker before it is given up.
    public var perishableWait: Interval
    /// How long `checkpoint` waits for a reader that died holding the message; above twice the heartbeat of such reads
    /// (5 s), after which the broker gives it up.
    public var checkpointPatience: Interval

    /// Settings with usual values.
    public init(
        amqp: AMQPSettings, exchange: String = "updraft", cluster: String, service: String, host: String,
        keys: SigningKeys? = nil, queueType: QueueType = .quorum, maximumMessageBytes: Int = 4 << 20,
        deliveryLimit: Int = 20, perishableWait: Interval = .seconds(30), checkpointPatience: Interval = .seconds(15)
    ) {
        self.amqp = amqp
        self.exchange = exchange
        self.cluster = cluster
        self.service = service
        self.host = host
        self.keys = keys
        self.queueType = queueType
        self.maximumMessageBytes = maximumMessageBytes
        self.deliveryLimit = deliveryLimit
        self.perishableWait = perishableWait
        self.checkpointPatience = checkpointPatience
    }

    /// `updraft-<service>.<host>`.
    var publisherID: String { "updraft-\(service).\(host)" }

    /// The dead-letter exchange and its queue have one name.
    var deadName: String { "\(exchange).dead" }

    func connection(_ purpose: String) -> AMQPSettings {
        var settings = amqp
        settings.name = "updraft-\(service) \(cluster) \(host) \(purpose)"
        settings.maximumMessageBytes = maximumMessageBytes
        return settings
    }
}
