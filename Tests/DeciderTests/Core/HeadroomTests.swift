import Messages
import Support
import Testing

@testable import Decider

@Suite("Spare capacity")
struct HeadroomTests {
    private func rule(_ count: Int, cpu: Int64, _ change: (inout HeadroomRule) -> Void = { _ in }) -> HeadroomRule {
        var rule = HeadroomRule(id: "spare", amount: .pods(count: count, requests: ResourceList(cpuMillis: cpu)))
        change(&rule)
        return rule
    }

    @Test("Room for so many pods of a shape is kept: nodes are added until it is there, and pods use it up")
    func shapes() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.headroom = [self.rule(3, cpu: 2_000)] }
        stage.snapshot(nodes: [Stage.node("n1")], pods: stage.pods("web", 1, Stage.shape(cpu: 3_000), on: "n1"))
        stage.group("w", ["n1"])
        stage.evaluate()
        #expect(stage.sizes == ["w": 3])
        #expect(
            stage.scaled.first?.reason
                == Explanation(.headroom, "3 shares of the spare capacity fit no node that is there or coming"))
        #expect(stage.scaled.first?.podCount == 0)
        stage.delta(nodes: [Stage.node("n2"), Stage.node("n3")])
        stage.group("w", ["n1", "n2", "n3"])
        stage.evaluate(after: .seconds(1))
        #expect(stage.scaled.isEmpty)
        // A pod takes part of it: no wait for the pod, and the headroom is filled up behind it.
        stage.delta(pods: stage.pods("new", 1, Stage.shape(cpu: 3_500, app: "new", owner: "new")))
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.pods.first { $0.pod.contains("new") }?.outcome.reason == .fitsExisting)
        #expect(stage.sizes == ["w": 4])
        #expect(stage.scaled.first?.reason.reason == .headroom)
        // Pods that wait are what is most pressing.
        var both = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.headroom = [self.rule(1, cpu: 2_000)] }
        both.snapshot(nodes: [], pods: both.pods("web", 2, Stage.shape(cpu: 3_000)))
        both.group(flavored("w"))
        both.evaluate()
        #expect(
            both.scaled.first?.reason
                == Explanation(
                    .podsPending, "2 pods and 1 shares of the spare capacity fit no node that is there or coming"))
    }

    private func flavored(_ id: String) -> GroupState {
        var state = Stage.group(id, [], at: Stage.start)
        state.flavor = GroupState.Flavor(name: "m", vcpus: 4, ramMiB: 8_192, diskGiB: 20)
        return state
    }

    @Test("Selector and tolerations say where the room has to be")
    func places() {
        let taint = Taint(key: "team", value: "a", effect: .noSchedule)
        var stage = Stage(groups: [GroupRules(id: "plain", min: 0, max: 9), GroupRules(id: "team", min: 0, max: 9)]) {
            $0.headroom = [
                self.rule(1, cpu: 2_000) {
                    $0.nodeSelector = ["disk": "ssd"]
                    $0.tolerations = [Toleration(key: "team", exists: true)]
                }
            ]
        }
        let labels = ["disk": "ssd"]
        stage.snapshot(
            nodes: [Stage.node("p1"), Stage.node("t1", labels: labels, taints: [taint])],
            pods: stage.pods(
                "web", 1, Stage.shape(cpu: 3_000) { $0.tolerations = [Toleration(key: "team", exists: true)] }, on: "t1"
            ))
        stage.group("plain", ["p1"])
        stage.group("team", ["t1"])
        stage.evaluate()
        #expect(stage.sizes == ["team": 2])
    }

    @Test("A node that holds the spare room is not removed; a second one that is spare beyond it goes")
    func kept() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 1, max: 9)]) { $0.headroom = [self.rule(1, cpu: 3_000)] }
        stage.snapshot(
            nodes: ["n1", "n2", "n3"].map { Stage.node($0) },
            pods: stage.pods("web", 3, Stage.shape(cpu: 1_000), on: "n1"))
        stage.group("w", ["n1", "n2", "n3"], min: 1)
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        let gone = Set(stage.removed.flatMap(\.nodes).map(\.node))
        #expect(gone.count == 1)
        let stays = ["n1", "n2", "n3"].filter { !gone.contains($0) }
        stage.delta(removedNodes: Array(gone))
        stage.group("w", stays, min: 1)
        for _ in 0..<5 {
            stage.evaluate(after: .minutes(11))
            #expect(stage.decisions.isEmpty)
        }
        let kept = stage.record?.nodes.first { $0.outcome.reason == .noPlaceToMovePods }
        #expect(kept != nil || stage.core.engine.counts.nodes == 2)
    }

    /// n1 keeps its pods; n2 has one small pod, which fits on n1. The time of n2 has come.
    private func lowLoad(_ rules: [HeadroomRule], moving: Int64) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.headroom = rules }
        stage.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2")],
            pods: stage.pods("on", 2, Stage.shape(cpu: 1_100), on: "n1")
                + stage.pods("small", 1, Stage.shape(cpu: moving, app: "small"), on: "n2"))
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        return stage
    }

    @Test(
        "A removal may not eat the headroom: neither the room on the node that goes nor that on those that take its pods"
    )
    func heldOnScaleDown() {
        // 1,800 are free on n1.
        #expect(lowLoad([], moving: 500).removed.flatMap(\.nodes).map(\.node) == ["n2"], "without headroom it goes")
        let kept: [(headroom: Int64, what: String)] = [
            (2_000, "room for it is on n2 only"), (1_500, "room for it is on n1 only as long as n2 keeps its pod"),
        ]
        for (headroom, what) in kept {
            let stage = lowLoad([rule(1, cpu: headroom)], moving: 500)
            #expect(stage.removed.isEmpty, "\(what)")
            #expect(stage.sizes.isEmpty, "\(what)")
            let said = stage.record?.nodes.first { $0.node == "n2" }?.outcome
            #expect(said?.reason == .noPlaceToMovePods, "\(what): \(String(describing: said))")
        }
        #expect(
            lowLoad([rule(1, cpu: 1_300)], moving: 500).removed.flatMap(\.nodes).map(\.node) == ["n2"],
            "both fit on n1")
    }

    @Test("Nor does a removal that somebody asks for")
    func heldOnRequest() {
        for headroom in [Int64(1_300), 1_500, 2_000] {
            var stage = Stage(groups: [GroupRules(id: "workers", min: 0, max: 9)]) {
                $0.headroom = [self.rule(1, cpu: headroom)]
            }
            stage.snapshot(
                nodes: [Stage.node("n1"), Stage.node("n2")],
                pods: stage.pods("on", 2, Stage.shape(cpu: 1_100), on: "n1")
                    + stage.pods("small", 1, Stage.shape(cpu: 500, app: "small"), on: "n2"))
            stage.group("workers", ["n1", "n2"])
            stage.evaluate()
            stage.receive(SignalTests.request(stage, .down))
            stage.evaluate(after: .seconds(1))
            let fits = headroom == 1_300
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (fits ? ["n2"] : []), "\(headroom)")
            #expect(stage.record?.signals?.first?.outcome.reason == (fits ? .signalled : .noPlaceToMovePods))
        }
    }

    @Test("Percent of what the groups' nodes offer")
    func percent() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) {
            $0.headroom = [HeadroomRule(id: "p", amount: .percent(25, requests: ResourceList(cpuMillis: 100)))]
        }
        // 8 cores, 7.5 in use; 2 have to be free.
        let pods =
            stage.pods("a", 3, Stage.shape(cpu: 1_250), on: "n1")
            + stage.pods("b", 3, Stage.shape(cpu: 1_250), on: "n2")
        stage.snapshot(nodes: [Stage.node("n1"), Stage.node("n2")], pods: pods)
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        #expect(stage.sizes == ["w": 3])
    }

    @Test(
        "Percent of cpu and memory, whatever the nodes have of the one for the other: it comes to rest, and both are kept",
        arguments: [(16, 25), (32, 40), (32, 80), (4, 60), (2, 40)] as [(Int64, Double)])
    func percentOfAnyShape(memory: Int64, percent: Double) {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 60)]) {
            let piece = ResourceList(cpuMillis: 100, memoryBytes: 256 << 20)
            $0.headroom = [HeadroomRule(id: "percent", amount: .percent(percent, requests: piece))]
        }
        var names = (1...4).map { "n\($0)" }
        func node(_ name: String) -> Node { Stage.node(name, memory: memory) }
        let pods = names.flatMap { name in
            stage.pods("on-\(name)", 1, Stage.shape(cpu: 3_800, memory: memory * 1_024 * 95 / 100), on: name)
        }
        stage.snapshot(nodes: names.map(node), pods: pods)
        stage.group("w", names, max: 60)
        for _ in 0..<30 {
            stage.evaluate(after: .seconds(20))
            guard let size = stage.sizes["w"] else { break }
            let new = (names.count + 1...size).map { "n\($0)" }
            names += new
            stage.delta(nodes: new.map(node))
            stage.group("w", names, max: 60)
        }
        #expect(stage.sizes.isEmpty, "it grows on: \(names.count)")
        // So many empty nodes that they are the percent of all.
        let (all, empty) = (Double(names.count), Double(names.count - 4))
        #expect(empty + 4 * 0.05 >= all * percent / 100 && empty - 1 <= all * percent / 100 * 1.1, "\(names.count)")
    }

    @Test("A shape may bear any name")
    func named() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 90)]) {
            $0.headroom = [
                HeadroomRule(id: "percent", amount: .pods(count: 1, requests: ResourceList(cpuMillis: 4_000))),
                HeadroomRule(id: "percent", amount: .percent(10, requests: ResourceList(cpuMillis: 100))),
            ]
        }
        let names = (1...10).map { "n\($0)" }
        stage.snapshot(
            nodes: names.map { Stage.node($0) },
            pods: names.flatMap { stage.pods("on-\($0)", 1, Stage.shape(cpu: 4_000), on: $0) })
        stage.group("w", names, max: 90)
        stage.evaluate()
        // 4 cores of the one, 4 of the other.
        #expect(stage.sizes == ["w": 12])
    }

    @Test("All or nothing asks for those who wait, not for spare room, and may take several groups")
    func allOrNothing() {
        func played(headroom: Int, second: Bool, max: Int = 9) -> [String: Int] {
            var stage = Stage(groups: [GroupRules(id: "a", min: 0, max: max), GroupRules(id: "b", min: 0, max: 9)]) {
                $0.scaleUp.allOrNothing = true
                $0.headroom = [
                    self.rule(headroom, cpu: 4_000) { $0.nodeSelector = ["disk": "none"] }
                ]
            }
            func shape(_ pool: String) -> PodShape {
                Stage.shape(cpu: 3_000, app: pool, owner: pool) { $0.nodeSelector = ["pool": pool] }
            }
            stage.snapshot(
                nodes: ["a", "b"].map { Stage.node($0, labels: ["pool": $0]) },
                pods: ["a", "b"].flatMap { (name: String) in
                    stage.pods("on-\(name)", 1, Stage.shape(cpu: 3_000), on: name)
                }
                    + stage.pods("wait-a", 1, shape("a")) + (second ? stage.pods("wait-b", 1, shape("b")) : []))
            stage.group("a", ["a"], max: max)
            stage.group("b", ["b"])
            stage.evaluate()
            return stage.sizes
        }
        #expect(played(headroom: 0, second: false) == ["a": 2])
        #expect(played(headroom: 3, second: false) == ["a": 2], "room that no group has keeps no pod waiting")
        #expect(played(headroom: 0, second: true) == ["a": 2, "b": 2])
        #expect(played(headroom: 0, second: true, max: 1) == [:], "one of them cannot be helped")
    }
}
