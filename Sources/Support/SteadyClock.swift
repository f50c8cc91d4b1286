import Glibc

/// The wall clock at the start, and from then on the time that has passed: it never jumps, so that an operator who sets
/// the clock neither stops a heartbeat nor lengthens a lease. Time in which the machine was suspended, or the process was
/// stopped, counts.
public struct SteadyClock: Sendable {
    private let start = Timestamp.now()
    private let origin = SteadyClock.passed()

    /// A clock that agrees with the wall clock now.
    public init() {}

    /// The time. Two clocks are not comparable to the microsecond: use one for one purpose.
    public var now: Timestamp { start + Interval(microseconds: SteadyClock.passed() - origin) }

    private static func passed() -> Int64 {
        var spec = timespec()
        clock_gettime(CLOCK_BOOTTIME, &spec)
        return Int64(spec.tv_sec) * 1_000_000 + Int64(spec.tv_nsec) / 1_000
    }
}
