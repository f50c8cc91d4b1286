import JSONReader
import Messages
import Support

/// A PodDisruptionBudget as the API server has it, reduced.
public struct BudgetObject: KubernetesResource, Hashable {
    /// The client asks for v1beta1 instead where the server has no v1.
    public static let resource = ResourceName(group: "policy", "poddisruptionbudgets")

    /// Metadata.
    public var meta: ObjectMeta
    /// The budget.
    public var budget: Budget

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> BudgetObject {
        var full = FullMeta()
        var selector: LabelSelector?
        var allowed: Int32 = 0
        var observed: Int64 = 0
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": full = try FullMeta(reading: &reader)
            case "spec":
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "selector" { selector = try LabelSelector.read(&reader) }
                }
            case "status":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "disruptionsAllowed": allowed = try reader.int32()
                    case "observedGeneration": observed = try reader.int()
                    default: try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
        guard !full.meta.name.isEmpty else { throw reader.invalid("a budget without name") }
        // An empty selector matches nothing in policy/v1beta1 and everything in policy/v1.
        if version == "v1beta1", selector?.requirements.isEmpty == true { selector = nil }
        return BudgetObject(
            meta: full.meta,
            budget: Budget(
                namespace: full.meta.namespace, name: full.meta.name, selector: selector,
                disruptionsAllowed: allowed, isCurrent: observed >= full.meta.generation))
    }
}

/// A Namespace.
public struct NamespaceObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName("namespaces", isNamespaced: false)

    /// Metadata.
    public var meta: ObjectMeta
    /// The namespace.
    public var namespace: Namespace

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> NamespaceObject {
        var full = FullMeta()
        try reader.object { (reader, key) throws(JSONError) in
            if key == "metadata" { full = try FullMeta(reading: &reader) }
        }
        guard !full.meta.name.isEmpty else { throw reader.invalid("a namespace without name") }
        return NamespaceObject(meta: full.meta, namespace: Namespace(name: full.meta.name, labels: full.labels))
    }
}

/// A PersistentVolumeClaim.
public struct ClaimObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName("persistentvolumeclaims")

    /// Metadata.
    public var meta: ObjectMeta
    /// `status.phase` is `Bound`.
    public var isBound: Bool
    /// Name of its PersistentVolume, once it has one.
    public var volume: String?

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> ClaimObject {
        var claim = ClaimObject(meta: ObjectMeta(), isBound: false, volume: nil)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": claim.meta = try FullMeta(reading: &reader).meta
            case "spec":
                try reader.object { (reader, key) throws(JSONError) in
                    if key == "volumeName" { claim.volume = try reader.stringOrNull() }
                }
            case "status":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    if key == "phase" { claim.isBound = try reader.word() == "Bound" }
                }
            default: try reader.skip()
            }
        }
        guard !claim.meta.name.isEmpty else { throw reader.invalid("a claim without name") }
        return claim
    }
}

/// A Lease of coordination.k8s.io/v1.
public struct LeaseObject: KubernetesResource, Hashable {
    /// Where its objects live.
    public static let resource = ResourceName(group: "coordination.k8s.io", "leases")

    /// Metadata.
    public var meta: ObjectMeta
    /// Who holds it; nil or empty: nobody.
    public var holder: String?
    /// How long after `renewedAt` it may be taken over, in seconds.
    public var durationSeconds: Int32?
    /// When the holder took it.
    public var acquiredAt: Timestamp?
    /// When the holder last renewed it.
    public var renewedAt: Timestamp?
    /// How often it changed hands.
    public var transitions: Int32

    /// From its parts; `meta` with an empty resource version for one to be created.
    public init(
        meta: ObjectMeta, holder: String?, durationSeconds: Int32?, acquiredAt: Timestamp?, renewedAt: Timestamp?,
        transitions: Int32 = 0
    ) {
        self.meta = meta
        self.holder = holder
        self.durationSeconds = durationSeconds
        self.acquiredAt = acquiredAt
        self.renewedAt = renewedAt
        self.transitions = transitions
    }

    /// Decodes one object.
    public static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> LeaseObject {
        var lease = LeaseObject(
            meta: ObjectMeta(), holder: nil, durationSeconds: nil, acquiredAt: nil, renewedAt: nil)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": lease.meta = try FullMeta(reading: &reader).meta
            case "spec":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "holderIdentity": lease.holder = try reader.stringOrNull()
                    case "leaseDurationSeconds":
                        lease.durationSeconds = try reader.isNull() ? nil : try reader.int32()
                    case "acquireTime": lease.acquiredAt = try reader.time()
                    case "renewTime": lease.renewedAt = try reader.time()
                    case "leaseTransitions": lease.transitions = try reader.int32()
                    default: try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
        return lease
    }

    /// The object as it is sent.
    var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("apiVersion", "coordination.k8s.io/v1")
            writer.member("kind", "Lease")
            writer.key("metadata")
            writer.object { writer in
                writer.member("name", meta.name)
                writer.member("namespace", meta.namespace)
                if !meta.resourceVersion.isEmpty { writer.member("resourceVersion", meta.resourceVersion) }
                if !meta.uid.isEmpty { writer.member("uid", meta.uid) }
            }
            writer.key("spec")
            writer.object { writer in
                if let holder { writer.member("holderIdentity", holder) }
                if let durationSeconds { writer.member("leaseDurationSeconds", durationSeconds) }
                if let acquiredAt { writer.member("acquireTime", acquiredAt.rfc3339) }
                if let renewedAt { writer.member("renewTime", renewedAt.rfc3339) }
                writer.member("leaseTransitions", transitions)
            }
        }
        return writer.bytes
    }
}

/// What the `scale` subresource of a workload says (autoscaling/v1).
public struct Scale: Sendable, Hashable {
    /// Metadata of the workload.
    public var meta: ObjectMeta
    /// `spec.replicas`: wanted.
    public var replicas: Int32
    /// `status.replicas`: there are.
    public var currentReplicas: Int32
    /// Which pods are its own, in text form.
    public var selector: String

    /// Reads one Scale object.
    public static func read(_ reader: inout JSONReader) throws(JSONError) -> Scale {
        var scale = Scale(meta: ObjectMeta(), replicas: 0, currentReplicas: 0, selector: "")
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "metadata": scale.meta = try FullMeta(reading: &reader).meta
            case "spec":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    if key == "replicas" { scale.replicas = try reader.int32() }
                }
            case "status":
                try reader.objectOrNull { (reader, key) throws(JSONError) in
                    switch key {
                    case "replicas": scale.currentReplicas = try reader.int32()
                    case "selector": scale.selector = try reader.stringOrNull() ?? ""
                    default: try reader.skip()
                    }
                }
            default: try reader.skip()
            }
        }
        return scale
    }
}
