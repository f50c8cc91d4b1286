import Messages
import Support
import Testing

@testable import Decider

/// Machines that have no Node although their time is over: which go, how many at once, and which are left alone.
@Suite("Machines without a Node")
struct LostMachineTests {
    private static let long = Stage.start - .minutes(600)

    private func member(_ name: String, server: String?, createdAt: Timestamp = LostMachineTests.long)
        -> GroupState.Member
    {
        GroupState.Member(
            name: name, physicalID: "p-\(name)", serverID: server, status: "CREATE_COMPLETE", createdAt: createdAt)
    }

    private func say(
        _ stage: inout Stage, _ id: String, _ members: [GroupState.Member], min: Int = 0, max: Int = 20,
        stack: String = "stack"
    ) {
        var state = Stage.group(id, [], min: min, max: max, at: stage.now)
        state.members = members
        state.size = members.count
        state.desired = members.count
        state.stackID = stack
        stage.group(state)
    }

    /// Servers that go in the next evaluations, one evaluation a minute; what is removed is gone from the group by the next.
    private func pass(
        _ stage: inout Stage, minutes: Int, _ id: String, _ members: inout [GroupState.Member], min: Int = 0,
        max: Int = 20
    ) -> [(minute: Int, servers: [String])] {
        var gone: [(minute: Int, servers: [String])] = []
        for minute in 1...minutes {
            stage.evaluate(after: .minutes(1))
            for decision in stage.removed where decision.group == id {
                gone.append((minute, decision.nodes.map(\.serverID)))
                members.removeAll { member in decision.nodes.contains { $0.serverID == member.serverID } }
                say(&stage, id, members, min: min, max: max)
                for target in decision.nodes {
                    let progress = RemovalProgress(
                        id: decision.id, group: id, node: target.node, nodeUID: target.nodeUID,
                        serverID: target.serverID, reason: target.reason, at: stage.now)
                    stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
                }
            }
        }
        return gone
    }

    private func bound(_ stage: inout Stage, _ group: String) -> [String] {
        let actions = stage.core.evaluate(at: stage.now, complete: true)
        let records = actions.compactMap { if case .publish(.evaluation(let record)) = $0 { record } else { nil } }
        return records.flatMap(\.groups).filter { $0.group == group }.flatMap(\.bound).map(\.detail)
    }

    // MARK: Servers that are newer than their members

