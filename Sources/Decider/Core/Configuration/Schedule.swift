import Support

/// Times that recur: a cron expression, how long each lasts, and the offset of the zone.
///
/// The core knows no time-zone database: the shell turns a zone's name into the offset that holds now and renews it.
public struct Schedule: Sendable, Equatable {
    /// The expression as written.
    public let expression: String
    /// How long each occurrence lasts.
    public let duration: Interval
    /// Added to UTC to get the local time.
    public var offset: Interval

    private let minutes: [Bool]
    private let hours: [Bool]
    private let days: [Bool]
    private let months: [Bool]
    private let weekdays: [Bool]
    private let dayIsAny: Bool
    private let weekdayIsAny: Bool

    /// Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday); `*`, lists, ranges, steps.
    /// Nil when the expression is not understood.
    public init?(_ expression: String, duration: Interval, offset: Interval = .zero) {
        let fields = expression.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count == 5, let minutes = Self.field(fields[0], 0...59), let hours = Self.field(fields[1], 0...23),
            let days = Self.field(fields[2], 1...31), let months = Self.field(fields[3], 1...12),
            var weekdays = Self.field(fields[4], 0...7)
        else { return nil }
        if weekdays[7] { weekdays[0] = true }
        self.expression = expression
        self.duration = duration
        self.offset = offset
        self.minutes = minutes
        self.hours = hours
        self.days = days
        self.months = months
        self.weekdays = weekdays
        dayIsAny = fields[2] == "*"
        weekdayIsAny = fields[4] == "*"
    }

    private static func field(_ text: Substring, _ range: ClosedRange<Int>) -> [Bool]? {
        var chosen = [Bool](repeating: false, count: range.upperBound + 1)
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count) else { return nil }
            var step = 1
            if parts.count == 2 {
                guard let value = Int(parts[1]), value > 0 else { return nil }
                step = value
            }
            var low = range.lowerBound
            var high = range.upperBound
            if parts[0] != "*" {
                let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
                guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                    range.contains(first), range.contains(last), first <= last
                else { return nil }
                low = first
                high = ends.count == 1 && parts.count == 2 ? range.upperBound : last
            }
            for value in Swift.stride(from: low, through: high, by: step) { chosen[value] = true }
        }
        return chosen
    }

    /// Whether `time` lies within an occurrence.
    public func holds(at time: Timestamp) -> Bool {
        let local = (time + offset).seconds
        let minute = local >= 0 ? local / 60 : (local - 59) / 60
        let length = Swift.max(1, Int64((duration.inSeconds / 60).rounded(.up)))
        // An occurrence may have begun up to its duration ago; longer than a month is no schedule.
        for back in 0..<Swift.min(length, 44_640) where starts(atMinute: minute - back) {
            return true
        }
        return false
    }

    private func starts(atMinute minute: Int64) -> Bool {
        let inDay = ((minute % 1_440) + 1_440) % 1_440
        guard minutes[Int(inDay % 60)], hours[Int(inDay / 60)] else { return false }
        let day = (minute - inDay) / 1_440
        let text = Timestamp(seconds: day * 86_400).rfc3339
        guard let month = Int(text.dropFirst(5).prefix(2)), let date = Int(text.dropFirst(8).prefix(2)),
            months[month]
        else { return false }
        let weekday = Int((((day + 4) % 7) + 7) % 7)
        // Cron's rule: when both are given, either suffices.
        if dayIsAny || weekdayIsAny { return days[date] && weekdays[weekday] }
        return days[date] || weekdays[weekday]
    }
}
