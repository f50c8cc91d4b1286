import Messages
import Support

/// How many replicas an intention asks for: the arithmetic of HorizontalPodAutoscaler v2
/// (`pkg/controller/podautoscaler/replica_calculator.go`), integer rounding included.
struct ReplicaCalculator: Sendable {
    /// What an intention came to.
    struct Outcome: Sendable, Equatable {
        /// Replicas asked for; nil: it says nothing, because of `why`.
        var replicas: Int?
        /// The stat as it was compared; nil: it could not be had.
        var value: Double?
        var why: Explanation
    }

    /// Replicas over the monitored set.
    var current: Int
    /// A ratio up to so much below one changes nothing.
    var toleranceDown = 0.1
    /// A ratio up to so much above one changes nothing.
    var toleranceUp = 0.1
    var readiness = ReadinessRules()
    var now: Timestamp

    private func isWithinTolerance(_ ratio: Double) -> Bool {
        // As Kubernetes computes it, so that the edge falls where it falls there.
        1 - toleranceDown <= ratio && ratio <= 1 + toleranceUp
    }

    // MARK: Stats of pods

    /// - Parameters:
    ///   - isCPU: whether pods that start are left out.
    ///   - scale: how many steps a unit of the stat has: Kubernetes counts in thousandths.
    func perPod(_ pods: [MonitoredPod], _ goal: Intention.Goal, isCPU: Bool, scale: Double = 1) -> Outcome {
        guard !pods.isEmpty else { return fails(.statUnknown, "there is no pod") }
        var sum = 0.0
        // The same in the steps that Kubernetes counts in.
        var steps = 0.0
        var requests = 0.0
        var missingRequests = 0.0
        var startingRequests = 0.0
        var (ready, missing, starting) = (0, 0, 0)
        for pod in pods {
            if pod.lacksContainer && !pod.isLeaving { return fails(.statUnknown, "a pod has no such container") }
            if case .utilization = goal {
                // Kubernetes looks at each container (`calculatePodRequests`): use without a request would make the rest look busy.
                if let container = pod.unrequested {
                    return fails(.statUnknown, "the container \(container) of a pod requests nothing of it")
                }
                if pod.request <= 0 { return fails(.statUnknown, "a pod requests nothing of it") }
            }
            if pod.isLeaving { continue }
            if pod.isPending {
                starting += 1
                startingRequests += pod.request
            } else if let value = pod.value {
                if isCPU && readiness.isStarting(pod, at: now) {
                    starting += 1
                    startingRequests += pod.request
                } else {
                    ready += 1
                    sum += value
                    steps += pod.steps ?? Self.steps(value, scale)
                    requests += pod.request
                }
            } else {
                missing += 1
                missingRequests += pod.request
            }
        }
        guard ready > 0 else {
            return Outcome(replicas: nil, value: nil, why: MonitoredPod.absence(of: pods, starting: starting))
        }
        let counts = Counts(ready: ready, missing: missing, starting: starting)
        switch goal {
        case .utilization(let percent):
            let measured = Totals(sum: isCPU ? steps : sum, base: requests)
            return decide(
                counts, ratio: { Self.utilization($0) / Double(percent) }, measured,
                ifMissing: Totals(
                    sum: missingRequests * Double(max(100, percent)) / 100, base: missingRequests),
                starting: Totals(sum: 0, base: startingRequests), shown: Self.utilization(measured))
        case .average(let target):
            let measured = Totals(sum: steps, base: Double(ready))
            let goal = Self.steps(target, scale)
            return decide(
                counts, ratio: { ($0.sum / $0.base).rounded(.down) / goal }, measured,
                ifMissing: Totals(sum: goal * Double(missing), base: Double(missing)),
                starting: Totals(sum: 0, base: Double(starting)), shown: sum / Double(ready))
        case .total: return fails(.scalerInvalid, "only an external stat has a whole value")
        }
    }

    private struct Counts {
        var ready: Int
        var missing: Int
        var starting: Int
    }

    /// What was measured, and what it is measured against: requests, or pods.
    private struct Totals {
        var sum: Double
        var base: Double

        static func + (left: Totals, right: Totals) -> Totals {
            Totals(sum: left.sum + right.sum, base: left.base + right.base)
        }
    }

