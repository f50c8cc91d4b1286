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

    var placed: Int { pods.count - open }
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
    /// Sum of soft preferences that the new nodes satisfy; a tie-breaker.
    var preference: Int64 = 0

    var podCount: Int { placed.values.reduce(0, +) }
}
