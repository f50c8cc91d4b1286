import Messages

extension World {
    /// The first constraint that keeps a pod of the class off the node, with its values; nil when it fits.
    func obstacle(_ podClass: PodClass, _ node: Int, _ catalog: Catalog) -> Explanation? {
        let verdict = verdict(podClass.predicate, node, catalog)
        if verdict != .fits { return obstacle(verdict, podClass, node, catalog) }
        if !portsFree(podClass, node, catalog) {
            let wanted = podClass.shape.hostPorts.map { "\($0.port)/\($0.transport)" }.joined(separator: ", ")
            return Explanation(.hostPortConflict, "host port \(wanted) is taken")
        }
        for need in podClass.needs {
            let available = free(node, need.dimension)
            if available < need.amount { return Self.shortage(need, available, catalog) }
        }
        guard let reason = topologyConflict(podClass, node) else { return nil }
        return Explanation(reason, topologyDetail(reason, podClass, node, catalog))
    }

    private func obstacle(_ verdict: Verdict, _ podClass: PodClass, _ node: Int, _ catalog: Catalog) -> Explanation {
        let description = catalog.nodeClasses[Int(nodeClass[node])]
        var detail = ""
        switch verdict {
        case .taint:
            let taint = description.taints.first { taint in
                !podClass.shape.tolerations.contains { $0.tolerates(taint) }
            }
            if let taint {
                detail = "taint \(taint.key)\(taint.value.isEmpty ? "" : "=\(taint.value)"):\(taint.effect.rawValue)"
            }
        case .affinity:
            var labels = description.labels
            labels[NodeClass.hostLabel] = hosts[node]
            let missing = podClass.shape.nodeSelector.sorted { $0.key < $1.key }
                .first { labels[$0.key] != $0.value }
            if let missing {
                let isNew = missing.key == NodeClass.hostLabel && hosts[node] != nil && host(node) == nil
                let has = labels[missing.key].map { "'\($0)'" } ?? "not set"
                detail =
                    "wants \(missing.key)=\(missing.value), "
                    + (isNew ? "a new node has another name" : "label is \(has)")
            } else {
                detail = "required node affinity: \(Self.text(podClass.shape.nodeAffinity ?? []))"
            }
        case .unschedulable: detail = "cordoned"
        case .volume:
            let labels = description.labels
            let unmet = catalog.predicates[podClass.predicate].volumes
                .first { terms in !terms.contains { $0.matches(labels: labels, nodeName: "") } }
            detail = "needs \(Self.text(unmet ?? []))"
        case .claim: detail = "a PersistentVolumeClaim does not exist"
        case .nodeName, .unknown, .fits: break
        }
        return Explanation(verdict.reason, detail)
    }

    static func shortage(_ need: Need, _ available: Int64, _ catalog: Catalog) -> Explanation {
        switch need.dimension {
        case Catalog.cpu:
            return Explanation(.insufficientCPU, "needs \(need.amount)m cpu, \(max(0, available))m free")
        case Catalog.memory:
            return Explanation(
                .insufficientMemory, "needs \(mebibytes(need.amount)) memory, \(mebibytes(max(0, available))) free")
        case Catalog.storage:
            return Explanation(
                .insufficientEphemeralStorage,
                "needs \(mebibytes(need.amount)) ephemeral storage, \(mebibytes(max(0, available))) free")
        case Catalog.pods:
            return Explanation(.tooManyPods, "no pod slot is free")
        default:
            return Explanation(
                .insufficientResource,
                "needs \(need.amount) \(catalog.resources[need.dimension]), \(max(0, available)) free")
        }
    }

    static func mebibytes(_ bytes: Int64) -> String {
        bytes >= 1_048_576 ? "\(bytes / 1_048_576)Mi" : "\(bytes)B"
    }

    /// Node selector terms for a person: one of them has to hold.
    private static func text(_ terms: [NodeSelectorTerm]) -> String {
        let texts = terms.map { ($0.expressions + $0.fields).map(\.text).joined(separator: " and ") }
        return String(texts.joined(separator: ", or ").prefix(300))
    }

