import Messages
import Support

/// Which pods without a node ask for room.
struct PendingFilter {
    let rules: ScaleUpRules
    let now: Timestamp

    static let delayAnnotation = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"

    /// Why the pod does not ask for room; nil: it does.
    func obstacle(_ pod: PodRecord, _ podClass: PodClass, isExpendable: Bool) -> Explanation? {
        let shape = podClass.shape
        if pod.scheduling == .gated { return Explanation(.otherScheduler, "not offered to the scheduler yet") }
        if !rules.allowedSchedulers.isEmpty && !rules.allowedSchedulers.contains(shape.schedulerName) {
            return Explanation(.otherScheduler, "scheduler \(shape.schedulerName) is not served")
        }
        if isExpendable {
            return Explanation(
                .expendable, "priority \(shape.priority ?? 0) is below \(rules.expendablePriorityCutoff)")
        }
        if pod.holds >= 0 { return Explanation(.nominated, "waits for a preemption on its nominated node") }
        if podClass.isDaemonSet { return Explanation(.daemonSetPod) }
        let delay = delay(shape)
        if delay > .zero && !(pod.createdAt + delay < now) {
            return Explanation(.tooYoung, "waits until it is \(delay) old")
        }
        return nil
    }

    /// Whether the scheduler has given up on the pod, or is one that we do not wait for.
    func isUnschedulable(_ pod: PodRecord, _ shape: PodShape) -> Bool {
        switch pod.scheduling {
        case .unschedulable: true
        case .unseen: rules.bypassedSchedulers.contains(shape.schedulerName)
        case .gated, .scheduled: false
        }
    }

    /// The delay of a pod; its annotation may lengthen but not shorten the general one.
    private func delay(_ shape: PodShape) -> Interval {
        guard let text = shape.annotations[Self.delayAnnotation], let own = Self.duration(text) else {
            return rules.newPodDelay
        }
        return max(own, rules.newPodDelay)
    }

    /// A duration as Go writes it: `600s`, `5m`, `1h30m`, `1.5h`, `250ms`. Nil when it is none.
    static func duration(_ text: String) -> Interval? {
        var rest = text[...]
        var total = 0.0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isNumber || $0 == "." }
            guard let value = Double(number) else { return nil }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0.isLetter || $0 == "µ" }
            rest = rest.dropFirst(unit.count)
            switch unit {
            case "h": total += value * 3_600
            case "m": total += value * 60
            case "s": total += value
            case "ms": total += value / 1_000
            case "us", "µs": total += value / 1_000_000
            case "ns": total += value / 1_000_000_000
            default: return nil
            }
        }
        return .seconds(total)
    }
}
