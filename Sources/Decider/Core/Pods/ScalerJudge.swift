import Messages
import Support

/// What one scaler sees: everything that its thresholds look at.
struct ScalerScene {
    /// Replicas over the monitored set.
    var current: Int
    /// Whether a new version of a target is being rolled out.
    var isRollingOut = false
    /// Whether the target has one replica more while its only pod moves.
    var isSurged = false
    /// Pods that run and are ready.
    var ready = 0
    /// Pods of the targets that are there, neither on their way out nor over: `status.replicas`; nil: not known.
    var present: Int?
    /// The monitored pods with the values of a stat.
    var pods: (_ stat: String) -> [MonitoredPod]
    /// The same with the stat of one of their containers.
    var containers: (_ stat: String, _ container: String) -> [MonitoredPod] = { _, _ in [] }
    /// An external value: fresh and a number, or why not.
    var external: (_ stat: String) -> Result<Double, ScalerScene.Absence>
    /// Why a stat of pods could not be read, as whoever reads it says; nil: nothing is known of that.
    var untold: (_ stat: String) -> String? = { _ in nil }
    /// Fresh readings are not older than this.
    var maximumAge = Interval.seconds(60)

    /// Why an external value cannot be had.
    struct Absence: Error, Sendable {
        var why: Explanation
    }
}

/// What a scaler comes to.
struct ScalerVerdict: Sendable, Equatable {
    /// Replicas over the monitored set.
    var desired: Int
    var outcome: Explanation
    var limits: [Explanation] = []
    /// Replicas wanted as soon as policies allow, and soon: nodes for them are asked for now, since a machine takes longer than the
    /// periods of the policies.
    var ahead = 0
    var thresholds: [Evaluation.ScalerEntry.Threshold] = []
    /// Why no stat can be had; nil: stats are there.
    var failure: Explanation?
    /// Why nothing shrinks although what is known says so: a stat cannot be had. Nil: nothing of that kind.
    var blocked: Explanation?
    /// What the intentions ask for, which windows hold; nil: they say nothing.
    var intended: Int?
    /// What steps ask for, which windows do not hold; nil: they say nothing.
    var stepped: Int?
}

/// Judges one scaler: thresholds to a proposal, the proposal to a number that windows, policies and bounds allow.
struct ScalerJudge: Sendable {
    let scaler: PodScaler
    var readiness = ReadinessRules()
    /// Replicas that policies allow within this ask for nodes now.
    var lead = Interval.zero
    let now: Timestamp

    /// The verdict; `runtime` remembers what the next one looks back at.
    func judge(_ scene: ScalerScene, _ runtime: inout ScalerRuntime) -> ScalerVerdict {
        let current = scene.current
        runtime.history.begin(current, at: now)
        // Bounds go before stats.
        if current > scaler.maximum {
            let why = Explanation(.maximumReached, "\(current) replicas, at most \(scaler.maximum) (maxReplicas)")
            return bounded(ScalerVerdict(desired: scaler.maximum, outcome: why), scene)
        }
        if current < scaler.minimum {
            let why = Explanation(.belowMinimum, "\(current) replicas, at least \(scaler.minimum) (minReplicas)")
            return bounded(ScalerVerdict(desired: scaler.minimum, outcome: why), scene)
        }
        runtime.fired = []
        var verdict = propose(scene, &runtime)
        if verdict.failure != nil { return fallBack(verdict, scene, &runtime) }
        runtime.failingSince = nil
        if let intended = verdict.intended {
            let stable = runtime.history.stabilize(intended, current: current, scaler, at: now)
            verdict.desired = max(stable.replicas, verdict.stepped ?? stable.replicas)
            if verdict.desired == stable.replicas { verdict.limits += stable.limits }
        }
        let limited = runtime.history.limit(verdict.desired, current: current, scaler, at: now)
        let reachable = runtime.history.reachable(current, scaler, within: lead, at: now)
        verdict.ahead = max(0, min(verdict.desired, scaler.maximum, reachable) - limited.replicas)
        verdict.desired = limited.replicas
        verdict.limits += limited.limits
        return bounded(verdict, scene)
    }

    /// What stops a direction, whatever asked for it.
    private func bounded(_ given: ScalerVerdict, _ scene: ScalerScene) -> ScalerVerdict {
        var verdict = given
        if verdict.desired <= scene.current { verdict.ahead = 0 }
        if verdict.desired < scene.current {
            if scene.isSurged {
                verdict.limits.append(
                    Explanation(
                        .surged,
                        "\(verdict.desired) wanted, one more stays until the only pod has moved (actuator.drain.surge)")
                )
                verdict.desired = scene.current
            } else if scene.isRollingOut {
                verdict.limits.append(
                    Explanation(.rolloutInProgress, "\(verdict.desired) wanted, nothing is taken away meanwhile"))
                verdict.desired = scene.current
            } else if scaler.pause == .down || scaler.pause == .both {
                verdict.limits.append(
                    Explanation(.scalerPaused, "\(verdict.desired) wanted, paused (pause: \(scaler.pause.rawValue))"))
                verdict.desired = scene.current
            }
        } else if verdict.desired > scene.current, scaler.pause == .up || scaler.pause == .both {
            verdict.limits.append(
                Explanation(.scalerPaused, "\(verdict.desired) wanted, paused (pause: \(scaler.pause.rawValue))"))
            verdict.desired = scene.current
            verdict.ahead = 0
        }
        return verdict
    }

