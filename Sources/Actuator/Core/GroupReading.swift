import Messages
import Support

/// What Heat said of a group at one moment.
public struct GroupReading: Sendable, Equatable {
    /// When the reading began: whatever was done to the group before that is in it.
    public var begunAt: Timestamp
    /// Id of the main stack.
    public var stackID: String
    /// Status of the main stack.
    public var stackStatus: String
    /// Its reason.
    public var stackReason: String
    /// When the main stack was last updated, by whomever: by Heat's clock, in whole seconds. Nil: never.
    public var stackUpdatedAt: Timestamp?
    /// Status of the group stack, which is the only one that a policy signal changes.
    public var groupStackStatus: String
    /// Its reason.
    public var groupStackReason: String
    /// The group's own flag; left standing by an engine that died.
    public var scalingInProgress: Bool
    /// The parameter that sets the size; nil when the stack has no such parameter.
    public var desired: Int?
    /// The members; deleted ones are left out.
    public var members: [GroupState.Member] {
        didSet { places = MemberPlaces(members) }
    }
    /// Where they stand: each of a thousand nodes under removal asks for its own.
    private var places: MemberPlaces
    /// What a new machine is.
    public var flavor: GroupState.Flavor?
    /// Limits of the cloud.
    public var quotas: [GroupState.Quota]
    /// Whether a chosen member can be taken out: not so in a ResourceGroup (docs/openstack/heat.md §5).
    public var removesChosen = true
    /// Whether the stack has something that holds the deletion of a member until it is told to go on; nil: unknown.
    public var canHold: Bool?
    /// What is held now.
    public var held: [HeldDeletion] = [] {
        didSet { heldOf = Dictionary(grouping: held, by: \.memberID) }
    }
    private var heldOf: [String: [HeldDeletion]] = [:]
    /// By physical id: members of which the lists say too little to conclude anything, and why. Their stack could not be
    /// read, or lives on although no list has the member.
    public var unsettled: [String: String] = [:]
    /// By identity: the servers of members of which it cannot be told which is their machine. Any may be a Node's.
    public var candidates: [String: [String]] = [:]
    /// After this time an action of the stack has failed (`timeout_mins`).
    public var timeout: Interval = .minutes(60)

    /// From its parts.
    public init(
        begunAt: Timestamp, stackID: String, stackStatus: String = "CREATE_COMPLETE", stackReason: String = "",
        groupStackStatus: String = "CREATE_COMPLETE", groupStackReason: String = "", scalingInProgress: Bool = false,
        desired: Int?, members: [GroupState.Member], flavor: GroupState.Flavor? = nil,
        quotas: [GroupState.Quota] = []
    ) {
        self.begunAt = begunAt
        self.stackID = stackID
        self.stackStatus = stackStatus
        self.stackReason = stackReason
        self.groupStackStatus = groupStackStatus
        self.groupStackReason = groupStackReason
        self.scalingInProgress = scalingInProgress
        self.desired = desired
        let listed = members.filter { $0.status != "DELETE_COMPLETE" }
        self.members = listed
        places = MemberPlaces(listed)
        self.flavor = flavor
        self.quotas = quotas
    }

    /// Members that count in the group's capacity: neither failed nor leaving.
    public var counted: [GroupState.Member] { members.filter { !$0.isFailed && !$0.isLeaving } }
    /// Whether a change is under way, whoever made it.
    public var isBusy: Bool {
        stackStatus.hasSuffix("_IN_PROGRESS") || groupStackStatus.hasSuffix("_IN_PROGRESS") || scalingInProgress
    }
    /// Whether nothing goes on but that members wait whose deletion is held. Then an update is taken at once: new members
    /// are made, those that wait go on waiting (docs/openstack/heat.md §6).
    public var waitsOnlyForHeld: Bool {
        let changing = members.filter { $0.status.hasSuffix("_IN_PROGRESS") }
        return !changing.isEmpty
            && changing.allSatisfy { member in
                member.isLeaving
                    && (member.physicalID.map(isHeld) == true || unsettled[member.identity] != nil)
            }
    }
    /// Whether the last change failed.
    public var isFailed: Bool { stackStatus.hasSuffix("_FAILED") || groupStackStatus.hasSuffix("_FAILED") }
    /// Why it failed.
    public var failure: String {
        let reason = stackStatus.hasSuffix("_FAILED") ? stackReason : groupStackReason
        return String(reason.prefix(500))
    }

