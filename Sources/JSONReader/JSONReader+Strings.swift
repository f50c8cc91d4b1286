extension JSONReader {
    /// Reads a string: UTF-8 checked, escapes resolved.
    public mutating func string() throws(JSONError) -> String {
        let found = try takeString()
        let raw = UnsafeRawBufferPointer(start: base + found.start, count: found.end - found.start)
        if found.isASCII, !found.isEscaped {
            // Nothing to check, and the standard library's checking initializer is slow.
            return String(decoding: raw, as: UTF8.self)
        }
        let text =
            found.isEscaped
            ? String(validating: try Self.unescape(raw, offset: found.start), as: UTF8.self)
            : String(validating: raw, as: UTF8.self)
        guard let text else { throw JSONError(.badString, offset: found.start, what: "string is no UTF-8") }
        return text
    }

    /// Reads a string, or nil for `null`.
    public mutating func stringOrNull() throws(JSONError) -> String? {
        try isNull() ? nil : try string()
    }

    /// Reads a string as one of a set of words, to be matched by `switch` without making a `String`. Like a key it
    /// points into the document and does not match when written with escapes.
    @inlinable
    public mutating func word() throws(JSONError) -> JSONKey {
        guard try nextByte() == 0x22 else { throw unexpected("string expected") }
        let start = position + 1
        let end = try endOfString(from: start)
        position = end + 1
        return JSONKey(start: base + start, count: end - start)
    }

    /// Where the inside of a string stands, and what is known about it.
    private struct FoundString {
        var start: Int
        var end: Int
        var isEscaped = false
        /// True: certainly. False: perhaps not.
        var isASCII = true
    }

    /// Steps over a string. Unlike `endOfString` refuses control bytes and looks what is in it.
    private mutating func takeString() throws(JSONError) -> FoundString {
        guard try nextByte() == 0x22 else { throw unexpected("string expected") }
        var found = FoundString(start: position + 1, end: position + 1)
        var index = found.start
        var seen: UInt64 = 0
        while true {
            while index &+ 8 <= count {
                let bytes = word(index)
                let controls = (bytes &- 0x2020_2020_2020_2020) & ~bytes & 0x8080_8080_8080_8080
                let marks =
                    controls | Self.zeros(bytes ^ 0x2222_2222_2222_2222) | Self.zeros(bytes ^ 0x5C5C_5C5C_5C5C_5C5C)
                if marks != 0 {
                    let before = marks.trailingZeroBitCount &>> 3
                    // Only what stands before the mark: what follows the string does not matter.
                    seen |= before == 0 ? 0 : bytes &<< UInt64(64 &- before &* 8)
                    index &+= before
                    break
                }
                seen |= bytes
                index &+= 8
            }
            guard index < count else { throw truncated() }
            switch byte(index) {
            case 0x22:
                found.end = index
                found.isASCII = seen & 0x8080_8080_8080_8080 == 0
                position = index + 1
                return found
            case 0x5C:
                found.isEscaped = true
                index &+= 2
            case ..<0x20: throw JSONError(.badString, offset: index, what: "control byte inside a string")
            case let other:
                seen |= UInt64(other)
                index &+= 1
            }
        }
    }

    /// Resolves the escapes of the inside of a string that starts at `offset` of the document.
    static func unescape(_ raw: UnsafeRawBufferPointer, offset: Int) throws(JSONError) -> [UInt8] {
        var plain: [UInt8] = []
        plain.reserveCapacity(raw.count)
        var index = 0
        while index < raw.count {
            let byte = raw[index]
            guard byte == 0x5C else {
                plain.append(byte)
                index += 1
                continue
            }
            let at = offset + index
            guard index + 1 < raw.count else { throw JSONError(.badString, offset: at, what: "escape cut off") }
            index += 2
            switch raw[index - 1] {
            case 0x22: plain.append(0x22)
            case 0x5C: plain.append(0x5C)
            case 0x2F: plain.append(0x2F)
            case 0x62: plain.append(0x08)
            case 0x66: plain.append(0x0C)
            case 0x6E: plain.append(0x0A)
            case 0x72: plain.append(0x0D)
            case 0x74: plain.append(0x09)
            case 0x75:
                let scalar = try unicodeEscape(raw, &index, at: at)
                plain.append(contentsOf: UTF8.encode(scalar).unsafelyUnwrapped)
            default: throw JSONError(.badString, offset: at, what: "unknown escape")
            }
        }
        return plain
    }

    /// The scalar of `\uHHHH` or of a surrogate pair of two of them; `index` stands behind the first `\u`.
    private static func unicodeEscape(
        _ raw: UnsafeRawBufferPointer, _ index: inout Int, at offset: Int
    ) throws(JSONError) -> Unicode.Scalar {
        let first = try hexadecimal(raw, &index, at: offset)
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, index + 1 < raw.count, raw[index] == 0x5C, raw[index + 1] == 0x75 else {
            throw JSONError(.badString, offset: offset, what: "half a surrogate pair")
        }
        index += 2
        let second = try hexadecimal(raw, &index, at: offset)
        guard (0xDC00...0xDFFF).contains(second),
            let scalar = Unicode.Scalar(0x1_0000 + (first - 0xD800) << 10 + (second - 0xDC00))
        else { throw JSONError(.badString, offset: offset, what: "half a surrogate pair") }
        return scalar
    }

    private static func hexadecimal(
        _ raw: UnsafeRawBufferPointer, _ index: inout Int, at offset: Int
    ) throws(JSONError) -> UInt32 {
        guard index + 4 <= raw.count else { throw JSONError(.badString, offset: offset, what: "escape cut off") }
        var value: UInt32 = 0
        for byte in raw[index..<index + 4] {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x37
            case 0x61...0x66: digit = byte - 0x57
            default: throw JSONError(.badString, offset: offset, what: "bad \\u escape")
            }
            value = value << 4 | UInt32(digit)
        }
        index += 4
        return value
    }
}
