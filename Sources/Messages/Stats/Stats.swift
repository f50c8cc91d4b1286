import Support

/// Measured use of nodes, a batch.
public struct NodeStats: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.nodeStats

    /// One node's.
    public struct Sample: Sendable, Hashable, Codable {
        /// Name of the Node.
        public var node: String
        /// UUID of its server, if known.
        public var serverID: String?
        /// When the kubelet measured.
        public var at: Timestamp
        /// CPU in use, thousandths of a core, over the last interval; nil until there are two measurements.
        public var cpuMillis: Double?
        /// CPU in use as a part of allocatable, 0…; nil as above.
        public var cpuUtilization: Double?
        /// Working set in bytes.
        public var memoryBytes: Int64?
        /// Working set as a part of allocatable.
        public var memoryUtilization: Double?
        /// Bytes a second through the network; nil where the source does not tell it, or until there are two
        /// measurements.
        public var receivedPerSecond: Double?
        /// The same, sent.
        public var sentPerSecond: Double?
        /// Bytes in use on the kubelet's file system.
        public var diskBytes: Double?
        /// The same as a part of its size.
        public var diskUtilization: Double?
        /// When network and disk were measured, which kubelets are asked for less often; nil: as the rest.
        public var detailsAt: Timestamp?
        /// Pods that run on it; nil where that is not known.
        public var podsRunning: Int?
        /// Pods that were given to it and do not run yet.
        public var podsPending: Int?
        /// Whether it is older than two intervals.
        public var stale: Bool

        /// From its parts.
        public init(
            node: String, serverID: String? = nil, at: Timestamp, cpuMillis: Double? = nil,
            cpuUtilization: Double? = nil, memoryBytes: Int64? = nil, memoryUtilization: Double? = nil,
            stale: Bool = false
        ) {
            self.node = node
            self.serverID = serverID
            self.at = at
            self.cpuMillis = cpuMillis
            self.cpuUtilization = cpuUtilization
            self.memoryBytes = memoryBytes
            self.memoryUtilization = memoryUtilization
            self.stale = stale
        }
    }

    /// The cluster.
    public var cluster: String
    /// The batch.
    public var samples: [Sample]

    /// From its parts.
    public init(cluster: String, samples: [Sample]) {
        self.cluster = cluster
        self.samples = samples
    }
}

/// Measured use of pods, a batch.
public struct PodStats: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.podStats

    /// One container's.
    public struct Container: Sendable, Hashable, Codable {
        /// Name.
        public var name: String
        /// CPU in use, thousandths of a core; nil until there are two measurements.
        public var cpuMillis: Double?
        /// CPU in use as a part of what is allocatable on the node.
        public var cpuUtilization: Double?
        /// Working set in bytes.
        public var memoryBytes: Int64?
        /// Working set as a part of what is allocatable on the node.
        public var memoryUtilization: Double?
        /// Bytes in its layers and logs.
        public var diskBytes: Double?

        /// A container; its numbers are set afterwards.
        public init(name: String) {
            self.name = name
        }
    }

    /// One pod's.
    public struct Sample: Sendable, Hashable, Codable {
        /// Namespace.
        public var namespace: String
        /// Name.
        public var pod: String
        /// UID, where the source tells it.
        public var podUID: String?
        /// The node.
        public var node: String
        /// When the kubelet measured.
        public var at: Timestamp
        /// CPU in use, thousandths of a core; nil until there are two measurements.
        public var cpuMillis: Double?
        /// CPU in use in whole thousandths of a core, each container's rounded up before they are added, as Kubernetes counts it;
        /// nil where a container's is not known, or it is `cpuMillis` rounded up.
        public var cpuWholeMillis: Double?
        /// CPU in use as a part of what the pod requests; nil where it requests none.
        public var cpuUtilization: Double?
        /// Working set in bytes.
        public var memoryBytes: Int64?
        /// Working set as a part of what the pod requests; nil where it requests none.
        public var memoryUtilization: Double?
        /// Bytes a second through the network; nil where the source does not tell it.
        public var receivedPerSecond: Double?
        /// The same, sent.
        public var sentPerSecond: Double?
        /// Bytes on the node's file system.
        public var diskBytes: Double?
        /// When network and disk were measured, which kubelets are asked for less often; nil: as the rest.
        public var detailsAt: Timestamp?
        /// Its containers; nil unless the Collector is told to publish them.
        public var containers: [Container]?
        /// Stats of the pod's own, by name; nil: it has none.
        public var values: [String: Double]?

        /// From its parts; the rest is set afterwards.
        public init(
            namespace: String, pod: String, podUID: String? = nil, node: String, at: Timestamp,
            cpuMillis: Double? = nil, memoryBytes: Int64? = nil
        ) {
            self.namespace = namespace
            self.pod = pod
            self.podUID = podUID
            self.node = node
            self.at = at
            self.cpuMillis = cpuMillis
            self.memoryBytes = memoryBytes
        }
    }

    /// The cluster.
    public var cluster: String
    /// The batch.
    public var samples: [Sample]

    /// From its parts.
    public init(cluster: String, samples: [Sample]) {
        self.cluster = cluster
        self.samples = samples
    }
}

