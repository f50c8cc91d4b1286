import Support
import Testing

@Suite struct CutTests {
    @Test(arguments: [
        ("", 3, ""), ("abc", 3, "abc"), ("abcd", 3, "abc"), ("abc", 0, ""), ("abc", -1, ""),
        ("aé", 2, "a"), ("aé", 3, "aé"), ("€€", 5, "€"), ("a😀", 4, "a"), ("a😀b", 5, "a😀"), ("😀", 3, ""),
    ])
    func `Cut between scalars, never beyond the bytes`(text: String, count: Int, expected: String) {
        #expect(text.cut(utf8: count) == expected)
        #expect("x\(text)".dropFirst().cut(utf8: count) == expected)
    }

    @Test func `One character may be any number of bytes`() {
        let family = String(repeating: "👩‍👩‍👧‍👦", count: 60)
        #expect(family.prefix(60).utf8.count == 1_500)
        for count in 0..<60 {
            let cut = family.cut(utf8: count)
            #expect(cut.utf8.count <= count && cut.utf8.count > count - 4)
            #expect(family.unicodeScalars.starts(with: cut.unicodeScalars))
        }
        let accents = "e" + String(repeating: "\u{301}", count: 100_000)
        #expect(accents.prefix(1).utf8.count == 200_001)
        #expect(accents.cut(utf8: 100).utf8.count == 99)
    }
}
