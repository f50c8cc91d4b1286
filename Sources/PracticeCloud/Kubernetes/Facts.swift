import JSONReader
import Messages
import Support

/// What scheduler, controllers and kubelets need to know of a pod, read out of its JSON once per change.
struct PodFacts: Sendable {
    var key: String
    var namespace: String
    var name: String
    var uid: String
    var labels: [String: String]
    /// The controlling owner.
    var ownerUID: String?
    var ownerKind: String?
    var node: String?
    var phase: String
    var isReady: Bool
    /// When its grace period ends, once deleted.
    var deletion: Timestamp?
    var grace: Int64
    var created: Timestamp
    var spec: PodSpecFacts
    /// Readiness gates that are not True.
    var closedGates: Int
    /// What the scheduler last said.
    var schedulingMessage: String?

    /// Counts for its owner and for resources.
    var isTerminal: Bool { phase == "Succeeded" || phase == "Failed" }
    /// Neither finished nor being deleted.
    var isActive: Bool { !isTerminal && deletion == nil }

    /// From the stored object; `spec` is taken over from `old` where it has not changed.
    init(_ object: StoredObject, old: (object: StoredObject, facts: PodFacts)?) {
        let value = object.value
        key = object.key
        namespace = object.namespace
        name = object.name
        uid = object.uid
        labels = object.labels
        let owner = value[path: "metadata", "ownerReferences"]?.arrayValue?.first {
            $0["controller"]?.boolValue ?? false
        }
        ownerUID = owner?["uid"]?.stringValue
        ownerKind = owner?["kind"]?.stringValue
        node = value[path: "spec", "nodeName"]?.stringValue
        phase = value[path: "status", "phase"]?.stringValue ?? "Pending"
        let conditions = value[path: "status", "conditions"]?.arrayValue ?? []
        var isTrue: Set<String> = []
        schedulingMessage = nil
        for condition in conditions {
            guard let type = condition["type"]?.stringValue else { continue }
            if condition["status"]?.stringValue == "True" { isTrue.insert(type) }
            if type == "PodScheduled" { schedulingMessage = condition["message"]?.stringValue }
        }
        isReady = isTrue.contains("Ready")
        deletion = value[path: "metadata", "deletionTimestamp"]?.stringValue.flatMap { Timestamp($0) }
        grace = value[path: "metadata", "deletionGracePeriodSeconds"]?.intValue ?? 0
        created =
            value[path: "metadata", "creationTimestamp"]?.stringValue.flatMap { Timestamp($0) }
            ?? Timestamp(seconds: 0)
        if let old, old.object.value["spec"] == value["spec"] {
            spec = old.facts.spec
        } else {
            spec = PodSpecFacts(value["spec"] ?? .object([:]))
        }
        closedGates = spec.gates.filter { !isTrue.contains($0) }.count
    }
}

/// What of a pod's spec bears on where it may run.
struct PodSpecFacts: Sendable {
    var requests: ResourceList
    var nodeSelector: [String: String]
    /// Required node affinity; nil: none. Terms are alternatives.
    var affinity: [NodeSelectorTerm]?
    var tolerations: [Toleration]
    var hostPorts: [String]
    var antiAffinity: [PodAffinityTerm]
    var podAffinity: [PodAffinityTerm]
    var spread: [TopologySpreadConstraint]
    var gates: [String]
    var isGated: Bool
    var priority: Int64
    var scheduler: String
    var grace: Int64
    /// Equal for pods that the scheduler cannot tell apart.
    var shape: Int

