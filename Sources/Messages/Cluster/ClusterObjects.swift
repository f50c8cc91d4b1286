import Support

/// A PodDisruptionBudget.
public struct Budget: Sendable, Hashable, Codable {
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// Which pods it covers; nil matches none.
    public var selector: LabelSelector?
    /// `status.disruptionsAllowed`.
    public var disruptionsAllowed: Int32
    /// Whether the controller has processed the current generation.
    public var isCurrent: Bool

    /// From its parts.
    public init(
        namespace: String, name: String, selector: LabelSelector?, disruptionsAllowed: Int32, isCurrent: Bool = true
    ) {
        self.namespace = namespace
        self.name = name
        self.selector = selector
        self.disruptionsAllowed = disruptionsAllowed
        self.isCurrent = isCurrent
    }

    /// `namespace/name`.
    public var id: String { "\(namespace)/\(name)" }
}

/// A controller that owns pods (ReplicaSet, ReplicationController, StatefulSet, Job, DaemonSet).
public struct Workload: Sendable, Hashable, Codable {
    /// Kind.
    public var kind: String
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// UID.
    public var uid: String
    /// `spec.replicas` (parallelism of a Job; zero for a DaemonSet).
    public var replicas: Int32
    /// `status.replicas` (active of a Job).
    public var currentReplicas: Int32
    /// Shape of the pods it makes, for a DaemonSet: its overhead on a new node. Number in the shape table.
    public var template: Int?
    /// Set once somebody deleted it.
    public var deletedAt: Timestamp?

    /// From its parts.
    public init(
        kind: String, namespace: String, name: String, uid: String = "", replicas: Int32 = 0,
        currentReplicas: Int32 = 0, template: Int? = nil, deletedAt: Timestamp? = nil
    ) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.replicas = replicas
        self.currentReplicas = currentReplicas
        self.template = template
        self.deletedAt = deletedAt
    }

    /// `kind/namespace/name`.
    public var id: String { "\(kind)/\(namespace)/\(name)" }
}

/// A PersistentVolumeClaim, as far as it binds its pod to a place.
public struct Claim: Sendable, Hashable, Codable {
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// Whether it is bound to a volume.
    public var isBound: Bool
    /// Required node affinity of the bound volume (zone): any term suffices; nil: anywhere.
    public var nodeAffinity: [NodeSelectorTerm]?

    /// From its parts.
    public init(namespace: String, name: String, isBound: Bool, nodeAffinity: [NodeSelectorTerm]? = nil) {
        self.namespace = namespace
        self.name = name
        self.isBound = isBound
        self.nodeAffinity = nodeAffinity
    }

    /// `namespace/name`.
    public var id: String { "\(namespace)/\(name)" }
}

/// A namespace with labels, for namespace selectors of pod affinity.
public struct Namespace: Sendable, Hashable, Codable {
    /// Name.
    public var name: String
    /// Labels.
    public var labels: [String: String]

    /// From its parts.
    public init(name: String, labels: [String: String] = [:]) {
        self.name = name
        self.labels = labels
    }
}

/// A shape with its number. Numbers are unique within an epoch and never reused in it.
public struct NumberedShape: Sendable, Hashable, Codable {
    /// The number that pods refer to.
    public var id: Int
    /// The shape.
    public var shape: PodShape

    /// From its parts.
    public init(id: Int, shape: PodShape) {
        self.id = id
        self.shape = shape
    }
}
