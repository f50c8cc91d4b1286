import Messages
import Support
import Testing

@testable import Decider

@Suite("Rules of the scheduler that few tests reach")
struct ConstraintTests {
    /// One group a zone, one full node each; the pods wait.
    private func stage(zones: [String]) -> Stage {
        Stage(groups: zones.map { GroupRules(id: $0, min: 0, max: 9) })
    }

    private func play(
        _ stage: inout Stage, zones: [String], waiting: [Pod], running: [Pod] = [], taints: [String: [Taint]] = [:],
        claims: [Claim] = [], namespaces: [Namespace] = []
    ) {
        let full = zones.flatMap { stage.pods("full-\($0)", 1, Stage.shape(cpu: 4_000, app: "full"), on: $0 + "1") }
        stage.snapshot(
            nodes: zones.map { Stage.node($0 + "1", zone: $0, taints: taints[$0] ?? []) },
            pods: waiting + running + full, claims: claims, namespaces: namespaces)
        for zone in zones { stage.group(zone, [zone + "1"]) }
        stage.evaluate()
    }

    private let zoneKey = "topology.kubernetes.io/zone"

    @Test("A claim that is bound in a zone takes its pod there; one that does not exist stops it")
    func claims() throws {
        var stage = stage(zones: ["a", "b"])
        var waiting = stage.pods("db", 2, Stage.shape(cpu: 1_000))
        waiting[0].claims = ["data-0"]
        waiting[1].claims = ["lost"]
        let place = NodeSelectorTerm(expressions: [Requirement(zoneKey, .in, ["b"])])
        play(
            &stage, zones: ["a", "b"], waiting: waiting,
            claims: [Claim(namespace: "default", name: "data-0", isBound: true, nodeAffinity: [place])])
        #expect(stage.sizes == ["b": 2])
        let entries = stage.record?.pods ?? []
        #expect(entries.first { $0.pod == "default/db-0" }?.groups["a"]?.reason == .volumeZoneConflict)
        #expect(entries.first { $0.pod == "default/db-1" }?.groups["b"]?.reason == .claimMissing)
        // The claim comes: now the pod may go anywhere.
        stage.delta(claims: [Claim(namespace: "default", name: "lost", isBound: false)])
        stage.group("b", ["b1", "b2"])
        stage.evaluate(after: .seconds(1))
        #expect(stage.record?.pods.first { $0.pod == "default/db-1" }?.outcome.reason == .fitsExisting)
    }

    @Test("Pod affinity with a namespace selector follows the labels of namespaces")
    func namespaceSelector() {
        for team in ["red", "blue"] {
            var stage = stage(zones: ["a", "b"])
            let shape = Stage.shape(cpu: 1_000) { shape in
                shape.podAffinity = [
                    PodAffinityTerm(
                        selector: LabelSelector([Requirement("app", .in, ["cache"])]),
                        namespaceSelector: LabelSelector([Requirement("team", .in, [team])]),
                        topologyKey: "topology.kubernetes.io/zone")
                ]
            }
            func cache(_ namespace: String) -> PodShape {
                Stage.shape(cpu: 0, app: "cache") { $0.namespace = namespace }
            }
            let running = stage.pods("ra", 1, cache("one"), on: "a1") + stage.pods("rb", 1, cache("two"), on: "b1")
            play(
                &stage, zones: ["a", "b"], waiting: stage.pods("web", 1, shape), running: running,
                namespaces: [
                    Namespace(name: "one", labels: ["team": "red"]), Namespace(name: "two", labels: ["team": "blue"]),
                ])
            #expect(stage.sizes == [team == "red" ? "a" : "b": 2], "\(team)")
        }
    }

    @Test("matchLabelKeys: only pods of the same revision count for the spread")
    func matchLabelKeys() {
        for keys in [[], ["revision"]] {
            var stage = stage(zones: ["a", "b"])
            func shape(_ revision: String) -> PodShape {
                Stage.shape(cpu: 1_000) { shape in
                    shape.labels["revision"] = revision
                    shape.topologySpread = [
                        TopologySpreadConstraint(
                            maxSkew: 1, topologyKey: "topology.kubernetes.io/zone",
                            selector: LabelSelector([Requirement("app", .in, ["web"])]), matchLabelKeys: keys)
                    ]
                }
            }
            // Two of the old revision in zone a.
            let old = stage.pods("old", 2, Stage.shape(cpu: 0) { $0.labels["revision"] = "1" }, on: "a1")
            play(&stage, zones: ["a", "b"], waiting: stage.pods("new", 2, shape("2")), running: old)
            // With the old ones counted both have to go to b; by themselves one goes to each zone.
            #expect(stage.sizes == (keys.isEmpty ? ["b": 2] : ["a": 2, "b": 2]), "\(keys)")
        }
    }