/// What Nova said of a server (from its oslo notifications), reduced.
public struct CloudServer: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.cloudServer

    /// The cluster.
    public var cluster: String
    /// UUID of the server.
    public var serverID: String
    /// `active`, `building`, `stopped`, `deleting`, `deleted`, `error`…: Nova's word, and `deleting` from the beginning
    /// of a deletion on.
    public var state: String
    /// The foreign event type.
    public var event: String
    /// When.
    public var at: Timestamp

    /// From its parts.
    public init(cluster: String, serverID: String, state: String, event: String, at: Timestamp) {
        self.cluster = cluster
        self.serverID = serverID
        self.state = state
        self.event = event
        self.at = at
    }

    /// The server's id and state must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(serverID, "serverID")
        try Check.identifier(state, "state")
    }

    /// Whether the server goes, is gone or has failed, so that a machine may be lost.
    public var meansTrouble: Bool { ["deleting", "deleted", "error"].contains(state) }
}

/// What Aodh or Alertmanager said of an alarm, reduced.
public struct CloudAlarm: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.cloudAlarm

    /// The cluster.
    public var cluster: String
    /// Alarm id; Alertmanager's fingerprint.
    public var alarmID: String
    /// Its name (`alertname`), if known.
    public var name: String?
    /// `ok`, `alarm` or `insufficient data`.
    public var state: String
    /// The sender's reason.
    public var why: String
    /// When.
    public var at: Timestamp
    /// What it watches, in words, where the Actuator has looked that up.
    public var definition: String?
    /// True: there is no such alarm any more. It says nothing beside another one of its name.
    public var isGone: Bool?

    /// From its parts.
    public init(
        cluster: String, alarmID: String, name: String? = nil, state: String, why: String, at: Timestamp,
        definition: String? = nil, isGone: Bool? = nil
    ) {
        self.cluster = cluster
        self.alarmID = alarmID
        self.name = name
        self.state = state
        self.why = why
        self.at = at
        self.definition = definition
        self.isGone = isGone
    }
}

/// What the hypervisors measured of the nodes' servers (from `telemetry.polling` of Ceilometer's compute agents), reduced.
public struct CloudStats: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.cloudStats

    /// One meter of one server.
    public struct Sample: Sendable, Hashable, Codable {
        /// UUID of the server.
        public var serverID: String
        /// Name of its Node.
        public var node: String
        /// Ceilometer's name: `cpu`, `memory.usage`, …
        public var meter: String
        /// `gauge`, `delta` or `cumulative`.
        public var kind: String
        /// Its unit: `ns`, `MB`, …
        public var unit: String
        /// The value, finite.
        public var value: Double
        /// When it was measured.
        public var at: Timestamp

        /// From its parts.
        public init(
            serverID: String, node: String, meter: String, kind: String, unit: String, value: Double, at: Timestamp
        ) {
            self.serverID = serverID
            self.node = node
            self.meter = meter
            self.kind = kind
            self.unit = unit
            self.value = value
            self.at = at
        }
    }

    /// The cluster.
    public var cluster: String
    /// The batch.
    public var samples: [Sample]

    /// From its parts.
    public init(cluster: String, samples: [Sample]) {
        self.cluster = cluster
        self.samples = samples
    }
}
