/// A time zone: how far its clocks are ahead of UTC, at any instant.
///
/// Made from a file of the time zone database (TZif, RFC 8536): known changes, and a rule for all later years.
public struct TimeZoneRules: Sendable, Hashable {
    /// The zone's name, `Europe/Berlin`.
    public let name: String
    /// When the offset changes, in seconds since 1970, rising; and the offset from then on.
    private let changes: [Change]
    /// The offset before the first change.
    private let first: Int64
    /// What holds after the last change; nil: the last offset for ever.
    private let rule: YearlyRule?

    private struct Change: Sendable, Hashable {
        var at: Int64
        var offset: Int64
    }

    /// Clocks that show UTC.
    public static let utc = TimeZoneRules(name: "UTC")

    private init(name: String) {
        self.name = name
        changes = []
        first = 0
        rule = nil
    }

    /// From the content of a TZif file of version 1 or later. Nil when it is none.
    public init?(name: String, tzif bytes: [UInt8]) {
        var reader = Reader(bytes: bytes)
        guard var header = reader.header() else { return nil }
        if header.version >= 2 {
            // The first block is for readers that know 32-bit times only.
            guard reader.skip(header.size(wide: false)), let second = reader.header() else { return nil }
            header = second
        }
        let wide = header.version >= 2
        guard header.times <= 100_000, (1...256).contains(header.types),
            let times = reader.many(header.times, { wide ? $0.signed(8) : $0.signed(4) }),
            let kinds = reader.many(header.times, { $0.signed(1).map { Int($0 & 0xFF) } }),
            let offsets = reader.many(
                header.types,
                { reader in
                    let offset = reader.signed(4)
                    return reader.skip(2) ? offset : nil
                }),
            kinds.allSatisfy({ $0 < offsets.count }), zip(times, times.dropFirst()).allSatisfy({ $0 < $1 }),
            offsets.allSatisfy({ abs($0) < 172_800 })
        else { return nil }
        self.name = name
        first = offsets[0]
        changes = zip(times, kinds).map { Change(at: $0, offset: offsets[$1]) }
        guard wide, reader.skip(header.characters + header.leaps * 12 + header.standard + header.universal) else {
            rule = nil
            return
        }
        rule = YearlyRule(reader.footer())
    }

    /// Seconds that the zone's clocks are ahead of UTC at an instant (seconds since 1970).
    func offset(at instant: Int64) -> Int64 {
        guard let last = changes.last else { return rule?.offset(at: instant) ?? first }
        if instant >= last.at { return rule?.offset(at: instant) ?? last.offset }
        var (low, high) = (0, changes.count)
        while low < high {
            let middle = (low + high) / 2
            if changes[middle].at <= instant { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? first : changes[low - 1].offset
    }

    /// The instant at which the zone's clocks show a local time. Of two (clocks were set back) it is the first; of none (clocks
    /// were set forward over it) the moment of the change.
    func instant(ofLocal local: Int64) -> Int64 {
        let before = offset(at: local - 86_400)
        let after = offset(at: local + 86_400)
        let early = local - max(before, after)
        let late = local - min(before, after)
        for instant in [early, late] where instant + offset(at: instant) == local { return instant }
        var (low, high) = (early, late)
        let start = offset(at: early)
        while low + 1 < high {
            let middle = low + (high - low) / 2
            if offset(at: middle) == start { low = middle } else { high = middle }
        }
        return high
    }
}

extension TimeZoneRules {
    private struct Header {
        var version: Int
        var universal: Int
        var standard: Int
        var leaps: Int
        var times: Int
        var types: Int
        var characters: Int

        func size(wide: Bool) -> Int {
            let width = wide ? 8 : 4
            return times * (width + 1) + types * 6 + characters + leaps * (width + 4) + standard + universal
        }
    }

    private struct Reader {
        var bytes: [UInt8]
        var position = 0

        mutating func skip(_ count: Int) -> Bool {
            guard count >= 0, count <= bytes.count - position else { return false }
            position += count
            return true
        }

        mutating func signed(_ width: Int) -> Int64? {
            let start = position
            guard skip(width) else { return nil }
            var value: Int64 = Int8(bitPattern: bytes[start]) < 0 ? -1 : 0
            for byte in bytes[start..<position] { value = value << 8 | Int64(byte) }
            return value
        }

        mutating func many<Value>(_ count: Int, _ read: (inout Reader) -> Value?) -> [Value]? {
            var values: [Value] = []
            for _ in 0..<count {
                guard let value = read(&self) else { return nil }
                values.append(value)
            }
            return values
        }

        mutating func header() -> Header? {
            let start = position
            guard skip(20), Array(bytes[start..<start + 4]) == Array("TZif".utf8),
                let counts = many(6, { $0.signed(4) }), counts.allSatisfy({ (0...1_000_000).contains($0) })
            else { return nil }
            let version = bytes[start + 4] == 0 ? 1 : Int(bytes[start + 4]) - 48
            let numbers = counts.map { Int($0) }
            return Header(
                version: version, universal: numbers[0], standard: numbers[1], leaps: numbers[2], times: numbers[3],
                types: numbers[4], characters: numbers[5])
        }

        /// The rule for later years, between two line breaks.
        mutating func footer() -> String {
            guard skip(1), bytes[position - 1] == 10 else { return "" }
            return String(decoding: bytes[position...].prefix { $0 != 10 }, as: UTF8.self)
        }
    }
}
