import FoundationEssentials
import Messages
import Support
import Testing

@testable import Decider

@Suite("Replacing nodes by fewer or smaller ones")
struct ConsolidationTests {
    /// b1 is half full, b2 full, both large; a small node would do for b1's pods.
    private func stage(
        smallPrice: Double = 3, enabled: Bool = true, configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var big = GroupRules(id: "big", min: 0, max: 9)
        big.price = 8
        var small = GroupRules(id: "small", min: 0, max: 9)
        small.price = smallPrice
        small.template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
        var stage = Stage(groups: [big, small]) { configuration in
            configuration.scaleDown.consolidates = enabled
            configure(&configuration)
        }
        stage.snapshot(
            nodes: [Stage.node("b1", cpu: 8_000), Stage.node("b2", cpu: 8_000)],
            pods: stage.pods("a", 2, Stage.shape(cpu: 2_000), on: "b1")
                + stage.pods("b", 4, Stage.shape(cpu: 2_000), on: "b2"))
        stage.group("big", ["b1", "b2"])
        stage.group("small", [])
        stage.evaluate()
        return stage
    }

    /// Evaluates every step for so long; ends with the first decision.
    private func wait(_ stage: inout Stage, _ interval: Interval, step: Interval = .seconds(10)) -> [Event] {
        let end = stage.now + interval
        while stage.now < end {
            let decisions = stage.evaluate(after: step)
            if !decisions.isEmpty { return decisions }
        }
        return []
    }

