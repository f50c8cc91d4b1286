import Messages
import Support

/// What kubelets and hypervisors measured of nodes, as far as a rule is on it. Pure.
struct RuleMeasurements: Sendable {
    private struct Series: Hashable {
        var source: ScalingRule.Threshold.Source
        var metric: String
    }

    private struct Point: Sendable {
        var value: Double?
        /// When it was measured; a time that has not come counts as now.
        var at: Timestamp
        /// The same by the clock of who measured: what lies between two samples is told by that one.
        var ownTime: Timestamp
        /// The counter, where the meter is one.
        var total: Double?
    }

    /// By node.
    private var series: [Series: [String: Point]] = [:]
    /// Measurements that cannot be true, so far.
    private(set) var unbelieved = 0
    /// Two readings of a counter that are closer say nothing of its rate: the clock's own jitter is as large.
    private static let shortest = Interval.seconds(1)

    /// Whether nothing has to be measured.
    var isEmpty: Bool { series.isEmpty }

    /// For these rules.
    init(_ rules: [ScalingRule]) {
        for rule in rules {
            guard case .threshold(let threshold) = rule.condition else { continue }
            series[Series(source: threshold.source, metric: threshold.metric)] = [:]
        }
    }

    /// Takes what a kubelet measured.
    mutating func take(_ sample: NodeStats.Sample, at now: Timestamp) {
        guard !sample.stale else { return }
        for key in series.keys where key.source == .kubelet {
            guard let gauge = TelemetryGauge(rawValue: key.metric), let value = gauge.value(of: sample),
                value.isFinite
            else { continue }
            let at = gauge.isDetail ? sample.detailsAt ?? sample.at : sample.at
            set(key, sample.node, Point(value: value, at: min(at, now), ownTime: min(at, now)), at: now)
        }
    }

    /// Takes what a hypervisor measured. Counters become amounts a second, those of nanoseconds seconds a second. A host's clock may
    /// be ahead, and samples may come in a heap: their rate is by their own times.
    /// - Parameter cores: of the node, where that is known. CPU beyond what they can give is not believed.
    mutating func take(_ sample: CloudStats.Sample, cores: Double? = nil, at now: Timestamp) {
        let key = Series(source: .hypervisor, metric: sample.meter)
        guard let known = series[key], sample.value.isFinite else { return }
        var point = Point(value: sample.value, at: min(sample.at, now), ownTime: sample.at)
        guard sample.kind == "cumulative" else { return set(key, sample.node, point, at: now) }
        (point.value, point.total) = (nil, sample.value)
        if let before = known[sample.node], let total = before.total, sample.at > before.ownTime {
            let elapsed = sample.at - before.ownTime
            guard elapsed >= Self.shortest else { return }
            let isTime = sample.unit == "ns"
            if sample.value >= total { point.value = (sample.value - total) * (isTime ? 1e-9 : 1) / elapsed.inSeconds }
            // The hypervisor's own threads for the machine count as well.
            if isTime, let cores, let value = point.value, value > cores * 1.5 + 1 {
                point.value = nil
                unbelieved += 1
            }
        }
        set(key, sample.node, point, at: now)
    }

    private mutating func set(_ key: Series, _ node: String, _ point: Point, at now: Timestamp) {
        // Late and repeated messages say nothing new. But a clock that was ahead and has been put right must not keep out
        // what is measured until it is there again.
        if let known = series[key]?[node], known.ownTime >= point.ownTime, known.ownTime <= now || point.ownTime > now {
            return
        }
        series[key]?[node] = point
    }

    /// Forgets nodes that are gone.
    mutating func keep(only isThere: (String) -> Bool) {
        for (key, points) in series { series[key] = points.filter { isThere($0.key) } }
    }

    /// The largest number of nodes that anything is known of.
    var size: Int { series.values.map(\.count).max() ?? 0 }

    /// The values of these nodes that are fresh.
    func values(_ threshold: ScalingRule.Threshold, of nodes: [String], at now: Timestamp) -> [Double] {
        let points = series[Series(source: threshold.source, metric: threshold.metric)] ?? [:]
        return nodes.compactMap { name in
            guard let point = points[name], point.at + threshold.maximumAge >= now else { return nil }
            return point.value
        }
    }
}

extension TelemetryGauge {
    /// Whether kubelets are asked for it less often (`collector.stats.details_interval`).
    var isDetail: Bool {
        switch self {
        case .received, .sent, .disk, .diskUtilization: true
        default: false
        }
    }

    /// The gauges of a node.
    func value(of sample: NodeStats.Sample) -> Double? {
        switch self {
        case .cpuUsage: sample.cpuMillis.map { $0 / 1_000 }
        case .cpuUtilization: sample.cpuUtilization
        case .memory: sample.memoryBytes.map(Double.init)
        case .memoryUtilization: sample.memoryUtilization
        case .received: sample.receivedPerSecond
        case .sent: sample.sentPerSecond
        case .disk: sample.diskBytes
        case .diskUtilization: sample.diskUtilization
        case .podsRunning: sample.podsRunning.map(Double.init)
        case .podsPending: sample.podsPending.map(Double.init)
        case .canary: nil
        }
    }
}

extension ScalingRule.Threshold {
    /// The condition, from the values of a group's nodes.
    /// - Parameters:
    ///   - values: of the nodes that were measured lately.
    ///   - nodes: how many there are.
    ///   - direction: of the rule. What is not known must not make a node go: one that shrinks the group needs the measure of each
    ///     node, and one that keeps nodes ends on the word of all only (a node that is too loaded to be measured is the one).
    func reading(_ values: [Double], nodes: Int, _ direction: ScalingRule.Direction) -> RuleReading {
        guard !values.isEmpty, direction != .down || values.count >= nodes else {
            return RuleReading(
                holds: nil, detail: "\(metric) is known of \(values.count) of \(nodes) nodes", nodes: values.count)
        }
        let value: Double
        switch aggregate {
        case .mean: value = values.reduce(0, +) / Double(values.count)
        case .max: value = values.reduce(-.infinity, Swift.max)
        case .min: value = values.reduce(.infinity, Swift.min)
        case .sum: value = values.reduce(0, +)
        }
        let holds = comparison.holds(value, self.value)
        let isUnknown = direction == .hold && !holds && values.count < nodes
        return RuleReading(
            holds: isUnknown ? nil : holds,
            detail: "\(aggregate.rawValue) \(metric) of \(values.count) nodes is \(Self.shown(value)), "
                + "\(holds ? "" : "not ")\(comparison.rawValue) \(Self.shown(self.value))",
            value: value, nodes: values.count)
    }

    /// Three digits or so are enough for a person.
    private static func shown(_ value: Double) -> String {
        if abs(value) >= 1_000 || value == value.rounded() { return String(Int64(min(max(value, -1e18), 1e18))) }
        return String((value * 1_000).rounded() / 1_000)
    }
}
