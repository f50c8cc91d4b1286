import Support

/// What the Actuator knows of one node group, read from Heat (and Nova) a moment ago.
public struct GroupState: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.groupState

    /// A member of the group.
    public struct Member: Sendable, Hashable, Codable {
        /// Name of the resource in the group stack. Kept when a member is replaced, so never an identity.
        public var name: String
        /// `physical_resource_id`: the identity (member stack or server); nil while it is being made.
        public var physicalID: String?
        /// UUID of its server; nil while unknown.
        public var serverID: String?
        /// Heat's status, e.g. `CREATE_COMPLETE`.
        public var status: String
        /// Heat's reason, shortened.
        public var statusReason: String
        /// When Heat made it.
        public var createdAt: Timestamp?

        /// From its parts.
        public init(
            name: String, physicalID: String?, serverID: String?, status: String, statusReason: String = "",
            createdAt: Timestamp? = nil
        ) {
            self.name = name
            self.physicalID = physicalID
            self.serverID = serverID
            self.status = status
            self.statusReason = statusReason
            self.createdAt = createdAt
        }

        /// `*_FAILED`: does not count in the group's capacity (docs/openstack/heat.md §1.7).
        public var isFailed: Bool { status.hasSuffix("_FAILED") }
        /// `DELETE_IN_PROGRESS`.
        public var isLeaving: Bool { status == "DELETE_IN_PROGRESS" }
    }

    /// A limit of the cloud and how much of it is used.
    public struct Quota: Sendable, Hashable, Codable {
        /// What there can be limits of.
        public enum Kind: String, Sendable, CaseIterable {
            /// Servers of the project.
            case instances
            /// Virtual processors of the project.
            case cores
            /// Memory of the project in MiB.
            case ramMiB
            /// Servers in the Nova server group that the group's servers are in.
            case serverGroupMembers
        }

        /// `instances`, `cores`, `ramMiB`, `serverGroupMembers`.
        public var name: String
        /// In use by the project, or in the server group.
        public var used: Int64
        /// The limit; -1 is none.
        public var limit: Int64

        /// From its parts.
        public init(name: String, used: Int64, limit: Int64) {
            self.name = name
            self.used = used
            self.limit = limit
        }

        /// Of a known kind.
        public init(_ kind: Kind, used: Int64, limit: Int64) {
            self.init(name: kind.rawValue, used: used, limit: limit)
        }

        /// What it is a limit of; nil for one that this version does not know.
        public var kind: Kind? { Kind(rawValue: name) }
    }

    /// What a new machine of the group is.
    public struct Flavor: Sendable, Hashable, Codable {
        /// Name.
        public var name: String
        /// vCPUs.
        public var vcpus: Int64
        /// Memory in MiB.
        public var ramMiB: Int64
        /// Root and ephemeral disk in GiB.
        public var diskGiB: Int64
        /// Extra specs (GPU aliases…).
        public var extraSpecs: [String: String]

        /// From its parts.
        public init(name: String, vcpus: Int64, ramMiB: Int64, diskGiB: Int64, extraSpecs: [String: String] = [:]) {
            self.name = name
            self.vcpus = vcpus
            self.ramMiB = ramMiB
            self.diskGiB = diskGiB
            self.extraSpecs = extraSpecs
        }
    }

    /// The cluster.
    public var cluster: String
    /// The group's id from the configuration.
    public var group: String
    /// Stack id of the main stack; nil when it was not found.
    public var stackID: String?
    /// Smallest size allowed.
    public var min: Int
    /// Largest size allowed.
    public var max: Int
    /// The parameter that sets the size, as last read; nil when the stack has none.
    public var desired: Int?
    /// Members that count: neither failed nor deleted nor leaving.
    public var size: Int
    /// All members that are still listed.
    public var members: [Member]
    /// Status of the main stack.
    public var stackStatus: String
    /// Whether a change is under way (stack in progress, scaling in progress).
    public var busy: Bool
    /// Why the group cannot be changed now, if so.
    public var problem: Explanation?
    /// Whether it is paused by an incident or an operator.
    public var paused: Bool
    /// What a new machine is, when known.
    public var flavor: Flavor?
    /// Limits of the cloud.
    public var quotas: [Quota]
    /// When this was read.
    public var observedAt: Timestamp

    /// From its parts.
    public init(
        cluster: String, group: String, stackID: String? = nil, min: Int, max: Int, desired: Int? = nil, size: Int,
        members: [Member] = [], stackStatus: String = "CREATE_COMPLETE", busy: Bool = false,
        problem: Explanation? = nil, paused: Bool = false, flavor: Flavor? = nil, quotas: [Quota] = [],
        observedAt: Timestamp
    ) {
        self.cluster = cluster
        self.group = group
        self.stackID = stackID
        self.min = min
        self.max = max
        self.desired = desired
        self.size = size
        self.members = members
        self.stackStatus = stackStatus
        self.busy = busy
        self.problem = problem
        self.paused = paused
        self.flavor = flavor
        self.quotas = quotas
        self.observedAt = observedAt
    }

    /// Sizes must be sane.
    public func validate() throws(MessageError) {
        try Check.identifier(group, "group")
        try Check.range(size, 0...1_000_000, "size")
        try Check.range(min, 0...1_000_000, "min")
        try Check.range(max, 0...1_000_000, "max")
    }
}