    @Test("minDomains: with too few zones the lowest count is zero")
    func minDomains() {
        for least in [nil, 3] as [Int32?] {
            var stage = stage(zones: ["a", "b"])
            let shape = Stage.shape(cpu: 1_000) { shape in
                shape.topologySpread = [
                    TopologySpreadConstraint(
                        maxSkew: 1, topologyKey: "topology.kubernetes.io/zone",
                        selector: LabelSelector([Requirement("app", .in, ["web"])]), minDomains: least)
                ]
            }
            play(&stage, zones: ["a", "b"], waiting: stage.pods("web", 4, shape))
            let placed = stage.record?.pods.filter { $0.group != nil }.map(\.count).reduce(0, +)
            #expect(placed == (least == nil ? 4 : 2), "\(String(describing: least))")
        }
    }

    @Test("nodeAffinityPolicy Honor: zones whose nodes the pod does not want are no domains")
    func nodeAffinityPolicy() {
        for policy in [TopologySpreadConstraint.NodePolicy.honor, .ignore] {
            var stage = stage(zones: ["a", "b"])
            let shape = Stage.shape(cpu: 1_000) { shape in
                shape.nodeSelector = ["pool": "a"]
                shape.topologySpread = [
                    TopologySpreadConstraint(
                        maxSkew: 1, topologyKey: "topology.kubernetes.io/zone",
                        selector: LabelSelector([Requirement("app", .in, ["web"])]), nodeAffinityPolicy: policy)
                ]
            }
            let full = ["a", "b"].flatMap {
                stage.pods("full-\($0)", 1, Stage.shape(cpu: 4_000, app: "full"), on: $0 + "1")
            }
            stage.snapshot(
                nodes: ["a", "b"].map { Stage.node($0 + "1", zone: $0, labels: ["pool": $0]) },
                pods: full + stage.pods("web", 3, shape))
            for zone in ["a", "b"] { stage.group(zone, [zone + "1"]) }
            stage.evaluate()
            let placed = stage.record?.pods.filter { $0.group != nil }.map(\.count).reduce(0, +)
            #expect(placed == (policy == .honor ? 3 : 1), "\(policy)")
        }
    }

    @Test("nodeTaintsPolicy Honor: zones of nodes with taints that the pod does not tolerate are no domains")
    func nodeTaintsPolicy() {
        for policy in [TopologySpreadConstraint.NodePolicy.honor, .ignore] {
            var stage = stage(zones: ["a", "b"])
            let shape = Stage.shape(cpu: 1_000) { shape in
                shape.topologySpread = [
                    TopologySpreadConstraint(
                        maxSkew: 1, topologyKey: "topology.kubernetes.io/zone",
                        selector: LabelSelector([Requirement("app", .in, ["web"])]), nodeTaintsPolicy: policy)
                ]
            }
            let taint = Taint(key: "team", value: "x", effect: .noSchedule)
            play(&stage, zones: ["a", "b"], waiting: stage.pods("web", 3, shape), taints: ["b": [taint]])
            let placed = stage.record?.pods.filter { $0.group != nil }.map(\.count).reduce(0, +)
            // Ignored, zone b counts with none, and only one fits before the skew forbids more.
            #expect(placed == (policy == .honor ? 3 : 1), "\(policy)")
        }
    }

    private func keepingAway(from app: String, _ shape: inout PodShape) {
        shape.podAntiAffinity = [
            PodAffinityTerm(
                selector: LabelSelector([Requirement("app", .in, [app])]), topologyKey: "kubernetes.io/hostname")
        ]
    }