    /// A number as Kubernetes counts it: in whole thousandths, rounded up. What is off by no more than the error of a binary
    /// fraction is whole: 8.4 is 8,400 thousandths.
    private static func steps(_ value: Double, _ scale: Double) -> Double {
        let steps = value * scale
        let whole = steps.rounded()
        return abs(steps - whole) <= 1e-9 * max(1, abs(whole)) ? whole : steps.rounded(.up)
    }

    /// In whole percent, as Kubernetes has it.
    private static func utilization(_ totals: Totals) -> Double {
        (totals.sum * 100 / totals.base).rounded(.down)
    }

    private func decide(
        _ counts: Counts, ratio: (Totals) -> Double, _ measured: Totals, ifMissing: Totals, starting: Totals,
        shown: Double
    ) -> Outcome {
        let first = ratio(measured)
        let growsWithStarting = counts.starting > 0 && first > 1
        if !growsWithStarting && counts.missing == 0 {
            if isWithinTolerance(first) { return stays(shown, "within the tolerance") }
            return asks(Self.ceiling(first * Double(counts.ready)), shown, "")
        }
        var totals = measured
        var number = counts.ready
        if counts.missing > 0 && first != 1 {
            // What is not known is taken for what speaks against a change.
            totals = first < 1 ? totals + ifMissing : totals + Totals(sum: 0, base: ifMissing.base)
            number += counts.missing
        } else if counts.missing > 0 {
            return stays(shown, "within the tolerance")
        }
        if growsWithStarting {
            totals = totals + starting
            number += counts.starting
        }
        let words = "\(counts.missing) pods without a value, \(counts.starting) starting"
        let second = ratio(totals)
        if isWithinTolerance(second) { return stays(shown, "within the tolerance: \(words)") }
        if (first < 1 && second > 1) || (first > 1 && second < 1) {
            return stays(shown, "not clear in which direction: \(words)")
        }
        let wanted = Self.ceiling(second * Double(number))
        if (second < 1 && wanted > current) || (second > 1 && wanted < current) {
            return stays(shown, "not clear in which direction: \(words)")
        }
        return asks(wanted, shown, words)
    }

    // MARK: External stats

    /// A value of its own.
    ///
    /// - Parameters:
    ///   - ready: pods that run and are ready.
    ///   - present: pods that are there, as `status.replicas` counts them; nil: as many as shall be.
    func external(_ value: Double, _ goal: Intention.Goal, ready: Int, present: Int? = nil) -> Outcome {
        switch goal {
        case .total(let target):
            let ratio = Self.steps(value, 1_000) / Self.steps(target, 1_000)
            guard current > 0 else { return asks(Self.ceiling(ratio), value, "from zero") }
            // There is nothing that the ratio could be a multiple of. Kubernetes would ask for none where none is ready.
            guard ready > 0 else { return stays(value, "no pod is ready") }
            if isWithinTolerance(ratio) { return stays(value, "within the tolerance") }
            return asks(Self.ceiling(ratio * Double(ready)), value, "")
        case .average(let target):
            let (usage, goal) = (Self.steps(value, 1_000), Self.steps(target, 1_000))
            guard current > 0 else { return asks(Self.ceiling(usage / goal), value, "from zero") }
            // In a rollout there are more pods than shall be, and they share the load.
            let pods = Double(present ?? current)
            guard pods > 0 else { return asks(Self.ceiling(usage / goal), value, "no pod is there yet") }
            if isWithinTolerance(usage / (goal * pods)) { return stays(value / pods, "within the tolerance") }
            return asks(Self.ceiling(usage / goal), value / pods, "")
        case .utilization: return fails(.scalerInvalid, "an external stat has no utilization")
        }
    }

    // MARK: Outcomes

    private static func ceiling(_ value: Double) -> Int {
        let rounded = value.rounded(.up)
        return rounded < 1_000_000_000 ? Int(max(0, rounded)) : 1_000_000_000
    }

    private func stays(_ value: Double, _ words: String) -> Outcome {
        Outcome(replicas: current, value: value, why: Explanation(.scalerSatisfied, words))
    }

    private func asks(_ replicas: Int, _ value: Double, _ words: String) -> Outcome {
        let reason: Reason = replicas > current ? .statAbove : replicas < current ? .statBelow : .scalerSatisfied
        return Outcome(replicas: replicas, value: value, why: Explanation(reason, words))
    }

    private func fails(_ reason: Reason, _ words: String) -> Outcome {
        Outcome(replicas: nil, value: nil, why: Explanation(reason, words))
    }
}
