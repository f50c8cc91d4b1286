import JSONReader
import Messages
import Support

/// Reads the values of a scenario file into the model of the bus.
struct ScenarioValues {
    /// The moment that the file calls now.
    let now: Timestamp
    /// The moment of `…Seconds: 0`.
    let base: Timestamp

    // MARK: Resources

    static func resources(_ value: JSONValue?) -> ResourceList {
        var list = ResourceList()
        for (name, amount) in value?.objectValue ?? [:] {
            switch name {
            case "cpu": list.cpuMillis = quantity(amount, millis: true)
            case "memory": list.memoryBytes = quantity(amount)
            case "ephemeral-storage": list.ephemeralStorageBytes = quantity(amount)
            case "pods": list.pods = quantity(amount)
            default: list.extended[name] = quantity(amount)
            }
        }
        return list
    }

    static func quantity(_ value: JSONValue, millis: Bool = false) -> Int64 {
        if let text = value.stringValue {
            return min(max(0, (millis ? Quantity.millis(text) : Quantity.units(text)) ?? 0), ResourceList.most)
        }
        guard let number = value.doubleValue, !number.isNaN else { return 0 }
        return Int64(min(max(0, millis ? number * 1_000 : number), Double(ResourceList.most)))
    }

    static func texts(_ value: JSONValue?) -> [String: String] {
        (value?.objectValue ?? [:]).compactMapValues(\.stringValue)
    }

    static func list(_ value: JSONValue?) -> [String] {
        (value?.arrayValue ?? []).compactMap(\.stringValue)
    }

    // MARK: Nodes

    func node(_ value: JSONValue, name: String) -> Node {
        let allocatable = Self.resources(value["allocatable"])
        let capacity = value["capacity"].map { Self.resources($0) }
        let age = value["createdAgoSeconds"]?.doubleValue ?? 10_000_000
        let created = now - .seconds(age)
        let ready = value["ready"]?.boolValue ?? true
        return Node(
            name: name, uid: "uid-\(name)", providerID: "openstack:///server-\(name)",
            labels: Self.texts(value["labels"]), annotations: Self.texts(value["annotations"]),
            taints: (value["taints"]?.arrayValue ?? []).compactMap(taint),
            unschedulable: value["unschedulable"]?.boolValue ?? false, allocatable: allocatable, capacity: capacity,
            readiness: ready ? .ready : .notReady, readinessChangedAt: created, createdAt: created)
    }

    func taint(_ value: JSONValue) -> Taint? {
        guard let key = value["key"]?.stringValue else { return nil }
        let effect = TaintEffect(rawValue: value["effect"]?.stringValue ?? "NoSchedule") ?? .noSchedule
        return Taint(key: key, value: moment(value["value"]?.stringValue ?? ""), effect: effect)
    }

    /// `<unix seconds of now - 30>` as a number.
    private func moment(_ text: String) -> String {
        guard text.hasPrefix("<unix seconds of now"), text.hasSuffix(">") else { return text }
        let offset = text.dropFirst("<unix seconds of now".count).dropLast().filter { $0 != " " }
        return String(now.seconds + (Int64(offset) ?? 0))
    }

    // MARK: Pods

