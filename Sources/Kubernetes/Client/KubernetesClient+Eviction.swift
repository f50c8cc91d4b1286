import JSONReader

extension KubernetesClient {
    /// Asks for a pod to be evicted: its budgets are respected, and its grace period begins. The pod is gone only when
    /// its object is.
    ///
    /// - Parameters:
    ///   - uid: only that very pod; `conflict` when another has taken its name.
    ///   - gracePeriodSeconds: shorter than the pod's own, for an overall deadline; nil: the pod's own.
    /// - Throws: `disruptionBudget` or `tooManyRequests` (try again later), `twoBudgets`, `notFound` (it is gone),
    ///   `conflict`.
    public func evict(
        namespace: String, _ name: String, uid: String? = nil, gracePeriodSeconds: Int64? = nil, dryRun: Bool = false
    ) async throws(KubernetesError) {
        var body: JSONValue = ["metadata": ["name": .string(name), "namespace": .string(namespace)]]
        if let version = try await evictionVersion() {
            body["apiVersion"] = .string(version)
            body["kind"] = "Eviction"
        }
        var options: [String: JSONValue] = [:]
        if let uid { options["preconditions"] = ["uid": .string(uid)] }
        if let gracePeriodSeconds { options["gracePeriodSeconds"] = .int(max(0, gracePeriodSeconds)) }
        if dryRun { options["dryRun"] = ["All"] }
        if !options.isEmpty { body["deleteOptions"] = .object(options) }
        let path = PodObject.resource.path(namespace: namespace, name: name, subresource: "eviction")
        do throws(KubernetesError) {
            _ = try await request(Call(.post, path, body: body.bytes))
        } catch {
            // 400 is also the answer to a version that the server does not know (any more).
            if error.code == .invalid { forgetEvictionVersion() }
            throw error
        }
    }
}