    init(_ spec: JSONValue) {
        requests = PodSpecFacts.requests(spec)
        nodeSelector = spec["nodeSelector"]?.stringMembers ?? [:]
        let required = spec[path: "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]
        affinity = required?["nodeSelectorTerms"]?.arrayValue?.map { term in
            NodeSelectorTerm(
                expressions: term["matchExpressions"]?.arrayValue?.compactMap { Requirement(json: $0) } ?? [],
                fields: term["matchFields"]?.arrayValue?.compactMap { Requirement(json: $0) } ?? [])
        }
        tolerations = (spec["tolerations"]?.arrayValue ?? []).map { entry in
            Toleration(
                key: entry["key"]?.stringValue, exists: entry["operator"]?.stringValue == "Exists",
                value: entry["value"]?.stringValue ?? "",
                effect: entry["effect"]?.stringValue.flatMap { TaintEffect(rawValue: $0) },
                seconds: entry["tolerationSeconds"]?.intValue)
        }
        let containers = spec["containers"]?.arrayValue ?? []
        hostPorts = containers.flatMap { container in
            (container["ports"]?.arrayValue ?? []).compactMap { port in
                port["hostPort"]?.intValue.map { "\(port["protocol"]?.stringValue ?? "TCP")/\($0)" }
            }
        }
        antiAffinity = PodSpecFacts.terms(spec[path: "affinity", "podAntiAffinity"])
        podAffinity = PodSpecFacts.terms(spec[path: "affinity", "podAffinity"])
        spread = (spec["topologySpreadConstraints"]?.arrayValue ?? []).compactMap { entry in
            guard let key = entry["topologyKey"]?.stringValue,
                entry["whenUnsatisfiable"]?.stringValue != "ScheduleAnyway"
            else { return nil }
            return TopologySpreadConstraint(
                maxSkew: Int32(clamping: entry["maxSkew"]?.intValue ?? 1), topologyKey: key,
                selector: LabelSelector(json: entry["labelSelector"]))
        }
        gates = (spec["readinessGates"]?.arrayValue ?? []).compactMap { $0["conditionType"]?.stringValue }
        isGated = !(spec["schedulingGates"]?.arrayValue ?? []).isEmpty
        priority = spec["priority"]?.intValue ?? 0
        scheduler = spec["schedulerName"]?.stringValue ?? "default-scheduler"
        grace = spec["terminationGracePeriodSeconds"]?.intValue ?? 30
        var hasher = Hasher()
        hasher.combine(requests)
        hasher.combine(nodeSelector)
        hasher.combine(affinity)
        hasher.combine(tolerations)
        hasher.combine(hostPorts)
        hasher.combine(antiAffinity)
        hasher.combine(podAffinity)
        hasher.combine(spread)
        shape = hasher.finalize()
    }

    private static func terms(_ affinity: JSONValue?) -> [PodAffinityTerm] {
        (affinity?["requiredDuringSchedulingIgnoredDuringExecution"]?.arrayValue ?? []).compactMap { term in
            term["topologyKey"]?.stringValue.map { key in
                PodAffinityTerm(
                    selector: LabelSelector(json: term["labelSelector"]),
                    namespaces: term["namespaces"]?.arrayValue?.compactMap(\.stringValue) ?? [], topologyKey: key)
            }
        }
    }

    /// Sum of the containers' requests, or a larger init container's, plus overhead.
    private static func requests(_ spec: JSONValue) -> ResourceList {
        var total = ResourceList()
        for container in spec["containers"]?.arrayValue ?? [] {
            total.add(ResourceList(json: container[path: "resources", "requests"]))
        }
        for container in spec["initContainers"]?.arrayValue ?? [] {
            total.raise(to: ResourceList(json: container[path: "resources", "requests"]))
        }
        total.add(ResourceList(json: spec["overhead"]))
        return total
    }
}

extension ResourceList {
    /// From a map of quantities; what is no quantity counts as zero.
    init(json: JSONValue?) {
        self.init()
        for (name, value) in json?.objectValue ?? [:] {
            let text = value.stringValue ?? value.text
            switch name {
            case "cpu": cpuMillis = Quantity.millis(text) ?? 0
            case "memory": memoryBytes = Quantity.units(text) ?? 0
            case "ephemeral-storage": ephemeralStorageBytes = Quantity.units(text) ?? 0
            case "pods": pods = Quantity.units(text) ?? 0
            default: extended[name] = Quantity.units(text) ?? 0
            }
        }
    }

    /// Adds `other`.
    mutating func add(_ other: ResourceList) {
        cpuMillis &+= other.cpuMillis
        memoryBytes &+= other.memoryBytes
        ephemeralStorageBytes &+= other.ephemeralStorageBytes
        pods &+= other.pods
        for (name, amount) in other.extended { extended[name, default: 0] &+= amount }
    }

    /// Takes `other` away.
    mutating func subtract(_ other: ResourceList) {
        cpuMillis &-= other.cpuMillis
        memoryBytes &-= other.memoryBytes
        ephemeralStorageBytes &-= other.ephemeralStorageBytes
        pods &-= other.pods
        for (name, amount) in other.extended { extended[name, default: 0] &-= amount }
    }

    /// Raises each amount to that of `other`.
    mutating func raise(to other: ResourceList) {
        cpuMillis = max(cpuMillis, other.cpuMillis)
        memoryBytes = max(memoryBytes, other.memoryBytes)
        ephemeralStorageBytes = max(ephemeralStorageBytes, other.ephemeralStorageBytes)
        for (name, amount) in other.extended { extended[name] = max(extended[name] ?? 0, amount) }
    }
}

/// What scheduler and controllers need to know of a node.
struct NodeFacts: Sendable {
    var name: String
    var uid: String
    var labels: [String: String]
    var taints: [Taint]
    var isUnschedulable: Bool
    var isReady: Bool
    var allocatable: ResourceList
    var serverID: String?

    init(_ object: StoredObject) {
        let value = object.value
        name = object.name
        uid = object.uid
        labels = object.labels
        taints = (value[path: "spec", "taints"]?.arrayValue ?? []).compactMap { Taint(json: $0) }
        isUnschedulable = value[path: "spec", "unschedulable"]?.boolValue ?? false
        isReady = (value[path: "status", "conditions"]?.arrayValue ?? []).contains {
            $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
        }
        allocatable = ResourceList(json: value[path: "status", "allocatable"])
        let providerID = value[path: "spec", "providerID"]?.stringValue
        serverID = providerID?.split(separator: "/").last.map(String.init)
    }

    /// Whether a pod's place on it may depend on the difference to `other`.
    func differs(from other: NodeFacts) -> Bool {
        labels != other.labels || taints != other.taints || isUnschedulable != other.isUnschedulable
            || allocatable != other.allocatable || isReady != other.isReady
    }
}

extension Taint {
    /// From `{"key","value","effect"}`.
    init?(json: JSONValue) {
        guard let key = json["key"]?.stringValue,
            let effect = json["effect"]?.stringValue.flatMap({ TaintEffect(rawValue: $0) })
        else { return nil }
        self.init(key: key, value: json["value"]?.stringValue ?? "", effect: effect)
    }
}
