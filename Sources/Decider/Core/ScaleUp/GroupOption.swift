import Messages
import Support

/// A group as the scale-up planner sees it.
struct GrowthCandidate: Sendable {
    var id: String
    /// Size that counts now, acts under way included.
    var target: Int
    var maximum: Int
    var template: NodeTemplate?
    /// Why it cannot grow at all, if so.
    var refusal: Explanation?
    var zeroOrMax = false
    var priority = 0
    var price: Double?
    /// Where the rules of the group stand.
    var origin = ""
    /// A lower maximum for this plan: more would leave more pods without a place.
    var ceiling: Int?
    /// How many nodes it may get.
    var room: Int { max(0, highest - target) }
    /// The size that it may reach in this plan.
    var highest: Int { min(maximum, ceiling ?? maximum) }
}

/// The limit on new nodes that leaves the fewest of them, with its values.
struct NodeLimit: Sendable {
    /// What is counted, in words.
    var name = "new nodes"
    var used = 0
    var limit = Int.max
    /// `batchLimitReached` where waiting helps, `totalNodesReached` where it does not.
    var reason = Reason.batchLimitReached
    /// Where it was set.
    var origin = "decider"

    /// How many nodes may still be added.
    var rest: Int { max(0, limit - used) }

    /// What is said where it binds, with what is used of it by now.
    var bound: Explanation { Explanation(reason, "\(name): \(used) of \(limit) used (\(origin))") }

    mutating func take(_ count: Int) { used += count }
}

/// What a plan may use up: limits on the whole cluster or some groups, and how much of each is taken.
struct Allowance: Sendable {
    struct Item: Sendable {
        var name: String
        /// Indices of groups it covers; nil: all.
        var groups: Set<Int>?
        /// Dimension: nil for nodes, else a resource number.
        var dimension: Int?
        var used: Int64
        var limit: Int64
        var reason: Reason
        var origin: String
        /// What a node of a group takes, by index, where that is known better than by what its template offers.
        var weights: [Int: Int64] = [:]

        /// An amount for a person.
        func words(_ amount: Int64) -> String {
            dimension == Catalog.memory || dimension == Catalog.storage ? World.mebibytes(amount) : "\(amount)"
        }
    }

    var items: [Item] = []

    /// What one node of the template takes of an item. Cores are counted whole, each node rounded up.
    static func weight(_ dimension: Int?, _ template: NodeTemplate) -> Int64 {
        guard let dimension else { return 1 }
        guard dimension < template.capacity.count else { return 0 }
        let amount = template.capacity[dimension]
        return dimension == Catalog.cpu ? (amount + 999) / 1_000 : amount
    }

    /// How many of `wanted` nodes of a group the limits allow, and the one that binds.
    func allowed(_ wanted: Int, group: Int, _ template: NodeTemplate) -> (Int, Explanation?) {
        var count = wanted
        var bound: Explanation?
        for item in items where item.groups?.contains(group) ?? true {
            let weight = item.weights[group] ?? Self.weight(item.dimension, template)
            guard weight > 0 else { continue }
            let fits = Int(max(0, item.limit - item.used) / weight)
            if fits < count {
                count = fits
                bound = Explanation(
                    item.reason,
                    "\(item.name): \(item.words(item.used)) of \(item.words(item.limit)) used, "
                        + "\(item.words(weight)) per node (\(item.origin))")
            }
        }
        return (count, bound)
    }

    mutating func take(_ count: Int, group: Int, _ template: NodeTemplate) {
        for index in items.indices where items[index].groups?.contains(group) ?? true {
            let weight = items[index].weights[group] ?? Self.weight(items[index].dimension, template)
            items[index].used += weight * Int64(count)
        }
    }
}
