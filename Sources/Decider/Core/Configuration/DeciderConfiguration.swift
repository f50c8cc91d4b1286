import Messages
import Support

/// Everything that the rules of a cluster are, as the pure engine takes it. The shell maps it from the settings.
///
/// Defaults are those of cluster-autoscaler, except where ours are deliberately better; `peerCompatible` restores the
/// peer's there.
public struct DeciderConfiguration: Sendable, Equatable {
    /// The cluster.
    public var cluster: String
    /// The node groups, in the order of the settings.
    public var groups: [GroupRules]
    /// When and how groups grow.
    public var scaleUp = ScaleUpRules()
    /// When and how groups shrink.
    public var scaleDown = ScaleDownRules()
    /// Limits of the whole cluster.
    public var limits = ClusterLimits()
    /// What counts as healthy.
    public var health = HealthRules()
    /// Spare capacity that is kept.
    public var headroom: [HeadroomRule] = []
    /// Rules on alarms and measured load, in the order of the settings.
    public var rules: [ScalingRule] = []
    /// How pod scalers are looked at.
    public var podScaling = PodScalingRules()
    /// Pod scalers of the configuration, besides those of the cluster.
    public var podScalers: [PodScaler] = []
    /// Price of a node by flavor, for groups without one of their own.
    public var flavorPrices: [String: Double] = [:]
    /// Where the peer's rules hold instead of ours.
    public var peer = PeerRules()

    /// Which nodes do their work, and which taints pass.
    var nodeRules: NodeRules {
        NodeRules(
            startupTaints: health.startupTaints, statusTaints: health.statusTaints, gpuLabels: scaleDown.gpuLabels,
            gpuResources: scaleDown.gpuResources)
    }

    /// A cluster with its groups and the default rules.
    public init(cluster: String, groups: [GroupRules]) {
        self.cluster = cluster
        self.groups = groups
    }
}

/// A node group as configured.
public struct GroupRules: Sendable, Equatable {
    /// What a new machine of the group is, as far as the configuration says so; the rest comes from its flavor.
    public struct Template: Sendable, Equatable {
        /// What pods may use; nil: from the flavor less `reserved`.
        public var allocatable: ResourceList?
        /// Capacity, when it differs from what pods may use.
        public var capacity: ResourceList?
        /// Kept from pods for the system and the kubelet.
        public var reserved = ResourceList()
        /// Labels of the node besides its host name.
        public var labels: [String: String]
        /// Taints that the node keeps.
        public var taints: [Taint]

        /// From its parts.
        public init(
            allocatable: ResourceList? = nil, capacity: ResourceList? = nil, reserved: ResourceList = ResourceList(),
            labels: [String: String] = [:], taints: [Taint] = []
        ) {
            self.allocatable = allocatable
            self.capacity = capacity
            self.reserved = reserved
            self.labels = labels
            self.taints = taints
        }
    }

    /// Its id.
    public var id: String
    /// Smallest size.
    public var min: Int
    /// Largest size.
    public var max: Int
    /// For the priority expander when no patterns are given: higher is preferred.
    public var priority = 0
    /// Cost of a node for the price expander, any unit.
    public var price: Double?
    /// What a new node is like when none runs.
    public var template: Template?
    /// Whether its size is zero or the maximum, nothing between.
    public var zeroOrMax = false
    /// How long a machine may take to become a node; nil: `health.provisionTimeout`.
    public var provisionTimeout: Interval?
    /// Overrides `scaleDown.utilizationThreshold`.
    public var utilizationThreshold: Double?
    /// Overrides `scaleDown.gpuUtilizationThreshold`.
    public var gpuUtilizationThreshold: Double?
    /// Overrides `scaleDown.unneededTime`.
    public var unneededTime: Interval?
    /// Overrides `scaleDown.unreadyTime`.
    public var unreadyTime: Interval?
    /// Where it stands in the settings, e.g. `groups[0]`: named with each limit.
    public var origin: String

