import Messages
import Support

/// Rules on alarms and measured load. A rule that asks does so as a request of its group (`Engine+Signals`), with all the
/// guards that those have.
extension Engine {
    private static let rememberedAlarms = 1_000
    /// How often measured load is looked at.
    private static let pulse = Interval.seconds(5)
    /// How long a request of a rule may wait for what stands in its way.
    private static let lifetime = Interval.seconds(120)
    /// So many alarms that mean nothing an evaluation names; how many more there were it says in one entry.
    private static let toldAlarms = 20

    // MARK: In

    /// Takes the state of an alarm; true if there is something to evaluate.
    mutating func alarmChanged(_ alarm: CloudAlarm, at now: Timestamp) -> Bool {
        // Aodh's notifications bear no names; the Actuator has looked the name up.
        let name = alarm.name ?? memory.alarms?[alarm.alarmID]?.name
        let isMeant = configuration.rules.contains { rule in
            guard case .alarm(let wanted) = rule.condition else { return false }
            return wanted.name == alarm.alarmID || wanted.name == name
        }
        guard isMeant else { return tellUnknown(alarm, Explanation(.alarmUnknown, "no rule is for it")) }
        guard let state = ScalingRule.Alarm.State(rawValue: alarm.state) else {
            return tellUnknown(alarm, Explanation(.alarmUnknown, "'\(alarm.state.prefix(40))' is no state"))
        }
        var known = memory.alarms ?? [:]
        let at = min(alarm.at, now)
        // Late and repeated ones: the newest word counts. A word that is repeated keeps the alarm fresh.
        if let before = known[alarm.alarmID], before.saidAt ?? before.at > at {
            // Also where who repeats it knows of an older word only.
            if before.state == state { memory.alarms?[alarm.alarmID]?.heardAt = now }
            return false
        }
        let since = known[alarm.alarmID].flatMap { $0.state == state ? $0.at : nil } ?? at
        known[alarm.alarmID] = AlarmMemory(
            name: name, state: state, why: String(alarm.why.prefix(300)),
            at: since, saidAt: at, heardAt: now,
            definition: alarm.definition.map { String($0.prefix(300)) } ?? known[alarm.alarmID]?.definition,
            isGone: alarm.isGone == true ? true : nil)
        if known.count > Self.rememberedAlarms {
            // Those that do not fire first, of them the oldest.
            let least = known.min {
                ($0.value.state == .alarm ? 1 : 0, $0.value.heardAt, $0.key)
                    < ($1.value.state == .alarm ? 1 : 0, $1.value.heardAt, $1.key)
            }
            if let least { known[least.key] = nil }
        }
        // That the same is said again is saved with what else changes.
        if var before = memory.alarms?[alarm.alarmID], let after = known[alarm.alarmID] {
            (before.saidAt, before.heardAt, before.why) = (after.saidAt, after.heardAt, after.why)
            if before != after { hasUnsavedSignals = true }
        } else {
            hasUnsavedSignals = true
        }
        memory.alarms = known
        // Looked at here and not only when rules are judged: a break may be shorter than the time in between.
        for rule in configuration.rules where memory.rules?[rule.name]?.holdsSince != nil {
            guard case .alarm = rule.condition, reading(of: rule, [], at: now).holds != true else { continue }
            memory.rules?[rule.name]?.holdsSince = nil
        }
        return true
    }

    private mutating func tellUnknown(_ alarm: CloudAlarm, _ outcome: Explanation) -> Bool {
        if let index = signalOutcomes.lastIndex(where: { $0.outcome.reason == .alarmUnknown && Self.isOfOthers($0) }) {
            signalOutcomes[index] = Self.others((Int(signalOutcomes[index].id) ?? 0) + 1)
            return true
        }
        guard signalOutcomes.filter({ $0.outcome.reason == .alarmUnknown }).count < Self.toldAlarms else {
            signalOutcomes.append(Self.others(1))
            return true
        }
        let name = alarm.name.map { "\($0.prefix(100)) " } ?? ""
        signalOutcomes.append(
            Evaluation.SignalEntry(
                id: alarm.alarmID, group: "", change: 0, decided: 0,
                who: "alarm \(name)(\(alarm.alarmID.prefix(64)))", outcome: outcome))
        return true
    }

