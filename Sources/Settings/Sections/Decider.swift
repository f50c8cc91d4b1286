import Support

extension Settings {
    /// `decider`.
    public struct Decider: Sendable, Hashable {
        /// How the group to grow is chosen among those that could.
        public enum Expander: String, Sendable, CaseIterable {
            case leastWaste = "least-waste", mostPods = "most-pods", leastNodes = "least-nodes", priority, price, random
        }

        /// `decider.limits`: of the whole cluster. Nil: none.
        public struct Limits: Sendable, Hashable {
            /// Nodes.
            public var nodes: Int?
            /// Cores, in thousandths.
            public var coresMillis: Int64?
            /// Memory in bytes.
            public var memoryBytes: Int64?
            /// GPUs, by resource name.
            public var gpus: [String: Int]
            /// Nodes that no removal goes below.
            public var minimumNodes: Int?
            /// The same in cores, in thousandths.
            public var minimumCoresMillis: Int64?
            /// The same in bytes of memory.
            public var minimumMemoryBytes: Int64?
            /// The same in GPUs, by resource name.
            public var minimumGPUs: [String: Int]

            init(_ reader: SettingsReader) {
                nodes = reader.count(
                    "nodes", in: 1...1_000_000, "Nodes in the cluster, also those of no group; without it no limit.")
                coresMillis = reader.cpuMillis("cores", "Cores in the cluster; without it no limit.")
                memoryBytes = reader.quantity("memory", "Memory in the cluster; without it no limit.")
                gpus = reader.table("gpus", "whole number", "GPUs by resource name, e.g. `nvidia.com/gpu: 8`.") {
                    Int($0)
                }
                minimumNodes = reader.count(
                    "min_nodes", in: 0...1_000_000, "No removal leaves fewer nodes, also those of no group, than this.")
                minimumCoresMillis = reader.cpuMillis("min_cores", "No removal leaves fewer cores than this.")
                minimumMemoryBytes = reader.quantity("min_memory", "No removal leaves less memory than this.")
                minimumGPUs = reader.table(
                    "min_gpus", "whole number", "No removal leaves fewer GPUs than this, by resource name."
                ) { Int($0).flatMap { $0 < 0 ? nil : $0 } }
            }
        }

        /// Changes that come within this are decided together.
        public var batchWindow: Interval
        /// An evaluation without any change.
        public var resync: Interval
        /// Older state is not decided on.
        public var stateMaximumAge: Interval
        /// Chain: a tie of one goes to the next.
        public var expander: [Expander]
        /// Patterns of the `priority` expander; empty: each group's own `priority`.
        public var priorities: [Priority]
        /// Whether several groups may grow in one decision.
        public var severalGroups: Bool
        /// Whether what pods would prefer decides between options that are equal otherwise.
        public var softTieBreaks: Bool
        /// Whether nothing is added unless every pod can be helped.
        public var allOrNothing: Bool
        /// Pods of a lower priority never cause a node.
        public var expendablePriorityCutoff: Int
        /// Younger pods wait.
        public var newPodDelay: Interval
        /// Whether equal groups grow evenly.
        public var balanceSimilarGroups: Bool
        /// Labels that groups may differ in and still be equal.
        public var balancingIgnoredLabels: [String]
        /// When there are any, groups are equal if these labels are, and nothing else is compared.
        public var balancingLabels: [String]
        /// Price of a node by flavor, for groups without one of their own.
        public var flavorPrices: [String: Double]
        /// How many new nodes one decision may ask for.
        public var maximumNodesPerDecision: Int
        /// How many new nodes may be asked for in any minute; zero: no limit.
        public var maximumNodesPerMinute: Int
        /// First wait of a group that failed.
        public var backoff: Interval
        /// Longest wait of a group that failed.
        public var maximumBackoff: Interval
        /// A group without failure for this long starts anew.
        public var backoffReset: Interval
        /// Schedulers that are served; empty: all.
        public var schedulers: [String]
        /// Of them those whose pods count before they were looked at.
        public var bypassedSchedulers: [String]
        /// How long a new node may take to become ready.
        public var startupTimeout: Interval
        /// Taints that a node loses when it is set up.
        public var startupTaints: [String]
        /// Taints that come and go with a node's state.
        public var statusTaints: [String]
        /// So many unready nodes never stop anything.
        public var okUnready: Int
        /// More unready nodes than this share stop everything.
        public var maximumUnreadyPercent: Double
        /// Of the whole cluster.
        public var limits: Limits
        /// Removal.
        public var scaleDown: ScaleDown
        /// Spare capacity.
        public var headroom: Headroom
        /// Rules on alarms and measured load.
        public var rules: [Rule]

        /// How pod scalers are looked at.
        public var pods: Pods

