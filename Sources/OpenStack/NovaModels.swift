import JSONReader
import Support

/// A limit of a project and what is used of it.
public struct NovaQuota: Sendable, Equatable {
    /// The limit; nil: unlimited.
    public let limit: Int?
    /// What is used.
    public let used: Int

    /// A quota; a negative limit means unlimited, as in Nova.
    public init(limit: Int, used: Int) {
        self.limit = limit < 0 ? nil : limit
        self.used = used
    }
}

/// The limits of the project.
public struct NovaLimits: Sendable, Equatable {
    /// Servers.
    public let instances: NovaQuota
    /// Virtual processors.
    public let cores: NovaQuota
    /// Memory in MiB.
    public let memoryMiB: NovaQuota
    /// Server groups; nil where the cloud names none.
    public let serverGroups: NovaQuota?
    /// Servers in one server group; nil: unlimited or not named.
    public let serverGroupMembers: Int?

    static func decode(_ root: Field) throws(OpenStackError) -> NovaLimits {
        let absolute = try root.member("limits").member("absolute")
        func quota(_ limit: String, _ used: String) throws(OpenStackError) -> NovaQuota {
            NovaQuota(limit: try absolute.int(limit), used: try absolute.int(used))
        }
        var groups: NovaQuota?
        if let limit = try absolute.optionalInt("maxServerGroups") {
            groups = NovaQuota(limit: limit, used: try absolute.optionalInt("totalServerGroupsUsed") ?? 0)
        }
        let members = try absolute.optionalInt("maxServerGroupMembers")
        return NovaLimits(
            instances: try quota("maxTotalInstances", "totalInstancesUsed"),
            cores: try quota("maxTotalCores", "totalCoresUsed"),
            memoryMiB: try quota("maxTotalRAMSize", "totalRAMUsed"), serverGroups: groups,
            serverGroupMembers: members.flatMap { $0 < 0 ? nil : $0 })
    }
}

/// A flavor, or the copy of it that a server carries.
public struct NovaFlavor: Sendable, Equatable {
    /// Its id; nil in the copy that a server carries.
    public let id: String?
    /// Its name; nil where a server of an old microversion gives but the id.
    public let name: String?
    /// Virtual processors.
    public let vcpus: Int?
    /// Memory in MiB.
    public let memoryMiB: Int?
    /// Root disk in GiB; 0 where servers boot from volumes.
    public let diskGiB: Int?
    /// Further disk in GiB.
    public let ephemeralGiB: Int?
    /// `resources:VGPU`, `pci_passthrough:alias`…
    public let extraSpecs: [String: String]

    static func decode(_ field: Field) throws(OpenStackError) -> NovaFlavor {
        let ephemeral: Int?
        if let first = try field.optionalInt("OS-FLV-EXT-DATA:ephemeral") {
            ephemeral = first
        } else {
            ephemeral = try field.optionalInt("ephemeral")
        }
        let name: String?
        if let first = try field.optionalString("name") {
            name = first
        } else {
            name = try field.optionalString("original_name")
        }
        return NovaFlavor(
            id: try field.optionalString("id"), name: name, vcpus: try field.optionalInt("vcpus"),
            memoryMiB: try field.optionalInt("ram"), diskGiB: try field.optionalInt("disk"), ephemeralGiB: ephemeral,
            extraSpecs: try field.optional("extra_specs")?.strings() ?? [:])
    }
}

/// A server.
public struct NovaServer: Sendable, Equatable {
    /// The UUID, as in a Node's `spec.providerID`.
    public let id: String
    /// The name.
    public let name: String
    /// `ACTIVE`, `BUILD`, `ERROR`, `SHUTOFF`, `DELETED`…
    public let status: String
    /// What Nova is doing with it, e.g. `deleting`.
    public let task: String?
    /// Why it is in ERROR.
    public let fault: String?
    /// The flavor as the server carries it.
    public let flavor: NovaFlavor?
    /// When it was created.
    public let createdAt: Timestamp?
    /// The metadata that the template gave it.
    public let metadata: [String: String]
    /// Its zone.
    public let availabilityZone: String?

    static func decode(_ field: Field) throws(OpenStackError) -> NovaServer {
        var flavor: NovaFlavor?
        if let found = try field.optional("flavor") { flavor = try NovaFlavor.decode(found) }
        return NovaServer(
            id: try field.string("id"), name: try field.optionalString("name") ?? "",
            status: try field.string("status"), task: try field.optionalString("OS-EXT-STS:task_state"),
            fault: try field.optional("fault")?.optionalString("message"), flavor: flavor,
            createdAt: try field.optionalTime("created"), metadata: try field.optional("metadata")?.strings() ?? [:],
            availabilityZone: try field.optionalString("OS-EXT-AZ:availability_zone"))
    }
}

/// A server group, whose size may be limited.
public struct NovaServerGroup: Sendable, Equatable {
    /// The id.
    public let id: String
    /// The name.
    public let name: String
    /// `affinity`, `anti-affinity`, `soft-anti-affinity`…
    public let policy: String
    /// The ids of its servers.
    public let members: [String]

    /// From its parts.
    public init(id: String, name: String, policy: String, members: [String]) {
        self.id = id
        self.name = name
        self.policy = policy
        self.members = members
    }

    static func decode(_ field: Field) throws(OpenStackError) -> NovaServerGroup {
        // Microversion 2.64 made one `policy` of the list `policies`.
        var policy = try field.optionalString("policy")
        if policy == nil { policy = try field.optional("policies")?.elements().first?.string() }
        var members: [String] = []
        for member in try field.optional("members")?.elements() ?? [] { members.append(try member.string()) }
        return NovaServerGroup(
            id: try field.string("id"), name: try field.string("name"), policy: policy ?? "", members: members)
    }
}