    /// One entry for all that are not named; its id is how many they are.
    private static func others(_ count: Int) -> Evaluation.SignalEntry {
        Evaluation.SignalEntry(
            id: String(count), group: "", change: 0, decided: 0,
            who: "and \(count) more \(count == 1 ? "alarm" : "alarms")",
            outcome: Explanation(.alarmUnknown, "no rule is for them, or their state is none"))
    }

    /// Those that are named begin with the word alarm.
    private static func isOfOthers(_ entry: Evaluation.SignalEntry) -> Bool { entry.who.hasPrefix("and ") }

    /// Takes what the hypervisors measured.
    mutating func apply(_ stats: CloudStats, at now: Timestamp) {
        guard !measurements.isEmpty else { return }
        for sample in stats.samples {
            let millis = model.nodeSlots[sample.node].flatMap { model.nodes[$0]?.node.capacity.cpuMillis } ?? 0
            measurements.take(sample, cores: millis > 0 ? Double(millis) / 1_000 : nil, at: now)
        }
        forgetMeasurements()
    }

    /// Takes what the kubelets measured.
    mutating func measure(_ stats: NodeStats, at now: Timestamp) {
        guard !measurements.isEmpty else { return }
        for sample in stats.samples { measurements.take(sample, at: now) }
        forgetMeasurements()
    }

    private mutating func forgetMeasurements() {
        guard measurements.size > 2 * model.nodeSlots.count + 100 else { return }
        measurements.keep { model.nodeSlots[$0] != nil }
    }

    // MARK: Judging

    /// Looks at every rule: those whose time has come ask, or forbid removals.
    mutating func judgeRules(at now: Timestamp, _ result: inout EvaluationResult) {
        removalHolds = [:]
        withdrawFromOthers(at: now)
        guard !configuration.rules.isEmpty else {
            memory.rules = nil
            memory.alarms = nil
            return
        }
        var memories: [String: RuleMemory] = [:]
        var entries: [Evaluation.RuleEntry] = []
        let nodes = readyNodes()
        judgedSince = judgedSince ?? now
        for rule in configuration.rules {
            var own = RuleMemory(of: rule, memory.rules?[rule.name])
            guard let number = groups.firstIndex(where: { $0.rules.id == rule.group }) else { continue }
            let reading = reading(of: rule, nodes[number], at: now)
            let verdict = own.judge(
                rule, reading, target: groups[number].target, busy: requestUnderWay(number, rule.direction), at: now)
            memories[rule.name] = own
            var outcome: Explanation
            switch verdict {
            case .idle(let why, let until):
                outcome = why
                note(until, in: &result)
                if groups[number].memory.rule == rule.name, own.holdsSince == nil {
                    // A request that still waits is withdrawn: its condition does not hold any more.
                    memories[rule.name]?.refused(at: now)
                    end(number, 0, Explanation(.superseded, "\(why.reason.rawValue): \(why.detail)"), at: now)
                }
            case .holds:
                outcome = Explanation(.ruleHolds, "rule \(rule.name): \(reading.detail)")
                removalHolds[number] = outcome
            case .asks(let count):
                outcome = Explanation(.ruleFired, reading.detail)
                if let other = groups[number].memory.rule { memories[other]?.refused(at: now) }
                ask(rule, number, count, reading, at: now)
            }
            outcome.detail = String(outcome.detail.prefix(500))
            entries.append(
                Evaluation.RuleEntry(rule: rule.name, group: rule.group, outcome: outcome, since: own.holdsSince))
        }
        memory.rules = memories
        let news = ledger.changes(rules: entries)
        result.evaluation.rules = news.isEmpty ? nil : news
        if !measurements.isEmpty { note(now + Self.pulse, in: &result) }
        for rule in configuration.rules {
            if let end = rule.schedule?.end(at: now) { note(end + .milliseconds(1), in: &result) }
        }
    }

