extension String {
    /// Where `text` stands first, byte for byte; nil: nowhere, or it is empty.
    ///
    /// What the standard library's `firstRange(of:)` and `contains` find they find by comparing characters, whose ends have
    /// to be looked for first. Where one of both is ASCII bytes tell the same, in a small part of the time.
    public func firstByteRange(of text: String) -> Range<Index>? {
        guard let first = text.utf8.first else { return nil }
        var rest = utf8[...]
        while let start = rest.firstIndex(of: first) {
            rest = rest[start...]
            if rest.starts(with: text.utf8) {
                return start..<rest.index(start, offsetBy: text.utf8.count)
            }
            rest = rest.dropFirst()
        }
        return nil
    }
}
