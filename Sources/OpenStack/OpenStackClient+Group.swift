import Support

extension OpenStackClient {
    /// Reads a group: main stack, group resource, group stack, metadata, members and their servers.
    ///
    /// Five calls, two at a time in order. Works for groups of template members and of plain servers.
    /// - Parameters:
    ///   - stack: the main stack's name, id, or name/id.
    ///   - resource: the group's name in it.
    ///   - desiredParameter: the parameter that sets the size.
    public func groupSnapshot(
        stack nameOrID: String, resource: String, desiredParameter: String?
    ) async throws(OpenStackError) -> HeatGroupSnapshot {
        let identity = try await resolve(nameOrID)
        do throws(OpenStackError) {
            return try await groupSnapshot(identity, resource, desiredParameter)
        } catch {
            // The stack behind the name may have been made anew since the name was looked up: look once more.
            guard error.code == .notFound else { throw error }
            forget(identity)
            let again = try await resolve(nameOrID)
            guard again != identity else { throw error }
            return try await groupSnapshot(again, resource, desiredParameter)
        }
    }

    private func groupSnapshot(
        _ identity: StackID, _ resource: String, _ desiredParameter: String?
    ) async throws(OpenStackError) -> HeatGroupSnapshot {
        async let mainResult = result { () async throws(OpenStackError) in try await self.stack(identity) }
        let group = try await self.resource(identity, resource)
        let main = try await mainResult.get()
        guard let kind = HeatGroupSnapshot.Kind(type: group.type) else {
            throw .configuration(
                "stack \(identity.name), resource \(resource)",
                "is a \(group.type): only OS::Heat::AutoScalingGroup and OS::Heat::ResourceGroup can be driven")
        }
        var groupStack: HeatStack?
        var members: [HeatMember] = []
        var metadata = HeatGroupMetadata(scalingInProgress: false, cooldownEnd: nil)
        if let nested = try await nestedStack(of: group) {
            async let membersResult = result { () async throws(OpenStackError) in try await self.resources(nested) }
            async let serversResult = result { () async throws(OpenStackError) in
                try await self.resources(identity, nestedDepth: 2, type: "OS::Nova::Server")
            }
            async let stackResult = result { () async throws(OpenStackError) in try await self.stack(nested) }
            if kind == .autoScalingGroup { metadata = try await groupMetadata(identity, resource) }
            groupStack = try await stackResult.get()
            members = Self.members(try await membersResult.get(), servers: try await serversResult.get())
        }
        let desired = desiredParameter.flatMap { main.parameters[$0] }.flatMap(Int.init)
        return HeatGroupSnapshot(
            stack: main, kind: kind, resource: resource, resourceStatus: group.status,
            resourceStatusReason: group.statusReason, desired: desired, groupStack: groupStack, metadata: metadata,
            members: members)
    }

    /// The stack that a group owns: by its link, else by the physical id.
    private func nestedStack(of group: HeatResource) async throws(OpenStackError) -> StackID? {
        if let nested = group.nested { return nested }
        guard let id = group.physicalID else { return nil }
        return try await resolve(id)
    }

    /// The server of a member that is a stack, as `groupSnapshot` finds it; nil while there is none, and where the stack
    /// holds several of which none is named `server`.
    public func server(inMember stack: StackID) async throws(OpenStackError) -> String? {
        Self.serverID(among: try await resources(stack, type: "OS::Nova::Server"))
    }

    private static func serverID(among servers: [HeatResource]) -> String? {
        let there = servers.filter { !$0.status.isDeleted }
        return (there.count == 1 ? there.first : there.first { $0.name == "server" })?.physicalID
    }

    /// Joins the group stack's resources with the servers found below the main stack.
    static func members(_ resources: [HeatResource], servers: [HeatResource]) -> [HeatMember] {
        var byStack: [String: [HeatResource]] = [:]
        for server in servers {
            // By the id of the stack it is in: names of members may repeat in another group of the same main stack.
            if let stack = server.stack { byStack[stack.id, default: []].append(server) }
        }
        let members = resources.filter { !$0.status.isDeleted }.map { resource in
            let server: String?
            if resource.type == "OS::Nova::Server" {
                server = resource.physicalID
            } else {
                let stackID = resource.nested?.id ?? resource.physicalID
                server = serverID(among: stackID.flatMap { byStack[$0] } ?? [])
            }
            return HeatMember(
                name: resource.name, physicalID: resource.physicalID, type: resource.type, status: resource.status,
                statusReason: resource.statusReason, createdAt: resource.createdAt, serverID: server,
                stack: resource.nested)
        }
        return members.sorted { left, right in
            let far = Timestamp(microseconds: .max)
            return (left.createdAt ?? far, left.name) < (right.createdAt ?? far, right.name)
        }
    }
}

/// Keeps the error's type across `async let`, which would erase it.
private func result<Value: Sendable>(
    _ body: @Sendable () async throws(OpenStackError) -> Value
) async -> Result<Value, OpenStackError> {
    do throws(OpenStackError) { return .success(try await body()) } catch { return .failure(error) }
}
