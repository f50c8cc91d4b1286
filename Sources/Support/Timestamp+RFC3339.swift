extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with microseconds: `2026-11-23T21:02:49.141060Z`.
    public var description: String { rfc3339 }

    /// RFC 3339 in UTC with microseconds: `2026-11-23T21:02:49.141060Z`. Years outside 0…9999 are clamped.
    public var rfc3339: String {
        format(separator: UInt8(ascii: "T"), suffix: UInt8(ascii: "Z"))
    }

    /// As oslo writes it, UTC without a zone: `2026-11-23 21:02:49.141060`.
    public var oslo: String {
        format(separator: UInt8(ascii: " "), suffix: nil)
    }

    private func format(separator: UInt8, suffix: UInt8?) -> String {
        let clamped = min(max(microseconds, -62_167_219_200_000_000), 253_402_300_799_999_999)
        var seconds = clamped / 1_000_000
        var micros = clamped % 1_000_000
        if micros < 0 {
            micros += 1_000_000
            seconds -= 1
        }
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        let (year, month, day) = Self.civil(fromDays: days)
        // "2026-11-23T21:02:49.141060Z". Every message carries several.
        return String(unsafeUninitializedCapacity: 27) { text in
            var end = 0
            func put(_ byte: UInt8) {
                text[end] = byte
                end += 1
            }
            func digits(_ value: Int64, _ width: Int) {
                var rest = value
                for index in (end..<end + width).reversed() {
                    text[index] = UInt8(ascii: "0") + UInt8(rest % 10)
                    rest /= 10
                }
                end += width
            }
            digits(year, 4)
            put(UInt8(ascii: "-"))
            digits(month, 2)
            put(UInt8(ascii: "-"))
            digits(day, 2)
            put(separator)
            digits(rest / 3_600, 2)
            put(UInt8(ascii: ":"))
            digits(rest / 60 % 60, 2)
            put(UInt8(ascii: ":"))
            digits(rest % 60, 2)
            put(UInt8(ascii: "."))
            digits(micros, 6)
            if let suffix { put(suffix) }
            return end
        }
    }

    /// Parses RFC 3339 (`2026-11-23T21:02:49Z`, fractions, `+01:00` offsets) and oslo's form with a space and no zone
    /// (taken as UTC). Nil for anything else. A leap second counts as the second after it.
    public init?(_ text: String) {
        var bytes = Array(text.utf8)[...]
        func number(_ width: Int) -> Int64? {
            guard bytes.count >= width else { return nil }
            var value: Int64 = 0
            for _ in 0..<width {
                guard let byte = bytes.popFirst(), byte >= 48, byte <= 57 else { return nil }
                value = value * 10 + Int64(byte - 48)
            }
            return value
        }
        func take(_ allowed: StaticString) -> UInt8? {
            guard let byte = bytes.first else { return nil }
            let found = allowed.withUTF8Buffer { $0.contains(byte) }
            if found { bytes.removeFirst() }
            return found ? byte : nil
        }
        guard let year = number(4), take("-") != nil, let month = number(2), take("-") != nil, let day = number(2),
            take("Tt ") != nil, let hour = number(2), take(":") != nil, let minute = number(2), take(":") != nil,
            let second = number(2), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
            second <= 60
        else { return nil }
        var micros: Int64 = 0
        if take(".") != nil {
            var scale: Int64 = 100_000
            var seen = false
            while let byte = bytes.first, byte >= 48, byte <= 57 {
                micros += Int64(byte - 48) * scale
                scale /= 10
                seen = true
                bytes.removeFirst()
            }
            guard seen else { return nil }
        }
        var offset: Int64 = 0
        if let sign = take("+-") {
            guard let hours = number(2), take(":") != nil, let minutes = number(2), hours < 24, minutes < 60 else {
                return nil
            }
            offset = (hours * 3_600 + minutes * 60) * (sign == 43 ? 1 : -1)
        } else {
            _ = take("Zz")
        }
        guard bytes.isEmpty else { return nil }
        let seconds = Self.days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset
        self.init(microseconds: seconds * 1_000_000 + micros)
    }

    /// Days since 1970-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant's algorithm).
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    private static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

extension Timestamp: Codable {
    /// Decodes RFC 3339 text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let time = Timestamp(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an RFC 3339 time")
        }
        self = time
    }

    /// Encodes as RFC 3339 text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rfc3339)
    }
}

extension Interval: Codable {
    /// Decodes a number of seconds.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let value = try container.decode(Double.self)
        guard value.isFinite else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a finite number of seconds")
        }
        self = .seconds(value)
    }

    /// Encodes as a number of seconds.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(inSeconds)
    }
}
