import Messages
import Support
import Testing

@testable import Actuator

/// What is looked up in a reading, and among the nodes.
@Suite("Indexes")
struct IndexTests {
    private func member(_ name: String, _ id: String?, _ server: String?) -> GroupState.Member {
        GroupState.Member(name: name, physicalID: id, serverID: server, status: "CREATE_COMPLETE")
    }

    @Test("members are found by identity and by server, of several the first, also when the list changes")
    func members() {
        let first = member("a", "id-a", "s-a")
        let second = member("b", "id-a", "s-a")
        var gone = member("d", "id-d", "s-d")
        gone.status = "DELETE_COMPLETE"
        var reading = GroupReading(
            begunAt: World.start, stackID: "s", desired: 3, members: [gone, first, second, member("c", nil, nil)])
        #expect(reading.member(id: "id-a") == first && reading.member(server: "s-a") == first)
        #expect(reading.member(id: "c")?.name == "c" && reading.member(id: "id-d") == nil)
        #expect(reading.member(server: "s-d") == nil)
        let before = reading
        reading.members.removeFirst()
        #expect(reading.member(id: "id-a") == second && reading != before)
        reading.members.insert(first, at: 0)
        #expect(reading == before)
        reading.held = [HeldDeletion(memberID: "id-a", kind: .hook, resource: "server")]
        #expect(reading.isHeld("id-a") && reading.holds(of: "id-a").count == 1 && !reading.isHeld("c"))
    }

    @Test("nodes are found by server as they come, change and go")
    func nodes() {
        var nodes = NodeTable()
        nodes["n2"] = NodeView(name: "n2", uid: "u2", serverID: "s")
        nodes["n1"] = NodeView(name: "n1", uid: "u1", serverID: "s")
        nodes["n3"] = NodeView(name: "n3", uid: "u3", serverID: nil)
        #expect(nodes.on(server: "s")?.name == "n1" && nodes.nameOfUnknownMachine == "n3")
        nodes["n1"]?.isHeld = true
        #expect(nodes.on(server: "s")?.isHeld == true)
        nodes["n1"] = nil
        #expect(nodes.on(server: "s")?.name == "n2")
        nodes["n3"] = NodeView(name: "n3", uid: "u3", serverID: "t")
        nodes["n2"] = nil
        #expect(nodes.on(server: "s") == nil && nodes.on(server: "t")?.name == "n3")
        #expect(nodes.nameOfUnknownMachine == nil && nodes.values.count == 1)
    }
}
