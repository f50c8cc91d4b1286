import JSONReader
import Messages
import Support

/// Workloads, stacks, hooks and load, as the control API makes them.
extension PracticeModel {
    /// `POST /practice/workloads`.
    mutating func makeWorkload(_ body: JSONValue, at now: Timestamp) throws(ControlFailure) -> PracticeAnswer {
        let kindName = body["kind"]?.stringValue ?? "Deployment"
        guard let kind = KubernetesKind.owner(kindName), kind != .node else {
            throw ControlFailure(400, "kind: \(kindName) is no workload")
        }
        guard let name = body["name"]?.stringValue, !name.isEmpty else { throw ControlFailure(400, "name is missing") }
        let namespace = body["namespace"]?.stringValue ?? "default"
        if store.get(.namespace, namespace) == nil {
            try making { () throws(KubernetesFailure) in
                try store.create(
                    .namespace, ["metadata": ["name": .string(namespace)], "status": ["phase": "Active"]],
                    namespace: "", at: now)
            }
        }
        let replicas = body["replicas"]?.intValue ?? 1
        guard (0...100_000).contains(replicas) else { throw ControlFailure(400, "replicas: 0…100000") }
        let template = podTemplate(body, namespace: namespace, name: name)
        var spec: JSONValue = ["template": template]
        switch kind {
        case .daemonSet: spec["selector"] = ["matchLabels": ["app": .string(name)]]
        case .job:
            spec["parallelism"] = .int(replicas)
            spec["completions"] = .int(replicas)
        case .replicationController:
            spec["replicas"] = .int(replicas)
            spec["selector"] = ["app": .string(name)]
        default:
            spec["replicas"] = .int(replicas)
            spec["selector"] = ["matchLabels": ["app": .string(name)]]
        }
        if let parallel = body["podManagementPolicy"] { spec["podManagementPolicy"] = parallel }
        let object: JSONValue = [
            "metadata": [
                "name": .string(name), "labels": ["app": .string(name)],
                "annotations": .strings(body["annotations"]?.stringMembers ?? [:]),
            ],
            "spec": spec,
        ]
        let ready = admitted(object, kind)
        let made = try making { () throws(KubernetesFailure) in
            try store.create(kind, ready, namespace: namespace, at: now)
        }
        if let budget = body["budget"] {
            var wanted = budget
            wanted["selector"] = ["matchLabels": ["app": .string(name)]]
            let object = admitted(["metadata": ["name": .string(name)], "spec": wanted], .podDisruptionBudget)
            try making { () throws(KubernetesFailure) in
                try store.create(.podDisruptionBudget, object, namespace: namespace, at: now)
            }
        }
        if let hook = body["hook"] {
            var wanted = hook
            wanted["namespace"] = .string(namespace)
            wanted["app"] = .string(name)
            _ = try setHook(wanted)
        }
        journal.record(
            "workload.created", at: now,
            ["kind_created": .string(kindName), "workload": .string(made.key), "replicas": .int(replicas)])
        settle()
        return .json(201, bytes: made.bytes(kind, version: "v1"))
    }

    @discardableResult
    private func making<Result>(
        _ body: () throws(KubernetesFailure) -> Result
    ) throws(ControlFailure) -> Result {
        do throws(KubernetesFailure) {
            return try body()
        } catch {
            throw ControlFailure(error.status, error.message)
        }
    }

    private func podTemplate(_ body: JSONValue, namespace: String, name: String) -> JSONValue {
        var requests: [String: JSONValue] = ["cpu": body["cpu"] ?? "100m", "memory": body["memory"] ?? "64Mi"]
        for (resource, amount) in body["requests"]?.objectValue ?? [:] { requests[resource] = amount }
        var labels = body["labels"]?.stringMembers ?? [:]
        labels["app"] = name
        var annotations = body["podAnnotations"]?.stringMembers ?? [:]
        for field in ["start-delay", "stop-delay", "run-for"] {
            let camel = field.replacingFirst("-d", "D").replacingFirst("-f", "F")
            if let seconds = body[camel]?.doubleValue { annotations["practice.updraft.io/\(field)"] = String(seconds) }
        }
        if body["hook"] != nil {
            // Without a host, as the annotation has it: the host is always the pod's own address.
            let port = endpoints.hooks.split(separator: ":").last ?? "80"
            annotations["updraft.io/shutdown-hook"] = "http://:\(port)/hooks/\(namespace)/\(name)"
        }
        var spec: JSONValue = [
            "containers": [
                [
                    "name": .string(name), "image": .string("registry.example/\(name):1"),
                    "resources": ["requests": .object(requests)],
                ]
            ],
            "terminationGracePeriodSeconds": body["grace"] ?? 30,
        ]
        for field in [
            "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName",
            "schedulerName",
        ] {
            if let value = body[field] { spec[field] = value }
        }
        if let priority = body["priority"] { spec["priority"] = priority }
        if body["gate"]?.boolValue ?? false { spec["readinessGates"] = [["conditionType": "updraft.io/serving"]] }
        if let key = body["antiAffinity"]?.stringValue {
            spec.set(
                "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
                to: [
                    [
                        "labelSelector": ["matchLabels": ["app": .string(name)]],
                        "topologyKey": .string(key == "hostname" ? "kubernetes.io/hostname" : key),
                    ]
                ])
        }
        return [
            "metadata": ["labels": .strings(labels), "annotations": .strings(annotations)], "spec": spec,
        ]
    }

