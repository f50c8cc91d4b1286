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
}
