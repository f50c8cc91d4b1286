import Support

/// Writes one log entry as a line of JSON. By hand: an entry is flat, and a line must never fail to be written.
struct LogLine {
    /// Longer texts are cut: a log is no place for a message's body.
    static let maximumText = 2_000

    private(set) var bytes: [UInt8] = [UInt8(ascii: "{")]

    mutating func add(_ key: LogKey, _ value: LogValue) {
        add(key.rawValue, value)
    }

    private mutating func add(_ key: String, _ value: LogValue) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        append(string: key)
        bytes.append(UInt8(ascii: ":"))
        switch value {
        case .string(let text): append(string: text)
        case .int(let number): bytes += Array(String(number).utf8)
        case .double(let number):
            // JSON has no infinity.
            if number.isFinite { bytes += Array(String(number).utf8) } else { append(string: String(number)) }
        case .bool(let flag): bytes += Array((flag ? "true" : "false").utf8)
        case .strings(let texts):
            bytes.append(UInt8(ascii: "["))
            for (index, text) in texts.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(string: text)
            }
            bytes.append(UInt8(ascii: "]"))
        }
    }

    /// The finished line with its end.
    mutating func finish() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(10)
        return bytes
    }

    private mutating func append(string text: String) {
        JSONText.append(text, to: &bytes, limit: Self.maximumText)
    }
}

/// JSON strings, for the few places of this module that write JSON: entries of the log and health pages.
enum JSONText {
    static func append(_ text: String, to bytes: inout [UInt8], limit: Int = .max) {
        bytes.append(UInt8(ascii: "\""))
        var written = 0
        for byte in text.utf8 {
            // Cut between characters: a continuation byte is never the first to be dropped.
            if written >= limit, byte & 0xC0 != 0x80 {
                bytes += Array("…".utf8)
                break
            }
            written += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 10: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0..<32:
                bytes += Array("\\u00".utf8)
                bytes.append(hex(byte >> 4))
                bytes.append(hex(byte & 15))
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func hex(_ digit: UInt8) -> UInt8 {
        digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
}
