import JSONReader
import Support

/// An object as the store keeps it: the value, and the same serialised once per version.
struct StoredObject: Sendable {
    /// Without `kind` and `apiVersion`.
    var value: JSONValue
    /// `value` as JSON; lists and watches send these bytes as they are.
    var bytes: [UInt8]
    var version: Int
    var namespace: String
    var name: String
    var uid: String

    /// Key in its collection: `namespace/name`, or the name.
    var key: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
    /// `metadata.labels`.
    var labels: [String: String] { value[path: "metadata", "labels"]?.stringMembers ?? [:] }
    /// `metadata.annotations`.
    var annotations: [String: String] { value[path: "metadata", "annotations"]?.stringMembers ?? [:] }
    /// Is being deleted.
    var isTerminating: Bool { value[path: "metadata", "deletionTimestamp"] != nil }

    /// The bytes with `kind` and `apiVersion` in front.
    func bytes(_ kind: KubernetesKind, version: String) -> [UInt8] {
        Array("{\"kind\":\"\(kind.kind)\",\"apiVersion\":\"\(kind.apiVersion(version))\",".utf8) + bytes.dropFirst()
    }
}

/// A change of an object, as watches and controllers see it.
struct StoreChange: Sendable {
    enum Action: String, Sendable {
        case added = "ADDED"
        case modified = "MODIFIED"
        case deleted = "DELETED"
    }

    var kind: KubernetesKind
    var action: Action
    var old: StoredObject?
    /// For a deletion the last state, with the version of the deletion.
    var new: StoredObject
    var version: Int { new.version }
    var key: String { new.key }
}

/// The objects of the practice API server: what etcd and its watch cache do in life.
struct KubernetesStore: Sendable {
    /// All objects of a kind.
    struct Collection: Sendable {
        fileprivate(set) var objects: [String: StoredObject] = [:]
        /// Changes still known, oldest first.
        fileprivate(set) var history: [StoreChange] = []
        /// Watches from below this version are too old.
        fileprivate(set) var oldestVersion = 0
        fileprivate var sortedKeys: [String]?
    }

    /// Changes kept per kind; older ones are "too old" for a watch.
    private let historyLimit: Int
    /// Counts every change.
    private(set) var version: Int
    private var collections: [KubernetesKind: Collection] = [:]
    /// Not yet seen by controllers, index and journal.
    private var changes: [StoreChange] = []
    private var random: Generator

    init(random: Generator, historyLimit: Int = 20_000) {
        self.random = random
        self.historyLimit = historyLimit
        version = 1
        for kind in KubernetesKind.allCases { collections[kind] = Collection() }
    }

    // MARK: Reading

    /// One object.
    func get(_ kind: KubernetesKind, _ key: String) -> StoredObject? {
        collections[kind]?.objects[key]
    }

    /// All of a kind, unordered.
    func all(_ kind: KubernetesKind) -> Dictionary<String, StoredObject>.Values {
        (collections[kind]?.objects ?? [:]).values
    }

    /// All of a kind in the order of their keys, as etcd lists them.
    mutating func sorted(_ kind: KubernetesKind) -> [StoredObject] {
        guard let collection = collections[kind] else { return [] }
        let keys = collection.sortedKeys ?? collection.objects.keys.sorted()
        if collection.sortedKeys == nil { collections[kind]?.sortedKeys = keys }
        return keys.compactMap { collection.objects[$0] }
    }

    /// Changes of a kind after `version`; nil if some of them are forgotten.
    func history(_ kind: KubernetesKind, after version: Int) -> ArraySlice<StoreChange>? {
        guard let collection = collections[kind], version >= collection.oldestVersion else { return nil }
        // Binary search: versions ascend.
        var low = 0
        var high = collection.history.count
        while low < high {
            let middle = (low + high) / 2
            if collection.history[middle].version <= version { low = middle + 1 } else { high = middle }
        }
        return collection.history[low...]
    }

    /// The oldest version from which a watch of this kind may start.
    func oldestVersion(_ kind: KubernetesKind) -> Int {
        collections[kind]?.oldestVersion ?? 0
    }

    // MARK: Writing

