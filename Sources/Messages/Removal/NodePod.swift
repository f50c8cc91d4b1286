import Support

/// A pod on a node under removal: what telling and evicting it needs.
public struct NodePod: Sendable, Hashable {
    /// A named container port.
    public struct Port: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// 1…65535.
        public var number: Int32

        /// From its parts.
        public init(name: String, number: Int32) {
            self.name = name
            self.number = number
        }
    }

    /// State of the readiness gate `updraft.io/serving`.
    public enum Gate: String, Sendable, Hashable {
        /// The pod does not have the gate.
        case absent
        /// It has the gate and nobody has set its condition yet: the pod cannot become ready.
        case unset
        /// The condition is true.
        case serving
        /// The condition is false.
        case notServing
    }

    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// UID.
    public var uid: String
    /// The node that it runs on; empty while it has none.
    public var node: String
    /// Its address; nil while it has none.
    public var ip: String?
    /// Named ports of its containers.
    public var ports: [Port]
    /// Labels.
    public var labels: [String: String]
    /// Annotations that mean something to Updraft.
    public var annotations: [String: String]
    /// Kind of the owner with `controller: true`; empty for bare pods.
    public var ownerKind: String
    /// UID of that owner.
    public var ownerUID: String
    /// `spec.priority`; zero when absent.
    public var priority: Int32
    /// `spec.terminationGracePeriodSeconds`.
    public var gracePeriodSeconds: Int64
    /// Its phase.
    public var phase: Pod.Phase
    /// `metadata.deletionTimestamp`: it is on its way out.
    public var deletedAt: Timestamp?
    /// State of the readiness gate.
    public var gate: Gate
    /// `metadata.creationTimestamp`, in whole seconds.
    public var createdAt: Timestamp

    /// A running pod unless said otherwise.
    public init(
        namespace: String = "default", name: String, uid: String, node: String, ip: String? = nil, ports: [Port] = [],
        labels: [String: String] = [:], annotations: [String: String] = [:], ownerKind: String = "ReplicaSet",
        ownerUID: String = "", priority: Int32 = 0, gracePeriodSeconds: Int64 = 30, phase: Pod.Phase = .running,
        deletedAt: Timestamp? = nil, gate: Gate = .absent, createdAt: Timestamp = Timestamp(seconds: 0)
    ) {
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.node = node
        self.ip = ip
        self.ports = ports
        self.labels = labels
        self.annotations = annotations
        self.ownerKind = ownerKind
        self.ownerUID = ownerUID
        self.priority = priority
        self.gracePeriodSeconds = gracePeriodSeconds
        self.phase = phase
        self.deletedAt = deletedAt
        self.gate = gate
        self.createdAt = createdAt
    }

    /// `namespace/name`.
    public var id: String { "\(namespace)/\(name)" }

    /// Whether a removal moves it. DaemonSet and mirror pods belong to their node and go with it; finished pods hold
    /// nothing that could be moved.
    public var isMoved: Bool { !belongsToNode && phase != .succeeded && phase != .failed }

    /// DaemonSet and mirror pods.
    public var belongsToNode: Bool {
        ownerKind == "DaemonSet" || ownerKind == "Node" || annotations[RemovalNames.mirror] != nil
    }

    /// Whether a removal ends it after all others, where `actuator.drain.daemonsets` says so. Those that their owner wants to
    /// stay do.
    public var isEvictedLast: Bool {
        ownerKind == "DaemonSet" && annotations[RemovalNames.mirror] == nil && phase != .succeeded && phase != .failed
            && annotations[RemovalNames.daemonSetEviction] != "false"
    }
}
