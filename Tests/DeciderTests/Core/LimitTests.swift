import Messages
import Support
import Testing

@testable import Decider

@Suite("Limits bind and are named")
struct LimitTests {
    /// Two groups with a flavor of 4 cores and 8 GiB each, nothing running, `count` pods of a core and a half waiting:
    /// two a node.
    private func stage(
        _ count: Int, quotas: [String: [GroupState.Quota]] = [:],
        configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var rules = [GroupRules(id: "a", min: 0, max: 9), GroupRules(id: "b", min: 0, max: 9)]
        rules[0].priority = 1
        var stage = Stage(groups: rules) { configuration in
            configuration.scaleUp.expanders = [.priority([])]
            configure(&configuration)
        }
        stage.snapshot(nodes: [], pods: stage.pods("web", count, Stage.shape(cpu: 1_500)))
        for id in ["a", "b"] { members(0, of: id, &stage, quotas[id] ?? []) }
        return stage
    }

    private func members(_ count: Int, of id: String, _ stage: inout Stage, _ quotas: [GroupState.Quota] = []) {
        var state = Stage.group(id, (0..<count).map { "\(id)\($0)" }, at: stage.now)
        state.flavor = GroupState.Flavor(name: "m1.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40)
        state.quotas = quotas
        stage.group(state)
    }

    private func bound(_ stage: Stage, _ group: String, _ reason: Reason) -> String? {
        stage.record?.groups.first { $0.group == group }?.bound.first { $0.reason == reason }?.detail
    }

    @Test("Nova counts what the flavor has, of which a kubelet sees less")
    func quotaOfFlavor() {
        let quota = GroupState.Quota(name: "ramMiB", used: 8_192, limit: 4 * 8_192 - 256)
        var stage = stage(20, quotas: ["a": [quota], "b": [quota]])
        // 7,936 MiB.
        var node = Stage.node("a0", memory: 7)
        node.capacity = ResourceList(cpuMillis: 4_000, memoryBytes: 7_936 << 20, pods: 110)
        stage.delta(nodes: [node], pods: stage.pods("on", 1, Stage.shape(cpu: 4_000), on: "a0"))
        members(1, of: "a", &stage, [quota])
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["a": 3], "two more: three of 8,192 MiB would be above the limit")
    }

    @Test("A group that is empty or whole is so also for rules and minimums")
    func emptyOrWhole() {
        for (min, limit) in [(0, 0), (0, 3), (1, 0), (1, 3)] {
            var rules = GroupRules(id: "workers", min: min, max: 4)
            rules.zeroOrMax = true
            var stage = Stage(groups: [rules]) { $0.limits.maximumNodes = limit }
            stage.snapshot(nodes: [])
            var state = Stage.group("workers", [], min: min, max: 4, at: stage.now)
            state.flavor = GroupState.Flavor(name: "m", vcpus: 4, ramMiB: 8_192, diskGiB: 20)
            stage.group(state)
            if min == 0 { stage.receive(SignalTests.request(stage, .up)) }
            stage.evaluate(after: .seconds(1))
            #expect(stage.sizes == (limit == 0 ? ["workers": 4] : [:]), "min \(min), limit \(limit)")
        }
    }

    @Test(
        "An OpenStack quota of the project binds all groups together",
        arguments: [
            ("instances", 10, 13, 3, "10 of 13 used, 1 per node"), ("cores", 30, 43, 3, "30 of 43 used, 4 per node"),
            (
                "ramMiB", 100, 100 + 3 * 8_192 + 5, 3,
                "100Mi of 24681Mi used, 8192Mi per node"
            ),
        ])
    func projectQuota(name: String, used: Int64, limit: Int64, nodes: Int, text: String) throws {
        let quota = GroupState.Quota(name: name, used: used, limit: limit)
        var stage = stage(20, quotas: ["a": [quota], "b": [quota]])
        stage.evaluate()
        #expect(stage.scaled.map { $0.to - $0.from }.reduce(0, +) == nodes)
        #expect(stage.sizes == ["a": nodes])
        let detail = try #require(bound(stage, "a", .quotaReached))
        #expect(detail.contains("OpenStack quota \(name)"))
        #expect(detail.hasSuffix("(OpenStack limits of the project)"))
        #expect(detail.contains(text), "\(detail)")
        // The pods that get nothing are told why.
        let unserved = stage.record?.pods.first { $0.group == nil }
        #expect(unserved?.outcome.reason == .quotaReached)
        #expect(unserved?.count == 20 - 2 * nodes)
    }