    /// No stat can be had: what is there stays, or is raised to what the scaler names for that.
    private func fallBack(
        _ given: ScalerVerdict, _ scene: ScalerScene, _ runtime: inout ScalerRuntime
    ) -> ScalerVerdict {
        var verdict = given
        verdict.desired = scene.current
        let since = runtime.failingSince ?? now
        runtime.failingSince = since
        guard let fallback = scaler.fallback, fallback > scene.current, now - since >= scene.maximumAge else {
            return verdict
        }
        let limited = runtime.history.limit(fallback, current: scene.current, scaler, at: now)
        verdict.desired = limited.replicas
        verdict.limits += limited.limits
        verdict.outcome = Explanation(
            .fallbackReplicas,
            "\(fallback) (fallbackReplicas), \(given.outcome.reason.rawValue): \(given.outcome.detail)")
        return bounded(verdict, scene)
    }

    // MARK: Thresholds

    /// The largest of what the thresholds ask for.
    private func propose(_ scene: ScalerScene, _ runtime: inout ScalerRuntime) -> ScalerVerdict {
        var thresholds: [Evaluation.ScalerEntry.Threshold] = []
        for intention in scaler.intentions { thresholds.append(judge(intention, scene)) }
        for (index, value) in scaler.values.enumerated() {
            thresholds.append(judge(value, index, scene, &runtime))
        }
        let failed = thresholds.first { Self.isFailure($0.outcome.reason) }
        let intended = thresholds.prefix(scaler.intentions.count).compactMap(\.replicas).max()
        let stepped = thresholds.dropFirst(scaler.intentions.count).compactMap(\.replicas).max()
        let best = [intended, stepped].compactMap { $0 }.max()
        let current = scene.current
        // As with HorizontalPodAutoscaler: what is not known might have asked for more.
        if let failed, best == nil || (best ?? 0) < current {
            var verdict = ScalerVerdict(desired: current, outcome: failed.outcome, thresholds: thresholds)
            verdict.outcome = Explanation(failed.outcome.reason, "\(failed.stat): \(failed.outcome.detail)")
            if thresholds.allSatisfy({ Self.isFailure($0.outcome.reason) }) {
                verdict.failure = verdict.outcome
            } else {
                verdict.blocked = verdict.outcome
            }
            // No recommendation: a look that saw only a part must not begin the windows anew.
            return verdict
        }
        let desired = best ?? current
        let leader = thresholds.first { $0.replicas == desired }
        let outcome: Explanation
        if desired > current {
            outcome = Explanation(.statAbove, leader.map(Self.words) ?? "")
        } else if desired < current {
            outcome = Explanation(.statBelow, leader.map(Self.words) ?? "")
        } else {
            outcome = Explanation(.scalerSatisfied, leader.map(Self.words) ?? "")
        }
        return ScalerVerdict(
            desired: desired, outcome: outcome, thresholds: thresholds, intended: intended, stepped: stepped)
    }

    private static func isFailure(_ reason: Reason) -> Bool { reason == .statUnknown || reason == .statStale }

    private static func words(_ threshold: Evaluation.ScalerEntry.Threshold) -> String {
        let value = threshold.value.map(plain) ?? "?"
        let words = threshold.outcome.detail
        return "\(threshold.stat) \(value)\(threshold.unit == "%" ? "%" : ""), goal "
            + "\(plain(threshold.goal))\(threshold.unit == "%" ? "%" : " \(threshold.unit)")"
            + (words.isEmpty ? "" : " (\(words))")
    }

    /// A number without needless digits.
    static func plain(_ value: Double) -> String {
        guard abs(value) < 1e15 else { return "\(value)" }
        let hundredths = (value * 100).rounded()
        let whole = Int64(hundredths / 100)
        let rest = abs(Int64(hundredths) - whole * 100)
        if rest == 0 { return "\(whole)" }
        return
            "\(value < 0 && whole == 0 ? "-" : "")\(whole).\(rest < 10 ? "0" : "")\(rest % 10 == 0 ? rest / 10 : rest)"
    }

