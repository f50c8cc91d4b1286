import Messages
import Settings
import Support
import TestServer
import Testing

@testable import Decider

@Suite("What a new node of a group is like")
struct TemplateTests {
    private static let flavor = GroupState.Flavor(name: "m1.large", vcpus: 4, ramMiB: 8_192, diskGiB: 40)
    private static let gpu = "nvidia.com/gpu"

    /// A group that is empty and has this `template` in its settings; `pods` wait.
    private func empty(
        _ template: String, flavor: GroupState.Flavor? = TemplateTests.flavor, pods count: Int = 1, cpu: Int64 = 1_000,
        _ change: (inout PodShape) -> Void = { _ in }
    ) throws -> Stage {
        let file = try TemporaryFile(
            """
            cluster: test
            groups:
            - {id: w, stack: s, resource: r, min: 0, max: 9, template: \(template)}
            """)
        var stage = Stage(DeciderConfiguration(try Settings.load(file: file.path)))
        stage.snapshot(nodes: [], pods: stage.pods("web", count, Stage.shape(cpu: cpu, change)))
        var state = Stage.group("w", [], at: stage.now)
        state.flavor = flavor
        stage.group(state)
        stage.evaluate()
        return stage
    }

    private func obstacle(_ stage: Stage) -> Reason? { stage.record?.pods.first?.groups["w"]?.reason }

    // MARK: From the settings

    @Test("From zero by settings: zone and labels")
    func place() throws {
        let selector = ["topology.kubernetes.io/zone": "az1", "disk": "ssd"]
        #expect(try empty("{zone: az1, labels: {disk: ssd}}") { $0.nodeSelector = selector }.sizes == ["w": 1])
        let other = try empty("{zone: az2, labels: {disk: ssd}}") { $0.nodeSelector = selector }
        #expect(other.sizes == [:])
        #expect(obstacle(other) == .nodeAffinityMismatch)
    }

    @Test("From zero by settings: taints")
    func taints() throws {
        let template = "{taints: [\"team=a:NoSchedule\"]}"
        let refused = try empty(template)
        #expect(refused.sizes == [:])
        #expect(obstacle(refused) == .taintNotTolerated)
        let borne = try empty(template) { $0.tolerations = [Toleration(key: "team", exists: false, value: "a")] }
        #expect(borne.sizes == ["w": 1])
    }

    @Test("From zero a node has the labels that every kubelet sets")
    func standardLabels() throws {
        func sizes(_ template: String, flavor: GroupState.Flavor? = Self.flavor, _ selector: [String: String]) throws
            -> [String: Int]
        {
            var stage = try empty(template, flavor: flavor, pods: 0)
            stage.delta(
                pods: stage.pods("p", 1, Stage.shape(cpu: 1_000, app: "p", owner: "p") { $0.nodeSelector = selector }))
            stage.evaluate(after: .seconds(1))
            return stage.sizes
        }
        for selector in [
            ["kubernetes.io/os": "linux"], ["beta.kubernetes.io/arch": "amd64"],
            ["node.kubernetes.io/instance-type": "m1.large"],
        ] {
            #expect(try sizes("{}", selector).values.map { $0 } == [1], "\(selector)")
        }
        #expect(try sizes("{}", ["kubernetes.io/os": "windows"]).isEmpty)
        #expect(try sizes("{labels: {kubernetes.io/arch: arm64}}", ["kubernetes.io/arch": "amd64"]).isEmpty)
        #expect(try sizes("{labels: {kubernetes.io/arch: arm64}}", ["beta.kubernetes.io/arch": "arm64"]).count == 1)
        #expect(try sizes("{cpu: 4, memory: 8Gi}", flavor: nil, ["kubernetes.io/os": "linux"]).count == 1)
    }

    @Test("What is kept of the disk is kept also where the disk is configured")
    func reservedDisk() throws {
        let stage = try empty("{ephemeral_storage: 100Gi, kube_reserved: {ephemeral_storage: 10Gi}}")
        let template = try #require(stage.core.engine.templates[0])
        #expect(template.allocatable[Catalog.storage] == 90 << 30)
    }

