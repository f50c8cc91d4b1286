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
        return rules
    }()
}
