import Messages

/// Pods that run, by topology domain and class: for what pods would like to have near them, or not. Soft rules only break ties, so
/// these are not kept up to date as hard ones are but counted when a pod that waits has such a rule.
struct Neighbours {
    /// By topology key and its value: pods of each class.
    private var counts: [String: [String: [Int32]]] = [:]
    private let catalog: Catalog
    /// Topology keys of the soft rules of the classes asked for, where they have any.
    private var keysOf: [Int: Set<String>] = [:]
    /// What was worked out before: the pods that run stay the same for all options and rounds of a decision.
    private let known = Known()

    private final class Known {
        var leanings: [Place: Int64] = [:]
        var running: [Place: Int64] = [:]
    }

    /// A topology domain as a class of pods sees it.
    private struct Place: Hashable {
        var podClass: Int
        var key: String
        var value: String
    }

    /// Counts for the rules of these classes; nil when none of them has any.
    init?(_ model: ClusterModel, for classes: [Int]) {
        catalog = model.catalog
        for number in classes {
            let keys = Self.keys(model.catalog.classes[number].shape)
            if !keys.isEmpty { keysOf[number] = Set(keys) }
        }
        let keys = keysOf.values.reduce(into: Set<String>()) { $0.formUnion($1) }
        guard !keys.isEmpty else { return nil }
        for slot in model.order {
            guard let record = model.nodes[Int(slot)], !record.pods.isEmpty else { continue }
            for key in keys {
                guard let value = record.node.labels[key] else { continue }
                var known = counts[key]?[value] ?? [Int32](repeating: 0, count: catalog.classes.count)
                counts[key]?[value] = nil
                for index in record.pods {
                    if let pod = model.pods[Int(index)], model.holdsRoom(pod) { known[Int(pod.podClass)] += 1 }
                }
                counts[key, default: [:]][value] = known
            }
        }
    }

    /// Topology keys of a shape's soft rules on other pods. A new node has a host name of its own, and no neighbours there.
    private static func keys(_ shape: PodShape) -> [String] {
        let keys =
            shape.topologySpread.filter { !$0.isHard }.map(\.topologyKey)
            + (shape.podAffinity + shape.podAntiAffinity).filter { $0.weight != nil }.map(\.topologyKey)
        return keys.filter { $0 != NodeClass.hostLabel }
    }

    /// How much a pod of the class would like a new node with these labels: for each pod near it the weight of a preferred affinity,
    /// less that of a preferred anti-affinity, less one where a `ScheduleAnyway` spread counts it.
    func leaning(of podClass: Int, to labels: [String: String]) -> Int64 {
        let shape = catalog.classes[podClass].shape
        var sum: Int64 = 0
        for key in Set(Self.keys(shape)) {
            guard let value = labels[key], let pods = counts[key]?[value] else { continue }
            let place = Place(podClass: podClass, key: key, value: value)
            let leaning = known.leanings[place] ?? leaning(of: shape, key, among: pods)
            known.leanings[place] = leaning
            sum += leaning
        }
        return sum
    }

    /// The same of a pod that runs there and is among those counted: it is no neighbour of itself.
    func leaning(ofRunning podClass: Int, to labels: [String: String]) -> Int64 {
        guard let keys = keysOf[podClass] else { return 0 }
        let shape = catalog.classes[podClass].shape
        var sum: Int64 = 0
        for key in keys {
            guard let value = labels[key], var pods = counts[key]?[value] else { continue }
            let place = Place(podClass: podClass, key: key, value: value)
            if let leaning = known.running[place] {
                sum += leaning
                continue
            }
            if pods[podClass] > 0 { pods[podClass] -= 1 }
            let leaning = leaning(of: shape, key, among: pods)
            known.running[place] = leaning
            sum += leaning
        }
        return sum
    }

    /// What the rules with one topology key come to in one domain. `pods`: how many of each class run there.
    private func leaning(of shape: PodShape, _ key: String, among pods: [Int32]) -> Int64 {
        func count(_ matcher: PodMatcher) -> Int64 {
            pods.indices.reduce(0) { sum, number in
                pods[number] > 0 && matcher.matches(catalog.classes[number].shape) ? sum + Int64(pods[number]) : sum
            }
        }
        var sum: Int64 = 0
        for term in shape.podAffinity where term.topologyKey == key {
            if let weight = term.weight { sum += Int64(weight) * count(catalog.matcher(term, shape)) }
        }
        for term in shape.podAntiAffinity where term.topologyKey == key {
            if let weight = term.weight { sum -= Int64(weight) * count(catalog.matcher(term, shape)) }
        }
        for constraint in shape.topologySpread where !constraint.isHard && constraint.topologyKey == key {
            sum -= count(catalog.matcher(constraint, shape))
        }
        return sum
    }
}

extension PodShape {
    /// How much a pod would like a node for what the node is: weights of the preferred node affinity that it meets, less 100 for each
    /// `PreferNoSchedule` taint that the pod does not tolerate.
    func liking(labels: [String: String], name: String, softTaints: [Taint]) -> Int64 {
        var sum: Int64 = 0
        for term in preferredNodeAffinity where term.term.matches(labels: labels, nodeName: name) {
            sum += Int64(term.weight)
        }
        for taint in softTaints where !tolerations.contains(where: { $0.tolerates(taint) }) { sum -= 100 }
        return sum
    }
}
