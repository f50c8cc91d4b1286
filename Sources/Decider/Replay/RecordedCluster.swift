import Messages

/// The cluster as it was recorded: the last word about each thing. Pure.
struct RecordedCluster: Sendable {
    private(set) var epoch = ""
    private var sequence: Int64 = 0
    /// How many shapes were left when those that nothing has were last forgotten.
    private var shapesKept = 0
    private(set) var isComplete = false
    private var parts: [ClusterSnapshot] = []

    private(set) var shapes: [Int: PodShape] = [:]
    /// Shapes that came since this was last taken: a recording of a day may bring many thousands.
    private var newShapes: [Int] = []
    private(set) var nodes: [String: Node] = [:]
    private(set) var pods: [String: Pod] = [:]
    private(set) var budgets: [String: Budget] = [:]
    private(set) var workloads: [String: Workload] = [:]
    private(set) var claims: [String: Claim] = [:]
    private(set) var namespaces: [String: Namespace] = [:]

    /// Takes a part of a snapshot; true when the snapshot is whole, and everything was replaced.
    mutating func apply(_ snapshot: ClusterSnapshot) -> Bool {
        if snapshot.part == 0 { parts = [] }
        guard parts.count == snapshot.part,
            parts.first.map({ $0.epoch == snapshot.epoch && $0.sequence == snapshot.sequence }) ?? true
        else { return false }
        parts.append(snapshot)
        guard parts.count == snapshot.parts else { return false }
        self = RecordedCluster(whole: parts)
        return true
    }

    init() {}

    private init(whole: [ClusterSnapshot]) {
        epoch = whole[0].epoch
        sequence = whole[0].sequence
        isComplete = true
        for part in whole {
            for item in part.shapes { take(item) }
            for item in part.nodes { nodes[item.name] = item }
            for item in part.pods { pods[item.uid] = item }
            for item in part.budgets { budgets[item.id] = item }
            for item in part.workloads { workloads[item.id] = item }
            for item in part.claims { claims[item.id] = item }
            for item in part.namespaces { namespaces[item.name] = item }
        }
    }

    /// Takes a delta; false when something is missing before it, and the next snapshot has to be waited for.
    mutating func apply(_ delta: ClusterDelta) -> Bool {
        guard isComplete, delta.epoch == epoch else { return false }
        if delta.sequence <= sequence { return true }
        guard delta.sequence == sequence + 1 else { return false }
        sequence = delta.sequence
        for item in delta.shapes { take(item) }
        for name in delta.removedNodes { nodes[name] = nil }
        for uid in delta.removedPods { pods[uid] = nil }
        for id in delta.removedBudgets { budgets[id] = nil }
        for id in delta.removedWorkloads { workloads[id] = nil }
        for id in delta.removedClaims { claims[id] = nil }
        for name in delta.removedNamespaces { namespaces[name] = nil }
        for item in delta.nodes { nodes[item.name] = item }
        for item in delta.pods { pods[item.uid] = item }
        for item in delta.budgets { budgets[item.id] = item }
        for item in delta.workloads { workloads[item.id] = item }
        for item in delta.claims { claims[item.id] = item }
        for item in delta.namespaces { namespaces[item.name] = item }
        forgetShapes()
        return true
    }

    private mutating func take(_ item: NumberedShape) {
        if shapes.updateValue(item.shape, forKey: item.id) != item.shape { newShapes.append(item.id) }
    }

    /// Shapes that nothing has any more never come back: the recorder's Collector gives a number once.
    private mutating func forgetShapes() {
        guard shapes.count > 1_000, shapes.count > 2 * shapesKept else { return }
        let used = Set(pods.values.map(\.shape)).union(workloads.values.compactMap(\.template))
        shapes = shapes.filter { used.contains($0.key) }
        shapesKept = shapes.count
    }

    /// What came since this was last asked, or all.
    mutating func takeShapes(all: Bool) -> [NumberedShape] {
        defer { newShapes = [] }
        return (all ? Array(shapes.keys) : newShapes).sorted()
            .compactMap { id in shapes[id].map { NumberedShape(id: id, shape: $0) } }
    }

    /// Whether a pod belongs to its node and not to the load: of a DaemonSet, or static.
    func isFixed(_ pod: Pod) -> Bool {
        guard let shape = shapes[pod.shape] else { return false }
        return shape.owner?.kind == "DaemonSet" || shape.annotations[RemovalNames.mirror] != nil
    }
}

extension Pod {
    /// Whether it has run to its end.
    var hasEnded: Bool { phase == .succeeded || phase == .failed }
}

extension Node {
    /// The node without the marks of a removal by Updraft.
    var unmarked: Node {
        guard isUnderRemoval else { return self }
        var node = self
        node.annotations[RemovalNames.record] = nil
        node.taints.removeAll {
            $0.key == RemovalNames.taint || $0.key == "node.kubernetes.io/unschedulable"
        }
        node.labels[RemovalNames.excludeFromLoadBalancers] = nil
        node.unschedulable = false
        return node
    }
}
