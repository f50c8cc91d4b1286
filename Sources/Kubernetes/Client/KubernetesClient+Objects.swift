import HTTPClient
import JSONReader
import Support

/// How the body of a PATCH is meant.
public enum PatchKind: String, Sendable {
    /// RFC 7386: arrays are replaced, null deletes.
    case merge = "application/merge-patch+json"
    /// As merge, but lists with a merge key (conditions by type) are merged. Built-in kinds only.
    case strategic = "application/strategic-merge-patch+json"
    /// RFC 6902: operations, `test` among them.
    case json = "application/json-patch+json"
}

extension KubernetesClient {
    /// One object.
    public func get<Object: KubernetesResource>(
        _ type: Object.Type, namespace: String? = nil, _ name: String
    ) async throws(KubernetesError) -> Object {
        let resource = try await resolved(type.resource)
        let call = Call(.get, resource.path(namespace: namespace, name: name))
        let response = try await request(call)
        return try decodeObject(response, call.operation, resource.version)
    }

    /// One object as it is, with everything that the typed forms leave out.
    public func getValue(
        _ resource: ResourceName, namespace: String? = nil, _ name: String
    ) async throws(KubernetesError) -> JSONValue {
        let call = Call(.get, try await resolved(resource).path(namespace: namespace, name: name))
        return try value(try await request(call), call.operation)
    }

    /// Changes an object (or a subresource such as `status`) and returns its new state.
    ///
    /// A `metadata.resourceVersion` in the patch makes it conditional: `conflict` when the object has changed since.
    public func patch<Object: KubernetesResource>(
        _ type: Object.Type, namespace: String? = nil, _ name: String, subresource: String? = nil,
        _ kind: PatchKind = .merge, _ body: [UInt8], dryRun: Bool = false
    ) async throws(KubernetesError) -> Object {
        let resource = try await resolved(type.resource)
        let call = patchCall(resource, namespace, name, subresource, kind, body, dryRun)
        let response = try await request(call)
        return try decodeObject(response, call.operation, resource.version)
    }

    private func patchCall(
        _ resource: ResourceName, _ namespace: String?, _ name: String, _ subresource: String?, _ kind: PatchKind,
        _ body: [UInt8], _ dryRun: Bool
    ) -> Call {
        var retry = RetryPolicy.standard
        // A merge says what shall be: sent twice it has the same effect. A JSON patch may append.
        retry.alsoNonIdempotent = kind != .json
        return Call(
            .patch, resource.path(namespace: namespace, name: name, subresource: subresource),
            query: dryRun ? [("dryRun", "All")] : [], body: body, contentType: kind.rawValue, retry: retry)
    }

    /// Changes a node.
    public func patchNode(
        _ name: String, _ kind: PatchKind = .merge, _ body: [UInt8], dryRun: Bool = false
    ) async throws(KubernetesError) -> NodeObject {
        try await patch(NodeObject.self, name, kind, body, dryRun: dryRun)
    }

    /// Changes a pod.
    public func patchPod(
        namespace: String, _ name: String, _ kind: PatchKind = .merge, _ body: [UInt8], dryRun: Bool = false
    ) async throws(KubernetesError) -> PodObject {
        try await patch(PodObject.self, namespace: namespace, name, kind, body, dryRun: dryRun)
    }

    /// Reads an object, lets `change` make a merge patch from its whole state, and sends it on the condition that the
    /// object is still the same; after a conflict it begins again. Needed where a list without merge key is changed,
    /// such as a node's taints. Nil from `change`: nothing to do.
    ///
    /// - Returns: whether something was sent.
    @discardableResult
    public func edit(
        _ resource: ResourceName, namespace: String? = nil, _ name: String, dryRun: Bool = false, attempts: Int = 5,
        _ change: @Sendable (JSONValue) -> JSONValue?
    ) async throws(KubernetesError) -> Bool {
        var made = 0
        while true {
            made += 1
            let object = try await getValue(resource, namespace: namespace, name)
            guard var patch = change(object) else { return false }
            if patch["metadata"] == nil { patch["metadata"] = [:] }
            patch["metadata"]?["resourceVersion"] = object["metadata"]?["resourceVersion"]
            patch["metadata"]?["uid"] = object["metadata"]?["uid"]
            do throws(KubernetesError) {
                let call = patchCall(
                    try await resolved(resource), namespace, name, nil, .merge, patch.bytes, dryRun)
                _ = try await request(call)
                return true
            } catch {
                guard error.code == .conflict, made < attempts else { throw error }
            }
        }
    }

