import JSONReader
import Messages
import Support

/// Create, replace, patch, delete, scale.
extension PracticeModel {
    private func object(_ request: PracticeRequest) throws(KubernetesFailure) -> JSONValue {
        let value: JSONValue
        do {
            value = try request.json()
        } catch {
            throw .badRequest("couldn't get version/kind; json parse error: \(error)")
        }
        guard value.objectValue != nil else { throw .badRequest("the object provided is not an object") }
        return value
    }

    private func isDryRun(_ request: PracticeRequest) -> Bool { request.parameter("dryRun") == "All" }

    /// POST of a new object.
    mutating func create(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        var value = try object(request)
        let namespace = path.namespace ?? value[path: "metadata", "namespace"]?.stringValue ?? ""
        if path.kind.isNamespaced {
            guard !namespace.isEmpty else { throw .noSuchPath() }
            guard store.get(.namespace, namespace) != nil else { throw .notFound(.namespace, namespace) }
        }
        if let kind = value["kind"]?.stringValue, kind != path.kind.kind {
            throw .badRequest("the object provided is unrecognized (must be of type \(path.kind.kind)): \(kind)")
        }
        value = admitted(value, path.kind)
        if isDryRun(request) { return .json(201, value) }
        let made = try store.create(path.kind, value, namespace: namespace, at: now)
        return .json(201, bytes: made.bytes(path.kind, version: path.version))
    }

    /// What admission fills in.
    func admitted(_ given: JSONValue, _ kind: KubernetesKind) -> JSONValue {
        var value = given
        switch kind {
        case .pod:
            var priorities: [String: Int64] = [:]
            for entry in store.all(.priorityClass) { priorities[entry.name] = entry.value["value"]?.intValue }
            let spec = PodObjects.defaulted(value["spec"] ?? .object([:]), priorities: priorities)
            value["spec"] = spec
            value["status"] = PodObjects.pendingStatus(spec)
        case .deployment, .replicaSet, .replicationController, .statefulSet:
            if value[path: "spec", "replicas"] == nil { value.set("spec", "replicas", to: 1) }
            if kind == .replicationController, value[path: "spec", "selector"] == nil {
                value.set("spec", "selector", to: value[path: "spec", "template", "metadata", "labels"] ?? [:])
            }
            value["status"] = ["replicas": 0]
        case .podDisruptionBudget:
            value["status"] = [
                "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
            ]
        case .namespace:
            value["status"] = ["phase": "Active"]
        default: break
        }
        return value
    }

    /// PUT of a whole object or its status.
    mutating func put(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        let old = try current(path)
        return try write(old, try object(request), request, path, at: now)
    }

    /// PATCH: merge and strategic merge; others are 415.
    mutating func patch(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        let type = request.headers["content-type"]?.split(separator: ";").first.map(String.init) ?? ""
        let patch: KubernetesPatch
        switch type {
        case "application/merge-patch+json": patch = .merge
        case "application/strategic-merge-patch+json": patch = .strategic
        default:
            throw KubernetesFailure(
                415, "UnsupportedMediaType",
                "the body of the request was in an unknown format - accepted media types include: "
                    + "application/merge-patch+json, application/strategic-merge-patch+json")
        }
        let changes = try object(request)
        let old = try current(path)
        return try write(old, patch.apply(changes, to: old.value), request, path, at: now)
    }

    private func current(_ path: ResourcePath) throws(KubernetesFailure) -> StoredObject {
        let name = path.name ?? ""
        guard let old = store.get(path.kind, store.key(path.kind, path.namespace ?? "", name)) else {
            throw .notFound(path.kind, name)
        }
        return old
    }

    private mutating func write(
        _ old: StoredObject, _ given: JSONValue, _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        if let version = given[path: "metadata", "resourceVersion"]?.stringValue, !version.isEmpty,
            version != String(old.version)
        {
            throw .conflict(path.kind, old.name)
        }
        if let uid = given[path: "metadata", "uid"]?.stringValue, uid != old.uid {
            throw .conflict(
                path.kind, old.name,
                "Precondition failed: UID in precondition: \(uid), UID in object meta: \(old.uid)")
        }
        var value = given
        for name in [
            "uid", "name", "namespace", "creationTimestamp", "generation", "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            value.set("metadata", name, to: old.value[path: "metadata", name])
        }
        if path.subresource == "status" {
            value["spec"] = old.value["spec"]
        } else if path.kind.hasStatus {
            value["status"] = old.value["status"]
        }
        let provider = old.value[path: "spec", "providerID"]
        if path.kind == .node, let provider, value[path: "spec", "providerID"] != provider {
            throw KubernetesFailure.invalid(
                .node, old.name, field: "spec.providerID",
                "Forbidden: node updates may not change providerID except from \"\" to valid")
        }
        if isDryRun(request) { return .json(200, value) }
        let new = store.replace(path.kind, old, with: value)
        let isLast = (new.value[path: "metadata", "finalizers"]?.arrayValue ?? []).isEmpty
        if new.isTerminating, path.kind != .pod, isLast { store.remove(path.kind, new.key) }
        return .json(200, bytes: new.bytes(path.kind, version: path.version))
    }

