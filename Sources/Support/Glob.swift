/// A pattern for names in which `*` stands for any text and `?` for one character: `prod-*`, `*.example.org`.
///
/// No other character means anything; case matters. Matching takes time proportional to pattern times text at most, so a
/// hostile pattern cannot hold anybody up.
public struct Glob: Sendable, Hashable, CustomStringConvertible {
    /// The pattern as written.
    public let description: String
    private let pattern: [UInt8]

    /// From the pattern.
    public init(_ pattern: String) {
        description = pattern
        self.pattern = Array(pattern.utf8)
    }

    /// Whether it has no `*` and no `?`, and so is just a name.
    public var isPlain: Bool { !pattern.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") } }

    /// Whether all of `text` fits.
    public func matches(_ text: String) -> Bool {
        let text = Array(text.utf8)
        var (at, position) = (0, 0)
        // Where the last star stands, and what of the text it has taken so far.
        var star: (pattern: Int, text: Int)?
        while position < text.count {
            if at < pattern.count, pattern[at] == UInt8(ascii: "*") {
                star = (at, position)
                at += 1
            } else if at < pattern.count, pattern[at] == UInt8(ascii: "?") {
                at += 1
                position = Glob.next(position, in: text)
            } else if at < pattern.count, pattern[at] == text[position] {
                at += 1
                position += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                (at, position) = (last.pattern + 1, last.text + 1)
            } else {
                return false
            }
        }
        return pattern[at...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Behind the character at `position`: the bytes that continue it (10xxxxxx) belong to it.
    private static func next(_ position: Int, in text: [UInt8]) -> Int {
        var next = position + 1
        while next < text.count, text[next] & 0xC0 == 0x80 { next += 1 }
        return next
    }
}
