import Messages

/// Scalers, targets and HorizontalPodAutoscalers as the Collector told them.
struct ScalingTable: Sendable {
    private(set) var scalers: [String: PodScaler] = [:]
    private(set) var targets: [String: ScaleTarget] = [:]
    private(set) var autoscalers: [String: PodAutoscaler] = [:]
    /// Why it is not known which HorizontalPodAutoscalers there are; nil: it is.
    private(set) var autoscalersProblem: String?
    /// Grows with each change.
    var revision = 0
    /// Grows with each change of a scaler.
    var scalersRevision = 0

    mutating func add(_ scaling: PodScaling) {
        revision += 1
        if !scaling.scalers.isEmpty { scalersRevision += 1 }
        for scaler in scaling.scalers { scalers[scaler.id] = scaler }
        for target in scaling.targets { targets[target.id] = target }
        for autoscaler in scaling.autoscalers { autoscalers[autoscaler.id] = autoscaler }
        if let problem = scaling.autoscalersProblem { autoscalersProblem = problem.isEmpty ? nil : problem }
    }

    mutating func change(_ change: PodScalingChange) {
        revision += 1
        if !change.removedScalers.isEmpty { scalersRevision += 1 }
        for id in change.removedScalers { scalers[id] = nil }
        for id in change.removedTargets { targets[id] = nil }
        for id in change.removedAutoscalers { autoscalers[id] = nil }
        add(change.changed)
    }

    /// As a snapshot says it; nil: nothing.
    var message: PodScaling? {
        let all = PodScaling(
            scalers: Array(scalers.values), targets: Array(targets.values), autoscalers: Array(autoscalers.values),
            autoscalersProblem: autoscalersProblem)
        return all.isEmpty ? nil : all
    }
}
