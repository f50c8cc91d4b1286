import JSONReader
import Messages
import Support

/// A simple controller manager: keeps replicas, budgets' status, DaemonSets, taints of nodes, and collects orphans.
///
/// Changes mark what they touch; a moment later it is set right. Nothing is scanned that no change touched.
struct ControllerModel: Sendable {
    /// From a change until the controllers look.
    var latency: Interval = .milliseconds(5)
    /// From a Node's deletion until its pods are removed by force.
    var collectionDelay: Interval = .seconds(20)

    /// A pending later act.
    enum Later: Sendable {
        case collectPods(node: String)
        case evictByTaint(pod: String, uid: String)
    }

    /// Owners by uid, with the key that finds them.
    private var owners: [String: (kind: KubernetesKind, key: String)] = [:]
    /// ReplicaSets of Deployments, by the Deployment's uid.
    private(set) var replicaSets: [String: Set<String>] = [:]
    private var dirtyOwners: [String: KubernetesKind] = [:]
    private var dirtyBudgets: Set<String> = []
    private var dirtyNodes: Set<String> = []
    /// Owners that are gone and whose dependents go after them.
    private var goneOwners: [String] = []
    private var due: Timestamp?
    private var later = DeadlineQueue<Later>()
    /// Pod specs ready for use, by owner uid and generation.
    private var specs: [String: (generation: Int64, spec: JSONValue)] = [:]
    /// Owners reconciled in one turn at most, so that requests come through in between.
    private let batch = 200

    init() {}

    /// When it acts next.
    var nextDeadline: Timestamp? {
        switch (due, later.next) {
        case (let first?, let second?): return min(first, second)
        case (let first, let second): return first ?? second
        }
    }

    /// The owner with this uid.
    func owner(_ uid: String) -> (kind: KubernetesKind, key: String)? { owners[uid] }

    // MARK: Observing

    /// A change of the store.
    mutating func observe(_ change: StoreChange, _ difference: ClusterIndex.Difference, at now: Timestamp) {
        switch change.kind {
        case .pod:
            for pod in [difference.oldPod, difference.newPod].compactMap({ $0 }) {
                if let owner = pod.ownerUID.flatMap({ owners[$0] }) { touch(owner.kind, owner.key, at: now) }
                dirtyBudgets.insert(pod.namespace)
            }
            if let pod = difference.newPod, let node = pod.node, difference.oldPod?.node == nil {
                // May have landed on a node with a NoExecute taint.
                dirtyNodes.insert(node)
            }
            wake(at: now)
        case .replicaSet, .replicationController, .statefulSet, .daemonSet, .deployment, .job:
            observeOwner(change, at: now)
        case .podDisruptionBudget:
            dirtyBudgets.insert(change.new.namespace)
            wake(at: now)
        case .node:
            observeNode(change, difference, at: now)
        default: break
        }
    }

    private mutating func observeOwner(_ change: StoreChange, at now: Timestamp) {
        let object = change.new
        if change.action == .deleted {
            owners[object.uid] = nil
            specs[object.uid] = nil
            goneOwners.append(object.uid)
            wake(at: now)
        } else {
            owners[object.uid] = (change.kind, change.key)
        }
        if change.kind == .replicaSet,
            let parent = object.value[path: "metadata", "ownerReferences"]?.arrayValue?.first?["uid"]?.stringValue
        {
            if change.action == .deleted {
                replicaSets[parent]?.remove(change.key)
            } else {
                replicaSets[parent, default: []].insert(change.key)
            }
            if let deployment = owners[parent] { touch(deployment.kind, deployment.key, at: now) }
        }
        if change.action != .deleted || change.kind != .deployment { touch(change.kind, change.key, at: now) }
        dirtyBudgets.insert(object.namespace)
    }

    private mutating func observeNode(
        _ change: StoreChange, _ difference: ClusterIndex.Difference, at now: Timestamp
    ) {
        if change.action == .deleted {
            later.add(.collectPods(node: change.key), due: now + collectionDelay)
            return
        }
        guard let new = difference.newNode, difference.oldNode.map({ new.differs(from: $0) }) ?? true else { return }
        dirtyNodes.insert(change.key)
        wake(at: now)
    }

    private mutating func touch(_ kind: KubernetesKind, _ key: String, at now: Timestamp) {
        dirtyOwners["\(kind.rawValue)|\(key)"] = kind
        wake(at: now)
    }

    private mutating func wake(at now: Timestamp) {
        if due == nil { due = now + latency }
    }

    // MARK: Acting

