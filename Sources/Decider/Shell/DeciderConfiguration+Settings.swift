import Messages
import Settings
import Support

extension DeciderConfiguration {
    /// The rules that the settings of the suite stand for.
    public init(_ settings: Settings) {
        self.init(
            cluster: settings.cluster,
            groups: settings.groups.enumerated().map { GroupRules($0.element, origin: "groups[\($0.offset)]") })
        let decider = settings.decider
        scaleUp.expanders = decider.expander.map { expander in
            switch expander {
            case .leastWaste: .leastWaste
            case .mostPods: .mostPods
            case .leastNodes: .leastNodes
            case .priority:
                .priority(decider.priorities.map { PriorityPatterns(priority: $0.priority, patterns: $0.patterns) })
            case .price: .price
            case .random: .random
            }
        }
        scaleUp.severalGroups = decider.severalGroups
        scaleUp.softTieBreaks = decider.softTieBreaks
        scaleUp.allOrNothing = decider.allOrNothing
        scaleUp.balancesSimilarGroups = decider.balanceSimilarGroups
        scaleUp.similarity.ignoredLabels = Set(decider.balancingIgnoredLabels)
        scaleUp.similarity.labels = decider.balancingLabels
        flavorPrices = decider.flavorPrices
        scaleUp.maximumNodesPerDecision = decider.maximumNodesPerDecision
        scaleUp.maximumNodesPerMinute = decider.maximumNodesPerMinute
        scaleUp.allowedSchedulers = Set(decider.schedulers)
        scaleUp.bypassedSchedulers = Set(decider.bypassedSchedulers)
        scaleUp.expendablePriorityCutoff = Int32(clamping: decider.expendablePriorityCutoff)
        scaleUp.newPodDelay = decider.newPodDelay
        scaleUp.initialBackoff = decider.backoff
        scaleUp.maximumBackoff = decider.maximumBackoff
        scaleUp.backoffReset = decider.backoffReset
        health.startupTimeout = decider.startupTimeout
        health.startupTaints = decider.startupTaints
        health.statusTaints = decider.statusTaints
        health.toleratedUnready = decider.okUnready
        health.maximumUnreadyPercent = decider.maximumUnreadyPercent
        health.stateTimeout = decider.stateMaximumAge
        health.groupTimeout = max(decider.stateMaximumAge, health.groupTimeout)
        scaleDown = ScaleDownRules(decider.scaleDown)
        limits = ClusterLimits(decider.limits)
        headroom = HeadroomRule.rules(decider.headroom)
        let looks = settings.collector.alarms.enabled ? settings.actuator.alarmsInterval : nil
        rules = decider.rules.map { ScalingRule($0, kubelets: settings.collector.stats, alarms: looks) }
        podScalers = settings.podScalers
        podScaling.enabled = decider.pods.enabled
        podScaling.interval = decider.pods.interval
        // What comes less often than it may be old would be missing half of the time.
        podScaling.statMaximumAge = max(decider.pods.statMaximumAge, settings.collector.stats.interval * 2)
        podScaling.detailMaximumAge = max(
            podScaling.statMaximumAge, (settings.collector.stats.detailsInterval ?? .zero) * 2)
        podScaling.cpuInitialization = decider.pods.cpuInitialization
        podScaling.initialReadinessDelay = decider.pods.initialReadinessDelay
        podScaling.statWindow = settings.collector.stats.interval
    }
}

extension HeadroomRule {
    static func rules(_ settings: Settings.Decider.Headroom) -> [HeadroomRule] {
        var rules = settings.shapes.map { shape in
            HeadroomRule(
                id: shape.name, amount: .pods(count: shape.count, requests: shape.requests),
                nodeSelector: shape.nodeSelector, tolerations: shape.tolerations)
        }
        if settings.percent > 0 {
            // In small pieces, so that any node with room counts.
            let piece = ResourceList(cpuMillis: 100, memoryBytes: 256 << 20)
            rules.append(HeadroomRule(id: "percent", amount: .percent(settings.percent, requests: piece)))
        }
        return rules
    }
}

