import Messages

/// Cuts a snapshot into parts of a bounded size, in the order in which things are added.
struct SnapshotParts {
    private let empty: ClusterSnapshot
    private let targetBytes: Int
    private var full: [ClusterSnapshot] = []
    private var current: ClusterSnapshot
    private var bytes = 0

    init(_ empty: ClusterSnapshot, targetBytes: Int) {
        self.empty = empty
        self.targetBytes = targetBytes
        current = empty
    }

    /// Adds an object of about so many bytes.
    mutating func add<Object>(_ object: Object, _ place: WritableKeyPath<ClusterSnapshot, [Object]>, _ size: Int) {
        if bytes > 0, bytes + size > targetBytes {
            full.append(current)
            current = empty
            bytes = 0
        }
        current[keyPath: place].append(object)
        bytes += size
    }

    /// The parts, numbered; at least one.
    var finished: [ClusterSnapshot] {
        var parts = full + [current]
        for index in parts.indices {
            parts[index].part = index
            parts[index].parts = parts.count
        }
        return parts
    }
}

/// About how many bytes objects take as JSON: exact enough to stay well below the limit of a message.
enum MessageSize {
    static func of(_ pod: Pod) -> Int {
        160 + pod.uid.utf8.count + pod.name.utf8.count + (pod.node?.utf8.count ?? 0)
            + pod.claims.reduce(0) { $0 + $1.utf8.count + 4 }
    }

    static func of(_ node: Node) -> Int {
        600 + of(node.labels) + of(node.annotations) + node.taints.count * 80 + (node.readinessReason?.utf8.count ?? 0)
            + node.name.utf8.count + (node.allocatable.extended.count + node.capacity.extended.count) * 48
    }

    static func of(_ shape: PodShape) -> Int {
        let affinity = shape.podAffinity + shape.podAntiAffinity
        let nodeTerms = (shape.nodeAffinity ?? []) + shape.preferredNodeAffinity.map(\.term)
        let placement =
            shape.tolerations.count * 128 + nodeTerms.reduce(0) { $0 + of($1) }
            + affinity.reduce(0) { $0 + 200 + of($1.selector) + of($1.namespaceSelector) }
            + shape.topologySpread.reduce(0) { $0 + 240 + of($1.selector) }
        return 700 + of(shape.labels) + of(shape.annotations) + of(shape.nodeSelector) + placement
            + shape.localVolumes.count * 80 + shape.hostPorts.count * 60 + shape.requests.extended.count * 48
    }

    static func of(_ workload: Workload) -> Int {
        200 + workload.namespace.utf8.count + workload.name.utf8.count
    }

    static func of(_ target: ScaleTarget) -> Int {
        360 + target.namespace.utf8.count + target.name.utf8.count + of(target.labels) + of(target.selector)
    }

    static func of(_ scaler: PodScaler) -> Int {
        900 + of(scaler.targetSelector) + of(scaler.monitorSelector) + (scaler.mistake?.utf8.count ?? 0)
            + (scaler.intentions.count + scaler.values.count) * 200
            + (scaler.scaleUp.policies.count + scaler.scaleDown.policies.count) * 80
    }

    static func of(_ autoscaler: PodAutoscaler) -> Int {
        200 + autoscaler.namespace.utf8.count + autoscaler.name.utf8.count + autoscaler.target.name.utf8.count
    }

    static func of(_ budget: Budget) -> Int {
        160 + budget.namespace.utf8.count + budget.name.utf8.count + of(budget.selector)
    }

    static func of(_ claim: ObservedClaim) -> Int {
        320 + claim.namespace.utf8.count + claim.name.utf8.count
    }

    static func of(_ namespace: Namespace) -> Int {
        40 + namespace.name.utf8.count + of(namespace.labels)
    }

    private static func of(_ labels: [String: String]) -> Int {
        labels.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count + 12 }
    }

    private static func of(_ selector: LabelSelector?) -> Int {
        selector?.requirements.reduce(40) { $0 + of($1) } ?? 0
    }

    private static func of(_ term: NodeSelectorTerm) -> Int {
        (term.expressions + term.fields).reduce(60) { $0 + of($1) }
    }

    private static func of(_ requirement: Requirement) -> Int {
        requirement.values.reduce(80 + requirement.key.utf8.count) { $0 + $1.utf8.count + 6 }
    }
}
