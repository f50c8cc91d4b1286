import HTTPClient
import JSONReader
import Kubernetes
import Messages
import OpenStack
import Support
import Testing

@testable import Actuator
@testable import Notifier

/// Scale-ins that are not ours, on a practice cloud: what the Heat there does, holds and says is what was measured.
@Suite("Machines that somebody else takes away, on a practice cloud", .serialized)
struct ExternalPracticeTests {
    /// How a group holds the deletion of its members.
    enum Hold: String, CaseIterable {
        case hook, deployment

        var group: [String: JSONValue] {
            let key = self == .hook ? "pre_delete_hook" : "delete_deployment"
            return ["policies": [["resource": "scale_in", "adjustment": -1]], key: true]
        }
    }

    static let order: [EventType] = [
        .removalCordoned, .removalNoticed, .removalQuiesced, .removalDrained,
        .removalCommitted, .removalCompleted,
    ]

    /// The steps in the order of their firsts: each is published at least once.
    static func steps(_ stage: PracticeStage) -> [EventType] {
        var steps: [EventType] = []
        for event in stage.story where order.contains(event) && !steps.contains(event) { steps.append(event) }
        return steps
    }

    /// Nodes with pods that answer their hook.
    static func stage(_ count: Int, _ group: [String: JSONValue], pace: Double = 0.05) async throws -> PracticeStage {
        let stage = try PracticeStage(desired: count, group: group, pace: pace)
        try await stage.ready(count)
        try await stage.control(
            .post, "workloads",
            ["name": "web", "replicas": .int(Int64(count * 2)), "grace": 1, "hook": ["answer": "done"]])
        try await stage.wait("pods run") {
            try await stage.pods().filter { $0.isMoved && $0.phase == .running }.count == count * 2
        }
        stage.startActuator()
        stage.startNotifier()
        return stage
    }

    /// The practice cloud's own judgement: nothing ran on a machine that went, nothing was evicted untold.
    static func invariants(_ stage: PracticeStage) async throws -> [String] {
        let verdict = try await stage.verdict()
        return (verdict["findings"]?.arrayValue ?? []).filter { finding in
            // Heat took the oldest, not a marked one: that is what an external scale-in is.
            finding["holds"]?.boolValue == false
                && finding["invariant"]?.stringValue != "only chosen members were removed"
        }.map(\.text)
    }

    @Test("a policy is signalled: the oldest node is told, drained, and then let go", arguments: Hold.allCases)
    func policy(hold: Hold) async throws {
        let stage = try await Self.stage(3, hold.group)
        let oldest = try #require(try await stage.group().members.first)
        let node = try #require(try await stage.nodes().first { $0.serverID == oldest.serverID })
        let moved = try await stage.pods().filter { $0.node == node.name && $0.isMoved }
        try await stage.control(.post, "actions/signal", ["stack": "k8s", "policy": "scale_in"])
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        #expect(Self.steps(stage) == Self.order)
        let told = Set(stage.events.compactMap { if case .podShutdown(let event) = $0 { event.podUID } else { nil } })
        #expect(told == Set(moved.map(\.uid)))
        let left = try await stage.group()
        #expect(!left.members.contains { $0.serverID == oldest.serverID } && left.size == 2)
        // No PATCH of ours: Heat alone changed the size.
        #expect(left.desired == 3)
        #expect(try await Self.invariants(stage) == [])
        await stage.close()
    }

    @Test("a deployment refuses: Heat fails the deletion at once and the server lives; the next update asks again")
    func refused() async throws {
        let stage = try PracticeStage(desired: 3, group: Hold.deployment.group)
        try await stage.ready(3)
        try await stage.control(.post, "actions/signal", ["stack": "k8s", "policy": "scale_in"])
        try await stage.wait("held") { try await stage.isHeld() }
        let door = HeatDoor(stage.openstack, groups: stage.settings.groups, isDryRun: false)
        let held = try await door.read("workers", expecting: [])
        let member = try #require(held.members.first { $0.isLeaving })
        let id = try #require(member.physicalID)
        let server = try #require(member.serverID)
        #expect(held.held.map(\.kind) == [.deployment])
        try await door.refuse("workers", memberIDs: [id])
        try await stage.wait("Heat has failed it") { try await !stage.group().isChanging }
        let kept = try await door.read("workers", expecting: [])
        #expect(kept.member(id: id)?.status == "DELETE_FAILED" && kept.groupStackStatus == "UPDATE_FAILED")
        #expect(kept.member(id: id)?.statusReason.contains("non-zero status code: 1") == true)
        #expect(await door.fate(ofServer: server) == .there)
        // Asked again, it is let go.
        try await door.resize("workers", to: 2, keeping: [:])
        try await stage.wait("held anew") { try await door.read("workers", expecting: []).held.map(\.memberID) == [id] }
        try await door.letGo("workers", memberIDs: [id])
        try await stage.wait("it is gone") { await door.fate(ofServer: server) == .gone }
        await stage.close()
    }

