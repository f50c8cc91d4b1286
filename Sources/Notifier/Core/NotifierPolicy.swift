import Messages
import Support

/// What the Notifier was configured with, as far as its core needs it.
public struct NotifierPolicy: Sendable, Equatable {
    /// The cluster.
    public var cluster: String
    /// What pods may claim.
    public var pods = PodPolicy()
    /// Pods of DaemonSets are evicted after the others, and so are told like them.
    public var tellsDaemonSets = false
    /// Node-wide webhooks.
    public var webhooks: [WebhookPlan] = []
    /// How often a delivery is tried. Annotation and readiness gate are tried until the cooldown is over.
    public var attempts = 5
    /// The first delay after a failed delivery; it doubles.
    public var firstRetry: Interval = .seconds(1)
    /// The longest delay between two tries.
    public var retryCap: Interval = .seconds(15)
    /// How often the pods of a node under notice are read.
    public var resync: Interval = .seconds(30)
    /// How long after its cordon a node may still get pods from a scheduler that had chosen it before; no cooldown ends
    /// before the pods were looked at after that. cluster-autoscaler waits as long (`--node-delete-delay-after-taint`).
    public var bindingGrace: Interval = .seconds(5)
    /// How soon the end of a cooldown is said again while the record of the node does not show it.
    public var repetition: Interval = .seconds(5)

    /// With the default times.
    public init(cluster: String) {
        self.cluster = cluster
    }

    /// Whether a removal ends this pod.
    func isConcerned(_ pod: NodePod) -> Bool {
        pod.isMoved || (tellsDaemonSets && pod.isEvictedLast)
    }
}
