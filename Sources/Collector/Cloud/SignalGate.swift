import Support

/// Lets so many signals through of each kind: a burst, then one in a while. Pure: the caller gives the time.
struct SignalGate: Sendable {
    /// At once.
    let burst: Double
    /// Until there is room for one more.
    let refill: Interval

    /// For the signals of a group.
    static let signals = SignalGate(burst: 10, refill: .seconds(6))
    /// For bodies with states of alarms. Alertmanager posts one for each group of its alerts, and again for each change.
    static let alarms = SignalGate(burst: 100, refill: .seconds(1))

    private init(burst: Double, refill: Interval) {
        self.burst = burst
        self.refill = refill
    }

    private var level: [String: (left: Double, at: Timestamp)] = [:]

    /// Whether one more may pass; counts it if so.
    mutating func admits(_ group: String, at now: Timestamp) -> Bool {
        let before = level[group] ?? (burst, now)
        let gained = max(now - before.at, .zero).inSeconds / refill.inSeconds
        let left = min(burst, before.left + gained)
        level[group] = (left >= 1 ? left - 1 : left, now)
        return left >= 1
    }
}
