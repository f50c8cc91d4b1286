import Messages

/// What a node predicate says of a node, in the scheduler's order of checks.
enum Verdict: UInt8, Sendable {
    case unknown, fits, unschedulable, nodeName, taint, affinity, volume, claim

    var reason: Reason {
        switch self {
        case .unknown, .fits: .fitsExisting
        case .unschedulable: .nodeUnschedulable
        case .nodeName: .nodeNameMismatch
        case .taint: .taintNotTolerated
        case .affinity: .nodeAffinityMismatch
        case .volume: .volumeZoneConflict
        case .claim: .claimMissing
        }
    }
}

/// What many nodes share: labels without the host name, taints that keep pods away, and whether it is cordoned.
struct NodeClass: Hashable, Sendable {
    static let hostLabel = "kubernetes.io/hostname"

    var labels: [String: String]
    var taints: [Taint]
    var unschedulable: Bool

    init(labels: [String: String], taints: [Taint], unschedulable: Bool) {
        var labels = labels
        labels[Self.hostLabel] = nil
        self.labels = labels
        self.taints = taints.filter { $0.effect != .preferNoSchedule }
            .sorted { ($0.key, $0.value, $0.effect.rawValue) < ($1.key, $1.value, $1.effect.rawValue) }
        self.unschedulable = unschedulable
    }
}

/// What a pod demands of a node regardless of other pods. Pods share predicates, nodes share classes, so that each pair is
/// evaluated once.
struct Predicate: Hashable, Sendable {
    var selector: [String: String] = [:]
    var affinity: [NodeSelectorTerm]?
    /// Nil: taints are not looked at (topology spread with the policy Ignore).
    var tolerations: [Toleration]?
    /// Node affinities of bound volumes: each needs one of its terms.
    var volumes: [[NodeSelectorTerm]] = []
    var checksUnschedulable = false
    var claimMissing = false

    /// Whether it looks at what a node class leaves out: the host name label or the name.
    var isPerNode: Bool {
        func perNode(_ terms: [NodeSelectorTerm]) -> Bool {
            terms.contains { term in
                !term.fields.isEmpty || term.expressions.contains { $0.key == NodeClass.hostLabel }
            }
        }
        return selector[NodeClass.hostLabel] != nil || perNode(affinity ?? []) || volumes.contains(where: perNode)
    }

    func evaluate(_ node: NodeClass, host: String?, name: String) -> Verdict {
        if claimMissing { return .claim }
        if checksUnschedulable && node.unschedulable {
            guard let tolerations, tolerations.contains(where: { $0.tolerates(.cordon) }) else {
                return .unschedulable
            }
        }
        if let tolerations {
            for taint in node.taints where !tolerations.contains(where: { $0.tolerates(taint) }) { return .taint }
        }
        var labels = node.labels
        if let host { labels[NodeClass.hostLabel] = host }
        for (key, value) in selector where labels[key] != value { return .affinity }
        if let affinity, !affinity.contains(where: { $0.matches(labels: labels, nodeName: name) }) { return .affinity }
        for terms in volumes where !terms.contains(where: { $0.matches(labels: labels, nodeName: name) }) {
            return .volume
        }
        return .fits
    }
}

/// Which pods a term of pod affinity, or a topology spread constraint, is about.
struct PodMatcher: Hashable, Sendable {
    /// One part: pods in one of the namespaces whose labels match. A pod has to match every part.
    struct Part: Hashable, Sendable {
        /// Nil: every namespace.
        var namespaces: Set<String>?
        /// Nil matches none.
        var selector: LabelSelector?
    }

    var parts: [Part]

    func matches(_ shape: PodShape) -> Bool {
        parts.allSatisfy { part in
            guard let selector = part.selector else { return false }
            if let namespaces = part.namespaces, !namespaces.contains(shape.namespace) { return false }
            return selector.matches(shape.labels)
        }
    }
}

/// A count of pods per topology domain.
struct CounterSpec: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// Pods that match.
        case matching
        /// Pods that themselves have this required anti-affinity term.
        case carriers
        /// Pods that match and are not terminating, on nodes that satisfy the predicate and have all the keys.
        case spread(filter: Int, keys: [Int])
    }

    var kind: Kind
    var matcher: PodMatcher
    /// Number of the topology key; `Catalog.hostKey` is the host name.
    var key: Int
}
