/// Rules of cluster-autoscaler that ours differ from for good. All are off unless `makePeerCompatible` asks for the peer's
/// behaviour.
public struct PeerRules: Sendable, Equatable {
    /// Machines that never became nodes go before anything else is decided, also from a cluster that is not healthy, and a wanted
    /// size that had to be corrected ends the evaluation. Ours: what pods need comes first, since a group's size has one change at
    /// a time; and a cluster that is not healthy is not touched.
    public var repairsFirst = false
    /// The wanted size of a group shrinks when a removal begins. Ours: Heat's size holds a member until it is gone.
    public var sizeShrinksAtOnce = false
    /// The limit on all nodes counts those that are ready or coming. Ours counts what was asked for, whatever came of it.
    public var countsReadyNodes = false
    /// While every pod that needs a node is younger than two seconds (of those that want a GPU: thirty) nothing is added or removed.
    /// Ours: the Collector's messages come in batches already.
    public var youngPodsWait = false
    /// A failure during a backoff makes it begin anew with the first duration. Ours never makes it shorter.
    public var failureRestartsBackoff = false
    /// The time of a node that is not ready counts from when it became unneeded. Ours: not from before it became unready.
    public var unreadySinceUnneeded = false
    /// An option counts the nodes that its pods need, whatever the limit on nodes or the group's maximum leave of them; what they
    /// cut off is cut off after the choice. Ours: an option is what can be had.
    public var estimatesBeyondLimits = false
    /// A group that grows whole is offered with its maximum, also when some of its nodes are there. Ours: with what is missing.
    public var offersWholeMaximum = false
    /// Pods are looked at one by one in the order of the list, and put on nodes in turn. Ours: those that behave alike together, the
    /// large first, on the first node that has room.
    public var takesPodsInTurn = false
    /// A node that was emptied in the simulation is forgotten with all that is on it. Ours: it stays a topology domain for the nodes
    /// that are looked at after it, as it will while they are drained.
    public var forgetsEmptied = false
    /// A group of which there is neither node nor machine is not healthy. Ours: within what is tolerated it is.
    public var emptyIsUnhealthy = false
    /// A group that goes whole or not at all: if one of its machines never became a node all of them go, and its wanted size is never
    /// corrected. Ours: as with any group.
    public var wholeGroupsAreRepairedWhole = false
    /// The model of a group's new nodes is the first of them that has been ready for a minute, else the last that was, whatever flavor
    /// the group has by now. Ours: the newest, one with a GPU before one without, the last only while the flavor is the same, and the
    /// first node of a group at once.
    public var choosesModelsPlainly = false
    /// Without an unneeded time a node goes in the evaluation that finds it unneeded. Ours: in the next.
    public var zeroTimeIsOver = false

    /// Ours.
    public init() {}

    /// The peer's.
    public static let all: PeerRules = {
        var rules = PeerRules()
        rules.repairsFirst = true
        rules.sizeShrinksAtOnce = true
        rules.countsReadyNodes = true
        rules.youngPodsWait = true
        rules.failureRestartsBackoff = true
        rules.unreadySinceUnneeded = true
        rules.estimatesBeyondLimits = true
        rules.offersWholeMaximum = true
        rules.takesPodsInTurn = true
        rules.forgetsEmptied = true
        rules.emptyIsUnhealthy = true
        rules.wholeGroupsAreRepairedWhole = true
        rules.choosesModelsPlainly = true
        rules.zeroTimeIsOver = true
        return rules
    }()
}
