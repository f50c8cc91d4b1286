import JSONReader
import Messages
import Support

/// A simple scheduler: the hard constraints that Updraft's own simulation knows, least-allocated first.
struct SchedulerModel: Sendable {
    /// From a change until the scheduler looks.
    var latency: Interval = .milliseconds(5)
    /// Pods to be tried.
    private var active: Set<String> = []
    /// Tried without success; tried again when something changes that could help.
    private var waiting: Set<String> = []
    private var due: Timestamp?
    /// Where the search begins next, so that sampling does not always fill the same nodes.
    private var cursor = 0
    private var random: Generator
    /// More pods than this are left for the next turn, so that requests come through in between.
    private let batch = 1_000
    /// Enough feasible nodes to choose from (the real one samples too).
    private let sample = 50

    init(random: Generator) {
        self.random = random
    }

    /// When it looks next.
    var nextDeadline: Timestamp? { due }

    /// A change of pods or nodes.
    mutating func observe(_ difference: ClusterIndex.Difference, at now: Timestamp) {
        if let pod = difference.newPod ?? difference.oldPod {
            let isPending =
                difference.newPod.map {
                    $0.node == nil && $0.isActive && !$0.spec.isGated && $0.spec.scheduler == "default-scheduler"
                } ?? false
            if isPending {
                if !waiting.contains(pod.key) {
                    active.insert(pod.key)
                    wake(at: now)
                }
            } else {
                active.remove(pod.key)
                waiting.remove(pod.key)
            }
            let leftANode = difference.oldPod?.node != nil && (difference.newPod?.isTerminal ?? true)
            if leftANode { retry(at: now) }
        }
        if let new = difference.newNode, difference.oldNode.map({ new.differs(from: $0) }) ?? true { retry(at: now) }
    }

    private mutating func retry(at now: Timestamp) {
        guard !waiting.isEmpty else { return }
        active.formUnion(waiting)
        waiting = []
        wake(at: now)
    }

    private mutating func wake(at now: Timestamp) {
        if due == nil { due = now + latency }
    }

    /// A node with what is taken of it.
    private struct Slot {
        var facts: NodeFacts
        var used: ResourceList
        var ports: Set<String>?
    }

    /// Places what can be placed.
    mutating func advance(to now: Timestamp, store: inout KubernetesStore, index: ClusterIndex) {
        guard let due, due <= now else { return }
        self.due = nil
        let order = active.compactMap { index.pods[$0] }.sorted { left, right in
            if left.spec.priority != right.spec.priority { return left.spec.priority > right.spec.priority }
            return (left.created, left.key) < (right.created, right.key)
        }
        var slots = index.nodes.values.sorted { $0.name < $1.name }.map { node in
            Slot(facts: node, used: index.used[node.name] ?? ResourceList())
        }
        var domains = TopologyCounts(index: index)
        var failures: [Int: String] = [:]
        for pod in order.prefix(batch) {
            active.remove(pod.key)
            // A pod that cannot be told apart from one that just failed fails alike: nothing was freed in between.
            if let message = failures[pod.spec.shape] {
                refuse(pod, message, store: &store, at: now)
                continue
            }
            switch choose(pod, &slots, &domains, index) {
            case .success(let place):
                slots[place].used.add(pod.spec.requests)
                slots[place].used.pods += 1
                if !pod.spec.hostPorts.isEmpty { slots[place].ports?.formUnion(pod.spec.hostPorts) }
                domains.add(pod, node: slots[place].facts)
                bind(pod, to: slots[place].facts.name, store: &store, at: now)
            case .failure(let refusal):
                // With affinity a later placement can help, so such a failure is not remembered for others.
                if pod.spec.podAffinity.isEmpty { failures[pod.spec.shape] = refusal.message }
                refuse(pod, refusal.message, store: &store, at: now)
            }
        }
        if !active.isEmpty { self.due = now + .milliseconds(1) }
    }

    private struct Refusal: Error {
        var message: String
    }

    private mutating func choose(
        _ pod: PodFacts, _ slots: inout [Slot], _ domains: inout TopologyCounts, _ index: ClusterIndex
    ) -> Result<Int, Refusal> {
        guard !slots.isEmpty else { return .failure(Refusal(message: "no nodes available to schedule pods")) }
        var reasons: [String: Int] = [:]
        var best: (place: Int, score: Double)?
        var feasible = 0
        for step in slots.indices {
            let place = (cursor + step) % slots.count
            if !pod.spec.hostPorts.isEmpty, slots[place].ports == nil {
                let keys = index.podsByNode[slots[place].facts.name] ?? []
                slots[place].ports = Set(keys.flatMap { index.pods[$0]?.spec.hostPorts ?? [] })
            }
            let found = obstacles(pod, slots[place], &domains)
            if found.isEmpty {
                let score = Self.freeShare(slots[place])
                if best.map({ score > $0.score }) ?? true { best = (place, score) }
                feasible += 1
                if feasible >= sample { break }
            }
            for reason in found { reasons[reason, default: 0] += 1 }
        }
        if let best {
            cursor = (cursor + feasible) % slots.count
            return .success(best.place)
        }
        let listed = reasons.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
        return .failure(Refusal(message: "0/\(slots.count) nodes are available: \(listed)."))
    }