        init(_ reader: SettingsReader) {
            batchWindow = reader.interval(
                "batch_window", default: .milliseconds(20), in: .zero ... .seconds(10),
                "Changes that come within this after the first are decided together.")
            resync = reader.interval(
                "resync", default: .seconds(30), in: .seconds(1) ... .minutes(60), "An evaluation without any change.")
            stateMaximumAge = reader.interval(
                "state_max_age", default: .minutes(2), in: .seconds(5) ... .minutes(60),
                "Without word from the Collector for this long, nothing is decided.")
            expander = reader.choices(
                "expander", default: [.leastWaste],
                "How the group to grow is chosen; a tie goes to the next in the list.")
            priorities = reader.list(
                "priorities",
                "For the `priority` expander: the highest one with a pattern that matches a group's id counts; a group that "
                    + "none matches is left out while another is matched. Without it each group's own `priority` counts.",
                Priority.init)
            severalGroups = reader.flag(
                "several_groups", default: true,
                "Several groups may grow in one decision. False, as with cluster-autoscaler: one, and those equal to it."
            )
            softTieBreaks = reader.flag(
                "soft_tie_breaks", default: true,
                "Between equal options, what pods would prefer decides: preferred node and pod (anti-)affinity, "
                    + "`ScheduleAnyway` and `PreferNoSchedule`; also between nodes that are as cheap to remove. "
                    + "False, as with cluster-autoscaler: they are not looked at.")
            allOrNothing = reader.flag(
                "all_or_nothing", default: false, "Nothing is added unless all waiting pods can be helped by it.")
            expendablePriorityCutoff = reader.count(
                "expendable_priority_cutoff", default: -10, in: -2_147_483_648...1_000_000_000,
                "Pods of a lower priority never cause a node and never keep one.")
            newPodDelay = reader.interval("new_pod_delay", default: .zero, "Pods younger than this wait.")
            balanceSimilarGroups = reader.flag(
                "balance_similar_groups", default: false, "Groups with equal nodes (other than zone) grow evenly.")
            balancingIgnoredLabels = reader.texts(
                "balancing_ignore_labels",
                "Labels besides host name, zone and region in which equal groups may differ.")
            balancingLabels = reader.texts(
                "balancing_labels",
                "When there are any, groups are equal if they have these labels with equal values, and nothing else is compared."
            )
            if !balancingLabels.isEmpty && !balancingIgnoredLabels.isEmpty {
                reader.mistake(
                    "balancing_labels", "is given with balancing_ignore_labels", allowed: "one of the two")
            }
            flavorPrices = reader.table(
                "flavor_prices", "number",
                "Price of a node per hour by flavor, e.g. `m1.large: 0.2`; for groups without a `price` of their own."
            ) { Double($0).flatMap { $0 >= 0 && $0 <= 1e15 ? $0 : nil } }
            maximumNodesPerDecision = reader.count(
                "max_nodes_per_decision", default: 1_000, in: 1...100_000, "New nodes that one decision may ask for.")
            maximumNodesPerMinute = reader.count(
                "max_nodes_per_minute", default: 0, in: 0...100_000,
                "New nodes that may be asked for in any 60 seconds, over all groups; 0: no limit.")
            backoff = reader.interval(
                "backoff", default: .minutes(5),
                "A group whose scale-up failed is left out for this long; doubled each time.")
            maximumBackoff = reader.interval("max_backoff", default: .minutes(30), "…up to this.")
            backoffReset = reader.interval(
                "backoff_reset", default: .minutes(180),
                "A group without failure for this long starts from `backoff` again.")
            schedulers = reader.texts(
                "schedulers", "Pods of other schedulers are left alone; empty: those of all are served.")
            bypassedSchedulers = reader.texts(
                "bypassed_schedulers",
                "Pods of these schedulers count as soon as they are there, before the scheduler has found them unschedulable."
            )
            startupTimeout = reader.interval(
                "startup_timeout", default: .minutes(15), in: .seconds(1) ... .minutes(1_440),
                "A node that has registered and is not ready counts as coming for this long, then as not ready.")
            startupTaints = reader.texts(
                "startup_taints",
                "Taints, by key, that a node loses when it is set up (`node.cilium.io/agent-not-ready`); a key that ends in `*` "
                    + "is a beginning. A node with one counts as coming. Always among them: "
                    + "`startup-taint.cluster-autoscaler.kubernetes.io/*`.")
            statusTaints = reader.texts(
                "status_taints",
                "Taints, by key, that come and go with a node's state: a new node is taken to lack them. As above; always among "
                    + "them: `status-taint.cluster-autoscaler.kubernetes.io/*`, `node.kubernetes.io/*`.")
            okUnready = reader.count(
                "ok_unready", default: 3, in: 0...1_000_000, "So many nodes that are not ready never stop anything.")
            maximumUnreadyPercent = reader.number(
                "max_unready_percent", default: 45, in: 0...100,
                "A larger share of nodes that are not ready stops everything.")
            limits = reader.section("limits", "Limits of the whole cluster.", Limits.init)
            scaleDown = reader.section("scale_down", "Which nodes may go, and when.", ScaleDown.init)
            headroom = reader.section("headroom", "Spare capacity that is kept.", Headroom.init)
            rules = reader.list(
                "rules",
                "Rules that make an alarm or measured load ask for nodes, or forbid that any go. All guards count as ever.",
                Rule.init)
            var names: Set<String> = []
            for rule in rules where !rule.name.isEmpty && !names.insert(rule.name).inserted {
                reader.mistake(
                    "rules", "the name \"\(rule.name)\" is used twice", allowed: "a name of its own for each")
            }
            pods = reader.section("pods", "How pod scalers are looked at, whatever each of them says.", Pods.init)
        }
    }
}
