import Messages
import Settings
import Support
import TestServer
import Testing

@testable import Decider

/// What the configuration file says, down to what the engine does.
@Suite("From the settings to what is done")
struct SettingsBehaviourTests {
    /// Groups as the file has them; `decider` is its section of that name.
    private func stage(_ groups: String, _ decider: String) throws -> Stage {
        let file = try TemporaryFile("cluster: test\ngroups:\n\(groups)\ndecider:\n\(decider)\n")
        return Stage(DeciderConfiguration(try Settings.load(file: file.path)))
    }

    private func group(_ id: String, _ more: String = "") -> String {
        "- {id: \(id), stack: s-\(id), resource: \(id), max: 20, template: {cpu: 4, memory: 8Gi}\(more.isEmpty ? "" : ", " + more)}\n"
    }

    /// Pods of one core wait; the groups are empty.
    private func sizes(
        _ stage: Stage, pods: Int, flavors: [String: GroupState.Flavor] = [:], groups: [String]
    ) -> [String: Int] {
        var stage = stage
        stage.snapshot(nodes: [], pods: stage.pods("web", pods, Stage.shape(cpu: 1_000)))
        for id in groups {
            var state = Stage.group(id, [], max: 20, at: stage.now)
            state.flavor = flavors[id]
            stage.group(state)
        }
        stage.evaluate()
        return stage.sizes
    }

    /// Idle nodes that have been unneeded for eleven minutes at `time`; how many go.
    private func gone(_ stage: Stage, _ count: Int, zones: [String] = ["a"], at time: Timestamp) -> Int {
        var stage = stage
        stage.now = time - .minutes(11)
        let names = (0..<count).map { "n\($0)" }
        stage.snapshot(nodes: names.enumerated().map { Stage.node($0.element, zone: zones[$0.offset % zones.count]) })
        stage.group("w", names, max: 20)
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        return stage.removed.flatMap(\.nodes).count
    }

    @Test("All nodes that may go are found at once; with limit_candidates two times as many as may be removed at once")
    func candidates() throws {
        for (limit, expected) in [("false", 9), ("true", 4)] {
            var stage = try stage(
                group("w"), "  scale_down: {limit_candidates: \(limit), max_parallel: 2, unneeded_time: 10m}")
            let names = (0..<9).map { "n\($0)" }
            stage.snapshot(nodes: names.map { Stage.node($0) })
            stage.group("w", names, max: 20)
            stage.evaluate()
            let said = stage.record?.nodes ?? []
            #expect(said.filter { $0.unneededSince != nil }.count == expected)
            #expect(said.filter { $0.outcome.reason == .candidateLimitReached }.count == 9 - expected)
            // More each time, up to what could be removed within the unneeded time.
            stage.evaluate(after: .seconds(10))
            #expect(stage.core.engine.simulation.removable.count == min(9, expected + 4))
        }
    }

    @Test("A node that could not go is looked at again at once; with recheck_after not before that time is over")
    func recheck() throws {
        for (time, expected) in [("0s", ["a"]), ("5m", [String]())] {
            var stage = try stage(group("w"), "  scale_down: {recheck_after: \(time)}")
            let pods =
                stage.pods("bare", 1, Stage.shape(cpu: 100, owner: nil), on: "a")
                + stage.pods("b", 3, Stage.shape(cpu: 1_000), on: "b")
            stage.snapshot(nodes: [Stage.node("a"), Stage.node("b")], pods: pods)
            stage.group("w", ["a", "b"], max: 20)
            stage.evaluate()
            stage.delta(removedPods: ["bare-0"])
            stage.evaluate(after: .seconds(10))
            func unneeded() -> [String] {
                stage.core.engine.simulation.removable.map { stage.core.engine.model.world.names[$0] }
            }
            #expect(unneeded() == expected)
            stage.evaluate(after: .minutes(5))
            #expect(unneeded() == ["a"])
        }
    }

