import Support

/// A workload that could be scaled, through its `scale` subresource.
public struct ScaleTarget: Sendable, Hashable, Codable {
    /// e.g. `apps/v1`.
    public var apiVersion: String
    /// e.g. `Deployment`.
    public var kind: String
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// UID.
    public var uid: String
    /// Its labels.
    public var labels: [String: String]
    /// Which pods are its own; nil matches none.
    public var selector: LabelSelector?
    /// `spec.replicas`.
    public var replicas: Int
    /// Whether an old version is being replaced by a new one.
    public var isRollingOut: Bool
    /// Shape of the pods it makes, where its template says it: number in the shape table.
    public var template: Int?
    /// `kind/name` of its own controller: who is owned is not scaled by itself.
    public var owner: String?
    /// Why it cannot be read or scaled; nil: it can.
    public var problem: Explanation?

    /// From its parts.
    public init(
        apiVersion: String, kind: String, namespace: String, name: String, uid: String = "",
        labels: [String: String] = [:], selector: LabelSelector?, replicas: Int, isRollingOut: Bool = false,
        template: Int? = nil, owner: String? = nil, problem: Explanation? = nil
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.labels = labels
        self.selector = selector
        self.replicas = replicas
        self.isRollingOut = isRollingOut
        self.template = template
        self.owner = owner
        self.problem = problem
    }

    /// `kind/namespace/name`, with the group where the kind is none that every cluster has.
    public var id: String { reference.id(in: namespace) }

    /// Its name, without the namespace.
    public var reference: TargetReference { TargetReference(apiVersion: apiVersion, kind: kind, name: name) }
}

/// A HorizontalPodAutoscaler: whose replicas it owns.
public struct PodAutoscaler: Sendable, Hashable, Codable {
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// What it scales.
    public var target: TargetReference

    /// From its parts.
    public init(namespace: String, name: String, target: TargetReference) {
        self.namespace = namespace
        self.name = name
        self.target = target
    }

    /// `namespace/name`.
    public var id: String { "\(namespace)/\(name)" }
}

/// What a snapshot says of pod scaling.
public struct PodScaling: Sendable, Hashable, Codable {
    /// Scalers.
    public var scalers: [PodScaler]
    /// Workloads that could be scaled.
    public var targets: [ScaleTarget]
    /// HorizontalPodAutoscalers.
    public var autoscalers: [PodAutoscaler]
    /// Why it is not known which HorizontalPodAutoscalers there are; empty: it is; nil: nothing new of that.
    public var autoscalersProblem: String?
    /// In a snapshot: why `PodScaler` objects have never been listed, so that those known before stay; nil: these are all.
    public var scalersProblem: String?
    /// In a snapshot: why Deployments have never been listed, so that those known before stay; nil: these are all.
    public var deploymentsProblem: String?

    /// Nothing unless said otherwise.
    public init(
        scalers: [PodScaler] = [], targets: [ScaleTarget] = [], autoscalers: [PodAutoscaler] = [],
        autoscalersProblem: String? = nil, scalersProblem: String? = nil, deploymentsProblem: String? = nil
    ) {
        self.scalers = scalers
        self.targets = targets
        self.autoscalers = autoscalers
        self.autoscalersProblem = autoscalersProblem
        self.scalersProblem = scalersProblem
        self.deploymentsProblem = deploymentsProblem
    }

    /// Whether it says nothing.
    public var isEmpty: Bool {
        scalers.isEmpty && targets.isEmpty && autoscalers.isEmpty && autoscalersProblem == nil
            && scalersProblem == nil && deploymentsProblem == nil
    }
}

/// What changed of pod scaling since the delta before.
public struct PodScalingChange: Sendable, Hashable, Codable {
    /// New or changed.
    public var changed: PodScaling
    /// Ids (`namespace/name`) of scalers gone.
    public var removedScalers: [String]
    /// Ids (`kind/namespace/name`) of targets gone.
    public var removedTargets: [String]
    /// Ids (`namespace/name`) of HorizontalPodAutoscalers gone.
    public var removedAutoscalers: [String]

    /// Nothing unless said otherwise.
    public init(
        changed: PodScaling = PodScaling(), removedScalers: [String] = [], removedTargets: [String] = [],
        removedAutoscalers: [String] = []
    ) {
        self.changed = changed
        self.removedScalers = removedScalers
        self.removedTargets = removedTargets
        self.removedAutoscalers = removedAutoscalers
    }

    /// Whether it says nothing.
    public var isEmpty: Bool {
        changed.isEmpty && removedScalers.isEmpty && removedTargets.isEmpty && removedAutoscalers.isEmpty
    }
}
