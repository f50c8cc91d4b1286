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
    /// Values that are kept at most; the oldest go first.
    private static let maximum = 10_000

    /// Takes values in; an older one of the same stat is left out.
    mutating func take(_ stats: ExternalStats, at now: Timestamp) {
        for sample in stats.samples {
            let key = Key(stat: sample.stat, namespace: sample.namespace ?? "")
            let at = min(sample.at, now)
            if let known = values[key], known.at > at { continue }
            values[key] = (sample.value, at)
        }
        guard values.count > Self.maximum else { return }
        let kept = values.sorted { $0.value.at > $1.value.at }.prefix(Self.maximum / 2)
        values = Dictionary(kept.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// A value that can be used, or why not.
    func value(
        _ stat: String, namespace: String, maximumAge: Interval, at now: Timestamp
    ) -> Result<Double, ScalerScene.Absence> {
        guard let known = values[Key(stat: stat, namespace: namespace)] ?? values[Key(stat: stat, namespace: "")]
        else { return .failure(.init(why: Explanation(.statUnknown, "nobody has told it"))) }
        guard now - known.at <= maximumAge else {
            return .failure(.init(why: Explanation(.statStale, "the last value is \(now - known.at) old")))
        }
        guard known.value.isFinite, known.value >= 0 else {
            return .failure(.init(why: Explanation(.statUnknown, "\(known.value) is negative or no number")))
        }
        return .success(known.value)
    }
}
