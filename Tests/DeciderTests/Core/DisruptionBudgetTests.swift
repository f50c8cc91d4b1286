import Glibc
import Messages
import Support
import Testing

@testable import Decider

@Suite("How many nodes are removed at once")
struct DisruptionBudgetTests {
    /// `count` idle nodes, in the zones in turn; groups get them in turn too. All are ripe.
    private func stage(
        _ count: Int, zones: [String?] = [nil], groups: [String] = ["w"], at start: Timestamp = Stage.start,
        _ budgets: [DisruptionBudget], configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var stage = Stage(groups: groups.map { GroupRules(id: $0, min: 0, max: 99) }) { configuration in
            configuration.scaleDown.budgets = budgets
            configuration.scaleDown.maximumParallel = 100
            configuration.scaleDown.smallestGroup = 0
            configure(&configuration)
        }
        stage.now = start - .minutes(11)
        let names = (0..<count).map { $0 < 10 ? "n0\($0)" : "n\($0)" }
        stage.snapshot(
            nodes: names.enumerated().map { Stage.node($0.element, zone: zones[$0.offset % zones.count]) })
        for (number, group) in groups.enumerated() {
            stage.group(group, names.enumerated().filter { $0.offset % groups.count == number }.map(\.element))
        }
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        return stage
    }

    private func gone(_ stage: Stage) -> [String: Int] {
        Dictionary(stage.removed.map { ($0.group, $0.nodes.count) }, uniquingKeysWith: +)
    }

    private func zones(_ stage: Stage) -> [Int: Int] {
        Dictionary(
            stage.removed.flatMap(\.nodes).map { ((Int($0.node.dropFirst()) ?? 0) % 3, 1) }, uniquingKeysWith: +)
    }

    @Test("A number for the whole cluster, and what waits is told the budget")
    func number() {
        let stage = stage(10, [DisruptionBudget(nodes: 3, origin: "decider.scale_down.budgets[0]")])
        #expect(gone(stage) == ["w": 3])
        let waiting = stage.record?.nodes.filter { $0.outcome.reason == .deletionBudgetReached } ?? []
        #expect(waiting.count == 7)
        #expect(waiting.first?.outcome.detail == "3 under removal, at most 3 (decider.scale_down.budgets[0])")
    }

    @Test(
        "Percent of the nodes: rounded down, one at least, none for zero",
        arguments: [(30, 10.0, 3), (29, 10, 2), (5, 10, 1), (5, 0, 0), (7, 100, 7)])
    func percent(nodes: Int, percent: Double, expected: Int) {
        #expect((gone(stage(nodes, [DisruptionBudget(percent: percent)]))["w"] ?? 0) == expected)
    }