    private func workload(_ namespace: String, _ name: String) throws(ControlFailure) -> (KubernetesKind, StoredObject)
    {
        let kinds: [KubernetesKind] = [
            .deployment, .statefulSet, .replicationController, .replicaSet, .daemonSet, .job,
        ]
        for kind in kinds {
            if let found = store.get(kind, "\(namespace)/\(name)") { return (kind, found) }
        }
        throw ControlFailure(404, "no workload \(namespace)/\(name)")
    }

    /// `PATCH /practice/workloads/NAMESPACE/NAME` with `replicas`.
    mutating func scaleWorkload(
        namespace: String, name: String, _ body: JSONValue, at now: Timestamp
    ) throws(ControlFailure) -> PracticeAnswer {
        let (kind, object) = try workload(namespace, name)
        guard let replicas = body["replicas"]?.intValue, (0...100_000).contains(replicas), kind.isScalable else {
            throw ControlFailure(400, "replicas: 0…100000, of a workload that can be scaled")
        }
        store.update(kind, object.key) { $0.set("spec", "replicas", to: .int(replicas)) }
        journal.record(
            "workload.scaled", at: now,
            [
                "kind_scaled": .string(kind.kind), "workload": .string(object.key),
                "from": object.value[path: "spec", "replicas"] ?? nil, "to": .int(replicas),
            ])
        settle()
        return .json(200, [:])
    }

    /// `DELETE /practice/workloads/NAMESPACE/NAME`: with its pods, and its budget.
    mutating func deleteWorkload(
        namespace: String, name: String, at now: Timestamp
    ) throws(ControlFailure) -> PracticeAnswer {
        let (kind, object) = try workload(namespace, name)
        store.remove(kind, object.key)
        store.remove(.podDisruptionBudget, object.key)
        journal.record("workload.deleted", at: now, ["workload": .string(object.key)])
        settle()
        return .json(200, [:])
    }

    /// `POST /practice/hooks`.
    mutating func setHook(_ body: JSONValue) throws(ControlFailure) -> PracticeAnswer {
        var behaviour = HookModel.Behaviour()
        if let word = body["answer"]?.stringValue {
            guard let answer = HookModel.Behaviour.Answer(rawValue: word) else {
                throw ControlFailure(400, "answer: done, extend, refuse, never or fail, not \(word)")
            }
            behaviour.answer = answer
        }
        if let delay = body["delay"]?.doubleValue { behaviour.delay = .seconds(max(0, delay)) }
        if let seconds = body["seconds"]?.doubleValue { behaviour.seconds = max(0, seconds) }
        if let times = body["times"]?.intValue { behaviour.times = Int(clamping: min(max(times, 1), 100)) }
        if let status = body["status"]?.intValue { behaviour.status = Int(clamping: min(max(status, 400), 599)) }
        let app = body["app"]?.stringValue ?? "*"
        hooks.behaviours[app == "*" ? "*" : "\(body["namespace"]?.stringValue ?? "default")/\(app)"] = behaviour
        return .json(200, [:])
    }