    @Test("What was asked for and has no server yet counts against the quota")
    func inFlight() {
        let quota = GroupState.Quota(name: "instances", used: 0, limit: 3)
        var stage = stage(4, quotas: ["a": [quota], "b": [quota]])
        stage.evaluate()
        #expect(stage.sizes == ["a": 2])
        stage.delta(pods: stage.pods("more", 8, Stage.shape(cpu: 1_500, app: "more", owner: "more")))
        stage.evaluate(after: .seconds(1))
        // Group a is busy; the quota has room for one more.
        #expect(stage.sizes == ["b": 1])
    }

    @Test("A full server group binds its group alone; another group serves the rest at once")
    func serverGroup() throws {
        let quota = GroupState.Quota(name: "serverGroupMembers", used: 8, limit: 10)
        var stage = stage(10, quotas: ["a": [quota]])
        stage.evaluate()
        #expect(stage.sizes == ["a": 2, "b": 3])
        let detail = try #require(bound(stage, "a", .quotaReached))
        #expect(detail == "OpenStack quota serverGroupMembers: 8 of 10 used, 1 per node (OpenStack server group)")
    }

    @Test("A quota of -1 is no limit")
    func unlimited() {
        var stage = stage(10, quotas: ["a": [GroupState.Quota(name: "instances", used: 100, limit: -1)]])
        stage.evaluate()
        #expect(stage.sizes == ["a": 5])
    }

    @Test("A group that failed for want of quota is left alone, and another takes over at once")
    func fallBack() throws {
        var stage = stage(10)
        stage.evaluate()
        let first = try #require(stage.scaled.first)
        #expect(first.group == "a")
        let progress = ScaleProgress(
            id: first.id, group: "a", from: 0, to: 5,
            reason: Explanation(.quotaReached, "Quota exceeded for instances"), at: stage.now)
        stage.receive(.scaleFailed(ScaleFailed(cluster: "test", scale: progress)))
        #expect(stage.core.isDirty)
        stage.evaluate(after: .milliseconds(20))
        #expect(stage.sizes == ["b": 5])
        let detail = try #require(bound(stage, "a", .groupBackedOff))
        #expect(detail.contains("after QuotaReached: Quota exceeded for instances"))
        // When the time is over, group a is used again: here for new pods.
        members(5, of: "b", &stage)
        stage.delta(pods: stage.pods("more", 2, Stage.shape(cpu: 1_500, app: "more", owner: "more")))
        stage.evaluate(after: .minutes(6))
        #expect(stage.sizes["a"] == 1)
    }

