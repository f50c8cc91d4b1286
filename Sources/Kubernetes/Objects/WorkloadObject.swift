import JSONReader
import Messages
import Support

/// A kind of controller that owns pods.
public protocol WorkloadKind: Sendable {
    /// As owner references name it.
    static var kind: String { get }
    /// Where its objects live.
    static var resource: ResourceName { get }
}

/// `ReplicaSet` of apps/v1.
public enum ReplicaSetKind: WorkloadKind {
    /// As owner references name it.
    public static let kind = "ReplicaSet"
    /// Where its objects live.
    public static let resource = ResourceName(group: "apps", "replicasets")
}

/// `ReplicationController` of v1.
public enum ReplicationControllerKind: WorkloadKind {
    /// As owner references name it.
    public static let kind = "ReplicationController"
    /// Where its objects live.
    public static let resource = ResourceName("replicationcontrollers")
}

/// `StatefulSet` of apps/v1.
public enum StatefulSetKind: WorkloadKind {
    /// As owner references name it.
    public static let kind = "StatefulSet"
    /// Where its objects live.
    public static let resource = ResourceName(group: "apps", "statefulsets")
}

/// `DaemonSet` of apps/v1.
public enum DaemonSetKind: WorkloadKind {
    /// As owner references name it.
    public static let kind = "DaemonSet"
    /// Where its objects live.
    public static let resource = ResourceName(group: "apps", "daemonsets")
}

/// `Job` of batch/v1.
public enum JobKind: WorkloadKind {
    /// As owner references name it.
    public static let kind = "Job"
    /// Where its objects live.
    public static let resource = ResourceName(group: "batch", "jobs")
}

/// `Deployment` of apps/v1.
public enum DeploymentKind: WorkloadKind {
    /// As owner references name it.
    public static let kind = "Deployment"
    /// Where its objects live.
    public static let resource = ResourceName(group: "apps", "deployments")
}

/// A ReplicaSet.
public typealias ReplicaSetObject = WorkloadObject<ReplicaSetKind>
/// A ReplicationController.
public typealias ReplicationControllerObject = WorkloadObject<ReplicationControllerKind>
/// A StatefulSet.
public typealias StatefulSetObject = WorkloadObject<StatefulSetKind>
/// A DaemonSet.
public typealias DaemonSetObject = WorkloadObject<DaemonSetKind>
/// A Job.
public typealias JobObject = WorkloadObject<JobKind>
/// A Deployment.
public typealias DeploymentObject = WorkloadObject<DeploymentKind>

/// An owner of pods as the API server has it, reduced.
public struct WorkloadObject<Kind: WorkloadKind>: KubernetesResource, Hashable {
    /// Where its objects live.
    public static var resource: ResourceName { Kind.resource }

    /// Metadata.
    public var meta: ObjectMeta
    /// The workload. `template` is not set: numbers are given by whoever keeps a table.
    public var workload: Workload
    /// Shape of the pods of a DaemonSet; nil for other kinds.
    public var template: PodShape?
    /// `metadata.generation` has been seen by the controller.
    public var isCurrent: Bool
    /// What pod scaling needs of a kind that can be scaled; nil for other kinds, and for what a controller owns.
    public var target: ScaleTarget?
    /// Shape of the pods that the target makes.
    public var targetTemplate: PodShape?

    /// All but `isCurrent` is compared.
    public static func == (left: WorkloadObject, right: WorkloadObject) -> Bool {
        left.meta == right.meta && left.workload == right.workload && left.template == right.template
            && left.target == right.target && left.targetTemplate == right.targetTemplate
    }