    /// A group with its bounds.
    public init(id: String, min: Int, max: Int, template: Template? = nil, origin: String = "") {
        self.id = id
        self.min = min
        self.max = max
        self.template = template
        self.origin = origin.isEmpty ? "group \(id)" : origin
    }
}

/// How an option is chosen among groups. Several are applied in order until one option is left.
public enum Expander: Sendable, Equatable {
    /// Least cpu and memory left idle on the new nodes (default).
    case leastWaste
    /// Most pods helped.
    case mostPods
    /// Fewest nodes.
    case leastNodes
    /// Highest priority whose pattern matches the group's id; a group that none matches is left out if any is matched.
    case priority([PriorityPatterns])
    /// Lowest sum of prices; groups without a price come last.
    case price
    /// Any, picked by a number made from the inputs.
    case random
    /// The group of this id, for scenarios.
    case choose(String)
}

/// Patterns of group ids that share a priority.
public struct PriorityPatterns: Sendable, Equatable {
    /// Higher wins.
    public var priority: Int
    /// Regular expressions that may match anywhere in the id.
    public var patterns: [String]

    /// From its parts.
    public init(priority: Int, patterns: [String]) {
        self.priority = priority
        self.patterns = patterns
    }
}

/// When and how groups grow.
public struct ScaleUpRules: Sendable, Equatable {
    /// Chain of expanders; ties that remain are broken by order of ids.
    public var expanders: [Expander] = [.leastWaste]
    /// Whether several groups may grow in one decision. False is the peer's rule: one group and those similar to it.
    public var severalGroups = true
    /// Whether a plan that leaves pods without a place is made again with fewer nodes of some group, where pods have rules on
    /// other pods or groups are short of room, and the best is taken. False is the peer's rule.
    public var retriesPlans = true
    /// Whether preferred affinity, `ScheduleAnyway` and `PreferNoSchedule` break ties. False is the peer's rule.
    public var softTieBreaks = true
    /// Pods of one priority are tried in order of their uid rather than largest first (the peer's list order).
    public var keepsPodOrder = false
    /// Whether nodes are spread over groups that are alike but for their zone.
    public var balancesSimilarGroups = false
    /// What counts as alike.
    public var similarity = SimilarityRules()
    /// Most new nodes of one decision; 0: no limit.
    public var maximumNodesPerDecision = 0
    /// Most new nodes in any minute; 0: no limit.
    public var maximumNodesPerMinute = 0
    /// Whether nothing is added unless every pod of the option is helped.
    public var allOrNothing = false
    /// Pods below this priority neither trigger nor hold nodes. Pods without a priority always do.
    public var expendablePriorityCutoff: Int32 = -10
    /// Pods younger than this wait.
    public var newPodDelay = Interval.zero
    /// Schedulers whose pods count even before they were looked at.
    public var bypassedSchedulers: Set<String> = []
    /// Schedulers that are served; empty: all.
    public var allowedSchedulers: Set<String> = []
    /// Whether groups below their minimum are filled up.
    public var enforcesMinimum = true
    /// First backoff of a group after a failure.
    public var initialBackoff = Interval.minutes(5)
    /// Longest backoff.
    public var maximumBackoff = Interval.minutes(30)
    /// After this long without a failure the backoff starts small again.
    public var backoffReset = Interval.minutes(180)
    /// How long a decision may wait to be carried out.
    public var decisionLifetime = Interval.minutes(2)
    /// DaemonSets count on a new node even while they do not run on the node that serves as its model.
    public var forcesDaemonSets = true

    /// The defaults.
    public init() {}
}

