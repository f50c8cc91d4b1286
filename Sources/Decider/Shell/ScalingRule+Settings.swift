import Messages
import Settings
import Support

extension ScalingRule {
    /// As the settings write it.
    /// - Parameters:
    ///   - kubelets: how often they are read.
    ///   - alarms: how often the Actuator looks at Aodh's; nil: it does not.
    init(_ rule: Settings.Decider.Rule, kubelets: Settings.Collector.Stats, alarms: Interval?) {
        let condition: Condition
        if let alarm = rule.alarm {
            let state: Alarm.State =
                switch rule.state {
                case .alarm: .alarm
                case .ok: .ok
                case .insufficientData: .insufficientData
                }
            // An alarm that stays as it is is heard of by each look only: it is not too old between two of them.
            condition = .alarm(
                Alarm(alarm, state: state, maximumAge: rule.maximumAge.map { max($0, (alarms ?? .zero) * 2) }))
        } else {
            condition = .threshold(Threshold(rule, kubelets: kubelets))
        }
        let direction: Direction =
            switch rule.direction {
            case .up: .up
            case .down: .down
            case .hold: .hold
            }
        self.init(rule.name, group: rule.group, direction, when: condition)
        step =
            switch rule.step {
            case .nodes(let count): .nodes(count)
            case .percent(let percent): .percent(percent)
            case .simulation: .simulation
            }
        duration = rule.duration
        cooldown = rule.cooldown
        stabilizationWindow = rule.stabilizationWindow
        repeats = rule.repeats
        schedule = rule.schedule
        holdsUnknown = rule.holdsUnknown
    }
}

extension ScalingRule.Threshold {
    fileprivate init(_ rule: Settings.Decider.Rule, kubelets: Settings.Collector.Stats) {
        let comparison: Comparison =
            switch rule.comparison {
            case .gt: .gt
            case .ge: .ge
            case .lt: .lt
            case .le: .le
            }
        let aggregate: Aggregate =
            switch rule.aggregate {
            case .mean: .mean
            case .max: .max
            case .min: .min
            case .sum: .sum
            }
        // Ceilometer's compute agents measure every five minutes unless they are told otherwise.
        let isKubelet = rule.source == .kubelet
        let isDetail = TelemetryGauge(rawValue: rule.metric ?? "")?.isDetail ?? false
        let interval = isDetail ? max(kubelets.interval, kubelets.detailsInterval ?? .zero) : kubelets.interval
        self.init(
            rule.metric ?? "", comparison, rule.threshold, aggregate: aggregate,
            source: isKubelet ? .kubelet : .hypervisor,
            // What is looked at seldom is not too old between two looks, whatever the rule says.
            maximumAge: rule.maximumAge.map { isDetail ? max($0, interval * 2) : $0 }
                ?? (isKubelet ? max(.minutes(2), interval * 3) : .minutes(15)))
    }
}
