import Messages

/// Whether two groups are alike but for their place, so that nodes may be spread over them.
enum Similarity {
    /// What is compared of a group: a fresh node.
    struct Sample: Sendable {
        var labels: [String: String]
        var capacity: [String: Int64]
        var allocatable: [String: Int64]
        var free: [String: Int64]
    }

    private static let placeLabels: Set<String> = [
        "kubernetes.io/hostname", "topology.kubernetes.io/zone", "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
        "beta.kubernetes.io/fluentd-ds-ready", "kops.k8s.io/instancegroup",
    ]

    static func alike(_ left: Sample, _ right: Sample, _ rules: SimilarityRules) -> Bool {
        guard rules.labels.isEmpty else {
            return rules.labels.allSatisfy { left.labels[$0] != nil && left.labels[$0] == right.labels[$0] }
        }
        guard Set(left.capacity.keys) == Set(right.capacity.keys) else { return false }
        for (name, amount) in left.capacity {
            let other = right.capacity[name] ?? 0
            if name == "memory" {
                if !within(amount, other, rules.memoryCapacityRatio) { return false }
            } else if amount != other {
                return false
            }
        }
        guard close(left.allocatable, right.allocatable, rules.allocatableRatio),
            close(left.free, right.free, rules.freeRatio)
        else { return false }
        return plain(left.labels, rules) == plain(right.labels, rules)
    }

    private static func close(_ left: [String: Int64], _ right: [String: Int64], _ ratio: Double) -> Bool {
        guard Set(left.keys) == Set(right.keys) else { return false }
        return left.allSatisfy { within($0.value, right[$0.key] ?? 0, ratio) }
    }

    /// Whether the difference is at most `ratio` of the larger.
    private static func within(_ left: Int64, _ right: Int64, _ ratio: Double) -> Bool {
        let larger = Double(max(left, right))
        return larger - Double(min(left, right)) <= larger * ratio
    }

    private static func plain(_ labels: [String: String], _ rules: SimilarityRules) -> [String: String] {
        labels.filter { !placeLabels.contains($0.key) && !rules.ignoredLabels.contains($0.key) }
    }

    static func sample(of template: NodeTemplate, _ catalog: Catalog) -> Sample {
        func named(_ vector: [Int64]) -> [String: Int64] {
            var result: [String: Int64] = [:]
            for (dimension, amount) in vector.enumerated() where amount != 0 || dimension < 2 {
                result[catalog.resources[dimension]] = amount
            }
            return result
        }
        return Sample(
            labels: catalog.nodeClasses[template.nodeClass].labels, capacity: named(template.capacity),
            allocatable: named(template.allocatable), free: named(template.free))
    }
}
