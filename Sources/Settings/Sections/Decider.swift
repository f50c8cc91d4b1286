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

            init(_ reader: SettingsReader) {
                nodes = reader.count(
                    "nodes", in: 1...1_000_000, "Nodes in the cluster, also those of no group; without it no limit.")
                coresMillis = reader.cpuMillis("cores", "Cores in the cluster; without it no limit.")
                memoryBytes = reader.quantity("memory", "Memory in the cluster; without it no limit.")
                gpus = reader.table("gpus", "whole number", "GPUs by resource name, e.g. `nvidia.com/gpu: 8`.") {
                    Int($0)
                }
            }
        }

        /// `decider.scale_down`.
        public struct ScaleDown: Sendable, Hashable {
            /// Whether nodes are removed at all.
            public var enabled: Bool
            /// A node must be unneeded for this long.
            public var unneededTime: Interval
            /// An unready node must be unneeded for this long.
            public var unreadyTime: Interval
            /// Whether unready nodes are removed.
            public var unreadyEnabled: Bool
            /// Requests over allocatable, at most, for a node to be a candidate.
            public var utilizationThreshold: Double
            /// The same for nodes with GPUs, which are judged by their GPUs.
            public var gpuUtilizationThreshold: Double
            /// No removal for this long after a scale-up.
            public var delayAfterAdd: Interval
            /// No removal for this long after a removal.
            public var delayAfterDelete: Interval
            /// No removal for this long after a failed removal.
            public var delayAfterFailure: Interval
            /// Whether the three delays count for each group by itself.
            public var delaysPerGroup: Bool
            /// Removals at once.
            public var maximumParallel: Int
            /// Of them with pods to move.
            public var maximumParallelDrains: Int
            /// A node found unremovable is not looked at for this long.
            public var unremovableRecheck: Interval
            /// Whether DaemonSet pods are left out of the utilization.
            public var ignoreDaemonSets: Bool
            /// Whether mirror pods are left out of the utilization.
            public var ignoreMirrorPods: Bool
            /// Whether pods with local storage keep their node.
            public var skipLocalStorage: Bool
            /// Whether kube-system pods without a budget keep their node.
            public var skipSystemPods: Bool
            /// For how long they do.
            public var systemPodTimeout: Interval
            /// Whether pods of other controllers keep their node.
            public var skipCustomControllers: Bool
            /// Controllers with fewer replicas keep their pods' nodes.
            public var minimumReplicas: Int

            init(_ reader: SettingsReader) {
                enabled = reader.flag("enabled", default: true, "Whether nodes are removed at all.")
                unneededTime = reader.interval(
                    "unneeded_time", default: .minutes(10), "A node must be unneeded for this long without a break.")
                unreadyTime = reader.interval(
                    "unready_time", default: .minutes(20), "The same for a node that is not ready.")
                unreadyEnabled = reader.flag(
                    "unready_enabled", default: true, "Whether nodes that are not ready are removed.")
                utilizationThreshold = reader.number(
                    "utilization_threshold", default: 0.5, in: 0...1,
                    "Requests over allocatable, the larger of CPU and memory; a node above it stays.")
                gpuUtilizationThreshold = reader.number(
                    "gpu_utilization_threshold", default: 0.5, in: 0...1,
                    "The same for nodes with GPUs, which are judged by their GPUs alone.")
                delayAfterAdd = reader.interval(
                    "delay_after_add", default: .minutes(10), "No removal for this long after a scale-up.")
                delayAfterDelete = reader.interval(
                    "delay_after_delete", default: .zero, "No removal for this long after a removal.")
                delayAfterFailure = reader.interval(
                    "delay_after_failure", default: .minutes(3), "No removal for this long after a failed removal.")
                delaysPerGroup = reader.flag(
                    "delays_per_group", default: false, "The three delays count for each group by itself.")
                maximumParallel = reader.count("max_parallel", default: 10, in: 1...10_000, "Removals at once.")
                maximumParallelDrains = reader.count(
                    "max_parallel_drains", default: 5, in: 1...10_000, "Removals at once of nodes with pods to move.")
                unremovableRecheck = reader.interval(
                    "unremovable_recheck", default: .minutes(5),
                    "A node found unremovable is not looked at for this long.")
                ignoreDaemonSets = reader.flag(
                    "ignore_daemonsets", default: false, "Leave DaemonSet pods out of the utilization.")
                ignoreMirrorPods = reader.flag(
                    "ignore_mirror_pods", default: false, "Leave mirror (static) pods out of the utilization.")
                skipLocalStorage = reader.flag(
                    "skip_local_storage", default: true, "Pods with an emptyDir or hostPath keep their node.")
                skipSystemPods = reader.flag(
                    "skip_system_pods", default: true, "kube-system pods without a PodDisruptionBudget keep their node."
                )
                systemPodTimeout = reader.interval(
                    "system_pod_timeout", default: .minutes(60), "…until they are this old.")
                skipCustomControllers = reader.flag(
                    "skip_custom_controllers", default: true,
                    "Pods of controllers that Kubernetes does not know keep their node.")
                minimumReplicas = reader.count(
                    "min_replicas", default: 0, in: 0...10_000,
                    "Controllers with fewer replicas keep their pods' nodes.")
            }
        }

        /// `decider.headroom`: spare capacity that is kept.
        public struct Headroom: Sendable, Hashable {
            /// Percent of the cluster's allocatable CPU and memory.
            public var percent: Double

            init(_ reader: SettingsReader) {
                percent = reader.number(
                    "percent", default: 0, in: 0...100, "Share of the cluster's CPU and memory that is kept free.")
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
        /// Pods of a lower priority never cause a node.
        public var expendablePriorityCutoff: Int
        /// Younger pods wait.
        public var newPodDelay: Interval
        /// Whether equal groups grow evenly.
        public var balanceSimilarGroups: Bool
        /// How many new nodes one decision may ask for.
        public var maximumNodesPerDecision: Int
        /// First wait of a group that failed.
        public var backoff: Interval
        /// Longest wait of a group that failed.
        public var maximumBackoff: Interval
        /// A group without failure for this long starts anew.
        public var backoffReset: Interval
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
            expendablePriorityCutoff = reader.count(
                "expendable_priority_cutoff", default: -10, in: -2_147_483_648...1_000_000_000,
                "Pods of a lower priority never cause a node and never keep one.")
            newPodDelay = reader.interval("new_pod_delay", default: .zero, "Pods younger than this wait.")
            balanceSimilarGroups = reader.flag(
                "balance_similar_groups", default: false, "Groups with equal nodes (other than zone) grow evenly.")
            maximumNodesPerDecision = reader.count(
                "max_nodes_per_decision", default: 1_000, in: 1...100_000, "New nodes that one decision may ask for.")
            backoff = reader.interval(
                "backoff", default: .minutes(5),
                "A group whose scale-up failed is left out for this long; doubled each time.")
            maximumBackoff = reader.interval("max_backoff", default: .minutes(30), "…up to this.")
            backoffReset = reader.interval(
                "backoff_reset", default: .minutes(180),
                "A group without failure for this long starts from `backoff` again.")
            okUnready = reader.count(
                "ok_unready", default: 3, in: 0...1_000_000, "So many nodes that are not ready never stop anything.")
            maximumUnreadyPercent = reader.number(
                "max_unready_percent", default: 45, in: 0...100,
                "A larger share of nodes that are not ready stops everything.")
            limits = reader.section("limits", "Limits of the whole cluster.", Limits.init)
            scaleDown = reader.section("scale_down", "Which nodes may go, and when.", ScaleDown.init)
            headroom = reader.section("headroom", "Spare capacity that is kept.", Headroom.init)
        }
    }
}