extension GroupRules {
    init(_ group: Settings.Group, origin: String) {
        self.init(id: group.id, min: group.min, max: group.max, origin: origin)
        priority = group.priority
        price = group.price
        provisionTimeout = group.provisionTimeout
        zeroOrMax = group.zeroOrMax
        utilizationThreshold = group.utilizationThreshold
        gpuUtilizationThreshold = group.gpuUtilizationThreshold
        unneededTime = group.unneededTime
        unreadyTime = group.unreadyTime
        var template = Template(
            reserved: group.template.reserved, labels: group.template.labels, taints: group.template.taints)
        if let zone = group.template.zone { template.labels["topology.kubernetes.io/zone"] = zone }
        let capacity = group.template.capacity
        if capacity != ResourceList() {
            var allocatable = capacity
            allocatable.cpuMillis = Swift.max(0, capacity.cpuMillis - group.template.reserved.cpuMillis)
            allocatable.memoryBytes = Swift.max(0, capacity.memoryBytes - group.template.reserved.memoryBytes)
            allocatable.ephemeralStorageBytes = Swift.max(
                0, capacity.ephemeralStorageBytes - group.template.reserved.ephemeralStorageBytes)
            if allocatable.pods == 0 { allocatable.pods = 110 }
            template.allocatable = allocatable
            template.capacity = capacity
        }
        self.template = template
    }
}

extension ScaleDownRules {
    init(_ settings: Settings.Decider.ScaleDown) {
        self.init()
        enabled = settings.enabled
        unneededTime = settings.unneededTime
        unreadyTime = settings.unreadyTime
        removesUnready = settings.unreadyEnabled
        utilizationThreshold = settings.utilizationThreshold
        gpuUtilizationThreshold = settings.gpuUtilizationThreshold
        delayAfterAdd = settings.delayAfterAdd
        delayAfterDelete = settings.delayAfterDelete
        delayAfterFailure = settings.delayAfterFailure
        delaysPerGroup = settings.delaysPerGroup
        maximumParallel = settings.maximumParallel
        maximumParallelDrain = settings.maximumParallelDrains
        budgets = settings.budgets.enumerated().map { index, budget in
            DisruptionBudget(
                group: DisruptionBudget.Scope(budget.group), zone: DisruptionBudget.Scope(budget.zone),
                nodes: budget.nodes, percent: budget.percent, schedule: budget.schedule,
                drains: budget.drains, origin: "decider.scale_down.budgets[\(index)]")
        }
        consolidates = settings.consolidation.enabled
        consolidationGain = settings.consolidation.minimumSaving
        consolidationPause = settings.consolidation.pause
        balancesZones = settings.balanceZones
        limitsCandidates = settings.limitCandidates
        unremovableRecheck = settings.recheckAfter
        gpuResources = settings.gpuResources
        gpuLabels = settings.gpuLabels
        usesMeasuredLoad = settings.measuredUtilization
        measurementLifetime = settings.measurementMaximumAge
        ignoresDaemonSets = settings.ignoreDaemonSets
        ignoresMirrorPods = settings.ignoreMirrorPods
        drain.localStorageHolds = settings.skipLocalStorage
        drain.systemPodsHold = settings.skipSystemPods
        drain.systemPodTimeout = settings.systemPodTimeout
        drain.customControllersHold = settings.skipCustomControllers
        drain.minimumReplicas = Int32(clamping: settings.minimumReplicas)
    }
}

extension DisruptionBudget.Scope {
    /// As the settings write it.
    init(_ text: String?) {
        switch text {
        case nil: self = .all
        case "*"?: self = .each
        case let name?: self = .named(name)
        }
    }
}

extension ClusterLimits {
    init(_ settings: Settings.Decider.Limits) {
        self.init()
        maximumNodes = settings.nodes ?? 0
        func add(_ resource: String, _ limit: Int64?, _ field: String) {
            guard let limit else { return }
            quotas.append(
                Quota(id: "cluster", groups: nil, limits: [resource: limit], origin: "decider.limits.\(field)"))
        }
        minimum["nodes"] = settings.minimumNodes.map { Int64($0) }
        minimum["cpu"] = settings.minimumCoresMillis.map { ($0 + 999) / 1_000 }
        minimum["memory"] = settings.minimumMemoryBytes
        for (name, count) in settings.minimumGPUs { minimum[name] = Int64(count) }
        add("cpu", settings.coresMillis.map { $0 / 1_000 }, "cores")
        add("memory", settings.memoryBytes, "memory")
        for (name, count) in settings.gpus.sorted(by: { $0.key < $1.key }) { add(name, Int64(count), "gpus") }
    }
}
