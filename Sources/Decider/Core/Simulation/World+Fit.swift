import Messages

extension World {
    /// How many pods of a class the resources of a node take, at most `limit`.
    @inline(__always)
    func room(_ needs: [Need], _ node: Int, limit: Int) -> Int {
        var best = limit
        let base = node * stride
        for need in needs {
            guard need.dimension < stride else { return 0 }
            let available = free[base + need.dimension]
            if available < need.amount { return 0 }
            if best > 1 {
                let fits = Int(available / need.amount)
                if fits < best { best = fits }
            }
        }
        return best
    }

    /// Whether the host ports of the class are free on the node.
    func portsFree(_ podClass: PodClass, _ node: Int, _ catalog: Catalog) -> Bool {
        guard !podClass.ports.isEmpty, let used = ports[node] else { return true }
        return !podClass.ports.contains { wanted in used.contains { catalog.conflict(wanted, $0) } }
    }

    /// The first topology rule that forbids a pod of the class on the node.
    func topologyConflict(_ podClass: PodClass, _ node: Int) -> Reason? {
        for check in podClass.spread where spreadForbids(check, domain(check.key, node)) {
            return .topologySpreadConflict
        }
        for check in podClass.blockedBy {
            let domain = domain(check.key, node)
            if domain >= 0 && counters[check.counter].count(domain) > 0 { return .podAntiAffinityConflict }
        }
        for check in podClass.antiAffinity {
            let domain = domain(check.key, node)
            if domain >= 0 && counters[check.counter].count(domain) > 0 { return .podAntiAffinityConflict }
        }
        if !podClass.affinity.isEmpty && !affinityHolds(podClass, node) { return .podAffinityMismatch }
        return nil
    }

    func spreadForbids(_ check: SpreadCheck, _ domain: Int) -> Bool {
        guard domain >= 0 else { return true }
        let skew =
            counters[check.counter].count(domain) + (check.countsItself ? 1 : 0)
            - counters[check.counter].minimum(minDomains: check.minDomains)
        return skew > check.maxSkew
    }

    func affinityHolds(_ podClass: PodClass, _ node: Int) -> Bool {
        var allPresent = true
        var anywhere = false
        for check in podClass.affinity {
            let domain = domain(check.key, node)
            guard domain >= 0 else { return false }
            if counters[check.counter].count(domain) == 0 { allPresent = false }
            if counters[check.counter].total > 0 { anywhere = true }
        }
        if allPresent { return true }
        // The first of a set of pods that want to be together may go anywhere (the scheduler's rule).
        return !anywhere && podClass.satisfiesOwnAffinity
    }

    /// Whether one pod of the class may run on the node.
    func canHost(_ podClass: PodClass, _ node: Int, _ catalog: Catalog) -> Bool {
        nodeClass[node] >= 0 && isOpen[node] && verdict(podClass.predicate, node, catalog) == .fits
            && room(podClass.needs, node, limit: 1) > 0 && portsFree(podClass, node, catalog)
            && topologyConflict(podClass, node) == nil
    }

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
        return Explanation(reason, topologyDetail(reason, podClass))
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
            let missing = podClass.shape.nodeSelector.sorted { $0.key < $1.key }
                .first { description.labels[$0.key] != $0.value && $0.key != NodeClass.hostLabel }
            if let missing {
                let has = description.labels[missing.key].map { "'\($0)'" } ?? "not set"
                detail = "wants \(missing.key)=\(missing.value), label is \(has)"
            } else {
                detail = "required node affinity does not match"
            }
        case .unschedulable: detail = "cordoned"
        case .volume: detail = "the bound volume is elsewhere"
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

    private func topologyDetail(_ reason: Reason, _ podClass: PodClass) -> String {
        switch reason {
        case .topologySpreadConflict:
            podClass.shape.topologySpread.filter(\.isHard)
                .map { "\($0.topologyKey) maxSkew \($0.maxSkew)" }.joined(separator: ", ")
        case .podAntiAffinityConflict:
            podClass.antiAffinity.isEmpty
                ? "a running pod keeps this one away"
                : podClass.shape.podAntiAffinity.filter { $0.weight == nil }.map(\.topologyKey).joined(separator: ", ")
        case .podAffinityMismatch:
            podClass.shape.podAffinity.filter { $0.weight == nil }.map(\.topologyKey).joined(separator: ", ")
        default: ""
        }
    }
}
