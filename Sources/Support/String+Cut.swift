extension StringProtocol {
    /// The beginning of the text, at most `count` bytes of UTF-8, cut between two characters of Unicode ("scalars").
    ///
    /// For bounds of protocols, which count bytes: `prefix(60)` of what others wrote may be any number of them, for one `Character`
    /// can be an emoji of 25 bytes, or a letter with a million accents.
    public func cut(utf8 count: Int) -> String {
        var length = Swift.max(0, count)
        guard utf8.count > length else { return String(self) }
        var end = utf8.index(utf8.startIndex, offsetBy: length)
        // Bytes 10xxxxxx go on with a scalar begun before: at most three of them.
        while length > 0, utf8[end] & 0xC0 == 0x80 {
            length -= 1
            end = utf8.index(utf8.startIndex, offsetBy: length)
        }
        return String(self[..<end])
    }
}
