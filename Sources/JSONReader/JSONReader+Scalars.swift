extension JSONReader {
    /// What the next value is, told from its first byte.
    public enum Kind: Hashable, Sendable {
        /// `{`
        case object
        /// `[`
        case array
        /// `"`
        case string
        /// A digit or `-`.
        case number
        /// `true` or `false`
        case bool
        /// `null`
        case null
    }

    /// What comes next; nothing is consumed but white space.
    public mutating func kind() throws(JSONError) -> Kind {
        switch try nextByte() {
        case 0x7B: return .object
        case 0x5B: return .array
        case 0x22: return .string
        case 0x2D, 0x30...0x39: return .number
        case 0x74, 0x66: return .bool
        case 0x6E: return .null
        default: throw unexpected("value expected")
        }
    }

    /// Consumes `null` if it comes next, and tells so.
    public mutating func isNull() throws(JSONError) -> Bool {
        guard try nextByte() == 0x6E else { return false }
        try literal("null")
        return true
    }

    /// Reads `true` or `false`.
    public mutating func bool() throws(JSONError) -> Bool {
        switch try nextByte() {
        case 0x74:
            try literal("true")
            return true
        case 0x66:
            try literal("false")
            return false
        default: throw unexpected("true or false expected")
        }
    }

    /// Reads a whole number. One with a fraction or an exponent, or outside 64 bits, is an error.
    public mutating func int() throws(JSONError) -> Int64 {
        let first = try nextByte()
        let start = position
        let negative = first == 0x2D
        if negative { position += 1 }
        let digits = position
        // Counted down, since the smallest number has no positive twin.
        var value: Int64 = 0
        while position < count, case let digit = byte(position) &- 0x30, digit <= 9 {
            let (product, tooBig) = value.multipliedReportingOverflow(by: 10)
            let (sum, tooBigToo) = product.subtractingReportingOverflow(Int64(digit))
            guard !tooBig, !tooBigToo else {
                throw JSONError(.badNumber, offset: start, what: "number outside 64 bits")
            }
            value = sum
            position += 1
        }
        guard position > digits else { throw unexpected("number expected") }
        if position - digits > 1, byte(digits) == 0x30 {
            throw JSONError(.badNumber, offset: start, what: "number with a leading zero")
        }
        if position < count, case let next = byte(position), next == 0x2E || next == 0x65 || next == 0x45 {
            throw JSONError(.badNumber, offset: start, what: "whole number expected")
        }
        if negative { return value }
        guard value != .min else { throw JSONError(.badNumber, offset: start, what: "number outside 64 bits") }
        return -value
    }

    /// Reads a number, correctly rounded. One too large for a double is an error.
    public mutating func double() throws(JSONError) -> Double {
        _ = try nextByte()
        let start = position
        let isExact = try number()
        if let isExact { return isExact }
        let text = String(
            decoding: UnsafeRawBufferPointer(start: base + start, count: position - start), as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw JSONError(.badNumber, offset: start, what: "number too large")
        }
        return value
    }

    /// Steps over a number, checking its grammar. Its value, if short enough to be exact without a library's help:
    /// digits below 2^53 and a power of ten that a double holds exactly.
    private mutating func number() throws(JSONError) -> Double? {
        let start = position
        let negative = byte(position) == 0x2D
        if negative { position += 1 }
        var mantissa: UInt64 = 0
        var places = 0
        var isShort = true
        let whole = position
        func take(_ reader: inout JSONReader) -> Int {
            var taken = 0
            while reader.position < reader.count, case let digit = reader.byte(reader.position) &- 0x30, digit <= 9 {
                if mantissa < 1 << 49 { mantissa = mantissa * 10 + UInt64(digit) } else { isShort = false }
                reader.position += 1
                taken += 1
            }
            return taken
        }
        let digits = take(&self)
        guard digits > 0 else { throw unexpected("number expected") }
        if digits > 1, byte(whole) == 0x30 {
            throw JSONError(.badNumber, offset: start, what: "number with a leading zero")
        }
        if position < count, byte(position) == 0x2E {
            position += 1
            places = take(&self)
            guard places > 0 else { throw unexpected("digit expected") }
        }
        if position < count, byte(position) | 0x20 == 0x65 {
            position += 1
            if position < count, byte(position) == 0x2B || byte(position) == 0x2D { position += 1 }
            let exponent = position
            while position < count, byte(position) &- 0x30 <= 9 { position += 1 }
            guard position > exponent else { throw unexpected("digit expected") }
            isShort = false
        }
        guard isShort, places < Self.powers.count, mantissa < 1 << 53 else { return nil }
        let value = Double(mantissa) / Self.powers[places]
        return negative ? -value : value
    }

    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    ]

    private mutating func literal(_ text: StaticString) throws(JSONError) {
        let length = text.utf8CodeUnitCount
        guard position + length <= count else {
            position = count
            throw truncated()
        }
        for index in 0..<length where byte(position + index) != text.utf8Start[index] {
            throw unexpected("null, true or false expected")
        }
        position += length
    }

    // MARK: Common shapes

    /// Reads an object whose values are strings, such as labels; `null` is empty. Of a repeated key the last counts.
    public mutating func strings() throws(JSONError) -> [String: String] {
        if try isNull() { return [:] }
        var result: [String: String] = [:]
        try object { (reader, key) throws(JSONError) in result[key.text] = try reader.string() }
        return result
    }

    /// Reads an array of strings; `null` is empty.
    public mutating func stringArray() throws(JSONError) -> [String] {
        if try isNull() { return [] }
        var result: [String] = []
        try array { (reader) throws(JSONError) in result.append(try reader.string()) }
        return result
    }
}
