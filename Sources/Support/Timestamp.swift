import Glibc

/// A point in time: whole microseconds since 1970-01-01T00:00:00Z.
///
/// Cores receive it as an argument and never read a clock. On the wire it is RFC 3339 text in UTC.
public struct Timestamp: Hashable, Comparable, Sendable {
    /// Microseconds since the Unix epoch.
    public var microseconds: Int64

    /// From microseconds since the Unix epoch.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// From seconds since the Unix epoch.
    public init(seconds: Int64) {
        microseconds = seconds &* 1_000_000
    }

    /// The wall clock. For shells only; a core is given the time.
    public static func now() -> Timestamp {
        var spec = timespec()
        clock_gettime(CLOCK_REALTIME, &spec)
        return Timestamp(microseconds: Int64(spec.tv_sec) * 1_000_000 + Int64(spec.tv_nsec) / 1_000)
    }

    /// Whole seconds since the Unix epoch, rounded down.
    public var seconds: Int64 {
        let (quotient, remainder) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    /// Whether it is earlier.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The time `interval` later; saturates instead of overflowing.
    public static func + (time: Timestamp, interval: Interval) -> Timestamp {
        let (sum, overflow) = time.microseconds.addingReportingOverflow(interval.microseconds)
        return Timestamp(microseconds: overflow ? (interval.microseconds < 0 ? .min : .max) : sum)
    }

    /// The time `interval` earlier; saturates instead of overflowing.
    public static func - (time: Timestamp, interval: Interval) -> Timestamp {
        let (difference, overflow) = time.microseconds.subtractingReportingOverflow(interval.microseconds)
        return Timestamp(microseconds: overflow ? (interval.microseconds < 0 ? .max : .min) : difference)
    }

    /// How long after `earlier` this is; negative if it is before.
    public static func - (later: Timestamp, earlier: Timestamp) -> Interval {
        let (difference, overflow) = later.microseconds.subtractingReportingOverflow(earlier.microseconds)
        return Interval(microseconds: overflow ? (later > earlier ? .max : .min) : difference)
    }
}

/// A length of time in whole microseconds.
public struct Interval: Hashable, Comparable, Sendable {
    /// The length in microseconds; may be negative.
    public var microseconds: Int64

    /// From microseconds.
    public init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    /// No time at all.
    public static let zero = Interval(microseconds: 0)

    /// `value` seconds; fractions below a microsecond are dropped, values out of range saturate, NaN is zero.
    public static func seconds(_ value: Double) -> Interval {
        guard value == value else { return .zero }
        let micros = value * 1_000_000
        if micros >= 9.2e18 { return Interval(microseconds: .max) }
        if micros <= -9.2e18 { return Interval(microseconds: .min) }
        return Interval(microseconds: Int64(micros))
    }

    /// `value` milliseconds.
    public static func milliseconds(_ value: Int64) -> Interval {
        Interval(microseconds: value &* 1_000)
    }

    /// `value` minutes.
    public static func minutes(_ value: Double) -> Interval {
        seconds(value * 60)
    }

    /// The length in seconds.
    public var inSeconds: Double {
        Double(microseconds) / 1_000_000
    }

    /// The same length for Swift's clocks.
    public var duration: Duration {
        .microseconds(microseconds)
    }

    /// Whether it is shorter.
    public static func < (left: Interval, right: Interval) -> Bool {
        left.microseconds < right.microseconds
    }

    /// The sum; saturates.
    public static func + (left: Interval, right: Interval) -> Interval {
        let (sum, overflow) = left.microseconds.addingReportingOverflow(right.microseconds)
        return Interval(microseconds: overflow ? (right.microseconds < 0 ? .min : .max) : sum)
    }

    /// `times` as long; saturates.
    public static func * (interval: Interval, times: Double) -> Interval {
        .seconds(interval.inSeconds * times)
    }
}

extension Interval: CustomStringConvertible {
    /// As people write it: `250ms`, `4.2s`, `3m10s`, `2h5m`.
    public var description: String {
        let negative = microseconds < 0
        let magnitude = microseconds.magnitude
        let text: String
        switch magnitude {
        case 0: text = "0s"
        case ..<1_000_000: text = "\((magnitude + 500) / 1_000)ms"
        case ..<60_000_000:
            let tenths = (magnitude + 50_000) / 100_000
            text = tenths % 10 == 0 ? "\(tenths / 10)s" : "\(tenths / 10).\(tenths % 10)s"
        case ..<3_600_000_000:
            let seconds = magnitude / 1_000_000
            text = seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds / 60)m\(seconds % 60)s"
        default:
            let minutes = magnitude / 60_000_000
            text = minutes % 60 == 0 ? "\(minutes / 60)h" : "\(minutes / 60)h\(minutes % 60)m"
        }
        return negative ? "-" + text : text
    }
}
