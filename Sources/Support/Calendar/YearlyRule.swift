/// When clocks are set forward and back in every year: the POSIX form `CET-1CEST,M3.5.0,M10.5.0/3` (RFC 8536 §3.3).
struct YearlyRule: Sendable, Hashable {
    private enum Day: Sendable, Hashable {
        /// `Mm.w.d`: the week'th weekday of a month; week 5 is the last.
        case weekday(month: Int64, week: Int64, weekday: Int64)
        /// `Jn`: 1…365, 29 February is never counted.
        case julian(Int64)
        /// `n`: 0…365.
        case ordinal(Int64)
    }

    private struct Moment: Sendable, Hashable {
        var day: Day
        /// Seconds after local midnight; may be negative.
        var time: Int64 = 7_200
    }

    private struct Summer: Sendable, Hashable {
        var offset: Int64
        var start: Moment
        var end: Moment
    }

    private let standard: Int64
    private let summer: Summer?

    /// Nil when the text is no rule.
    init?(_ text: String) {
        var rest = Substring(text)
        guard Self.name(&rest), let west = Self.time(&rest) else { return nil }
        standard = -west
        guard !rest.isEmpty else {
            summer = nil
            return
        }
        guard Self.name(&rest) else { return nil }
        var offset = standard + 3_600
        if rest.first != "," {
            guard let west = Self.time(&rest) else { return nil }
            offset = -west
        }
        guard let start = Self.moment(&rest), let end = Self.moment(&rest), rest.isEmpty else { return nil }
        summer = Summer(offset: offset, start: start, end: end)
    }

    /// Seconds ahead of UTC at an instant.
    func offset(at instant: Int64) -> Int64 {
        guard let summer else { return standard }
        let year = CivilDate.parts(CivilDate.floor(instant + standard, 86_400)).year
        let start = Self.seconds(summer.start, year) - standard
        let end = Self.seconds(summer.end, year) - summer.offset
        let isSummer = start < end ? instant >= start && instant < end : instant >= start || instant < end
        return isSummer ? summer.offset : standard
    }

    private static func seconds(_ moment: Moment, _ year: Int64) -> Int64 {
        let newYear = CivilDate.day(year: year, month: 1, day: 1)
        let day: Int64
        switch moment.day {
        case .ordinal(let number): day = newYear + number
        case .julian(let number): day = newYear + number - 1 + (CivilDate.isLeap(year) && number >= 60 ? 1 : 0)
        case .weekday(let month, let week, let weekday):
            let first = CivilDate.day(year: year, month: month, day: 1)
            let offset = (weekday - CivilDate.weekday(first) + 7) % 7
            var date = 1 + offset + (week - 1) * 7
            while date > CivilDate.length(year: year, month: month) { date -= 7 }
            day = first + date - 1
        }
        return day * 86_400 + moment.time
    }

    // MARK: Reading

    private static func name(_ rest: inout Substring) -> Bool {
        if rest.first == "<" {
            guard let end = rest.firstIndex(of: ">") else { return false }
            rest = rest[rest.index(after: end)...]
            return true
        }
        let letters = rest.prefix { $0.isLetter }
        rest = rest.dropFirst(letters.count)
        return letters.count >= 3
    }

    private static func number(_ rest: inout Substring, _ range: ClosedRange<Int64>) -> Int64? {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        guard let value = Int64(digits), range.contains(value) else { return nil }
        rest = rest.dropFirst(digits.count)
        return value
    }

    private static func take(_ character: Character, _ rest: inout Substring) -> Bool {
        guard rest.first == character else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// `[+-]h[:m[:s]]`
    private static func time(_ rest: inout Substring) -> Int64? {
        let isNegative = take("-", &rest)
        if !isNegative { _ = take("+", &rest) }
        guard var seconds = number(&rest, 0...167).map({ $0 * 3_600 }) else { return nil }
        for unit in [60, 1] as [Int64] where take(":", &rest) {
            guard let value = number(&rest, 0...59) else { return nil }
            seconds += value * unit
        }
        return isNegative ? -seconds : seconds
    }

    private static func moment(_ rest: inout Substring) -> Moment? {
        guard take(",", &rest) else { return nil }
        var moment: Moment
        if take("M", &rest) {
            guard let month = number(&rest, 1...12), take(".", &rest), let week = number(&rest, 1...5),
                take(".", &rest), let weekday = number(&rest, 0...6)
            else { return nil }
            moment = Moment(day: .weekday(month: month, week: week, weekday: weekday))
        } else if take("J", &rest) {
            guard let day = number(&rest, 1...365) else { return nil }
            moment = Moment(day: .julian(day))
        } else {
            guard let day = number(&rest, 0...365) else { return nil }
            moment = Moment(day: .ordinal(day))
        }
        if take("/", &rest) {
            guard let time = time(&rest) else { return nil }
            moment.time = time
        }
        return moment
    }
}
