import JSONReader

extension KubernetesClient {
    /// How many replicas a workload has and shall have.
    public func scale(
        of resource: ResourceName, namespace: String, _ name: String
    ) async throws(KubernetesError) -> Scale {
        let call = Call(.get, resource.path(namespace: namespace, name: name, subresource: "scale"))
        return try await scale(call, of: resource)
    }

    /// Sets how many replicas a workload shall have. With `resourceVersion` only if nobody has changed it since:
    /// `conflict` otherwise.
    @discardableResult
    public func setScale(
        of resource: ResourceName, namespace: String, _ name: String, replicas: Int32, resourceVersion: String? = nil,
        dryRun: Bool = false
    ) async throws(KubernetesError) -> Scale {
        var patch: JSONValue = ["spec": ["replicas": .int(Int64(replicas))]]
        if let resourceVersion { patch["metadata"] = ["resourceVersion": .string(resourceVersion)] }
        var call = Call(
            .patch, resource.path(namespace: namespace, name: name, subresource: "scale"),
            query: dryRun ? [("dryRun", "All")] : [], body: patch.bytes, contentType: PatchKind.merge.rawValue)
        call.retry.alsoNonIdempotent = true
        return try await scale(call, of: resource)
    }

    private func scale(_ call: Call, of resource: ResourceName) async throws(KubernetesError) -> Scale {
        do throws(KubernetesError) {
            let response = try await request(call)
            return try decode(response, call.operation) { (reader) throws(JSONError) in try Scale.read(&reader) }
        } catch {
            // The workload is gone, or its kind has another place by now: the next call looks where it is.
            if error.code == .notFound { forgetScalability(of: resource) }
            throw error
        }
    }
}
