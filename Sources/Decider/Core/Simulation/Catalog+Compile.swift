import Messages

extension Catalog {
    /// What bears on one claim set: required node affinities of the bound volumes, or a claim that does not exist.
    struct Volumes: Hashable, Sendable {
        var terms: [[NodeSelectorTerm]] = []
        var missing = false
    }

    /// Makes a class of a shape; predicates, counters and ports that it needs are added. The caller links it afterwards.
    mutating func compile(_ shape: PodShape, volumes: Volumes = Volumes()) -> PodClass {
        let predicate = self.predicate(
            Predicate(
                selector: shape.nodeSelector, affinity: shape.nodeAffinity, tolerations: shape.tolerations,
                volumes: volumes.terms, checksUnschedulable: true, claimMissing: volumes.missing))
        var podClass = PodClass(
            shape: shape, needs: needs(of: shape.requests), predicate: predicate,
            ports: shape.hostPorts.map { port($0) }.sorted())
        compileSpread(shape, into: &podClass)
        compileAffinity(shape, into: &podClass)
        return podClass
    }

    private mutating func compileSpread(_ shape: PodShape, into podClass: inout PodClass) {
        let hard = shape.topologySpread.filter(\.isHard)
        let keys = hard.map { topologyKey($0.topologyKey) }
        for (constraint, key) in zip(hard, keys) {
            let filter = predicate(
                Predicate(
                    selector: constraint.nodeAffinityPolicy == .honor ? shape.nodeSelector : [:],
                    affinity: constraint.nodeAffinityPolicy == .honor ? shape.nodeAffinity : nil,
                    tolerations: constraint.nodeTaintsPolicy == .honor ? shape.tolerations : nil))
            let matcher = matcher(constraint, shape)
            let number = counter(
                CounterSpec(kind: .spread(filter: filter, keys: keys), matcher: matcher, key: key))
            podClass.spread.append(
                SpreadCheck(
                    counter: number, key: key, maxSkew: max(1, constraint.maxSkew),
                    minDomains: max(1, constraint.minDomains ?? 1), countsItself: matcher.matches(shape)))
        }
    }

    private mutating func compileAffinity(_ shape: PodShape, into podClass: inout PodClass) {
        let required = shape.podAffinity.filter { $0.weight == nil }
        if !required.isEmpty {
            // An existing pod counts when it matches every term (the scheduler's rule).
            let matcher = PodMatcher(parts: required.map { part($0, shape) })
            podClass.affinity = required.map { term in
                let key = topologyKey(term.topologyKey)
                return DomainCheck(
                    counter: counter(CounterSpec(kind: .matching, matcher: matcher, key: key)), key: key)
            }
            podClass.satisfiesOwnAffinity = matcher.matches(shape)
        }
        for term in shape.podAntiAffinity where term.weight == nil {
            let matcher = matcher(term, shape)
            let key = topologyKey(term.topologyKey)
            podClass.antiAffinity.append(
                DomainCheck(counter: counter(CounterSpec(kind: .matching, matcher: matcher, key: key)), key: key))
            podClass.carried.append(counter(CounterSpec(kind: .carriers, matcher: matcher, key: key)))
        }
    }

    /// Which pods a term of a shape is about.
    func matcher(_ term: PodAffinityTerm, _ shape: PodShape) -> PodMatcher { PodMatcher(parts: [part(term, shape)]) }

    /// Which pods a spread of a shape counts.
    func matcher(_ constraint: TopologySpreadConstraint, _ shape: PodShape) -> PodMatcher {
        PodMatcher(parts: [
            PodMatcher.Part(
                namespaces: [shape.namespace],
                selector: Self.merged(constraint.selector, constraint.matchLabelKeys, shape))
        ])
    }

    private func part(_ term: PodAffinityTerm, _ shape: PodShape) -> PodMatcher.Part {
        var chosen: Set<String>?
        if term.namespaces.isEmpty && term.namespaceSelector == nil {
            chosen = [shape.namespace]
        } else if let selector = term.namespaceSelector {
            if !selector.requirements.isEmpty {
                let matching = namespaces.filter { selector.matches($0.value) }.map(\.key)
                chosen = Set(term.namespaces).union(matching)
            }
        } else {
            chosen = Set(term.namespaces)
        }
        return PodMatcher.Part(
            namespaces: chosen, selector: Self.merged(term.selector, term.matchLabelKeys, shape))
    }

    private static func merged(_ selector: LabelSelector?, _ keys: [String], _ shape: PodShape) -> LabelSelector? {
        guard var selector else { return nil }
        for key in keys.sorted() {
            if let value = shape.labels[key] { selector.requirements.append(Requirement(key, .in, [value])) }
        }
        return selector
    }
}
