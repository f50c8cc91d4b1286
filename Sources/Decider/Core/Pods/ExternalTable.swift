import Messages
import Support

/// The last external values, by stat and namespace.
struct ExternalTable: Sendable {
    private struct Key: Hashable, Sendable {
        var stat: String
        /// Empty: for all namespaces.
        var namespace: String
    }

    private var values: [Key: (value: Double, at: Timestamp)] = [:]
    /// Why there is none, as whoever should have told it says.
    private var failures: [Key: (why: String, at: Timestamp)] = [:]
    /// Longer words are cut: they go into ledger and status.
    private static let longestWhy = 300
    /// Values that are kept at most; the oldest go first.
    private static let maximum = 10_000

    /// Takes values in; an older one of the same stat is left out.
    mutating func take(_ stats: ExternalStats, at now: Timestamp) {
        for sample in stats.samples {
            let key = Key(stat: sample.stat, namespace: sample.namespace ?? "")
            let at = min(sample.at, now)
            if let known = values[key], known.at > at { continue }
            values[key] = (sample.value, at)
            failures[key] = nil
        }
        for failure in stats.failures ?? [] {
            let key = Key(stat: failure.stat, namespace: failure.namespace ?? "")
            if failures.count >= Self.maximum { failures = [:] }
            failures[key] = (failure.why.cut(utf8: Self.longestWhy), min(failure.at, now))
        }
        guard values.count > Self.maximum else { return }
        let kept = values.sorted { $0.value.at > $1.value.at }.prefix(Self.maximum / 2)
        values = Dictionary(kept.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// A value that can be used, or why not.
    func value(
        _ stat: String, namespace: String, maximumAge: Interval, at now: Timestamp
    ) -> Result<Double, ScalerScene.Absence> {
        let own = Key(stat: stat, namespace: namespace)
        let common = Key(stat: stat, namespace: "")
        func absent(_ reason: Reason, _ words: String) -> Result<Double, ScalerScene.Absence> {
            let failure = (failures[own] ?? failures[common]).flatMap { now - $0.at <= maximumAge ? $0.why : nil }
            return .failure(.init(why: Explanation(reason, words + (failure.map { ": \($0)" } ?? ""))))
        }
        guard let known = values[own] ?? values[common] else { return absent(.statUnknown, "nobody has told it") }
        guard now - known.at <= maximumAge else {
            return absent(.statStale, "the last value is \(now - known.at) old")
        }
        guard MonitoredPod.isUsable(known.value) else {
            return absent(.statUnknown, "\(known.value) is negative, too large or no number")
        }
        return .success(known.value)
    }
}
