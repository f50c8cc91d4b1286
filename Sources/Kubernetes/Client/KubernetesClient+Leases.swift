import HTTPClient

extension KubernetesClient {
    /// A lease; `notFound` if there is none.
    public func lease(namespace: String, _ name: String) async throws(KubernetesError) -> LeaseObject {
        try await get(LeaseObject.self, namespace: namespace, name)
    }

    /// Creates a lease; `alreadyExists` if another was faster.
    public func createLease(_ lease: LeaseObject) async throws(KubernetesError) -> LeaseObject {
        let call = Call(.post, LeaseObject.resource.path(namespace: lease.meta.namespace), body: lease.bytes)
        return try decodeObject(try await request(call), call.operation, LeaseObject.resource.version)
    }

    /// Writes a lease on the condition that it is still as it was read: `conflict` otherwise. Not retried by itself:
    /// after a lost answer the second attempt would meet its own first.
    public func updateLease(_ lease: LeaseObject) async throws(KubernetesError) -> LeaseObject {
        let call = Call(
            .put, LeaseObject.resource.path(namespace: lease.meta.namespace, name: lease.meta.name), body: lease.bytes,
            timeouts: HTTPTimeouts(total: .seconds(10)), retry: .none)
        return try decodeObject(try await request(call), call.operation, LeaseObject.resource.version)
    }
}