    /// DELETE of an object.
    mutating func delete(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        let options = try object(request)
        let old = try current(path)
        try checkPreconditions(options, old, path.kind)
        let dry = isDryRun(request) || !(options["dryRun"]?.arrayValue ?? []).isEmpty
        let grace =
            request.parameter("gracePeriodSeconds").flatMap { Int64($0) } ?? options["gracePeriodSeconds"]?.intValue
        if dry { return .json(200, bytes: old.bytes(path.kind, version: path.version)) }
        if path.kind == .pod {
            journal.record(
                "pod.deleted", at: now,
                [
                    "pod": .string(old.key), "uid": .string(old.uid), "told": .bool(told.contains(old.uid)),
                    "grace": grace.map { .int($0) } ?? nil,
                ])
            let after = store.deletePod(old.key, grace: grace, at: now) ?? old
            return .json(200, bytes: after.bytes(path.kind, version: path.version))
        }
        if !(old.value[path: "metadata", "finalizers"]?.arrayValue ?? []).isEmpty {
            let marked = store.update(path.kind, old.key) { value in
                value.set("metadata", "deletionTimestamp", to: .string(now.wholeSeconds))
            }
            return .json(200, bytes: (marked ?? old).bytes(path.kind, version: path.version))
        }
        store.remove(path.kind, old.key)
        var details = KubernetesFailure.details(path.kind, old.name)
        details["uid"] = .string(old.uid)
        return .json(
            200,
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details])
    }

    /// `preconditions` of DeleteOptions.
    func checkPreconditions(
        _ options: JSONValue, _ object: StoredObject, _ kind: KubernetesKind
    ) throws(KubernetesFailure) {
        if let uid = options[path: "preconditions", "uid"]?.stringValue, uid != object.uid {
            throw .conflict(
                kind, object.name,
                "Precondition failed: UID in precondition: \(uid), UID in object meta: \(object.uid)")
        }
        if let version = options[path: "preconditions", "resourceVersion"]?.stringValue,
            version != String(object.version)
        {
            throw .conflict(
                kind, object.name,
                "Precondition failed: ResourceVersion in precondition: \(version), ResourceVersion in object meta: "
                    + "\(object.version)")
        }
    }

    /// GET, PUT, PATCH of `scale`.
    mutating func scale(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        let old = try current(path)
        switch request.method {
        case "GET": return .json(200, scaleObject(old, path.kind))
        case "PUT", "PATCH":
            let body = try object(request)
            if let version = body[path: "metadata", "resourceVersion"]?.stringValue, !version.isEmpty,
                version != String(old.version)
            {
                throw .conflict(path.kind, old.name)
            }
            // A PUT without replicas means zero; a PATCH without leaves them.
            let asked = body[path: "spec", "replicas"]
            let replicas = asked?.intValue ?? (request.method == "PUT" ? 0 : nil)
            if asked != nil, asked?.intValue == nil {
                throw .badRequest("spec.replicas: Invalid value: \(asked?.text ?? "")")
            }
            guard let replicas else { return .json(200, scaleObject(old, path.kind)) }
            guard replicas >= 0 else {
                throw .invalid(
                    path.kind, old.name, field: "spec.replicas",
                    "Invalid value: \(replicas): must be greater than or equal to 0")
            }
            if isDryRun(request) { return .json(200, scaleObject(old, path.kind)) }
            let new = store.update(path.kind, old.key) { $0.set("spec", "replicas", to: .int(replicas)) } ?? old
            journal.record(
                "workload.scaled", at: now,
                [
                    "kind_scaled": .string(path.kind.kind), "workload": .string(old.key),
                    "from": old.value[path: "spec", "replicas"] ?? nil, "to": .int(replicas),
                ])
            return .json(200, scaleObject(new, path.kind))
        default:
            throw KubernetesFailure(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                details: [:])
        }
    }

    private func scaleObject(_ object: StoredObject, _ kind: KubernetesKind) -> JSONValue {
        let raw = object.value[path: "spec", "selector"]
        let selector =
            kind == .replicationController
            ? LabelSelector(map: raw?.stringMembers ?? [:]) : LabelSelector(json: raw) ?? LabelSelector()
        return [
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": [
                "name": .string(object.name), "namespace": .string(object.namespace), "uid": .string(object.uid),
                "resourceVersion": .string(String(object.version)),
                "creationTimestamp": object.value[path: "metadata", "creationTimestamp"] ?? nil,
            ],
            "spec": ["replicas": object.value[path: "spec", "replicas"] ?? 1],
            "status": [
                "replicas": object.value[path: "status", "replicas"] ?? 0, "selector": .string(selector.text),
            ],
        ]
    }
}
