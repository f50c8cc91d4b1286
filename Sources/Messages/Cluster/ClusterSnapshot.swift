import Support

/// One part of the whole state of a cluster. Parts of one snapshot share epoch and sequence; they come in order.
public struct ClusterSnapshot: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.clusterSnapshot

    /// The cluster.
    public var cluster: String
    /// Changes whenever a Collector starts or takes over: shape numbers and sequences begin anew.
    public var epoch: String
    /// The last delta that this snapshot includes.
    public var sequence: Int64
    /// Number of this part, from 0.
    public var part: Int
    /// How many parts there are.
    public var parts: Int
    /// When the state was taken.
    public var takenAt: Timestamp
    /// Shapes that pods of this and later parts refer to.
    public var shapes: [NumberedShape]
    /// Nodes.
    public var nodes: [Node]
    /// Pods.
    public var pods: [Pod]
    /// PodDisruptionBudgets.
    public var budgets: [Budget]
    /// Owners of pods.
    public var workloads: [Workload]
    /// Claims.
    public var claims: [Claim]
    /// Namespaces.
    public var namespaces: [Namespace]
    /// Pod scalers and what they could scale; nil: none.
    public var scaling: PodScaling?

    /// From its parts.
    public init(
        cluster: String, epoch: String, sequence: Int64, part: Int = 0, parts: Int = 1, takenAt: Timestamp,
        shapes: [NumberedShape] = [], nodes: [Node] = [], pods: [Pod] = [], budgets: [Budget] = [],
        workloads: [Workload] = [], claims: [Claim] = [], namespaces: [Namespace] = [], scaling: PodScaling? = nil
    ) {
        self.cluster = cluster
        self.epoch = epoch
        self.sequence = sequence
        self.part = part
        self.parts = parts
        self.takenAt = takenAt
        self.shapes = shapes
        self.nodes = nodes
        self.pods = pods
        self.budgets = budgets
        self.workloads = workloads
        self.claims = claims
        self.namespaces = namespaces
        self.scaling = scaling
    }

    /// Part numbers must make sense.
    public func validate() throws(MessageError) {
        try Check.identifier(epoch, "epoch")
        try Check.range(parts, 1...100_000, "parts")
        try Check.range(part, 0...(parts - 1), "part")
    }
}

/// What changed since the delta before. An empty one says that the Collector lives and nothing changed.
public struct ClusterDelta: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.clusterDelta

    /// The cluster.
    public var cluster: String
    /// The epoch that shape numbers and sequence belong to.
    public var epoch: String
    /// One more than the delta before; a reader that sees a gap requests a snapshot. An empty delta repeats the last.
    public var sequence: Int64
    /// When it was taken.
    public var takenAt: Timestamp
    /// Shapes not sent before in this epoch.
    public var shapes: [NumberedShape]
    /// Nodes new or changed.
    public var nodes: [Node]
    /// Names of nodes gone.
    public var removedNodes: [String]
    /// Pods new or changed.
    public var pods: [Pod]
    /// UIDs of pods gone.
    public var removedPods: [String]
    /// Budgets new or changed.
    public var budgets: [Budget]
    /// Ids (`namespace/name`) of budgets gone.
    public var removedBudgets: [String]
    /// Workloads new or changed.
    public var workloads: [Workload]
    /// Ids (`kind/namespace/name`) of workloads gone.
    public var removedWorkloads: [String]
    /// Claims new or changed.
    public var claims: [Claim]
    /// Ids (`namespace/name`) of claims gone.
    public var removedClaims: [String]
    /// Namespaces new or changed.
    public var namespaces: [Namespace]
    /// Names of namespaces gone.
    public var removedNamespaces: [String]
    /// What changed of pod scaling; nil: nothing.
    public var scaling: PodScalingChange?

    /// Nothing changed unless said otherwise.
    public init(
        cluster: String, epoch: String, sequence: Int64, takenAt: Timestamp, shapes: [NumberedShape] = [],
        nodes: [Node] = [], removedNodes: [String] = [], pods: [Pod] = [], removedPods: [String] = [],
        budgets: [Budget] = [], removedBudgets: [String] = [], workloads: [Workload] = [],
        removedWorkloads: [String] = [], claims: [Claim] = [], removedClaims: [String] = [],
        namespaces: [Namespace] = [], removedNamespaces: [String] = [], scaling: PodScalingChange? = nil
    ) {
        self.cluster = cluster
        self.epoch = epoch
        self.sequence = sequence
        self.takenAt = takenAt
        self.shapes = shapes
        self.nodes = nodes
        self.removedNodes = removedNodes
        self.pods = pods
        self.removedPods = removedPods
        self.budgets = budgets
        self.removedBudgets = removedBudgets
        self.workloads = workloads
        self.removedWorkloads = removedWorkloads
        self.claims = claims
        self.removedClaims = removedClaims
        self.namespaces = namespaces
        self.removedNamespaces = removedNamespaces
        self.scaling = scaling
    }

    /// Whether it says only that the Collector lives.
    public var isEmpty: Bool {
        nodes.isEmpty && removedNodes.isEmpty && pods.isEmpty && removedPods.isEmpty && budgets.isEmpty
            && removedBudgets.isEmpty && workloads.isEmpty && removedWorkloads.isEmpty && claims.isEmpty
            && removedClaims.isEmpty && namespaces.isEmpty && removedNamespaces.isEmpty && (scaling?.isEmpty ?? true)
    }

    /// The epoch must be named.
    public func validate() throws(MessageError) {
        try Check.identifier(epoch, "epoch")
    }
}

/// A reader has a gap (or just started) and asks for a snapshot.
public struct SnapshotRequested: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.snapshotRequested

    /// The cluster.
    public var cluster: String
    /// Who asks.
    public var requester: String
    /// Why, for a person.
    public var why: String

    /// From its parts.
    public init(cluster: String, requester: String, why: String) {
        self.cluster = cluster
        self.requester = requester
        self.why = why
    }
}
