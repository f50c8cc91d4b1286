import Support

/// Change a group to a size.
public struct ScaleDecided: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.scaleDecided

    /// The cluster.
    public var cluster: String
    /// Unique; the act is done at most once per id.
    public var id: String
    /// The node group.
    public var group: String
    /// The size that the decision saw (members that count).
    public var from: Int
    /// The size that it wants.
    public var to: Int
    /// Why.
    public var reason: Explanation
    /// `namespace/name` of pods that it is for: the first few.
    public var pods: [String]
    /// How many pods it is for in all.
    public var podCount: Int
    /// When it was decided.
    public var decidedAt: Timestamp
    /// Refuse after this.
    public var deadline: Timestamp

    /// From its parts.
    public init(
        cluster: String, id: String, group: String, from: Int, to: Int, reason: Explanation, pods: [String] = [],
        podCount: Int = 0, decidedAt: Timestamp, deadline: Timestamp
    ) {
        self.cluster = cluster
        self.id = id
        self.group = group
        self.from = from
        self.to = to
        self.reason = reason
        self.pods = pods
        self.podCount = podCount
        self.decidedAt = decidedAt
        self.deadline = deadline
    }

    /// Ids present, sizes sane.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
        try Check.identifier(group, "group")
        try Check.range(from, 0...1_000_000, "from")
        try Check.range(to, 0...1_000_000, "to")
    }
}

/// A node that is to go.
public struct RemovalTarget: Sendable, Hashable, Codable {
    /// Name of the Node; of a machine that never became one, the id of its server.
    public var node: String
    /// Its UID: another node of the same name is not meant. `RemovalNames.unregistered` for such a machine.
    public var nodeUID: String
    /// UUID of its server.
    public var serverID: String
    /// Pods that will be moved, for people.
    public var podsToMove: Int
    /// Why this one.
    public var reason: Explanation

    /// From its parts.
    public init(node: String, nodeUID: String, serverID: String, podsToMove: Int = 0, reason: Explanation) {
        self.node = node
        self.nodeUID = nodeUID
        self.serverID = serverID
        self.podsToMove = podsToMove
        self.reason = reason
    }
}

/// Remove these nodes of a group, with notice, cooldown and drain.
public struct RemovalDecided: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalDecided

    /// The cluster.
    public var cluster: String
    /// Unique; also the id of the removal on each node's annotation.
    public var id: String
    /// The node group.
    public var group: String
    /// The size that the decision saw.
    public var from: Int
    /// The nodes.
    public var nodes: [RemovalTarget]
    /// When it was decided.
    public var decidedAt: Timestamp
    /// Refuse to begin after this. A removal that began has its own deadline.
    public var deadline: Timestamp

    /// From its parts.
    public init(
        cluster: String, id: String, group: String, from: Int, nodes: [RemovalTarget], decidedAt: Timestamp,
        deadline: Timestamp
    ) {
        self.cluster = cluster
        self.id = id
        self.group = group
        self.from = from
        self.nodes = nodes
        self.decidedAt = decidedAt
        self.deadline = deadline
    }

    /// Ids present, at least one node, none twice.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
        try Check.identifier(group, "group")
        try Check.range(nodes.count, 1...10_000, "nodes.count")
        for (index, target) in nodes.enumerated() {
            try Check.identifier(target.node, "nodes[\(index)].node")
            try Check.identifier(target.nodeUID, "nodes[\(index)].nodeUID")
            try Check.identifier(target.serverID, "nodes[\(index)].serverID")
        }
        guard Set(nodes.map(\.node)).count == nodes.count else {
            throw MessageError(.invalidField, path: "payload.nodes", what: "a node is named twice")
        }
    }
}

/// Take nodes back: undo the removal if Heat has not been called yet.
public struct RemovalCancelled: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.removalCancelled

    /// The cluster.
    public var cluster: String
    /// The removal that is cancelled.
    public var id: String
    /// The nodes to take back; empty: all of the removal.
    public var nodes: [String]
    /// Why.
    public var reason: Explanation
    /// When.
    public var decidedAt: Timestamp

    /// From its parts.
    public init(cluster: String, id: String, nodes: [String], reason: Explanation, decidedAt: Timestamp) {
        self.cluster = cluster
        self.id = id
        self.nodes = nodes
        self.reason = reason
        self.decidedAt = decidedAt
    }

    /// The id must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
    }
}

/// Change the replicas of a workload through its scale subresource.
public struct PodsDecided: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.podsDecided

    /// The cluster.
    public var cluster: String
    /// Unique; the act is done at most once per id.
    public var id: String
    /// e.g. `apps/v1`.
    public var apiVersion: String
    /// e.g. `Deployment`.
    public var kind: String
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// UID of the workload, for Events on it; nil: not known.
    public var uid: String?
    /// Replicas that the decision saw.
    public var from: Int
    /// Replicas that it wants.
    public var to: Int
    /// Why.
    public var reason: Explanation
    /// When it was decided.
    public var decidedAt: Timestamp
    /// Refuse after this.
    public var deadline: Timestamp

    /// From its parts.
    public init(
        cluster: String, id: String, apiVersion: String, kind: String, namespace: String, name: String,
        uid: String? = nil, from: Int, to: Int, reason: Explanation, decidedAt: Timestamp, deadline: Timestamp
    ) {
        self.cluster = cluster
        self.id = id
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.from = from
        self.to = to
        self.reason = reason
        self.decidedAt = decidedAt
        self.deadline = deadline
    }

    /// Ids present, replicas sane.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
        try Check.identifier(kind, "kind")
        try Check.identifier(name, "name")
        try Check.range(to, 0...1_000_000, "to")
    }
}
