import Support

/// Turns numbers that are read now and then into stats: what counts up (`…_total`, `…_count`, `…_sum`) becomes a rate a second,
/// which needs two readings; the others are as they are. Pure.
struct RateMeter: Sendable {
    private struct Count: Sendable {
        var value: Double
        var at: Timestamp
    }

    /// By the source (a pod's UID, a queue's id) and the name.
    private var counts: [String: [String: Count]] = [:]
    /// A rate over a longer time says nothing of now.
    private static let longest = Interval.minutes(10)
    private static let shortest = Interval.milliseconds(500)

    static func isCounter(_ name: String) -> Bool {
        name.hasSuffix("_total") || name.hasSuffix("_count") || name.hasSuffix("_sum")
    }

    /// Takes a reading in and gives back what is known now.
    mutating func take(_ numbers: [String: Double], of source: String, at now: Timestamp) -> [String: Double] {
        var values: [String: Double] = [:]
        for (name, number) in numbers {
            guard Self.isCounter(name) else {
                values[name] = number
                continue
            }
            let before = counts[source]?[name]
            if let before, now - before.at < Self.shortest { continue }
            counts[source, default: [:]][name] = Count(value: number, at: now)
            // One that fell was started anew.
            guard let before, number >= before.value, now - before.at <= Self.longest else { continue }
            let rate = (number - before.value) / (now - before.at).inSeconds
            // One that is no number would keep the whole message from being sent.
            if rate.isFinite { values[name] = rate }
        }
        return values
    }

    /// Forgets sources that are no more.
    mutating func keep(only sources: Set<String>) {
        if counts.contains(where: { !sources.contains($0.key) }) {
            counts = counts.filter { sources.contains($0.key) }
        }
    }
}
