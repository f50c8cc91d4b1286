import Support

/// A number that only grows.
public final class Counter: MetricFamily {
    private let name: String
    private let help: String
    private let state: Lock<LabelledValues<Double>>

    init(name: String, help: String, labels: [MetricLabel]) {
        self.name = name
        self.help = help
        state = Lock(LabelledValues(labels: labels, initial: 0))
    }

    /// Adds `amount`, which is not negative; label values in the order of the declaration.
    public func increment(_ labels: String..., by amount: Double = 1) {
        guard amount >= 0 else { return }
        state.withLock { $0.update(labels, default: 0) { $0 += amount } }
    }

    /// What it stands at, 0 if it was never counted: for tests and `status` pages.
    public func value(_ labels: String...) -> Double {
        state.withLock { $0.values[labels] ?? 0 }
    }

    func write(to text: inout String) {
        let (labels, values) = state.withLock { ($0.labels, $0.values) }
        MetricText.head(name, help, "counter", to: &text)
        for (key, value) in values.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            text += "\(name)\(MetricText.labels(labels, key)) \(MetricText.number(value))\n"
        }
    }
}

/// A number that goes up and down.
public final class Gauge: MetricFamily {
    private let name: String
    private let help: String
    private let state: Lock<LabelledValues<Double>>

    init(name: String, help: String, labels: [MetricLabel]) {
        self.name = name
        self.help = help
        state = Lock(LabelledValues(labels: labels, initial: 0))
    }

    /// Sets it; label values in the order of the declaration.
    public func set(_ value: Double, _ labels: String...) {
        state.withLock { $0.update(labels, default: 0) { $0 = value } }
    }

    /// Takes a line away: what it stood for is gone.
    public func remove(_ labels: String...) {
        state.withLock { $0.remove(labels) }
    }

    /// What it stands at, 0 if it was never set.
    public func value(_ labels: String...) -> Double {
        state.withLock { $0.values[labels] ?? 0 }
    }

    func write(to text: inout String) {
        let (labels, values) = state.withLock { ($0.labels, $0.values) }
        MetricText.head(name, help, "gauge", to: &text)
        for (key, value) in values.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            text += "\(name)\(MetricText.labels(labels, key)) \(MetricText.number(value))\n"
        }
    }
}

/// A distribution in buckets.
public final class Histogram: MetricFamily {
    /// Bounds for things that take from a millisecond to some minutes.
    public static let seconds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
    ]

    private struct Distribution {
        var counts: [UInt64]
        var sum = 0.0
        var total: UInt64 = 0
    }

    private let name: String
    private let help: String
    private let bounds: [Double]
    private let empty: Distribution
    private let state: Lock<LabelledValues<Distribution>>

    init(name: String, help: String, labels: [MetricLabel], bounds: [Double]) {
        self.name = name
        self.help = help
        self.bounds = bounds
        empty = Distribution(counts: Array(repeating: 0, count: bounds.count))
        state = Lock(LabelledValues(labels: labels, initial: empty))
    }

    /// Counts one value; label values in the order of the declaration.
    public func observe(_ value: Double, _ labels: String...) {
        let bucket = bounds.firstIndex { value <= $0 }
        state.withLock { state in
            state.update(labels, default: empty) { distribution in
                if let bucket { distribution.counts[bucket] += 1 }
                distribution.sum += value
                distribution.total += 1
            }
        }
    }

    /// Counts one length of time, in seconds.
    public func observe(_ interval: Interval, _ labels: String...) {
        let bucket = bounds.firstIndex { interval.inSeconds <= $0 }
        state.withLock { state in
            state.update(labels, default: empty) { distribution in
                if let bucket { distribution.counts[bucket] += 1 }
                distribution.sum += interval.inSeconds
                distribution.total += 1
            }
        }
    }

    func write(to text: inout String) {
        let (labels, values) = state.withLock { ($0.labels, $0.values) }
        MetricText.head(name, help, "histogram", to: &text)
        for (key, distribution) in values.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            var running: UInt64 = 0
            for (bound, count) in zip(bounds, distribution.counts) {
                running += count
                let label = MetricText.labels(labels, key, extra: "le=\"\(MetricText.number(bound))\"")
                text += "\(name)_bucket\(label) \(running)\n"
            }
            text += "\(name)_bucket\(MetricText.labels(labels, key, extra: "le=\"+Inf\"")) \(distribution.total)\n"
            text += "\(name)_sum\(MetricText.labels(labels, key)) \(MetricText.number(distribution.sum))\n"
            text += "\(name)_count\(MetricText.labels(labels, key)) \(distribution.total)\n"
        }
    }
}
