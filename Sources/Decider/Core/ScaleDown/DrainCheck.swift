import Messages
import Support

/// What draining a node means for its pods.
struct DrainOutcome: Sendable {
    /// Pods to move, by record.
    var evict: [Int32] = []
    /// DaemonSet pods: they end with the node.
    var daemonSetPods: [Int32] = []
    /// Pods that the node waits for: they are not moved, and it goes when they are done.
    var waitsFor: [Int32] = []
    /// The pod that holds the node, and why.
    var blocking: (pod: Int32, reason: Explanation)?

    /// Whether no pod holds the node for good.
    var isDrainable: Bool { blocking == nil }
}

/// Room left in the disruption budgets, used up node by node.
struct BudgetTracker: Sendable {
    private var remaining: [String: Int32]
    private let budgets: [Budget]
    private var byNamespace: [String: [Int]] = [:]

    init(_ budgets: [Budget]) {
        self.budgets = budgets.sorted { $0.id < $1.id }
        remaining = [:]
        for (index, budget) in self.budgets.enumerated() {
            // What its controller has not looked at yet allows nothing: the eviction API refuses as well.
            remaining[budget.id] = budget.isCurrent ? budget.disruptionsAllowed : 0
            byNamespace[budget.namespace, default: []].append(index)
        }
    }

    var isEmpty: Bool { budgets.isEmpty }

    func matching(_ shape: PodShape) -> [Budget] {
        guard let indices = byNamespace[shape.namespace] else { return [] }
        return indices.map { budgets[$0] }.filter { $0.selector?.matches(shape.labels) ?? false }
    }

    /// The budget that has no room for one more pod of the shape.
    func exhausted(_ shape: PodShape) -> Budget? {
        matching(shape).first { (remaining[$0.id] ?? 0) < 1 }
    }

    /// Uses up a disruption for each pod, as far as there are any. A node whose pods need more than a budget has goes all the
    /// same, one pod after the other as their owner replaces them (the peer's rule); the next node with such pods waits.
    mutating func take(_ shapes: [PodShape]) {
        guard !budgets.isEmpty else { return }
        for shape in shapes {
            for budget in matching(shape) { remaining[budget.id] = max(0, (remaining[budget.id] ?? 0) - 1) }
        }
    }
}

/// The drain rules that users of cluster-autoscaler rely on, in its order; the first that decides wins.
struct DrainCheck {
    let rules: DrainRules
    let now: Timestamp
    let budgets: BudgetTracker
    /// Whether an exhausted budget holds the node. Not for one that is being drained: it waits for the budget there.
    var waitsForBudgets = true
    /// The peer's to the letter: pods in the order of the list (of their uids), and every ReplicaSet is told. Ours: in the order
    /// of their names, and emptied ReplicaSets are left out.
    var isPeers = false
    /// The node goes anyway: what would have kept it moves as well.
    var goesAnyway = false

    private static let prefix = "cluster-autoscaler.kubernetes.io/"
    static let doNotDisrupt = "updraft.io/do-not-disrupt"

    private enum Decision {
        case ignore
        case evict
        case daemonSet
        case waits
        case blocks(Explanation)
    }

    func check(_ slot: Int, _ model: ClusterModel) -> DrainOutcome {
        var outcome = DrainOutcome()
        guard let record = model.nodes[slot] else { return outcome }
        for (_, index) in ordered(record.pods, model) {
            guard let pod = model.pods[Int(index)] else { continue }
            // A pod below the cut-off holds neither room nor its node.
            if let priority = model.catalog.classes[Int(pod.podClass)].shape.priority,
                priority < model.expendableCutoff
            {
                continue
            }
            switch decide(pod, model.catalog.classes[Int(pod.podClass)], model) {
            case .ignore: break
            case .evict: outcome.evict.append(index)
            case .daemonSet: outcome.daemonSetPods.append(index)
            case .waits: outcome.waitsFor.append(index)
            case .blocks where goesAnyway: outcome.evict.append(index)
            case .blocks(let reason):
                return DrainOutcome(blocking: (index, reason))
            }
        }
        return outcome
    }

    /// In the order of their names, so that the pod that is named does not depend on the order of messages. (Each is looked
    /// up once: a comparison that did so would pay for the whole model each time.)
    private func ordered(_ pods: [Int32], _ model: ClusterModel) -> [(mark: String, pod: Int32)] {
        var marked: [(mark: String, pod: Int32)] = []
        marked.reserveCapacity(pods.count)
        for index in pods {
            guard let pod = model.pods[Int(index)] else { continue }
            marked.append((isPeers ? pod.uid : pod.name, index))
        }
        if marked.count > 1 { marked.sort { $0.mark < $1.mark } }
        return marked
    }

    /// Whether a pod's grace period, and half a minute, are long over.
    static func isLongTerminating(_ pod: PodRecord, _ shape: PodShape, _ now: Timestamp) -> Bool {
        guard let deleted = pod.deletedAt else { return false }
        return deleted + .seconds(Double(shape.gracePeriodSeconds)) + .seconds(30) < now
    }