    @Test("For one group, for each group by itself, for all together")
    func groups() {
        #expect(
            gone(stage(12, groups: ["a", "b"], [DisruptionBudget(group: .named("a"), nodes: 1)])) == ["a": 1, "b": 6])
        #expect(gone(stage(12, groups: ["a", "b"], [DisruptionBudget(group: .each, nodes: 2)])) == ["a": 2, "b": 2])
        #expect(
            gone(stage(12, groups: ["a", "b"], [DisruptionBudget(group: .each, percent: 50)])) == ["a": 3, "b": 3])
        #expect(gone(stage(12, groups: ["a", "b"], [DisruptionBudget(nodes: 2)])).values.reduce(0, +) == 2)
    }

    @Test("For one zone, and for each by itself; the percent is of the zone's nodes")
    func zones() {
        let zones = ["z0", "z1", "z2"]
        #expect(
            self.zones(stage(12, zones: zones, [DisruptionBudget(zone: .named("z1"), nodes: 1)])) == [0: 4, 1: 1, 2: 4])
        #expect(self.zones(stage(12, zones: zones, [DisruptionBudget(zone: .each, nodes: 1)])) == [0: 1, 1: 1, 2: 1])
        #expect(
            self.zones(stage(12, zones: zones, [DisruptionBudget(zone: .each, percent: 50)])) == [0: 2, 1: 2, 2: 2])
        // A group's part of a zone: two groups, so four places of six and three zones.
        let both = stage(
            12, zones: zones, groups: ["a", "b"], [DisruptionBudget(group: .named("a"), zone: .each, nodes: 1)])
        #expect(gone(both) == ["a": 3, "b": 6])
    }

    @Test("The tightest of several budgets counts")
    func several() {
        let stage = stage(
            12, zones: ["z0", "z1", "z2"],
            [DisruptionBudget(nodes: 5), DisruptionBudget(zone: .each, nodes: 1), DisruptionBudget(percent: 90)])
        #expect(gone(stage) == ["w": 3])
    }

    @Test("While a removal runs, its nodes use the budget up")
    func running() throws {
        var stage = stage(10, [DisruptionBudget(nodes: 3)]) { $0.scaleDown.oneRemovalPerGroup = false }
        let removal = try #require(stage.removed.first)
        stage.evaluate(after: .seconds(2))
        #expect(stage.removed.isEmpty)
        // Two are over and gone: two more may go.
        for target in removal.nodes.prefix(2) {
            let progress = RemovalProgress(
                id: removal.id, group: "w", node: target.node, nodeUID: target.nodeUID, serverID: target.serverID,
                reason: target.reason, at: stage.now)
            stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
            stage.delta(removedNodes: [target.node])
        }
        let left = Set((0..<10).map { "n0\($0)" }).subtracting(removal.nodes.prefix(2).map(\.node))
        stage.group("w", left.sorted())
        stage.evaluate(after: .seconds(2))
        #expect(stage.removed.flatMap(\.nodes).count == 2)
    }

    /// Two zones, in each two empty nodes (e, f) and two with a pod (p, q). All are ripe; on a node that stays there is room for all
    /// pods.
    private func drains(at start: Timestamp = Stage.start, _ budget: DisruptionBudget) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 99)]) { configuration in
            configuration.scaleDown.budgets = [budget]
            configuration.scaleDown.maximumParallel = 100
            configuration.scaleDown.maximumParallelDrain = 100
            configuration.scaleDown.balancesZones = false
        }
        stage.now = start - .minutes(11)
        let names = ["e0", "e1", "f0", "f1", "p0", "p1", "q0", "q1"]
        let nodes = names.map { Stage.node($0, zone: $0.hasPrefix("e") || $0.hasPrefix("p") ? "x" : "y") }
        // Loaded enough to stay.
        let host = Stage.node("z", cpu: 8_000, zone: "z")
        let pods = ["p0", "p1", "q0", "q1"].flatMap { stage.pods($0, 1, Stage.shape(cpu: 100), on: $0) }
        stage.snapshot(nodes: nodes + [host], pods: pods + stage.pods("host", 1, Stage.shape(cpu: 6_000), on: "z"))
        stage.group("w", names + ["z"], max: 99)
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        return stage
    }

    private func kinds(_ stage: Stage) -> [Character: Int] {
        stage.removed.flatMap(\.nodes).reduce(into: [:]) { counts, target in
            if let kind = target.node.first { counts[kind, default: 0] += 1 }
        }
    }

    @Test("A budget for drains alone: by zone, by schedule; empty nodes go whatever it says")
    func drainsOnly() throws {
        #expect(kinds(drains(DisruptionBudget(nodes: 8))) == ["e": 2, "f": 2, "p": 2, "q": 2])
        let each = drains(
            DisruptionBudget(zone: .each, nodes: 1, drains: true, origin: "decider.scale_down.budgets[0]"))
        #expect(kinds(each) == ["e": 2, "f": 2, "p": 1, "q": 1])
        let waiting = each.record?.nodes.filter { $0.outcome.reason == .deletionBudgetReached } ?? []
        #expect(waiting.count == 2)
        #expect(waiting.first?.outcome.detail == "1 being drained, at most 1 (decider.scale_down.budgets[0])")
        #expect(
            kinds(drains(DisruptionBudget(zone: .named("y"), nodes: 0, drains: true)))
                == ["e": 2, "f": 2, "p": 2])
        #expect(kinds(drains(DisruptionBudget(group: .named("w"), nodes: 1, drains: true))).values.reduce(0, +) == 5)
        let office = try #require(Schedule("0 8 * * mon-fri", duration: .minutes(9 * 60), zone: try berlin()))
        let budget = DisruptionBudget(nodes: 0, schedule: office, drains: true)
        let within = try #require(Timestamp("2026-03-27T15:59:00Z"))
        #expect(kinds(drains(at: within, budget)) == ["e": 2, "f": 2])
        #expect(kinds(drains(at: within + .minutes(2), budget)) == ["e": 2, "f": 2, "p": 2, "q": 2])
    }

    private func berlin() throws -> TimeZoneRules {
        let file = try #require(fopen("/usr/share/zoneinfo/Europe/Berlin", "re"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 100_000)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return try #require(TimeZoneRules(name: "Europe/Berlin", tzif: bytes))
    }

    @Test(
        "By schedule, on the clocks of the zone: no removals from eight to five, in winter and in summer",
        arguments: [
            ("2026-03-27T06:59:00Z", true), ("2026-03-27T07:01:00Z", false), ("2026-03-27T15:59:00Z", false),
            ("2026-03-27T16:01:00Z", true), ("2026-03-30T05:59:00Z", true), ("2026-03-30T06:01:00Z", false),
            ("2026-03-30T15:01:00Z", true), ("2026-03-29T10:00:00Z", true),
        ])
    func schedule(time: String, mayGo: Bool) throws {
        let office = try #require(Schedule("0 8 * * mon-fri", duration: .minutes(9 * 60), zone: try berlin()))
        let stage = stage(3, at: try #require(Timestamp(time)), [DisruptionBudget(nodes: 0, schedule: office)])
        #expect(stage.removed.isEmpty == !mayGo)
    }

    @Test("When the window ends the nodes go without anything else happening")
    func windowEnds() throws {
        let start = try #require(Timestamp("2026-03-27T15:59:30Z"))
        let office = try #require(Schedule("0 8 * * mon-fri", duration: .minutes(9 * 60), zone: try berlin()))
        var stage = stage(3, at: start, [DisruptionBudget(nodes: 0, schedule: office)])
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(20))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(11))
        #expect(stage.removed.count == 1)
    }

    @Test(
        "A group that goes whole goes past a budget that is too small for it, but not while others use it, nor past zero"
    )
    func atomic() {
        func whole(_ budget: DisruptionBudget) -> [String: Int] {
            var rules = GroupRules(id: "whole", min: 0, max: 4)
            rules.zeroOrMax = true
            var stage = Stage(groups: [rules]) { configuration in
                configuration.scaleDown.budgets = [budget]
                configuration.scaleDown.smallestGroup = 0
            }
            let names = ["n0", "n1", "n2", "n3"]
            stage.snapshot(nodes: names.map { Stage.node($0) })
            stage.group("whole", names, max: 4)
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            return gone(stage)
        }
        #expect(whole(DisruptionBudget(nodes: 2)) == ["whole": 4])
        #expect(whole(DisruptionBudget(nodes: 0)) == [:])
    }
}