    /// `POST /practice/load`.
    mutating func setLoad(_ body: JSONValue, at now: Timestamp) throws(ControlFailure) -> PracticeAnswer {
        var load = kubelets.load
        if let share = body[path: "share", "cpu"]?.doubleValue { load.cpuShare = max(0, share) }
        if let share = body[path: "share", "memory"]?.doubleValue { load.memoryShare = max(0, share) }
        for (pod, amounts) in body["pods"]?.objectValue ?? [:] {
            let key = pod.contains("/") ? pod : "default/\(pod)"
            if let cpu = amounts["cpu"] {
                guard let millis = Quantity.millis(cpu.stringValue ?? cpu.text) else {
                    throw ControlFailure(400, "pods.\(pod).cpu: no quantity: \(cpu.text)")
                }
                load.cpuMillis[key] = Double(millis)
            }
            if let memory = amounts["memory"] {
                guard let bytes = Quantity.units(memory.stringValue ?? memory.text) else {
                    throw ControlFailure(400, "pods.\(pod).memory: no quantity: \(memory.text)")
                }
                load.memoryBytes[key] = Double(bytes)
            }
        }
        kubelets.setLoad(load, index: index, at: now)
        for (node, amounts) in body["system"]?.objectValue ?? [:] {
            guard let machine = kubelets.machine(ofNode: node) else { throw ControlFailure(404, "no node \(node)") }
            kubelets.setSystemLoad(
                machine.server.id,
                cpuMillis: amounts["cpu"].flatMap { Quantity.millis($0.stringValue ?? $0.text) }.map { Double($0) },
                memoryBytes: amounts["memory"].flatMap { Quantity.units($0.stringValue ?? $0.text) }.map { Double($0) },
                index: index, at: now)
        }
        return .json(200, [:])
    }

    /// `POST /practice/stacks`.
    mutating func makeStack(_ body: JSONValue, at now: Timestamp) throws(ControlFailure) -> PracticeAnswer {
        let definition = try StackDefinition(json: body)
        do throws(HeatError) {
            let id = try heat.create(definition, owner: keystone.users.first?.id ?? "", at: now)
            return .json(201, ["stack": ["id": .string(id)]])
        } catch {
            throw ControlFailure(error.status, error.message)
        }
    }
}

extension StackDefinition {
    /// From `{"name","groups":[…],"timeout_mins","tags"}`.
    init(json: JSONValue) throws(ControlFailure) {
        guard let name = json["name"]?.stringValue, !name.isEmpty else {
            throw ControlFailure(400, "stack: name is missing")
        }
        var groups: [GroupDefinition] = []
        for (number, entry) in (json["groups"]?.arrayValue ?? []).enumerated() {
            groups.append(try GroupDefinition(json: entry, at: "\(name).groups[\(number)]"))
        }
        self.init(name: name, groups: groups.isEmpty ? [GroupDefinition()] : groups)
        if let minutes = json["timeout_mins"]?.doubleValue, minutes > 0 { timeoutMinutes = minutes }
        tags = json["tags"]?.arrayValue?.compactMap(\.stringValue) ?? []
    }
}

extension GroupDefinition {
    /// From one entry of a stack's `groups`.
    init(json: JSONValue, at place: String) throws(ControlFailure) {
        self.init()
        if let value = json["resource"]?.stringValue { resource = value }
        if let value = json["desired_parameter"]?.stringValue { desiredParameter = value }
        if let value = json["min"]?.intValue { minimum = Int(clamping: value) }
        if let value = json["max"]?.intValue { maximum = Int(clamping: value) }
        desired = json["desired"]?.intValue.map { Int(clamping: $0) } ?? max(1, minimum)
        guard minimum >= 0, minimum <= maximum, maximum <= 100_000, (minimum...maximum).contains(desired) else {
            throw ControlFailure(400, "\(place): 0 ≤ min ≤ desired ≤ max does not hold")
        }
        if let value = json["cooldown"]?.doubleValue { cooldown = .seconds(max(0, value)) }
        if let value = json["flavor"]?.stringValue { flavor = value }
        if let value = json["pre_delete_hook"]?.boolValue { preDeleteHook = value }
        if let value = json["delete_deployment"]?.boolValue { deleteDeployment = value }
        if let value = json["hooked_resource"]?.stringValue { hookedResource = value }
        if let value = json["server_resource"]?.stringValue { serverResource = value }
        metadata = json["metadata"]?.stringMembers ?? [:]
        node.labels = json["labels"]?.stringMembers ?? [:]
        node.taints = json["taints"]?.arrayValue?.compactMap(\.stringValue) ?? []
        for (number, entry) in (json["policies"]?.arrayValue ?? []).enumerated() {
            let kind = entry["adjustment_type"]?.stringValue ?? "change_in_capacity"
            guard let name = entry["resource"]?.stringValue, let adjustment = entry["adjustment"]?.intValue,
                let type = PolicyDefinition.Kind(rawValue: kind)
            else {
                throw ControlFailure(
                    400, "\(place).policies[\(number)]: resource, adjustment and a known adjustment_type are needed")
            }
            policies.append(
                PolicyDefinition(
                    resource: name, kind: type, adjustment: Int(clamping: adjustment),
                    minimumStep: entry["min_adjustment_step"]?.intValue.map { Int(clamping: $0) },
                    cooldown: entry["cooldown"]?.doubleValue.map { .seconds($0) }))
        }
    }
}