    @Test("A new server in an old member has its own time, also where the member had none for longer than that")
    func replacedServer() {
        for before in ["s1", nil] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
            stage.snapshot(nodes: [Stage.node("n1")])
            let working = member("m0", server: "server-n1")
            say(&stage, "w", [working, member("m1", server: before)])
            stage.evaluate()
            // Heat replaces the server inside of the member; for a while it has none.
            if before != nil { stage.evaluate(after: .minutes(10)) }
            say(&stage, "w", [working, member("m1", server: nil)])
            stage.evaluate(after: .minutes(16))
            #expect(stage.removed.isEmpty)
            say(&stage, "w", [working, member("m1", server: "s2")])
            stage.evaluate(after: .seconds(1))
            #expect(stage.removed.isEmpty, "\(String(describing: before))")
            stage.evaluate(after: .minutes(14))
            #expect(stage.removed.isEmpty, "\(String(describing: before))")
            stage.evaluate(after: .minutes(2))
            #expect(stage.removed.flatMap(\.nodes).map(\.serverID) == ["s2"])
        }
    }

    @Test(
        "Where most machines lack a Node, servers that took the place of others are told from those that may have been Nodes, also after a restart"
    )
    func manyReplaced() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
        stage.snapshot(nodes: [Stage.node("n1")])
        let working = member("m0", server: "server-n1")
        say(&stage, "w", [working] + (1...6).map { member("m\($0)", server: "old-\($0)") })
        stage.evaluate()
        let members = [working] + (1...6).map { member("m\($0)", server: $0 < 3 ? "old-\($0)" : "new-\($0)") }
        say(&stage, "w", members)
        stage.evaluate(after: .minutes(1))
        var next = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
        try next.core.restore(try stage.core.engine.checkpoint())
        next.now = stage.now
        next.snapshot(nodes: [Stage.node("n1")])
        say(&next, "w", members)
        next.evaluate(after: .seconds(1))
        next.evaluate(after: .minutes(16))
        #expect(next.removed.flatMap(\.nodes).map(\.serverID) == ["new-3", "new-4", "new-5", "new-6"])
        let text = bound(&next, "w")
        #expect(text.contains { $0.hasSuffix("2 that may have been Nodes are not removed") }, "\(text)")
    }

    @Test(
        "Servers that come later than the provision time to members that were watched since they were new are no old Nodes"
    )
    func lateServers() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
        stage.snapshot(nodes: [Stage.node("n1")])
        let createdAt = stage.now
        func members(_ hasServers: Bool) -> [GroupState.Member] {
            (1...6).map { member("m\($0)", server: hasServers ? "late-\($0)" : nil, createdAt: createdAt) }
        }
        say(&stage, "w", members(false))
        stage.evaluate()
        stage.evaluate(after: .minutes(16))
        #expect(stage.removed.isEmpty)
        var left = members(true)
        say(&stage, "w", left)
        stage.evaluate(after: .seconds(1))
        #expect(stage.removed.isEmpty)
        let gone = pass(&stage, minutes: 20, "w", &left)
        #expect(gone.flatMap(\.servers).sorted() == (1...6).map { "late-\($0)" }, "\(gone)")
        #expect(gone.allSatisfy { $0.minute >= 15 }, "\(gone)")
    }

    @Test("A server that could not be read for long may have been a Node all the same: so many of them stay")
    func unreadServers() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
        stage.snapshot(nodes: [Stage.node("n1")])
        say(&stage, "w", (1...6).map { member("m\($0)", server: nil) })
        stage.evaluate()
        stage.evaluate(after: .minutes(16))
        var left = (1...6).map { member("m\($0)", server: "s\($0)") }
        say(&stage, "w", left)
        let gone = pass(&stage, minutes: 40, "w", &left)
        #expect(gone.isEmpty, "\(gone)")
    }

    // MARK: Several groups

    @Test("A stack that never had a Node does not hold the lost machines of another group")
    func foreignStack() {
        var stage = Stage(groups: ["ours", "foreign"].map { GroupRules(id: $0, min: 0, max: 40) }) {
            $0.scaleDown.enabled = false
        }
        let names = (0..<4).map { "n\($0)" }
        stage.snapshot(nodes: names.map { Stage.node($0) })
        say(&stage, "ours", names.map { member("m-\($0)", server: "server-\($0)") } + [member("m9", server: "lost")])
        say(&stage, "foreign", (0..<20).map { member("f\($0)", server: "foreign-\($0)") }, stack: "other")
        stage.evaluate()
        stage.evaluate(after: .minutes(16))
        #expect(stage.removed.map(\.group) == ["ours"])
        #expect(stage.removed.flatMap(\.nodes).map(\.serverID) == ["lost"])
        let text = bound(&stage, "foreign")
        #expect(text.contains { $0.contains("20 that may have been Nodes are not removed") }, "\(text)")
    }

    @Test("When Nodes of all groups go at once every group is held, the small ones too, also after a restart")
    func allNodesGone() throws {
        let ids = (0..<4).map { "g\($0)" }
        func members(_ id: String) -> [GroupState.Member] {
            (0..<3).map { member("m-\(id)-\($0)", server: "server-\(id)-\($0)") }
        }
        func told(_ checkpoint: [UInt8]?, nodes: [Node], at now: Timestamp) throws -> Stage {
            var stage = Stage(groups: ids.map { GroupRules(id: $0, min: 0, max: 40) }) { $0.scaleDown.enabled = false }
            if let checkpoint { try stage.core.restore(checkpoint) }
            stage.now = now
            stage.snapshot(nodes: nodes)
            for id in ids { say(&stage, id, members(id), stack: "stack-\(id)") }
            stage.evaluate()
            return stage
        }
        let nodes = ids.flatMap { id in (0..<3).map { Stage.node("\(id)-\($0)") } }
        let before = try told(nil, nodes: nodes, at: Stage.start)
        for checkpoint in [try before.core.engine.checkpoint(), nil] {
            var stage = try told(checkpoint, nodes: [], at: Stage.start + .minutes(1))
            for _ in 0..<40 {
                stage.evaluate(after: .minutes(2))
                #expect(stage.removed.isEmpty, "\(stage.removed)")
            }
        }
    }

    // MARK: A group that has no Node left

    @Test(
        "A full group whose Nodes are all gone lets one machine go at a time while pods wait for it, and none without, nor for spare capacity"
    )
    func fullGroup() {
        for (waits, spares) in [(true, false), (false, false), (false, true)] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 6)]) { configuration in
                configuration.scaleDown.enabled = false
                guard spares else { return }
                configuration.headroom = [
                    HeadroomRule(id: "spare", amount: .pods(count: 1, requests: ResourceList(cpuMillis: 1_500)))
                ]
            }
            let names = (0..<6).map { "n\($0)" }
            stage.snapshot(nodes: names.map { Stage.node($0) })
            var members = names.map { member("m-\($0)", server: "server-\($0)") }
            say(&stage, "w", members, max: 6)
            stage.evaluate()
            stage.delta(
                removedNodes: names, pods: waits ? stage.pods("web", 12, Stage.shape(cpu: 1_500)) : [])
            var gone = pass(&stage, minutes: 60, "w", &members, max: 6)
            guard waits else {
                #expect(gone.isEmpty, "\(gone)")
                continue
            }
            #expect(gone.count == 1 && gone.first?.servers == ["server-n0"], "\(gone)")
            // Another machine comes in its place, and is a Node: the group is not full of lost machines for ever.
            members.append(member("m-new", server: "server-new", createdAt: stage.now))
            stage.delta(nodes: [Stage.node("new", createdAt: stage.now)])
            say(&stage, "w", members, max: 6)
            gone = pass(&stage, minutes: 5, "w", &members, max: 6)
            #expect(gone.map { $0.servers } == [["server-n1"]], "\(gone)")
        }
    }

    @Test("A full stack of another cluster loses none for our pods")
    func fullForeignStack() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 6)]) { $0.scaleDown.enabled = false }
        stage.snapshot(nodes: [], pods: stage.pods("web", 12, Stage.shape(cpu: 1_500)))
        var members = (0..<6).map { member("m\($0)", server: "foreign-\($0)") }
        var state = Stage.group("w", [], max: 6, at: stage.now)
        state.flavor = GroupState.Flavor(name: "m1.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40)
        state.members = members
        state.size = 6
        state.desired = 6
        stage.group(state)
        stage.evaluate()
        let gone = pass(&stage, minutes: 90, "w", &members, max: 6)
        #expect(gone.isEmpty, "\(gone)")
    }

    @Test(
        "A small group that has no Node left loses its machines one by one, each after what came for the last had its time"
    )
    func smallGroup() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 20)]) { $0.scaleDown.enabled = false }
        let names = (0..<3).map { "n\($0)" }
        stage.snapshot(nodes: names.map { Stage.node($0) })
        var members = names.map { member("m-\($0)", server: "server-\($0)") }
        say(&stage, "w", members)
        stage.evaluate()
        stage.delta(removedNodes: names)
        let gone = pass(&stage, minutes: 60, "w", &members)
        #expect(gone.map { $0.servers } == [["server-n0"], ["server-n1"], ["server-n2"]], "\(gone)")
        for (last, next) in zip(gone, gone.dropFirst()) { #expect(next.minute - last.minute >= 15, "\(gone)") }
    }
}