    func shape(_ value: JSONValue) -> PodShape {
        var shape = PodShape(
            namespace: value["namespace"]?.stringValue ?? "default", labels: Self.texts(value["labels"]),
            annotations: Self.texts(value["annotations"]), requests: Self.resources(value["requests"]),
            priority: value["priority"]?.intValue.map { Int32(clamping: $0) },
            nodeSelector: Self.texts(value["nodeSelector"]),
            tolerations: (value["tolerations"]?.arrayValue ?? []).map(toleration),
            topologySpread: (value["topologySpread"]?.arrayValue ?? []).map(spread),
            hostPorts: (value["hostPorts"]?.arrayValue ?? []).compactMap(hostPort),
            localVolumes: (value["volumes"]?.arrayValue ?? []).compactMap(volume),
            schedulerName: value["schedulerName"]?.stringValue ?? "default-scheduler",
            restartPolicy: value["restartPolicy"]?.stringValue ?? "Always",
            gracePeriodSeconds: value["terminationGracePeriodSeconds"]?.intValue ?? 30)
        for initial in value["initRequests"]?.arrayValue ?? [] {
            shape.requests = Self.larger(shape.requests, Self.resources(initial))
        }
        if let owner = value["owner"], let kind = owner["kind"]?.stringValue, owner["controller"]?.boolValue ?? true {
            shape.owner = PodShape.Owner(
                kind: kind, apiVersion: owner["apiVersion"]?.stringValue ?? "", name: owner["name"]?.stringValue ?? "")
        }
        affinity(value["affinity"], into: &shape)
        return shape
    }

    private static func larger(_ left: ResourceList, _ right: ResourceList) -> ResourceList {
        ResourceList(
            cpuMillis: max(left.cpuMillis, right.cpuMillis), memoryBytes: max(left.memoryBytes, right.memoryBytes),
            ephemeralStorageBytes: max(left.ephemeralStorageBytes, right.ephemeralStorageBytes),
            extended: left.extended.merging(right.extended) { max($0, $1) })
    }

    private func hostPort(_ value: JSONValue) -> PodShape.HostPort? {
        if let port = value.intValue { return PodShape.HostPort(port: Int32(clamping: port)) }
        guard let port = value["port"]?.intValue ?? value["hostPort"]?.intValue else { return nil }
        return PodShape.HostPort(
            port: Int32(clamping: port), transport: value["protocol"]?.stringValue ?? "TCP",
            address: value["hostIP"]?.stringValue ?? "")
    }

    private func volume(_ value: JSONValue) -> PodShape.LocalVolume? {
        let name = value["name"]?.stringValue ?? ""
        if value["hostPath"] != nil { return PodShape.LocalVolume(name: name, kind: "hostPath") }
        guard let empty = value["emptyDir"] else { return nil }
        let inMemory = empty["medium"]?.stringValue == "Memory"
        return PodShape.LocalVolume(name: name, kind: inMemory ? "emptyDirMemory" : "emptyDir")
    }

    func pods(_ value: JSONValue, shape number: Int, index: Int) -> [Pod] {
        let name = value["name"]?.stringValue ?? "pod-\(index)"
        let count = Int(value["count"]?.intValue ?? 1)
        let node = value["node"]?.stringValue
        let unseen = value["schedulingState"]?.stringValue == "unprocessed"
        let created = time(value, "createdAt") ?? Timestamp(seconds: 0)
        // The order of the file is the order of the uids.
        let rank = String(String(1_000_000 + index).dropFirst())
        return (0..<max(0, count)).map { replica in
            Pod(
                uid: "\(rank)-\(String(String(1_000_000 + replica).dropFirst()))",
                name: count > 1 || value["count"] != nil ? "\(name)-\(replica)" : name, shape: number, node: node,
                nominatedNode: value["nominatedNode"]?.stringValue,
                phase: Pod.Phase(rawValue: value["phase"]?.stringValue ?? "") ?? (node == nil ? .pending : .running),
                scheduling: node != nil ? .scheduled : unseen ? .unseen : .unschedulable, ready: node != nil,
                createdAt: created, unschedulableSince: node == nil ? created : nil,
                deletedAt: time(value, "deletedAt"))
        }
    }

    private func time(_ value: JSONValue, _ key: String) -> Timestamp? {
        if let text = value[key]?.stringValue { return Timestamp(text) }
        if let seconds = value[key + "Seconds"]?.doubleValue { return base + .seconds(seconds) }
        return nil
    }

    // MARK: Constraints

