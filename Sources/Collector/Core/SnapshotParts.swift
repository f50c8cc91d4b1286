import Messages

/// A snapshot cut into parts of a bounded size, in order. Those with pods are made when they are asked for, out of the
/// table as it was: all of them at once would take as much memory as the table itself.
public struct SnapshotParts: Sendable, RandomAccessCollection {
    /// Parts without pods, and one that may have some.
    private var finished: [ClusterSnapshot] = []
    private let empty: ClusterSnapshot
    private let targetBytes: Int
    private var bytes = 0
    private var pods = PiecedArray<ObservedTable<Pod>.Entry?>()
    /// Where the pods of each part end; those of the first are in the last of `finished`.
    private var ends: [Int] = []

    init(_ empty: ClusterSnapshot, targetBytes: Int) {
        self.empty = empty
        self.targetBytes = targetBytes
        finished = [empty]
    }

    /// Adds an object of about so many bytes.
    mutating func add<Object>(_ object: Object, _ place: WritableKeyPath<ClusterSnapshot, [Object]>, _ size: Int) {
        if bytes > 0, bytes + size > targetBytes {
            finished.append(empty)
            bytes = 0
        }
        finished[finished.count - 1][keyPath: place].append(object)
        bytes += size
    }

    /// Adds all pods; nothing may be added after them.
    mutating func add(_ table: ObservedTable<Pod>) {
        pods = table.entries
        for (place, entry) in pods.enumerated() {
            guard let entry else { continue }
            let size = MessageSize.of(entry.value)
            if bytes > 0, bytes + size > targetBytes {
                ends.append(place)
                bytes = 0
            }
            bytes += size
        }
        ends.append(pods.count)
    }

    /// The first part.
    public var startIndex: Int { 0 }

    /// The number of parts; at least one.
    public var endIndex: Int { finished.count + Swift.max(0, ends.count - 1) }

    /// A part, with its number and how many there are.
    public subscript(index: Int) -> ClusterSnapshot {
        var part = index < finished.count ? finished[index] : empty
        let slice = index - finished.count + 1
        if ends.indices.contains(slice) {
            let start = slice == 0 ? 0 : ends[slice - 1]
            part.pods = pods[start..<ends[slice]].compactMap { $0?.value }
        }
        part.part = index
        part.parts = endIndex
        return part
    }
}

extension SnapshotParts: Equatable {
    /// Whether they say the same in the same parts.
    public static func == (left: SnapshotParts, right: SnapshotParts) -> Bool { left.elementsEqual(right) }
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
            + (shape.containers?.count ?? 0) * 130
    }

    static func of(_ workload: Workload) -> Int {
        200 + workload.namespace.utf8.count + workload.name.utf8.count
    }

    static func of(_ target: ScaleTarget) -> Int {
        360 + target.namespace.utf8.count + target.name.utf8.count + of(target.labels) + of(target.selector)
    }

    static func of(_ scaler: PodScaler) -> Int {
        900 + of(scaler.targetSelector) + of(scaler.monitorSelector) + (scaler.mistake?.utf8.count ?? 0)
            + scaler.intentions.reduce(0) { $0 + 200 + $1.stat.utf8.count + ($1.container?.utf8.count ?? 0) }
            + scaler.values.reduce(0) { $0 + 200 + $1.stat.utf8.count }
            + (scaler.target.map { $0.apiVersion.utf8.count + $0.kind.utf8.count + $0.name.utf8.count } ?? 0)
            + (scaler.sources ?? []).reduce(0) { $0 + of($1) }
            + (scaler.scaleUp.policies.count + scaler.scaleDown.policies.count) * 80
    }

    private static func of(_ source: StatSource) -> Int {
        let rest =
            switch source.place {
            case .gnocchi(let place):
                place.match.reduce(place.metric.utf8.count + (place.resourceID?.utf8.count ?? 0)) {
                    $0 + $1.key.utf8.count + $1.value.utf8.count + 8
                }
            case .alarm(let place): (place.id?.utf8.count ?? 0) + (place.name?.utf8.count ?? 0)
            case .kubernetes(let place):
                place.metric.utf8.count + of(place.selector) + (place.object?.name.utf8.count ?? 0)
                    + (place.object?.kind.utf8.count ?? 0) + (place.object?.apiVersion.utf8.count ?? 0)
            }
        return 400 + source.stat.utf8.count + rest
    }

    static func of(_ autoscaler: PodAutoscaler) -> Int {
        200 + autoscaler.namespace.utf8.count + autoscaler.name.utf8.count + autoscaler.target.name.utf8.count
            + autoscaler.target.kind.utf8.count + autoscaler.target.apiVersion.utf8.count
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
