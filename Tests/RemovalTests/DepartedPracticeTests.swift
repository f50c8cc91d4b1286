import JSONReader
import Kubernetes
import Messages
import OpenStack
import Support
import Testing

@testable import Actuator

/// Members that are in no list of Heat and not gone: replaced ones whose deletion is held, on a practice cloud.
@Suite("Members that left the list and live on, on a practice cloud", .serialized)
struct DepartedPracticeTests {
    /// Two nodes, a hook at each member's server; what is held fails after `timeout` minutes.
    static func stage(timeout: Double) async throws -> PracticeStage {
        let stage = try PracticeStage(
            desired: 2,
            stacks: [
                [
                    "name": "k8s", "timeout_mins": .double(timeout),
                    "groups": [["desired": 2, "min": 1, "max": 8, "pre_delete_hook": true]],
                ]
            ])
        try await stage.ready(2)
        return stage
    }

    /// Somebody doubts the first member and updates the stack with the size that it has: Heat replaces it.
    static func replaceFirst(_ stage: PracticeStage) async throws -> ExpectedMember {
        let group = try await stage.group()
        let member = try #require(group.members.first)
        let groupStack = try #require(group.groupStack)
        try await stage.openstack.mark(groupStack.id, member: member.name, unhealthy: true, reason: "somebody's doubt")
        try await stage.openstack.patch(group.stack.id, parameters: ["desired": 2])
        let stack = try #require(member.stack)
        try await stage.wait("it waits at its hook") { try await !stage.openstack.holds(of: stack).isEmpty }
        return ExpectedMember(
            name: member.name, physicalID: try #require(member.physicalID), serverID: try #require(member.serverID))
    }

    /// As another process that has just begun has it.
    static func door(_ stage: PracticeStage) -> HeatDoor {
        HeatDoor(stage.openstack, groups: stage.settings.groups, isDryRun: false)
    }

    @Test("a process that has just begun finds it by its record: held, also when its stack has come to rest")
    func found() async throws {
        let stage = try await Self.stage(timeout: 0.5)
        let member = try await Self.replaceFirst(stage)
        let held = try await Self.door(stage).read("workers", expecting: [member])
        #expect(held.member(id: member.physicalID)?.status == "DELETE_IN_PROGRESS")
        #expect(held.held.map(\.memberID) == [member.physicalID] && held.isBusy && held.unsettled.isEmpty)
        // Without a record the events of the group tell of it.
        let unrecorded = try await Self.door(stage).read("workers", expecting: [])
        #expect(unrecorded.member(id: member.physicalID)?.serverID == member.serverID)
        #expect(unrecorded.held.map(\.memberID) == [member.physicalID] && unrecorded.isBusy)
        try await stage.wait("Heat gives up", within: .seconds(120)) { try await !stage.group().isChanging }
        let late = try await Self.door(stage).read("workers", expecting: [member])
        #expect(late.member(id: member.physicalID)?.status == "DELETE_FAILED" && !late.isBusy)
        #expect(await Self.door(stage).fate(ofServer: member.serverID) == .there)
        // Then only the record does, or its Node.
        #expect(try await Self.door(stage).read("workers", expecting: []).member(id: member.physicalID) == nil)
        await stage.close()
    }

    @Test("more are gone than one reading looks for: the next goes on where it stopped")
    func many() async throws {
        let stage = try await Self.stage(timeout: 5)
        let gone = (0..<150).map { number in
            ExpectedMember(
                name: "m\(number)", physicalID: "00000000-0000-4000-8000-\(100_000_000_000 + number)",
                serverID: "s\(number)")
        }
        let door = Self.door(stage)
        var unsettled: [Int] = []
        for _ in 0..<4 { unsettled.append(try await door.read("workers", expecting: gone).unsettled.count) }
        #expect(unsettled == [150 - 64, 150 - 128, 0, 0])
        await stage.close()
    }

    @Test("its group's events cannot be read just then: looked for again at the next reading")
    func eventsUnread() async throws {
        let stage = try await Self.stage(timeout: 5)
        let groupStack = try #require(try await stage.group().groupStack)
        let member = try await Self.replaceFirst(stage)
        try await stage.control(
            .post, "faults",
            ["service": "heat", "method": "GET", "path": .string("\(groupStack.id.id)/events"), "status": 500])
        let door = Self.door(stage)
        #expect(try await door.read("workers", expecting: []).member(id: member.physicalID) == nil)
        try await stage.control(.delete, "faults", [:])
        let found = try await door.read("workers", expecting: [])
        #expect(found.member(id: member.physicalID)?.serverID == member.serverID)
        // And it is known from then on.
        #expect(try await door.read("workers", expecting: []).held.map(\.memberID) == [member.physicalID])
        await stage.close()
    }

    @Test("held before any Actuator ran: it is found, its Node is drained, and it is let go")
    func heldUnseen() async throws {
        let stage = try await Self.stage(timeout: 5)
        let member = try await Self.replaceFirst(stage)
        stage.startActuator()
        stage.startNotifier()
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        #expect(stage.story.contains(.removalCordoned) && stage.story.contains(.removalDrained), "\(stage.story)")
        try await stage.wait("its machine is gone") {
            await Self.door(stage).fate(ofServer: member.serverID) == .gone
        }
        try await stage.wait("and its Node") {
            try await !stage.nodes().contains { $0.serverID == member.serverID }
        }
        await stage.close()
    }

    @Test("one member cannot be read: the others are, and of this one nothing is said")
    func unread() async throws {
        let stage = try await Self.stage(timeout: 5)
        let member = try await Self.replaceFirst(stage)
        try await stage.control(
            .post, "faults",
            ["service": "heat", "method": "GET", "path": .string(member.physicalID), "status": 500])
        let door = Self.door(stage)
        for _ in 1...2 {
            let reading = try await door.read("workers", expecting: [member])
            #expect(reading.member(id: member.physicalID) == nil)
            #expect(reading.unsettled[member.physicalID]?.contains("500") == true, "\(reading.unsettled)")
            #expect(reading.counted.count == 2)
        }
        try await stage.control(.delete, "faults", [:])
        // What only holds it cannot be read: it is there.
        try await stage.control(
            .post, "faults",
            ["service": "heat", "method": "GET", "path": .string("\(member.physicalID)/events"), "status": 500])
        let blind = try await door.read("workers", expecting: [member])
        #expect(blind.member(id: member.physicalID)?.isLeaving == true && blind.held.isEmpty)
        #expect(blind.unsettled[member.physicalID] != nil)
        try await stage.control(.delete, "faults", [:])
        let well = try await door.read("workers", expecting: [member])
        #expect(well.held.map(\.memberID) == [member.physicalID] && well.unsettled.isEmpty)
        // And let go by the process that never saw it in a list.
        try await door.letGo("workers", memberIDs: [member.physicalID])
        try await stage.wait("it is gone") { await door.fate(ofServer: member.serverID) == .gone }
        #expect(try await door.read("workers", expecting: [member]).member(id: member.physicalID) == nil)
        await stage.close()
    }

    @Test("held untold until Heat's timeout, and the Actuator begins anew at a stack at rest: its Node stays")
    func nodeStays() async throws {
        let stage = try await Self.stage(timeout: 0.5)
        let first = try #require(try await stage.group().members.first)
        let node = try #require(try await stage.nodes().first { $0.serverID == first.serverID })
        stage.startActuator()
        let member = try await Self.replaceFirst(stage)
        try await stage.wait("cordoned") { stage.story.contains(.removalCordoned) }
        try await stage.wait("Heat gives up", within: .seconds(120)) { try await !stage.group().isChanging }
        await stage.stop("actuator")
        let before = stage.story.count { $0 == .groupState }
        stage.startActuator()
        try await stage.wait("the group was looked at again and again") {
            stage.story.count { $0 == .groupState } >= before + 4
        }
        #expect(try await stage.nodes().contains { $0.uid == node.uid })
        #expect(await Self.door(stage).fate(ofServer: member.serverID) == .there)
        #expect(!stage.story.contains(.removalCompleted), "\(stage.story)")
        await stage.close()
    }

    @Test(
        "a hook holds where members have the resource that it is on, and nowhere else", arguments: ["server", "node"])
    func canHold(hooked: String) async throws {
        let stage = try PracticeStage(
            desired: 1, group: ["pre_delete_hook": true, "server_resource": "node", "hooked_resource": .string(hooked)])
        try await stage.ready(1)
        let door = Self.door(stage)
        // Where the members' template cannot be read a hook counts wherever it is; that is not remembered.
        try await stage.control(
            .post, "faults", ["service": "heat", "method": "GET", "path": "/template", "status": 500])
        #expect(try await door.read("workers", expecting: []).canHold == true)
        try await stage.control(.delete, "faults", [:])
        #expect(try await door.read("workers", expecting: []).canHold == (hooked == "node"))
        await stage.close()
    }
}
