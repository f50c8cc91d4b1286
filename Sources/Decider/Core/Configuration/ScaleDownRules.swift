import Messages
import Support

/// When and how groups shrink.
public struct ScaleDownRules: Sendable, Equatable {
    /// Whether nodes are removed at all.
    public var enabled = true
    /// A node is a candidate while its utilization is at most this.
    public var utilizationThreshold = 0.5
    /// The same for nodes with GPUs, by GPU.
    public var gpuUtilizationThreshold = 0.5
    /// Names of GPU resources.
    public var gpuResources = ["nvidia.com/gpu", "amd.com/gpu"]
    /// A node with one of these labels has GPUs even while none is allocatable yet.
    public var gpuLabels: [String] = []
    /// DaemonSet pods count neither as load nor as room.
    public var ignoresDaemonSets = false
    /// Mirror pods count neither as load nor as room.
    public var ignoresMirrorPods = false
    /// Measured usage has to be below the threshold as well, where measurements are fresh.
    public var usesMeasuredLoad = false
    /// How long a measurement is fresh.
    public var measurementLifetime = Interval.minutes(2)
    /// Continuously unneeded for longer than this.
    public var unneededTime = Interval.minutes(10)
    /// The same for a node that is not ready.
    public var unreadyTime = Interval.minutes(20)
    /// Whether nodes that are not ready may go.
    public var removesUnready = true
    /// None is removed for so long after a scale-up.
    public var delayAfterAdd = Interval.minutes(10)
    /// None is removed for so long after a removal began.
    public var delayAfterDelete = Interval.zero
    /// None is removed for so long after a removal failed.
    public var delayAfterFailure = Interval.minutes(3)
    /// Whether the three delays hold per group rather than for the cluster.
    public var delaysPerGroup = false
    /// At most so many nodes are under removal at once.
    public var maximumParallel = 10
    /// Of them so many with pods to move.
    public var maximumParallelDrain = 10
    /// No group is emptied below this: Heat ignores a desired size of zero in an update (docs/architecture.md §4).
    public var smallestGroup = 1
    /// Whether a group has one removal at a time, of one or several nodes. The peer starts further ones meanwhile.
    public var oneRemovalPerGroup = true
    /// Limits per group or zone, by schedule.
    public var budgets: [DisruptionBudget] = []
    /// How the pods of a node bear on its removal.
    public var drain = DrainRules()
    /// How long an evicted pod's place is kept while its owner has not replaced it.
    public var evictedMemory = Interval.minutes(2)
    /// The simulation is repeated at most this often while nothing that asks for room happens.
    public var interval = Interval.seconds(1)
    /// Whether only so many nodes are looked for in one evaluation as could be removed soon (the peer's rule). Ours: all.
    public var limitsCandidates = false
    /// A node that was found not to be removable is not looked at again for so long (with the peer five minutes). Ours: it is looked
    /// at each time.
    public var unremovableRecheck = Interval.zero
    /// How long a decision may wait to be begun.
    public var decisionLifetime = Interval.minutes(2)
    /// Zones of a group stay level: of nodes that are as cheap to remove, one of the zone with the most nodes goes first. A zone
    /// with few nodes does not keep one that nobody needs: an idle machine is no better for where it stands.
    public var balancesZones = true
    /// The label that names a node's zone.
    public var zoneLabel = "topology.kubernetes.io/zone"
    /// Whether several nodes may be replaced by fewer or smaller ones.
    public var consolidates = false
    /// Consolidation has to save at least this part of the price or, without prices, of the cores.
    public var consolidationGain = 0.2
    /// After a replacement, or one that was given up, none is begun for so long.
    public var consolidationPause = Interval.minutes(30)

    /// The defaults.
    public init() {}
}

/// How the pods of a node bear on its removal.
public struct DrainRules: Sendable, Equatable {
    /// Unprotected pods of `kube-system` hold their node.
    public var systemPodsHold = true
    /// Until they are older than this.
    public var systemPodTimeout = Interval.minutes(60)
    /// Pods with local storage hold their node.
    public var localStorageHolds = true
    /// Pods of unknown kinds of controllers hold their node.
    public var customControllersHold = true
    /// Owners with fewer replicas hold the node.
    public var minimumReplicas: Int32 = 0
    /// Whether a missing owner holds the node.
    public var looksUpOwners = true

    /// The defaults.
    public init() {}
}

/// How many nodes may be under removal at once, in a group or zone, while a schedule holds.
public struct DisruptionBudget: Sendable, Equatable {
    /// Which groups or zones share the budget.
    public enum Scope: Sendable, Equatable {
        /// All of them together.
        case all
        /// Each has it for itself.
        case each
        /// One alone has it.
        case named(String)

        func covers(_ name: String) -> Bool {
            if case .named(let own) = self { return own == name }
            return true
        }
    }

    /// The groups.
    public var group: Scope
    /// The zones.
    public var zone: Scope
    /// Most nodes at once.
    public var nodes: Int?
    /// Most percent of the nodes at once, rounded down, but never less than one unless it is zero.
    public var percent: Double?
    /// When it holds; nil: always.
    public var schedule: Schedule?
    /// Whether it is for nodes with pods to move only: empty ones neither need nor use it.
    public var drains: Bool
    /// Where it was set.
    public var origin: String

    /// From its parts.
    public init(
        group: Scope = .all, zone: Scope = .all, nodes: Int? = nil, percent: Double? = nil,
        schedule: Schedule? = nil, drains: Bool = false, origin: String = "scaleDown.budgets"
    ) {
        self.group = group
        self.zone = zone
        self.nodes = nodes
        self.percent = percent
        self.schedule = schedule
        self.drains = drains
        self.origin = origin
    }

    /// Most nodes at once, of so many that it covers.
    func most(of nodes: Int) -> Int {
        var most = self.nodes ?? Int.max
        if let percent {
            // Rounded where binary fractions fall short of a whole number: 10 percent of 30 is 3.
            let share = Int((Double(nodes) * percent / 100 + 1e-9).rounded(.down))
            most = min(most, percent <= 0 ? 0 : max(1, share))
        }
        return most
    }
}
