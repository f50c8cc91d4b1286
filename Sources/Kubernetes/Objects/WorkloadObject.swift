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

    /// All but `isCurrent` is compared.
    public static func == (left: WorkloadObject, right: WorkloadObject) -> Bool {
        left.meta == right.meta && left.workload == right.workload && left.template == right.template
    }

    /// By uid and version.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(meta.uid)
        hasher.combine(meta.resourceVersion)
    }

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> WorkloadObject {
        let isJob = Kind.self == JobKind.self
        let hasTemplate = Kind.self == DaemonSetKind.self
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
                    case "template" where hasTemplate: template = try WorkloadObject.template(&reader)
                    default: try reader.skip()
                    }
                }
            case "status":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "replicas": current = try reader.int32()
                    case "active" where isJob: current = try reader.int32()
                    case "currentNumberScheduled" where hasTemplate: current = try reader.int32()
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
        return WorkloadObject(
            meta: full.meta, workload: workload, template: template, isCurrent: observed >= full.meta.generation)
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