    @Test("A pod that runs keeps others away from its host, although they have no rule of their own")
    func blockedByARunningPod() {
        for keepsAway in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let loner = Stage.shape(cpu: 100, app: "loner") { if keepsAway { self.keepingAway(from: "web", &$0) } }
            stage.snapshot(
                nodes: [Stage.node("n1")],
                pods: stage.pods("loner", 1, loner, on: "n1") + stage.pods("web", 1, Stage.shape(cpu: 100)))
            stage.group("w", ["n1"])
            stage.evaluate()
            #expect(stage.sizes == (keepsAway ? ["w": 2] : [:]), "\(keepsAway)")
            let said = stage.record?.pods.first { $0.pod == "default/web-0" }
            #expect((said?.outcome.reason == .fitsExisting) == !keepsAway, "\(String(describing: said))")
        }
    }

    @Test("Where a running pod keeps others away from its whole zone, that is why no group helps")
    func blockedByAZone() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let loner = Stage.shape(cpu: 100, app: "loner") { shape in
            shape.podAntiAffinity = [
                PodAffinityTerm(
                    selector: LabelSelector([Requirement("app", .in, ["web"])]), topologyKey: self.zoneKey)
            ]
        }
        stage.snapshot(
            nodes: [Stage.node("n1", zone: "a")],
            pods: stage.pods("loner", 1, loner, on: "n1") + stage.pods("web", 1, Stage.shape(cpu: 100)))
        stage.group("w", ["n1"])
        stage.evaluate()
        #expect(stage.sizes.isEmpty)
        let said = stage.record?.pods.first { $0.pod == "default/web-0" }
        #expect(said?.groups["w"]?.reason == .podAntiAffinityConflict, "\(String(describing: said))")
    }

    @Test("A pod that waits keeps others away from the host that it is given, in the same decision")
    func blockedByAWaitingPod() {
        for keepsAway in [true, false] {
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            // The important one is placed first.
            let loner = Stage.shape(cpu: 100, app: "loner") { shape in
                shape.priority = 1_000
                if keepsAway { self.keepingAway(from: "web", &shape) }
            }
            stage.snapshot(
                nodes: [Stage.node("n1")],
                pods: stage.pods("loner", 1, loner) + stage.pods("web", 1, Stage.shape(cpu: 100)))
            stage.group("w", ["n1"])
            stage.evaluate()
            #expect(stage.sizes == (keepsAway ? ["w": 2] : [:]), "\(keepsAway)")
        }
    }

    @Test("Pods that keep away from each other by host: one a host, on hosts that are there and on those to come")
    func oneAHost() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let alone = Stage.shape(cpu: 100, app: "alone") { self.keepingAway(from: "alone", &$0) }
        stage.snapshot(
            nodes: [Stage.node("n1"), Stage.node("n2")],
            pods: stage.pods("on", 1, alone, on: "n1") + stage.pods("wait", 4, alone))
        stage.group("w", ["n1", "n2"])
        stage.evaluate()
        // One goes to n2, three need a node each.
        #expect(stage.sizes == ["w": 5])
        #expect(stage.record?.pods.filter { $0.outcome.reason == .fitsExisting }.count == 1)
    }

    @Test("A node without a host name label is no domain of a rule by host: nobody is kept away from it")
    func noHostName() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let alone = Stage.shape(cpu: 100, app: "alone") { self.keepingAway(from: "alone", &$0) }
        var node = Stage.node("n1")
        node.labels["kubernetes.io/hostname"] = nil
        stage.snapshot(
            nodes: [node], pods: stage.pods("on", 1, alone, on: "n1") + stage.pods("wait", 2, alone))
        stage.group("w", ["n1"])
        stage.evaluate()
        #expect(stage.sizes.isEmpty, "\(stage.record?.summary ?? "")")
        #expect(stage.record?.pods.map(\.outcome.reason) == [.fitsExisting])
        #expect(stage.record?.pods.map(\.count) == [2])
    }

    @Test("A node is not emptied onto a host whose pods keep its pods away, nor two of a kind onto one host")
    func movedByHost() {
        for keepsAway in [true, false] {
            // b is too full to go and has room for what a has.
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            let loner = Stage.shape(cpu: 2_500, app: "loner") { if keepsAway { self.keepingAway(from: "web", &$0) } }
            stage.snapshot(
                nodes: [Stage.node("a"), Stage.node("b")],
                pods: stage.pods("web", 1, Stage.shape(cpu: 100), on: "a") + stage.pods("loner", 1, loner, on: "b"))
            stage.group("w", ["a", "b"])
            stage.evaluate()
            stage.evaluate(after: .minutes(11))
            #expect(stage.removed.flatMap(\.nodes).map(\.node) == (keepsAway ? [] : ["a"]), "\(keepsAway)")
        }
        // One host is left that has none of them: one of the two nodes can be emptied.
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let alone = Stage.shape(cpu: 100, app: "alone") { self.keepingAway(from: "alone", &$0) }
        stage.snapshot(
            nodes: ["a", "b", "c"].map { Stage.node($0) },
            pods: stage.pods("a", 1, alone, on: "a") + stage.pods("b", 1, alone, on: "b")
                + stage.pods("c", 5, Stage.shape(cpu: 500), on: "c"))
        stage.group("w", ["a", "b", "c"])
        stage.evaluate()
        stage.evaluate(after: .minutes(11))
        #expect(stage.removed.flatMap(\.nodes).count == 1)
    }
}
