import JSONReader
import Messages
import Support

extension DeciderConfiguration {
    /// Takes over the keys of a scenario's `config`; what is missing stays.
    mutating func apply(_ config: JSONValue?) {
        guard let config else { return }
        func seconds(_ key: String) -> Interval? { config[key]?.doubleValue.map { .seconds($0) } }
        func number(_ key: String) -> Int? { config[key]?.intValue.map { Int($0) } }
        applyScaleUp(config)
        if let limit = number("maxNodesTotal") { limits.maximumNodes = limit }
        applyQuotas(config)
        if let value = number("okTotalUnreadyCount") { health.toleratedUnready = value }
        if let value = config["maxTotalUnreadyPercentage"]?.doubleValue { health.maximumUnreadyPercent = value }
        if let value = seconds("maxNodeProvisionTimeSeconds") { health.provisionTimeout = value }
        if let value = seconds("maxNodeStartupTimeSeconds") { health.startupTimeout = value }
        if let value = config["forceDeleteUnregisteredNodes"]?.boolValue { health.replacesAtMinimum = value }
        if let value = seconds("scaleDownUnneededTimeSeconds") ?? seconds("unneededTimeSeconds") {
            scaleDown.unneededTime = value
        }
        if let value = seconds("scaleDownUnreadyTimeSeconds") ?? seconds("unreadyTimeSeconds") {
            scaleDown.unreadyTime = value
        }
        if let value = config["scaleDownUnreadyEnabled"]?.boolValue { scaleDown.removesUnready = value }
        if let value = config["scaleDownUtilizationThreshold"]?.doubleValue { scaleDown.utilizationThreshold = value }
        if let value = seconds("scaleDownDelayAfterAddSeconds") { scaleDown.delayAfterAdd = value }
        if let value = number("maxScaleDownParallelism") { scaleDown.maximumParallel = value }
        if let value = number("maxDrainParallelism") { scaleDown.maximumParallelDrain = value }
        if let value = config["ignoreDaemonSetsUtilization"]?.boolValue { scaleDown.ignoresDaemonSets = value }
        if let value = config["ignoreMirrorPodsUtilization"]?.boolValue { scaleDown.ignoresMirrorPods = value }
        if let value = config["skipNodesWithSystemPods"]?.boolValue { scaleDown.drain.systemPodsHold = value }
        if let value = config["skipNodesWithLocalStorage"]?.boolValue { scaleDown.drain.localStorageHolds = value }
        if let value = config["skipNodesWithCustomControllerPods"]?.boolValue {
            scaleDown.drain.customControllersHold = value
        }
        if let value = seconds("blockingSystemPodDisruptionTimeoutSeconds") { scaleDown.drain.systemPodTimeout = value }
        if let value = number("minReplicaCount") { scaleDown.drain.minimumReplicas = Int32(clamping: value) }
        for (name, value) in config["minQuota"]?.objectValue ?? [:] {
            limits.minimum[name] = ScenarioValues.quantity(value)
        }
    }

    private mutating func applyScaleUp(_ config: JSONValue) {
        func seconds(_ key: String) -> Interval? { config[key]?.doubleValue.map { .seconds($0) } }
        if let limit = config["maxNodesPerScaleUp"]?.intValue {
            scaleUp.maximumNodesPerDecision = Int(limit)
            // Such files were observed: a program that limits its estimates, unlike most unit tests.
            peer.estimatesBeyondLimits = false
        }
        if let value = config["allOrNothing"]?.boolValue { scaleUp.allOrNothing = value }
        if let value = config["balanceSimilarNodeGroups"]?.boolValue { scaleUp.balancesSimilarGroups = value }
        if let value = config["enforceNodeGroupMinSize"]?.boolValue { scaleUp.enforcesMinimum = value }
        if let value = config["forceDaemonSets"]?.boolValue { scaleUp.forcesDaemonSets = value }
        if let value = config["expendablePodsPriorityCutoff"]?.intValue {
            scaleUp.expendablePriorityCutoff = Int32(clamping: value)
        }
        if let value = seconds("newPodScaleUpDelaySeconds") { scaleUp.newPodDelay = value }
        if let value = seconds("initialNodeGroupBackoffSeconds") { scaleUp.initialBackoff = value }
        if let value = seconds("maxNodeGroupBackoffSeconds") { scaleUp.maximumBackoff = value }
        if let value = seconds("nodeGroupBackoffResetSeconds") { scaleUp.backoffReset = value }
        if let value = config["bypassedSchedulers"] { scaleUp.bypassedSchedulers = Set(ScenarioValues.list(value)) }
        if let value = config["balancingIgnoreLabels"] {
            scaleUp.similarity.ignoredLabels = Set(ScenarioValues.list(value))
        }
        if let value = config["maxCapacityMemoryDifferenceRatio"]?.doubleValue {
            scaleUp.similarity.memoryCapacityRatio = value
        }
        if let value = config["maxAllocatableDifferenceRatio"]?.doubleValue {
            scaleUp.similarity.allocatableRatio = value
        }
        if let value = config["maxFreeDifferenceRatio"]?.doubleValue { scaleUp.similarity.freeRatio = value }
        if let chosen = config[path: "expander", "choose"]?.stringValue {
            scaleUp.expanders = [.choose(chosen)]
        } else if let text = config["expander"]?.stringValue {
            scaleUp.expanders = text.split(separator: ",").compactMap { Self.expander($0) }
        }
    }

    private static func expander(_ name: Substring) -> Expander? {
        switch name {
        case "least-waste": .leastWaste
        case "most-pods": .mostPods
        case "least-nodes": .leastNodes
        case "price": .price
        case "priority": .priority([])
        case "random": .random
        default: nil
        }
    }

    private mutating func applyQuotas(_ config: JSONValue) {
        func cluster(_ key: String, _ resource: String) {
            guard let limit = config[key]?.intValue else { return }
            limits.quotas.removeAll { $0.origin == key }
            limits.quotas.append(
                ClusterLimits.Quota(id: "cluster", groups: nil, limits: [resource: limit], origin: key))
        }
        cluster("maxCoresTotal", "cpu")
        cluster("maxMemoryTotalBytes", "memory")
        if config["quotas"] != nil { limits.quotas.removeAll { $0.origin == "quotas" } }
        for quota in config["quotas"]?.arrayValue ?? [] {
            let groups = quota["groups"]?.arrayValue.map { Set($0.compactMap(\.stringValue)) }
            limits.quotas.append(
                ClusterLimits.Quota(
                    id: quota["id"]?.stringValue ?? "quota", groups: groups,
                    limits: (quota["limits"]?.objectValue ?? [:]).mapValues { ScenarioValues.quantity($0) },
                    origin: "quotas"))
        }
    }
}
