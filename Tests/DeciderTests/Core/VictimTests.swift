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

    @Test("An empty node is emptied first also in the simulation: no pods are moved onto one that could go itself")
    func emptyGoesItself() {
        // The pod of the unready node fits only on the empty one: moving it there would keep a node that nobody needs.
        let nodes = [Stage.node("a", readiness: .notReady), Stage.node("b"), Stage.node("c")]
        let chosen = first(nodes, parallel: 5) {
            self.pod(&$0, "a") { $0.requests.cpuMillis = 1_500 } + $0.pods("c", 3, Stage.shape(cpu: 1_000), on: "c")
        }
        #expect(chosen == ["b"])
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

    @Test("So it is with nodes that have pods: those of the fullest zone are emptied onto the others")
    func zonesWithPods() {
        // Room for the pods of some; the first by name are those of the small zone.
        let nodes = (0..<6).map { Stage.node("n\($0)", zone: $0 < 2 ? "small" : "full") }
        func chosen(_ balances: Bool) -> Int {
            let gone = first(nodes, parallel: 6) { stage in
                nodes.flatMap { stage.pods("p-\($0.name)", 1, Stage.shape(cpu: 1_900, app: $0.name), on: $0.name) }
            } configure: {
                $0.scaleDown.balancesZones = balances
            }
            #expect(gone.count == 3, "\(gone)")
            return gone.count { $0 == "n0" || $0 == "n1" }
        }
        #expect(chosen(true) == 1)
        #expect(chosen(false) == 2)
    }

    @Test("The same pods cost the same in whatever order they came: the fuller zone goes first")
    func zonesWithPriorities() {
        let nodes = (0..<4).map { Stage.node("n\($0)", zone: $0 < 1 ? "small" : "full") }
        // Added up as fractions these two orders differ in the last bit.
        let orders: [[Int32]] = [[1_000, 2_000, 0], [2_000, 0, 1_000]]
        for (small, full) in [(orders[0], orders[1]), (orders[1], orders[0])] {
            let gone = first(nodes) { stage in
                var pods: [Pod] = []
                for node in nodes {
                    for priority in node.name == "n0" ? small : full {
                        let shape = Stage.shape(cpu: 100) { $0.priority = priority }
                        pods += stage.pods("p\(priority)-\(node.name)", 1, shape, on: node.name)
                    }
                }
                return pods
            }
            #expect(gone == ["n1"], "\(small), \(full)")
        }
    }

    @Test("Jobs that began at about the same time cost the same: the fuller zone first, and in it the youngest Job")
    func zonesWithJobs() {
        let nodes = (0..<4).map { Stage.node("n\($0)", zone: $0 < 1 ? "small" : "full") }
        func gone(_ ages: [Double]) -> [String] {
            first(nodes) { stage in
                let shape = Stage.shape(cpu: 100) { $0.owner = PodShape.Owner(kind: "Job", name: "job") }
                return zip(nodes, ages).flatMap { node, age in
                    stage.pods("p-\(node.name)", 1, shape, on: node.name, age: .seconds(age))
                }
            }
        }
        // 21 minutes later they are 22 to 23 minutes old.
        #expect(gone([60, 90, 61, 120]) == ["n2"])
        #expect(gone([60, 7_260, 7_261, 7_262]) == ["n0"], "those of the fuller zone cost two hours more")
    }

    @Test("A fuller zone is no reason to move dearer pods, nor to lose a node that works instead of one that does not")
    func zonesAfterCost() {
        // One pod in the small zone, two on each node of the full one; one node may be emptied.
        let nodes = (0..<4).map { Stage.node("n\($0)", zone: $0 < 1 ? "small" : "full") }
        let gone = first(nodes) { stage in
            nodes.flatMap { node in
                stage.pods(
                    "p-\(node.name)", node.name == "n0" ? 1 : 2, Stage.shape(cpu: 500, app: node.name), on: node.name)
            }
        }
        #expect(gone == ["n0"])

        // At the minimum only a dead one goes, and Heat replaces it.
        var stage = Stage(groups: [GroupRules(id: "w", min: 3, max: 9)]) {
            $0.scaleDown.maximumParallel = 1
        }
        let names = ["a1", "b1", "b2", "b3"]
        stage.snapshot(
            nodes: names.map { name in
                Stage.node(name, zone: String(name.prefix(1)), readiness: name == "a1" ? .notReady : .ready)
            })
        stage.group("w", names, min: 3, max: 9)
        stage.evaluate()
        stage.evaluate(after: .minutes(31))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a1"])
    }

    @Test("Where each zone has a group of its own, groups that are alike are kept level together")
    func zonesOfGroups() {
        func left(_ alike: Bool, _ balances: Bool = true) -> [String: Int] {
            var stage = Stage(groups: ["a", "b"].map { GroupRules(id: $0, min: 0, max: 50) }) {
                $0.scaleDown.maximumParallel = 4
                $0.scaleDown.balancesZones = balances
            }
            let names = ["a": (0..<3).map { "a\($0)" }, "b": (0..<6).map { "b\($0)" }]
            stage.snapshot(
                nodes: (names["a"] ?? []).map { Stage.node($0, zone: "a") }
                    + (names["b"] ?? []).map { Stage.node($0, cpu: alike ? 4_000 : 6_000, zone: "b") })
            for (id, nodes) in names.sorted(by: { $0.key < $1.key }) { stage.group(id, nodes, max: 50) }
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            return names.mapValues { $0.count }.merging(
                Dictionary(stage.removed.map { ($0.group, $0.nodes.count) }, uniquingKeysWith: +)
            ) { $0 - $1 }
        }
        #expect(left(true) == ["a": 2, "b": 3])
        #expect(left(true, false) == ["a": 1, "b": 4])
        // Groups that are not alike serve other pods.
        #expect(left(false) == ["a": 1, "b": 4])
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

    @Test("The unneeded time runs while a pod runs to its end; the node goes as soon as it has")
    func onCompletion() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let shape = Stage.shape(cpu: 100, app: "once") {
            $0.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "on-completion"
        }
        let pods = stage.pods("once", 1, shape, on: "a") + stage.pods("b", 3, Stage.shape(cpu: 1_000), on: "b")
        stage.snapshot(nodes: [Stage.node("a"), Stage.node("b")], pods: pods)
        stage.group("w", ["a", "b"])
        stage.evaluate()
        stage.evaluate(after: .minutes(30))
        #expect(stage.removed.isEmpty)
        let said = stage.record?.nodes.first { $0.node == "a" }?.outcome
        #expect(said == Explanation(.waitingForCompletion, "default/once-0"))
        stage.delta(removedPods: ["once-0"])
        stage.evaluate(after: .seconds(2))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a"])
    }

    @Test("Nor does the node go on request before its pod has run to its end")
    func onCompletionHolds() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let shape = Stage.shape(cpu: 100, app: "once") {
            $0.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "on-completion"
        }
        stage.snapshot(
            nodes: [Stage.node("a"), Stage.node("b")],
            pods: stage.pods("one", 1, shape, on: "a") + stage.pods("two", 1, shape, on: "b"))
        stage.group("w", ["a", "b"])
        stage.evaluate()
        stage.receive(
            .scaleRequested(
                ScaleRequested(
                    cluster: "test", id: "s1", group: "w", direction: .down, step: 1, who: "alarm cpu (a1)",
                    why: "1 sample outside", at: stage.now, deadline: stage.now + .seconds(120))))
        stage.evaluate(after: .seconds(2))
        #expect(stage.removed.isEmpty)
    }

    @Test("A node that waits for a pod to run to its end keeps no other from going, by itself or on request")
    func onCompletionHoldsNoOther() {
        for isAsked in [false, true] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let shape = Stage.shape(cpu: 100, app: "once") {
                $0.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "on-completion"
            }
            // Either fits on the other; "a" would be the first to go.
            stage.snapshot(
                nodes: [Stage.node("a"), Stage.node("b")],
                pods: stage.pods("once", 1, shape, on: "a") + stage.pods("web", 2, Stage.shape(cpu: 300), on: "b"))
            stage.group("w", ["a", "b"])
            stage.evaluate()
            if isAsked {
                stage.receive(
                    .scaleRequested(
                        ScaleRequested(
                            cluster: "test", id: "s1", group: "w", direction: .down, step: 1, who: "alarm cpu (a1)",
                            why: "1 sample outside", at: stage.now, deadline: stage.now + .seconds(120))))
                stage.evaluate(after: .seconds(2))
            } else {
                stage.evaluate(after: .minutes(11))
            }
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b"], "asked: \(isAsked)")
        }
    }

    @Test("A node whose pods find no place as a scheduler would place them keeps none behind it from going")
    func heldAlone() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.utilizationThreshold = 0.7 }
        let gigabyte: Int64 = 1_024
        let blocked = Stage.shape(cpu: 1_800, memory: 4 * gigabyte, app: "a") {
            $0.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"
        }
        // The simulator fills what stays: the one with much cpu on "s", the one with much memory on "a". By name the first
        // goes to "a", and the second nowhere.
        stage.snapshot(
            nodes: [
                Stage.node("a", memory: 16), Stage.node("s", memory: 16), Stage.node("v", cpu: 8_000, memory: 32),
                Stage.node("w", taints: [Taint(key: "own", effect: .noSchedule)]),
            ],
            pods: stage.pods("a", 1, blocked, on: "a")
                + stage.pods("s", 1, Stage.shape(cpu: 1_800, memory: 12 * gigabyte, app: "s"), on: "s")
                + stage.pods("v1", 1, Stage.shape(cpu: 2_100, memory: 4 * gigabyte, app: "v1"), on: "v")
                + stage.pods("v2", 1, Stage.shape(cpu: 200, memory: 8 * gigabyte, app: "v2"), on: "v")
                + stage.pods("w", 3, Stage.shape(cpu: 10, app: "w"), on: "w"))
        stage.group("w", ["a", "s", "v", "w"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["w"])
    }

    @Test("A pod that wants to be near another follows it, although it is larger and looked at first")
    func affinityFollows() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let near = PodAffinityTerm(
            selector: LabelSelector([Requirement("app", .in, ["db"])]), topologyKey: "kubernetes.io/hostname")
        let pods =
            stage.pods("web", 1, Stage.shape(cpu: 500) { $0.podAffinity = [near] }, on: "a")
            + stage.pods("db", 1, Stage.shape(cpu: 100, app: "db"), on: "a")
            + stage.pods("b", 3, Stage.shape(cpu: 1_000, app: "other"), on: "b")
        stage.snapshot(nodes: [Stage.node("a"), Stage.node("b")], pods: pods)
        stage.group("w", ["a", "b"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["a"])
    }

    @Test("A PodDisruptionBudget that was changed and is not worked out yet allows nothing, whatever its status says")
    func staleBudget() {
        for isCurrent in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let budget = Budget(
                namespace: "default", name: "web", selector: LabelSelector([Requirement("app", .in, ["web"])]),
                disruptionsAllowed: 5, isCurrent: isCurrent)
            stage.snapshot(
                nodes: [Stage.node("a"), Stage.node("b")],
                pods: stage.pods("p", 1, Stage.shape(cpu: 100), on: "a")
                    + stage.pods("b", 3, Stage.shape(cpu: 1_000), on: "b"), budgets: [budget])
            stage.group("w", ["a", "b"])
            stage.evaluate()
            let said = stage.record?.nodes.first { $0.node == "a" }?.outcome
            #expect(said?.reason == (isCurrent ? .notUnneededLongEnough : .blockedByPod))
            if !isCurrent {
                #expect(
                    said?.detail
                        == "default/p-0: NotEnoughPdb, PodDisruptionBudget default/web was changed and is not worked out yet"
                )
            }
        }
    }

    @Test(
        "A pod that waits keeps no node that others can do without: neither where no group can take it, nor in a full group"
    )
    func waitingPods() {
        // It wants a label that no node has.
        var hopeless = Stage(groups: [GroupRules(id: "w", min: 0, max: 2)])
        hopeless.snapshot(
            nodes: [Stage.node("a"), Stage.node("b")],
            pods: hopeless.pods("on", 3, Stage.shape(cpu: 1_000), on: "a")
                + hopeless.pods("wait", 1, Stage.shape(cpu: 100, app: "wait") { $0.nodeSelector = ["no": "where"] }))
        hopeless.group("w", ["a", "b"], max: 2)
        hopeless.evaluate()
        hopeless.evaluate(after: .minutes(11))
        #expect(hopeless.removed.flatMap(\.nodes).map(\.node) == ["b"])
        // It keeps away from pods of which one is on each node, and the group is full: a node less, and there is room for one.
        var full = Stage(groups: [GroupRules(id: "w", min: 0, max: 2)])
        let alone = Stage.shape(cpu: 500, app: "alone") { shape in
            shape.podAntiAffinity = [
                PodAffinityTerm(
                    selector: LabelSelector([Requirement("app", .in, ["y"])]), topologyKey: "kubernetes.io/hostname")
            ]
        }
        let small = Stage.shape(cpu: 100, app: "y")
        full.snapshot(
            nodes: [Stage.node("a"), Stage.node("b")],
            pods: full.pods("on", 3, Stage.shape(cpu: 1_000), on: "a") + full.pods("ya", 1, small, on: "a")
                + full.pods("yb", 1, small, on: "b") + full.pods("wait", 1, alone))
        full.group("w", ["a", "b"], max: 2)
        full.evaluate()
        full.evaluate(after: .minutes(11))
        #expect(full.removed.flatMap(\.nodes).map(\.node) == ["b"])
        full.delta(removedNodes: ["b"], pods: full.pods("yb", 1, small, on: "a"))
        full.group("w", ["a"], max: 2)
        full.evaluate(after: .seconds(1))
        #expect(full.sizes == ["w": 2])
    }

    @Test("A DaemonSet's pod that waits for a node does not keep it; another pod that fits there does")
    func waitingDaemon() {
        for kind in ["DaemonSet", "ReplicaSet"] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let held = Stage.shape(cpu: 1_000, app: "held") { shape in
                shape.owner = PodShape.Owner(kind: kind, name: "held")
                shape.nodeAffinity = [NodeSelectorTerm(fields: [Requirement("metadata.name", .in, ["b"])])]
            }
            stage.snapshot(
                nodes: [Stage.node("a"), Stage.node("b")],
                pods: stage.pods("on", 1, Stage.shape(cpu: 4_000), on: "a") + stage.pods("held", 1, held))
            stage.group("w", ["a", "b"])
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (kind == "DaemonSet" ? ["b"] : []), "\(kind)")
        }
    }

    @Test("While a limit for the moment holds new nodes back, none goes that the pods would ask for anew")
    func waitingForTheMinute() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) {
            $0.scaleUp.maximumNodesPerMinute = 1
            $0.scaleDown.unneededTime = .seconds(20)
            $0.scaleDown.delayAfterAdd = .zero
        }
        let large = Stage.shape(cpu: 4_000, app: "large")
        // The idle node is too small for them.
        stage.snapshot(
            nodes: [Stage.node("a"), Stage.node("b", cpu: 1_000)],
            pods: stage.pods("on", 1, large, on: "a") + stage.pods("wait", 2, large))
        stage.group("w", ["a", "b"])
        stage.evaluate()
        #expect(stage.sizes == ["w": 3])
        stage.group("w", ["a", "b", "c"])
        stage.evaluate(after: .seconds(30))
        #expect(stage.decisions.isEmpty)
        let said = stage.record?.nodes.first { $0.node == "b" }?.outcome
        #expect(said == Explanation(.scaleDownInCooldown, "pods wait for room"))
    }

    @Test("Of nodes that are as cheap to empty, one goes whose pods would rather be elsewhere")
    func softTies() {
        let nodes = [
            Stage.node("a"), Stage.node("b", labels: ["disk": "ssd"]), Stage.node("c", labels: ["disk": "ssd"]),
        ]
        let term = WeightedNodeTerm(
            weight: 10, term: NodeSelectorTerm(expressions: [Requirement("disk", .in, ["ssd"])]))
        let taint = Taint(key: "old", effect: .preferNoSchedule)
        for isOn in [true, false] {
            #expect(
                first(nodes.reversed()) { stage in
                    ["a", "b", "c"].flatMap { self.pod(&stage, $0) { $0.preferredNodeAffinity = [term] } }
                } configure: {
                    $0.scaleUp.softTieBreaks = isOn
                } == ["a"])
            let turned = [Stage.node("a", labels: ["disk": "ssd"]), Stage.node("b"), Stage.node("c", taints: [taint])]
            #expect(
                first(turned) { stage in
                    ["a", "b", "c"].flatMap { self.pod(&stage, $0) { $0.preferredNodeAffinity = [term] } }
                } configure: {
                    $0.scaleUp.softTieBreaks = isOn
                } == [isOn ? "c" : "a"])
        }
    }

    @Test("Of equal ones that of another flavor than the group has now goes first, though it is younger")
    func oldFlavor() {
        func gone(_ label: String?, pods: Bool) -> [String] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.maximumParallel = 1 }
            func node(_ name: String, _ flavor: String?, age: Double) -> Node {
                var labels: [String: String] = [:]
                if let flavor { labels["node.kubernetes.io/instance-type"] = flavor }
                return Stage.node(name, labels: labels, createdAt: Stage.start - .minutes(age))
            }
            let nodes = [node("a", "m2.large", age: 900), node("b", label, age: 60), node("c", "m2.large", age: 30)]
            let running = pods ? nodes.flatMap { self.pod(&stage, $0.name) } : []
            stage.snapshot(nodes: nodes, pods: running)
            var state = Stage.group("w", nodes.map(\.name), at: stage.now)
            state.flavor = GroupState.Flavor(name: "m2.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40)
            stage.group(state)
            stage.evaluate()
            stage.evaluate(after: .minutes(21))
            return stage.removed.flatMap(\.nodes).map(\.node)
        }
        for pods in [true, false] {
            #expect(gone("m1.large", pods: pods) == ["b"])
            #expect(gone("m2.large", pods: pods) == ["a"])
            #expect(gone(nil, pods: pods) == ["a"])
        }
    }

    @Test("Also for the sake of other pods: those that they would like near them, or not")
    func softTiesWithPods() {
        let zone = "topology.kubernetes.io/zone"
        let nodes = [Stage.node("a", zone: "x"), Stage.node("b", zone: "y"), Stage.node("c", zone: "x")]
        let turned = [Stage.node("a", zone: "x"), Stage.node("b", zone: "y"), Stage.node("c", zone: "y")]
        func term(_ key: String, _ value: String) -> PodAffinityTerm {
            PodAffinityTerm(
                selector: LabelSelector([Requirement(key, .in, [value])]), topologyKey: zone, weight: 100)
        }
        /// The pod on `c`, which fills it, is what the others have their rules about.
        func gone(_ nodes: [Node], isOn: Bool = true, _ change: @escaping (inout PodShape) -> Void) -> [String] {
            first(nodes) { stage in
                self.pod(&stage, "a", change) + self.pod(&stage, "b", change)
                    + stage.pods("db", 1, Stage.shape(cpu: 4_000, app: "db"), on: "c")
            } configure: {
                $0.scaleUp.softTieBreaks = isOn
                $0.scaleDown.balancesZones = false
            }
        }
        for isOn in [true, false] {
            let expected = [isOn ? "b" : "a"]
            #expect(gone(nodes, isOn: isOn) { $0.podAffinity = [term("app", "db")] } == expected)
            #expect(gone(turned, isOn: isOn) { $0.podAntiAffinity = [term("app", "db")] } == expected)
            #expect(
                gone(turned, isOn: isOn) {
                    $0.topologySpread = [
                        TopologySpreadConstraint(
                            maxSkew: 1, topologyKey: zone, isHard: false,
                            selector: LabelSelector([Requirement("app", .in, ["db"])]))
                    ]
                } == expected)
        }
        // One that keeps away from pods like itself is no reason for itself to leave.
        #expect(gone(nodes) { $0.podAntiAffinity = [term("app", "b")] } == ["a"])
    }

    @Test("A node that would have gone but for its zone says so when it has to wait")
    func passedOver() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.maximumParallel = 1 }
        let nodes = [Stage.node("a", zone: "small"), Stage.node("b", zone: "full"), Stage.node("c", zone: "full")]
        stage.snapshot(nodes: nodes)
        stage.group("w", ["a", "b", "c"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b"])
        let said = stage.record?.nodes.first { $0.node == "a" }?.outcome
        #expect(said?.reason == .zoneBalance)
        #expect(
            said?.detail
                == "zone small with 1 nodes of the group; one of full with 2 nodes of the group went first; then: "
                + "DeletionBudgetReached 1 under removal, at most 1 (decider.scale_down.max_parallel)")
    }

    @Test("No node goes for a while after a scale-up, a removal and a failed removal; for the cluster, or by group")
    func delays() throws {
        for isLocal in [false, true] {
            var stage = Stage(groups: ["x", "y"].map { GroupRules(id: $0, min: 0, max: 9) }) {
                $0.scaleDown.unneededTime = .minutes(1)
                $0.scaleDown.delayAfterAdd = .minutes(10)
                $0.scaleDown.delayAfterFailure = .minutes(5)
                $0.scaleDown.delaysPerGroup = isLocal
                $0.scaleDown.smallestGroup = 0
            }
            let taint = Taint(key: "only", value: "x", effect: .noSchedule)
            let shape = Stage.shape(cpu: 3_000) { $0.tolerations = [Toleration(key: "only", exists: true)] }
            stage.snapshot(
                nodes: [Stage.node("x1", taints: [taint]), Stage.node("y1", cpu: 1_000)],
                pods: stage.pods("on", 1, shape, on: "x1") + stage.pods("wait", 1, shape))
            stage.group("x", ["x1"])
            stage.group("y", ["y1"])
            stage.evaluate()
            #expect(stage.sizes == ["x": 2])
            stage.delta(nodes: [Stage.node("x2", taints: [taint])], pods: stage.pods("wait", 1, shape, on: "x2"))
            stage.group("x", ["x1", "x2"])
            stage.evaluate(after: .minutes(9))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (isLocal ? ["y1"] : []), "\(isLocal)")
            guard !isLocal else { continue }
            let said = stage.record?.nodes.first { $0.node == "y1" }?.outcome
            #expect(said?.reason == .scaleDownInCooldown && said?.detail.hasSuffix("after a scale-up") == true)
            stage.evaluate(after: .minutes(2))
            let removal = try #require(stage.removed.first)
            // It fails: not again before the delay is over.
            var progress = RemovalProgress(
                id: removal.id, group: "y", node: "y1", nodeUID: "uid-y1", serverID: "server-y1",
                reason: Explanation(.heatRefused, "Heat would not"), at: stage.now)
            stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
            stage.evaluate(after: .minutes(4))
            #expect(stage.removed.isEmpty)
            stage.evaluate(after: .minutes(2))
            // Over its pods: they would do so again if they were asked at once.
            progress.id = try #require(stage.removed.first).id
            progress.reason = Explanation(.podRefused, "not now")
            progress.at = stage.now
            stage.receive(.removalFailed(RemovalFailed(cluster: "test", removal: progress)))
            stage.evaluate(after: .minutes(14))
            #expect(stage.removed.isEmpty)
            #expect(
                stage.core.engine.ledger.nodes.values.first { $0.name == "y1" }?.outcome.reason == .recentlyUnremovable)
            stage.evaluate(after: .minutes(2))
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.count == 1)
        }
    }

    @Test("After a removal the next node waits for as long as delay_after_delete says, and the ledger names it")
    func delayAfterDelete() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) {
            $0.scaleDown.unneededTime = .minutes(1)
            $0.scaleDown.delayAfterDelete = .minutes(5)
        }
        let full = Stage.shape(cpu: 4_000)
        stage.snapshot(
            nodes: ["a", "b", "c"].map { Stage.node($0) },
            pods: stage.pods("on-a", 1, full, on: "a") + stage.pods("on-b", 1, full, on: "b"))
        stage.group("w", ["a", "b", "c"])
        stage.evaluate()
        stage.evaluate(after: .seconds(61))
        let removal = try #require(stage.removed.first)
        #expect(removal.nodes.map(\.node) == ["c"])
        let until = stage.now + .minutes(5)
        // It is done, and the next node becomes idle.
        let progress = RemovalProgress(
            id: removal.id, group: "w", node: "c", nodeUID: "uid-c", serverID: "server-c",
            reason: removal.nodes[0].reason, at: stage.now)
        stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
        stage.delta(removedNodes: ["c"], removedPods: ["on-b-0"])
        stage.group("w", ["a", "b"])
        stage.evaluate(after: .seconds(10))
        stage.evaluate(after: .seconds(61))
        #expect(stage.removed.isEmpty)
        let said = stage.record?.nodes.first { $0.node == "b" }?.outcome
        #expect(said == Explanation(.scaleDownInCooldown, "until \(until), after a removal"))
        stage.evaluate(after: .seconds(228))
        #expect(stage.removed.isEmpty)
        stage.evaluate(after: .seconds(2))
        #expect(stage.removed.flatMap(\.nodes).map(\.node) == ["b"])
    }

    @Test("The emptied node is a domain of a spread that ignores taints, and none of one that honours them")
    func emptiedDomain() {
        for policy in [TopologySpreadConstraint.NodePolicy.honor, .ignore] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let shape = Stage.shape(cpu: 500) { shape in
                shape.topologySpread = [
                    TopologySpreadConstraint(
                        maxSkew: 1, topologyKey: "kubernetes.io/hostname",
                        selector: LabelSelector([Requirement("app", .in, ["web"])]), nodeTaintsPolicy: policy)
                ]
            }
            let pods = stage.pods("p-a", 1, shape, on: "a") + stage.pods("p-b", 1, shape, on: "b")
            stage.snapshot(nodes: ["a", "b"].map { Stage.node($0) }, pods: pods)
            stage.group("w", ["a", "b"])
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.flatMap(\.nodes).count == (policy == .honor ? 1 : 0), "\(policy)")
        }
    }

    @Test("A group that goes whole stays whole where Heat keeps its last member")
    func wholeGroup() {
        for least in [0, 1] {
            var rules = GroupRules(id: "whole", min: 0, max: 3)
            rules.zeroOrMax = true
            var stage = Stage(groups: [rules]) { $0.scaleDown.smallestGroup = least }
            stage.snapshot(nodes: ["a", "b", "c"].map { Stage.node($0) })
            stage.group("whole", ["a", "b", "c"], max: 3)
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.flatMap(\.nodes).count == (least == 0 ? 3 : 0))
            let waiting = stage.record?.nodes.filter { $0.outcome.reason == .minimumReached } ?? []
            #expect(waiting.count == (least == 0 ? 0 : 3))
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
