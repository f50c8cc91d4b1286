import JSONReader
import Messages
import Support

/// The eviction subresource, as recorded from a real API server.
extension PracticeModel {
    /// POST …/pods/NAME/eviction.
    mutating func evict(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        let body: JSONValue
        do {
            body = try request.json()
        } catch {
            throw .badRequest("couldn't get version/kind; json parse error: \(error)")
        }
        if let version = body["apiVersion"]?.stringValue {
            let known = settings.kubernetesMinor < 22 ? ["policy/v1beta1"] : ["policy/v1", "policy/v1beta1"]
            guard known.contains(version) else {
                throw .badRequest(
                    "Eviction in version \"\(version.split(separator: "/").last ?? "")\" cannot be handled as a "
                        + "Eviction: no kind \"Eviction\" is registered for version \"\(version)\" in scheme "
                        + "\"pkg/api/legacyscheme/scheme.go:30\"")
            }
        }
        let name = path.name ?? ""
        guard body[path: "metadata", "name"]?.stringValue == name else {
            throw .badRequest("name in URL does not match name in Eviction object")
        }
        let key = "\(path.namespace ?? "")/\(name)"
        guard let object = store.get(.pod, key), let pod = index.pods[key] else { throw .notFound(.pod, name) }
        let options = body["deleteOptions"] ?? .object([:])
        try checkPreconditions(options, object, .pod)
        let isDry = request.parameter("dryRun") == "All" || !(options["dryRun"]?.arrayValue ?? []).isEmpty
        do throws(KubernetesFailure) {
            try spendBudget(for: pod, isDry: isDry)
        } catch {
            journal.record(
                "pod.eviction-refused", at: now,
                [
                    "pod": .string(key), "uid": .string(pod.uid), "node": pod.node.map { .string($0) } ?? nil,
                    "status": .int(Int64(error.status)),
                    "why": error.details?["causes"]?[0]?["message"] ?? .string(error.message),
                ])
            throw error
        }
        if !isDry {
            if pod.deletion == nil {
                journal.record(
                    "pod.evicted", at: now,
                    [
                        "pod": .string(key), "uid": .string(pod.uid), "node": pod.node.map { .string($0) } ?? nil,
                        "told": .bool(told.contains(pod.uid)),
                        "owner": pod.ownerKind.map { .string($0) } ?? nil,
                    ])
            }
            store.deletePod(key, grace: options["gracePeriodSeconds"]?.intValue, at: now)
        }
        return .json(
            201, ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201])
    }

    private mutating func spendBudget(for pod: PodFacts, isDry: Bool) throws(KubernetesFailure) {
        // Pods that serve nobody cost no budget: pending, finished, or going already.
        if pod.isTerminal || pod.phase == "Pending" || pod.deletion != nil { return }
        let budgets = store.all(.podDisruptionBudget).filter { budget in
            budget.namespace == pod.namespace
                && (LabelSelector(json: budget.value[path: "spec", "selector"])?.matches(pod.labels) ?? false)
        }
        guard budgets.count <= 1 else {
            throw KubernetesFailure(
                500, nil,
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
        }
        guard let budget = budgets.first else { return }
        let status = budget.value["status"] ?? .object([:])
        let generation = budget.value[path: "metadata", "generation"]?.intValue ?? 1
        guard (status["observedGeneration"]?.intValue ?? 0) >= generation else {
            throw Self.refusal("The disruption budget \(budget.name) is still being processed by the server.")
        }
        let healthy = status["currentHealthy"]?.intValue ?? 0
        let desired = status["desiredHealthy"]?.intValue ?? 0
        let allowed = status["disruptionsAllowed"]?.intValue ?? 0
        let always = budget.value[path: "spec", "unhealthyPodEvictionPolicy"]?.stringValue == "AlwaysAllow"
        if !pod.isReady, always || (healthy >= desired && desired > 0) { return }
        guard allowed > 0 else {
            throw Self.refusal(
                "The disruption budget \(budget.name) needs \(desired) healthy pods and has \(healthy) currently")
        }
        if !isDry {
            store.update(.podDisruptionBudget, budget.key) { value in
                value.set("status", "disruptionsAllowed", to: .int(allowed - 1))
            }
        }
    }

    private static func refusal(_ why: String) -> KubernetesFailure {
        KubernetesFailure(
            429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
            details: ["causes": [["reason": "DisruptionBudget", "message": .string(why)]]])
    }
}
