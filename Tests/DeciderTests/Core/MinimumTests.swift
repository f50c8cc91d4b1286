import Messages
import Support
import Testing

@testable import Decider

@Suite("Groups below their minimum")
struct MinimumTests {
    /// A group of at least five nodes, of which one is there.
    private func stage(
        quotas: [GroupState.Quota] = [], max: Int = 9, configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: 5, max: 9, origin: "groups[0]")], configure: configure)
        stage.snapshot(nodes: [Stage.node("n1")])
        members(["n1"], &stage, quotas, max: max)
        return stage
    }

    private func members(_ names: [String], _ stage: inout Stage, _ quotas: [GroupState.Quota] = [], max: Int = 9) {
        var state = Stage.group("w", names, min: 5, max: max, at: stage.now)
        state.quotas = quotas
        stage.group(state)
    }

    private func bounds(_ stage: Stage) -> [Explanation] { stage.record?.groups.first { $0.group == "w" }?.bound ?? [] }

    @Test("They are filled up at once where nothing limits it")
    func filled() {
        var stage = stage()
        stage.evaluate()
        #expect(stage.scaled.map { [$0.from, $0.to] } == [[1, 5]])
        #expect(
            stage.scaled.first?.reason == Explanation(.belowMinimum, "size 1, at least 5 (groups[0].min)"))
    }

    @Test("A quota lets a part of it be had: that part is asked for, and what bound is named")
    func quota() throws {
        var stage = stage(quotas: [GroupState.Quota(name: "instances", used: 8, limit: 10)])
        stage.evaluate()
        #expect(stage.scaled.map { [$0.from, $0.to] } == [[1, 3]])
        let bound = try #require(bounds(stage).first { $0.reason == .quotaReached })
        #expect(bound.detail.hasPrefix("OpenStack quota instances: 8 of 10 used"), "\(bound)")
        // Nothing is left of it: no decision, and still said.
        stage.delta(nodes: [Stage.node("n2"), Stage.node("n3")])
        members(["n1", "n2", "n3"], &stage, [GroupState.Quota(name: "instances", used: 10, limit: 10)])
        stage.evaluate(after: .seconds(30))
        #expect(stage.scaled.isEmpty)
        #expect(bounds(stage).contains { $0.reason == .quotaReached }, "\(bounds(stage))")
    }

    @Test("So many nodes a minute: the rest comes in the next")
    func paced() {
        var stage = stage { $0.scaleUp.maximumNodesPerMinute = 3 }
        stage.evaluate()
        #expect(stage.scaled.map { [$0.from, $0.to] } == [[1, 4]])
        #expect(
            bounds(stage).contains(
                Explanation(.batchLimitReached, "new nodes in a minute: 0 of 3 used (decider.max_nodes_per_minute)")),
            "\(bounds(stage))")
        let names = ["n1", "n2", "n3", "n4"]
        stage.delta(nodes: names.map { Stage.node($0) })
        members(names, &stage)
        stage.evaluate(after: .seconds(61))
        #expect(stage.scaled.map { [$0.from, $0.to] } == [[4, 5]])
    }

    @Test("A limit on all nodes, and a maximum below the minimum: nothing is asked for beyond them, and they are named")
    func never() {
        var all = stage { $0.limits.maximumNodes = 1 }
        all.evaluate()
        #expect(all.scaled.isEmpty)
        #expect(
            bounds(all).contains(Explanation(.totalNodesReached, "nodes: 1 of 1 used (decider.limits.nodes)")),
            "\(bounds(all))")
        // The Actuator reads other limits than the Decider: one of them was started with older settings.
        var narrow = stage(max: 3)
        narrow.evaluate()
        #expect(narrow.scaled.map { [$0.from, $0.to] } == [[1, 3]])
    }
}
