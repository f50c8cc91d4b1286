/// Exponential backoff with jitter, as a value: the caller owns the state and gives the randomness.
public struct Backoff: Sendable, Equatable {
    /// The first delay.
    public let first: Interval
    /// The largest delay.
    public let cap: Interval
    /// Failures seen since the last success.
    public private(set) var failures = 0

    /// Delays of `first`, 2×`first`, 4×… up to `cap`.
    public init(first: Interval = .milliseconds(100), cap: Interval = .seconds(30)) {
        self.first = first
        self.cap = cap
    }

    /// One more failure: how long to wait now. `jitter` in 0…1 picks a point between half and the whole delay
    /// ("equal jitter", so that clients do not come back in step and none comes back at once).
    public mutating func failed(jitter: Double) -> Interval {
        let exponent = min(failures, 40)
        failures += 1
        let whole = min(first * Double(UInt64(1) << UInt64(exponent)), cap)
        return whole * (0.5 + 0.5 * min(max(jitter, 0), 1))
    }

    /// It worked: the next failure starts from `first` again.
    public mutating func succeeded() {
        failures = 0
    }
}
