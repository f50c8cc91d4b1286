import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

/// Marks on members that seem to be nobody's: another Actuator's removal may have set them, just now.
@Suite("Marks")
struct MarkTests {
    private static func record(_ id: String, group: String, member: World.Member, at now: Timestamp) -> RemovalRecord {
        RemovalRecord(
            id: id, group: group, nodeUID: "uid-\(member.name)", serverID: member.server, member: member.name,
            memberID: member.id, decidedAt: now, startedAt: now, deadline: now + .minutes(60),
            reason: Explanation(.nodeUnneeded))
    }

    /// The second of three members is marked by `r7`, of which the annotation on its Node tells.
    private static func marked(_ annotation: (World) throws -> String) rethrows -> World {
        var world = World(nodes: 3)
        world.members[1].status = "CHECK_FAILED"
        world.members[1].reason = "updraft removal r7"
        world.merge(
            "node-m2", ["metadata": ["annotations": [RemovalNames.record: .string(try annotation(world))]]])
        return world
    }

    private static func takeRecordAway(_ world: inout World) {
        world.merge("node-m2", ["metadata": ["annotations": [RemovalNames.record: .null]]])
        world.see("node-m2")
    }

    @Test("a removal for a group that is configured under another name elsewhere has marked a member: the mark stays")
    func ofStranger() throws {
        var world = try Self.marked {
            try Self.record("r7", group: "renamed", member: $0.members[1], at: World.start).text()
        }
        world.pass(.seconds(120))
        #expect(world.marks.isEmpty && world.resizes.isEmpty, "\(world.marks)")
        Self.takeRecordAway(&world)
        #expect(world.run { $0.marks == ["-m2"] }, "\(world.marks)")
    }

    @Test("the record of a newer release cannot be read, and its removal has marked a member: the mark stays")
    func ofNewerRelease() {
        var world = Self.marked { _ in #"{"schema":99}"# }
        world.pass(.seconds(120))
        #expect(world.marks.isEmpty && world.resizes.isEmpty, "\(world.marks)")
        Self.takeRecordAway(&world)
        #expect(world.run { $0.marks == ["-m2"] }, "\(world.marks)")
    }

    @Test("a removal is at work on the machine that Heat made in place of the chosen one: the mark stays")
    func ofReplacement() throws {
        var world = try Self.marked {
            var record = Self.record("r7", group: "renamed", member: $0.members[1], at: World.start)
            record.memberID = "the-one-before"
            return try record.text()
        }
        world.pass(.seconds(120))
        #expect(world.marks.isEmpty && world.resizes.isEmpty, "\(world.marks)")
    }

    /// The Actuator before has written that it calls Heat, marked the member, and died; the watch has not shown it yet.
    @Test(
        "the watch lags: the Node is read before a mark is taken back, and its removal goes on",
        arguments: [true, false])
    func watchLags(isMarkedByRemoval: Bool) {
        var core = ActuatorCore(
            policy: ActuatorPolicy(
                cluster: "prod", groups: [ActuatorPolicy.Group(id: "workers", stack: "k8s", min: 1, max: 9)]))
        let start = World.start
        let old = NodeView(name: "n2", uid: "u2", serverID: "s2")
        func reading(at time: Timestamp) -> ActuatorEvent {
            let members = [("m1", "CREATE_COMPLETE", ""), ("m2", "CHECK_FAILED", "updraft removal r1")].map {
                GroupState.Member(
                    name: $0.0, physicalID: "id-\($0.0)", serverID: "s\($0.0.dropFirst())", status: $0.1,
                    statusReason: $0.2, createdAt: start)
            }
            return .groupRead(
                group: "workers", GroupReading(begunAt: time, stackID: "stack", desired: 2, members: members))
        }
        func unmarks(_ actions: [ActuatorAction]) -> Bool {
            actions.contains { if case .mark(_, "m2", false, _) = $0 { true } else { false } }
        }
        _ = core.handle(.tick, at: start)
        _ = core.handle(
            .nodesListed([NodeView(name: "n1", uid: "u1", serverID: "s1"), old]), at: start)
        _ = core.handle(reading(at: start), at: start)
        var now = start + core.policy.statusLag
        var actions = core.handle(reading(at: now), at: now)
        #expect(actions.contains(.checkNode("n2")) && !unmarks(actions), "\(actions)")
        // The API does not answer: it is asked again, and nothing is done before.
        now = now + core.policy.pollInterval
        actions = core.handle(reading(at: now), at: now)
        #expect(actions.contains(.checkNode("n2")) && !unmarks(actions), "\(actions)")
        var new = old
        if isMarkedByRemoval {
            var record = RemovalRecord(
                id: "r1", group: "workers", nodeUID: "u2", serverID: "s2", member: "m2", memberID: "id-m2",
                decidedAt: start, startedAt: start, deadline: now + .minutes(60), reason: Explanation(.nodeUnneeded))
            record.phase = .removing
            record.change = RemovalRecord.Change(survivors: ["id-m1"])
            new.record = record
        }
        actions = core.handle(.nodeChecked(name: "n2", new), at: now)
        #expect(!unmarks(actions), "\(actions)")
        now = now + .milliseconds(200)
        actions = core.handle(reading(at: now), at: now)
        #expect(unmarks(actions) != isMarkedByRemoval, "\(actions)")
        #expect(actions.contains { if case .resize(_, 1, _) = $0 { true } else { false } } == isMarkedByRemoval)
    }

    @Test("a mark that nobody claims and that Heat does not let be taken back: tried again with pauses")
    func refused() {
        var world = World(nodes: 3)
        world.members[1].status = "CHECK_FAILED"
        world.members[1].reason = "updraft removal r0"
        world.markFailures = Array(
            repeating: ActFailure(.heatConflict, "409 ActionInProgress", isRetriable: true), count: 1_000)
        world.pass(.minutes(2))
        let times = 1_000 - world.markFailures.count
        #expect((2...10).contains(times), "\(times) times in two minutes")
        world.markFailures = []
        #expect(world.run(within: .minutes(1)) { $0.marks == ["-m2"] })
    }
}
