import Messages

/// Pods per topology domain, for affinity, anti-affinity and spread. Counted when first asked for, then kept up with
/// each placement of the turn.
struct TopologyCounts: Sendable {
    private struct Question: Hashable, Sendable {
        var selector: LabelSelector?
        var namespaces: [String]
        var key: String
    }

    private let index: ClusterIndex
    private var counts: [Question: [String: Int]] = [:]
    /// Anti-affinity of pods that have a place: the domains it forbids to pods that fit the question.
    private var forbidden: [Question: Set<String>]?

    init(index: ClusterIndex) {
        self.index = index
    }

    /// Why `pod` may not share its domains with those on `node`; nil if it may.
    mutating func obstacle(_ pod: PodFacts, node: NodeFacts) -> String? {
        for term in pod.spec.antiAffinity {
            guard let domain = node.labels[term.topologyKey] else { continue }
            if count(question(term, pod))[domain, default: 0] > 0 {
                return "node(s) didn't match pod anti-affinity rules"
            }
        }
        for term in pod.spec.podAffinity {
            let question = question(term, pod)
            let found = count(question)
            let matchesItself =
                question.namespaces.contains(pod.namespace) && (question.selector?.matches(pod.labels) ?? false)
            let isFirst = found.values.allSatisfy { $0 == 0 } && matchesItself
            guard let domain = node.labels[term.topologyKey], found[domain, default: 0] > 0 || isFirst else {
                return "node(s) didn't match pod affinity rules"
            }
        }
        for constraint in pod.spec.spread {
            guard let domain = node.labels[constraint.topologyKey] else {
                return "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            let found = count(
                Question(selector: constraint.selector, namespaces: [pod.namespace], key: constraint.topologyKey))
            let domains = Set(index.nodes.values.compactMap { $0.labels[constraint.topologyKey] })
            let least = domains.map { found[$0, default: 0] }.min() ?? 0
            let itself = constraint.selector?.matches(pod.labels) ?? false ? 1 : 0
            if found[domain, default: 0] + itself - least > Int(constraint.maxSkew) {
                return "node(s) didn't match pod topology spread constraints"
            }
        }
        return forbidden(pod, node) ? "node(s) didn't satisfy existing pods anti-affinity rules" : nil
    }

    private mutating func forbidden(_ pod: PodFacts, _ node: NodeFacts) -> Bool {
        if forbidden == nil {
            forbidden = [:]
            for placed in index.pods.values where !placed.isTerminal && !placed.spec.antiAffinity.isEmpty {
                if let home = placed.node.flatMap({ index.nodes[$0] }) { forbid(placed, home) }
            }
        }
        return (forbidden ?? [:]).contains { question, domains in
            Self.fits(question, pod) && (node.labels[question.key].map(domains.contains) ?? false)
        }
    }

    private mutating func forbid(_ placed: PodFacts, _ node: NodeFacts) {
        for term in placed.spec.antiAffinity {
            guard let domain = node.labels[term.topologyKey] else { continue }
            let question = question(term, placed)
            forbidden?[question, default: []].insert(domain)
        }
    }

    /// `pod` has been given a place.
    mutating func add(_ pod: PodFacts, node: NodeFacts) {
        for question in counts.keys where Self.fits(question, pod) {
            if let domain = node.labels[question.key] { counts[question]?[domain, default: 0] += 1 }
        }
        if !pod.spec.antiAffinity.isEmpty { forbid(pod, node) }
    }

    private func question(_ term: PodAffinityTerm, _ pod: PodFacts) -> Question {
        Question(
            selector: term.selector, namespaces: term.namespaces.isEmpty ? [pod.namespace] : term.namespaces,
            key: term.topologyKey)
    }

    private static func fits(_ question: Question, _ pod: PodFacts) -> Bool {
        question.namespaces.contains(pod.namespace) && (question.selector?.matches(pod.labels) ?? false)
    }

    private mutating func count(_ question: Question) -> [String: Int] {
        if let known = counts[question] { return known }
        var found: [String: Int] = [:]
        for pod in index.pods.values where !pod.isTerminal && Self.fits(question, pod) {
            if let node = pod.node.flatMap({ index.nodes[$0] }), let domain = node.labels[question.key] {
                found[domain, default: 0] += 1
            }
        }
        counts[question] = found
        return found
    }
}
