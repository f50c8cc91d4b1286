import Messages
import OpenStack
import Testing

@testable import Actuator

@Suite("Limits of the cloud that a group meets")
struct CloudLimitsTests {
    private let project = [GroupState.Quota(.instances, used: 3, limit: 10)]

    private func members(_ servers: [String]) -> [GroupState.Member] {
        servers.map {
            GroupState.Member(name: "m-\($0)", physicalID: "p-\($0)", serverID: $0, status: "CREATE_COMPLETE")
        }
    }

    private func serverGroup(_ id: String, _ members: [String]) -> NovaServerGroup {
        NovaServerGroup(id: id, name: id, policy: "anti-affinity", members: members)
    }

    @Test("The server group that the group's servers are in counts with all that is in it, also servers of others")
    func serverGroup() {
        let limits = CloudLimits(
            quotas: project, serverGroupMembers: 5,
            serverGroups: [serverGroup("theirs", ["x", "y", "z", "u"]), serverGroup("ours", ["a", "b", "of others"])])
        let expected = GroupState.Quota(.serverGroupMembers, used: 3, limit: 5)
        #expect(limits.quotas(of: members(["a", "b"])) == project + [expected])
    }

    @Test("Without a limit, a server group or servers there is nothing to meet but the project's quotas")
    func none() {
        let groups = [serverGroup("ours", ["a"])]
        let unlimited = CloudLimits(quotas: project, serverGroupMembers: nil, serverGroups: groups)
        #expect(unlimited.quotas(of: members(["a"])) == project)
        let limits = CloudLimits(quotas: project, serverGroupMembers: 5, serverGroups: groups)
        #expect(limits.quotas(of: members(["c"])) == project)
        #expect(limits.quotas(of: []) == project)
    }

    @Test("Of several server groups the fullest binds")
    func fullest() {
        let limits = CloudLimits(
            quotas: [], serverGroupMembers: 5,
            serverGroups: [serverGroup("one", ["a"]), serverGroup("two", ["a", "b"])])
        #expect(limits.quotas(of: members(["a"])) == [GroupState.Quota(.serverGroupMembers, used: 2, limit: 5)])
    }
}
