import JSONReader
import Support

/// One member of a group.
public struct HeatMember: Sendable, Equatable {
    /// Its name in the group stack: twelve random characters, or a number in a ResourceGroup. A replaced member keeps it.
    public let name: String
    /// Its server's id, or for a template member its stack's; nil while there is none. What tells two members apart.
    public let physicalID: String?
    /// Its resource type: `OS::Nova::Server` or a template's name.
    public let type: String
    /// Its status. A marked one is `CHECK_FAILED`.
    public let status: HeatStatus
    /// Why.
    public let statusReason: String
    /// When it was created: Heat removes failed members first, then the oldest.
    public let createdAt: Timestamp?
    /// The server in it; nil while there is none, and where it cannot be told (`candidates`).
    public let serverID: String?
    /// The servers in it where it cannot be told which is its machine: several, none of which is named `server`.
    public let candidates: [String]
    /// The stack of a template member.
    public let stack: StackID?

    /// A member.
    public init(
        name: String, physicalID: String?, type: String, status: HeatStatus, statusReason: String = "",
        createdAt: Timestamp? = nil, serverID: String? = nil, candidates: [String] = [],
        stack: StackID? = nil
    ) {
        self.name = name
        self.physicalID = physicalID
        self.type = type
        self.status = status
        self.statusReason = statusReason
        self.createdAt = createdAt
        self.serverID = serverID
        self.candidates = candidates
        self.stack = stack
    }

    /// Failed members do not count in the size from which Heat computes.
    public var isFailed: Bool { status.state == .failed }
}

/// A node group as Heat shows it at one moment. (Read by several calls, so a change under way may show half.)
public struct HeatGroupSnapshot: Sendable, Equatable {
    /// What kind of resource the group is.
    public enum Kind: Sendable, Equatable {
        /// `OS::Heat::AutoScalingGroup`: members are removed by mark and PATCH.
        case autoScalingGroup
        /// `OS::Heat::ResourceGroup`: members are removed by list.
        case resourceGroup

        init?(type: String) {
            switch type {
            case "OS::Heat::AutoScalingGroup": self = .autoScalingGroup
            case "OS::Heat::ResourceGroup": self = .resourceGroup
            default: return nil
            }
        }
    }

    /// The main stack: status, reason, parameters, timeout.
    public let stack: HeatStack
    /// The kind of the group.
    public let kind: Kind
    /// The group resource's name.
    public let resource: String
    /// The group resource's status.
    public let resourceStatus: HeatStatus
    /// Why.
    public let resourceStatusReason: String
    /// The value of the desired parameter as Heat knows it; nil without such a parameter, or if it is not a number.
    public let desired: Int?
    /// The stack that the group owns; nil before there is one.
    public let groupStack: HeatStack?
    /// Scaling in progress and cooldown; empty for a ResourceGroup, which has neither.
    public let metadata: HeatGroupMetadata
    /// The members, deleted ones left out, oldest first and then by name: Heat's own order of removal.
    public let members: [HeatMember]

    /// A snapshot.
    public init(
        stack: HeatStack, kind: Kind, resource: String, resourceStatus: HeatStatus, resourceStatusReason: String,
        desired: Int?, groupStack: HeatStack?, metadata: HeatGroupMetadata, members: [HeatMember]
    ) {
        self.stack = stack
        self.kind = kind
        self.resource = resource
        self.resourceStatus = resourceStatus
        self.resourceStatusReason = resourceStatusReason
        self.desired = desired
        self.groupStack = groupStack
        self.metadata = metadata
        self.members = members
    }

    /// The size from which Heat computes: members that are not failed.
    public var size: Int { members.reduce(0) { $0 + ($1.isFailed ? 0 : 1) } }

    /// Whether Heat is changing this group now, so that marking must wait.
    public var isChanging: Bool {
        stack.status.state == .inProgress || resourceStatus.state == .inProgress
            || groupStack?.status.state == .inProgress || metadata.scalingInProgress
    }
}
