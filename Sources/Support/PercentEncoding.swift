/// Percent-encoding of texts from outside (RFC 3986 §2): one for all clients, servers and URLs.
public enum PercentEncoding {
    /// Why a text is not a percent-encoded one.
    public enum Mistake: Error, Sendable, Equatable {
        /// A `%` without two hexadecimal digits behind it.
        case brokenEscape
        /// What comes out is not UTF-8, or holds a zero byte, at which C libraries end a text.
        case notText
    }

    /// Everything but unreserved characters is encoded: fit for a query's names and values.
    public static func encode(_ text: String) -> String {
        let digits: StaticString = "0123456789ABCDEF"
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default: bytes += [0x25, digits.utf8Start[Int(byte >> 4)], digits.utf8Start[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A path segment: as `encode`, and the names `.` and `..` are encoded whole, so that no name can change the path.
    public static func segment(_ text: String) -> String {
        text == "." || text == ".." ? String(repeating: "%2E", count: text.utf8.count) : encode(text)
    }

    /// `?a=1&b=2`, or nothing for no pairs.
    public static func query(_ pairs: [(String, String)]) -> String {
        pairs.isEmpty ? "" : "?" + pairs.map { "\(encode($0.0))=\(encode($0.1))" }.joined(separator: "&")
    }

    /// The text that was encoded.
    /// - Parameter plusIsSpace: as in the query of a form.
    public static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) throws(Mistake) -> String {
        // (Of a known type: byte by byte through the protocol takes many times as long.)
        let encoded = String(text)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(encoded.utf8.count)
        var rest = encoded.utf8.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case 0x25:
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else {
                    throw .brokenEscape
                }
                bytes.append(high << 4 | low)
            case 0x2B where plusIsSpace: bytes.append(0x20)
            default: bytes.append(byte)
            }
        }
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else { throw .notText }
        return text
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x41...0x46: byte - 0x37
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
