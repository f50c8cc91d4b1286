import Messages
import Support

/// The last external values, by stat and namespace.
struct ExternalTable: Sendable {
    private struct Key: Hashable, Sendable {
        var stat: String
        /// Empty: for all namespaces.
        var namespace: String
    }

    private struct Value: Sendable {
        var value: Double
        var at: Timestamp
        /// When it was last told.
        var toldAt: Timestamp
        /// When it should be told again.
        var interval: Interval?

        /// Whether it was fresh when it was told and its sender has not missed two turns since: what comes less often than it
        /// may be old would be missing most of the time.
        func isAwaited(_ maximumAge: Interval, at now: Timestamp) -> Bool {
            guard let interval else { return false }
            return toldAt - at <= maximumAge && now - toldAt <= interval * 2
        }
    }

    private var values: [Key: Value] = [:]
    /// Why there is none, as whoever should have told it says.
    private var failures: [Key: (why: String, at: Timestamp, interval: Interval?)] = [:]
    /// Longer words are cut: they go into ledger and status.
    private static let longestWhy = 300
    /// Values that are kept at most; the oldest go first.
    private static let maximum = 10_000
    /// Who says that it will be silent for longer is not believed.
    private static let longestInterval = Interval.minutes(60)

    /// Takes values in; an older one of the same stat is left out.
    mutating func take(_ stats: ExternalStats, at now: Timestamp) {
        let interval = stats.interval.map { min($0, Self.longestInterval) }
        for sample in stats.samples {
            let key = Key(stat: sample.stat, namespace: sample.namespace ?? "")
            let at = min(sample.at, now)
            if let known = values[key], known.at > at { continue }
            values[key] = Value(value: sample.value, at: at, toldAt: now, interval: interval)
            failures[key] = nil
        }
        for failure in stats.failures ?? [] {
            let key = Key(stat: failure.stat, namespace: failure.namespace ?? "")
            if failures.count >= Self.maximum { failures = [:] }
            failures[key] = (failure.why.cut(utf8: Self.longestWhy), min(failure.at, now), interval)
        }
        guard values.count > Self.maximum else { return }
        let kept = values.sorted { $0.value.at > $1.value.at }.prefix(Self.maximum / 2)
        values = Dictionary(kept.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// Why a stat could not be told of late; nil: nobody said so. Stats of pods that are read for them have it too.
    func failure(_ stat: String, namespace: String, maximumAge: Interval, at now: Timestamp) -> String? {
        let known = failures[Key(stat: stat, namespace: namespace)] ?? failures[Key(stat: stat, namespace: "")]
        return known.flatMap { now - $0.at <= max(maximumAge, ($0.interval ?? .zero) * 2) ? $0.why : nil }
    }

    /// A value that can be used, or why not.
    /// - Parameter isStrict: a person set `maximumAge` for this stat, so it also holds where it is told less often than that.
    func value(
        _ stat: String, namespace: String, maximumAge: Interval, isStrict: Bool = false, at now: Timestamp
    ) -> Result<Double, ScalerScene.Absence> {
        let own = Key(stat: stat, namespace: namespace)
        let common = Key(stat: stat, namespace: "")
        func absent(_ reason: Reason, _ words: String) -> Result<Double, ScalerScene.Absence> {
            let failure = failure(stat, namespace: namespace, maximumAge: maximumAge, at: now)
            return .failure(.init(why: Explanation(reason, words + (failure.map { ": \($0)" } ?? ""))))
        }
        guard let known = values[own] ?? values[common] else { return absent(.statUnknown, "nobody has told it") }
        guard now - known.at <= maximumAge || (!isStrict && known.isAwaited(maximumAge, at: now)) else {
            let rarely = known.interval.flatMap { isStrict && $0 >= maximumAge ? $0 : nil }
            return absent(
                .statStale,
                "the last value is \(now - known.at) old"
                    + (rarely.map { ", and it is read every \($0): maxAgeSeconds is too short" } ?? ""))
        }
        guard MonitoredPod.isUsable(known.value) else {
            return absent(.statUnknown, "\(known.value) is negative, too large or no number")
        }
        return .success(known.value)
    }
}
