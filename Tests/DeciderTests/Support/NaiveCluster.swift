import Messages

@testable import Decider

/// The scheduler's hard constraints written down once more, slowly and without any index.
struct NaiveCluster {
    struct Machine {
        var name = ""
        var labels: [String: String]
        var taints: [Taint]
        var allocatable: ResourceList
        var pods: [PodShape] = []
    }

    /// Labels of the namespaces, for namespace selectors.
    static let namespaces: [String: [String: String]] = ["default": ["tier": "one"], "other": ["tier": "two"]]

    var machines: [Int: Machine]

    /// Why a pod may not run on the machine; nil when it may.
    func allows(_ shape: PodShape, on slot: Int) -> String? {
        guard let machine = machines[slot] else { return "no such node" }
        if let short = shortage(shape, machine) { return short }
        // A shape with this label has a claim that is bound in that zone.
        if let zone = shape.labels["claim"], machine.labels["topology.kubernetes.io/zone"] != zone { return "volume" }
        if !wants(shape, machine) { return "selector or node affinity" }
        if !tolerates(shape, machine) { return "taint" }
        for port in shape.hostPorts {
            if machine.pods.contains(where: { $0.hostPorts.contains { collide($0, port) } }) { return "port" }
        }
        for term in shape.podAntiAffinity {
            if pods(near: machine, term.topologyKey).contains(where: { isMeant($0, by: term, of: shape) }) {
                return "anti-affinity"
            }
        }
        for other in machines.values {
            for pod in other.pods {
                for term in pod.podAntiAffinity where isMeant(shape, by: term, of: pod) {
                    if let value = machine.labels[term.topologyKey], other.labels[term.topologyKey] == value {
                        return "anti-affinity of another"
                    }
                }
            }
        }
        if !shape.podAffinity.isEmpty && !together(shape, machine) { return "affinity" }
        for constraint in shape.topologySpread { if breaks(constraint, shape, machine) { return "spread" } }
        return nil
    }

    // MARK: The node alone

    private func shortage(_ shape: PodShape, _ machine: Machine) -> String? {
        func sum(_ amount: (ResourceList) -> Int64) -> Int64 {
            machine.pods.reduce(amount(shape.requests)) { $0 + amount($1.requests) }
        }
        if sum(\.cpuMillis) > machine.allocatable.cpuMillis { return "cpu" }
        if sum(\.memoryBytes) > machine.allocatable.memoryBytes { return "memory" }
        if shape.requests.ephemeralStorageBytes > 0
            && sum(\.ephemeralStorageBytes) > machine.allocatable.ephemeralStorageBytes
        {
            return "storage"
        }
        for name in shape.requests.extended.keys
        where sum({ $0.extended[name] ?? 0 }) > machine.allocatable.extended[name] ?? 0 {
            return name
        }
        if Int64(machine.pods.count) + 1 > machine.allocatable.pods { return "pods" }
        return nil
    }

    private func wants(_ shape: PodShape, _ machine: Machine) -> Bool {
        for (key, value) in shape.nodeSelector where machine.labels[key] != value { return false }
        guard let terms = shape.nodeAffinity else { return true }
        return terms.contains { term in
            if term.expressions.isEmpty && term.fields.isEmpty { return false }
            return term.expressions.allSatisfy { holds($0, machine.labels) }
                && term.fields.allSatisfy { $0.key == "metadata.name" && holds($0, ["metadata.name": machine.name]) }
        }
    }

    private func tolerates(_ shape: PodShape, _ machine: Machine) -> Bool {
        for taint in machine.taints where taint.effect != .preferNoSchedule {
            let isBorne = shape.tolerations.contains { toleration in
                if let effect = toleration.effect, effect != taint.effect { return false }
                guard let key = toleration.key else { return toleration.exists }
                return key == taint.key && (toleration.exists || toleration.value == taint.value)
            }
            if !isBorne { return false }
        }
        return true
    }

    private func collide(_ left: PodShape.HostPort, _ right: PodShape.HostPort) -> Bool {
        guard left.port == right.port, left.transport == right.transport else { return false }
        let any = ["", "0.0.0.0", "::"]
        return left.address == right.address || any.contains(left.address) || any.contains(right.address)
    }

