/// A UUID made of a name (RFC 9562, version 5): the same name within the same namespace always gives the same one.
public struct UUID5: Sendable, Hashable, Comparable, CustomStringConvertible {
    private let high: UInt64
    private let low: UInt64

    /// The UUID of `name` within `namespace`.
    public init(namespace: UUID5, name: String) {
        var digest = sha1(namespace.bytes + Array(name.utf8))
        digest[6] = digest[6] & 0x0F | 0x50
        digest[8] = digest[8] & 0x3F | 0x80
        self.init(bytes: digest)
    }

    /// Any UUID written out, of whatever version: as a namespace, or as an id that is given.
    /// nil unless it has the usual form with or without dashes.
    public init?(_ text: String) {
        guard text.utf8.count == 36 || text.utf8.count == 32, let bytes = [UInt8](hex: text.replacing("-", with: "")),
            bytes.count == 16
        else { return nil }
        self.init(bytes: bytes)
    }

    /// The namespace of names of the DNS (RFC 9562 §6.6): 6ba7b810-9dad-11d1-80b4-00c04fd430c8.
    public static let dns = UUID5(high: 0x6ba7_b810_9dad_11d1, low: 0x80b4_00c0_4fd4_30c8)

    private init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    private init(bytes: [UInt8]) {
        high = bytes[..<8].reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - $0 * 8)) } }
    }

    /// Order of the bytes.
    public static func < (left: UUID5, right: UUID5) -> Bool { (left.high, left.low) < (right.high, right.low) }

    /// `8-4-4-4-12` lower-case digits.
    public var description: String {
        let digits = Array(bytes.hex.utf8)
        var text: [UInt8] = []
        text.reserveCapacity(36)
        for (index, digit) in digits.enumerated() {
            if index == 8 || index == 12 || index == 16 || index == 20 { text.append(0x2D) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }
}