    @Test(
        "A budget with a cron schedule on the clocks of a time zone, in winter and in summer",
        arguments: [
            // Eight to five in Berlin is 07:00 to 16:00 UTC in winter, 06:00 to 15:00 in summer.
            ("2026-01-14T06:58:00Z", 4), ("2026-01-14T07:02:00Z", 0), ("2026-01-14T15:58:00Z", 0),
            ("2026-01-14T16:02:00Z", 4), ("2026-07-15T05:58:00Z", 4), ("2026-07-15T06:02:00Z", 0),
            ("2026-07-15T15:02:00Z", 4),
            // A Saturday.
            ("2026-07-18T10:00:00Z", 4),
        ])
    func schedule(time: String, expected: Int) throws {
        let stage = try stage(
            group("w"),
            """
              scale_down:
                budgets:
                - {nodes: 0, schedule: "0 8 * * 1-5", duration: 9h, time_zone: Europe/Berlin}
            """)
        #expect(gone(stage, 5, at: try #require(Timestamp(time))) == expected, "\(time)")
    }

    @Test("Budgets by zone, by group, as a number and as percent")
    func budgets() throws {
        func gone(_ budget: String) throws -> Int {
            let stage = try stage(group("w"), "  scale_down: {budgets: [\(budget)]}")
            return self.gone(stage, 9, zones: ["a", "b", "c"], at: Stage.start)
        }
        #expect(try gone("{nodes: 5}") == 5)
        #expect(try gone("{percent: 34}") == 3)
        #expect(try gone("{zone: \"*\", nodes: 1}") == 3)
        #expect(try gone("{zone: b, nodes: 0}") == 6)
        #expect(try gone("{group: w, nodes: 2}") == 2)
        #expect(try gone("{nodes: 2, drains: true}") > 2)
    }

    @Test("Headroom in percent and by shape and count")
    func headroom() throws {
        func sizes(_ headroom: String) throws -> [String: Int] {
            var stage = try stage(group("w"), "  headroom: \(headroom)")
            stage.snapshot(nodes: [Stage.node("n1")], pods: stage.pods("web", 3, Stage.shape(cpu: 1_000), on: "n1"))
            stage.group("w", ["n1"], max: 20)
            stage.evaluate()
            return stage.sizes
        }
        #expect(try sizes("{percent: 0}") == [:])
        // One core is free; a half of four is two, of them one on another node.
        #expect(try sizes("{percent: 20}") == [:])
        #expect(try sizes("{percent: 50}") == ["w": 2])
        #expect(try sizes("{shapes: [{name: spare, count: 1, cpu: 1}]}") == [:])
        #expect(try sizes("{shapes: [{name: spare, count: 3, cpu: 3}]}") == ["w": 4])
    }