    private func started(_ stage: inout Stage, _ decision: ScaleDecided) {
        let progress = ScaleProgress(
            id: decision.id, group: decision.group, from: decision.from, to: decision.to, reason: decision.reason,
            at: stage.now)
        stage.receive(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
    }

    @Test("The smaller node comes up first, then the larger one goes, and then there is peace")
    func smaller() throws {
        var stage = stage()
        // Not before it has been possible for the unneeded time.
        #expect(wait(&stage, .minutes(10)).isEmpty)
        _ = wait(&stage, .minutes(1))
        let growth = try #require(stage.scaled.first)
        #expect(growth.group == "small" && growth.from == 0 && growth.to == 1)
        #expect(growth.reason.reason == .consolidated)
        #expect(growth.reason.detail == "1 for b1: saves 63% of the price of 1 nodes")
        #expect(stage.removed.isEmpty)
        started(&stage, growth)
        stage.group("small", ["s1"])
        #expect(wait(&stage, .minutes(2)).isEmpty)
        stage.delta(nodes: [Stage.node("s1", readiness: .notReady, createdAt: stage.now)])
        #expect(wait(&stage, .minutes(1)).isEmpty)
        stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)])
        let decisions = wait(&stage, .minutes(1))
        #expect(decisions.count == 1)
        let removal = try #require(stage.removed.first)
        #expect(removal.group == "big" && removal.nodes.map(\.node) == ["b1"])
        #expect(removal.nodes[0].reason.reason == .consolidated)
        #expect(removal.nodes[0].podsToMove == 2)
        // It happens.
        var leaving = Stage.node("b1", cpu: 8_000, taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.annotations["updraft.io/removal"] = "{}"
        stage.delta(nodes: [leaving])
        #expect(wait(&stage, .minutes(1)).isEmpty)
        stage.delta(pods: stage.pods("a", 2, Stage.shape(cpu: 2_000), on: "s1"))
        let progress = RemovalProgress(
            id: removal.id, group: "big", node: "b1", nodeUID: "uid-b1", serverID: "server-b1",
            reason: removal.nodes[0].reason, at: stage.now)
        stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
        stage.delta(removedNodes: ["b1"])
        stage.group("big", ["b2"])
        #expect(wait(&stage, .minutes(180)).isEmpty)
        #expect(stage.core.engine.counts.nodes == 2)
    }

    @Test(
        "A new node that still waits for its GPU is waited for, also the first of its group, and then takes the pods",
        arguments: [true, false])
    func gpuToCome(isFirst: Bool) throws {
        let gpu = "nvidia.com/gpu"
        func node(_ name: String, gpus: Int64, createdAt: Timestamp = Stage.start - .minutes(60)) -> Node {
            var node = Stage.node(name, createdAt: createdAt)
            if gpus > 0 {
                node.allocatable.extended = [gpu: gpus]
                node.capacity.extended = [gpu: gpus]
            }
            return node
        }
        var rules = [GroupRules(id: "big", min: 0, max: 9), GroupRules(id: "small", min: 0, max: 9)]
        (rules[0].price, rules[1].price) = (8, 3)
        if isFirst {
            var allocatable = Stage.resources(cpu: 4_000)
            allocatable.extended = [gpu: 5]
            rules[1].template = GroupRules.Template(allocatable: allocatable)
        }
        var stage = Stage(groups: rules) { $0.scaleDown.consolidates = true }
        func full(_ gpus: Int64) -> PodShape {
            Stage.shape(cpu: 100, app: "full-\(gpus)") { $0.requests.extended = [gpu: gpus] }
        }
        let one = Stage.shape(cpu: 100) { $0.requests.extended = [gpu: 1] }
        stage.snapshot(
            nodes: [node("b1", gpus: 8), node("b2", gpus: 8)] + (isFirst ? [] : [node("s0", gpus: 5)]),
            pods: stage.pods("a", 5, one, on: "b1") + stage.pods("b", 1, full(8), on: "b2")
                + (isFirst ? [] : stage.pods("c", 1, full(5), on: "s0")))
        let small = isFirst ? [] : ["s0"]
        stage.group("big", ["b1", "b2"])
        stage.group("small", small)
        stage.evaluate()
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        #expect(growth.group == "small" && growth.to - growth.from == 1)
        started(&stage, growth)
        stage.group("small", small + ["s1"])
        let createdAt = stage.now
        stage.delta(nodes: [node("s1", gpus: 0, createdAt: createdAt)])
        #expect(wait(&stage, .minutes(5)).isEmpty)
        #expect(stage.core.engine.memory.consolidation != nil)
        stage.delta(nodes: [node("s1", gpus: 5, createdAt: createdAt)])
        _ = wait(&stage, .minutes(1))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b1"])
    }

    @Test("A GPU that does not come ends the replacement: the larger node stays")
    func gpuNeverComes() throws {
        let gpu = "nvidia.com/gpu"
        var rules = [GroupRules(id: "big", min: 0, max: 9), GroupRules(id: "small", min: 0, max: 9)]
        (rules[0].price, rules[1].price) = (8, 3)
        var allocatable = Stage.resources(cpu: 4_000)
        allocatable.extended = [gpu: 5]
        rules[1].template = GroupRules.Template(allocatable: allocatable)
        var stage = Stage(groups: rules) { configuration in
            configuration.scaleDown.consolidates = true
            configuration.scaleDown.smallestGroup = 0
        }
        var big = Stage.node("b1")
        big.allocatable.extended = [gpu: 8]
        let one = Stage.shape(cpu: 100) { $0.requests.extended = [gpu: 1] }
        stage.snapshot(nodes: [big], pods: stage.pods("a", 5, one, on: "b1"))
        stage.group("big", ["b1"])
        stage.group("small", [])
        stage.evaluate()
        _ = wait(&stage, .minutes(12))
        started(&stage, try #require(stage.scaled.first))
        stage.group("small", ["s1"])
        stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)])
        #expect(wait(&stage, .minutes(14)).isEmpty)
        #expect(stage.core.engine.memory.consolidation != nil)
        stage.evaluate(after: .minutes(2))
        #expect(stage.core.engine.memory.consolidation == nil)
        #expect(stage.removed.isEmpty)
    }

    @Test("Nor is one bought again every hour beside one that has its GPU: the group is left alone for a day")
    func gpuNeverComesAgain() throws {
        let gpu = "nvidia.com/gpu"
        var rules = [GroupRules(id: "big", min: 0, max: 9), GroupRules(id: "small", min: 0, max: 9)]
        (rules[0].price, rules[1].price) = (8, 3)
        var stage = Stage(groups: rules) { $0.scaleDown.consolidates = true }
        func node(_ name: String, gpus: Int64) -> Node {
            var node = Stage.node(name)
            node.allocatable.extended = [gpu: gpus]
            node.capacity.extended = [gpu: gpus]
            return node
        }
        func pods(_ name: String, _ gpus: Int64, on node: String) -> [Pod] {
            stage.pods(name, 1, Stage.shape(cpu: 100, app: name) { $0.requests.extended = [gpu: gpus] }, on: node)
        }
        // s0 is full, and so is b2: it is b1 alone that a small one could replace.
        stage.snapshot(
            nodes: [node("b1", gpus: 8), node("b2", gpus: 8), node("s0", gpus: 5)],
            pods: pods("a", 5, on: "b1") + pods("b", 8, on: "b2") + pods("c", 5, on: "s0"))
        stage.group("big", ["b1", "b2"])
        stage.group("small", ["s0"])
        stage.evaluate()
        /// Plays until the next decision to grow, for at most so long; a bare machine comes for it, and goes when that
        /// is decided.
        func bought(within interval: Interval) -> ScaleDecided? {
            let end = stage.now + interval
            while stage.now < end {
                _ = wait(&stage, end - stage.now, step: .minutes(1))
                if let growth = stage.scaled.first { return growth }
                guard let removal = stage.removed.first, let target = removal.nodes.first else { continue }
                let progress = RemovalProgress(
                    id: removal.id, group: "small", node: target.node, nodeUID: target.nodeUID,
                    serverID: target.serverID, reason: target.reason, at: stage.now)
                stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
                stage.delta(removedNodes: [target.node])
                stage.group("small", ["s0"])
            }
            return nil
        }
        for name in ["s1", "s2"] {
            let growth = try #require(bought(within: .minutes(name == "s1" ? 30 : 27 * 60)), "\(name)")
            #expect(growth.group == "small")
            started(&stage, growth)
            stage.group("small", ["s0", name])
            stage.delta(nodes: [Stage.node(name, createdAt: stage.now)])
            // It is waited for, given up and removed. Nothing is bought for most of a day.
            #expect(bought(within: .minutes(23 * 60)) == nil, "\(name)")
            #expect(stage.core.engine.counts.nodes == 3, "\(name)")
        }
    }

    @Test("Spare capacity on the larger node is not lost: what replaces it has to have room for that as well")
    func headroom() {
        for spare in [Int64(0), 3_000] {
            // A small node takes the pods of b1 and nothing more; two of them cost more than b1.
            var stage = stage(smallPrice: 5) { configuration in
                guard spare > 0 else { return }
                configuration.headroom = [
                    HeadroomRule(id: "spare", amount: .pods(count: 1, requests: ResourceList(cpuMillis: spare)))
                ]
            }
            #expect(stage.scaled.isEmpty, "the spare room is there")
            _ = wait(&stage, .minutes(30))
            #expect(stage.sizes == (spare == 0 ? ["small": 1] : [:]), "\(spare)")
        }
    }

    @Test("The ledger says of a node that it could be replaced, that it is being replaced, and when it is not any more")
    func ledger() throws {
        var stage = stage()
        func said(_ stage: Stage, _ node: String) -> Explanation? {
            stage.record?.nodes.first { $0.node == node }?.outcome
        }
        #expect(said(stage, "b1")?.reason == .consolidated)
        #expect(
            said(stage, "b1")?.detail.hasPrefix(
                "could be: 1 of small instead, saves 63% of the price of 1 nodes; begins at") == true,
            "\(String(describing: said(stage, "b1")))")
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        #expect(said(stage, "b1")?.detail == "saves 63% of the price of 1 nodes; 0 of 1 of small are there")
        // It fails: the node is what it was.
        let progress = ScaleProgress(
            id: growth.id, group: "small", from: 0, to: 1, reason: Explanation(.quotaReached, "no more"), at: stage.now)
        stage.receive(.scaleFailed(ScaleFailed(cluster: "test", scale: progress)))
        var last: Explanation?
        for _ in 0..<3 {
            stage.evaluate(after: .seconds(11))
            last = said(stage, "b1") ?? last
        }
        #expect(last?.reason == .notUnderutilized || last?.reason == .noPlaceToMovePods, "\(String(describing: last))")
    }

    @Test("It is off unless asked for, and left alone when it saves too little")
    func notWorthIt() {
        var off = stage(enabled: false)
        #expect(wait(&off, .minutes(60)).isEmpty)
        var dear = stage(smallPrice: 6.5)
        #expect(wait(&dear, .minutes(60)).isEmpty)
        var cheap = stage(smallPrice: 6.3)
        #expect(!wait(&cheap, .minutes(60)).isEmpty)
    }

    @Test("Pods that hold their node, a budget of zero and the smallest size forbid it")
    func forbidden() {
        var held = stage { $0.scaleDown.drain.minimumReplicas = 1_000 }
        #expect(wait(&held, .minutes(60)).isEmpty)
        var budget = stage { $0.scaleDown.budgets = [DisruptionBudget(nodes: 0)] }
        #expect(wait(&budget, .minutes(60)).isEmpty)
        var minimum = stage { $0.groups[0].min = 2 }
        #expect(wait(&minimum, .minutes(60)).isEmpty)
    }

    @Test("Nothing is bought for a node that a budget for drains keeps, now or when the new one comes")
    func drainBudgets() throws {
        var none = stage { $0.scaleDown.budgets = [DisruptionBudget(nodes: 0, drains: true)] }
        #expect(wait(&none, .minutes(60)).isEmpty)
        var unable = stage { $0.scaleDown.maximumParallelDrain = 0 }
        #expect(wait(&unable, .minutes(60)).isEmpty)
        // It is eight o'clock. The replacement is due at ten past; from twenty past on no node is drained for an hour.
        let schedule = try #require(Schedule("20 8 * * *", duration: .minutes(60)))
        var later = stage { $0.scaleDown.budgets = [DisruptionBudget(nodes: 0, schedule: schedule, drains: true)] }
        #expect(wait(&later, .minutes(80)).isEmpty)
        #expect(!wait(&later, .minutes(15)).isEmpty)
        #expect(later.scaled.map(\.group) == ["small"])
        // Machines of the group may take less or more time than others: the budget has to leave room for theirs.
        for (own, others) in [(5.0, 15.0), (15, 5)] {
            var group = stage { configuration in
                configuration.scaleDown.budgets = [DisruptionBudget(nodes: 0, schedule: schedule, drains: true)]
                configuration.health.provisionTimeout = .minutes(others)
                configuration.groups[1].provisionTimeout = .minutes(own)
            }
            _ = wait(&group, .minutes(15))
            #expect(group.sizes == (own == 5 ? ["small": 1] : [:]), "\(own)")
        }
        // Where nothing has to be bought the node goes before.
        var room = stage { configuration in
            configuration.scaleDown.budgets = [DisruptionBudget(nodes: 0, schedule: schedule, drains: true)]
            configuration.scaleDown.utilizationThreshold = 0.1
        }
        room.delta(nodes: [Stage.node("b3", cpu: 8_000)], pods: room.pods("c", 1, Stage.shape(cpu: 2_000), on: "b3"))
        room.group("big", ["b1", "b2", "b3"])
        #expect(!wait(&room, .minutes(15)).isEmpty)
        #expect(room.scaled.isEmpty && room.removed.flatMap(\.nodes).count == 1)
    }

    @Test("No more nodes are replaced at once than may be drained at once")
    func parallelDrains() throws {
        var rules = [GroupRules(id: "few", min: 0, max: 9), GroupRules(id: "many", min: 0, max: 9)]
        rules[0].template = GroupRules.Template(allocatable: Stage.resources(cpu: 8_000, memory: 32))
        for most in [2, 3] {
            var stage = Stage(groups: rules) { configuration in
                configuration.scaleDown.consolidates = true
                configuration.scaleDown.smallestGroup = 0
                configuration.scaleDown.utilizationThreshold = 0.1
                configuration.scaleDown.maximumParallelDrain = most
            }
            // One of eight cores for three of four is worth it, for two of them it saves nothing.
            let nodes = ["m1", "m2", "m3"]
            var pods: [Pod] = []
            for node in nodes { pods += stage.pods(node, 1, Stage.shape(cpu: 2_600), on: node) }
            stage.snapshot(nodes: nodes.map { Stage.node($0) }, pods: pods)
            stage.group("few", [])
            stage.group("many", nodes)
            stage.evaluate()
            _ = wait(&stage, .minutes(12))
            #expect(stage.sizes == (most == 2 ? [:] : ["few": 1]))
        }
    }

    /// Plays until the next decision to grow, for at most so long. Machines of the small group that are removed go.
    private func bought(_ stage: inout Stage, within interval: Interval) -> ScaleDecided? {
        let end = stage.now + interval
        while stage.now < end {
            _ = wait(&stage, end - stage.now, step: .minutes(1))
            if let growth = stage.scaled.first { return growth }
            guard let removal = stage.removed.first, let target = removal.nodes.first else { continue }
            let progress = RemovalProgress(
                id: removal.id, group: removal.group, node: target.node, nodeUID: target.nodeUID,
                serverID: target.serverID, reason: target.reason, at: stage.now)
            stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
            stage.delta(removedNodes: [target.node])
            if removal.group == "small" { stage.group("small", []) }
        }
        return nil
    }

    @Test("Machines that came in vain: the group replaces nothing for an hour, then for two, and says so")
    func inVain() throws {
        // One large node stays, so that one small one is enough, which may go again.
        var stage = stage { configuration in
            configuration.scaleDown.smallestGroup = 0
            configuration.groups[0].min = 1
        }
        let held = Stage.shape(cpu: 2_000) { $0.annotations["updraft.io/do-not-disrupt"] = "true" }
        for (name, pause) in [("s1", 60.0), ("s2", 120)] {
            let growth = try #require(bought(&stage, within: .minutes(30)), "\(name)")
            #expect(growth.group == "small")
            started(&stage, growth)
            // When the small node comes, a pod on the large one must not be moved any more.
            stage.group("small", [name])
            stage.delta(nodes: [Stage.node(name, createdAt: stage.now)], pods: stage.pods("a", 2, held, on: "b1"))
            stage.evaluate(after: .seconds(10))
            #expect(stage.removed.isEmpty && stage.core.engine.memory.consolidation == nil)
            let end = stage.now + .minutes(pause)
            let bound = stage.record?.groups.first { $0.group == "small" }?.bound.first { $0.reason == .replacedInVain }
            #expect(bound?.detail == "no nodes are replaced by machines of the group until \(end)")
            stage.delta(pods: stage.pods("a", 2, Stage.shape(cpu: 2_000), on: "b1"))
            // It is kept by whoever takes over.
            let saved = try stage.core.engine.checkpoint()
            try stage.core.restore(saved)
            #expect(bought(&stage, within: end - stage.now) == nil, "\(name)")
            #expect(stage.core.engine.counts.nodes == 2, "the new one has gone again")
        }
    }

    @Test("Such pauses grow to a day, and begin anew after a day without one, or a replacement that was done")
    func vainPauses() throws {
        var pauses: [Interval] = []
        var last: VainReplacement?
        for _ in 0..<7 {
            let next = VainReplacement(after: last, at: last.map { $0.until + .minutes(10) } ?? Stage.start)
            pauses.append(next.duration)
            last = next
        }
        #expect(pauses == [60, 120, 240, 480, 960, 1_440, 1_440].map { Interval.minutes($0) })
        let known = try #require(last)
        #expect(VainReplacement(after: known, at: known.until + .minutes(1_441)).duration == .minutes(60))
        var stage = stage()
        var memory = stage.core.engine.memory
        for group in stage.core.engine.groups { memory.groups[group.rules.id] = group.memory }
        memory.groups["small"]?.vain = VainReplacement(until: stage.now, .minutes(120))
        try stage.core.restore(Array(try JSONEncoder().encode(memory)))
        _ = wait(&stage, .minutes(12))
        started(&stage, try #require(stage.scaled.first))
        stage.group("small", ["s1"])
        stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)])
        #expect(bought(&stage, within: .minutes(5)) == nil)
        #expect(stage.core.engine.model.nodeSlots["b1"] == nil)
        #expect(stage.core.engine.memory.consolidation == nil && stage.core.engine.groups[1].memory.vain == nil)
    }

    @Test(
        "No GPU is waited for on machines of a group that has none: the replacement ends, and its pause is an hour, no day"
    )
    func noGPUOffered() throws {
        let gpu = "nvidia.com/gpu"
        var rules = [GroupRules(id: "big", min: 0, max: 9), GroupRules(id: "small", min: 0, max: 9)]
        (rules[0].price, rules[1].price) = (8, 3)
        rules[1].template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
        var stage = Stage(groups: rules) { $0.scaleDown.consolidates = true }
        func big(_ name: String) -> Node {
            var node = Stage.node(name, cpu: 8_000)
            (node.allocatable.extended, node.capacity.extended) = ([gpu: 1], [gpu: 1])
            return node
        }
        let one = Stage.shape(cpu: 100, app: "gpu") { $0.requests.extended = [gpu: 1] }
        // The pod with the GPU has room on b2, the others would fit a small node.
        stage.snapshot(
            nodes: [big("b1"), big("b2")],
            pods: stage.pods("g", 1, one, on: "b1") + stage.pods("a", 2, Stage.shape(cpu: 1_900), on: "b1")
                + stage.pods("b", 4, Stage.shape(cpu: 1_900), on: "b2"))
        stage.group("big", ["b1", "b2"])
        stage.group("small", [])
        stage.evaluate()
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        #expect(growth.group == "small")
        started(&stage, growth)
        stage.group("small", ["s1"])
        // Another pod takes the GPU of b2 before the small node is there.
        stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)], pods: stage.pods("x", 1, one, on: "b2"))
        stage.evaluate(after: .seconds(10))
        #expect(stage.core.engine.memory.consolidation == nil)
        #expect(stage.core.engine.groups[1].memory.vain?.duration == .minutes(60))
    }

    @Test("A group that is paused, or whose stack is not well, keeps its nodes, also when that begins on the way")
    func hindered() throws {
        func hinder(_ stage: inout Stage, _ isPaused: Bool) {
            var state = Stage.group("big", ["b1", "b2"], at: stage.now)
            state.paused = isPaused
            state.problem = isPaused ? nil : Explanation(.heatUnreachable, "no answer")
            stage.group(state)
        }
        for isPaused in [true, false] {
            var stage = stage()
            hinder(&stage, isPaused)
            #expect(wait(&stage, .minutes(60)).isEmpty)
            var later = self.stage()
            _ = wait(&later, .minutes(12))
            started(&later, try #require(later.scaled.first))
            hinder(&later, isPaused)
            later.group("small", ["s1"])
            later.delta(nodes: [Stage.node("s1", createdAt: later.now)])
            #expect(wait(&later, .minutes(10)).isEmpty)
            later.group("big", ["b1", "b2"])
            #expect(!wait(&later, .minutes(1)).isEmpty)
            #expect(later.removed.flatMap(\.nodes).map(\.node) == ["b1"])
        }
    }

    @Test("Load that comes and goes replaces nothing")
    func unsteady() {
        // One small node for b1's pods is worth it, two for those and one more are not.
        var stage = stage(smallPrice: 4)
        for round in 0..<6 {
            #expect(wait(&stage, .minutes(8)).isEmpty)
            // A pod takes b1's room for a while.
            stage.delta(pods: stage.pods("x\(round)", 1, Stage.shape(cpu: 3_500, app: "x"), on: "b1"))
            #expect(wait(&stage, .minutes(1)).isEmpty)
            stage.delta(removedPods: ["x\(round)-0"])
        }
    }

    @Test("When the new node does not come the old ones stay, and there is a pause before the next attempt")
    func fails() throws {
        var stage = stage()
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        let progress = ScaleProgress(
            id: growth.id, group: "small", from: 0, to: 1, reason: Explanation(.quotaReached, "no more"), at: stage.now)
        stage.receive(.scaleFailed(ScaleFailed(cluster: "test", scale: progress)))
        #expect(wait(&stage, .minutes(29)).isEmpty)
        // Possible again: it has to be so for the unneeded time before it is tried again.
        let again = wait(&stage, .minutes(20))
        #expect(again.count == 1 && stage.scaled.first?.group == "small")
    }

    @Test("The new node stays although it is empty, while the removal of the old one has failed and is tried again")
    func newNodeStays() throws {
        var stage = stage { configuration in
            configuration.scaleDown.unneededTime = .seconds(30)
            configuration.scaleDown.delayAfterAdd = .zero
            // One large node stays, so that one small one is enough, which may go as far as the minimum tells.
            configuration.scaleDown.smallestGroup = 0
            configuration.groups[0].min = 1
        }
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        started(&stage, growth)
        stage.group("small", ["s1"])
        stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)])
        _ = wait(&stage, .minutes(1))
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.map(\.node) == ["b1"])
        let progress = RemovalProgress(
            id: removal.id, group: "big", node: "b1", nodeUID: "uid-b1", serverID: "server-b1",
            reason: Explanation(.drainTimedOut, "pods would not go"), at: stage.now)
        stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
        // It failed over the pods of the node: these are not asked again for a quarter of an hour.
        #expect(wait(&stage, .minutes(14)).isEmpty)
        _ = wait(&stage, .minutes(3))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b1"])
    }

    @Test("Nothing is bought for nodes whose removal has just failed over their pods, before these may be asked again")
    func unwilling() throws {
        var stage = stage()
        var memory = stage.core.engine.memory
        for group in stage.core.engine.groups { memory.groups[group.rules.id] = group.memory }
        memory.unwilling = ["b1": stage.now, "b2": stage.now]
        try stage.core.restore(Array(try JSONEncoder().encode(memory)))
        // A quarter of an hour, and then it has to be possible for the unneeded time.
        #expect(wait(&stage, .minutes(24)).isEmpty)
        _ = wait(&stage, .minutes(3))
        #expect(stage.sizes == ["small": 1])
    }

    @Test(
        "An alarm that keeps nodes fires after the purchase: the old node goes when it is over; after an hour it was in vain"
    )
    func heldByAlarm() throws {
        for isOver in [true, false] {
            var stage = stage { configuration in
                configuration.rules = [
                    ScalingRule("calm", group: "big", .hold, when: .alarm(ScalingRule.Alarm("a1")))
                ]
            }
            _ = wait(&stage, .minutes(12))
            started(&stage, try #require(stage.scaled.first))
            stage.receive(RuleTests.alarm(stage, "alarm"))
            stage.evaluate(after: .seconds(10))
            #expect(stage.core.engine.removalHolds.count == 1)
            stage.group("small", ["s1"])
            stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)])
            #expect(wait(&stage, .minutes(50)).isEmpty)
            #expect(stage.core.engine.memory.consolidation != nil, "it is waited for")
            if isOver {
                stage.receive(RuleTests.alarm(stage, "ok"))
                _ = wait(&stage, .minutes(1))
                #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b1"])
                #expect(stage.core.engine.groups[1].memory.vain == nil)
            } else {
                #expect(wait(&stage, .minutes(11)).isEmpty)
                #expect(stage.core.engine.memory.consolidation == nil)
                #expect(stage.core.engine.groups[1].memory.vain?.duration == .minutes(60))
            }
        }
        // One that fires before keeps anything from being bought.
        var before = stage { configuration in
            configuration.rules = [ScalingRule("calm", group: "big", .hold, when: .alarm(ScalingRule.Alarm("a1")))]
        }
        before.receive(RuleTests.alarm(before, "alarm"))
        #expect(wait(&before, .minutes(30)).isEmpty)
    }

    @Test("Pods that wait for room end a replacement; the new node serves them")
    func overtaken() throws {
        var stage = stage()
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        started(&stage, growth)
        stage.group("small", ["s1"])
        stage.delta(pods: stage.pods("new", 3, Stage.shape(cpu: 4_000, app: "new", owner: "new")))
        _ = wait(&stage, .minutes(1))
        #expect(stage.removed.isEmpty)
        stage.delta(nodes: [Stage.node("s1", createdAt: stage.now)])
        #expect(wait(&stage, .minutes(5)).allSatisfy { if case .removalDecided = $0 { false } else { true } })
    }

    @Test("Several nodes go at once for fewer, and without any new one where the others have room")
    func several() throws {
        // Three nodes of four cores with two in use each, and a ninth of the room elsewhere: one of eight takes all.
        var rules = [GroupRules(id: "few", min: 0, max: 9), GroupRules(id: "many", min: 0, max: 9)]
        rules[0].template = GroupRules.Template(allocatable: Stage.resources(cpu: 8_000, memory: 32))
        var stage = Stage(groups: rules) { configuration in
            configuration.scaleDown.consolidates = true
            configuration.scaleDown.smallestGroup = 0
            configuration.scaleDown.utilizationThreshold = 0.1
        }
        let nodes = ["m1", "m2", "m3"]
        var pods: [Pod] = []
        for node in nodes { pods += stage.pods(node, 1, Stage.shape(cpu: 2_600), on: node) }
        stage.snapshot(nodes: nodes.map { Stage.node($0) }, pods: pods)
        stage.group("few", [])
        stage.group("many", nodes)
        stage.evaluate()
        _ = wait(&stage, .minutes(12))
        let growth = try #require(stage.scaled.first)
        #expect(growth.group == "few" && growth.to == 1)
        #expect(growth.reason.detail == "1 for m1, m2, m3: saves 33% of the cores of 3 nodes")
        started(&stage, growth)
        stage.group("few", ["f1"])
        stage.delta(nodes: [Stage.node("f1", cpu: 8_000, memory: 32, createdAt: stage.now)])
        _ = wait(&stage, .minutes(1))
        #expect(Set(stage.removed.flatMap(\.nodes).map(\.node)) == Set(nodes))
        // A node above the threshold whose pods fit on one that is there: nothing has to come.
        var room = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.consolidates = true }
        room.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2", cpu: 8_000)],
            pods: room.pods("a", 2, Stage.shape(cpu: 1_200), on: "n1")
                + room.pods("b", 4, Stage.shape(cpu: 1_300), on: "n2"))
        room.group("w", ["n1", "n2"])
        room.evaluate()
        _ = wait(&room, .minutes(12))
        #expect(room.scaled.isEmpty)
        #expect(room.removed.flatMap(\.nodes).map(\.node) == ["n1"])
    }

    @Test("Nodes whose pods fit elsewhere node by node, but not placed anew together, do not go together")
    func together() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { configuration in
            configuration.scaleDown.consolidates = true
        }
        // Twelve cores are free on each of two that stay. 6, 3, 3 and 4, 4, 4 fill them; the largest first leave one of
        // 3.
        let kept = ["a", "b"].map { name in
            var node = Stage.node(name, cpu: 16_000)
            node.annotations["updraft.io/do-not-disrupt"] = "true"
            return node
        }
        func pods(_ name: String, _ cpus: [Int64], on node: String) -> [Pod] {
            cpus.enumerated().flatMap { number, cpu in
                stage.pods("\(name)-\(number)", 1, Stage.shape(cpu: cpu * 1_000, app: name), on: node)
            }
        }
        stage.snapshot(
            nodes: kept + ["c", "d"].map { Stage.node($0, cpu: 14_000) },
            pods: pods("on-a", [4], on: "a") + pods("on-b", [4], on: "b") + pods("c", [6, 3, 3], on: "c")
                + pods("d", [4, 4, 4], on: "d"))
        stage.group("w", ["a", "b", "c", "d"])
        stage.evaluate()
        _ = wait(&stage, .minutes(12))
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.map(\.node) == ["c"])
        // Its pods come back and need no new node.
        var leaving = Stage.node("c", cpu: 14_000, taints: [Taint(key: "updraft.io/removing", effect: .noSchedule)])
        leaving.annotations["updraft.io/removal"] = "{}"
        let pending = [6, 3, 3].enumerated().flatMap { number, cpu in
            stage.pods("c-\(number)", 1, Stage.shape(cpu: Int64(cpu) * 1_000, app: "c"))
        }
        stage.delta(nodes: [leaving], pods: pending)
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
    }
}
