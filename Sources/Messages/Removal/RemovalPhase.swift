/// How far the removal of a node has come. Kept on the Node, in `RemovalRecord`.
public enum RemovalPhase: String, Sendable, Codable, CaseIterable {
    /// Unschedulable, tainted, out of load balancers; its pods are to be told.
    case cordoned
    /// Every pod that will be moved was told; the cooldown runs.
    case noticed
    /// All answered or the cooldown is over: the pods are being evicted.
    case quiesced
    /// The pods are gone; Heat is next.
    case drained
    /// Heat is being called. From here on there is no way back.
    case removing
    /// The member is gone from Heat and verified; the Node object is next.
    case removed
    /// Taken back: schedulable again, the pods are told *stay*.
    case cancelled
    /// Given up, see the record's outcome; schedulable again unless `RemovalRecord.Ours` still says otherwise.
    case failed

    /// Nothing more will be done to the node for this removal.
    public var isOver: Bool { self == .cancelled || self == .failed }

    /// Heat has not been called: the node can be taken back.
    public var isReversible: Bool {
        switch self {
        case .cordoned, .noticed, .quiesced, .drained: true
        case .removing, .removed, .cancelled, .failed: false
        }
    }

    /// Pods are under notice: those that the removal moves are not to serve.
    public var isUnderNotice: Bool {
        switch self {
        case .cordoned, .noticed, .quiesced, .drained, .removing, .removed: true
        case .cancelled, .failed: false
        }
    }

    /// Position on the way forward; a record never goes to a lower one.
    public var order: Int {
        switch self {
        case .cordoned: 0
        case .noticed: 1
        case .quiesced: 2
        case .drained: 3
        case .removing: 4
        case .removed: 5
        case .cancelled, .failed: 6
        }
    }
}
