import Support

/// What a pod may claim when its node goes.
public struct PodTerms: Sendable, Hashable {
    /// How long it has after it was told, unless it asks for more.
    public var cooldown: Interval
    /// How much it may ask for in all, counted from the cordon of its node.
    public var maximumCooldown: Interval
    /// Whether its refusal cancels the removal.
    public var mayRefuse: Bool

    /// From its parts.
    public init(cooldown: Interval, maximumCooldown: Interval, mayRefuse: Bool) {
        self.cooldown = cooldown
        self.maximumCooldown = maximumCooldown
        self.mayRefuse = mayRefuse
    }
}

/// Terms for some pods (`notifier.policies`). All conditions that are given must hold.
public struct TermsRule: Sendable, Hashable {
    /// Namespaces; empty: all.
    public var namespaces: [Glob]
    /// The lowest `spec.priority`; nil: any.
    public var minimumPriority: Int?
    /// The highest `spec.priority`; nil: any.
    public var maximumPriority: Int?
    /// Labels that the pod must have.
    public var labels: [String: String]
    /// What such a pod may claim.
    public var terms: PodTerms

    /// From its parts.
    public init(
        namespaces: [Glob] = [], minimumPriority: Int? = nil, maximumPriority: Int? = nil,
        labels: [String: String] = [:], terms: PodTerms
    ) {
        self.namespaces = namespaces
        self.minimumPriority = minimumPriority
        self.maximumPriority = maximumPriority
        self.labels = labels
        self.terms = terms
    }

    /// Whether it is for this pod.
    public func matches(_ pod: NodePod) -> Bool {
        if !namespaces.isEmpty, !namespaces.contains(where: { $0.matches(pod.namespace) }) { return false }
        if let minimumPriority, pod.priority < minimumPriority { return false }
        if let maximumPriority, pod.priority > maximumPriority { return false }
        return labels.allSatisfy { pod.labels[$0.key] == $0.value }
    }
}

/// What pods may claim: the Notifier grants by it, and the Actuator believes no mark on a pod beyond it, for whoever may write
/// a pod's annotations may write those.
public struct PodPolicy: Sendable, Hashable {
    /// What pods may claim for which no rule is.
    public var terms: PodTerms
    /// What particular pods may claim: the first that matches counts.
    public var rules: [TermsRule]

    /// With the defaults of the configuration.
    public init(
        terms: PodTerms = PodTerms(cooldown: .seconds(60), maximumCooldown: .seconds(600), mayRefuse: false),
        rules: [TermsRule] = []
    ) {
        self.terms = terms
        self.rules = rules
    }

    /// What a pod may claim.
    public func terms(for pod: NodePod) -> PodTerms {
        rules.first { $0.matches(pod) }?.terms ?? terms
    }
}
