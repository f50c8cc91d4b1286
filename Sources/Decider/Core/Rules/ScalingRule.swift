import Messages
import Support

/// A rule that makes an alarm, or a threshold on measured load, ask for nodes more or less of a group, or forbid that any go.
///
/// A rule is a wish like a request by the signal URL: limits, budgets, quotas and the simulation count as ever.
public struct ScalingRule: Sendable, Equatable {
    /// What it does while its condition holds.
    public enum Direction: Sendable, Equatable {
        /// Asks for nodes.
        case up
        /// Asks that nodes go, those whose pods fit elsewhere.
        case down
        /// No ready node of the group goes.
        case hold
    }

    /// How many nodes it asks for at a time.
    public enum Step: Sendable, Equatable {
        /// So many.
        case nodes(Int)
        /// So many percent of the group's size: rounded up to grow, down to shrink, one at least.
        case percent(Double)
        /// As many as bring a measured mean back to its threshold (the formula of HorizontalPodAutoscaler). With an alarm: to
        /// grow as many as waiting pods need, one at least; to shrink as many as may go.
        case simulation
    }

    /// When it acts.
    public enum Condition: Sendable, Equatable {
        /// While an alarm is in a state.
        case alarm(Alarm)
        /// While what is measured of the group's nodes is beyond a threshold.
        case threshold(Threshold)
    }

    /// An alarm of Aodh or Alertmanager.
    public struct Alarm: Sendable, Equatable {
        /// Its states, by Aodh's names; Alertmanager has the first two.
        public enum State: String, Sendable, Codable {
            case alarm, ok, insufficientData = "insufficient data"
        }

        /// Its id, or its name (`alertname`).
        public var name: String
        /// The state that counts.
        public var state: State
        /// Not heard of for so long it counts as unknown; nil: never.
        public var maximumAge: Interval?

        /// From its parts.
        public init(_ name: String, state: State = .alarm, maximumAge: Interval? = nil) {
            self.name = name
            self.state = state
            self.maximumAge = maximumAge
        }
    }

    /// A threshold on what is measured of the group's nodes.
    public struct Threshold: Sendable, Equatable {
        /// Who measures.
        public enum Source: String, Sendable {
            case kubelet, hypervisor
        }

        /// How the nodes' values become one.
        public enum Aggregate: String, Sendable {
            case mean, max, min, sum
        }

        /// Aodh's names.
        public enum Comparison: String, Sendable {
            case gt, ge, lt, le

            func holds(_ value: Double, _ threshold: Double) -> Bool {
                switch self {
                case .gt: value > threshold
                case .ge: value >= threshold
                case .lt: value < threshold
                case .le: value <= threshold
                }
            }
        }

        /// Who measures.
        public var source: Source
        /// What: a gauge of a node (`cpu.utilization`), or a meter of Ceilometer's (`cpu`: cores in use).
        public var metric: String
        /// How the nodes' values become one.
        public var aggregate: Aggregate
        /// How it is compared.
        public var comparison: Comparison
        /// With what.
        public var value: Double
        /// Older measurements do not count.
        public var maximumAge: Interval

        /// From its parts.
        public init(
            _ metric: String, _ comparison: Comparison, _ value: Double, aggregate: Aggregate = .mean,
            source: Source = .kubelet, maximumAge: Interval = .minutes(2)
        ) {
            self.source = source
            self.metric = metric
            self.aggregate = aggregate
            self.comparison = comparison
            self.value = value
            self.maximumAge = maximumAge
        }
    }

    /// Its name, for the ledger; its own.
    public var name: String
    /// The node group.
    public var group: String
    /// What it does.
    public var direction: Direction
    /// How many nodes at a time.
    public var step = Step.nodes(1)
    /// When.
    public var condition: Condition
    /// The condition has to hold for so long without a break.
    public var duration = Interval.zero
    /// After it has asked it does not ask again for so long; if nothing came of it, a minute at most.
    public var cooldown = Interval.minutes(5)
    /// Of the sizes that it wanted within this time the most careful counts: the smallest to grow, the largest to shrink.
    public var stabilizationWindow = Interval.zero
    /// Whether it asks again after the cooldown while its condition still holds.
    public var repeats = true
    /// When it counts at all; nil: always.
    public var schedule: Schedule?
    /// Of a `hold`: no ready node goes also while nothing is known of its alarm, or measured.
    public var holdsUnknown = false

    /// A rule with the defaults for what is not given.
    public init(_ name: String, group: String, _ direction: Direction, when condition: Condition) {
        self.name = name
        self.group = group
        self.direction = direction
        self.condition = condition
    }
}

extension ScalingRule {
    /// Nodes to ask for; zero: none is needed.
    /// - Parameters:
    ///   - reading: the condition, which holds.
    ///   - target: the size that the group is to have.
    func nodes(_ reading: RuleReading, target: Int) -> Int {
        let count: Int
        switch (step, direction) {
        case (_, .hold): count = 0
        case (.nodes(let number), _): count = number
        case (.percent(let percent), .up):
            count = max(1, Self.whole((Double(target) * percent / 100 - 1e-9).rounded(.up)))
        case (.percent(let percent), .down):
            count = max(1, Self.whole((Double(target) * percent / 100 + 1e-9).rounded(.down)))
        case (.simulation, let direction): count = simulated(reading, direction, target: target)
        }
        return min(max(0, count), ScaleRequested.maximumStep)
    }

    private func simulated(_ reading: RuleReading, _ direction: Direction, target: Int) -> Int {
        guard case .threshold(let threshold) = condition, let mean = reading.value, threshold.value > 0 else {
            // Waiting pods are counted where the group grows, nodes that may go where it shrinks.
            return direction == .up ? 1 : ScaleRequested.maximumStep
        }
        // The load stays the same and spreads evenly over what is there then.
        let load = mean * Double(reading.nodes) / threshold.value
        if direction == .up {
            // Nodes that are on their way count as there.
            return Self.whole((load - 1e-9).rounded(.up)) - target
        }
        var rest = max(1, Self.whole(load.rounded(.down)))
        while rest <= reading.nodes,
            !threshold.comparison.holds(mean * Double(reading.nodes) / Double(rest), threshold.value)
        {
            rest += 1
        }
        return min(reading.nodes, target) - rest
    }

    /// A measured load may be anything.
    private static func whole(_ value: Double) -> Int { Int(min(max(value, -1e6), 1e6)) }
}

/// What a rule's condition is at the moment.
struct RuleReading: Sendable, Equatable {
    /// Whether it holds; nil: that is not known.
    var holds: Bool?
    /// What was seen, for a person.
    var detail: String
    /// Since when, where somebody else knows.
    var since: Timestamp?
    /// The measured value.
    var value: Double?
    /// Nodes that it was measured of.
    var nodes = 0
    /// Not known because this process has not heard all nodes yet.
    var isEarly = false
}
