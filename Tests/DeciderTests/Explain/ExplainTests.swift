import FoundationEssentials
import Messages
import Support
import Testing

@testable import Decider

/// What a person reads who asks why.
@Suite("Explanations as a person reads them")
struct ExplainTests {
    private func ask(
        _ stage: inout Stage, _ kind: EvaluationRequested.Subject.Kind, _ name: String, after: Interval = .seconds(2)
    ) throws -> Explained {
        stage.receive(
            .evaluationRequested(
                EvaluationRequested(cluster: "test", id: "q", requester: "test", subject: .init(kind, name))))
        stage.evaluate(after: after)
        let record = try #require(stage.record)
        let answer = try #require(record.answers?.first)
        var view = LedgerView()
        view.apply(record)
        return try #require(Explained(answer, view))
    }

    struct Constraint: CustomTestStringConvertible, Sendable {
        var testDescription: String
        /// The line about the group, without the group's name.
        var line: String
        var shape: PodShape
        var claims: [String] = []
    }

    private static let zone = "topology.kubernetes.io/zone"

    private static func spread(_ shape: inout PodShape) {
        shape.topologySpread = [
            TopologySpreadConstraint(
                maxSkew: 1, topologyKey: zone, selector: LabelSelector([Requirement("app", .in, ["full"])]))
        ]
        shape.labels["app"] = "full"
    }

    static let constraints: [Constraint] = [
        Constraint(
            testDescription: "cpu", line: "not enough cpu: needs 64000m cpu, 4000m free  [InsufficientCPU]",
            shape: Stage.shape(cpu: 64_000)),
        Constraint(
            testDescription: "memory",
            line: "not enough memory: needs 20480Mi memory, 8192Mi free  [InsufficientMemory]",
            shape: Stage.shape(cpu: 100, memory: 20_480)),
        Constraint(
            testDescription: "GPU",
            line: "not enough of a resource: needs 2 nvidia.com/gpu, 0 free  [InsufficientResource]",
            shape: Stage.shape(cpu: 100) { $0.requests.extended = ["nvidia.com/gpu": 2] }),
        Constraint(
            testDescription: "local disk",
            line:
                "not enough ephemeral storage: needs 1024Mi ephemeral storage, 0B free  [InsufficientEphemeralStorage]",
            shape: Stage.shape(cpu: 100) { $0.requests.ephemeralStorageBytes = 1 << 30 }),
        Constraint(
            testDescription: "node selector",
            line: "the node's labels do not match: wants disk=ssd, label is 'hdd'  [NodeAffinityMismatch]",
            shape: Stage.shape(cpu: 100) { $0.nodeSelector = ["disk": "ssd"] }),
        Constraint(
            testDescription: "node selector by host name",
            line:
                "the node's labels do not match: wants kubernetes.io/hostname=n7, a new node has another name  "
                + "[NodeAffinityMismatch]",
            shape: Stage.shape(cpu: 100) { $0.nodeSelector = ["kubernetes.io/hostname": "n7"] }),
        Constraint(
            testDescription: "node affinity",
            line: "the node's labels do not match: required node affinity: disk in (ssd, nvme)  [NodeAffinityMismatch]",
            shape: Stage.shape(cpu: 100) {
                $0.nodeAffinity = [NodeSelectorTerm(expressions: [Requirement("disk", .in, ["ssd", "nvme"])])]
            }),
        Constraint(
            testDescription: "volume",
            line:
                "its volume cannot be used there: needs topology.kubernetes.io/zone in (elsewhere)  [VolumeZoneConflict]",
            shape: Stage.shape(cpu: 100), claims: ["elsewhere"]),
        Constraint(
            testDescription: "claim",
            line: "its volume claim does not exist: PersistentVolumeClaim default/lost  [ClaimMissing]",
            shape: Stage.shape(cpu: 100), claims: ["lost"]),
        Constraint(
            testDescription: "topology spread",
            line:
                "the pods would be spread too unevenly (topology spread by): topology.kubernetes.io/zone maxSkew 1: 1 here, "
                + "least 0  [TopologySpreadConflict]",
            shape: Stage.shape(cpu: 100, spread)),
        Constraint(
            testDescription: "pod anti-affinity",
            line:
                "a pod that it has to keep away from is there (pod anti-affinity by): topology.kubernetes.io/zone=a: 1 pod with "
                + "app in (full)  [PodAntiAffinityConflict]",
            shape: Stage.shape(cpu: 100) {
                $0.podAntiAffinity = [
                    PodAffinityTerm(selector: LabelSelector([Requirement("app", .in, ["full"])]), topologyKey: zone)
                ]
            }),
        Constraint(
            testDescription: "pod affinity",
            line:
                "no pod that it wants to be with is there (pod affinity by): topology.kubernetes.io/zone=a: no pod with "
                + "app in (none)  [PodAffinityMismatch]",
            shape: Stage.shape(cpu: 100) {
                $0.podAffinity = [
                    PodAffinityTerm(selector: LabelSelector([Requirement("app", .in, ["none"])]), topologyKey: zone)
                ]
            }),
    ]

