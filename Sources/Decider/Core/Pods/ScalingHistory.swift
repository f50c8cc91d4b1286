import Messages
import Support

/// What a scaler recommended and did, as far as `behavior` looks back: HorizontalPodAutoscaler v2's stabilization windows and
/// policies (`pkg/controller/podautoscaler/horizontal.go`).
struct ScalingHistory: Sendable, Equatable {
    /// A change of replicas.
    struct Change: Sendable, Equatable, Codable {
        var at: Timestamp
        /// How many more, or fewer.
        var count: Int
    }

    private struct Recommendation: Sendable, Equatable {
        var at: Timestamp
        var replicas: Int
    }

    private var recommendations: [Recommendation] = []
    /// Looks since the last recommendation, with the one that is being made.
    private var looks = 0
    /// Changes upwards, the oldest first.
    var ups: [Change] = []
    /// Changes downwards, the oldest first; counts above zero.
    var downs: [Change] = []

    /// What a proposal became, and what held it back.
    struct Outcome: Sendable, Equatable {
        var replicas: Int
        var limits: [Explanation] = []
    }

    /// Who looks for the first time recommends what is there: so nothing shrinks before a window has passed.
    mutating func begin(_ current: Int, at now: Timestamp) {
        looks += 1
        if recommendations.isEmpty { recommendations = [Recommendation(at: now, replicas: current)] }
    }

    /// The most cautious of the recommendations within the windows.
    mutating func stabilize(_ proposal: Int, current: Int, _ scaler: PodScaler, at now: Timestamp) -> Outcome {
        var up = proposal
        var down = proposal
        let (upFrom, downFrom) = (now - scaler.scaleUp.stabilization, now - scaler.scaleDown.stabilization)
        // Looks that recommended nothing for longer than both windows: it is as with the first. Where a window is no longer than two
        // looks, a single one without a recommendation is no such time: with one now and then nothing would ever shrink.
        if looks > 2, let last = recommendations.last, last.at <= min(upFrom, downFrom) {
            recommendations = [Recommendation(at: now, replicas: current)]
        }
        looks = 0
        for item in recommendations {
            if item.at > upFrom { up = min(up, item.replicas) }
            if item.at > downFrom { down = max(down, item.replicas) }
        }
        var replicas = current
        if replicas < up { replicas = up }
        if replicas > down { replicas = down }
        record(proposal, oldest: min(upFrom, downFrom), at: now)
        guard replicas != proposal else { return Outcome(replicas: replicas) }
        let isDown = proposal < replicas
        let window = isDown ? scaler.scaleDown.stabilization : scaler.scaleUp.stabilization
        return Outcome(
            replicas: replicas,
            limits: [
                Explanation(
                    .scalingStabilized,
                    "\(proposal) wanted, \(replicas) within the last \(window) "
                        + "(behavior.\(isDown ? "scaleDown" : "scaleUp").stabilizationWindowSeconds)")
            ])
    }

    private mutating func record(_ proposal: Int, oldest: Timestamp, at now: Timestamp) {
        // Of equal ones in a row only the last time matters.
        if let last = recommendations.indices.last, recommendations[last].replicas == proposal {
            recommendations[last].at = now
        } else {
            recommendations.append(Recommendation(at: now, replicas: proposal))
        }
        if let first = recommendations.first, first.at <= oldest { recommendations.removeAll { $0.at <= oldest } }
    }

    // MARK: Policies