    @Test("From zero by settings: a GPU on top of what the flavor says, which keeps its cpu and memory in every sum")
    func gpu() throws {
        let stage = try empty("{extended: {\"\(Self.gpu)\": 1}}", pods: 3) { $0.requests.extended = [Self.gpu: 1] }
        #expect(stage.sizes == ["w": 3])
        let template = try #require(stage.core.engine.templates[0])
        #expect(template.capacity[Catalog.cpu] == 4_000)
        #expect(template.capacity[Catalog.memory] == 8_192 << 20)
        #expect(template.allocatable[Catalog.cpu] == 4_000)
        let plain = try empty("{pods: 20}", pods: 30, cpu: 10)
        #expect(plain.sizes == ["w": 2])
        #expect(plain.core.engine.templates[0]?.capacity[Catalog.cpu] == 4_000)
    }

    @Test("A GPU that is still to come takes no pod that runs: its node goes when the other GPU is there")
    func gpuToCome() {
        var stage = Stage(groups: ["a", "b"].map { GroupRules(id: $0, min: 0, max: 2) })
        func node(_ name: String, gpus: Int64, age: Interval) -> Node {
            var node = Stage.node(name, labels: ["zone": String(name.prefix(1))], createdAt: Stage.start - age)
            if gpus > 0 {
                node.allocatable.extended = [Self.gpu: gpus]
                node.capacity.extended = [Self.gpu: gpus]
            }
            return node
        }
        let wants = Stage.shape(cpu: 100) { $0.requests.extended = [Self.gpu: 1] }
        // `b` is known to have GPUs by its first node, whose pods fill it; its second has just come.
        let full = Stage.shape(cpu: 3_900, app: "full") { $0.requests.extended = [Self.gpu: 8] }
        let pods =
            stage.pods("web", 1, wants, on: "a1") + stage.pods("full-a", 1, full, on: "a2")
            + stage.pods("full-b", 1, full, on: "b1")
        // What `b2` was bought for.
        let most = Stage.shape(cpu: 100, app: "most") { shape in
            shape.requests.extended = [Self.gpu: 7]
            shape.nodeSelector = ["zone": "b"]
        }
        stage.snapshot(
            nodes: [
                node("a1", gpus: 8, age: .minutes(60)), node("a2", gpus: 8, age: .minutes(60)),
                node("b1", gpus: 8, age: .minutes(60)), node("b2", gpus: 0, age: .zero),
            ], pods: pods + stage.pods("most", 1, most))
        stage.group("a", ["a1", "a2"], max: 2)
        stage.group("b", ["b1", "b2"], max: 2)
        stage.evaluate()
        for _ in 1...13 {
            stage.evaluate(after: .minutes(1))
            #expect(!stage.removed.flatMap(\.nodes).contains { $0.node == "a1" }, "\(stage.now)")
        }
        stage.delta(nodes: [node("b2", gpus: 8, age: .zero)], pods: stage.pods("most", 1, most, on: "b2"))
        var gone: [String] = []
        for _ in 1...30 where gone.isEmpty {
            stage.evaluate(after: .minutes(1))
            gone = stage.removed.flatMap(\.nodes).map(\.node)
        }
        #expect(gone == ["a1"], "\(stage.core.engine.simulation.obstacles)")
    }

    @Test("A GPU alone, without a flavor, is no machine: the group waits for a better witness and says so")
    func gpuAlone() throws {
        let stage = try empty("{extended: {\"\(Self.gpu)\": 1}}", flavor: nil)
        #expect(stage.sizes == [:])
        #expect(obstacle(stage) == .noTemplate)
    }

    @Test("What is kept for the system is not for pods, from zero by settings")
    func reserved() throws {
        let stage = try empty("{cpu: 4, memory: 8Gi, kube_reserved: {cpu: 500m}}", flavor: nil, pods: 4)
        #expect(stage.sizes == ["w": 2])
    }

    // MARK: From nodes

