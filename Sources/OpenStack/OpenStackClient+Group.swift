import Support

extension OpenStackClient {
    /// Servers are looked for in a member's stack and so many stacks further in; Heat nests five deep at most by default.
    private static let memberDepth = 2

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
                try await self.resources(identity, nestedDepth: 2 + Self.memberDepth, type: "OS::Nova::Server")
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

    /// The server of a member that is a stack, as `groupSnapshot` finds it; nil while there is none, and where it cannot be
    /// told which of several.
    public func server(
        inMember stack: StackID
    ) async throws(OpenStackError) -> (id: String?, candidates: [String]) {
        let servers = try await resources(stack, nestedDepth: Self.memberDepth, type: "OS::Nova::Server")
        let found = MemberServers(own: servers.filter { $0.stack?.id == stack.id }, all: servers)
        return (found.id, found.candidates)
    }

    /// Joins the group stack's resources with the servers found below the main stack.
    static func members(_ resources: [HeatResource], servers: [HeatResource]) -> [HeatMember] {
        let there = resources.filter { !$0.status.isDeleted }
        // By the id of the stack it is in: names of members may repeat in another group of the same main stack.
        var byStack: [String: [HeatResource]] = [:]
        for server in servers {
            if let stack = server.stack { byStack[stack.id, default: []].append(server) }
        }
        let deeper = serversBelow(there, byStack)
        let members = there.map { resource in
            var found = MemberServers(id: resource.physicalID)
            if resource.type != "OS::Nova::Server" {
                let own = (resource.nested?.id ?? resource.physicalID).flatMap { byStack[$0] } ?? []
                found = MemberServers(own: own, all: own + (resource.nested.flatMap { deeper[$0.id] } ?? []))
            }
            return HeatMember(
                name: resource.name, physicalID: resource.physicalID, type: resource.type, status: resource.status,
                statusReason: resource.statusReason, createdAt: resource.createdAt, serverID: found.id,
                candidates: found.candidates, stack: resource.nested)
        }
        return members.sorted { left, right in
            let far = Timestamp(microseconds: .max)
            return (left.createdAt ?? far, left.name) < (right.createdAt ?? far, right.name)
        }
    }

    /// The servers of stacks that are nested in members' stacks, by the id of the member's. Heat names a nested stack
    /// `<stack it is in>-<resource>-<12 characters>`, and says of a resource only which stack it is in itself.
    private static func serversBelow(
        _ members: [HeatResource], _ byStack: [String: [HeatResource]]
    ) -> [String: [HeatResource]] {
        let stacks = members.compactMap(\.nested)
        let ids = Set(stacks.map(\.id))
        let others = byStack.filter { !ids.contains($0.key) }
        guard !others.isEmpty else { return [:] }
        let named = Dictionary(stacks.map { ($0.name, $0.id) }, uniquingKeysWith: { first, _ in first })
        var below: [String: [HeatResource]] = [:]
        for (_, servers) in others {
            guard var name = servers.first?.stack?.name[...] else { continue }
            while let cut = name.lastIndex(of: "-") {
                name = name[..<cut]
                guard let member = named[String(name)] else { continue }
                below[member, default: []] += servers
                break
            }
        }
        return below
    }
}

/// Which of the servers in a member's stack is the member's machine.
private struct MemberServers {
    /// Its id; nil: there is none, or it cannot be told.
    var id: String?
    /// Those of which it may be any.
    var candidates: [String] = []

    init(id: String?) { self.id = id }

    /// - Parameters:
    ///   - own: those in the member's stack itself: the only one, or the one named `server`.
    ///   - all: with those of the stacks nested in it, of which one counts only where there is no other.
    init(own: [HeatResource], all: [HeatResource]) {
        let there = own.filter { !$0.status.isDeleted }
        if let machine = there.count == 1 ? there.first : there.first(where: { $0.name == "server" }) {
            id = machine.physicalID
            return
        }
        let made = (there.isEmpty ? all : there).filter { !$0.status.isDeleted }.compactMap(\.physicalID).sorted()
        if there.isEmpty, made.count == 1 {
            id = made.first
        } else {
            candidates = made
        }
    }
}

/// Keeps the error's type across `async let`, which would erase it.
private func result<Value: Sendable>(
    _ body: @Sendable () async throws(OpenStackError) -> Value
) async -> Result<Value, OpenStackError> {
    do throws(OpenStackError) { return .success(try await body()) } catch { return .failure(error) }
}