    /// The first spread constraint that forbids the node, with the counts.
    private func spreadDetail(_ podClass: PodClass, _ node: Int) -> String {
        for (check, constraint) in zip(podClass.spread, podClass.shape.topologySpread.filter(\.isHard)) {
            let domain = domain(check.key, node)
            guard spreadForbids(check, domain) else { continue }
            let rule = "\(constraint.topologyKey) maxSkew \(constraint.maxSkew)"
            guard domain >= 0 else { return "\(rule): the node lacks the label" }
            let counter = counters[check.counter]
            return "\(rule): \(counter.count(domain)) here, least \(counter.minimum(minDomains: check.minDomains))"
        }
        return ""
    }

    private func topologyDetail(
        _ reason: Reason, _ podClass: PodClass, _ node: Int, _ catalog: Catalog
    ) -> String {
        switch reason {
        case .topologySpreadConflict: spreadDetail(podClass, node)
        case .podAntiAffinityConflict: antiAffinityDetail(podClass, node, catalog)
        case .podAffinityMismatch: affinityDetail(podClass, node, catalog)
        default: ""
        }
    }

    /// The pod's own rule where that is broken, else the one of a pod that is there.
    private func antiAffinityDetail(_ podClass: PodClass, _ node: Int, _ catalog: Catalog) -> String {
        func broken(_ checks: [DomainCheck]) -> (check: DomainCheck, count: Int)? {
            for check in checks {
                let domain = domain(check.key, node)
                let count = domain < 0 ? 0 : Int(counters[check.counter].count(domain))
                if count > 0 { return (check, count) }
            }
            return nil
        }
        if let (check, count) = broken(podClass.antiAffinity) {
            let pods = Self.text(catalog.counters[check.counter].matcher, podClass.shape.namespace)
            return "\(place(check.key, node, catalog)): \(Self.number(count)) with \(pods)"
        }
        if let (check, count) = broken(podClass.blockedBy) {
            let pods = Self.text(catalog.counters[check.counter].matcher, podClass.shape.namespace)
            let keep = count == 1 ? "keeps" : "keep"
            return "\(place(check.key, node, catalog)): \(Self.number(count)) there \(keep) away those with \(pods)"
        }
        return ""
    }

    /// The first term without a pod.
    private func affinityDetail(_ podClass: PodClass, _ node: Int, _ catalog: Catalog) -> String {
        for check in podClass.affinity {
            let domain = domain(check.key, node)
            guard domain >= 0 else { return "\(catalog.topologyKeys[check.key]): the node lacks the label" }
            guard counters[check.counter].count(domain) == 0 else { continue }
            let pods = Self.text(catalog.counters[check.counter].matcher, podClass.shape.namespace)
            return "\(place(check.key, node, catalog)): no pod with \(pods)"
        }
        return ""
    }

    /// A topology domain for a person. A node that is to be made has no name yet.
    private func place(_ key: Int, _ node: Int, _ catalog: Catalog) -> String {
        let name = catalog.topologyKeys[key]
        let value =
            key == Catalog.hostKey ? host(node) : catalog.nodeClasses[Int(nodeClass[node])].labels[name]
        return value.map { "\(name)=\($0)" } ?? name
    }

    /// The host name of a node that is there; those to be made are given names with a space.
    private func host(_ node: Int) -> String? { hosts[node].flatMap { $0.contains(" ") ? nil : $0 } }

    private static func number(_ pods: Int) -> String { pods == 1 ? "1 pod" : "\(pods) pods" }

    /// Which pods a rule is about. Namespaces are told where they are not that of the pod.
    private static func text(_ matcher: PodMatcher, _ own: String) -> String {
        let parts = matcher.parts.map { part in
            let all = part.selector?.requirements.map(\.text).joined(separator: " and ") ?? "no label"
            let labels = all.isEmpty ? "any labels" : all
            guard let namespaces = part.namespaces else { return "\(labels) in every namespace" }
            return namespaces == [own]
                ? labels : "\(labels) in namespace \(namespaces.sorted().joined(separator: ", "))"
        }
        return String(parts.joined(separator: ", and ").prefix(300))
    }
}

extension Requirement {
    /// For a person, as `kubectl` writes selectors.
    fileprivate var text: String {
        let list = values.joined(separator: ", ")
        return switch `operator` {
        case .in: "\(key) in (\(list))"
        case .notIn: "\(key) notin (\(list))"
        case .exists: "\(key) is set"
        case .doesNotExist: "\(key) is not set"
        case .greaterThan: "\(key) > \(list)"
        case .lessThan: "\(key) < \(list)"
        }
    }
}
