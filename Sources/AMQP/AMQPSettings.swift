import Support

/// How TLS is done where the URL asks for it.
public struct AMQPTLS: Sendable, Equatable {
    /// PEM file of the authorities to trust; nil for the system's.
    public var caFile: String?
    /// PEM file of the client certificate, for brokers that demand one.
    public var certificateFile: String?
    /// PEM file of the client's key.
    public var keyFile: String?
    /// Whether the certificate has to name the host (or the IP address) of the URL.
    public var verifyHost: Bool

    /// TLS settings.
    public init(
        caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil, verifyHost: Bool = true
    ) {
        self.caFile = caFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.verifyHost = verifyHost
    }
}

/// Everything a connection needs to know.
public struct AMQPSettings: Sendable, Equatable {
    /// Where to connect to, and as whom.
    public var url: TransportURL
    /// TLS, used if the URL says so.
    public var tls: AMQPTLS
    /// Heartbeat asked for (whole seconds); a silent broker is given up after twice this.
    public var heartbeat: Interval
    /// Bound for each of: connecting, the handshake, and an answer to a declaration.
    public var connectTimeout: Interval
    /// First and largest delay between attempts to connect.
    public var backoff: Backoff
    /// The same while an exchange of somebody else's (`Topology.Mode.passive`) does not exist: an ordinary state, which may last.
    public var absenceBackoff: Backoff
    /// The connection's name in the broker's management pages.
    public var name: String
    /// Messages written but not confirmed, at most.
    public var maximumInFlight: Int
    /// Messages accepted for publishing but not written yet, at most; beyond it `publish` throws `.full`.
    public var maximumWaiting: Int
    /// Bytes of bodies waiting and in flight together, at most; beyond it `publish` throws `.full`.
    public var maximumWaitingBytes: Int
    /// Largest body to publish, and largest body to keep when consuming: a bigger delivery arrives without its body.
    public var maximumMessageBytes: Int

    /// Settings with usual values.
    public init(
        url: TransportURL, tls: AMQPTLS = .init(), heartbeat: Interval = .seconds(30),
        connectTimeout: Interval = .seconds(10),
        backoff: Backoff = .init(first: .milliseconds(100), cap: .seconds(15)),
        absenceBackoff: Backoff = .init(first: .seconds(1), cap: .seconds(90)), name: String = "updraft",
        maximumInFlight: Int = 1_000, maximumWaiting: Int = 20_000, maximumWaitingBytes: Int = 64 << 20,
        maximumMessageBytes: Int = 16 << 20
    ) {
        self.url = url
        self.tls = tls
        self.heartbeat = heartbeat
        self.connectTimeout = connectTimeout
        self.backoff = backoff
        self.absenceBackoff = absenceBackoff
        self.name = name
        self.maximumInFlight = max(1, maximumInFlight)
        self.maximumWaiting = max(1, maximumWaiting)
        self.maximumWaitingBytes = maximumWaitingBytes
        self.maximumMessageBytes = maximumMessageBytes
    }
}

/// Where a connection stands.
public enum ConnectionState: Sendable, Equatable {
    /// Not connected; the last error, if an attempt failed already.
    case connecting(AMQPError?)
    /// An exchange of somebody else's does not exist, and is looked for again and again; the broker's words.
    case awaiting(AMQPError)
    /// Connected and declared; the host.
    case connected(String)
    /// Connected, but the broker takes no messages for now; its reason (a memory or disk alarm).
    case blocked(String)
    /// Closed by its owner.
    case closed
}

/// What happens to a connection, told from its thread: the closure must return soon.
public enum ConnectionEvent: Sendable, Equatable {
    /// Connected and declared.
    case connected(host: String)
    /// Lost or not reached; tried again after `retryIn`.
    case disconnected(AMQPError, retryIn: Interval)
    /// An exchange of somebody else's does not exist. Told once, and again after a connection or another failure.
    case awaiting(AMQPError)
    /// The broker takes no messages for now.
    case blocked(reason: String)
    /// The broker takes messages again.
    case unblocked
    /// The broker ended the subscription, usually because the queue was deleted; it is declared again.
    case consumerCancelled(queue: String)
    /// The broker refused a declaration. Lasting; tried again slowly.
    case topologyRefused(AMQPError)
}
