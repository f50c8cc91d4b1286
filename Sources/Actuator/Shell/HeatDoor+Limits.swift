import Messages
import OpenStack
import Support

/// What Nova says of the project's limits.
struct CloudLimits: Sendable {
    /// Of the whole project.
    var quotas: [GroupState.Quota] = []
    /// Most servers in one server group; nil: no limit, or none is named.
    var serverGroupMembers: Int?
    /// The server groups, where there are any and they have a limit.
    var serverGroups: [NovaServerGroup] = []

    /// The limits that new members of a group meet: the project's, and that of the server group that its servers are in. Nova does not
    /// say in which one the next server will be; it is the one that those are in that the same template made. Of several that with
    /// the least room.
    func quotas(of members: [GroupState.Member]) -> [GroupState.Quota] {
        guard let limit = serverGroupMembers else { return quotas }
        let servers = Set(members.compactMap(\.serverID))
        let used = serverGroups.filter { !servers.isDisjoint(with: $0.members) }.map(\.members.count).max()
        return quotas
            + (used.map { [GroupState.Quota(.serverGroupMembers, used: Int64($0), limit: Int64(limit))] } ?? [])
    }
}

extension HeatDoor {
    /// Limits change with every server anybody makes.
    private static let limitAge = Interval.seconds(10)

    /// What is known, asked for anew when it is old. Without Nova's word the last one stays.
    func limits() async -> CloudLimits {
        let now = Timestamp.now()
        let known = state.withLock { $0.limits }
        if let known, now - known.at < Self.limitAge { return known.value }
        guard let told = try? await client.limits() else { return known?.value ?? CloudLimits() }
        var limits = CloudLimits(
            quotas: [
                GroupState.Quota(.instances, told.instances), GroupState.Quota(.cores, told.cores),
                GroupState.Quota(.ramMiB, told.memoryMiB),
            ], serverGroupMembers: told.serverGroupMembers)
        if told.serverGroupMembers != nil && told.serverGroups?.used != 0 {
            limits.serverGroups = (try? await client.serverGroups()) ?? known?.value.serverGroups ?? []
        }
        state.withLock { [limits] in $0.limits = Cached(value: limits, at: now) }
        return limits
    }
}

extension GroupState.Quota {
    init(_ kind: Kind, _ quota: NovaQuota) {
        self.init(kind, used: Int64(quota.used), limit: quota.limit.map(Int64.init) ?? -1)
    }
}