    /// Whether its owner asks that it runs to its end.
    static func runsToItsEnd(_ shape: PodShape) -> Bool {
        shape.annotations[prefix + "safe-to-evict"] == "on-completion"
    }

    private func decide(_ pod: PodRecord, _ podClass: PodClass, _ model: ClusterModel) -> Decision {
        let shape = podClass.shape
        let safe = shape.annotations[Self.prefix + "safe-to-evict"]
        if podClass.isMirror { return .ignore }
        if Self.isLongTerminating(pod, shape, now) { return .ignore }
        if let missing = ownerProblem(pod, shape, model) { return .blocks(missing) }
        if podClass.isDaemonSet { return .daemonSet }
        if safe == "true" { return .evict }
        if isTerminal(pod, shape) { return .evict }
        if Self.runsToItsEnd(shape) { return .waits }
        if let problem = replicationProblem(shape) { return .blocks(problem) }
        if let problem = systemProblem(pod, shape) { return .blocks(problem) }
        if safe == "false" {
            return .blocks(Explanation(.notSafeToEvict, "\(Self.prefix)safe-to-evict is false"))
        }
        if let until = Self.disruptionForbidden(shape.annotations, now) {
            return .blocks(Explanation(.doNotDisrupt, until))
        }
        if let problem = storageProblem(shape) { return .blocks(problem) }
        if waitsForBudgets, let budget = budgets.exhausted(shape) {
            let why = budget.isCurrent ? "allows no disruption" : "was changed and is not worked out yet"
            return .blocks(Explanation(.notEnoughBudget, "PodDisruptionBudget \(budget.id) \(why)"))
        }
        return .evict
    }

    /// `updraft.io/do-not-disrupt`: `true`, or the time until which it holds. Nil when it does not hold.
    static func disruptionForbidden(_ annotations: [String: String], _ now: Timestamp) -> String? {
        guard let value = annotations[doNotDisrupt], value != "false" else { return nil }
        guard let until = Timestamp(value) else { return "\(doNotDisrupt) is \(value.prefix(60))" }
        return now < until ? "\(doNotDisrupt) until \(until)" : nil
    }

    private func ownerProblem(_ pod: PodRecord, _ shape: PodShape, _ model: ClusterModel) -> Explanation? {
        guard rules.customControllersHold, rules.looksUpOwners, let owner = shape.owner else { return nil }
        guard ["ReplicationController", "ReplicaSet", "DaemonSet", "Job", "StatefulSet"].contains(owner.kind) else {
            return nil
        }
        guard let workload = model.workloads["\(owner.kind)/\(shape.namespace)/\(owner.name)"] else {
            // Emptied ReplicaSets, of which Deployments keep ten each, are not told: that one is not known says something
            // only of a pod that it would count.
            let isCounted = !pod.isTerminating && pod.phase != .failed && pod.phase != .succeeded
            if owner.kind == "ReplicaSet" && !isCounted && !isPeers { return nil }
            return Explanation(.controllerNotFound, "\(owner.kind) \(owner.name) does not exist")
        }
        if owner.kind == "ReplicationController" || owner.kind == "ReplicaSet",
            workload.replicas < rules.minimumReplicas
        {
            return Explanation(
                .minReplicasReached,
                "\(owner.kind) \(owner.name) has \(workload.replicas) replicas, less than \(rules.minimumReplicas)")
        }
        return nil
    }

    private func isTerminal(_ pod: PodRecord, _ shape: PodShape) -> Bool {
        switch pod.phase {
        case .failed: true
        case .succeeded: shape.restartPolicy != "Always"
        case .pending, .running, .unknown: false
        }
    }

    private func replicationProblem(_ shape: PodShape) -> Explanation? {
        guard let owner = shape.owner else { return Explanation(.notReplicated, "no controller would replace it") }
        let known = ["ReplicationController", "Job", "ReplicaSet", "StatefulSet"]
        guard rules.customControllersHold, !known.contains(owner.kind) else { return nil }
        return Explanation(.notReplicated, "controller kind \(owner.kind) is not known to replace it")
    }

    private func systemProblem(_ pod: PodRecord, _ shape: PodShape) -> Explanation? {
        guard rules.systemPodsHold, shape.namespace == "kube-system", budgets.matching(shape).isEmpty else {
            return nil
        }
        // A pod of unknown age holds its node.
        let isOld = pod.createdAt.microseconds != 0 && pod.createdAt + rules.systemPodTimeout < now
        if isOld { return nil }
        return Explanation(.unmovableKubeSystemPod, "in kube-system, without PodDisruptionBudget")
    }

    private func storageProblem(_ shape: PodShape) -> Explanation? {
        guard rules.localStorageHolds, !shape.localVolumes.isEmpty else { return nil }
        let allowed = (shape.annotations[Self.prefix + "safe-to-evict-local-volumes"] ?? "")
            .split(separator: ",").map { $0.drop { $0 == " " } }
        let held = shape.localVolumes.first { volume in
            volume.kind != "emptyDirMemory" && !allowed.contains(where: { $0 == volume.name })
        }
        return held.map { Explanation(.localStorageRequested, "volume \($0.name) (\($0.kind)) would be lost") }
    }
}
