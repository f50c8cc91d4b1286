import Messages
import Support
import Testing

@testable import Decider

/// Random clusters that live on: what is decided happens, and pods of removed nodes are scheduled anew.
@Suite("A cluster that is left alone comes to rest")
struct SettlingTests {
    @Test(
        "Nodes are removed and replaced until nothing is left to save, then nothing happens any more", arguments: 0..<40
    )
    func rest(seed: Int) {
        var life = Life(seed: UInt64(seed))
        for _ in 0..<50 { life.step() }
        let late = life.story.filter { $0.round >= 40 }
        #expect(late.isEmpty, "seed \(seed): \(life.story.map { "\($0.round): \($0.text)" }.joined(separator: "\n"))")
        #expect(life.waiting == 0, "seed \(seed)")
    }

    /// Of all of them together: otherwise nothing would have been looked at.
    @Test("Some nodes are replaced by others, some go without")
    func happens() {
        var texts: [String] = []
        for seed in 0..<40 {
            var life = Life(seed: UInt64(seed))
            for _ in 0..<5 { life.step() }
            texts += life.story.map(\.text)
        }
        #expect(texts.contains { $0.hasPrefix("grow") } && texts.contains { $0.hasPrefix("remove") }, "\(texts)")
    }

    struct Life {
        var stage: Stage
        var round = 0
        var story: [(round: Int, text: String)] = []
        private var nodes: [Node]
        private var pods: [(pod: Pod, shape: PodShape)]
        private var members: [String: [String]]
        private let models: [String: Node]
        private let rules: [GroupRules]
        private var made = 0

        /// Pods without a node.
        var waiting: Int { pods.count { $0.pod.node == nil } }

        init(seed: UInt64) {
            var made = PropertyTests.loaded(seed &+ 100_000)
            made.pods.removeAll { $0.node == nil }
            var numbers = Seeded(state: seed)
            for index in made.rules.indices {
                made.rules[index].price = Double(Int.random(in: 1...9, using: &numbers))
            }
            (nodes, members, rules) = (made.nodes, made.groups, made.rules)
            models = made.groups.compactMapValues { names in made.nodes.first { $0.name == names.first } }
            stage = Stage(groups: made.rules) { configuration in
                configuration.scaleDown.consolidates = true
                configuration.scaleDown.consolidationGain = 0.05
            }
            pods = []
            for pod in made.pods {
                var pod = pod
                let shape = made.shapes[pod.shape]
                pod.shape = stage.number(shape)
                pods.append((pod, shape))
            }
            let owners = made.shapes.compactMap { shape in
                shape.owner.map {
                    Workload(
                        kind: $0.kind, namespace: shape.namespace, name: $0.name, replicas: 10, currentReplicas: 10)
                }
            }
            stage.snapshot(
                nodes: nodes, pods: pods.map(\.pod), workloads: owners, claims: PropertyTests.claims,
                namespaces: NaiveCluster.namespaces.sorted { $0.key < $1.key }
                    .map { Namespace(name: $0.key, labels: $0.value) })
            for rule in rules { stage.group(rule.id, members[rule.id] ?? [], max: rule.max) }
            stage.evaluate()
        }

        /// Eleven minutes, and what was decided at their end.
        mutating func step() {
            round += 1
            stage.evaluate(after: .minutes(11))
            for decision in stage.scaled { grow(decision) }
            for removal in stage.removed { remove(removal) }
        }

        private mutating func grow(_ decision: ScaleDecided) {
            story.append(
                (round, "grow \(decision.group) \(decision.from) to \(decision.to): \(decision.reason.detail)"))
            let progress = ScaleProgress(
                id: decision.id, group: decision.group, from: decision.from, to: decision.to, reason: decision.reason,
                at: stage.now)
            stage.receive(.scaleStarted(ScaleStarted(cluster: "test", scale: progress)))
            guard let model = models[decision.group] else { return }
            var fresh: [Node] = []
            for _ in decision.from..<decision.to {
                made += 1
                var node = Stage.node("\(decision.group)-new\(made)", createdAt: stage.now)
                node.labels.merge(model.labels) { own, _ in own }
                (node.taints, node.allocatable, node.capacity) = (model.taints, model.allocatable, model.capacity)
                fresh.append(node)
            }
            nodes += fresh
            members[decision.group, default: []] += fresh.map(\.name)
            tell(decision.group)
            stage.delta(nodes: fresh)
            schedule()
        }

        private mutating func remove(_ removal: RemovalDecided) {
            let gone = Set(removal.nodes.map(\.node))
            story.append((round, "remove \(gone.sorted()): \(removal.nodes.first?.reason.detail ?? "")"))
            for target in removal.nodes {
                let progress = RemovalProgress(
                    id: removal.id, group: removal.group, node: target.node, nodeUID: target.nodeUID,
                    serverID: target.serverID, reason: target.reason, at: stage.now)
                stage.receive(.removalCompleted(RemovalCompleted(cluster: "test", removal: progress)))
            }
            nodes.removeAll { gone.contains($0.name) }
            members[removal.group]?.removeAll { gone.contains($0) }
            for index in pods.indices where pods[index].pod.node.map({ gone.contains($0) }) ?? false {
                pods[index].pod.node = nil
                (pods[index].pod.scheduling, pods[index].pod.phase) = (.unschedulable, .pending)
            }
            tell(removal.group)
            stage.delta(removedNodes: gone.sorted())
            schedule()
        }

        private mutating func tell(_ group: String) {
            stage.group(group, members[group] ?? [], max: rules.first { $0.id == group }?.max ?? 0)
        }

        /// The largest first, each on the first node that takes it, until no more find a place.
        private mutating func schedule() {
            var cluster = NaiveCluster(machines: [:])
            for (index, node) in nodes.enumerated() {
                cluster.machines[index] = NaiveCluster.Machine(
                    name: node.name, labels: node.labels, taints: node.taints, allocatable: node.allocatable,
                    pods: pods.filter { $0.pod.node == node.name }.map(\.shape))
            }
            let order = pods.indices.filter { pods[$0].pod.node == nil }.sorted {
                let (left, right) = (pods[$0].shape.requests.cpuMillis, pods[$1].shape.requests.cpuMillis)
                return left != right ? left > right : pods[$0].pod.name < pods[$1].pod.name
            }
            var placed = 0
            repeat {
                placed = 0
                for index in order where pods[index].pod.node == nil {
                    let shape = pods[index].shape
                    guard let target = nodes.indices.first(where: { cluster.allows(shape, on: $0) == nil }) else {
                        continue
                    }
                    cluster.machines[target]?.pods.append(shape)
                    pods[index].pod.node = nodes[target].name
                    (pods[index].pod.scheduling, pods[index].pod.phase) = (.scheduled, .running)
                    placed += 1
                }
            } while placed > 0
            stage.delta(pods: order.map { pods[$0].pod })
        }
    }
}
