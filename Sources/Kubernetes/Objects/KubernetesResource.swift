import JSONReader
import Support

/// A kind of object that the API server lists and watches, as this client decodes it.
public protocol KubernetesResource: Sendable {
    /// Where its objects live.
    static var resource: ResourceName { get }
    /// Metadata that every object has.
    var meta: ObjectMeta { get }
    /// Decodes one object. `version` is the API version that was asked for: items of a list do not name theirs.
    static func read(_ reader: inout JSONReader, version: String) throws(JSONError) -> Self
}

/// API group, version and plural of a kind.
public struct ResourceName: Sendable, Hashable, CustomStringConvertible {
    /// Empty for the core group.
    public var group: String
    /// e.g. `v1`; for budgets the client puts in what the server offers.
    public var version: String
    /// Lower-case plural, as in the path.
    public var plural: String
    /// Whether its objects live in namespaces.
    public var isNamespaced: Bool

    /// From its parts.
    public init(group: String = "", version: String = "v1", _ plural: String, isNamespaced: Bool = true) {
        self.group = group
        self.version = version
        self.plural = plural
        self.isNamespaced = isNamespaced
    }

    /// `/api/v1/namespaces/default/pods/web-1/eviction` and the like; names are percent-encoded.
    public func path(namespace: String? = nil, name: String? = nil, subresource: String? = nil) -> String {
        var path = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        if isNamespaced, let namespace { path += "/namespaces/\(PercentEncoding.segment(namespace))" }
        path += "/\(plural)"
        if let name { path += "/\(PercentEncoding.segment(name))" }
        if let subresource { path += "/\(subresource)" }
        return path
    }

    /// `pods` or `replicasets.apps`.
    public var description: String { group.isEmpty ? plural : "\(plural).\(group)" }
}

/// The metadata of an object, reduced.
public struct ObjectMeta: Sendable, Hashable {
    /// Name.
    public var name = ""
    /// Namespace; empty for cluster-wide kinds.
    public var namespace = ""
    /// UID.
    public var uid = ""
    /// The version of this state of the object. Opaque: only for equality, preconditions and watches.
    public var resourceVersion = ""
    /// Counts changes of the spec.
    public var generation: Int64 = 0
    /// When it was made.
    public var createdAt = Timestamp(seconds: 0)
    /// Set once somebody deleted it; for pods when the grace period ends.
    public var deletedAt: Timestamp?

    /// Nothing set.
    public init() {}
}

/// Metadata with the parts that only some kinds keep.
struct FullMeta {
    var meta = ObjectMeta()
    var labels: [String: String] = [:]
    /// Only those that `ObservedAnnotations` names.
    var annotations: [String: String] = [:]
    var controller: ControllerReference?
    var finalizers: [String] = []

    struct ControllerReference {
        var kind = ""
        var apiVersion = ""
        var name = ""
        var uid = ""
        var isController = false
    }

    init() {}

    init(reading reader: inout JSONReader) throws(JSONError) {
        var full = FullMeta()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "name": full.meta.name = try reader.string()
            case "namespace": full.meta.namespace = try reader.string()
            case "uid": full.meta.uid = try reader.string()
            case "resourceVersion": full.meta.resourceVersion = try reader.string()
            case "generation": full.meta.generation = try reader.int()
            case "creationTimestamp": full.meta.createdAt = try reader.time() ?? full.meta.createdAt
            case "deletionTimestamp": full.meta.deletedAt = try reader.time()
            case "labels": full.labels = try reader.strings()
            case "annotations": full.annotations = try ObservedAnnotations.read(&reader)
            case "finalizers":
                try reader.arrayOrNull { (reader) throws(JSONError) in full.finalizers.append(try reader.string()) }
            case "ownerReferences": full.controller = try FullMeta.controller(&reader)
            default: try reader.skip()
            }
        }
        self = full
    }

    private static func controller(_ reader: inout JSONReader) throws(JSONError) -> ControllerReference? {
        if try reader.isNull() { return nil }
        var found: ControllerReference?
        try reader.array { (reader) throws(JSONError) in
            var owner = ControllerReference()
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "kind": owner.kind = try reader.string()
                case "apiVersion": owner.apiVersion = try reader.string()
                case "name": owner.name = try reader.string()
                case "uid": owner.uid = try reader.string()
                case "controller": owner.isController = try reader.isNull() ? false : try reader.bool()
                default: try reader.skip()
                }
            }
            if owner.isController { found = owner }
        }
        return found
    }
}

/// Which annotations are kept: those that decisions depend on. The others may be large and change often.
enum ObservedAnnotations {
    static func read(_ reader: inout JSONReader) throws(JSONError) -> [String: String] {
        if try reader.isNull() { return [:] }
        var kept: [String: String] = [:]
        try reader.object { (reader, key) throws(JSONError) in
            if isObserved(key) { kept[key.text] = try reader.string() } else { try reader.skip() }
        }
        return kept
    }

    private static func isObserved(_ key: JSONKey) -> Bool {
        hasPrefix(key, "updraft.io/") || hasPrefix(key, "cluster-autoscaler.kubernetes.io/")
            || hasPrefix(key, "delay-deletion.cluster-autoscaler.kubernetes.io/")
            || key == "kubernetes.io/config.mirror"
    }

    private static func hasPrefix(_ key: JSONKey, _ prefix: StaticString) -> Bool {
        prefix.withUTF8Buffer { key.bytes.starts(with: $0) }
    }
}

extension JSONReader {
    /// Reads an RFC 3339 time; nil for `null`.
    mutating func time() throws(JSONError) -> Timestamp? {
        if try isNull() { return nil }
        guard let time = Timestamp(try string()) else { throw invalid("not an RFC 3339 time") }
        return time
    }

    /// Reads a whole number that must fit 32 bits; `otherwise` for `null`.
    mutating func int32(otherwise: Int32 = 0) throws(JSONError) -> Int32 {
        if try isNull() { return otherwise }
        guard let value = Int32(exactly: try int()) else { throw invalid("number outside 32 bits") }
        return value
    }

    /// Walks an object, or nothing for `null`.
    mutating func objectOrNull(
        _ body: (inout JSONReader, JSONKey) throws(JSONError) -> Void
    ) throws(JSONError) {
        if try isNull() { return }
        try object(body)
    }

    /// Walks an array, or nothing for `null`.
    mutating func arrayOrNull(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
        if try isNull() { return }
        try array(body)
    }
}
