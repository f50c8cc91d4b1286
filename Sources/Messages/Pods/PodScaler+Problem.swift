import Support

extension PodScaler {
    /// Stats that every pod has.
    public static let resources: Set<String> = ["cpu", "memory", "disk", "received", "sent"]

    /// What makes the scaler unusable: as it was written, or values that cannot be meant; nil: nothing.
    public var problem: Explanation? {
        if let mistake { return Explanation(.scalerInvalid, mistake) }
        if target == nil && targetSelector == nil {
            return Explanation(.scalerInvalid, "names neither a target nor a targetSelector")
        }
        if target != nil && targetSelector != nil {
            return Explanation(.scalerInvalid, "names both a target and a targetSelector")
        }
        if targetSelector?.requirements.isEmpty ?? false {
            return Explanation(.scalerInvalid, "targetSelector: an empty selector would mean every workload")
        }
        if monitorSelector?.requirements.isEmpty ?? false {
            return Explanation(.scalerInvalid, "monitorSelector: an empty selector would mean every pod")
        }
        if maximum < 1 { return Explanation(.scalerInvalid, "maxReplicas: \(maximum) is below 1") }
        if maximum > Self.most {
            return Explanation(.scalerInvalid, "maxReplicas: \(maximum) is above \(Self.most)")
        }
        if minimum < 0 { return Explanation(.scalerInvalid, "minReplicas: \(minimum) is below 0") }
        if minimum > maximum {
            return Explanation(.scalerInvalid, "minReplicas: \(minimum) is above maxReplicas \(maximum)")
        }
        if let fallback, fallback < 0 || fallback > maximum {
            return Explanation(.scalerInvalid, "fallbackReplicas: \(fallback) is not within 0…maxReplicas \(maximum)")
        }
        if intentions.isEmpty && values.isEmpty { return Explanation(.scalerInvalid, "has no threshold") }
        for (index, intention) in intentions.enumerated() {
            if let wrong = intention.mistake {
                return Explanation(.scalerInvalid, "intention \(index) (\(intention.title)): \(wrong)")
            }
        }
        for (index, value) in values.enumerated() {
            if let wrong = value.mistake {
                return Explanation(.scalerInvalid, "value threshold \(index) (\(value.stat)): \(wrong)")
            }
        }
        // As with HorizontalPodAutoscaler: a workload without pods has no stat of pods that could wake it.
        if minimum == 0 && !wakes {
            return Explanation(
                .scalerInvalid,
                "minReplicas: 0 needs an external stat that asks for the first pod again, or fallbackReplicas")
        }
        if minimum == 0 && scaleUp.selection == .disabled {
            return Explanation(
                .scalerInvalid,
                "minReplicas: 0 with behavior.scaleUp.selectPolicy Disabled would never have a pod again")
        }
        if let wrong = sourceMistake { return Explanation(.scalerInvalid, wrong) }
        return scaleUp.mistake.map { Explanation(.scalerInvalid, "behavior.scaleUp: \($0)") }
            ?? scaleDown.mistake.map { Explanation(.scalerInvalid, "behavior.scaleDown: \($0)") }
    }

    /// More replicas than any workload has: sums of them stay in bounds.
    private static let most = 1_000_000

    /// Whether something may ask for the first pod of a workload that has none.
    private var wakes: Bool {
        (fallback ?? 0) > 0 || intentions.contains(where: \.isExternal)
            || values.contains { $0.isExternal && !$0.step.isNegative }
    }

    private var sourceMistake: String? {
        guard let sources else { return nil }
        let named = Set(
            intentions.filter(\.isExternal).map(\.stat) + values.filter(\.isExternal).map(\.stat))
        let ofPods = Set(
            intentions.filter { !$0.isExternal }.map(\.stat) + values.filter { !$0.isExternal }.map(\.stat))
        var seen: Set<String> = []
        for (index, source) in sources.enumerated() {
            let place = "source \(index) (\(source.stat.cut(utf8: 60)))"
            if let wrong = source.mistake { return "\(place): \(wrong)" }
            if !seen.insert(source.stat).inserted { return "\(place): another source has the same stat" }
            if source.isOfPods {
                if Self.resources.contains(source.stat) { return "\(place): kubelets tell that" }
                if !ofPods.contains(source.stat) { return "\(place): no threshold without external names it" }
                if target == nil && monitorSelector == nil {
                    return "\(place): with targetSelector a metric of pods needs monitorSelector"
                }
            } else if !named.contains(source.stat) {
                return "\(place): no threshold with external: true names it"
            }
        }
        return nil
    }
}

extension Intention {
    fileprivate var mistake: String? {
        if stat.isEmpty { return "names no stat" }
        if let container {
            if container.isEmpty { return "names a container without a name" }
            if isExternal || (stat != "cpu" && stat != "memory") {
                return "of a container only cpu and memory are known"
            }
        }
        switch goal {
        case .utilization(let percent):
            if isExternal { return "an external stat has no utilization" }
            if stat != "cpu" && stat != "memory" { return "only cpu and memory are requested by pods" }
            return (1...1_000_000).contains(percent) ? nil : "utilization \(percent) is not above 0"
        case .average(let value): return value.isFinite && value > 0 ? nil : "averageValue \(value) is not above 0"
        case .total(let value):
            if !isExternal { return "only an external stat has a whole value" }
            return value.isFinite && value > 0 ? nil : "value \(value) is not above 0"
        }
    }
}

extension ValueThreshold {
    fileprivate var mistake: String? {
        if stat.isEmpty { return "names no stat" }
        if !value.isFinite { return "value \(value) is no number to compare with" }
        if isUtilization && (isExternal || (stat != "cpu" && stat != "memory")) {
            return "only cpu and memory are requested by pods"
        }
        if duration < .zero || duration > .minutes(1_440) { return "duration \(duration) is not within 0…24 h" }
        switch step {
        case .replicas(let count):
            return count != 0 && (-10_000...10_000).contains(count)
                ? nil : "increment \(count) is not within ±1…±10000"
        case .percent(let share):
            return share.isFinite && share != 0 && abs(share) <= 10_000
                ? nil : "increment \(share)% is not within ±0…±10000 %"
        }
    }
}

extension ScalingRules {
    fileprivate var mistake: String? {
        if stabilization < .zero || stabilization > .seconds(3_600) {
            return "stabilizationWindowSeconds is not within 0…3600"
        }
        if !(tolerance.isFinite && tolerance >= 0) { return "tolerance \(tolerance) is below 0" }
        if policies.isEmpty && selection != .disabled { return "has no policy" }
        for policy in policies {
            if !(1...Int(Int32.max)).contains(policy.value) {
                return "a policy's value \(policy.value) is not within 1…\(Int32.max)"
            }
            if policy.period < .seconds(1) || policy.period > .seconds(1_800) {
                return "a policy's periodSeconds is not within 1…1800"
            }
        }
        return nil
    }
}
