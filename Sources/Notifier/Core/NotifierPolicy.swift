import Support

/// What the Notifier was configured with, as far as its core needs it.
public struct NotifierPolicy: Sendable {
    /// The cluster.
    public var cluster: String
    /// How long a pod has after it was told, unless it asks for more.
    public var cooldown: Interval = .seconds(60)
    /// How long the cooldown of a node may take in all, counted from its cordon.
    public var maximumCooldown: Interval = .seconds(600)
    /// Whether a pod may refuse, which cancels the removal of its node.
    public var mayRefuse = false
    /// How often a delivery is tried. Annotation and readiness gate are tried until the cooldown is over.
    public var attempts = 5
    /// The first delay after a failed delivery; it doubles.
    public var firstRetry: Interval = .seconds(1)
    /// The longest delay between two tries.
    public var retryCap: Interval = .seconds(15)
    /// How often the pods of a node under notice are read.
    public var resync: Interval = .seconds(30)
    /// How soon the end of a cooldown is said again while the record of the node does not show it.
    public var repetition: Interval = .seconds(5)

    /// With the default times.
    public init(cluster: String) {
        self.cluster = cluster
    }
}
