/// A label selector; all requirements must hold. Empty matches everything.
public struct LabelSelector: Sendable, Hashable, Codable {
    /// Requirements, `matchLabels` included as `In` with one value.
    public var requirements: [Requirement]

    /// From requirements.
    public init(_ requirements: [Requirement] = []) {
        self.requirements = requirements
    }

    /// Whether `labels` satisfy every requirement.
    public func matches(_ labels: [String: String]) -> Bool {
        requirements.allSatisfy { $0.matches(labels) }
    }
}

/// One requirement on labels (or, in `matchFields`, on `metadata.name`).
public struct Requirement: Sendable, Hashable, Codable {
    /// Kubernetes' operators; `Gt` and `Lt` in node affinity only.
    public enum Operator: String, Sendable, Codable {
        case `in` = "In"
        case notIn = "NotIn"
        case exists = "Exists"
        case doesNotExist = "DoesNotExist"
        case greaterThan = "Gt"
        case lessThan = "Lt"
    }

    /// The label's key.
    public var key: String
    /// How it is compared.
    public var `operator`: Operator
    /// What it is compared with.
    public var values: [String]

    /// From its parts.
    public init(_ key: String, _ operator: Operator, _ values: [String] = []) {
        self.key = key
        self.operator = `operator`
        self.values = values
    }

    /// Whether `labels` satisfy it. `NotIn` and `DoesNotExist` hold for an absent key.
    public func matches(_ labels: [String: String]) -> Bool {
        let value = labels[key]
        switch `operator` {
        case .in: return value.map(values.contains) ?? false
        case .notIn: return value.map { !values.contains($0) } ?? true
        case .exists: return value != nil
        case .doesNotExist: return value == nil
        case .greaterThan: return compare(value, >)
        case .lessThan: return compare(value, <)
        }
    }

    private func compare(_ value: String?, _ holds: (Int64, Int64) -> Bool) -> Bool {
        guard let value, let left = Int64(value), values.count == 1, let right = Int64(values[0]) else { return false }
        return holds(left, right)
    }
}

/// One term of node affinity: all its requirements must hold. A term without any matches nothing.
public struct NodeSelectorTerm: Sendable, Hashable, Codable {
    /// On the node's labels.
    public var expressions: [Requirement]
    /// On the node's fields (`metadata.name`).
    public var fields: [Requirement]

    /// From its parts.
    public init(expressions: [Requirement] = [], fields: [Requirement] = []) {
        self.expressions = expressions
        self.fields = fields
    }

    /// Whether the node satisfies the term.
    public func matches(labels: [String: String], nodeName: String) -> Bool {
        if expressions.isEmpty && fields.isEmpty { return false }
        return expressions.allSatisfy { $0.matches(labels) }
            && fields.allSatisfy { $0.matches(["metadata.name": nodeName]) }
    }
}

/// A preferred node selector term.
public struct WeightedNodeTerm: Sendable, Hashable, Codable {
    /// 1…100.
    public var weight: Int32
    /// What is preferred.
    public var term: NodeSelectorTerm

    /// From its parts.
    public init(weight: Int32, term: NodeSelectorTerm) {
        self.weight = weight
        self.term = term
    }
}

/// A term of pod affinity or anti-affinity.
public struct PodAffinityTerm: Sendable, Hashable, Codable {
    /// Which pods it is about; nil matches none.
    public var selector: LabelSelector?
    /// In these namespaces.
    public var namespaces: [String]
    /// And in namespaces whose labels match; an empty selector means all. Nil: none beyond `namespaces`.
    /// When both are empty/nil, the pod's own namespace is meant.
    public var namespaceSelector: LabelSelector?
    /// Node label whose values are the domains.
    public var topologyKey: String
    /// Keys whose values are taken from the pod and added to the selector (`matchLabelKeys`).
    public var matchLabelKeys: [String]
    /// Weight of a preferred term; nil for a required one.
    public var weight: Int32?

    /// From its parts.
    public init(
        selector: LabelSelector?, namespaces: [String] = [], namespaceSelector: LabelSelector? = nil,
        topologyKey: String, matchLabelKeys: [String] = [], weight: Int32? = nil
    ) {
        self.selector = selector
        self.namespaces = namespaces
        self.namespaceSelector = namespaceSelector
        self.topologyKey = topologyKey
        self.matchLabelKeys = matchLabelKeys
        self.weight = weight
    }
}

/// A topology spread constraint.
public struct TopologySpreadConstraint: Sendable, Hashable, Codable {
    /// How node affinity or taints of the pod bear on which domains count.
    public enum NodePolicy: String, Sendable, Codable {
        case honor = "Honor"
        case ignore = "Ignore"
    }

    /// Allowed difference between the fullest and the emptiest domain; at least 1.
    public var maxSkew: Int32
    /// Node label whose values are the domains.
    public var topologyKey: String
    /// True for `DoNotSchedule`, false for `ScheduleAnyway`.
    public var isHard: Bool
    /// Which pods are counted; nil matches none.
    public var selector: LabelSelector?
    /// Fewer domains than this count as a minimum of zero.
    public var minDomains: Int32?
    /// Default `Honor`.
    public var nodeAffinityPolicy: NodePolicy
    /// Default `Ignore`.
    public var nodeTaintsPolicy: NodePolicy
    /// Keys whose values are taken from the pod and added to the selector.
    public var matchLabelKeys: [String]

    /// From its parts.
    public init(
        maxSkew: Int32, topologyKey: String, isHard: Bool = true, selector: LabelSelector?, minDomains: Int32? = nil,
        nodeAffinityPolicy: NodePolicy = .honor, nodeTaintsPolicy: NodePolicy = .ignore, matchLabelKeys: [String] = []
    ) {
        self.maxSkew = maxSkew
        self.topologyKey = topologyKey
        self.isHard = isHard
        self.selector = selector
        self.minDomains = minDomains
        self.nodeAffinityPolicy = nodeAffinityPolicy
        self.nodeTaintsPolicy = nodeTaintsPolicy
        self.matchLabelKeys = matchLabelKeys
    }
}
