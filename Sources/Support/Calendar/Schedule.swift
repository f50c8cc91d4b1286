/// Times that recur: a cron expression read on the clocks of a time zone, and how long each occurrence lasts.
///
/// A start that the clocks skip (they are set forward) is at the moment of the change; one that they show twice (they are set
/// back) is the first.
public struct Schedule: Sendable, Hashable {
    /// The longest that an occurrence may last.
    public static let longest = Interval.minutes(31 * 1_440)

    /// The expression as written.
    public let expression: String
    /// How long each occurrence lasts.
    public let duration: Interval
    /// On whose clocks.
    public let zone: TimeZoneRules

    private let minutes: [Bool]
    private let hours: [Bool]
    private let days: [Bool]
    private let months: [Bool]
    private let weekdays: [Bool]
    private let dayIsAny: Bool
    private let weekdayIsAny: Bool

    /// Five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday); `*`, lists, ranges, steps, and
    /// names of months and days (`jan`, `mon`). Nil when the expression is not understood, or `duration` is not positive or
    /// longer than `longest`.
    public init?(_ expression: String, duration: Interval, zone: TimeZoneRules = .utc) {
        let fields = expression.split(whereSeparator: { $0 == " " || $0 == "\t" })
        guard duration > .zero, duration <= Self.longest, fields.count == 5,
            let minutes = Self.field(fields[0], 0...59), let hours = Self.field(fields[1], 0...23),
            let days = Self.field(fields[2], 1...31),
            let months = Self.field(fields[3], 1...12, names: Self.monthNames, first: 1),
            var weekdays = Self.field(fields[4], 0...7, names: Self.weekdayNames, first: 0)
        else { return nil }
        if weekdays[7] { weekdays[0] = true }
        self.expression = expression
        self.duration = duration
        self.zone = zone
        self.minutes = minutes
        self.hours = hours
        self.days = days
        self.months = months
        self.weekdays = weekdays
        dayIsAny = fields[2].hasPrefix("*")
        weekdayIsAny = fields[4].hasPrefix("*")
    }

    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    private static func field(
        _ text: Substring, _ range: ClosedRange<Int>, names: [String] = [], first: Int = 0
    ) -> [Bool]? {
        func number(_ text: Substring) -> Int? {
            if let index = names.firstIndex(of: text.lowercased()) { return index + first }
            return text.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(text) : nil
        }
        var chosen = [Bool](repeating: false, count: range.upperBound + 1)
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", omittingEmptySubsequences: false)
            guard (1...2).contains(parts.count) else { return nil }
            var step = 1
            if parts.count == 2 {
                guard let value = Int(parts[1]), (1...1_000).contains(value) else { return nil }
                step = value
            }
            var low = range.lowerBound
            var high = range.upperBound
            if parts[0] != "*" {
                let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false).map(number)
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
        guard let start = lastStart(at: time) else { return false }
        return time < start + duration
    }

    /// The end of the occurrence that `time` lies in; nil when it lies in none.
    public func end(at time: Timestamp) -> Timestamp? {
        guard let start = lastStart(at: time), time < start + duration else { return nil }
        return start + duration
    }

    /// The last start at or before `time`, looked for as far back as an occurrence lasts.
    private func lastStart(at time: Timestamp) -> Timestamp? {
        let now = CivilDate.floor(time.microseconds, 1_000_000)
        let today = CivilDate.floor(now + zone.offset(at: now), 86_400)
        let span = duration.microseconds / 86_400_000_000 + 2
        for day in stride(from: today, through: today - span, by: -1) where matches(day: day) {
            for hour in stride(from: 23, through: 0, by: -1) where hours[hour] {
                for minute in stride(from: 59, through: 0, by: -1) where minutes[minute] {
                    let start = zone.instant(ofLocal: day * 86_400 + Int64(hour * 3_600 + minute * 60))
                    if start <= now { return Timestamp(seconds: start) }
                }
            }
        }
        return nil
    }

    private func matches(day: Int64) -> Bool {
        let date = CivilDate.parts(day)
        guard months[Int(date.month)] else { return false }
        let (isDay, isWeekday) = (days[Int(date.day)], weekdays[Int(CivilDate.weekday(day))])
        // Cron's rule: when both are given, either suffices.
        return dayIsAny || weekdayIsAny ? isDay && isWeekday : isDay || isWeekday
    }
}
