import Support
import Testing

@Suite struct ByteSearchTests {
    @Test(arguments: [
        ("abcabc", "ca"), ("aab", "ab"), ("", "a"), ("a", ""), ("abc", "abcd"), ("abc", "abc"), ("http://h/", "://"),
        ("é://", "://"), ("::/://", "://"), ("aaa", "b"),
    ])
    func `Where the standard library finds it`(text: String, part: String) {
        let expected = part.isEmpty ? nil : text.firstRange(of: part)
        #expect(text.firstByteRange(of: part) == expected)
    }
}
