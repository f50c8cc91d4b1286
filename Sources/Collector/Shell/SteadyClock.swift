import Glibc
import Support

/// The wall clock at the start, and from then on the time that has passed: it never jumps, so that an operator who sets
/// the clock neither stops the heartbeat nor ends the lease.
struct SteadyClock: Sendable {
    private let start = Timestamp.now()
    private let origin = SteadyClock.passed()

    var now: Timestamp { start + Interval(microseconds: SteadyClock.passed() - origin) }

    private static func passed() -> Int64 {
        var spec = timespec()
        clock_gettime(CLOCK_MONOTONIC, &spec)
        return Int64(spec.tv_sec) * 1_000_000 + Int64(spec.tv_nsec) / 1_000
    }
}
