import HTTPClient
import JSONReader
import Support

/// Heat, as docs/openstack/heat.md §2 measured it.
extension OpenStackClient {
    private static let heat = "orchestration"
    /// Names remembered; far more than the groups of one cloud.
    private static let maximumIdentities = 1_024

    // MARK: Stacks

    /// The full identity of a stack given by name, id, or both with a slash.
    public func resolve(_ nameOrID: String) async throws(OpenStackError) -> StackID {
        if let known = identities.withLock({ $0[nameOrID] }) { return known }
        let parts = nameOrID.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty {
            return StackID(name: String(parts[0]), id: String(parts[1]))
        }
        guard parts.count == 1, !nameOrID.isEmpty else {
            throw .configuration("stack \"\(nameOrID)\"", "is neither a name nor an id nor name/id")
        }
        let answer = try await call(
            Self.heat, .get, "stacks/\(PercentEncoding.segment(nameOrID))", query: [("resolve_outputs", "false")],
            acceptsRedirect: true)
        let found: StackID
        if answer.response.status < 300 {
            // A proxy may have followed the redirect by itself.
            found = try HeatStack.decode(try answer.json().member("stack")).id
        } else {
            guard let location = answer.response.headers["Location"], let stack = StackID(url: location) else {
                throw OpenStackError(
                    .malformed, call: answer.call, status: answer.response.status,
                    message: "the redirect's Location does not name a stack and its id")
            }
            found = stack
        }
        identities.withLock { known in
            if known.count >= Self.maximumIdentities { known = [:] }
            known[nameOrID] = found
        }
        return found
    }

    /// Forgets what a name meant: the stack may have been made anew.
    public func forget(_ stack: StackID) {
        identities.withLock { known in known = known.filter { $0.value != stack } }
    }

    /// A stack with its parameters, without its outputs.
    public func stack(_ stack: StackID) async throws(OpenStackError) -> HeatStack {
        let answer = try await call(Self.heat, .get, stack.path, query: [("resolve_outputs", "false")])
        return try HeatStack.decode(try answer.json().member("stack"))
    }

    /// All stacks of the project that have all these tags; without nested ones.
    public func stacks(tags: [String] = []) async throws(OpenStackError) -> [HeatStack] {
        var stacks: [HeatStack] = []
        while true {
            var query = [("limit", "200")]
            if !tags.isEmpty { query.append(("tags", tags.joined(separator: ","))) }
            if let last = stacks.last { query.append(("marker", last.id.id)) }
            let answer = try await call(Self.heat, .get, "stacks", query: query)
            let page = try answer.json().list("stacks", HeatStack.decode)
            // Stops also on a service that ignores the marker and would give the same page for ever.
            guard let first = page.first, !stacks.contains(where: { $0.id == first.id }) else { return stacks }
            stacks += page
        }
    }

    /// Changes parameters of a stack and keeps everything else. Accepted (202), not done: read the stack until it is no
    /// longer in progress. During an update this one supersedes it. Whatever parameter it names, it resizes every group
    /// of the stack to its desired capacity.
    public func patch(_ stack: StackID, parameters: [String: JSONValue]) async throws(OpenStackError) {
        _ = try await call(
            Self.heat, .patch, stack.path, body: ["existing": true, "parameters": .object(parameters)])
    }

    /// The environment that a stack was made with: where hooks stand. It may hold secrets: never log it.
    public func environment(_ stack: StackID) async throws(OpenStackError) -> JSONValue {
        try await call(Self.heat, .get, stack.path + "/environment").json().value
    }

    /// The template of a stack. It may hold secrets: never log it.
    public func template(_ stack: StackID) async throws(OpenStackError) -> JSONValue {
        try await call(Self.heat, .get, stack.path + "/template").json().value
    }

    // MARK: Resources