/// When two groups are alike, so that nodes may be spread over them.
public struct SimilarityRules: Sendable, Equatable {
    /// Allowed difference of memory capacity, as a part of the larger.
    public var memoryCapacityRatio = 0.015
    /// Allowed difference of each allocatable resource.
    public var allocatableRatio = 0.05
    /// Allowed difference of each free resource.
    public var freeRatio = 0.05
    /// Labels that may differ besides host name, zone and region.
    public var ignoredLabels: Set<String> = []
    /// When there are any, groups are alike if these labels are equal on both, and nothing else is compared.
    public var labels: [String] = []

    /// The defaults.
    public init() {}
}

/// Limits of the whole cluster. Nodes outside any group count too.
public struct ClusterLimits: Sendable, Equatable {
    /// A limit on some groups.
    public struct Quota: Sendable, Equatable {
        /// Its name.
        public var id: String
        /// Groups that it covers; nil: every node of the cluster.
        public var groups: Set<String>?
        /// Limits by resource: `nodes`, `cpu` (whole cores, each node rounded up), `memory` (bytes), any other by name.
        public var limits: [String: Int64]
        /// Where it was set.
        public var origin: String

        /// From its parts.
        public init(id: String, groups: Set<String>?, limits: [String: Int64], origin: String) {
            self.id = id
            self.groups = groups
            self.limits = limits
            self.origin = origin
        }
    }

    /// Most nodes, 0: no limit.
    public var maximumNodes = 0
    /// Quotas, the cluster-wide ones on cores, memory and GPUs among them.
    public var quotas: [Quota] = []
    /// What must remain: `nodes`, `cpu`, `memory`, others by name.
    public var minimum: [String: Int64] = [:]

    /// No limits.
    public init() {}
}

/// What counts as healthy.
public struct HealthRules: Sendable, Equatable {
    /// So many unready nodes are always tolerated.
    public var toleratedUnready = 3
    /// Beyond that, so many percent of all nodes.
    public var maximumUnreadyPercent = 45.0
    /// How long a machine may take to become a node.
    public var provisionTimeout = Interval.minutes(15)
    /// How long a new node may take to become ready.
    public var startupTimeout = Interval.minutes(15)
    /// Without word from the Collector for this long nothing is decided.
    public var stateTimeout = Interval.seconds(90)
    /// Without word of a group for this long nothing is decided about it.
    public var groupTimeout = Interval.seconds(150)
    /// Whether nodes that are dead, and members that never became nodes, are removed also where the group has no more than
    /// its minimum: Heat replaces them there. (The peer waits until there is one more.)
    public var replacesAtMinimum = true
    /// Whether nodes count as coming only while an increase of ours is being waited for (the peer's rule). Heat lists members
    /// that are being made, whoever asked for them, so that we need not.
    public var upcomingNeedsRequest = false
    /// Whether a target above the members is lowered after the provision time.
    public var correctsTargets = true
    /// Taints that a node loses when it is set up; until then it counts as coming. A name that ends in `*` is a beginning.
    public var startupTaints: [String] = []
    /// Taints that come and go with a node's state and that a new node lacks. A name that ends in `*` is a beginning.
    public var statusTaints: [String] = []

    /// The defaults.
    public init() {}
}

/// Spare capacity that is kept by the same simulation as the pending pods.
public struct HeadroomRule: Sendable, Equatable {
    /// How much.
    public enum Amount: Sendable, Equatable {
        /// So many pods of these requests.
        case pods(count: Int, requests: ResourceList)
        /// So many percent of what all nodes offer, in pods of these requests.
        case percent(Double, requests: ResourceList)
    }

    /// Its name, for the ledger.
    public var id: String
    /// How much.
    public var amount: Amount
    /// Where it has to be.
    public var nodeSelector: [String: String]
    /// Taints that it tolerates.
    public var tolerations: [Toleration]

    /// From its parts.
    public init(
        id: String, amount: Amount, nodeSelector: [String: String] = [:], tolerations: [Toleration] = []
    ) {
        self.id = id
        self.amount = amount
        self.nodeSelector = nodeSelector
        self.tolerations = tolerations
    }
}
