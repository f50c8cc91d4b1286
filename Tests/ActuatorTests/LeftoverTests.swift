import JSONReader
import Messages
import Support
import Testing

@testable import Actuator

@Suite("What removals leave behind")
struct LeftoverTests {
    static let taint: JSONValue = ["key": .string(RemovalNames.taint), "effect": "NoSchedule"]

    /// A node with a record as a process would have left it.
    func leave(
        _ world: inout World, _ node: String = "node-m2", phase: RemovalPhase, id: String = "r0",
        group: String = "workers", uid: String = "uid-m2", age: Interval = .zero
    ) throws {
        let began = world.now - age
        var record = RemovalRecord(
            id: id, group: group, nodeUID: uid, serverID: "server-0002", member: "m2", memberID: "aaaaaa2-member",
            decidedAt: began, startedAt: began, deadline: began + .seconds(660),
            reason: Explanation(.nodeUnneeded))
        record.phase = phase
        if phase == .failed { record.outcome = Explanation(.drainTimedOut) }
        world.merge(
            node,
            [
                "metadata": [
                    "annotations": .object([RemovalNames.record: .string(try record.text())]),
                    "labels": .object([RemovalNames.excludeFromLoadBalancers: .string(RemovalNames.excludedByUs)]),
                ], "spec": ["unschedulable": true, "taints": [Self.taint]],
            ])
    }

    func label(_ world: World, _ node: String = "node-m2") -> String? {
        world.nodes[node]?[path: "metadata", "labels", RemovalNames.excludeFromLoadBalancers]?.stringValue
    }

    @Test("what somebody else had set before stays after a removal that is taken back, in all combinations")
    func ours() {
        for cordoned in [false, true] {
            for labelled in [nil, "true", "theirs"] {
                for taints in [[], [["key": "maintenance", "effect": "PreferNoSchedule"]]] as [[JSONValue]] {
                    var world = World(nodes: 3)
                    if cordoned { world.merge("node-m2", ["spec": ["unschedulable": true]]) }
                    if let labelled {
                        world.merge(
                            "node-m2",
                            [
                                "metadata": [
                                    "labels": .object([RemovalNames.excludeFromLoadBalancers: .string(labelled)])
                                ]
                            ])
                    }
                    if !taints.isEmpty { world.merge("node-m2", ["spec": ["taints": .array(taints)]]) }
                    let about = "cordoned \(cordoned), label \(labelled ?? "none"), taints \(taints)"
                    world.send(world.removal("r1", ["m2"]))
                    world.send(world.cancellation(), after: .seconds(2))
                    #expect(world.run { $0.isCordoned("node-m2") && $0.isTainted("node-m2") && label($0) != nil })
                    #expect(world.run { $0.story.contains(.removalFailed) }, "\(about)")
                    #expect(world.isCordoned("node-m2") == cordoned, "\(about)")
                    #expect(label(world) == labelled, "\(about)")
                    let left = world.nodes["node-m2"]?[path: "spec", "taints"]?.arrayValue ?? []
                    #expect(left == taints, "\(about)")
                }
            }
        }
    }

    @Test("taint or label without a record: taken away; the cordon stays and is named")
    func traces() {
        for effect in ["NoSchedule", "PreferNoSchedule", "NoExecute"] {
            var world = World(nodes: 3)
            world.merge(
                "node-m2",
                [
                    "metadata": [
                        "labels": .object([RemovalNames.excludeFromLoadBalancers: .string(RemovalNames.excludedByUs)])
                    ],
                    "spec": [
                        "unschedulable": true,
                        "taints": [
                            ["key": .string(RemovalNames.taint), "effect": .string(effect)],
                            ["key": "other", "effect": .string(effect)],
                        ],
                    ],
                ])
            #expect(world.run { !$0.isTainted("node-m2") && label($0) == nil })
            #expect(world.isCordoned("node-m2"))
            #expect(world.nodes["node-m2"]?[path: "spec", "taints"]?.arrayValue?.count == 1)
            #expect(world.warnings.contains { $0.reason == .leftover && $0.detail.contains("stays cordoned") })
        }
        // A label of somebody else's is none of ours.
        var world = World(nodes: 3)
        world.merge("node-m2", ["metadata": ["labels": .object([RemovalNames.excludeFromLoadBalancers: "true"])]])
        world.pass(.seconds(90))
        #expect(label(world) == "true")
    }

