import Support

extension Settings.Decider {
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
        /// Limits by group, zone and time.
        public var budgets: [Budget]
        /// Replacing nodes by fewer or smaller ones.
        public var consolidation: Consolidation
        /// Whether zones of a group are kept level.
        public var balanceZones: Bool
        /// Whether only so many nodes are looked for at once as could be removed soon.
        public var limitCandidates: Bool
        /// How long a node that could not go is left alone.
        public var recheckAfter: Interval
        /// Names of GPU resources.
        public var gpuResources: [String]
        /// Labels of nodes with GPUs.
        public var gpuLabels: [String]
        /// Whether measured load has to be low too.
        public var measuredUtilization: Bool
        /// Older measurements do not count.
        public var measurementMaximumAge: Interval
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
            budgets = reader.list(
                "budgets",
                "How many nodes may be under removal at once, besides `max_parallel`: every budget that concerns a node "
                    + "and holds now has to have room for it.", Budget.init)
            consolidation = reader.section(
                "consolidation",
                "Replacing nodes by fewer, smaller or cheaper ones: the new ones come up first, then the old ones are drained.",
                Consolidation.init)
            balanceZones = reader.flag(
                "balance_zones", default: true,
                "Of nodes of one group that are as cheap to remove, one of the zone with the most nodes goes first.")
            limitCandidates = reader.flag(
                "limit_candidates", default: false,
                "In one evaluation look only for `2 × max_parallel` nodes more than are unneeded already, and for no more than could "
                    + "be removed within `unneeded_time`, as cluster-autoscaler does. False: for all.")
            recheckAfter = reader.interval(
                "recheck_after", default: .zero,
                "A node whose pods could not be moved is looked at again after this long (cluster-autoscaler: 5m). Zero: each time."
            )
            gpuResources = reader.texts(
                "gpu_resources", default: ["nvidia.com/gpu", "amd.com/gpu"],
                "Resources that count as GPUs.")
            gpuLabels = reader.texts(
                "gpu_labels",
                "Labels of nodes with GPUs. A node with one that offers no GPU yet (its driver is being installed) counts as "
                    + "coming, for `decider.startup_timeout`.")
            measuredUtilization = reader.flag(
                "measured_utilization", default: false,
                "Besides the requests, what was measured (CPU and memory, the larger) has to be at or below the "
                    + "threshold too, where there is a fresh measurement (`collector.stats`).")
            measurementMaximumAge = reader.interval(
                "measurement_max_age", default: .minutes(2), in: .seconds(1) ... .minutes(60),
                "An older measurement does not count.")
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
}
