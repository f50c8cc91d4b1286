import Messages

/// Pending pods that are placed together: equal behaviour and priority.
struct Demand: Sendable {
    /// One class that stands for all of them.
    var podClass: Int
    /// Records of the pods, in a fixed order. For headroom they are numbers below zero.
    var pods: [Int32]
    var priority: Int32
    /// How many of the pods still need a place; the last ones of `pods` do.
    var open: Int
    /// Replicas that were decided on and do not exist yet.
    var isComing = false
    /// Spare capacity: no pods that anybody waits for.
    var isHeadroom = false

    var placed: Int { pods.count - open }
}

/// In which order new nodes are tried for pods with rules on other pods. No order is best for all: the estimate takes the one
/// that needs the fewest nodes.
enum PackingStrategy: Sendable, CaseIterable {
    /// The oldest first.
    case firstFit
    /// The oldest first, and one replica of each demand after the other: replicas that keep apart by the same rule otherwise
    /// fill nodes in lockstep, as many as there are replicas.
    case interleaved
    /// The fullest first.
    case tightest
}

/// New nodes of one group and the pods that would run there.
struct ScaleUpOption: Sendable {
    var group: Int
    var nodes: Int
    /// Pods placed, by index of the demand.
    var placed: [Int: Int]
    /// Requests of the placed pods.
    var requested: [Int64]
    /// A limit stopped the estimate before the pods were placed.
    var isCut = false
    /// How nodes were tried for pods with rules on other pods.
    var strategy = PackingStrategy.firstFit
    /// Sum of soft preferences that the new nodes satisfy; a tie-breaker.
    var preference: Int64 = 0

    var podCount: Int { placed.values.reduce(0, +) }
}
