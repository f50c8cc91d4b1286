import Support

/// What must hold at every step, whatever fails.
public enum Invariant: String, Sendable, CaseIterable {
    /// No pod is killed by us before it was told on each of its channels and had the cooldown that policy gives it.
    case noPodKilledUntold
    /// A pod whose refusal was accepted is not moved.
    case refusalStands
    /// A removal whose cancellation was acknowledged, or is written on its Node, moves no pod any more and takes no machine.
    case cancelledStays
    /// Heat removes by our act the members that were chosen, and no other.
    case onlyChosenMembersRemoved
    /// We send no size outside the limits.
    case sizeWithinLimits
    /// No decision is carried out twice.
    case decisionAppliedOnce
    /// What a removal set on its node is there as long as the removal, and no longer.
    case noCordonLeftBehind
    /// A Node object goes only after its machine.
    case noNodeDeletedAlive
    /// When the faults have ended all comes to rest: pods run, as many as were asked for, sizes agree, no removal is stuck.
    case nothingPendingForEver
}

/// An invariant that did not hold.
public struct Violation: Sendable, Equatable {
    /// Which.
    public var invariant: Invariant
    /// What was seen.
    public var detail: String
    /// Simulated time since the start.
    public var at: Interval
}
