import JSONReader

/// The kinds of objects that the practice API server keeps.
enum KubernetesKind: String, Sendable, CaseIterable {
    case node = "nodes"
    case pod = "pods"
    case namespace = "namespaces"
    case event = "events"
    case service = "services"
    case configMap = "configmaps"
    case persistentVolumeClaim = "persistentvolumeclaims"
    case persistentVolume = "persistentvolumes"
    case replicationController = "replicationcontrollers"
    case replicaSet = "replicasets"
    case deployment = "deployments"
    case statefulSet = "statefulsets"
    case daemonSet = "daemonsets"
    case job = "jobs"
    case podDisruptionBudget = "poddisruptionbudgets"
    case lease = "leases"
    case storageClass = "storageclasses"
    case csiNode = "csinodes"
    case volumeAttachment = "volumeattachments"
    case priorityClass = "priorityclasses"
    case podScaler = "podscalers"
    case podAutoscaler = "horizontalpodautoscalers"

    /// API group; empty for the core.
    var group: String {
        switch self {
        case .node, .pod, .namespace, .event, .service, .configMap, .persistentVolumeClaim, .persistentVolume,
            .replicationController:
            return ""
        case .replicaSet, .deployment, .statefulSet, .daemonSet: return "apps"
        case .job: return "batch"
        case .podDisruptionBudget: return "policy"
        case .lease: return "coordination.k8s.io"
        case .storageClass, .csiNode, .volumeAttachment: return "storage.k8s.io"
        case .priorityClass: return "scheduling.k8s.io"
        case .podScaler: return "updraft.io"
        case .podAutoscaler: return "autoscaling"
        }
    }

    /// `kind` of an object.
    var kind: String {
        switch self {
        case .node: return "Node"
        case .pod: return "Pod"
        case .namespace: return "Namespace"
        case .event: return "Event"
        case .service: return "Service"
        case .configMap: return "ConfigMap"
        case .persistentVolumeClaim: return "PersistentVolumeClaim"
        case .persistentVolume: return "PersistentVolume"
        case .replicationController: return "ReplicationController"
        case .replicaSet: return "ReplicaSet"
        case .deployment: return "Deployment"
        case .statefulSet: return "StatefulSet"
        case .daemonSet: return "DaemonSet"
        case .job: return "Job"
        case .podDisruptionBudget: return "PodDisruptionBudget"
        case .lease: return "Lease"
        case .storageClass: return "StorageClass"
        case .csiNode: return "CSINode"
        case .volumeAttachment: return "VolumeAttachment"
        case .priorityClass: return "PriorityClass"
        case .podScaler: return "PodScaler"
        case .podAutoscaler: return "HorizontalPodAutoscaler"
        }
    }

    /// Lives in a namespace.
    var isNamespaced: Bool {
        switch self {
        case .node, .namespace, .persistentVolume, .storageClass, .csiNode, .volumeAttachment, .priorityClass:
            return false
        default: return true
        }
    }

    /// Has a `status` of its own subresource.
    var hasStatus: Bool {
        switch self {
        case .node, .pod, .namespace, .service, .persistentVolumeClaim, .persistentVolume, .replicationController,
            .replicaSet, .deployment, .statefulSet, .daemonSet, .job, .podDisruptionBudget, .volumeAttachment,
            .podScaler, .podAutoscaler:
            return true
        default: return false
        }
    }

    /// Has a `scale` subresource.
    var isScalable: Bool {
        switch self {
        case .replicationController, .replicaSet, .deployment, .statefulSet: return true
        default: return false
        }
    }

    /// Counts changes of its spec in `metadata.generation`.
    var hasGeneration: Bool {
        switch self {
        case .replicationController, .replicaSet, .deployment, .statefulSet, .daemonSet, .job,
            .podDisruptionBudget, .podScaler:
            return true
        default: return false
        }
    }

    /// `pods` or `leases.coordination.k8s.io`, as messages name it.
    var qualifiedName: String { group.isEmpty ? rawValue : "\(rawValue).\(group)" }

    /// Group and version as in `apiVersion`.
    func apiVersion(_ version: String) -> String { group.isEmpty ? version : "\(group)/\(version)" }

    /// The kind whose objects have this `kind` in an owner reference.
    static func owner(_ kind: String) -> KubernetesKind? {
        switch kind {
        case "ReplicaSet": return .replicaSet
        case "ReplicationController": return .replicationController
        case "StatefulSet": return .statefulSet
        case "DaemonSet": return .daemonSet
        case "Deployment": return .deployment
        case "Job": return .job
        case "Node": return .node
        default: return nil
        }
    }
}

/// What the API server answers when it will not.
struct KubernetesFailure: Error, Sendable {
    var status: Int
    /// `reason` of the Status; nil for the few that have none.
    var reason: String?
    var message: String
    /// `details` of the Status.
    var details: JSONValue?
    /// `metadata.continue` of an expired list.
    var continueToken: String?
    var retryAfter: Int?

    init(_ status: Int, _ reason: String?, _ message: String, details: JSONValue? = nil) {
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details
    }

    /// The Status object.
    var value: JSONValue {
        .members([
            ("kind", "Status"), ("apiVersion", "v1"),
            ("metadata", .members([("continue", continueToken.map { .string($0) })])), ("status", "Failure"),
            ("message", .string(message)), ("reason", reason.map { .string($0) }), ("details", details),
            ("code", .int(Int64(status))),
        ])
    }

    /// As an HTTP answer.
    var answer: PracticeAnswer {
        .json(status, value, headers: retryAfter.map { [("Retry-After", String($0))] } ?? [])
    }

    static func details(_ kind: KubernetesKind, _ name: String) -> JSONValue {
        .members([
            ("name", .string(name)), ("group", kind.group.isEmpty ? nil : .string(kind.group)),
            ("kind", .string(kind.rawValue)),
        ])
    }

    static func notFound(_ kind: KubernetesKind, _ name: String) -> KubernetesFailure {
        KubernetesFailure(
            404, "NotFound", "\(kind.qualifiedName) \"\(name)\" not found", details: details(kind, name))
    }

    static func noSuchPath() -> KubernetesFailure {
        KubernetesFailure(404, "NotFound", "the server could not find the requested resource", details: [:])
    }

    static func conflict(_ kind: KubernetesKind, _ name: String, _ why: String? = nil) -> KubernetesFailure {
        let text =
            why
            ?? "the object has been modified; please apply your changes to the latest version and try again"
        return KubernetesFailure(
            409, "Conflict", "Operation cannot be fulfilled on \(kind.qualifiedName) \"\(name)\": \(text)",
            details: details(kind, name))
    }

    static func invalid(_ kind: KubernetesKind, _ name: String, field: String, _ why: String) -> KubernetesFailure {
        var details = details(kind, name)
        details["kind"] = .string(kind.kind)
        details["causes"] = [["reason": "FieldValueInvalid", "message": .string(why), "field": .string(field)]]
        return KubernetesFailure(
            422, "Invalid", "\(kind.kind) \"\(name)\" is invalid: \(field): \(why)", details: details)
    }

    static func badRequest(_ message: String) -> KubernetesFailure {
        KubernetesFailure(400, "BadRequest", message)
    }
}