    @Test("both services are ended while the member is held, and started anew", arguments: Hold.allCases)
    func restart(hold: Hold) async throws {
        let stage = try await Self.stage(3, hold.group)
        await stage.stop("actuator")
        await stage.stop("notifier")
        try await stage.control(.post, "actions/signal", ["stack": "k8s", "policy": "scale_in"])
        try await stage.wait("held") { try await stage.isHeld() }
        #expect(stage.story.allSatisfy { $0 != .removalCordoned })
        stage.startActuator()
        stage.startNotifier()
        try await stage.wait("noticed") { stage.story.contains(.removalNoticed) }
        await stage.stop("actuator")
        await stage.stop("notifier")
        stage.startActuator()
        stage.startNotifier()
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().count == 2 }
        #expect(try await Self.invariants(stage) == [])
        await stage.close()
    }

    @Test("the whole stack is deleted: all of its nodes are told and drained first", arguments: Hold.allCases)
    func wholeStack(hold: Hold) async throws {
        let stage = try await Self.stage(2, hold.group)
        let id = try await stage.group().stack.id
        _ = try await stage.openstack.call("orchestration", .delete, "stacks/\(id.name)/\(id.id)")
        try await stage.wait("all completed", within: .seconds(90)) {
            stage.story.filter { $0 == .removalCompleted }.count >= 2
        }
        try await stage.wait("no Node is left") { try await stage.nodes().isEmpty }
        let told = Set(stage.events.compactMap { if case .podShutdown(let event) = $0 { event.podUID } else { nil } })
        #expect(told.count >= 4)
        #expect(try await Self.invariants(stage) == [])
        await stage.close()
    }

    @Test("nothing holds the members: cordoned and told at once, and the loss is said")
    func unheld() async throws {
        // Slower, as there are but some moments to see it.
        let stage = try await Self.stage(3, ["policies": [["resource": "scale_in", "adjustment": -1]]], pace: 1)
        let oldest = try #require(try await stage.group().members.first)
        let node = try #require(try await stage.nodes().first { $0.serverID == oldest.serverID })
        try await stage.control(.post, "actions/signal", ["stack": "k8s", "policy": "scale_in"])
        let id = try #require(oldest.physicalID)
        try await stage.wait("it leaves") {
            try await stage.group().members.first { $0.physicalID == id }?.status.text == "DELETE_IN_PROGRESS"
        }
        stage.tell(.stackLeaving(stackID: id))
        try await stage.wait("completed") { stage.story.contains(.removalCompleted) }
        try await stage.wait("the Node is gone") { try await stage.nodes().allSatisfy { $0.name != node.name } }
        #expect(stage.story.contains(.removalCordoned))
        #expect(try await stage.group().desired == 3)
        await stage.close()
    }

    @Test("a server is deleted by hand: its member leaves Heat as well, and no other")
    func serverDeleted() async throws {
        let stage = try await Self.stage(3, Hold.hook.group)
        let nodes = try await stage.nodes()
        let server = try #require(nodes[1].serverID)
        try await stage.control(.post, "actions/delete-server", ["server": .string(server)])
        await stage.deliver(
            .cloudServer(
                CloudServer(
                    cluster: "practice", serverID: server, state: "deleting", event: "compute.instance.delete.start",
                    at: .now())))
        try await stage.wait("cordoned", within: .seconds(10)) { stage.story.contains(.removalCordoned) }
        try await stage.wait("the member is gone", within: .seconds(90)) { try await stage.group().members.count == 2 }
        try await stage.wait("its Node is gone") { try await stage.nodes().count == 2 }
        let left = try await stage.group()
        #expect(Set(left.members.compactMap(\.serverID)) == Set([nodes[0], nodes[2]].compactMap(\.serverID)))
        await stage.close()
    }
}

extension PracticeStage {
    func look(_ path: String) async throws -> JSONValue {
        try JSONValue.parse(try await hooks.send(HTTPRequest(.get, cloud.controlURL + "/practice/" + path)).body)
    }

    func verdict() async throws -> JSONValue { try await look("verdict") }

    /// Whether a member waits at what holds it.
    func isHeld() async throws -> Bool {
        let groups = try await look("state")["stacks"]?.arrayValue?.first?["groups"]?.arrayValue ?? []
        return groups.contains { $0["members"]?.arrayValue?.contains { $0["paused"]?.boolValue == true } ?? false }
    }
}