    @Test("Limits of the whole cluster: nodes, cores, memory, GPUs, each with where it was set")
    func wholeCluster() throws {
        func quota(_ resource: String, _ limit: Int64) -> ClusterLimits.Quota {
            ClusterLimits.Quota(
                id: "cluster", groups: nil, limits: [resource: limit], origin: "decider.limits.\(resource)")
        }
        var nodes = stage(20) { $0.limits.maximumNodes = 3 }
        nodes.evaluate()
        #expect(nodes.sizes == ["a": 3])
        #expect(bound(nodes, "a", .totalNodesReached) == "nodes: 0 of 3 used (decider.limits.nodes)")
        var cores = stage(20) { $0.limits.quotas = [quota("cpu", 11)] }
        cores.evaluate()
        #expect(cores.sizes == ["a": 2])
        #expect(
            bound(cores, "a", .totalCoresReached)?.contains("0 of 11 used, 4 per node (decider.limits.cpu)") == true)
        var memory = stage(20) { $0.limits.quotas = [quota("memory", 30 << 30)] }
        memory.evaluate()
        #expect(memory.sizes == ["a": 3])
        #expect(bound(memory, "a", .totalMemoryReached) != nil)
    }

    @Test("A limit on GPUs binds the groups that have them, and those alone")
    func gpus() throws {
        var rules = [GroupRules(id: "a", min: 0, max: 9), GroupRules(id: "b", min: 0, max: 9)]
        var machine = Stage.resources(cpu: 4_000)
        machine.extended = ["nvidia.com/gpu": 2]
        rules[0].template = GroupRules.Template(allocatable: machine)
        rules[1].template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
        var stage = Stage(groups: rules) {
            $0.limits.quotas = [
                ClusterLimits.Quota(
                    id: "cluster", groups: nil, limits: ["nvidia.com/gpu": 5], origin: "decider.limits.gpus")
            ]
        }
        let learning = Stage.shape(cpu: 500, app: "learn", owner: "learn") {
            $0.requests.extended = ["nvidia.com/gpu": 1]
        }
        stage.snapshot(
            nodes: [], pods: stage.pods("learn", 8, learning) + stage.pods("web", 8, Stage.shape(cpu: 2_000)))
        stage.group("a", [])
        stage.group("b", [])
        stage.evaluate()
        #expect(stage.sizes["a"] == 2)
        #expect((stage.sizes["b"] ?? 0) >= 3)
        #expect(
            bound(stage, "a", .totalResourceReached)
                == "cluster nvidia.com/gpu: 0 of 5 used, 2 per node (decider.limits.gpus)")
        #expect(stage.record?.pods.filter { $0.group == nil }.map(\.count) == [4])
    }

    @Test("Nodes that do not come in time: the group is backed off with the cause, and another takes the pods at once")
    func timeout() throws {
        var stage = stage(4)
        stage.evaluate()
        let first = try #require(stage.scaled.first)
        #expect(stage.sizes == ["a": 2])
        let progress = ScaleProgress(
            id: first.id, group: "a", from: 0, to: 2, reason: first.reason, at: stage.now)
        stage.receive(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
        members(2, of: "a", &stage)
        stage.evaluate()
        stage.evaluate(after: .minutes(14))
        #expect(stage.scaled.isEmpty)
        // Heat's clock is behind: by its word they were made a second before they were asked for. Ours counts.
        stage.evaluate(after: .minutes(1))
        #expect(stage.scaled.isEmpty)
        stage.evaluate(after: .seconds(1))
        #expect(stage.sizes == ["b": 2])
        let detail = bound(stage, "a", .groupBackedOff) ?? ""
        #expect(detail.contains("after ProvisionTimedOut: 2 nodes did not come within 15m"), "\(detail)")
    }

    @Test("Nodes per minute: the rest comes when the minute is over")
    func perMinute() {
        var stage = stage(12) { $0.scaleUp.maximumNodesPerMinute = 4 }
        stage.evaluate()
        #expect(stage.sizes == ["a": 4])
        let origin = "(decider.max_nodes_per_minute)"
        #expect(bound(stage, "a", .batchLimitReached) == "new nodes in a minute: 0 of 4 used \(origin)")
        // None are left, and the other group, which could take the pods as well, says so too.
        #expect(bound(stage, "b", .batchLimitReached) == "new nodes in a minute: 4 of 4 used \(origin)")
        members(4, of: "a", &stage)
        stage.evaluate(after: .seconds(59))
        #expect(stage.scaled.isEmpty)
        #expect(
            stage.core.engine.ledger.groups["b"]?.bound
                == [Explanation(.batchLimitReached, "new nodes in a minute: 4 of 4 used \(origin)")])
        stage.evaluate(after: .seconds(2))
        #expect(stage.sizes == ["a": 6])
    }

    @Test("What is there counts against the limit of all nodes, in a group or not, and the pods are told the numbers")
    func allNodes() {
        var stage = stage(20) { $0.limits.maximumNodes = 5 }
        stage.delta(nodes: ["x1", "x2"].map { Stage.node($0, cpu: 1_000) })
        stage.evaluate()
        #expect(stage.sizes == ["a": 3])
        #expect(bound(stage, "a", .totalNodesReached) == "nodes: 2 of 5 used (decider.limits.nodes)")
        #expect(bound(stage, "a", .batchLimitReached) == nil)
        var full = self.stage(20) { $0.limits.maximumNodes = 2 }
        full.delta(nodes: ["x1", "x2"].map { Stage.node($0, cpu: 1_000) })
        full.evaluate()
        #expect(full.scaled.isEmpty)
        for group in ["a", "b"] {
            #expect(bound(full, group, .totalNodesReached) == "nodes: 2 of 2 used (decider.limits.nodes)")
        }
    }

    @Test("The limit on one decision is named with its value")
    func atOnce() {
        var stage = stage(20) { $0.scaleUp.maximumNodesPerDecision = 2 }
        stage.evaluate()
        #expect(stage.sizes == ["a": 2])
        #expect(
            bound(stage, "a", .batchLimitReached)
                == "new nodes at once: 0 of 2 used (decider.max_nodes_per_decision)")
    }

    /// A cheap group of small nodes and a dear one of large ones; by the price ten of the first are best, by what few
    /// nodes serve now the second.
    private func cheapAndDear(_ pods: Int, configure: (inout DeciderConfiguration) -> Void) -> Stage {
        var rules = [GroupRules(id: "cheap", min: 0, max: 20), GroupRules(id: "dear", min: 0, max: 20)]
        (rules[0].price, rules[1].price) = (1, 5)
        rules[0].template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
        rules[1].template = GroupRules.Template(
            allocatable: Stage.resources(cpu: 8_000, memory: 32), labels: ["size": "large"])
        var stage = Stage(groups: rules) { configuration in
            configuration.scaleUp.expanders = [.price]
            configure(&configuration)
        }
        stage.snapshot(nodes: [], pods: stage.pods("web", pods, Stage.shape(cpu: 2_000)))
        for rule in rules { stage.group(rule.id, [], max: 20) }
        return stage
    }

    @Test(
        "Limits on what comes at once choose no group: the one that is best for all pods grows, as far as it may now",
        arguments: [true, false])
    func batchChoosesNothing(isByMinute: Bool) {
        var stage = cheapAndDear(20) { configuration in
            if isByMinute {
                configuration.scaleUp.maximumNodesPerMinute = 2
            } else {
                configuration.scaleUp.maximumNodesPerDecision = 2
            }
        }
        stage.evaluate()
        #expect(stage.sizes == ["cheap": 2])
        let bound = bound(stage, "cheap", .batchLimitReached)
        #expect(
            bound
                == (isByMinute
                    ? "new nodes in a minute: 0 of 2 used (decider.max_nodes_per_minute)"
                    : "new nodes at once: 0 of 2 used (decider.max_nodes_per_decision)"))
        // The limit on all nodes is none that waiting helps against: of five nodes the large ones serve the most.
        var few = cheapAndDear(20) { $0.limits.maximumNodes = 5 }
        few.evaluate()
        #expect(few.sizes == ["dear": 5])
    }

    @Test("A group that grows whole waits for the minute to be over, too, unless so many never come at once")
    func wholeGroupWaits() {
        for most in [3, 2] {
            var stage = cheapAndDear(6) { configuration in
                configuration.scaleUp.maximumNodesPerMinute = most
                configuration.groups[0].zeroOrMax = true
                configuration.groups[0].max = 3
            }
            let large = Stage.shape(cpu: 7_000, app: "large") { $0.nodeSelector["size"] = "large" }
            stage.delta(pods: stage.pods("large", 1, large), removedPods: (0..<6).map { "web-\($0)" })
            stage.evaluate()
            #expect(stage.sizes == ["dear": 1])
            stage.group("dear", ["d0"], max: 20)
            stage.delta(
                nodes: [Stage.node("d0", cpu: 8_000, memory: 32, labels: ["size": "large"], createdAt: stage.now)],
                pods: stage.pods("large", 1, large, on: "d0")
                    + stage.pods("web", 6, Stage.shape(cpu: 2_000)))
            stage.evaluate(after: .seconds(30))
            #expect(stage.sizes == (most == 3 ? [:] : ["dear": 2]), "\(most)")
            guard most == 3 else { continue }
            #expect(
                bound(stage, "cheap", .batchLimitReached)
                    == "new nodes in a minute: 1 of 3 used (decider.max_nodes_per_minute)")
            stage.evaluate(after: .seconds(31))
            #expect(stage.sizes == ["cheap": 3])
        }
    }

    @Test(
        "While a group that grows whole waits for the minute, a pod that only another can take is told so, and the other as well"
    )
    func waitsBehindWholeGroup() {
        var stage = cheapAndDear(1) { configuration in
            configuration.scaleUp.maximumNodesPerMinute = 3
            configuration.groups[0].zeroOrMax = true
            configuration.groups[0].max = 3
        }
        let large = Stage.shape(cpu: 7_000, app: "large") { $0.nodeSelector["size"] = "large" }
        stage.delta(pods: stage.pods("large", 1, large), removedPods: ["web-0"])
        stage.evaluate()
        #expect(stage.sizes == ["dear": 1])
        stage.group("dear", ["d0"], max: 20)
        let other = Stage.shape(cpu: 4_000, app: "x", owner: "x") { $0.nodeSelector["size"] = "large" }
        stage.delta(
            nodes: [Stage.node("d0", cpu: 8_000, memory: 32, labels: ["size": "large"], createdAt: stage.now)],
            pods: stage.pods("large", 1, large, on: "d0") + stage.pods("web", 6, Stage.shape(cpu: 2_000))
                + stage.pods("x", 1, other))
        stage.evaluate(after: .seconds(30))
        // Two more may come, three are wanted: what was chosen first comes first.
        #expect(stage.sizes.isEmpty)
        let said = "new nodes in a minute: 1 of 3 used (decider.max_nodes_per_minute)"
        let pod = stage.record?.pods.first { $0.pod == "default/x-0" }
        #expect(pod?.outcome == Explanation(.batchLimitReached, said), "\(String(describing: pod))")
        #expect(pod?.groups["cheap"]?.reason == .nodeAffinityMismatch)
        for group in ["cheap", "dear"] { #expect(bound(stage, group, .batchLimitReached) == said, "\(group)") }
    }

    @Test(
        "A group uses a limit up: a pod that only another can take is told the limit, not what keeps it off the first",
        arguments: [true, false])
    func usedUp(isBatch: Bool) {
        var rules = [GroupRules(id: "a", min: 0, max: 9), GroupRules(id: "b", min: 0, max: 9)]
        rules[0].priority = 1
        for (index, id) in ["a", "b"].enumerated() {
            rules[index].template = GroupRules.Template(
                allocatable: Stage.resources(cpu: 4_000), labels: ["kind": id])
        }
        var stage = Stage(groups: rules) { configuration in
            configuration.scaleUp.expanders = [.priority([])]
            if isBatch {
                configuration.scaleUp.maximumNodesPerDecision = 2
            } else {
                configuration.limits.maximumNodes = 2
            }
        }
        let first = Stage.shape(cpu: 4_000, app: "p", owner: "p") { $0.nodeSelector = ["kind": "a"] }
        let second = Stage.shape(cpu: 4_000, app: "q", owner: "q") { $0.nodeSelector = ["kind": "b"] }
        stage.snapshot(nodes: [], pods: stage.pods("p", 2, first) + stage.pods("q", 1, second))
        for id in ["a", "b"] { stage.group(id, []) }
        stage.evaluate()
        #expect(stage.sizes == ["a": 2])
        let said =
            isBatch
            ? Explanation(.batchLimitReached, "new nodes at once: 2 of 2 used (decider.max_nodes_per_decision)")
            : Explanation(.totalNodesReached, "nodes: 2 of 2 used (decider.limits.nodes)")
        let pod = stage.record?.pods.first { $0.pod == "default/q-0" }
        #expect(pod?.outcome == said, "\(String(describing: pod))")
        #expect(bound(stage, "b", said.reason) == said.detail)
    }

    @Test("The minimum of cores that has to stay keeps an idle node, and says so")
    func minimum() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.limits.minimum = ["cpu": 8] }
        stage.snapshot(nodes: ["n1", "n2", "n3"].map { Stage.node($0) })
        stage.group("w", ["n1", "n2", "n3"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["n1"])
        let kept = stage.record?.nodes.first { $0.outcome.reason == .minimalResourceLimitExceeded }
        #expect(kept?.outcome.detail == "cpu 8, at least 8 (decider.limits)")
    }
}