    /// Requests that wait and whose rule is gone, or is another of that name, are nobody's wish any more.
    private mutating func withdrawFromOthers(at now: Timestamp) {
        for number in groups.indices {
            guard let name = groups[number].memory.rule else { continue }
            let rule = configuration.rules.first { $0.name == name }
            let asked = memory.rules?[name]?.of
            if let rule, asked == nil || asked == RuleMemory.Identity(rule) { continue }
            let why = rule == nil ? "there is no rule \(name) any more" : "rule \(name) is another one now"
            end(number, 0, Explanation(.superseded, why), at: now)
        }
    }

    /// Names of the ready nodes of each group, those that leave left out.
    private func readyNodes() -> [[String]] {
        var names = [[String]](repeating: [], count: groups.count)
        for slot in model.order {
            let index = Int(slot)
            let number = Int(groupOfSlot[index])
            let brief = model.briefs[index]
            guard number >= 0, brief.isReady, !brief.isLeaving else { continue }
            names[number].append(model.world.names[index])
        }
        return names
    }

    private func reading(of rule: ScalingRule, _ nodes: [String], at now: Timestamp) -> RuleReading {
        switch rule.condition {
        case .threshold(let threshold):
            let values = measurements.values(threshold, of: nodes, at: now)
            // Just taken over: what the first nodes say is not the group's, and what held before may hold still.
            if values.count < nodes.count, now < (judgedSince ?? now) + threshold.maximumAge {
                return RuleReading(
                    holds: nil, detail: "\(threshold.metric) is known of \(values.count) of \(nodes.count) nodes yet",
                    isEarly: true)
            }
            return threshold.reading(values, nodes: nodes.count, rule.direction)
        case .alarm(let alarm):
            let known = (memory.alarms ?? [:]).filter { id, state in
                (id == alarm.name || state.name == alarm.name)
                    && alarm.maximumAge.map { now <= state.heardAt + $0 } ?? true
            }
            return alarm.reading(Array(known.values))
        }
    }

    private func requestUnderWay(_ number: Int, _ direction: ScalingRule.Direction) -> Explanation? {
        guard let other = groups[number].memory.signal else { return nil }
        // Who wants more does not wait for one that wants less and has to wait itself.
        if direction == .up, other.direction == .down { return nil }
        return Explanation(.groupBusy, "request \(other.id) is being considered")
    }

    private mutating func ask(
        _ rule: ScalingRule, _ number: Int, _ count: Int, _ reading: RuleReading, at now: Timestamp
    ) {
        let request = ScaleRequested(
            cluster: configuration.cluster, id: "rule-\(rule.name)-\(term)-\(memory.number)", group: rule.group,
            direction: rule.direction == .up ? .up : .down, step: count, who: "rule \(rule.name)", why: reading.detail,
            at: now, deadline: now + Self.lifetime)
        end(number, 0, Explanation(.superseded, "by request \(request.id)"), at: now)
        groups[number].memory.rule = rule.name
        groups[number].memory.signal = request
    }
}

extension ScalingRule.Alarm {
    /// The condition, from what is known of the alarms that are meant: `alertname` may be that of several.
    func reading(_ all: [AlarmMemory]) -> RuleReading {
        // One that was deleted says nothing where another one bears its name now.
        let there = all.filter { $0.isGone != true }
        let known = there.isEmpty ? all : there
        guard !known.isEmpty else { return RuleReading(holds: nil, detail: "nothing is known of alarm \(name)") }
        func most(_ state: State) -> AlarmMemory? {
            known.filter { $0.state == state }.min { ($0.at, $0.why) < ($1.at, $1.why) }
        }
        let firing = most(.alarm)
        // One that fires makes all of them fire; they are well when all are.
        let now = firing ?? most(.insufficientData) ?? known.max { ($0.at, $0.why) < ($1.at, $1.why) }
        guard let now else { return RuleReading(holds: nil, detail: "nothing is known of alarm \(name)") }
        let detail =
            "alarm \(name) is in state \(now.state.rawValue)" + (now.why.isEmpty ? "" : ": \(now.why)")
            + (now.definition.map { " (\($0))" } ?? "")
        // That its state is not known is no word against what the rule waits for.
        let isUnknown = now.state == .insufficientData && state != .insufficientData
        return RuleReading(holds: isUnknown ? nil : now.state == state, detail: detail, since: now.at)
    }
}