    private func holds(_ requirement: Requirement, _ labels: [String: String]) -> Bool {
        let value = labels[requirement.key]
        switch requirement.operator {
        case .in: return value.map { requirement.values.contains($0) } ?? false
        case .notIn: return value.map { !requirement.values.contains($0) } ?? true
        case .exists: return value != nil
        case .doesNotExist: return value == nil
        case .greaterThan, .lessThan:
            guard let text = value, let number = Int(text), let bound = Int(requirement.values[0]) else { return false }
            return requirement.operator == .greaterThan ? number > bound : number < bound
        }
    }

    private func holds(_ selector: LabelSelector?, _ labels: [String: String]) -> Bool {
        guard let selector else { return false }
        return selector.requirements.allSatisfy { holds($0, labels) }
    }

    // MARK: Other pods

    private func sameLabels(_ keys: [String], _ pod: PodShape, _ own: PodShape) -> Bool {
        keys.allSatisfy { own.labels[$0] == nil || pod.labels[$0] == own.labels[$0] }
    }

    /// Whether a term of pod (anti-)affinity of `own` is about the pod.
    private func isMeant(_ pod: PodShape, by term: PodAffinityTerm, of own: PodShape) -> Bool {
        var isThere = term.namespaces.contains(pod.namespace)
        if let selector = term.namespaceSelector {
            if holds(selector, Self.namespaces[pod.namespace] ?? [:]) { isThere = true }
        } else if term.namespaces.isEmpty {
            isThere = pod.namespace == own.namespace
        }
        return isThere && holds(term.selector, pod.labels) && sameLabels(term.matchLabelKeys, pod, own)
    }

    private func pods(near machine: Machine, _ key: String) -> [PodShape] {
        guard let value = machine.labels[key] else { return [] }
        return machines.values.filter { $0.labels[key] == value }.flatMap(\.pods)
    }

    /// In the domain of every term is a pod that all terms are about; or none is in any domain, and the pod is meant itself.
    private func together(_ shape: PodShape, _ machine: Machine) -> Bool {
        func isMeant(_ pod: PodShape) -> Bool {
            shape.podAffinity.allSatisfy { self.isMeant(pod, by: $0, of: shape) }
        }
        guard shape.podAffinity.allSatisfy({ machine.labels[$0.topologyKey] != nil }) else { return false }
        if shape.podAffinity.allSatisfy({ pods(near: machine, $0.topologyKey).contains(where: isMeant) }) {
            return true
        }
        // A pod on a node without the key is in no domain and counts nowhere.
        let isAnywhere = machines.values.contains { other in
            shape.podAffinity.contains { other.labels[$0.topologyKey] != nil } && other.pods.contains(where: isMeant)
        }
        return !isAnywhere && isMeant(shape)
    }

    private func breaks(_ constraint: TopologySpreadConstraint, _ shape: PodShape, _ machine: Machine) -> Bool {
        guard let own = machine.labels[constraint.topologyKey] else { return true }
        let keys = shape.topologySpread.map(\.topologyKey)
        var counts: [String: Int] = [:]
        func isCounted(_ pod: PodShape) -> Bool {
            pod.namespace == shape.namespace && holds(constraint.selector, pod.labels)
                && sameLabels(constraint.matchLabelKeys, pod, shape)
        }
        for other in machines.values {
            guard let value = other.labels[constraint.topologyKey], keys.allSatisfy({ other.labels[$0] != nil }),
                constraint.nodeAffinityPolicy == .ignore || wants(shape, other),
                constraint.nodeTaintsPolicy == .ignore || tolerates(shape, other)
            else { continue }
            counts[value, default: 0] += other.pods.filter(isCounted).count
        }
        // With fewer domains than are asked for the emptiest one is none of them.
        let isShort = counts.count < Int(constraint.minDomains ?? 1)
        let least = isShort ? 0 : counts.values.min() ?? 0
        return (counts[own] ?? 0) + (isCounted(shape) ? 1 : 0) - least > Int(constraint.maxSkew)
    }
}