    private func toleration(_ value: JSONValue) -> Toleration {
        Toleration(
            key: value["key"]?.stringValue, exists: value["operator"]?.stringValue == "Exists",
            value: value["value"]?.stringValue ?? "",
            effect: value["effect"]?.stringValue.flatMap(TaintEffect.init(rawValue:)),
            seconds: value["tolerationSeconds"]?.intValue)
    }

    private func spread(_ value: JSONValue) -> TopologySpreadConstraint {
        TopologySpreadConstraint(
            maxSkew: Int32(clamping: value["maxSkew"]?.intValue ?? 1),
            topologyKey: value["topologyKey"]?.stringValue ?? "",
            isHard: value["whenUnsatisfiable"]?.stringValue != "ScheduleAnyway",
            selector: Self.selector(value["labelSelector"]),
            minDomains: value["minDomains"]?.intValue.map { Int32(clamping: $0) },
            nodeAffinityPolicy: value["nodeAffinityPolicy"]?.stringValue == "Ignore" ? .ignore : .honor,
            nodeTaintsPolicy: value["nodeTaintsPolicy"]?.stringValue == "Honor" ? .honor : .ignore,
            matchLabelKeys: Self.list(value["matchLabelKeys"]))
    }

    static func selector(_ value: JSONValue?) -> LabelSelector? {
        guard let value, value.objectValue != nil else { return nil }
        var requirements = texts(value["matchLabels"]).sorted { $0.key < $1.key }
            .map { Requirement($0.key, .in, [$0.value]) }
        requirements += (value["matchExpressions"]?.arrayValue ?? []).compactMap(requirement)
        return LabelSelector(requirements)
    }

    private static func requirement(_ value: JSONValue) -> Requirement? {
        guard let key = value["key"]?.stringValue,
            let `operator` = Requirement.Operator(rawValue: value["operator"]?.stringValue ?? "")
        else { return nil }
        return Requirement(key, `operator`, list(value["values"]))
    }

    private func affinity(_ value: JSONValue?, into shape: inout PodShape) {
        guard let value else { return }
        let required = "requiredDuringSchedulingIgnoredDuringExecution"
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        if let node = value["nodeAffinity"] {
            if let terms = node[path: required, "nodeSelectorTerms"]?.arrayValue {
                shape.nodeAffinity = terms.map(Self.nodeTerm)
            }
            shape.preferredNodeAffinity = (node[preferred]?.arrayValue ?? []).map { item in
                WeightedNodeTerm(
                    weight: Int32(clamping: item["weight"]?.intValue ?? 1),
                    term: Self.nodeTerm(item["preference"] ?? .object([:])))
            }
        }
        func terms(_ kind: String) -> [PodAffinityTerm] {
            (value[path: kind, required]?.arrayValue ?? []).map { podTerm($0, weight: nil) }
                + (value[path: kind, preferred]?.arrayValue ?? []).map {
                    podTerm($0["podAffinityTerm"] ?? $0, weight: Int32(clamping: $0["weight"]?.intValue ?? 1))
                }
        }
        shape.podAffinity = terms("podAffinity")
        shape.podAntiAffinity = terms("podAntiAffinity")
    }

    static func nodeTerm(_ value: JSONValue) -> NodeSelectorTerm {
        NodeSelectorTerm(
            expressions: (value["matchExpressions"]?.arrayValue ?? []).compactMap(requirement),
            fields: (value["matchFields"]?.arrayValue ?? []).compactMap(requirement))
    }

    private func podTerm(_ value: JSONValue, weight: Int32?) -> PodAffinityTerm {
        PodAffinityTerm(
            selector: Self.selector(value["labelSelector"]), namespaces: Self.list(value["namespaces"]),
            namespaceSelector: Self.selector(value["namespaceSelector"]),
            topologyKey: value["topologyKey"]?.stringValue ?? "", matchLabelKeys: Self.list(value["matchLabelKeys"]),
            weight: weight)
    }
}
