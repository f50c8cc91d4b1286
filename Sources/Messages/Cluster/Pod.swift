import Support

/// A Kubernetes pod: what differs between replicas. The rest is in its shape.
public struct Pod: Sendable, Hashable, Codable {
    /// `status.phase`.
    public enum Phase: String, Sendable, Codable {
        case pending = "Pending"
        case running = "Running"
        case succeeded = "Succeeded"
        case failed = "Failed"
        case unknown = "Unknown"
    }

    /// What the scheduler says of a pod without a node.
    public enum Scheduling: String, Sendable, Codable {
        /// The scheduler has not looked at it yet.
        case unseen
        /// `PodScheduled=False`, reason `Unschedulable`.
        case unschedulable
        /// `PodScheduled=False` for another reason (a scheduling gate, an error).
        case gated
        /// It has a node.
        case scheduled
    }

    /// `metadata.uid`.
    public var uid: String
    /// `metadata.name`.
    public var name: String
    /// Number of its shape in the snapshot's table.
    public var shape: Int
    /// `spec.nodeName`.
    public var node: String?
    /// `status.nominatedNodeName`: waits there for a preemption.
    public var nominatedNode: String?
    /// Its phase.
    public var phase: Phase
    /// What the scheduler says.
    public var scheduling: Scheduling
    /// Whether its `Ready` condition is true.
    public var ready: Bool
    /// `metadata.creationTimestamp`.
    public var createdAt: Timestamp
    /// When `Unschedulable` was first said, if it is.
    public var unschedulableSince: Timestamp?
    /// `metadata.deletionTimestamp`: when its grace period ends.
    public var deletedAt: Timestamp?
    /// Names of its PersistentVolumeClaims.
    public var claims: [String]
    /// `status.startTime`.
    public var startedAt: Timestamp?
    /// When its `Ready` condition last changed; nil: it has none.
    public var readyChangedAt: Timestamp?

    /// A pending pod unless said otherwise.
    public init(
        uid: String, name: String, shape: Int, node: String? = nil, nominatedNode: String? = nil,
        phase: Phase = .pending, scheduling: Scheduling = .unseen, ready: Bool = false,
        createdAt: Timestamp = Timestamp(seconds: 0), unschedulableSince: Timestamp? = nil,
        deletedAt: Timestamp? = nil, claims: [String] = [], startedAt: Timestamp? = nil,
        readyChangedAt: Timestamp? = nil
    ) {
        self.uid = uid
        self.name = name
        self.shape = shape
        self.node = node
        self.nominatedNode = nominatedNode
        self.phase = phase
        self.scheduling = scheduling
        self.ready = ready
        self.createdAt = createdAt
        self.unschedulableSince = unschedulableSince
        self.deletedAt = deletedAt
        self.claims = claims
        self.startedAt = startedAt
        self.readyChangedAt = readyChangedAt
    }
}

extension Pod {
    // Short keys: a snapshot holds tens of thousands of these.
    enum CodingKeys: String, CodingKey {
        case uid, name, shape, node
        case nominatedNode = "nominated"
        case phase
        case scheduling = "sched"
        case ready
        case createdAt = "created"
        case unschedulableSince = "unschedulable"
        case deletedAt = "deleted"
        case claims
        case startedAt = "started"
        case readyChangedAt = "readied"
    }

    /// Absent optional fields have the defaults of `init`.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let seconds = { (key: CodingKeys) throws -> Timestamp? in
            try container.decodeIfPresent(Int64.self, forKey: key).map { Timestamp(seconds: $0) }
        }
        self.init(
            uid: try container.decode(String.self, forKey: .uid),
            name: try container.decode(String.self, forKey: .name),
            shape: try container.decode(Int.self, forKey: .shape),
            node: try container.decodeIfPresent(String.self, forKey: .node),
            nominatedNode: try container.decodeIfPresent(String.self, forKey: .nominatedNode),
            phase: try container.decodeIfPresent(Phase.self, forKey: .phase) ?? .pending,
            scheduling: try container.decodeIfPresent(Scheduling.self, forKey: .scheduling) ?? .unseen,
            ready: try container.decodeIfPresent(Bool.self, forKey: .ready) ?? false,
            createdAt: try seconds(.createdAt) ?? Timestamp(seconds: 0),
            unschedulableSince: try seconds(.unschedulableSince),
            deletedAt: try seconds(.deletedAt),
            claims: try container.decodeIfPresent([String].self, forKey: .claims) ?? [],
            startedAt: try seconds(.startedAt), readyChangedAt: try seconds(.readyChangedAt))
    }

    /// Defaults are left out; times are whole seconds, as Kubernetes has them.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(uid, forKey: .uid)
        try container.encode(name, forKey: .name)
        try container.encode(shape, forKey: .shape)
        try container.encodeIfPresent(node, forKey: .node)
        try container.encodeIfPresent(nominatedNode, forKey: .nominatedNode)
        if phase != .pending { try container.encode(phase, forKey: .phase) }
        if scheduling != .unseen { try container.encode(scheduling, forKey: .scheduling) }
        if ready { try container.encode(ready, forKey: .ready) }
        try container.encode(createdAt.seconds, forKey: .createdAt)
        try container.encodeIfPresent(unschedulableSince?.seconds, forKey: .unschedulableSince)
        try container.encodeIfPresent(deletedAt?.seconds, forKey: .deletedAt)
        if !claims.isEmpty { try container.encode(claims, forKey: .claims) }
        try container.encodeIfPresent(startedAt?.seconds, forKey: .startedAt)
        try container.encodeIfPresent(readyChangedAt?.seconds, forKey: .readyChangedAt)
    }
}
