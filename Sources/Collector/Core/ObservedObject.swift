import Messages

/// The kinds of objects that the Collector watches.
public enum ObservedKind: String, Sendable, CaseIterable, Hashable {
    case nodes, pods, budgets
    case replicaSets = "replicasets"
    case replicationControllers = "replicationcontrollers"
    case statefulSets = "statefulsets"
    case daemonSets = "daemonsets"
    case jobs, claims, volumes, namespaces, deployments
    case podScalers = "podscalers"
    case autoscalers = "horizontalpodautoscalers"
    /// Targets of kinds that only some clusters have: asked for by name, not watched.
    case scales

    /// Whether a decision without this kind could do harm. Without the others it is only less well informed: a pod
    /// whose claim is unknown counts as unbound, a namespace without labels matches no selector.
    public var isRequired: Bool {
        switch self {
        case .nodes, .pods, .budgets, .replicaSets, .replicationControllers, .statefulSets, .daemonSets, .jobs: true
        case .claims, .volumes, .namespaces, .deployments, .podScalers, .autoscalers, .scales: false
        }
    }
}

/// A claim before it is joined with its volume.
public struct ObservedClaim: Sendable, Hashable {
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// Whether it is bound.
    public var isBound: Bool
    /// Name of its volume, once it has one.
    public var volume: String?

    /// From its parts.
    public init(namespace: String, name: String, isBound: Bool, volume: String? = nil) {
        self.namespace = namespace
        self.name = name
        self.isBound = isBound
        self.volume = volume
    }
}

/// A volume: where it can be used.
public struct ObservedVolume: Sendable, Hashable {
    /// Name.
    public var name: String
    /// Required node affinity; nil: anywhere.
    public var nodeAffinity: [NodeSelectorTerm]?

    /// From its parts.
    public init(name: String, nodeAffinity: [NodeSelectorTerm]? = nil) {
        self.name = name
        self.nodeAffinity = nodeAffinity
    }
}

/// A workload that could be scaled, and the shape of its pods, which has no number yet.
public struct ObservedTarget: Sendable, Hashable {
    /// The workload.
    public var target: ScaleTarget
    /// What its pods will be.
    public var template: PodShape?

    /// From its parts.
    public init(_ target: ScaleTarget, template: PodShape? = nil) {
        self.target = target
        self.template = template
    }
}

/// One object as a watch told it, in the terms of the messages.
public enum ObservedObject: Sendable, Hashable {
    /// A node.
    case node(Node)
    /// A pod and its shape, which has no number yet; its IP address once it has one.
    case pod(Pod, PodShape, address: String? = nil)
    /// A budget.
    case budget(Budget)
    /// An owner of pods; for a DaemonSet with the shape of its pods.
    case workload(Workload, template: PodShape?, target: ObservedTarget? = nil)
    /// A workload that owns no pods itself but can be scaled.
    case target(ObservedTarget)
    /// A pod scaler.
    case scaler(PodScaler)
    /// A HorizontalPodAutoscaler.
    case autoscaler(PodAutoscaler)
    /// A claim.
    case claim(ObservedClaim)
    /// A volume.
    case volume(ObservedVolume)
    /// A namespace.
    case namespace(Namespace)

    /// What the object is known by within its kind: a pod's UID, a node's name, `namespace/name`.
    public var key: String {
        switch self {
        case .node(let node): node.name
        case .pod(let pod, _, _): pod.uid
        case .budget(let budget): budget.id
        case .workload(let workload, _, _): workload.id
        case .target(let target): target.target.id
        case .scaler(let scaler): scaler.id
        case .autoscaler(let autoscaler): autoscaler.id
        case .claim(let claim): "\(claim.namespace)/\(claim.name)"
        case .volume(let volume): volume.name
        case .namespace(let namespace): namespace.name
        }
    }
}
