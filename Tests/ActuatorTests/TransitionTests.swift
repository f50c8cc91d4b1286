import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

@Suite("Every transition of a removal, also the impossible ones")
struct TransitionTests {
    static let now = World.start

    static func record(_ phase: RemovalPhase) -> RemovalRecord {
        var record = RemovalRecord(
            id: "r1", group: "workers", nodeUID: "uid-m2", serverID: "server-0002", member: "m2",
            memberID: "aaaaaa2-member", decidedAt: now, startedAt: now, deadline: now + .seconds(660),
            reason: Explanation(.nodeUnneeded))
        record.phase = phase
        if phase == .removing || phase == .removed {
            record.change = RemovalRecord.Change(survivors: ["aaaaaa1-member", "aaaaaa3-member"])
        }
        if phase == .failed { record.outcome = Explanation(.drainTimedOut) }
        if phase == .cancelled { record.outcome = Explanation(.loadReturned) }
        return record
    }

    static let transitions: [(String, RemovalTransition)] = [
        ("noticed", .noticed(until: now)), ("quiesced", .quiesced(Explanation(.allPodsAnswered), deadline: now)),
        ("draining", .draining(RemovalRecord.Drain(forced: Explanation(.drainForced)), deadline: nil)),
        ("drained", .drained(deadline: now)), ("taken", .taken(true)),
        ("removing", .removing(RemovalRecord.Change(survivors: []), deadline: now)), ("removed", .removed),
        ("cancelled", .cancelled(Explanation(.loadReturned))),
        ("failed", .failed(Explanation(.drainTimedOut), stayCordoned: false)),
    ]

    /// From each phase, the steps that there are; every other one is impossible.
    static let table: [RemovalPhase: Set<String>] = [
        .cordoned: ["noticed", "quiesced", "taken", "cancelled", "failed"],
        .noticed: ["noticed", "quiesced", "taken", "cancelled", "failed"],
        .quiesced: ["draining", "drained", "taken", "cancelled", "failed"],
        .drained: ["draining", "removing", "taken", "cancelled", "failed"],
        .removing: ["draining", "removed", "failed"],
        .removed: ["draining"],
        .cancelled: ["draining"],
        .failed: ["draining"],
    ]

    @Test("the table", arguments: RemovalPhase.allCases)
    func possible(from phase: RemovalPhase) throws {
        let record = Self.record(phase)
        for (name, transition) in Self.transitions {
            let isPossible = try #require(Self.table[phase]).contains(name)
            #expect(phase.allows(transition) == isPossible, "\(phase) to \(name)")
            if isPossible {
                let next = try record.applying(transition, at: Self.now + .seconds(1))
                #expect(next.phase == transition.phase ?? phase)
                #expect(next.phase.order >= phase.order)
                #expect((next.since == record.since) == (next.phase == phase))
                // What another process reads is what was meant.
                #expect(try RemovalRecord(text: next.text()) == next)
            } else {
                #expect(throws: ImpossibleTransition.self) { try record.applying(transition, at: Self.now) }
            }
        }
    }

    /// What can come while a removal stands at a phase that another process left.
    static let happenings: [(String, @Sendable (inout World) -> Void)] = [
        ("nothing", { _ in }),
        ("noticed", { $0.send(.removalNoticed(RemovalNoticed(cluster: "prod", removal: progress($0.now)))) }),
        ("quiesced", { $0.send(.removalQuiesced(RemovalQuiesced(cluster: "prod", removal: progress($0.now)))) }),
        (
            "quiesced of another removal",
            {
                var other = progress($0.now)
                other.id = "r9"
                $0.send(.removalQuiesced(RemovalQuiesced(cluster: "prod", removal: other)))
            }
        ),
        (
            "quiesced of another node of the name",
            {
                var other = progress($0.now)
                other.nodeUID = "uid-of-another"
                $0.send(.removalQuiesced(RemovalQuiesced(cluster: "prod", removal: other)))
            }
        ),
        ("cancelled", { $0.send($0.cancellation()) }),
        ("cancelled for another node", { $0.send($0.cancellation("r1", ["node-m1"])) }),
        ("decided again", { $0.send($0.removal("r1", ["m2"])) }),
        ("decided by another decision", { $0.send($0.removal("r2", ["m2"])) }),
        (
            "the record is taken away",
            {
                $0.merge("node-m2", ["metadata": ["annotations": .object([RemovalNames.record: .null])]])
                $0.see("node-m2")
            }
        ),
        (
            "the Node is deleted",
            {
                $0.nodes["node-m2"] = nil
                $0.work += $0.core.handle(.nodeGone(name: "node-m2", uid: "uid-m2"), at: $0.now)
            }
        ),
        (
            "another Node registers under the name",
            {
                $0.nodes["node-m2"] = nil
                $0.work += $0.core.handle(.nodeGone(name: "node-m2", uid: "uid-m2"), at: $0.now)
                $0.addNode($0.members[1])
                $0.merge("node-m2", ["metadata": ["uid": "uid-of-another"]])
                $0.see("node-m2")
            }
        ),
    ]

    static func progress(_ now: Timestamp) -> RemovalProgress {
        record(.cordoned).progress(node: "node-m2", reason: Explanation(.allPodsAnswered), at: now)
    }

    @Test("whatever comes at whatever phase, it ends: no other member goes, no pod untold, nothing stays half done")
    func everything() throws {
        for phase in RemovalPhase.allCases {
            for (name, happen) in Self.happenings {
                var world = World(nodes: 3)
                world.addPod("web-1", on: "node-m2", grace: 3)
                if phase.order >= RemovalPhase.drained.order && !phase.isOver { world.pods = [:] }
                world.merge(
                    "node-m2",
                    [
                        "metadata": [
                            "annotations": .object([RemovalNames.record: .string(try Self.record(phase).text())]),
                            "labels": .object([
                                RemovalNames.excludeFromLoadBalancers: .string(RemovalNames.excludedByUs)
                            ]),
                        ],
                        "spec": phase.isOver ? [:] : ["unschedulable": true, "taints": [LeftoverTests.taint]],
                    ])
                if phase.isOver {
                    world.merge(
                        "node-m2",
                        ["metadata": ["labels": .object([RemovalNames.excludeFromLoadBalancers: .null])]])
                }
                if phase == .removed { world.members.remove(at: 1) }
                // Told by the process before this one.
                if phase.order >= RemovalPhase.noticed.order { world.tell("node-m2", of: "r1") }
                world.pass(.milliseconds(500))
                if phase == .removed && name.contains("registers") { continue }
                happen(&world)
                world.pass(.seconds(1_500))
                let about = "\(name) at \(phase.rawValue): \(world.story)"
                #expect(world.memberNames.contains("m1") && world.memberNames.contains("m3"), "\(about)")
                #expect(world.unnoticedEvictions.isEmpty, "\(about)")
                #expect(world.inHand.isEmpty && world.queue.isEmpty, "\(about)")
                #expect(world.stackStatus.hasSuffix("COMPLETE"), "\(about)")
                #expect(world.members.allSatisfy { !$0.status.hasSuffix("FAILED") }, "\(about)")
                #expect(!world.isTainted("node-m2"), "\(about)")
                let isGone = world.nodes["node-m2"] == nil
                let mayStayCordoned = name == "the record is taken away"
                #expect(isGone || mayStayCordoned || !world.isCordoned("node-m2"), "\(about)")
                #expect(world.record("node-m2") == nil, "\(about)")
            }
        }
    }
}
