import Messages
import Support
import Testing

@testable import Decider

@Suite("Which nodes go")
struct VictimTests {
    /// Nodes with the pods that `fill` gives them; all of the group may go, one at a time.
    private func first(
        _ nodes: [Node], parallel: Int = 1, _ fill: (inout Stage) -> [Pod] = { _ in [] },
        configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> [String] {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 50)]) { configuration in
            configuration.scaleDown.maximumParallel = parallel
            configuration.scaleDown.maximumParallelDrain = parallel
            configure(&configuration)
        }
        let pods = fill(&stage)
        stage.snapshot(
            nodes: nodes, pods: pods,
            workloads: [Stage.webOwner, Workload(kind: "Job", namespace: "default", name: "job", replicas: 1)])
        stage.group("w", nodes.map(\.name), max: 50)
        stage.evaluate()
        stage.evaluate(after: .minutes(21))
        return stage.removed.flatMap(\.nodes).map(\.node)
    }

    private func pod(_ stage: inout Stage, _ node: String, _ change: (inout PodShape) -> Void = { _ in }) -> [Pod] {
        stage.pods("p-\(node)", 1, Stage.shape(cpu: 100, app: node, change), on: node)
    }

    @Test("An empty node before one with pods, an unready one before one that works")
    func emptyFirst() {
        let nodes = [Stage.node("a"), Stage.node("b"), Stage.node("c", readiness: .notReady)]
        #expect(first(nodes) { self.pod(&$0, "a") + self.pod(&$0, "c") } == ["b"])
        #expect(first(nodes) { self.pod(&$0, "a") + self.pod(&$0, "b") + self.pod(&$0, "c") } == ["c"])
    }

    @Test("Few pods before many, unimportant before important, young jobs before old ones, old nodes before new ones")
    func cheapestFirst() {
        let nodes = [Stage.node("a"), Stage.node("b")]
        #expect(
            first(nodes) { self.pod(&$0, "a") + $0.pods("q", 3, Stage.shape(cpu: 50), on: "a") + self.pod(&$0, "b") }
                == ["b"])
        #expect(
            first(nodes) { self.pod(&$0, "a") { $0.priority = 1_000_000 } + self.pod(&$0, "b") { $0.priority = 0 } }
                == ["b"])
        let job: (inout PodShape) -> Void = { $0.owner = PodShape.Owner(kind: "Job", name: "job") }
        #expect(
            first(nodes) { stage in
                let shape = Stage.shape(cpu: 100, job)
                return stage.pods("old", 1, shape, on: "a", age: .minutes(600))
                    + stage.pods("new", 1, shape, on: "b", age: .minutes(5))
            } == ["b"])
        let aged = [
            Stage.node("a", createdAt: Stage.start - .minutes(60)),
            Stage.node("b", createdAt: Stage.start - .minutes(900)),
        ]
        #expect(first(aged) == ["b"])
    }

    @Test("Of nodes that are as cheap, one of the fullest zone goes, so that zones stay level")
    func zones() {
        let nodes = (0..<8).map { Stage.node("n\($0)", zone: $0 < 6 ? "full" : "small") }
        #expect(first(nodes, parallel: 4) == ["n0", "n1", "n2", "n3"])
        // Without the rule the oldest and then the first by name; here they are those of the small zone.
        let turned = (0..<8).map { Stage.node("n\($0)", zone: $0 < 2 ? "small" : "full") }
        #expect(first(turned, parallel: 4) == ["n2", "n3", "n4", "n5"])
        #expect(
            first(turned, parallel: 4, configure: { $0.scaleDown.balancesZones = false }) == ["n0", "n1", "n2", "n3"])
    }

    @Test("do-not-disrupt on a pod and on a node holds until its time, then the node goes")
    func doNotDisrupt() {
        let until = Stage.start + .minutes(30)
        for onNode in [false, true] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            var node = Stage.node("a")
            if onNode { node.annotations["updraft.io/do-not-disrupt"] = until.rfc3339 }
            let shape = Stage.shape(cpu: 100) { shape in
                if !onNode { shape.annotations["updraft.io/do-not-disrupt"] = until.rfc3339 }
            }
            // The other nodes are too full to be candidates.
            let pods = stage.pods("p", 1, shape, on: "a") + stage.pods("b", 3, Stage.shape(cpu: 1_000), on: "b")
            stage.snapshot(nodes: [node, Stage.node("b")], pods: pods)
            stage.group("w", ["a", "b"])
            stage.evaluate()
            let said = stage.record?.nodes.first { $0.node == "a" }?.outcome
            #expect(said?.reason == (onNode ? .doNotDisrupt : .blockedByPod))
            #expect(said?.detail.contains("until \(until)") == true)
            stage.evaluate(after: .minutes(29))
            #expect(stage.removed.isEmpty)
            stage.evaluate(after: .minutes(2))
            #expect(stage.removed.isEmpty)
            // It is unneeded from then on.
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a"])
        }
    }

    @Test("Measured load keeps a node while the measurement is fresh, when that is asked for")
    func measured() {
        for isOn in [false, true] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.usesMeasuredLoad = isOn }
            stage.snapshot(
                nodes: [Stage.node("a"), Stage.node("b")], pods: stage.pods("b", 3, Stage.shape(cpu: 1_000), on: "b"))
            stage.group("w", ["a", "b"])
            func measure(_ load: Double) {
                stage.receive(
                    .nodeStats(
                        NodeStats(
                            cluster: "test",
                            samples: [
                                NodeStats.Sample(node: "a", at: stage.now, cpuUtilization: 0.1, memoryUtilization: load)
                            ])))
            }
            measure(0.8)
            stage.evaluate()
            let said = stage.record?.nodes.first { $0.node == "a" }?.outcome
            #expect(said?.reason == (isOn ? .notUnderutilized : .notUnneededLongEnough))
            if isOn { #expect(said?.detail == "80% in use, threshold 50%") }
            // Silence: the requests alone count again.
            stage.evaluate(after: .minutes(3))
            #expect(stage.record?.nodes.first { $0.node == "a" }?.outcome.reason != .notUnderutilized)
        }
    }

    @Test("A group's own threshold and times go before the general ones")
    func overrides() {
        var rules = [GroupRules(id: "quick", min: 0, max: 9), GroupRules(id: "slow", min: 0, max: 9)]
        rules[0].unneededTime = .minutes(1)
        rules[0].utilizationThreshold = 0.8
        rules[1].unreadyTime = .minutes(2)
        var stage = Stage(groups: rules)
        let nodes = [
            Stage.node("q1"), Stage.node("q2"), Stage.node("s1"), Stage.node("s2", readiness: .notReady),
        ]
        let pods =
            stage.pods("q", 7, Stage.shape(cpu: 400), on: "q1") + stage.pods("s", 9, Stage.shape(cpu: 400), on: "s1")
        stage.snapshot(nodes: nodes, pods: pods)
        stage.group("quick", ["q1", "q2"])
        stage.group("slow", ["s1", "s2"])
        stage.evaluate()
        stage.evaluate(after: .seconds(61))
        // 70 % is below the group's 80: both of quick are candidates; the empty one goes.
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["q2"])
        stage.evaluate(after: .seconds(62))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["s2"])
    }

    @Test("In a full group a dead node goes although pods wait for room: it is in their way. One that works stays")
    func fullOfDeadNodes() {
        for isDead in [true, false] {
            var rules = GroupRules(id: "workers", min: 1, max: 3)
            rules.unneededTime = .minutes(1)
            rules.unreadyTime = .minutes(1)
            var stage = Stage(groups: [rules])
            let nodes = [
                Stage.node("a"), Stage.node("b"), Stage.node("c", readiness: isDead ? .notReady : .ready),
            ]
            let pods =
                stage.pods("p", 9, Stage.shape(cpu: 400), on: "a") + stage.pods("q", 9, Stage.shape(cpu: 400), on: "b")
                + stage.pods("wait", 3, Stage.shape(cpu: 3_000))
            stage.snapshot(nodes: nodes, pods: pods)
            stage.group("workers", ["a", "b", "c"], min: 1, max: 3)
            stage.evaluate()
            stage.evaluate(after: .seconds(62))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (isDead ? ["c"] : []))
        }
    }
}