    /// Sets annotations of a pod, nil removes one. With `uid` only of that very pod: `invalid` or `conflict` if another
    /// has taken its name.
    @discardableResult
    public func annotatePod(
        namespace: String, _ name: String, uid: String? = nil, _ annotations: [String: String?], dryRun: Bool = false
    ) async throws(KubernetesError) -> PodObject {
        var metadata: [String: JSONValue] = [
            "annotations": .object(annotations.mapValues { $0.map(JSONValue.string) ?? .null })
        ]
        if let uid { metadata["uid"] = .string(uid) }
        return try await patchPod(
            namespace: namespace, name, .merge, JSONValue.object(["metadata": .object(metadata)]).bytes,
            dryRun: dryRun)
    }

    /// Sets one condition in a pod's status, such as that of a readiness gate. With `uid` only of that very pod.
    @discardableResult
    public func setPodCondition(
        namespace: String, _ name: String, uid: String? = nil, type: String, status: Bool, reason: String,
        message: String, at time: Timestamp, dryRun: Bool = false
    ) async throws(KubernetesError) -> PodObject {
        let condition: JSONValue = [
            "type": .string(type), "status": status ? "True" : "False", "reason": .string(reason),
            "message": .string(message), "lastTransitionTime": .string(time.wholeSeconds),
        ]
        var body: JSONValue = ["status": ["conditions": [condition]]]
        if let uid { body["metadata"] = ["uid": .string(uid)] }
        return try await patch(
            PodObject.self, namespace: namespace, name, subresource: "status", .strategic, body.bytes, dryRun: dryRun)
    }

    /// Deletes an object. With `uid` only that very one: `conflict` if another has taken its name.
    /// `gracePeriodSeconds`: for pods, in place of their own.
    public func delete<Object: KubernetesResource>(
        _ type: Object.Type, namespace: String? = nil, _ name: String, uid: String? = nil,
        gracePeriodSeconds: Int64? = nil, dryRun: Bool = false
    ) async throws(KubernetesError) {
        let resource = try await resolved(type.resource)
        var options: JSONValue = ["apiVersion": "v1", "kind": "DeleteOptions"]
        if let uid { options["preconditions"] = ["uid": .string(uid)] }
        if let gracePeriodSeconds { options["gracePeriodSeconds"] = .int(max(0, gracePeriodSeconds)) }
        if dryRun { options["dryRun"] = ["All"] }
        let call = Call(.delete, resource.path(namespace: namespace, name: name), body: options.bytes)
        _ = try await request(call)
    }

    /// Deletes a Node object. With `uid` only that very one.
    public func deleteNode(_ name: String, uid: String? = nil, dryRun: Bool = false) async throws(KubernetesError) {
        try await delete(NodeObject.self, name, uid: uid, dryRun: dryRun)
    }

    func decodeObject<Object: KubernetesResource>(
        _ response: HTTPResponse, _ operation: String, _ version: String
    ) throws(KubernetesError) -> Object {
        try decode(response, operation) { (reader) throws(JSONError) in
            try Object.read(&reader, version: version)
        }
    }

    func value(_ response: HTTPResponse, _ operation: String) throws(KubernetesError) -> JSONValue {
        try decode(response, operation) { (reader) throws(JSONError) in try reader.value() }
    }
}

extension Timestamp {
    /// As `metav1.Time` has it: RFC 3339 without fractions.
    var wholeSeconds: String {
        String(Timestamp(seconds: seconds).rfc3339.prefix(19)) + "Z"
    }
}
