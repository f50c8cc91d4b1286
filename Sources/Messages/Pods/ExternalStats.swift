import Support

/// Values from elsewhere that pod scalers may name: the depth of a queue, sessions, anything. Whoever has them publishes
/// them.
public struct ExternalStats: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.externalStats

    /// One value.
    public struct Sample: Sendable, Hashable, Codable {
        /// Its name, as thresholds name it.
        public var stat: String
        /// For scalers of this namespace only; nil: for all.
        public var namespace: String?
        /// The value.
        public var value: Double
        /// When it was measured.
        public var at: Timestamp

        /// From its parts.
        public init(stat: String, namespace: String? = nil, value: Double, at: Timestamp) {
            self.stat = stat
            self.namespace = namespace
            self.value = value
            self.at = at
        }
    }

    /// A value that whoever tells it could not get: a stat that is missing says why.
    public struct Failure: Sendable, Hashable, Codable {
        /// Its name.
        public var stat: String
        /// As with samples.
        public var namespace: String?
        /// Why, for a person.
        public var why: String
        /// When it was tried.
        public var at: Timestamp

        /// From its parts.
        public init(stat: String, namespace: String? = nil, why: String, at: Timestamp) {
            self.stat = stat
            self.namespace = namespace
            self.why = why
            self.at = at
        }
    }

    /// The cluster.
    public var cluster: String
    /// The batch.
    public var samples: [Sample]
    /// What could not be got; nil: nothing is known of that.
    public var failures: [Failure]?
    /// Time until the sender tells them again, an hour at most; nil: not said. A value that was fresh when it was told counts for
    /// twice that, however short `decider.pods.stat_max_age` is.
    public var interval: Interval?

    /// From its parts.
    public init(cluster: String, samples: [Sample], failures: [Failure]? = nil, interval: Interval? = nil) {
        self.cluster = cluster
        self.samples = samples
        self.failures = failures
        self.interval = interval
    }
}