    /// The member with this identity.
    public func member(id: String) -> GroupState.Member? { places.byIdentity[id].map { members[$0] } }
    /// The member that a removal is about, as long as it is still the same machine: an update that replaces only the server leaves
    /// the member as it is (docs/openstack/nova.md §5), and what runs on the new one nobody chose.
    func member(of record: RemovalRecord) -> GroupState.Member? {
        guard let member = member(id: record.memberID), !hasOtherServer(member, record) else { return nil }
        return member
    }
    /// The server that the member of a removal has instead of the one that was chosen; nil while it is the same.
    func otherServer(of record: RemovalRecord) -> String? {
        guard let member = member(id: record.memberID), hasOtherServer(member, record) else { return nil }
        return member.serverID
    }
    private func hasOtherServer(_ member: GroupState.Member, _ record: RemovalRecord) -> Bool {
        guard let serverID = member.serverID, !record.serverID.isEmpty else { return false }
        return serverID != record.serverID
    }
    /// The first member with this server.
    public func member(server id: String) -> GroupState.Member? { places.byServer[id].map { members[$0] } }

    /// What holds the deletion of the member with this physical id.
    func holds(of memberID: String) -> [HeldDeletion] { heldOf[memberID] ?? [] }
    /// Whether anything does.
    func isHeld(_ memberID: String) -> Bool { heldOf[memberID] != nil }

    /// Whether nothing moved between the two.
    func looksLike(_ other: GroupReading) -> Bool {
        stackStatus == other.stackStatus && groupStackStatus == other.groupStackStatus
            && scalingInProgress == other.scalingInProgress && desired == other.desired
            && members.map(\.identity) == other.members.map(\.identity)
            && members.map(\.status) == other.members.map(\.status)
    }

    /// Busy by the group's own flag only: no stack and no member changes. It stands for a moment before and after each
    /// scaling; an engine that dies leaves it standing (docs/openstack/heat.md §6).
    var isBusyByFlagOnly: Bool {
        scalingInProgress && !stackStatus.hasSuffix("_IN_PROGRESS") && !groupStackStatus.hasSuffix("_IN_PROGRESS")
            && !members.contains { $0.status.hasSuffix("_IN_PROGRESS") }
    }

    /// Why the group cannot be changed, if so. `UPDATE_FAILED` and `CREATE_FAILED` can: the next update repairs them.
    public var problem: Explanation? {
        if stackStatus.hasPrefix("DELETE_") {
            return Explanation(.groupUnhealthy, "the stack is \(stackStatus)")
        }
        if stackStatus.hasPrefix("SUSPEND_") {
            return Explanation(.groupUnhealthy, "the stack is \(stackStatus): resume it")
        }
        if desired == nil { return Explanation(.heatRefused, "the stack has no parameter that sets the size") }
        return nil
    }
}

/// Where the members of a group stand in its list; of several that share an identity or a server the first.
private struct MemberPlaces: Sendable, Equatable {
    var byIdentity: [String: Int] = [:]
    var byServer: [String: Int] = [:]

    init(_ members: [GroupState.Member]) {
        byIdentity.reserveCapacity(members.count)
        byServer.reserveCapacity(members.count)
        for (place, member) in members.enumerated() {
            if byIdentity[member.identity] == nil { byIdentity[member.identity] = place }
            if let server = member.serverID, byServer[server] == nil { byServer[server] = place }
        }
    }
}

extension GroupState.Member {
    /// What tells it from others: its physical id, or its name while it has none.
    var identity: String { physicalID ?? name }
}

/// A member whose deletion waits for a word from outside.
public struct HeldDeletion: Sendable, Hashable {
    /// What holds it.
    public enum Kind: String, Sendable, Hashable {
        /// A `pre-delete` hook on a resource of the member stack: cleared by `unset_hook`.
        case hook
        /// A software deployment with the action DELETE: ended by a signal, with status 0 if it may go on.
        case deployment
    }

    /// `physical_resource_id` of the member.
    public var memberID: String
    /// What holds it.
    public var kind: Kind
    /// The resource in the member stack.
    public var resource: String
    /// Since when, if known.
    public var since: Timestamp?

    /// From its parts.
    public init(memberID: String, kind: Kind, resource: String, since: Timestamp? = nil) {
        self.memberID = memberID
        self.kind = kind
        self.resource = resource
        self.since = since
    }
}

/// Why an act or a reading failed.
public struct ActFailure: Error, Sendable, Equatable {
    /// The reason, for events and metrics.
    public var reason: Reason
    /// What the other side said.
    public var detail: String
    /// Whether trying again soon may help.
    public var isRetriable: Bool
    /// Whether what was asked for may have been carried out all the same, or be carried out yet.
    public var isUnanswered: Bool

    /// From its parts.
    public init(_ reason: Reason, _ detail: String, isRetriable: Bool, isUnanswered: Bool = false) {
        self.reason = reason
        self.detail = detail
        self.isRetriable = isRetriable
        self.isUnanswered = isUnanswered
    }

    /// For events.
    public var explanation: Explanation { Explanation(reason, String(detail.prefix(500))) }
}