    @Test("a cleaning that fails is tried again at the resync")
    func triedAgain() {
        var world = World(nodes: 3)
        world.merge("node-m2", ["spec": ["taints": [Self.taint]]])
        world.editFailures = [ActFailure(.kubernetesUnreachable, "503", isRetriable: true)]
        #expect(world.run(within: .seconds(90)) { !$0.isTainted("node-m2") })
    }

    @Test("a record of another node of the name: taken away, the cordon stays")
    func otherNode() throws {
        var world = World(nodes: 3)
        try leave(&world, phase: .cordoned, uid: "uid-of-the-one-before")
        #expect(world.run { $0.record("node-m2") == nil && !$0.isTainted("node-m2") && label($0) == nil })
        #expect(world.isCordoned("node-m2"))
        #expect(world.warnings.contains { $0.reason == .leftover && $0.detail.contains("uid-of-the-one-before") })
        // It is a node like any other again.
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.story.contains(.removalCompleted) })
    }

    @Test("a record that cannot be read is an incident that names it, once; a person ends it")
    func unreadable() {
        var world = World(nodes: 3)
        world.merge(
            "node-m2",
            [
                "metadata": ["annotations": .object([RemovalNames.record: "{\"id\": 7}"])],
                "spec": ["taints": [Self.taint]],
            ])
        world.pass(.seconds(100))
        #expect(world.conditions["removal/node-m2"]?.reason == .recordUnreadable)
        #expect(world.reports.count == 1 && world.reports.first?.detail.contains("updraft.io/removal.id") == true)
        #expect(world.warnings.filter { $0.reason == .recordUnreadable }.count == 1)
        #expect(world.isTainted("node-m2"), "left alone")
        world.send(world.removal("r1", ["m2"]))
        #expect(world.run { $0.reasons(.removalFailed) == [.memberUnresolved] })
        world.merge("node-m2", ["metadata": ["annotations": .object([RemovalNames.record: .null])]])
        world.see("node-m2")
        #expect(world.run { $0.conditions["removal/node-m2"] == nil && !$0.isTainted("node-m2") })
    }

    @Test("a removal for a group that is not configured: its node returns to service when its time is over")
    func strangerGroup() throws {
        var world = World(nodes: 3)
        try leave(&world, phase: .noticed, group: "of-yesterday")
        world.pass(.seconds(600))
        #expect(world.isCordoned("node-m2"), "another Actuator may be at it")
        #expect(world.run(within: .seconds(300)) { !$0.isCordoned("node-m2") && !$0.isTainted("node-m2") })
        #expect(world.reasons(.removalFailed) == [.groupUnknown])
        // Heat was called: nobody knows what to do.
        world = World(nodes: 3)
        try leave(&world, phase: .removing, group: "of-yesterday")
        world.pass(.seconds(2_000))
        #expect(world.isCordoned("node-m2"))
    }

    @Test("a record that is over goes after a while, also when its writer is long gone")
    func over() throws {
        for phase in [RemovalPhase.cancelled, .failed] {
            var world = World(nodes: 3)
            try leave(&world, phase: phase, age: .seconds(10_000))
            world.merge("node-m2", ["spec": ["taints": .null, "unschedulable": .null]])
            #expect(world.run(within: .seconds(60)) { $0.record("node-m2") == nil })
        }
    }

    @Test("a cancellation that comes before the nodes are known reaches the record")
    func cancelledEarly() throws {
        var world = World(nodes: 3)
        try leave(&world, phase: .cordoned, id: "r1")
        world.send(world.cancellation())
        #expect(world.run { $0.story.contains(.removalFailed) })
        #expect(!world.isCordoned("node-m2") && world.reasons(.removalFailed) == [.loadReturned])
        #expect(world.run { $0.inHand.isEmpty && $0.queue.allSatisfy { $0.event.type != .removalCancelled } })
    }

    @Test("the record of an incident is taken away by hand: the group goes on")
    func incidentEnds() {
        var world = World(nodes: 4)
        world.wrongVictim = "m1"
        world.send(world.removal("r1", ["m3"]))
        #expect(world.run { $0.conditions["incident/workers"]?.reason == .wrongMemberRemoved })
        world.merge("node-m3", ["metadata": ["annotations": .object([RemovalNames.record: .null])]])
        world.see("node-m3")
        #expect(world.run { $0.conditions["incident/workers"] == nil })
        world.send(world.scale(from: 3, to: 4))
        #expect(world.run { $0.reasons(.scaleCompleted) == [.podsPending] })
    }
}
