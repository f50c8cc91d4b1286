import JSONReader
import Messages
import Support

/// Pods and conditions as the real components write them.
enum PodObjects {
    /// A pod's spec with what API server and admission fill in.
    static func defaulted(_ given: JSONValue, priorities: [String: Int64] = [:]) -> JSONValue {
        var spec = given
        let defaults: [(String, JSONValue)] = [
            ("restartPolicy", "Always"), ("terminationGracePeriodSeconds", 30), ("dnsPolicy", "ClusterFirst"),
            ("serviceAccountName", "default"), ("serviceAccount", "default"), ("securityContext", [:]),
            ("schedulerName", "default-scheduler"), ("enableServiceLinks", true),
            ("preemptionPolicy", "PreemptLowerPriority"),
        ]
        for (name, value) in defaults where spec[name] == nil { spec[name] = value }
        if spec["priority"] == nil {
            let named = spec["priorityClassName"]?.stringValue.flatMap { priorities[$0] }
            spec["priority"] = .int(named ?? 0)
        }
        let containers = (spec["containers"]?.arrayValue ?? []).map { container in
            var filled = container
            let defaults: [(String, JSONValue)] = [
                ("terminationMessagePath", "/dev/termination-log"), ("terminationMessagePolicy", "File"),
                ("imagePullPolicy", "IfNotPresent"), ("resources", [:]), ("name", "main"),
                ("image", "registry.example/practice:1"),
            ]
            for (name, value) in defaults where filled[name] == nil { filled[name] = value }
            return filled
        }
        spec["containers"] = .array(containers)
        var tolerations = spec["tolerations"]?.arrayValue ?? []
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        where !tolerations.contains(where: { $0["key"]?.stringValue == key || $0["key"] == nil }) {
            tolerations.append([
                "key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            ])
        }
        spec["tolerations"] = .array(tolerations)
        return spec
    }

    /// The status of a pod that nobody has looked at yet.
    static func pendingStatus(_ spec: JSONValue) -> JSONValue {
        let hasRequests = (spec["containers"]?.arrayValue ?? []).contains { container in
            !(container[path: "resources", "requests"]?.objectValue ?? [:]).isEmpty
        }
        return ["phase": "Pending", "qosClass": hasRequests ? "Burstable" : "BestEffort"]
    }

    /// A condition.
    static func condition(
        _ type: String, _ isTrue: Bool, at now: Timestamp, reason: String? = nil, message: String? = nil
    ) -> JSONValue {
        .members([
            ("type", .string(type)), ("status", isTrue ? "True" : "False"), ("lastProbeTime", .null),
            ("lastTransitionTime", .string(now.wholeSeconds)), ("reason", reason.map { .string($0) }),
            ("message", message.map { .string($0) }),
        ])
    }

    /// `conditions` with one set; its transition time changes only with its status.
    static func setting(_ new: JSONValue, in conditions: [JSONValue]) -> [JSONValue] {
        var result = conditions
        guard let place = result.firstIndex(where: { $0["type"] == new["type"] }) else { return result + [new] }
        var changed = new
        if result[place]["status"] == new["status"], let since = result[place]["lastTransitionTime"] {
            changed["lastTransitionTime"] = since
        }
        result[place] = changed
        return result
    }

    /// An owner reference to a controller.
    static func controllerReference(_ kind: KubernetesKind, _ object: StoredObject) -> JSONValue {
        [
            "apiVersion": .string(kind.apiVersion("v1")), "kind": .string(kind.kind), "name": .string(object.name),
            "uid": .string(object.uid), "controller": true, "blockOwnerDeletion": true,
        ]
    }
}

extension KubernetesStore {
    /// Deletes a pod as the API server does: with its grace period, unless there is nobody to honour it. Returns the
    /// pod as it is after that.
    @discardableResult
    mutating func deletePod(_ key: String, grace: Int64?, at now: Timestamp) -> StoredObject? {
        guard let pod = get(.pod, key) else { return nil }
        let isTerminal = ["Succeeded", "Failed"].contains(pod.value[path: "status", "phase"]?.stringValue ?? "")
        let isBound = pod.value[path: "spec", "nodeName"] != nil
        let wanted = max(0, grace ?? pod.value[path: "spec", "terminationGracePeriodSeconds"]?.intValue ?? 30)
        if !isBound || isTerminal || wanted == 0 {
            return remove(.pod, key)
        }
        let ends = now + .seconds(Double(wanted))
        if let already = pod.value[path: "metadata", "deletionTimestamp"]?.stringValue.flatMap({ Timestamp($0) }),
            already <= ends
        {
            // A grace period can be shortened, never lengthened.
            return pod
        }
        return update(.pod, key) { value in
            value.set("metadata", "deletionTimestamp", to: .string(ends.wholeSeconds))
            value.set("metadata", "deletionGracePeriodSeconds", to: .int(wanted))
        }
    }

    /// Writes an Event about an object; a repetition of the same reason and message raises its count.
    mutating func recordEvent(
        about object: StoredObject, _ kind: KubernetesKind, type: String, reason: String, message: String,
        component: String, suffix: String, at now: Timestamp
    ) {
        let namespace = object.namespace.isEmpty ? "default" : object.namespace
        let reference: JSONValue = .members([
            ("kind", .string(kind.kind)), ("apiVersion", .string(kind.apiVersion("v1"))),
            ("name", .string(object.name)), ("uid", .string(object.uid)),
            ("namespace", object.namespace.isEmpty ? nil : .string(object.namespace)),
            ("resourceVersion", .string(String(object.version))),
        ])
        let event: JSONValue = [
            "metadata": ["name": .string("\(object.name).\(suffix)")], "involvedObject": reference,
            "reason": .string(reason), "message": .string(message), "type": .string(type),
            "source": ["component": .string(component)], "firstTimestamp": .string(now.wholeSeconds),
            "lastTimestamp": .string(now.wholeSeconds), "count": 1, "eventTime": nil,
            "reportingComponent": .string(component), "reportingInstance": "",
        ]
        // A clash of names cannot be: the suffix is new each time. Events are no one's truth; one lost is no harm.
        _ = try? create(.event, event, namespace: namespace, at: now)
    }
}