    @Test(
        "A pod that no group takes: for each group the first constraint that failed, with its values",
        arguments: constraints)
    func constraint(_ item: Constraint) throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9, origin: "groups[0]")])
        // A zone without a pod of the set, for the spread: on a node of no group, which takes none.
        let other = Stage.node(
            "z", cpu: 10, zone: "empty", labels: ["disk": "hdd"],
            taints: [Taint(key: "x", effect: .noSchedule)])
        let full = stage.pods("full", 1, Stage.shape(cpu: 4_000, app: "full"), on: "n1")
        var waiting = stage.pods("web", 1, item.shape)
        waiting[0].claims = item.claims
        let place = NodeSelectorTerm(expressions: [Requirement(Self.zone, .in, ["elsewhere"])])
        stage.snapshot(
            nodes: [Stage.node("n1", zone: "a", labels: ["disk": "hdd"]), other], pods: full + waiting,
            claims: [Claim(namespace: "default", name: "elsewhere", isBound: true, nodeAffinity: [place])])
        stage.group("w", ["n1"])
        stage.evaluate()
        #expect(stage.scaled.isEmpty)
        let explained = try ask(&stage, .pod, "default/web-0")
        #expect(
            explained.text.split(separator: "\n").contains { $0 == "    group w: \(item.line)" },
            "\(explained.text)")
        let json = String(decoding: explained.json, as: UTF8.self)
        let reason = item.line.split(separator: "[").last?.dropLast() ?? ""
        #expect(json.contains("\"groups\":{\"w\":{\"detail\":") && json.contains("\"reason\":\"\(reason)\""), "\(json)")
    }

    @Test("A running pod's rule keeps a pod off that has another rule itself: the one that is broken is told")
    func foreignRule() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        func apart(_ app: String, _ key: String) -> [PodAffinityTerm] {
            [PodAffinityTerm(selector: LabelSelector([Requirement("app", .in, [app])]), topologyKey: key)]
        }
        let lone = Stage.shape(cpu: 4_000, app: "lone") { $0.podAntiAffinity = apart("web", Self.zone) }
        let waiting = Stage.shape(cpu: 100) { $0.podAntiAffinity = apart("db", "kubernetes.io/hostname") }
        stage.snapshot(
            nodes: [Stage.node("n1", zone: "a")],
            pods: stage.pods("lone", 1, lone, on: "n1") + stage.pods("web", 1, waiting))
        stage.group("w", ["n1"])
        stage.evaluate()
        #expect(stage.scaled.isEmpty)
        let left = try #require(stage.record?.pods.first)
        #expect(
            left.groups["w"]
                == Explanation(
                    .podAntiAffinityConflict,
                    "topology.kubernetes.io/zone=a: 1 pod there keeps away those with app in (web)"))
    }

    @Test("A pod that pods of the same plan keep out: by what, and never that no group is configured")
    func samePlan() throws {
        var stage = Stage(groups: [GroupRules(id: "a", min: 0, max: 9), GroupRules(id: "b", min: 0, max: 9)])
        let apart = Stage.shape(cpu: 1_000) {
            $0.podAntiAffinity = [
                PodAffinityTerm(selector: LabelSelector([Requirement("app", .in, ["web"])]), topologyKey: Self.zone)
            ]
        }
        let occupying = Stage.shape(cpu: 4_000, app: "full")
        let full = stage.pods("full-a", 1, occupying, on: "a1") + stage.pods("full-b", 1, occupying, on: "b1")
        stage.snapshot(
            nodes: [Stage.node("a1", zone: "z"), Stage.node("b1", zone: "z")],
            pods: full + stage.pods("web", 2, apart))
        stage.group("a", ["a1"])
        stage.group("b", ["b1"])
        stage.evaluate()
        #expect(stage.sizes == ["a": 2])
        let left = try #require(stage.record?.pods.first { $0.group == nil })
        #expect(left.count == 1)
        #expect(left.outcome.reason == .podAntiAffinityConflict, "\(left)")
        #expect(left.groups.mapValues(\.reason) == ["a": .podAntiAffinityConflict, "b": .podAntiAffinityConflict])
        var none = Stage(groups: [])
        none.snapshot(nodes: [], pods: none.pods("web", 1, Stage.shape(cpu: 100)))
        none.evaluate()
        #expect(none.record?.pods.first?.outcome.detail == "no group is configured")
    }

    @Test("Of groups that fail for the same reason the first by its id gives the words")
    func sameReason() throws {
        for turned in [false, true] {
            let ids = (0..<8).map { "g\($0)" }
            var stage = Stage(groups: (turned ? ids.reversed() : ids).map { GroupRules(id: $0, min: 0, max: 9) })
            stage.snapshot(
                nodes: ids.enumerated().map { Stage.node($0.element, cpu: 1_000 + Int64($0.offset)) },
                pods: stage.pods("web", 1, Stage.shape(cpu: 2_000)))
            for id in ids { stage.group(id, [id]) }
            stage.evaluate()
            #expect(
                stage.record?.pods.first?.outcome
                    == Explanation(.insufficientCPU, "needs 2000m cpu, 1000m free"))
        }
    }

    @Test("A taint, and which group was chosen instead of another, by which expander and values")
    func groups() throws {
        var big = GroupRules(id: "big", min: 0, max: 9)
        big.template = GroupRules.Template(allocatable: Stage.resources(cpu: 16_000))
        var fit = GroupRules(id: "fit", min: 0, max: 9)
        fit.template = GroupRules.Template(allocatable: Stage.resources(cpu: 4_000))
        var team = GroupRules(id: "team", min: 0, max: 9)
        team.template = GroupRules.Template(
            allocatable: Stage.resources(cpu: 4_000), taints: [Taint(key: "team", value: "a", effect: .noSchedule)])
        var stage = Stage(groups: [big, fit, team])
        stage.snapshot(nodes: [], pods: stage.pods("web", 4, Stage.shape(cpu: 1_000)))
        for id in ["big", "fit", "team"] { stage.group(id, []) }
        let explained = try ask(&stage, .pod, "default/web-1")
        #expect(stage.sizes == ["fit": 1])
        let lines = explained.text.split(separator: "\n").map(String.init)
        #expect(
            lines.contains("  triggers a scale-up: gets a new node, in group fit (4 pods of this shape)  [PodsPending]")
        )
        #expect(
            lines.contains(
                "    group big: would do as well, but: fit was chosen, by least-waste: 88% of cpu and memory idle here, 50% there"
                    + "  [OtherGroupChosen]"), "\(explained.text)")
        #expect(
            lines.contains("    group team: a taint is not tolerated: taint team=a:NoSchedule  [TaintNotTolerated]"))
    }

    @Test("A node whose pod may not be moved: which pod, and by which rule")
    func node() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let shape = Stage.shape(cpu: 100) {
            $0.annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] = "false"
        }
        stage.snapshot(nodes: [Stage.node("a"), Stage.node("b")], pods: stage.pods("web", 1, shape, on: "a"))
        stage.group("w", ["a", "b"])
        stage.evaluate()
        let explained = try ask(&stage, .node, "a")
        #expect(
            explained.text.contains(
                "  stays: a pod may not be moved: default/web-0: NotSafeToEvictAnnotation, "
                    + "cluster-autoscaler.kubernetes.io/safe-to-evict is false  [BlockedByPod]"), "\(explained.text)")
        #expect(explained.text.contains("  utilization 3%"), "\(explained.text)")
        #expect(explained.node?.outcome.reason == .blockedByPod)
    }

    @Test("A group: what bound it, with value and origin; how many nodes stay for which reason")
    func group() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 2, origin: "groups[0]")])
        stage.snapshot(
            nodes: [Stage.node("a")],
            pods: stage.pods("full", 1, Stage.shape(cpu: 4_000), on: "a")
                + stage.pods("web", 3, Stage.shape(cpu: 3_000, app: "web")))
        stage.group("w", ["a"], max: 2)
        let explained = try ask(&stage, .group, "w")
        let lines = explained.text.split(separator: "\n").map(String.init)
        #expect(lines[0] == "Group w: sizes 0 to 2 are allowed (groups[0])")
        #expect(lines.contains("  size 1, wanted 2"), "\(explained.text)")
        #expect(
            lines.contains(
                "  bound by: the group is at its largest size: size 1 of at most 2 (groups[0].max)  [MaximumReached]"),
            "\(explained.text)")
        #expect(lines.contains("  1 node: is used enough to stay  [NotUnderutilized]"), "\(explained.text)")
    }
}