    /// Sets right what changes have touched.
    mutating func advance(to now: Timestamp, store: inout KubernetesStore, index: ClusterIndex) {
        while let act = later.pop(due: now) { carryOut(act, store: &store, index: index, at: now) }
        guard let due, due <= now else { return }
        self.due = nil
        collectDependents(store: &store, index: index, at: now)
        for name in dirtyNodes { reconcileNode(name, store: &store, index: index, at: now) }
        dirtyNodes = []
        for (mark, kind) in dirtyOwners.sorted(by: { $0.key < $1.key }).prefix(batch) {
            dirtyOwners[mark] = nil
            let key = String(mark.dropFirst(kind.rawValue.count + 1))
            let isUnfinished = reconcile(kind, key, store: &store, index: index, at: now)
            if isUnfinished { dirtyOwners[mark] = kind }
        }
        for namespace in dirtyBudgets { reconcileBudgets(namespace, store: &store, index: index, at: now) }
        dirtyBudgets = []
        if !dirtyOwners.isEmpty { self.due = now + .milliseconds(1) }
    }

    /// What an owner that is gone had made goes after it.
    private mutating func collectDependents(store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp) {
        for uid in goneOwners {
            for key in index.podsByOwner[uid] ?? [] { store.deletePod(key, grace: nil, at: now) }
            for key in replicaSets.removeValue(forKey: uid) ?? [] { store.remove(.replicaSet, key) }
        }
        goneOwners = []
    }

    private mutating func carryOut(
        _ act: Later, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) {
        switch act {
        case .collectPods(let node):
            guard index.nodes[node] == nil else { return }
            for key in index.podsByNode[node] ?? [] { store.remove(.pod, key) }
        case .evictByTaint(let key, let uid):
            guard let pod = index.pods[key], pod.uid == uid, pod.deletion == nil,
                let node = pod.node.flatMap({ index.nodes[$0] }),
                Self.endurance(of: pod, node.taints) != nil
            else { return }
            store.deletePod(key, grace: nil, at: now)
        }
    }

    /// How many seconds a pod bears a node's NoExecute taints; nil: for ever.
    static func endurance(of pod: PodFacts, _ taints: [Taint]) -> Int64? {
        var least: Int64?
        for taint in taints where taint.effect == .noExecute {
            let fitting = pod.spec.tolerations.filter { $0.tolerates(taint) }
            if fitting.isEmpty { return 0 }
            if let seconds = fitting.compactMap(\.seconds).min() { least = min(least ?? seconds, seconds) }
        }
        return least
    }

    /// Taints that follow from a node's state; pods that do not bear them are evicted in their time; DaemonSet pods.
    private mutating func reconcileNode(
        _ name: String, store: inout KubernetesStore, index: ClusterIndex, at now: Timestamp
    ) {
        guard let object = store.get(.node, name), let node = index.nodes[name] else { return }
        let ready = (object.value[path: "status", "conditions"]?.arrayValue ?? []).first {
            $0["type"]?.stringValue == "Ready"
        }?["status"]?.stringValue
        var wanted: [(String, String)] = []
        if node.isUnschedulable { wanted.append(("node.kubernetes.io/unschedulable", "NoSchedule")) }
        if ready == "False" || ready == "Unknown" {
            let key = ready == "False" ? "node.kubernetes.io/not-ready" : "node.kubernetes.io/unreachable"
            wanted += [(key, "NoSchedule"), (key, "NoExecute")]
        }
        let ours = ["unschedulable", "not-ready", "unreachable"].map { "node.kubernetes.io/\($0)" }
        let old = object.value[path: "spec", "taints"]?.arrayValue ?? []
        var taints = old.filter { taint in
            let key = taint["key"]?.stringValue ?? ""
            return !ours.contains(key) || wanted.contains { $0.0 == key && $0.1 == taint["effect"]?.stringValue }
        }
        for (key, effect) in wanted
        where !taints.contains(where: { $0["key"]?.stringValue == key && $0["effect"]?.stringValue == effect }) {
            taints.append(["key": .string(key), "effect": .string(effect), "timeAdded": .string(now.wholeSeconds)])
        }
        if taints != old {
            store.update(.node, name) { $0.set("spec", "taints", to: taints.isEmpty ? nil : .array(taints)) }
        }
        let current = taints.compactMap { Taint(json: $0) }
        if current.contains(where: { $0.effect == .noExecute }) {
            for key in index.podsByNode[name] ?? [] {
                guard let pod = index.pods[key], pod.isActive,
                    let seconds = Self.endurance(of: pod, current)
                else { continue }
                later.add(.evictByTaint(pod: key, uid: pod.uid), due: now + .seconds(Double(seconds)))
            }
        }
        for set in store.all(.daemonSet) { dirtyOwners["daemonsets|\(set.key)"] = .daemonSet }
    }

    /// The spec of an owner's pods, with everything filled in, made once per generation so that replicas share it.
    mutating func podSpec(_ owner: StoredObject, store: KubernetesStore) -> JSONValue {
        let generation = owner.value[path: "metadata", "generation"]?.intValue ?? 1
        if let known = specs[owner.uid], known.generation == generation { return known.spec }
        var priorities: [String: Int64] = [:]
        for entry in store.all(.priorityClass) { priorities[entry.name] = entry.value["value"]?.intValue }
        let spec = PodObjects.defaulted(
            owner.value[path: "spec", "template", "spec"] ?? .object([:]), priorities: priorities)
        specs[owner.uid] = (generation, spec)
        return spec
    }
}
