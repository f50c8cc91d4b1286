import Messages

/// Chooses among options: each expander keeps the best of what the one before left.
struct ExpanderChain {
    let expanders: [Expander]
    let candidates: [GrowthCandidate]
    /// Breaks ties of `random`; made from the inputs, so that equal inputs give equal answers.
    let seed: UInt64

    /// The options that tie for best.
    func best(_ options: [ScaleUpOption]) -> [ScaleUpOption] {
        var left = options
        for expander in expanders where left.count > 1 { left = filter(left, expander) }
        return left
    }

    /// Why each option but the best was left out: the expander that did it, with its value and the best one's. By group.
    func losses(_ options: [ScaleUpOption], to best: ScaleUpOption) -> [Int: String] {
        var losses: [Int: String] = [:]
        var left = options
        let name = candidates[best.group].id
        for expander in expanders where left.count > 1 {
            let kept = filter(left, expander)
            for option in left where !kept.contains(where: { $0.group == option.group }) {
                losses[option.group] = "\(name) was chosen, by \(comparison(expander, option, best))"
            }
            left = kept
        }
        for option in left where option.group != best.group {
            losses[option.group] =
                option.preference == best.preference
                ? "\(name) was chosen, as good and first by name"
                : "\(name) was chosen, as good and preferred by the pods"
        }
        return losses
    }

    private func comparison(_ expander: Expander, _ option: ScaleUpOption, _ best: ScaleUpOption) -> String {
        func percent(_ option: ScaleUpOption) -> String { "\(Int((waste(option) * 50).rounded()))%" }
        func price(_ option: ScaleUpOption) -> String {
            candidates[option.group].price.map { "\($0 * Double(option.nodes))" } ?? "unknown"
        }
        switch expander {
        case .leastWaste: return "least-waste: \(percent(option)) of cpu and memory idle here, \(percent(best)) there"
        case .mostPods: return "most-pods: \(option.podCount) here, \(best.podCount) there"
        case .leastNodes: return "least-nodes: \(option.nodes) here, \(best.nodes) there"
        case .price: return "price: \(price(option)) here, \(price(best)) there"
        case .priority: return "priority"
        case .random: return "random"
        case .choose: return "choice"
        }
    }

    func filter(_ options: [ScaleUpOption], _ expander: Expander) -> [ScaleUpOption] {
        switch expander {
        case .leastWaste: return lowest(options, by: waste)
        case .mostPods: return lowest(options) { -Double($0.podCount) }
        case .leastNodes: return lowest(options) { Double($0.nodes) }
        case .price:
            return lowest(options) { option in
                candidates[option.group].price.map { $0 * Double(option.nodes) } ?? .infinity
            }
        case .random:
            guard !options.isEmpty else { return [] }
            let sorted = options.sorted { candidates[$0.group].id < candidates[$1.group].id }
            return [sorted[Int(seed % UInt64(sorted.count))]]
        case .choose(let id):
            let chosen = options.filter { candidates[$0.group].id == id }
            return chosen.isEmpty ? options : chosen
        case .priority(let patterns):
            return highestPriority(options, patterns)
        }
    }

    /// Idle cpu and memory on the new nodes, as parts of what they have.
    func waste(_ option: ScaleUpOption) -> Double {
        guard let template = candidates[option.group].template else { return .infinity }
        func part(_ dimension: Int) -> Double {
            let offered = Double(template.capacity[dimension]) * Double(option.nodes)
            guard offered > 0 else { return 0 }
            return (offered - Double(option.requested[dimension])) / offered
        }
        return part(Catalog.cpu) + part(Catalog.memory)
    }

    private func lowest(_ options: [ScaleUpOption], by score: (ScaleUpOption) -> Double) -> [ScaleUpOption] {
        let scores = options.map(score)
        guard let best = scores.min() else { return [] }
        return zip(options, scores).filter { $0.1 == best }.map(\.0)
    }

    private func highestPriority(_ options: [ScaleUpOption], _ patterns: [PriorityPatterns]) -> [ScaleUpOption] {
        if patterns.isEmpty { return lowest(options) { -Double(candidates[$0.group].priority) } }
        var best: Int?
        var chosen: [ScaleUpOption] = []
        for option in options {
            let id = candidates[option.group].id
            let priority = patterns.filter { item in item.patterns.contains { Self.matches($0, id) } }
                .map(\.priority).max()
            guard let priority else { continue }
            if priority > best ?? Int.min {
                best = priority
                chosen = [option]
            } else if priority == best {
                chosen.append(option)
            }
        }
        // No match: the expander has no opinion.
        return chosen.isEmpty ? options : chosen
    }

    /// Whether the expression matches anywhere in the text; one that cannot be read matches nothing.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        guard let expression = try? Regex(pattern) else { return false }
        return text.firstMatch(of: expression) != nil
    }
}

/// Spreads new nodes over groups: one by one to the smallest that is below its maximum.
enum Balancer {
    struct Group: Equatable, Sendable {
        var size: Int
        var maximum: Int
    }

    /// New nodes per group; fewer than asked when the groups are full.
    static func spread(_ count: Int, over groups: [Group]) -> [Int] {
        var added = [Int](repeating: 0, count: groups.count)
        for _ in 0..<max(0, min(count, 1_000_000)) {
            var smallest: Int?
            for (index, group) in groups.enumerated() where group.size + added[index] < group.maximum {
                if let current = smallest, groups[current].size + added[current] <= group.size + added[index] {
                    continue
                }
                smallest = index
            }
            guard let smallest else { break }
            added[smallest] += 1
        }
        return added
    }
}
