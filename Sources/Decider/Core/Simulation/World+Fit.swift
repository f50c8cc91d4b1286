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
}
