import Messages
import Support

/// Which pods without a node ask for room.
struct PendingFilter {
    let rules: ScaleUpRules
    let now: Timestamp

    static let delayAnnotation = "cluster-autoscaler.kubernetes.io/pod-scale-up-delay"

    /// What holds for all pods of a class.
    struct Rule {
        enum Judgement {
            case asks
            /// It is no pending pod that anybody waits for.
            case isNotMeant
            case excused(Explanation)
        }

        /// Holds for every pod of the class.
        fileprivate var excuse: Explanation?
        fileprivate var delay: Interval
        fileprivate var isBypassed: Bool

        func judge(_ pod: PodBrief, _ now: Timestamp) -> Judgement {
            switch pod.scheduling {
            case .gated: return .excused(Explanation(.otherScheduler, "not offered to the scheduler yet"))
            case .unseen where !isBypassed && pod.holds < 0: return .isNotMeant
            case .scheduled: return .isNotMeant
            case .unseen, .unschedulable: break
            }
            if let excuse { return .excused(excuse) }
            if pod.holds >= 0 {
                return .excused(Explanation(.nominated, "waits for a preemption on its nominated node"))
            }
            if delay > .zero && !(pod.createdAt + delay < now) {
                return .excused(Explanation(.tooYoung, "waits until it is \(delay) old"))
            }
            return .asks
        }
    }

    /// What holds for the pods of a class.
    func rule(_ podClass: PodClass, isExpendable: Bool) -> Rule {
        let shape = podClass.shape
        var excuse: Explanation?
        if !rules.allowedSchedulers.isEmpty && !rules.allowedSchedulers.contains(shape.schedulerName) {
            excuse = Explanation(.otherScheduler, "scheduler \(shape.schedulerName) is not served")
        } else if isExpendable {
            excuse = Explanation(
                .expendable, "priority \(shape.priority ?? 0) is below \(rules.expendablePriorityCutoff)")
        } else if podClass.isDaemonSet {
            excuse = Explanation(.daemonSetPod)
        }
        return Rule(
            excuse: excuse, delay: delay(shape), isBypassed: rules.bypassedSchedulers.contains(shape.schedulerName))
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