    /// Why the pod cannot run there, in the real scheduler's words; empty if it can.
    private func obstacles(_ pod: PodFacts, _ slot: Slot, _ domains: inout TopologyCounts) -> [String] {
        let node = slot.facts
        let spec = pod.spec
        if node.isUnschedulable {
            let taint = Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)
            if !spec.tolerations.contains(where: { $0.tolerates(taint) }) { return ["node(s) were unschedulable"] }
        }
        for taint in node.taints
        where taint.effect != .preferNoSchedule && !spec.tolerations.contains(where: { $0.tolerates(taint) }) {
            return ["node(s) had taint {\(taint.key): \(taint.value)}, that the pod didn't tolerate"]
        }
        let selected = spec.nodeSelector.allSatisfy { node.labels[$0.key] == $0.value }
        let attracted = spec.affinity.map { terms in
            terms.contains { $0.matches(labels: node.labels, nodeName: node.name) }
        }
        if !selected || attracted == false { return ["node(s) didn't match Pod's node affinity"] }
        if !spec.hostPorts.isEmpty, !(slot.ports ?? []).isDisjoint(with: spec.hostPorts) {
            return ["node(s) didn't have free ports for the requested pod ports"]
        }
        let lacking = Self.lacking(spec.requests, slot)
        if !lacking.isEmpty { return lacking }
        return domains.obstacle(pod, node: node).map { [$0] } ?? []
    }

    private static func lacking(_ wanted: ResourceList, _ slot: Slot) -> [String] {
        var found: [String] = []
        let have = slot.facts.allocatable
        if slot.used.pods + 1 > have.pods { found.append("Too many pods") }
        if wanted.cpuMillis > 0, slot.used.cpuMillis + wanted.cpuMillis > have.cpuMillis {
            found.append("Insufficient cpu")
        }
        if wanted.memoryBytes > 0, slot.used.memoryBytes + wanted.memoryBytes > have.memoryBytes {
            found.append("Insufficient memory")
        }
        if wanted.ephemeralStorageBytes > 0,
            slot.used.ephemeralStorageBytes + wanted.ephemeralStorageBytes > have.ephemeralStorageBytes
        {
            found.append("Insufficient ephemeral-storage")
        }
        for (name, amount) in wanted.extended
        where amount > 0 && (slot.used.extended[name] ?? 0) + amount > (have.extended[name] ?? 0) {
            found.append("Insufficient \(name)")
        }
        return found
    }

    private static func freeShare(_ slot: Slot) -> Double {
        func free(_ used: Int64, _ have: Int64) -> Double { have > 0 ? Double(have - used) / Double(have) : 0 }
        return free(slot.used.cpuMillis, slot.facts.allocatable.cpuMillis)
            + free(slot.used.memoryBytes, slot.facts.allocatable.memoryBytes)
    }

    private mutating func bind(_ pod: PodFacts, to node: String, store: inout KubernetesStore, at now: Timestamp) {
        store.update(.pod, pod.key) { value in
            value.set("spec", "nodeName", to: .string(node))
            let conditions = value[path: "status", "conditions"]?.arrayValue ?? []
            let scheduled = PodObjects.condition("PodScheduled", true, at: now)
            value.set("status", "conditions", to: .array(PodObjects.setting(scheduled, in: conditions)))
        }
    }

    private mutating func refuse(_ pod: PodFacts, _ message: String, store: inout KubernetesStore, at now: Timestamp) {
        waiting.insert(pod.key)
        guard pod.schedulingMessage != message else { return }
        let changed = store.update(.pod, pod.key) { value in
            let conditions = value[path: "status", "conditions"]?.arrayValue ?? []
            let condition = PodObjects.condition(
                "PodScheduled", false, at: now, reason: "Unschedulable", message: message)
            value.set("status", "conditions", to: .array(PodObjects.setting(condition, in: conditions)))
        }
        // One Event a pod, not one a try: the real one counts them up.
        if let changed, pod.schedulingMessage == nil {
            store.recordEvent(
                about: changed, .pod, type: "Warning", reason: "FailedScheduling", message: message,
                component: "default-scheduler", suffix: random.hexadecimal(16), at: now)
        }
    }
}
