import Messages
import Support

/// What the Actuator was configured with, as far as its core needs it.
public struct ActuatorPolicy: Sendable, Equatable {
    /// A node group.
    public struct Group: Sendable, Equatable {
        /// Its id.
        public var id: String
        /// Name or id of its stack. Groups of one stack share its one change at a time.
        public var stack: String
        /// Smallest size.
        public var min: Int
        /// Largest size.
        public var max: Int
        /// A machine that is no ready node by then is reported.
        public var provisionTimeout: Interval = .seconds(900)
        /// What nodes that join get where they lack it.
        public var labels: [String: String] = [:]
        /// What nodes that join get where they lack it.
        public var taints: [Taint] = []
        /// Where it was configured, e.g. `groups[0]`: named when a limit binds.
        public var origin: String

        /// From its parts.
        public init(id: String, stack: String, min: Int, max: Int, origin: String = "groups") {
            self.id = id
            self.stack = stack
            self.min = min
            self.max = max
            self.origin = origin
        }

        /// The size below which Heat cannot be brought: a desired capacity of 0 is ignored by an update
        /// (docs/openstack/heat.md §1.4).
        var floor: Int { Swift.max(1, min) }
    }

    /// The cluster.
    public var cluster: String
    /// The groups.
    public var groups: [Group]
    /// How often a group is read when nothing happens.
    public var resync: Interval = .seconds(30)
    /// How often it is read while something happens.
    public var pollInterval: Interval = .seconds(2)
    /// A group is left alone after a reading for as long as that took, and no longer than this. (Where less has to pass
    /// between what was seen and what is done for it the next reading does not wait: see `ActuatorCore.readGroup`.)
    public var longestRest: Interval = .seconds(3)
    /// How old a reading of the group may be on which a lower size is sent.
    public var freshness: Interval = .seconds(1)
    /// How long members may stand marked, and not be taken out yet, because what is known of their stack is older than that.
    /// While they are marked anybody's update of the stack replaces them.
    public var markPatience: Interval = .seconds(10)
    /// A drained node that has waited for its stack longer than this is looked at again before its machine goes.
    public var lookAgainAfter: Interval = .seconds(1)
    /// How old that look may be when Heat is really called: its stack may have been busy meanwhile, or this process away.
    public var lookBeforeHeat: Interval = .seconds(10)
    /// How long a change of the stack waits for such looks; it goes without those that took longer.
    public var lookPatience: Interval = .seconds(10)
    /// How long a stack may go on saying what it said before an accepted change.
    public var statusLag: Interval = .seconds(15)
    /// How long after it was given up a request that Heat did not answer may yet be carried out: as long as it was waited for.
    public var unansweredFor: Interval = .seconds(90)
    /// What pods may claim, as the Notifier grants it.
    public var pods = PodPolicy()
    /// How long the cooldown may take in all, granted extensions included.
    public var maximumCooldown: Interval = .seconds(600)
    /// How much longer than that the Actuator waits for the Notifier's word.
    public var cooldownMargin: Interval = .seconds(60)
    /// How long the drain of a node may take.
    public var drainTimeout: Interval = .seconds(900)
    /// The longest grace period that a pod gets.
    public var maximumGrace: Interval = .seconds(600)
    /// How long after the end of its grace period a pod on a node that is not ready counts as gone.
    public var strandedAfter: Interval = .seconds(30)
    /// When to try again an eviction that a budget forbade.
    public var evictionRetry: Interval = .seconds(5)
    /// How often the pods of a draining node are read.
    public var drainPoll: Interval = .seconds(1)
    /// Evictions of one node under way at once.
    public var evictionsAtOnce = 10
    /// Pods of DaemonSets go when the others are gone; else they stay with their node.
    public var evictsDaemonSets = false
    /// How long volumes of pods that are gone may stay attached; zero: nobody looks.
    public var volumeDetachTimeout: Interval = .seconds(120)
    /// Volumes that stay attached end the removal; else it goes on with a warning.
    public var volumesMustDetach = false
    /// Whether pods are deleted, budgets or not, when the drain's deadline has passed; for so long more.
    public var forceTimeout: Interval?
    /// The grace period that such pods get; nil: their own.
    public var forceGrace: Interval?
    /// Whether a workload gets one replica more before its only pod is evicted, and how long that one has to be ready.
    public var surgeTimeout: Interval?
    /// From the label that tells load balancers until the first eviction at least.
    public var loadBalancerWait: Interval = .zero
    /// How long a drained node may wait for its stack, and a change of the stack may take.
    public var heatTimeout: Interval = .seconds(3_600)
    /// How long a drained node waits for annotations that ask not to delete its machine yet; zero: not at all.
    public var deletionDelay: Interval = .minutes(2)
    /// How long a drained node waits for others of its group, so that they go in one change of the stack.
    public var coalesce: Interval = .seconds(1)
    /// How long a stack may stand still in the middle of a change of which only the group's own flag tells.
    public var flagTimeout: Interval = .seconds(120)
    /// How long a group has to be failed and unchanged before it is repaired.
    public var repairAfter: Interval = .seconds(60)
    /// Between two such repairs.
    public var repairInterval: Interval = .seconds(600)
    /// How old a machine has to be before Nova is asked why it is no ready node.
    public var askNovaAfter: Interval = .seconds(60)
    /// How often a stack change that failed is tried again.
    public var heatAttempts = 5
    /// How long a delivery is held while its first step is not durable; then it goes to the broker's wait queue. Short:
    /// deliveries come one after the other, so the next one waits meanwhile.
    public var ticketHold: Interval = .seconds(2)
    /// How much earlier than Heat's own timeout a deletion that is held by a hook is let go.
    public var holdMargin: Interval = .seconds(60)
    /// Whether a held deletion is let go at that time although pods are left that were told but are not gone.
    public var releaseAtLimit = true
    /// How long pods may be told of a machine that somebody else takes away and nothing holds.
    public var unheldNotice: Interval = .seconds(10)
    /// How long Nova is asked at least for the server of a member that no list of Heat has, before the removal is given up.
    public var unlistedPatience: Interval = .minutes(5)
    /// How long the record of a removal that is over stays on its node.
    public var retention: Interval = .seconds(600)
    /// How long a new node that is ready is looked at, whether it still has what its group declares; and how often it is given that
    /// at most.
    public var dressFor: Interval = .minutes(2)
    /// See `dressFor`.
    public var dressTimes = 5
    /// Nodes younger than this are announced again after a restart.
    public var youngNode: Interval = .seconds(600)

    /// Whether any group has labels or taints for nodes that join.
    var declaresForNodes: Bool { groups.contains { !$0.labels.isEmpty || !$0.taints.isEmpty } }

    /// With the default times.
    public init(cluster: String, groups: [Group]) {
        self.cluster = cluster
        self.groups = groups
    }
}
