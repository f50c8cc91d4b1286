import Support

/// A node as it appears: the fields that joined and ready share.
public struct NodeArrival: Sendable, Hashable, Codable {
    /// Name of the Node.
    public var node: String
    /// Its UID.
    public var nodeUID: String
    /// UUID of its server.
    public var serverID: String
    /// The node group.
    public var group: String
    /// How long since Heat made its member, when known, in seconds.
    public var after: Interval?
    /// When.
    public var at: Timestamp

    /// From its parts.
    public init(
        node: String, nodeUID: String, serverID: String, group: String, after: Interval? = nil, at: Timestamp
    ) {
        self.node = node
        self.nodeUID = nodeUID
        self.serverID = serverID
        self.group = group
        self.after = after
        self.at = at
    }
}

/// A machine of the group registered as a Node (Actuator).
public struct NodeJoined: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.nodeJoined

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var arrival: NodeArrival

    /// From its parts.
    public init(cluster: String, arrival: NodeArrival) {
        self.cluster = cluster
        self.arrival = arrival
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(arrival.node, "arrival.node")
        try Check.identifier(arrival.group, "arrival.group")
    }
}

/// A joined node is Ready (Actuator).
public struct NodeReady: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.nodeReady

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var arrival: NodeArrival

    /// From its parts.
    public init(cluster: String, arrival: NodeArrival) {
        self.cluster = cluster
        self.arrival = arrival
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(arrival.node, "arrival.node")
        try Check.identifier(arrival.group, "arrival.group")
    }
}

/// A machine of the group is no ready node although its provision time is over (Actuator). Said once for each machine; what
/// becomes of it is the Decider's to decide.
public struct NodeOverdue: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.nodeOverdue

    /// The cluster.
    public var cluster: String
    /// The node group.
    public var group: String
    /// Name of its member in Heat's group.
    public var member: String
    /// UUID of its server.
    public var serverID: String
    /// Name of its Node, if it registered and is not ready.
    public var node: String?
    /// What is missing, and what Nova says.
    public var reason: Explanation
    /// How long since Heat made its member, in seconds.
    public var after: Interval
    /// When.
    public var at: Timestamp

    /// From its parts.
    public init(
        cluster: String, group: String, member: String, serverID: String, node: String? = nil, reason: Explanation,
        after: Interval, at: Timestamp
    ) {
        self.cluster = cluster
        self.group = group
        self.member = member
        self.serverID = serverID
        self.node = node
        self.reason = reason
        self.after = after
        self.at = at
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(group, "group")
        try Check.identifier(serverID, "serverID")
    }
}
