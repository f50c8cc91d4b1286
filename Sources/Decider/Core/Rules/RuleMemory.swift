import Messages
import Support

/// What a rule must not forget, and how it gets from "its condition holds" to "it asks for nodes". Pure: the caller gives
/// reading and time.
struct RuleMemory: Sendable, Codable, Equatable {
    /// The rule that this is remembered of; nil in checkpoints of older releases.
    var of: Identity?
    /// Since when the condition holds without a break.
    var holdsSince: Timestamp?
    /// When it last asked.
    var askedAt: Timestamp?
    /// When nothing came of that.
    var refusedAt: Timestamp?
    /// `holdsSince` at that time.
    var askedFor: Timestamp?
    /// Sizes that it wanted, each from a time on, for the stabilization window.
    var wanted: [Wanted] = []

    struct Wanted: Sendable, Codable, Equatable {
        var from: Timestamp
        var size: Int
    }

    /// What makes a rule the same rule as before: its name alone does not, which may stand for something else in the
    /// next configuration. How long, how much and how often are left out; they count as they are now.
    struct Identity: Sendable, Codable, Equatable {
        var group: String
        var direction: String
        var condition: String

        init(_ rule: ScalingRule) {
            group = rule.group
            direction = "\(rule.direction)"
            condition =
                switch rule.condition {
                case .alarm(let alarm): "alarm \(alarm.name) \(alarm.state.rawValue)"
                case .threshold(let threshold):
                    "\(threshold.source.rawValue) \(threshold.aggregate.rawValue) \(threshold.metric) "
                        + "\(threshold.comparison.rawValue) \(threshold.value)"
                }
        }
    }

    /// What a rule knows that has known nothing yet.
    init() {}

    /// What a rule knows, from what is remembered under its name. Of another rule of that name nothing counts but that the
    /// group was changed: its cooldown stays.
    init(of rule: ScalingRule, _ remembered: RuleMemory?) {
        let identity = Identity(rule)
        if let remembered, remembered.of ?? identity == identity {
            self = remembered
        } else if let remembered, remembered.of?.group == rule.group {
            (askedAt, refusedAt) = (remembered.askedAt, remembered.refusedAt)
        }
        of = identity
    }

    /// What follows from a reading.
    enum Verdict: Sendable, Equatable {
        /// Nothing, because of this; it may be otherwise at this time even if nothing happens.
        case idle(Explanation, until: Timestamp?)
        /// The condition holds: no node goes.
        case holds
        /// So many nodes are asked for.
        case asks(Int)
    }

    /// Takes a reading in.
    /// - Parameters:
    ///   - target: the size that the group is to have.
    ///   - busy: why nothing can be asked of the group just now.
    mutating func judge(
        _ rule: ScalingRule, _ reading: RuleReading, target: Int, busy: Explanation?, at now: Timestamp
    ) -> Verdict {
        var step = 0
        let obstacle = obstacle(rule, reading, at: now)
        if obstacle == nil { step = rule.nodes(reading, target: target) }
        let stable = stabilized(rule, target + (rule.direction == .down ? -step : step), at: now)
        if let obstacle { return obstacle }
        if rule.direction == .hold { return .holds }
        if !rule.repeats, let askedFor, askedFor == holdsSince {
            return .idle(Explanation(.ruleFired, "it has asked, and does so once each time"), until: nil)
        }
        if let until = restsUntil(rule), now < until {
            return .idle(Explanation(.ruleInCooldown, "until \(until)"), until: until)
        }
        if step == 0 {
            return .idle(Explanation(.balanced, "\(reading.detail); with \(target) nodes that is enough"), until: nil)
        }
        let change = rule.direction == .down ? target - stable.size : stable.size - target
        if change <= 0 {
            return .idle(
                Explanation(.ruleStabilizing, "within \(rule.stabilizationWindow) it wanted \(stable.size) nodes"),
                until: stable.until)
        }
        if let busy { return .idle(busy, until: nil) }
        askedAt = now
        refusedAt = nil
        askedFor = holdsSince
        return .asks(min(step, change))
    }

    /// Nothing came of what it asked for: the cooldown is meant for changes, and it may ask again sooner; a rule that acts
    /// once each time has not acted yet.
    mutating func refused(at now: Timestamp) {
        refusedAt = now
        askedFor = nil
    }

    /// So long it rests at most when nothing came of what it asked for.
    private static let retry = Interval.minutes(1)

    private func restsUntil(_ rule: ScalingRule) -> Timestamp? {
        if let refusedAt { return refusedAt + min(rule.cooldown, Self.retry) }
        return askedAt.map { $0 + rule.cooldown }
    }

    /// Why the condition does not count yet; notes since when it holds.
    private mutating func obstacle(_ rule: ScalingRule, _ reading: RuleReading, at now: Timestamp) -> Verdict? {
        if let schedule = rule.schedule, !schedule.holds(at: now) {
            holdsSince = nil
            return .idle(Explanation(.ruleOutOfSchedule, schedule.expression), until: nil)
        }
        guard reading.holds == true else {
            if !reading.isEarly { holdsSince = nil }
            // At once: what is not known may have held for as long as the duration.
            if reading.holds == nil, rule.direction == .hold, rule.holdsUnknown { return nil }
            return .idle(Explanation(reading.holds == nil ? .noMeasurement : .ruleNotMet, reading.detail), until: nil)
        }
        // Of several alarms of one name the one that began may be over while another fires: it held all the time.
        let since = min(holdsSince ?? now, reading.since ?? now, now)
        holdsSince = since
        let due = since + rule.duration
        return now < due ? .idle(Explanation(.ruleNotLongEnough, "\(reading.detail); until \(due)"), until: due) : nil
    }

    /// The most careful of the sizes that were wanted within the window, and when that may change.
    private mutating func stabilized(
        _ rule: ScalingRule, _ size: Int, at now: Timestamp
    ) -> (size: Int, until: Timestamp?) {
        guard rule.stabilizationWindow > .zero else {
            wanted = []
            return (size, nil)
        }
        if wanted.last?.size != size { wanted.append(Wanted(from: now, size: size)) }
        let start = now - rule.stabilizationWindow
        // What was wanted at the window's beginning was said before it.
        while wanted.count > 1, wanted[1].from <= start { wanted.removeFirst() }
        // A value that jumps about fills no checkpoint: two neighbours become the more careful one.
        while wanted.count > 60 {
            let both = (wanted[0].size, wanted[1].size)
            wanted[1] = Wanted(
                from: wanted[0].from, size: rule.direction == .down ? max(both.0, both.1) : min(both.0, both.1))
            wanted.removeFirst()
        }
        let sizes = wanted.map(\.size)
        let careful = (rule.direction == .down ? sizes.max() : sizes.min()) ?? size
        return (careful, wanted.dropFirst().first.map { $0.from + rule.stabilizationWindow })
    }
}

/// What is remembered of an alarm that a rule is for.
struct AlarmMemory: Sendable, Codable, Equatable {
    var name: String?
    var state: ScalingRule.Alarm.State
    var why: String
    /// When it came into this state.
    var at: Timestamp
    /// The time of the newest word of it, which tells late words from new ones; nil in checkpoints of older releases.
    var saidAt: Timestamp?
    /// When that was last said.
    var heardAt: Timestamp
    /// What it watches, in words, once that was said.
    var definition: String?
    /// True: it was deleted.
    var isGone: Bool?
}
