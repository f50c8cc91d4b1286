import Support

/// Where the removal of one node stands: the fields that its seven events share.
public struct RemovalProgress: Sendable, Hashable, Codable {
    /// The removal (id of the `RemovalDecided`).
    public var id: String
    /// The node group; empty when the node belongs to none.
    public var group: String
    /// Name of the Node.
    public var node: String
    /// Its UID.
    public var nodeUID: String
    /// UUID of its server.
    public var serverID: String
    /// Why the node goes, or why the removal failed or was given up.
    public var reason: Explanation
    /// Until when the pods may take, once known.
    public var deadline: Timestamp?
    /// Pods told, answered, evicted or gone, as fits the event.
    public var pods: Int
    /// When.
    public var at: Timestamp
    /// What the record on the Node said then; absent where there was none.
    public var phase: RemovalPhase?
    /// When Heat was called, or the machine was let go; absent before.
    public var calledAt: Timestamp?

    /// From its parts.
    public init(
        id: String, group: String, node: String, nodeUID: String, serverID: String, reason: Explanation,
        deadline: Timestamp? = nil, pods: Int = 0, at: Timestamp, phase: RemovalPhase? = nil,
        calledAt: Timestamp? = nil
    ) {
        self.id = id
        self.group = group
        self.node = node
        self.nodeUID = nodeUID
        self.serverID = serverID
        self.reason = reason
        self.deadline = deadline
        self.pods = pods
        self.at = at
        self.phase = phase
        self.calledAt = calledAt
    }
}

/// The node is unschedulable and tainted (Actuator).
public struct RemovalCordoned: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalCordoned

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}

/// Every pod that will be moved was told; the cooldown runs (Notifier).
public struct RemovalNoticed: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalNoticed

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}

/// All pods answered, or the deadline passed: the drain may begin (Notifier).
public struct RemovalQuiesced: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalQuiesced

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}

/// The pods are gone, counted by UID (Actuator).
public struct RemovalDrained: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalDrained

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}

/// Heat is called next, or the hold that somebody else's deletion waits for is let go: there is no way back (Actuator).
public struct RemovalCommitted: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalCommitted

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}

/// The chosen member is gone from Heat and the Node from Kubernetes (Actuator).
public struct RemovalCompleted: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalCompleted

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}

/// Given up or taken back; the node is schedulable again unless the reason says otherwise.
public struct RemovalFailed: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalFailed

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var removal: RemovalProgress

    /// From its parts.
    public init(cluster: String, removal: RemovalProgress) {
        self.cluster = cluster
        self.removal = removal
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(removal.id, "removal.id")
        try Check.identifier(removal.node, "removal.node")
        try Check.identifier(removal.nodeUID, "removal.nodeUID")
    }
}