    /// The resources of a stack and, to `nestedDepth`, of the stacks nested in it.
    /// - Parameters:
    ///   - type: only of exactly this type. (Heat's own filter also lets similar ones through.)
    ///   - physicalID: only the one with this id, e.g. a server's.
    public func resources(
        _ stack: StackID, nestedDepth: Int = 0, type: String? = nil, physicalID: String? = nil
    ) async throws(OpenStackError) -> [HeatResource] {
        var query: [(String, String)] = []
        if nestedDepth > 0 { query.append(("nested_depth", String(nestedDepth))) }
        if let type { query.append(("type", type)) }
        if let physicalID { query.append(("physical_resource_id", physicalID)) }
        let answer = try await call(Self.heat, .get, stack.path + "/resources", query: query)
        let resources = try answer.json().list("resources", HeatResource.decode)
        return resources.filter { resource in
            (type == nil || resource.type == type) && (physicalID == nil || resource.physicalID == physicalID)
        }
    }

    /// One resource, by name or physical id.
    public func resource(_ stack: StackID, _ name: String) async throws(OpenStackError) -> HeatResource {
        let answer = try await call(Self.heat, .get, resourcePath(stack, name))
        return try HeatResource.decode(try answer.json().member("resource"))
    }

    /// The metadata of a scaling group.
    public func groupMetadata(_ stack: StackID, _ group: String) async throws(OpenStackError) -> HeatGroupMetadata {
        let answer = try await call(Self.heat, .get, resourcePath(stack, group) + "/metadata")
        return try HeatGroupMetadata.decode(try answer.json().member("metadata"))
    }

    /// Marks a member unhealthy, or takes the mark back. Changes nothing else; the next PATCH removes (smaller size) or
    /// replaces (same size) a marked member. In a ResourceGroup it always means replace.
    /// - Parameters:
    ///   - groupStack: the stack that the group owns, not the main stack (404 there).
    ///   - reason: shown by Heat as the member's status reason.
    public func mark(
        _ groupStack: StackID, member: String, unhealthy: Bool, reason: String
    ) async throws(OpenStackError) {
        _ = try await call(
            Self.heat, .patch, resourcePath(groupStack, member),
            body: ["mark_unhealthy": .bool(unhealthy), "resource_status_reason": .string(reason)])
    }

    /// Signals a resource. For a scaling policy 200 means nothing, and the signal is not idempotent: read back.
    public func signal(
        _ stack: StackID, _ resource: String, details: JSONValue? = nil
    ) async throws(OpenStackError) {
        _ = try await call(Self.heat, .post, resourcePath(stack, resource) + "/signal", body: details)
    }

    /// Lets a resource go that waits at a hook. `badRequest` (`InvalidBreakPointHook`): it does not wait, or no more.
    /// - Parameter stack: the stack that holds the resource, e.g. the member's.
    public func clearHook(
        _ stack: StackID, _ resource: String, hook: String = "pre-delete"
    ) async throws(OpenStackError) {
        try await signal(stack, resource, details: ["unset_hook": .string(hook)])
    }

    /// Ends a software deployment that waits for its signal: with status 0 it is done, with any other it has failed.
    /// - Parameter stack: the stack that holds the resource, e.g. the member's.
    public func endDeployment(_ stack: StackID, _ resource: String, status: Int) async throws(OpenStackError) {
        try await signal(stack, resource, details: ["deploy_status_code": .int(Int64(status))])
    }

    /// One page of the events of a stack and those nested in it, oldest first.
    /// - Parameters:
    ///   - after: the id of the last event that is known.
    ///   - limit: of one page; fewer in the answer means that there are no more.
    ///   - newestFirst: the other way round.
    public func events(
        _ stack: StackID, nestedDepth: Int = 5, after: String? = nil, limit: Int = 500, newestFirst: Bool = false
    ) async throws(OpenStackError) -> [HeatEvent] {
        var query = [
            ("nested_depth", String(nestedDepth)), ("sort_dir", newestFirst ? "desc" : "asc"),
            ("limit", String(limit)),
        ]
        if let after { query.append(("marker", after)) }
        let answer = try await call(Self.heat, .get, stack.path + "/events", query: query)
        return try answer.json().list("events", HeatEvent.decode)
    }

    private func resourcePath(_ stack: StackID, _ name: String) -> String {
        "\(stack.path)/resources/\(PercentEncoding.segment(name))"
    }
}