    /// By uid and version.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(meta.uid)
        hasher.combine(meta.resourceVersion)
    }

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> WorkloadObject {
        let isJob = Kind.self == JobKind.self
        let isDaemonSet = Kind.self == DaemonSetKind.self
        let isScalable = !isJob && !isDaemonSet
        let hasPlainSelector = Kind.self == ReplicationControllerKind.self
        var selector: LabelSelector?
        var rollout = RolloutStatus()
        var full = FullMeta()
        // The server fills in 1 where a manifest names no number; null is not sent.
        var replicas: Int32 = Kind.self == DaemonSetKind.self ? 0 : 1
        var current: Int32 = 0
        var observed: Int64 = 0
        var template: PodShape?
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec":
                try reader.object { (reader, key) throws(JSONError) in
                    switch key {
                    case "replicas": replicas = try reader.int32(otherwise: 1)
                    case "parallelism" where isJob: replicas = try reader.int32(otherwise: 1)
                    case "template" where isDaemonSet || (isScalable && full.controller == nil):
                        template = try WorkloadObject.template(&reader)
                    case "selector" where isScalable && !hasPlainSelector: selector = try LabelSelector.read(&reader)
                    case "updateStrategy" where Kind.self == StatefulSetKind.self:
                        try rollout.readStrategy(&reader)
                    case "selector" where hasPlainSelector: selector = LabelSelector(plain: try reader.strings())
                    default: try reader.skip()
                    }
                }
            case "status":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "replicas": current = try reader.int32()
                    case "updatedReplicas": rollout.updated = try reader.int32()
                    case "currentRevision": rollout.current = try reader.stringOrNull()
                    case "updateRevision": rollout.wanted = try reader.stringOrNull()
                    case "conditions" where Kind.self == DeploymentKind.self: try rollout.readConditions(&reader)
                    case "active" where isJob: current = try reader.int32()
                    case "currentNumberScheduled" where isDaemonSet: current = try reader.int32()
                    case "observedGeneration": observed = try reader.int()
                    default: try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
        guard !full.meta.name.isEmpty else { throw reader.invalid("a workload without name") }
        template?.namespace = full.meta.namespace
        template?.owner = PodShape.Owner(
            kind: Kind.kind, apiVersion: Kind.resource.group.isEmpty ? "v1" : "\(Kind.resource.group)/v1",
            name: full.meta.name, uid: full.meta.uid)
        let workload = Workload(
            kind: Kind.kind, namespace: full.meta.namespace, name: full.meta.name, uid: full.meta.uid,
            replicas: replicas, currentReplicas: current, deletedAt: full.meta.deletedAt)
        var object = WorkloadObject(
            meta: full.meta, workload: workload, template: isDaemonSet ? template : nil,
            isCurrent: observed >= full.meta.generation)
        guard isScalable, full.controller == nil else { return object }
        object.targetTemplate = template
        object.target = ScaleTarget(
            apiVersion: Kind.resource.group.isEmpty ? "v1" : "\(Kind.resource.group)/v1", kind: Kind.kind,
            namespace: full.meta.namespace, name: full.meta.name, uid: full.meta.uid, labels: full.labels,
            selector: selector, replicas: Int(replicas),
            isRollingOut: rollout.isUnderWay(Kind.self, replicas: current)
                || full.annotations[RolloutStatus.annotation] == "true")
        return object
    }

    private static func template(_ reader: inout JSONReader) throws(JSONError) -> PodShape {
        var full = FullMeta()
        var spec = PodSpec()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": if try !reader.isNull() { full = try FullMeta(reading: &reader) }
            case "spec": spec = try PodSpec.read(&reader, isTemplate: true)
            default: try reader.skip()
            }
        }
        spec.shape.adopt(full)
        return spec.shape
    }
}

/// Whether a new version is being rolled out.
struct RolloutStatus {
    /// Whoever rolls out by other means (two ReplicationControllers) says so with this annotation, `true`.
    static let annotation = "updraft.io/rollout"

    var updated: Int32 = 0
    var current: String?
    var wanted: String?
    /// What a Deployment's condition `Progressing` says while it is true.
    var progress: String?

    /// Reasons that stand from the beginning of a rollout to its end, and that a change of replicas alone does not bring up.
    static let unfinished: Set<String> = ["NewReplicaSetCreated", "FoundNewReplicaSet", "ReplicaSetUpdated"]

    /// Pods with a lower ordinal keep the old version on purpose.
    var partition: Int32 = 0
    /// Somebody deletes the old pods by hand, some day.
    var isByHand = false

    mutating func readStrategy(_ reader: inout JSONReader) throws(JSONError) {
        try reader.objectOrNull { (reader, key) throws(JSONError) in
            switch key {
            case "type": isByHand = try reader.stringOrNull() == "OnDelete"
            case "rollingUpdate":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    if key == "partition" { partition = try reader.int32() } else { try reader.skip() }
                }
            default: try reader.skip()
            }
        }
    }

    mutating func readConditions(_ reader: inout JSONReader) throws(JSONError) {
        var found: String?
        try reader.arrayOrNull { (reader) throws(JSONError) in
            var (type, status, reason) = ("", "", "")
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "type": type = try reader.stringOrNull() ?? ""
                case "status": status = try reader.stringOrNull() ?? ""
                case "reason": reason = try reader.stringOrNull() ?? ""
                default: try reader.skip()
                }
            }
            if type == "Progressing", status == "True" { found = reason }
        }
        progress = found
    }

    /// - Parameter replicas: `status.replicas`.
    func isUnderWay<Kind: WorkloadKind>(_ kind: Kind.Type, replicas: Int32) -> Bool {
        // Pods of an old version are left, or the new ones are not available yet.
        if kind == DeploymentKind.self {
            return replicas > updated || progress.map(Self.unfinished.contains) ?? false
        }
        if kind == StatefulSetKind.self, let current, let wanted {
            return !isByHand && current != wanted && Int64(replicas) - Int64(partition) > Int64(updated)
        }
        return false
    }
}

extension LabelSelector {
    /// A ReplicationController's: labels only.
    init?(plain labels: [String: String]) {
        if labels.isEmpty { return nil }
        self.init(labels.sorted { $0.key < $1.key }.map { Requirement($0.key, .in, [$0.value]) })
    }
}

extension WorkloadObject {
    /// The target; of a workload that a controller owns one that says so.
    public var scaleTarget: ScaleTarget {
        target
            ?? ScaleTarget(
                apiVersion: Kind.resource.group.isEmpty ? "v1" : "\(Kind.resource.group)/v1", kind: Kind.kind,
                namespace: meta.namespace, name: meta.name, uid: meta.uid, selector: nil,
                replicas: Int(workload.replicas), owner: "its controller")
    }
}
