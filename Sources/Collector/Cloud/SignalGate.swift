import Support

/// Lets so many signals of a group through: a burst, then one in a while. Pure: the caller gives the time.
struct SignalGate: Sendable {
    /// At once.
    static let burst = 10.0
    /// Until there is room for one more.
    static let refill = Interval.seconds(6)

    private var level: [String: (left: Double, at: Timestamp)] = [:]

    /// Whether one more may pass; counts it if so.
    mutating func admits(_ group: String, at now: Timestamp) -> Bool {
        let before = level[group] ?? (Self.burst, now)
        let gained = max(now - before.at, .zero).inSeconds / Self.refill.inSeconds
        let left = min(Self.burst, before.left + gained)
        level[group] = (left >= 1 ? left - 1 : left, now)
        return left >= 1
    }
}
