import Support

/// A label of a metric. Its values are bounded from the start: what is not foreseen becomes `other`, so that no message
/// from outside can fill a monitoring system's memory.
public struct MetricLabel: Sendable, Hashable {
    enum Bound: Sendable, Hashable {
        case values(Set<String>)
        case count(Int)
    }

    let name: String
    let bound: Bound

    /// A label with known values.
    public static func label(_ name: String, _ values: [String]) -> MetricLabel {
        MetricLabel(name: name, bound: .values(Set(values)))
    }

    /// A label with the values of an enumeration.
    public static func label<Value: RawRepresentable & CaseIterable>(
        _ name: String, _ values: Value.Type
    ) -> MetricLabel where Value.RawValue == String {
        label(name, Value.allCases.map(\.rawValue))
    }

    /// A label whose values come from the configuration or the cluster: the first `atMost` are kept apart.
    public static func label(_ name: String, atMost count: Int) -> MetricLabel {
        MetricLabel(name: name, bound: .count(count))
    }
}

/// All metrics of a process, written as Prometheus text when asked for.
public final class Metrics: Sendable {
    private struct State {
        var families: [String: any MetricFamily] = [:]
        var gauges: [String: (help: String, read: @Sendable () -> Double?)] = [:]
        var labelled: [String: ReadGauge] = [:]
    }

    /// Numbers read when they are asked for, by the value of one label.
    private struct ReadGauge: Sendable {
        var help: String
        var label: MetricLabel
        var read: @Sendable () -> [String: Double]
    }

    private let state = Lock(State())
    private let prefix: String

    /// `prefix` stands before every name.
    public init(prefix: String = "updraft_") {
        self.prefix = prefix
    }

    /// A number that only grows; `_total` is added to its name. Asking again for a name gives the same counter.
    public func counter(_ name: String, _ help: String, _ labels: MetricLabel...) -> Counter {
        family(prefix + name + "_total") { Counter(name: $0, help: help, labels: labels) }
    }

    /// A number that goes up and down.
    public func gauge(_ name: String, _ help: String, _ labels: MetricLabel...) -> Gauge {
        family(prefix + name) { Gauge(name: $0, help: help, labels: labels) }
    }

    /// A number read when it is asked for; nil leaves it out. `read` must return soon. Replaces an earlier one.
    public func gauge(_ name: String, _ help: String, read: @escaping @Sendable () -> Double?) {
        state.withLock { $0.gauges[prefix + name] = (help, read) }
    }

    /// Numbers read when they are asked for, by the value of a label; beyond the label's bound the rest is left out.
    /// `read` must return soon. Replaces an earlier one.
    public func gauge(
        _ name: String, _ help: String, _ label: MetricLabel, read: @escaping @Sendable () -> [String: Double]
    ) {
        state.withLock { $0.labelled[prefix + name] = ReadGauge(help: help, label: label, read: read) }
    }

    /// A distribution; `bounds` are the upper ends of its buckets in growing order.
    public func histogram(
        _ name: String, _ help: String, bounds: [Double] = Histogram.seconds, _ labels: MetricLabel...
    ) -> Histogram {
        family(prefix + name) { Histogram(name: $0, help: help, labels: labels, bounds: bounds) }
    }

    private func family<Family: MetricFamily>(_ name: String, make: (String) -> Family) -> Family {
        state.withLock { state in
            if let known = state.families[name] as? Family { return known }
            // Two kinds under one name is a slip in our own code; the later one wins, and the tests of the page see it.
            let family = make(name)
            state.families[name] = family
            return family
        }
    }

    /// The Prometheus text format, version 0.0.4.
    public func text() -> String {
        let (families, gauges, labelled) = state.withLock { ($0.families, $0.gauges, $0.labelled) }
        var text = ""
        for (_, family) in families.sorted(by: { $0.key < $1.key }) { family.write(to: &text) }
        for (name, gauge) in gauges.sorted(by: { $0.key < $1.key }) {
            guard let value = gauge.read() else { continue }
            MetricText.head(name, gauge.help, "gauge", to: &text)
            text += "\(name) \(MetricText.number(value))\n"
        }
        for (name, gauge) in labelled.sorted(by: { $0.key < $1.key }) {
            // Anew each time: what is gone is not shown, and takes no place.
            let family = Gauge(name: name, help: gauge.help, labels: [gauge.label])
            for (value, number) in gauge.read().sorted(by: { $0.key < $1.key }) { family.set(number, value) }
            family.write(to: &text)
        }
        ProcessMetrics.write(to: &text)
        return text
    }
}

/// What the metrics of one name have in common.
protocol MetricFamily: Sendable {
    func write(to text: inout String)
}

/// The values of one name by label values.
struct LabelledValues<Value> {
    let labels: [MetricLabel]
    private(set) var values: [[String]: Value] = [:]
    private var seen: [Set<String>]

    init(labels: [MetricLabel], initial: Value) {
        self.labels = labels
        seen = Array(repeating: [], count: labels.count)
        // Without labels the metric is there from the start: a rate over it needs its first zero.
        if labels.isEmpty { values[[]] = initial }
    }

    /// Label values within their bounds; missing ones are empty, surplus ones dropped.
    mutating func key(_ given: [String]) -> [String] {
        labels.indices.map { index in
            let value = index < given.count ? given[index] : ""
            switch labels[index].bound {
            case .values(let allowed): return allowed.contains(value) ? value : "other"
            case .count(let limit):
                if seen[index].contains(value) { return value }
                guard seen[index].count < limit else { return "other" }
                seen[index].insert(value)
                return value
            }
        }
    }

    mutating func update(_ given: [String], default initial: Value, _ body: (inout Value) -> Void) {
        body(&values[key(given), default: initial])
    }

    mutating func remove(_ given: [String]) {
        values.removeValue(forKey: key(given))
    }
}

/// Pieces of the text format.
enum MetricText {
    static func head(_ name: String, _ help: String, _ type: String, to text: inout String) {
        text += "# HELP \(name) \(help.replacing("\\", with: "\\\\").replacing("\n", with: "\\n"))\n"
        text += "# TYPE \(name) \(type)\n"
    }

    static func labels(_ labels: [MetricLabel], _ values: [String], extra: String = "") -> String {
        var parts = zip(labels, values).map { label, value in
            "\(label.name)=\"\(escaped(value))\""
        }
        if !extra.isEmpty { parts.append(extra) }
        return parts.isEmpty ? "" : "{\(parts.joined(separator: ","))}"
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