    @Test("Patterns of the priority expander; then price for the ties")
    func priorities() throws {
        let groups = group("on-demand-a", "price: 1") + group("spot-a", "price: 0.5") + group("spot-b", "price: 0.4")
        let names = ["on-demand-a", "spot-a", "spot-b"]
        let patterns = "  expander: [priority, price]\n  priorities: "
        #expect(
            sizes(
                try stage(groups, patterns + "[{priority: 5, patterns: [^on-]}, {priority: 9, patterns: [^spot]}]"),
                pods: 4,
                groups: names) == ["spot-b": 1])
        #expect(
            sizes(
                try stage(groups, patterns + "[{priority: 9, patterns: [^on-]}, {priority: 5, patterns: [^spot]}]"),
                pods: 4,
                groups: names) == ["on-demand-a": 1])
        // Without patterns each group's own.
        let own = group("a", "priority: 1") + group("b", "priority: 2")
        #expect(sizes(try stage(own, "  expander: [priority]"), pods: 4, groups: ["a", "b"]) == ["b": 1])
    }

    @Test("Price by flavor, where a group has none of its own")
    func prices() throws {
        let flavors = [
            "a": GroupState.Flavor(name: "m1.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40),
            "b": GroupState.Flavor(name: "m2.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40),
        ]
        let prices = "  expander: [price]\n  flavor_prices: {m1.large: 0.4, m2.large: 0.3}"
        let both = group("a") + group("b")
        #expect(sizes(try stage(both, prices), pods: 4, flavors: flavors, groups: ["a", "b"]) == ["b": 1])
        let own = group("a", "price: 0.2") + group("b")
        #expect(sizes(try stage(own, prices), pods: 4, flavors: flavors, groups: ["a", "b"]) == ["a": 1])
    }

    @Test("most-pods and least-nodes")
    func counts() throws {
        let groups =
            "- {id: few, stack: s-few, resource: few, max: 1, template: {cpu: 16, memory: 32Gi}}\n" + group("many")
        for (expander, expected) in [("most-pods", ["many": 8]), ("least-nodes", ["few": 1, "many": 4])] {
            #expect(
                sizes(try stage(groups, "  expander: [\(expander)]"), pods: 32, groups: ["few", "many"]) == expected,
                "\(expander)")
        }
    }

    @Test("Measured usage keeps a node that its requests would let go")
    func measured() throws {
        for isOn in [true, false] {
            var stage = try stage(
                group("w"), "  scale_down: {measured_utilization: \(isOn), measurement_max_age: 5m, unneeded_time: 1m}")
            let names = ["n1", "n2"]
            stage.snapshot(
                nodes: names.map { Stage.node($0) }, pods: stage.pods("web", 3, Stage.shape(cpu: 1_000), on: "n2"))
            stage.group("w", names, max: 20)
            let sample = NodeStats.Sample(node: "n1", at: stage.now, cpuUtilization: 0.9, memoryUtilization: 0.1)
            stage.receive(.nodeStats(NodeStats(cluster: "test", samples: [sample])))
            stage.evaluate()
            stage.evaluate(after: .seconds(70))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (isOn ? [] : ["n1"]))
        }
    }

    @Test("Groups that are alike by their labels alone grow evenly")
    func balancingLabels() throws {
        // Other machines altogether: without the label they would not be alike.
        func groups(_ left: String, _ right: String) -> String {
            "- {id: a, stack: s-a, resource: a, max: 20, template: {cpu: 4, memory: 8Gi, labels: {pool: \(left)}}}\n"
                + "- {id: b, stack: s-b, resource: b, max: 20, template: {cpu: 4, memory: 16Gi, labels: {pool: \(right)}}}\n"
        }
        let rules = "  balance_similar_groups: true\n  balancing_labels: [pool]"
        #expect(sizes(try stage(groups("x", "x"), rules), pods: 16, groups: ["a", "b"]) == ["a": 2, "b": 2])
        #expect(sizes(try stage(groups("x", "y"), rules), pods: 16, groups: ["a", "b"]) == ["a": 4])
        #expect(
            sizes(try stage(groups("x", "x"), "  balance_similar_groups: true"), pods: 16, groups: ["a", "b"]) == [
                "a": 4
            ])
        #expect(throws: SettingsErrors.self) {
            _ = try stage(groups("x", "x"), rules + "\n  balancing_ignore_labels: [rack]")
        }
    }

    @Test("The least number of GPUs, nodes and cores that has to stay")
    func minimums() throws {
        func gone(_ limits: String) throws -> Int {
            var stage = try stage(group("w"), "  limits: \(limits)\n  scale_down: {unneeded_time: 1m}")
            let names = ["n1", "n2", "n3", "n4"]
            let nodes = names.map { name in
                var node = Stage.node(name)
                node.allocatable.extended = ["nvidia.com/gpu": 2]
                return node
            }
            stage.snapshot(nodes: nodes)
            stage.group("w", names, max: 20)
            stage.evaluate()
            stage.evaluate(after: .seconds(70))
            return stage.removed.flatMap(\.nodes).count
        }
        #expect(try gone("{}") == 3)
        #expect(try gone("{min_gpus: {nvidia.com/gpu: 5}}") == 1)
        #expect(try gone("{min_nodes: 3}") == 1)
    }

    @Test("Startup taints and labels of GPUs")
    func unfinished() throws {
        let configuration = try stage(
            group("w"),
            "  startup_taints: [a/b]\n  status_taints: [c/*]\n  scale_down: {gpu_labels: [gpu], gpu_resources: [x/y]}"
        ).core.engine.configuration
        #expect(
            configuration.nodeRules
                == NodeRules(startupTaints: ["a/b"], statusTaints: ["c/*"], gpuLabels: ["gpu"], gpuResources: ["x/y"]))
    }
}
