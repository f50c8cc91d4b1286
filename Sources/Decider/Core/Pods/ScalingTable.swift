import Messages

/// Scalers, targets and HorizontalPodAutoscalers as the Collector told them.
struct ScalingTable: Sendable {
    private(set) var scalers: [String: PodScaler] = [:]
    private(set) var targets: [String: ScaleTarget] = [:]
    private(set) var autoscalers: [String: PodAutoscaler] = [:]
    /// Why it is not known which HorizontalPodAutoscalers there are; nil: it is.
    private(set) var autoscalersProblem: String?
    /// Why `PodScaler` objects could not be listed for the last snapshot, so that older ones are among these; nil: they were.
    private(set) var scalersProblem: String?
    /// The same of Deployments.
    private(set) var deploymentsProblem: String?
    /// Grows with each change.
    var revision = 0
    /// Grows with each change of a scaler.
    var scalersRevision = 0

    private var rollingIDs: Set<String> = []
    /// Targets that were kept though they could not be listed: no delta will change them.
    private var keptIDs: Set<String> = []

    private mutating func set(_ target: ScaleTarget) {
        targets[target.id] = target
        if target.isRollingOut {
            rollingIDs.insert(target.id)
        } else {
            rollingIDs.remove(target.id)
        }
    }

    mutating func add(_ scaling: PodScaling) {
        revision += 1
        if !scaling.scalers.isEmpty { scalersRevision += 1 }
        for scaler in scaling.scalers { scalers[scaler.id] = scaler }
        for target in scaling.targets {
            keptIDs.remove(target.id)
            set(target)
        }
        for autoscaler in scaling.autoscalers { autoscalers[autoscaler.id] = autoscaler }
        if let problem = scaling.autoscalersProblem { autoscalersProblem = problem.isEmpty ? nil : problem }
        if let problem = scaling.scalersProblem { scalersProblem = problem }
        if let problem = scaling.deploymentsProblem { deploymentsProblem = problem }
    }

    /// Keeps of the table before what the Collector could not list.
    mutating func keepUnlisted(of old: ScalingTable) {
        if scalersProblem != nil {
            for (id, scaler) in old.scalers where scalers[id] == nil { scalers[id] = scaler }
        }
        // Who may not read scalers tells of no targets at all.
        let isUntold = scalersProblem != nil && targets.isEmpty
        for (id, target) in old.targets where targets[id] == nil {
            let reference = TargetReference(apiVersion: target.apiVersion, kind: target.kind, name: target.name)
            // Targets of other kinds are asked for only once scalers are known that name them.
            let isUnlisted =
                reference.isBuiltIn ? deploymentsProblem != nil && target.kind == "Deployment" : scalersProblem != nil
            guard isUnlisted || isUntold else { continue }
            // Numbers of shapes are another snapshot's.
            var target = target
            target.template = nil
            keptIDs.insert(id)
            set(target)
        }
    }

    /// Whether what is known of a target is from before it could not be listed any more.
    func isKept(_ id: String) -> Bool { keptIDs.contains(id) }

    /// Replicas of a kept target were changed by us: nobody else will tell it.
    mutating func changeKept(_ id: String, to replicas: Int) {
        guard keptIDs.contains(id) else { return }
        targets[id]?.replicas = replicas
        revision += 1
    }

    mutating func change(_ change: PodScalingChange) {
        revision += 1
        if !change.removedScalers.isEmpty { scalersRevision += 1 }
        for id in change.removedScalers { scalers[id] = nil }
        for id in change.removedTargets {
            targets[id] = nil
            rollingIDs.remove(id)
            keptIDs.remove(id)
        }
        for id in change.removedAutoscalers { autoscalers[id] = nil }
        add(change.changed)
    }

    /// Targets of which a new version is being rolled out; there are few at a time.
    var rolling: [ScaleTarget] { rollingIDs.sorted().compactMap { targets[$0] } }

    /// As a snapshot says it; nil: nothing.
    var message: PodScaling? {
        let all = PodScaling(
            scalers: Array(scalers.values), targets: Array(targets.values), autoscalers: Array(autoscalers.values),
            autoscalersProblem: autoscalersProblem, scalersProblem: scalersProblem,
            deploymentsProblem: deploymentsProblem)
        return all.isEmpty ? nil : all
    }
}