    /// A new object. `metadata.name` (or `generateName`) and namespace are taken from the value.
    mutating func create(
        _ kind: KubernetesKind, _ given: JSONValue, namespace: String, at now: Timestamp
    ) throws(KubernetesFailure) -> StoredObject {
        var value = given
        value["kind"] = nil
        value["apiVersion"] = nil
        var name = value[path: "metadata", "name"]?.stringValue ?? ""
        if name.isEmpty, let prefix = value[path: "metadata", "generateName"]?.stringValue {
            repeat { name = prefix + random.kubernetesSuffix() } while get(kind, key(kind, namespace, name)) != nil
        }
        guard !name.isEmpty else {
            throw KubernetesFailure.invalid(
                kind, "", field: "metadata.name", "Required value: name or generateName is required")
        }
        guard name.utf8.count <= 253, !name.contains("/") else {
            throw KubernetesFailure.invalid(kind, name, field: "metadata.name", "Invalid value: \"\(name)\"")
        }
        guard get(kind, key(kind, namespace, name)) == nil else {
            throw KubernetesFailure(
                409, "AlreadyExists", "\(kind.qualifiedName) \"\(name)\" already exists",
                details: KubernetesFailure.details(kind, name))
        }
        let uid = random.uuid()
        value.set("metadata", "name", to: .string(name))
        if kind.isNamespaced { value.set("metadata", "namespace", to: .string(namespace)) }
        value.set("metadata", "uid", to: .string(uid))
        value.set("metadata", "creationTimestamp", to: .string(now.wholeSeconds))
        if kind.hasGeneration { value.set("metadata", "generation", to: 1) }
        version += 1
        value.set("metadata", "resourceVersion", to: .string(String(version)))
        let object = StoredObject(
            value: value, bytes: value.bytes, version: version, namespace: kind.isNamespaced ? namespace : "",
            name: name, uid: uid)
        collections[kind]?.objects[object.key] = object
        collections[kind]?.sortedKeys = nil
        append(StoreChange(kind: kind, action: .added, old: nil, new: object))
        return object
    }

    /// Changes an object; nothing happens if `change` changes nothing. Nil if there is no such object.
    @discardableResult
    mutating func update(
        _ kind: KubernetesKind, _ key: String, _ change: (inout JSONValue) -> Void
    ) -> StoredObject? {
        guard let old = get(kind, key) else { return nil }
        var value = old.value
        change(&value)
        return replace(kind, old, with: value)
    }

    /// Puts `value` in the place of `old`.
    @discardableResult
    mutating func replace(_ kind: KubernetesKind, _ old: StoredObject, with given: JSONValue) -> StoredObject {
        var value = given
        value["kind"] = nil
        value["apiVersion"] = nil
        value.set("metadata", "resourceVersion", to: .string(String(old.version)))
        if value == old.value { return old }
        if kind.hasGeneration, value["spec"] != old.value["spec"] {
            let generation = old.value[path: "metadata", "generation"]?.intValue ?? 1
            value.set("metadata", "generation", to: .int(generation + 1))
        }
        version += 1
        value.set("metadata", "resourceVersion", to: .string(String(version)))
        let object = StoredObject(
            value: value, bytes: value.bytes, version: version, namespace: old.namespace, name: old.name, uid: old.uid)
        collections[kind]?.objects[object.key] = object
        append(StoreChange(kind: kind, action: .modified, old: old, new: object))
        return object
    }

    /// Takes an object away at once.
    @discardableResult
    mutating func remove(_ kind: KubernetesKind, _ key: String) -> StoredObject? {
        guard var object = collections[kind]?.objects.removeValue(forKey: key) else { return nil }
        let old = object
        collections[kind]?.sortedKeys = nil
        version += 1
        object.version = version
        object.value.set("metadata", "resourceVersion", to: .string(String(version)))
        object.bytes = object.value.bytes
        append(StoreChange(kind: kind, action: .deleted, old: old, new: object))
        return object
    }

    private mutating func append(_ change: StoreChange) {
        changes.append(change)
        collections[change.kind]?.history.append(change)
        if let count = collections[change.kind]?.history.count, count > historyLimit + historyLimit / 4 {
            compact(change.kind, keep: historyLimit)
        }
    }

    /// Forgets all but the last `keep` changes of a kind: watches from before them are told "too old".
    mutating func compact(_ kind: KubernetesKind, keep: Int) {
        guard let history = collections[kind]?.history, history.count > keep else { return }
        let drop = history.count - keep
        collections[kind]?.oldestVersion = history[drop - 1].version
        collections[kind]?.history.removeFirst(drop)
    }

    /// Forgets all history, as a restarted API server's watch cache does.
    mutating func forgetHistory() {
        for kind in KubernetesKind.allCases {
            collections[kind]?.history = []
            collections[kind]?.oldestVersion = version
        }
    }

    /// What changed since the last call, in order.
    mutating func takeChanges() -> [StoreChange] {
        defer { changes = [] }
        return changes
    }

    /// Key of an object.
    func key(_ kind: KubernetesKind, _ namespace: String, _ name: String) -> String {
        kind.isNamespaced ? "\(namespace)/\(name)" : name
    }
}