    private func judge(_ intention: Intention, _ scene: ScalerScene) -> Evaluation.ScalerEntry.Threshold {
        var calculator = ReplicaCalculator(current: scene.current, readiness: readiness, now: now)
        calculator.toleranceUp = scaler.scaleUp.tolerance
        calculator.toleranceDown = scaler.scaleDown.tolerance
        var outcome: ReplicaCalculator.Outcome
        if intention.isExternal {
            switch scene.external(intention.stat) {
            case .success(let value):
                outcome = calculator.external(value, intention.goal, ready: scene.ready, present: scene.present)
            case .failure(let absence): outcome = .init(replicas: nil, value: nil, why: absence.why)
            }
        } else {
            outcome = calculator.perPod(
                intention.container.map { scene.containers(intention.stat, $0) } ?? scene.pods(intention.stat),
                intention.goal, isCPU: intention.stat == "cpu",
                scale: intention.stat == "cpu" ? 1 : 1_000)
            if Self.isFailure(outcome.why.reason), let why = scene.untold(intention.stat) {
                outcome.why.detail += ": \(why)"
            }
        }
        let (goal, unit): (Double, String) =
            switch intention.goal {
            case .utilization(let percent): (Double(percent), "%")
            case .average(let value): (value, "average")
            case .total(let value): (value, "value")
            }
        return Evaluation.ScalerEntry.Threshold(
            stat: intention.title, value: outcome.value, goal: goal, unit: unit, replicas: outcome.replicas,
            outcome: outcome.why)
    }

    private func judge(
        _ threshold: ValueThreshold, _ index: Int, _ scene: ScalerScene, _ runtime: inout ScalerRuntime
    ) -> Evaluation.ScalerEntry.Threshold {
        let unit = threshold.isUtilization ? "%" : threshold.isExternal ? "value" : "average"
        func said(_ value: Double?, _ replicas: Int?, _ why: Explanation) -> Evaluation.ScalerEntry.Threshold {
            Evaluation.ScalerEntry.Threshold(
                stat: threshold.stat, value: value, goal: threshold.value, unit: unit, replicas: replicas, outcome: why)
        }
        let value: Double
        switch measure(threshold, scene) {
        case .success(let measured): value = measured
        case .failure(let absence):
            runtime.since[index] = nil
            var why = absence.why
            if !threshold.isExternal, let untold = scene.untold(threshold.stat) { why.detail += ": \(untold)" }
            return said(nil, nil, why)
        }
        let word = threshold.comparison.rawValue
        guard threshold.comparison.holds(value, threshold.value) else {
            runtime.since[index] = nil
            return said(value, nil, Explanation(.scalerSatisfied, "not \(word)"))
        }
        let since = runtime.since[index] ?? now
        runtime.since[index] = since
        guard now - since >= threshold.duration else {
            // It may soon ask for more: until then nothing is taken away.
            let stays = threshold.step.isNegative ? nil : scene.current
            return said(
                value, stays, Explanation(.scalerSatisfied, "\(word) for \(now - since) of \(threshold.duration)"))
        }
        // The time begins anew only once the step is made (`stepsMade`).
        runtime.fired.insert(index)
        let wanted = Self.stepped(scene.current, threshold.step)
        return said(
            value, wanted,
            Explanation(threshold.step.isNegative ? .statBelow : .statAbove, "\(word) for \(threshold.duration)"))
    }

    /// Replicas go up, or down: the time of the steps that asked for it begins anew.
    func stepsMade(up: Bool, _ runtime: inout ScalerRuntime) {
        runtime.before = [:]
        for index in runtime.fired where scaler.values.indices.contains(index) {
            guard scaler.values[index].step.isNegative != up else { continue }
            runtime.before[index] = runtime.since[index]
            runtime.since[index] = now
        }
        runtime.fired = []
    }

    private static func stepped(_ current: Int, _ step: ValueThreshold.Step) -> Int {
        switch step {
        case .replicas(let count): return max(0, current + count)
        case .percent(let share):
            let change = max(1, (Double(current) * abs(share) / 100).rounded(.up))
            return max(0, share < 0 ? current - Int(change) : current + Int(change))
        }
    }

    /// The average over the pods; those without a value are taken for what speaks against the step.
    private func measure(
        _ threshold: ValueThreshold, _ scene: ScalerScene
    ) -> Result<Double, ScalerScene.Absence> {
        if threshold.isExternal { return scene.external(threshold.stat) }
        let pods = scene.pods(threshold.stat)
        var (sum, base, known) = (0.0, 0.0, 0)
        let isAbove = threshold.comparison == .above || threshold.comparison == .atLeast
        for pod in pods where !pod.isLeaving {
            if threshold.isUtilization && pod.request <= 0 {
                return .failure(.init(why: Explanation(.statUnknown, "a pod requests nothing of it")))
            }
            let weight = threshold.isUtilization ? pod.request : 1
            let isStarting = threshold.stat == "cpu" && readiness.isStarting(pod, at: now)
            if let value = pod.value, !pod.isPending, !isStarting {
                sum += value
                base += weight
                known += 1
            } else if pod.value == nil && !pod.isPending {
                base += weight
                if !isAbove { sum += threshold.value * weight / (threshold.isUtilization ? 100 : 1) }
            } else if isAbove {
                base += weight
            }
        }
        guard known > 0 else {
            return .failure(.init(why: MonitoredPod.absence(of: pods, starting: 0)))
        }
        return .success(threshold.isUtilization ? sum * 100 / base : sum / base)
    }
}
