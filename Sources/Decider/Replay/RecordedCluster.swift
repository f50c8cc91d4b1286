import Messages

/// The cluster as it was recorded: the last word about each thing. Pure.
struct RecordedCluster: Sendable {
    private var feed = ClusterFeed()
    /// How many shapes were left when those that nothing has were last forgotten.
    private var shapesKept = 0

    private(set) var shapes: [Int: PodShape] = [:]
    /// Shapes that came since this was last taken: a recording of a day may bring many thousands.
    private var newShapes: [Int] = []
    private(set) var nodes: [String: Node] = [:]
    private(set) var pods: [String: Pod] = [:]
    private(set) var budgets: [String: Budget] = [:]
    private(set) var workloads: [String: Workload] = [:]
    private(set) var claims: [String: Claim] = [:]
    private(set) var namespaces: [String: Namespace] = [:]

    /// Whether a whole snapshot came.
    var isComplete: Bool { feed.isComplete }

    init() {}

    /// Takes a part of a snapshot; true when the snapshot is whole, and everything was replaced.
    mutating func apply(_ snapshot: ClusterSnapshot) -> Bool {
        guard case .whole(let parts) = feed.take(snapshot) else { return false }
        self = RecordedCluster(whole: parts, feed)
        return true
    }

    private init(whole: [ClusterSnapshot], _ feed: ClusterFeed) {
        self.feed = feed
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

    /// Takes a delta. After a gap the next snapshot has to be waited for.
    mutating func apply(_ delta: ClusterDelta) -> ClusterFeed.DeltaStep {
        let step = feed.take(delta)
        guard step == .changed else { return step }
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
        return step
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
            $0.key == RemovalNames.taint || $0.key == Taint.cordon.key
        }
        node.labels[RemovalNames.excludeFromLoadBalancers] = nil
        node.unschedulable = false
        return node
    }
}
