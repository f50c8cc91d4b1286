import Messages
import Support

extension Settings.Decider {
    /// An item of `decider.rules`: an alarm or a threshold that asks for nodes, or forbids that any go.
    public struct Rule: Sendable, Hashable {
        /// What it does.
        public enum Direction: String, Sendable, CaseIterable {
            case up, down, hold
        }

        /// How many nodes at a time.
        public enum Step: Sendable, Hashable {
            case nodes(Int), percent(Double), simulation
        }

        /// The state of an alarm that counts.
        public enum State: String, Sendable, CaseIterable {
            case alarm, ok, insufficientData = "insufficient_data"
        }

        /// Who measures.
        public enum Source: String, Sendable, CaseIterable {
            case kubelet, hypervisor
        }

        /// How the nodes' values become one.
        public enum Aggregate: String, Sendable, CaseIterable {
            case mean, max, min, sum
        }

        /// How that is compared.
        public enum Comparison: String, Sendable, CaseIterable {
            case gt, ge, lt, le
        }

        /// Its name in the ledger.
        public var name: String
        /// The node group.
        public var group: String
        /// What it does.
        public var direction: Direction
        /// How many nodes at a time.
        public var step: Step
        /// Id or name of an alarm; nil: it is on a metric.
        public var alarm: String?
        /// The state of the alarm that counts.
        public var state: State
        /// What is measured; nil: it is on an alarm.
        public var metric: String?
        /// Who measures.
        public var source: Source
        /// How the nodes' values become one.
        public var aggregate: Aggregate
        /// How that is compared.
        public var comparison: Comparison
        /// With what.
        public var threshold: Double
        /// Older measurements, or words of the alarm, do not count; nil: the source's default, an alarm's for ever.
        public var maximumAge: Interval?
        /// For so long the condition has to hold.
        public var duration: Interval
        /// After it has asked it rests for so long.
        public var cooldown: Interval
        /// Of the sizes wanted within this the most careful counts.
        public var stabilizationWindow: Interval
        /// Whether it asks again after the cooldown.
        public var repeats: Bool
        /// When it counts; nil: always.
        public var schedule: Schedule?
        /// Of a `hold`: whether nodes stay also while nothing is known.
        public var holdsUnknown: Bool
        /// Where `group` was written.
        let groupOrigin: String?
        /// Where `alarm`, or else `metric`, was written.
        let conditionOrigin: String?

        /// What kubelets measure of nodes.
        private static let gauges = TelemetryKind.node.gauges.map(\.rawValue)

        init(_ reader: SettingsReader) {
            name = reader.identifier("name", "Its name in the ledger.")
            group = reader.requiredText("group", "The node group.")
            groupOrigin = reader.node("group")?.origin
            conditionOrigin = (reader.node("alarm") ?? reader.node("metric"))?.origin
            direction = reader.choice(
                "direction", default: .up,
                "`up` asks for nodes, `down` that nodes go whose pods fit elsewhere; `hold`: no ready node goes meanwhile."
            )
            step = reader.field(
                "step", "1 … \(ScaleRequested.maximumStep), a percentage (`25%`) or `simulation`", default: .nodes(1),
                shown: "1",
                "Nodes at a time. A percentage is of the group's size, one node at least. `simulation`: as many as bring a "
                    + "mean back to its threshold; with an alarm as many as waiting pods need (one at least), or as may go.",
                read: Self.step)
            alarm = reader.text(
                "alarm",
                "An alarm: the id or name of Aodh's, or the name of one that was posted to the Collector (`alertname` of "
                    + "Alertmanager's). Either this or `metric`.")
            state = reader.choice("state", default: .alarm, "The state of the alarm that counts.")
            metric = reader.text(
                "metric",
                "What is measured of the group's nodes: \(Self.gauges.map { "`\($0)`" }.joined(separator: ", ")); or, of "
                    + "`hypervisor`, a meter of `collector.hypervisor.meters`. Counters count by the second (`cpu`: cores)."
            )
            source = reader.choice("source", default: .kubelet, "Who measures.")
            aggregate = reader.choice("aggregate", default: .mean, "How the nodes' values become one.")
            comparison = reader.choice("comparison", default: .gt, "How that is compared with `threshold`.")
            let limit = reader.number("threshold", in: -1e14...1e14, "With what it is compared; needed with `metric`.")
            threshold = limit ?? 0
            maximumAge = reader.interval(
                "max_age", in: .seconds(1) ... .minutes(1_440),
                "Older measurements do not count: without it `2m` or three of `collector.stats.interval` (of network and disk of "
                    + "`details_interval`, and never less than two), of hypervisors `15m`. Of an alarm: not heard of for so long its state is not known; without it it stays as it was. "
                    + "With `collector.alarms.enabled` that is at least twice `actuator.alarms_interval`, which is how often an alarm that does not change is heard of."
            )
            duration = reader.interval("for", default: .zero, "For so long the condition has to hold without a break.")
            cooldown = reader.interval(
                "cooldown", default: .minutes(5),
                "After it has asked it rests for so long; a minute at most if nothing came of it.")
            stabilizationWindow = reader.interval(
                "stabilization_window", default: .zero, in: .zero ... .minutes(1_440),
                "Of the sizes that it wanted within this time the most careful counts, as with HorizontalPodAutoscaler."
            )
            repeats = reader.flag(
                "repeat", default: true, "Whether it asks again after the cooldown while its condition still holds.")
            schedule = reader.schedule()
            holdsUnknown = reader.flag(
                "hold_unknown", default: false,
                "With `hold`: whether nodes stay also while nothing is known: the alarm has not been heard of, or not within "
                    + "`max_age`, or nothing fresh is measured. Then a sender that is silent keeps every node.")
            check(reader, limit)
        }

        private func check(_ reader: SettingsReader, _ limit: Double?) {
            guard (alarm == nil) != (metric == nil) else {
                return reader.mistake(
                    "alarm", alarm == nil ? "neither alarm nor metric is given" : "is given beside metric",
                    allowed: "one of them")
            }
            if holdsUnknown, direction != .hold {
                reader.mistake("hold_unknown", "is given with direction \(direction.rawValue)", allowed: "it with hold")
            }
            guard let metric else { return }
            if limit == nil, reader.node("threshold") == nil {
                reader.mistake("threshold", "is missing", allowed: "a number")
            }
            if source == .kubelet, !Self.gauges.contains(metric) {
                reader.mistake(
                    "metric", "is \(SettingsReader.quoted(metric))", allowed: Self.gauges.joined(separator: ", "))
            }
            if step == .simulation, direction != .hold, aggregate != .mean || threshold <= 0 {
                reader.mistake(
                    "step", "is simulation", allowed: "that only with aggregate mean and a threshold above zero")
            }
        }

        private static func step(_ node: SettingNode) throws(SettingsReader.Refusal) -> Step {
            let text = try SettingsReader.text(node)
            if text == "simulation" { return .simulation }
            if text.hasSuffix("%"), let percent = Double(text.dropLast()), percent > 0, percent <= 1_000 {
                return .percent(percent)
            }
            guard let count = Int(text), (1...ScaleRequested.maximumStep).contains(count) else {
                throw SettingsReader.Refusal("is \(SettingsReader.quoted(text))")
            }
            return .nodes(count)
        }
    }
}