    /// Group `w` with these nodes, full, and a pod of this shape that waits.
    private func stage(
        _ nodes: [Node], flavor: GroupState.Flavor? = TemplateTests.flavor, fill: Bool = true,
        _ change: (inout PodShape) -> Void = { _ in }, configure: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> Stage {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { configuration in
            configuration.scaleDown.enabled = false
            configure(&configuration)
        }
        var pods: [Pod] = []
        if fill {
            for node in nodes { pods += stage.pods("on-\(node.name)", 1, Stage.shape(cpu: 3_500), on: node.name) }
        }
        stage.snapshot(nodes: nodes, pods: pods + stage.pods("web", 1, Stage.shape(cpu: 1_000, change)))
        group(&stage, nodes.map(\.name), flavor)
        stage.evaluate()
        return stage
    }

    private func group(_ stage: inout Stage, _ names: [String], _ flavor: GroupState.Flavor?) {
        var state = Stage.group("w", names, at: stage.now)
        state.flavor = flavor
        stage.group(state)
    }

    private static let disk = ["disk": "ssd"]

    @Test(
        "While its only node does not work, is cordoned or is gone, a group is what that node was, not the bare flavor",
        arguments: ["not ready", "cordoned", "gone"])
    func lastNode(what: String) {
        var stage = stage([Stage.node("n1", labels: Self.disk)]) { $0.nodeSelector = Self.disk }
        #expect(stage.sizes == ["w": 2])
        var node = Stage.node("n1", labels: Self.disk, readiness: what == "not ready" ? .notReady : .ready)
        node.unschedulable = what == "cordoned"
        if what == "gone" { stage.delta(removedNodes: ["n1"]) } else { stage.delta(nodes: [node]) }
        stage.evaluate(after: .minutes(3))
        #expect(stage.core.engine.templates[0]?.origin == "the last node, n1")
        let engine = stage.core.engine
        let labels = engine.templates[0].map { engine.model.catalog.nodeClasses[$0.nodeClass].labels }
        #expect(labels?["disk"] == "ssd")
    }

    @Test("What the last node was is part of the checkpoint: whoever takes over grows an empty group by it")
    func lastNodeAfterRestart() throws {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let proxy = Stage.shape(cpu: 1_000, app: "proxy", owner: nil) {
            $0.annotations["kubernetes.io/config.mirror"] = "x"
        }
        let taint = Taint(key: "team", value: "a", effect: .noSchedule)
        stage.snapshot(
            nodes: [Stage.node("n1", labels: Self.disk, taints: [taint])], pods: stage.pods("proxy", 1, proxy, on: "n1")
        )
        group(&stage, ["n1"], Self.flavor)
        stage.evaluate()
        stage.delta(removedNodes: ["n1"], removedPods: ["proxy-0"])
        group(&stage, [], Self.flavor)
        stage.evaluate(after: .seconds(10))
        let saved = try stage.core.engine.checkpoint()

        func next(_ flavor: GroupState.Flavor, _ checkpoint: [UInt8]?) throws -> Stage {
            var next = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
            if let checkpoint { try next.core.restore(checkpoint) }
            next.now = stage.now + .minutes(600)
            let shape = Stage.shape(cpu: 1_000) {
                $0.nodeSelector = Self.disk
                $0.tolerations = [Toleration(key: "team", exists: false, value: "a")]
            }
            next.snapshot(nodes: [], pods: next.pods("web", 4, shape))
            group(&next, [], flavor)
            next.evaluate()
            return next
        }
        // Three of a core beside the static pod; a fourth on a second node.
        let known = try next(Self.flavor, saved)
        #expect(known.sizes == ["w": 2])
        let template = try #require(known.core.engine.templates[0])
        #expect(template.origin == "the last node, n1")
        #expect(known.core.engine.model.catalog.nodeClasses[template.nodeClass].taints == [taint])
        // Without it, and where machines are others by now, the flavor speaks: no such label.
        #expect(try next(Self.flavor, nil).sizes == [:])
        let small = GroupState.Flavor(name: "m1.small", vcpus: 1, ramMiB: 2_048, diskGiB: 20)
        #expect(try next(small, saved).core.engine.templates[0]?.origin == "flavor m1.small")
    }

    /// A group with these settings and nodes, after what was saved; without nodes a pod waits that selects by `wanted`.
    private func group(
        _ template: GroupRules.Template, _ saved: [UInt8]?, nodes: [Node], stack: String = "one",
        wanted: [String: String] = [:], flavor: GroupState.Flavor? = TemplateTests.flavor
    ) throws -> Stage {
        var rules = GroupRules(id: "w", min: 0, max: 9)
        rules.template = template
        var stage = Stage(groups: [rules]) { $0.scaleDown.enabled = false }
        if let saved { try stage.core.restore(saved) }
        let shape = Stage.shape(cpu: 1_000) { $0.nodeSelector = wanted }
        stage.snapshot(nodes: nodes, pods: nodes.isEmpty ? stage.pods("web", 1, shape) : [])
        var state = Stage.group("w", nodes.map(\.name), at: stage.now)
        (state.flavor, state.stackID) = (flavor, stack)
        stage.group(state)
        stage.evaluate()
        return stage
    }

    private func origin(_ stage: Stage) -> String? { stage.core.engine.templates[0]?.origin }

    @Test(
        "Settings that are others than the last node's are laid over it, a stack goes before it: no node has shown yet what they make",
        arguments: ["n1", "n2, then n1", "n1, then n2", "n1 and n2, as old"])
    func lastNodeOfOtherSettings(leaving: String) throws {
        let old = GroupRules.Template(labels: ["disk": "hdd"])
        let new = GroupRules.Template(labels: Self.disk)
        let twins = leaving.hasSuffix("as old")
        // The label that no settings name is the node's own.
        let labels = ["disk": "hdd", "pool": "batch"]
        let first = Stage.node("n1", labels: labels, createdAt: Stage.start - .minutes(60))
        let second = Stage.node("n2", labels: labels, createdAt: Stage.start - .minutes(twins ? 60 : 30))
        var saved = try group(old, nil, nodes: leaving == "n1" ? [first] : [first, second]).core.engine.checkpoint()
        // They work on under settings that are not their own, and go one after the other.
        switch leaving {
        case "n2, then n1", "n1 and n2, as old":
            saved = try group(new, saved, nodes: [first, second]).core.engine.checkpoint()
            saved = try group(new, saved, nodes: [first]).core.engine.checkpoint()
        case "n1, then n2":
            saved = try group(new, saved, nodes: [first, second]).core.engine.checkpoint()
            saved = try group(new, saved, nodes: [second]).core.engine.checkpoint()
        default: saved = try group(new, saved, nodes: [first]).core.engine.checkpoint()
        }
        #expect(origin(try group(old, saved, nodes: []))?.hasSuffix("with settings of since then") == false)
        let wanted = Self.disk.merging(["pool": "batch"]) { $1 }
        let another = try group(new, saved, nodes: [], wanted: wanted)
        #expect(another.sizes == ["w": 1])
        #expect(origin(another)?.hasSuffix(", with settings of since then") == true)
        #expect(try group(new, saved, nodes: [], wanted: old.labels).sizes == [:])
        #expect(origin(try group(old, saved, nodes: [], stack: "two")) == "flavor m1.large")
    }

    @Test(
        "Settings that were edited after a node was made are laid over it, also when it became the model after the edit"
    )
    func editedBeforeModel() throws {
        let old = GroupRules.Template(labels: ["disk": "hdd"])
        let new = GroupRules.Template(labels: Self.disk)
        func node(_ name: String, _ labels: [String: String], age: Double, isReady: Bool = true) -> Node {
            Stage.node(
                name, labels: labels, readiness: isReady ? .ready : .notReady, createdAt: Stage.start - .minutes(age))
        }
        // It is starting under the old settings, and works under the new ones.
        let starting = node("n1", old.labels, age: 2, isReady: false)
        var saved = try group(old, nil, nodes: [starting]).core.engine.checkpoint()
        saved = try group(new, saved, nodes: [node("n1", old.labels, age: 2)]).core.engine.checkpoint()
        let empty = try group(new, saved, nodes: [], wanted: Self.disk)
        #expect(empty.sizes == ["w": 1])
        #expect(origin(empty) == "the last node, n1, with settings of since then")
        // Of two such nodes the newer one stays the model; one that was made after the edit speaks for itself.
        let both = [node("n1", old.labels, age: 3), node("n2", old.labels, age: 2)]
        saved = try group(new, saved, nodes: both).core.engine.checkpoint()
        saved = try group(new, saved, nodes: [both[0]]).core.engine.checkpoint()
        #expect(origin(try group(new, saved, nodes: []))?.hasPrefix("the last node, n2, with settings") == true)
        var later = try group(new, saved, nodes: [both[0]])
        later.delta(nodes: [Stage.node("n3", labels: ["disk": "nvme"], createdAt: later.now + .seconds(1))])
        later.group("w", ["n1", "n3"])
        later.evaluate(after: .minutes(3))
        later.delta(removedNodes: ["n1", "n3"])
        later.group("w", [])
        later.evaluate(after: .seconds(10))
        #expect(origin(later) == "the last node, n3")
    }

    @Test("An old node that is left after a newer one is no better witness of the next")
    func olderNodeLeft() throws {
        let old = GroupRules.Template(labels: ["disk": "hdd"])
        let new = GroupRules.Template(labels: Self.disk)
        let first = Stage.node("n1", labels: ["disk": "hdd"], createdAt: Stage.start - .minutes(60))
        let second = Stage.node("n2", labels: Self.disk, createdAt: Stage.start - .minutes(30))
        var saved = try group(old, nil, nodes: [first]).core.engine.checkpoint()
        for nodes in [[first, second], [first]] { saved = try group(new, saved, nodes: nodes).core.engine.checkpoint() }
        let empty = try group(new, saved, nodes: [], wanted: Self.disk)
        #expect(empty.sizes == ["w": 1])
        #expect(origin(empty) == "the last node, n2")
    }

    @Test("An edit of the settings changes what it names, and nothing else of what the last node said")
    func editedSettings() throws {
        let pool = ["pool": "batch"]
        let (own, a, b) = (
            Taint(key: "own", value: "x", effect: .noSchedule), Taint(key: "a", effect: .noSchedule),
            Taint(key: "b", effect: .noSchedule)
        )
        var node = Stage.node("n1", labels: Self.disk.merging(pool) { $1 }, taints: [own, a, b])
        node.allocatable = ResourceList(cpuMillis: 3_800, memoryBytes: 7 << 30, pods: 110)
        node.capacity = ResourceList(cpuMillis: 4_000, memoryBytes: 8 << 30, pods: 110)
        var template = GroupRules.Template(
            allocatable: ResourceList(cpuMillis: 3_000, memoryBytes: 6 << 30), labels: [:], taints: [a, b])
        let saved = try group(template, nil, nodes: [node]).core.engine.checkpoint()
        func made() throws -> (template: NodeTemplate, node: NodeClass) {
            let engine = try group(template, saved, nodes: []).core.engine
            let made = try #require(engine.templates[0])
            return (made, engine.model.catalog.nodeClasses[made.nodeClass])
        }
        func taints(_ node: NodeClass) -> [String] { node.taints.map(\.key).sorted() }
        // In another order it is the same.
        template.taints = [b, a]
        #expect(taints(try made().node) == ["a", "b", "own"])
        // What the node has already is written down; a taint goes, another comes; the memory is corrected, the cpu is not.
        template.labels = Self.disk
        template.taints = [b, Taint(key: "c", effect: .noSchedule)]
        template.allocatable?.memoryBytes = 5 << 30
        let edited = try made()
        #expect(edited.node.labels["pool"] == "batch" && edited.node.labels["disk"] == "ssd")
        #expect(taints(edited.node) == ["b", "c", "own"])
        #expect(edited.template.allocatable[Catalog.cpu] == 3_800)
        #expect(edited.template.allocatable[Catalog.memory] == 5 << 30)
        #expect(edited.template.capacity[Catalog.cpu] == 4_000)
        #expect(edited.template.capacity[Catalog.memory] == 8 << 30)
        // A device that only the settings know.
        template.allocatable?.extended = [Self.gpu: 2]
        let equipped = try made().template
        #expect(equipped.allocatable.last == 2 && equipped.capacity.last == 2)
    }

    @Test("The checkpoint is saved when the model is another, not when its node says that it still works")
    func modelSaved() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.enabled = false }
        stage.snapshot(nodes: [Stage.node("n1", labels: Self.disk)])
        group(&stage, ["n1"], Self.flavor)
        stage.evaluate()
        func isSaved(_ node: Node) -> Bool {
            stage.delta(nodes: [node])
            stage.evaluate(after: .seconds(30))
            return stage.actions.contains { if case .saveCheckpoint = $0 { true } else { false } }
        }
        var node = Stage.node("n1", labels: Self.disk)
        node.annotations["updraft.io/x"] = "y"
        node.address = "192.0.2.1"
        #expect(!isSaved(node))
        node.taints = [Taint(key: "node.kubernetes.io/disk-pressure", effect: .noSchedule)]
        #expect(!isSaved(node))
        node.taints = []
        node.labels["disk"] = "hdd"
        #expect(isSaved(node))
    }

    @Test("Taints that pass are no part of what is remembered", arguments: [true, false])
    func passingTaints(restarts: Bool) throws {
        let passing = [
            "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/memory-pressure",
            "node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure", "node.kubernetes.io/unschedulable",
            "node.kubernetes.io/network-unavailable", "node.kubernetes.io/out-of-service",
            "node.cloudprovider.kubernetes.io/uninitialized", "updraft.io/removing",
            "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler",
            "startup-taint.cluster-autoscaler.kubernetes.io/disk", "vendor.example/setup-disk", "vendor.example/busy",
        ]
        for key in passing {
            let keeps = Taint(key: "node.kubernetes.io/lifecycle", value: "spot", effect: .noSchedule)
            func configure(_ configuration: inout DeciderConfiguration) {
                configuration.scaleDown.enabled = false
                configuration.health.startupTaints = ["vendor.example/setup-*"]
                configuration.health.statusTaints = ["vendor.example/busy"]
            }
            var node = Stage.node("n1", labels: Self.disk, taints: [keeps])
            var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)], configure: configure)
            stage.snapshot(nodes: [node])
            group(&stage, ["n1"], Self.flavor)
            stage.evaluate()
            // It is tainted, and then it is gone.
            node.taints.append(Taint(key: key, effect: .noSchedule))
            node.unschedulable = key.hasSuffix("unschedulable")
            stage.delta(nodes: [node])
            stage.evaluate(after: .seconds(10))
            if restarts {
                let saved = try stage.core.engine.checkpoint()
                let now = stage.now
                stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)], configure: configure)
                try stage.core.restore(saved)
                stage.now = now
                stage.snapshot(nodes: [])
            } else {
                stage.delta(removedNodes: ["n1"])
            }
            group(&stage, [], Self.flavor)
            stage.evaluate(after: .seconds(10))
            let template = try #require(stage.core.engine.templates[0])
            #expect(template.origin == "the last node, n1")
            #expect(stage.core.engine.model.catalog.nodeClasses[template.nodeClass].taints == [keeps], "\(key)")
        }
    }

    @Test("Another flavor ends that: what the last node was says nothing of its machines")
    func newFlavor() {
        var stage = stage([Stage.node("n1", labels: Self.disk)])
        stage.delta(removedNodes: ["n1"])
        group(&stage, [], Self.flavor)
        stage.evaluate(after: .seconds(10))
        #expect(stage.core.engine.templates[0]?.origin == "the last node, n1")
        let small = GroupState.Flavor(name: "m1.small", vcpus: 1, ramMiB: 2_048, diskGiB: 20)
        group(&stage, [], small)
        stage.evaluate(after: .seconds(10))
        #expect(stage.core.engine.templates[0]?.origin == "flavor m1.small")
        // Also where the flavor was another while the old node still ran.
        var running = self.stage([Stage.node("n1", labels: Self.disk)])
        group(&running, ["n1"], small)
        running.delta(nodes: [Stage.node("n1", labels: ["disk": "hdd"])])
        running.evaluate(after: .seconds(10))
        running.delta(removedNodes: ["n1"])
        group(&running, [], small)
        running.evaluate(after: .seconds(10))
        #expect(running.core.engine.templates[0]?.origin == "flavor m1.small")
    }

    @Test("The peer's choice of a model can be asked for: the first node, and the last whatever the flavor is by now")
    func plainly() {
        for isPlain in [true, false] {
            let nodes = [Stage.node("a"), Stage.node("b", createdAt: Stage.start - .minutes(30))]
            var stage = stage(nodes) { _ in
            } configure: {
                $0.peer.choosesModelsPlainly = isPlain
            }
            #expect(stage.core.engine.templates[0]?.origin == (isPlain ? "node a" : "node b"))
            stage.delta(removedNodes: ["a", "b"])
            group(&stage, [], GroupState.Flavor(name: "m1.small", vcpus: 1, ramMiB: 2_048, diskGiB: 20))
            stage.evaluate(after: .seconds(10))
            #expect(stage.core.engine.templates[0]?.origin == (isPlain ? "the last node, a" : "flavor m1.small"))
            // A node that has just come.
            stage.delta(nodes: [Stage.node("c", createdAt: stage.now)])
            group(&stage, ["c"], GroupState.Flavor(name: "m1.small", vcpus: 1, ramMiB: 2_048, diskGiB: 20))
            stage.evaluate(after: .seconds(10))
            #expect(stage.core.engine.templates[0]?.origin == (isPlain ? "the last node, a" : "node c"))
        }
    }

    @Test("Static pods of the last node count on a new one as well")
    func mirror() {
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)])
        let proxy = Stage.shape(cpu: 1_000, app: "proxy", owner: nil) {
            $0.annotations["kubernetes.io/config.mirror"] = "x"
            $0.hostPorts = [PodShape.HostPort(port: 80)]
        }
        stage.snapshot(nodes: [Stage.node("n1")], pods: stage.pods("proxy", 1, proxy, on: "n1"))
        group(&stage, ["n1"], Self.flavor)
        stage.evaluate()
        stage.delta(removedNodes: ["n1"], removedPods: ["proxy-0"])
        group(&stage, [], Self.flavor)
        stage.delta(pods: stage.pods("web", 4, Stage.shape(cpu: 1_000)))
        stage.evaluate(after: .seconds(10))
        // Three of a core beside the static pod; a fourth on a second node.
        #expect(stage.sizes == ["w": 2])
        let template = stage.core.engine.templates[0]
        #expect(template?.free[Catalog.cpu] == 3_000)
        #expect(template?.ports.count == 1)
        // The classes begin anew: so do those of the static pods.
        stage.snapshot(nodes: [])
        stage.evaluate(after: .seconds(10))
        #expect(stage.core.engine.templates[0]?.free[Catalog.cpu] == 3_000)
    }

    @Test(
        "A node is no model in its first minute while the group has an older one, nor after a moment of not being ready"
    )
    func young() {
        // Its labels are not all there yet.
        let new = Stage.node("new", createdAt: Stage.start - .seconds(5))
        var stage = stage([Stage.node("old", labels: Self.disk), new]) { $0.nodeSelector = Self.disk }
        #expect(stage.sizes == ["w": 3])
        #expect(stage.core.engine.templates[0]?.origin == "node old")
        // By then it is what a node of the group is like.
        stage.evaluate(after: .seconds(61))
        #expect(stage.core.engine.templates[0]?.origin == "node new")
        var back = Stage.node("new", createdAt: Stage.start - .seconds(5))
        back.readinessChangedAt = stage.now
        stage.delta(nodes: [back])
        stage.evaluate(after: .seconds(10))
        #expect(stage.core.engine.templates[0]?.origin == "node old")
    }

    @Test("The first node of a group is its model at once, unless it lacks a device that the settings name")
    func first() throws {
        let new = Stage.node("new", labels: Self.disk, createdAt: Stage.start - .seconds(5))
        #expect(stage([new]) { $0.nodeSelector = Self.disk }.sizes == ["w": 2])
        let stage = stage([new]) {
            $0.requests.extended = [Self.gpu: 1]
        } configure: {
            $0.groups[0].template = GroupRules.Template(
                allocatable: ResourceList(extended: [Self.gpu: 1]), capacity: ResourceList(extended: [Self.gpu: 1]))
        }
        #expect(stage.core.engine.templates[0]?.origin == "flavor m1.large")
    }

    @Test(
        "A node with a GPU is the model before one without; a young one without is about to have it, and no other is asked for"
    )
    func unequipped() throws {
        var old = Stage.node("old")
        old.allocatable.extended = [Self.gpu: 1]
        let new = Stage.node("new", createdAt: Stage.start - .minutes(2))
        var stage = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.enabled = false }
        let shape = Stage.shape(cpu: 1_000) { $0.requests.extended = [Self.gpu: 1] }
        stage.snapshot(nodes: [old, new], pods: stage.pods("full", 1, shape, on: "old") + stage.pods("web", 2, shape))
        group(&stage, ["old", "new"], Self.flavor)
        stage.evaluate()
        // One of two waits for the driver of `new`, the other needs a node.
        #expect(stage.sizes == ["w": 3])
        #expect(stage.core.engine.templates[0]?.origin == "node old")
        // It never got one: what waits for it needs another node after all.
        var late = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.enabled = false }
        let pods = late.pods("full", 1, shape, on: "old") + late.pods("web", 1, shape)
        late.snapshot(nodes: [old, new], pods: pods)
        group(&late, ["old", "new"], Self.flavor)
        late.evaluate()
        #expect(late.sizes == [:])
        late.evaluate(after: .minutes(14))
        #expect(late.sizes == ["w": 3])
        // Nor did that one: a third would be bought in vain.
        var vain = Stage(groups: [GroupRules(id: "w", min: 0, max: 9)]) { $0.scaleDown.enabled = false }
        let more = vain.pods("full", 1, shape, on: "old") + vain.pods("web", 1, shape)
        vain.snapshot(
            nodes: [old, new, Stage.node("newer", createdAt: Stage.start - .minutes(1))], pods: more)
        group(&vain, ["old", "new", "newer"], Self.flavor)
        vain.evaluate(after: .minutes(20))
        #expect(vain.sizes == [:])
    }
}