    /// What policies and bounds allow of a proposal.
    func limit(_ proposal: Int, current: Int, _ scaler: PodScaler, at now: Timestamp) -> Outcome {
        if proposal > current {
            let allowed = max(current, upLimit(current, scaler.scaleUp, at: now))
            if scaler.maximum <= allowed, proposal > scaler.maximum {
                return Outcome(
                    replicas: scaler.maximum,
                    limits: [
                        Explanation(.maximumReached, "\(proposal) wanted, at most \(scaler.maximum) (maxReplicas)")
                    ])
            }
            guard proposal > allowed else { return Outcome(replicas: proposal) }
            return Outcome(
                replicas: allowed, limits: [Self.limited(proposal, allowed, scaler.scaleUp, "behavior.scaleUp")])
        }
        guard proposal < current else { return Outcome(replicas: proposal) }
        let allowed = min(current, downLimit(current, scaler.scaleDown, at: now))
        if scaler.minimum >= allowed, proposal < scaler.minimum {
            return Outcome(
                replicas: scaler.minimum,
                limits: [Explanation(.minimumReached, "\(proposal) wanted, at least \(scaler.minimum) (minReplicas)")])
        }
        guard proposal < allowed else { return Outcome(replicas: proposal) }
        return Outcome(
            replicas: allowed, limits: [Self.limited(proposal, allowed, scaler.scaleDown, "behavior.scaleDown")])
    }

    private static func limited(
        _ proposal: Int, _ allowed: Int, _ rules: ScalingRules, _ origin: String
    ) -> Explanation {
        if rules.selection == .disabled {
            return Explanation(.scalerPaused, "\(proposal) wanted, \(origin).selectPolicy is Disabled")
        }
        return Explanation(.scalingPolicyLimited, "\(proposal) wanted, \(allowed) now (\(origin).policies)")
    }

    private static func sum(_ changes: [Change], within period: Interval, at now: Timestamp) -> Int {
        changes.reduce(0) { $0 + ($1.at > now - period ? $1.count : 0) }
    }

    /// How many replicas policies allow within a time from now, when each period is used to the full: what a machine that is
    /// asked for now can be of use for. Slow policies are there to keep costs down, and ask for no machine before its time.
    func reachable(_ current: Int, _ scaler: PodScaler, within lead: Interval, at now: Timestamp) -> Int {
        upLimit(current, scaler.scaleUp, within: lead, at: now)
    }

    private func upLimit(
        _ current: Int, _ rules: ScalingRules, within lead: Interval = .zero, at now: Timestamp
    ) -> Int {
        if rules.selection == .disabled { return current }
        let proposals = rules.policies.map { policy -> Int in
            var reached =
                current - Self.sum(ups, within: policy.period, at: now)
                + Self.sum(downs, within: policy.period, at: now)
            // Periods that end within the lead; a bound for those of a second.
            for _ in 0...min(1_000, lead.microseconds / max(1, policy.period.microseconds)) {
                switch policy.kind {
                case .pods: reached += policy.value
                case .percent:
                    reached = Int(min(1e9, (Double(reached) * (1 + Double(policy.value) / 100)).rounded(.up)))
                }
                if reached >= 1_000_000_000 { break }
            }
            return reached
        }
        let limit = (rules.selection == .max ? proposals.max() : proposals.min()) ?? current
        // A share of nothing would be nothing for ever.
        return current == 0 ? max(1, limit) : limit
    }

    private func downLimit(_ current: Int, _ rules: ScalingRules, at now: Timestamp) -> Int {
        if rules.selection == .disabled { return current }
        let proposals = rules.policies.map { policy -> Int in
            let start =
                current - Self.sum(ups, within: policy.period, at: now)
                + Self.sum(downs, within: policy.period, at: now)
            switch policy.kind {
            case .pods: return start - policy.value
            case .percent: return Int(Double(start) * (1 - Double(policy.value) / 100))
            }
        }
        // The largest change is the fewest replicas.
        return (rules.selection == .max ? proposals.min() : proposals.max()) ?? current
    }

    /// Replicas were changed.
    mutating func changed(from: Int, to: Int, _ scaler: PodScaler, at now: Timestamp) {
        if to > from { ups.append(Change(at: now, count: to - from)) }
        if to < from { downs.append(Change(at: now, count: from - to)) }
        let longest = (scaler.scaleUp.policies + scaler.scaleDown.policies).map(\.period).max() ?? .zero
        ups.removeAll { $0.at + longest <= now }
        downs.removeAll { $0.at + longest <= now }
    }
}
