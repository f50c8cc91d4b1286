import Support
import Testing

@Suite("Percent-encoding")
struct PercentEncodingTests {
    @Test("what is encoded comes back", arguments: ["", "a", "a b", "é/ü", "100%", "?x=1&y=2#z", "..", "a+b", "~-_."])
    func roundTrip(text: String) throws {
        #expect(try PercentEncoding.decode(PercentEncoding.encode(text)) == text)
        #expect(try PercentEncoding.decode(PercentEncoding.segment(text)) == text)
        #expect(try PercentEncoding.decode(PercentEncoding.encode(text), plusIsSpace: true) == text)
    }

    @Test("no name can change a path or a query")
    func encoding() {
        #expect(PercentEncoding.encode("a/b ?é") == "a%2Fb%20%3F%C3%A9")
        #expect(PercentEncoding.segment(".") == "%2E")
        #expect(PercentEncoding.segment("..") == "%2E%2E")
        #expect(PercentEncoding.segment("...") == "...")
        #expect(PercentEncoding.query([]) == "")
        #expect(PercentEncoding.query([("a", "1&b=2"), ("c d", "")]) == "?a=1%26b%3D2&c%20d=")
    }

    @Test(
        "an escape that is none is refused, and so is what is no text",
        arguments: [
            ("%", PercentEncoding.Mistake.brokenEscape), ("%4", .brokenEscape), ("%4g", .brokenEscape),
            ("%+f", .brokenEscape), ("a%%41", .brokenEscape), ("%00", .notText), ("%ff", .notText),
            ("%C3", .notText),
        ])
    func mistakes(text: String, mistake: PercentEncoding.Mistake) {
        #expect(throws: mistake) { try PercentEncoding.decode(text) }
    }

    @Test("a plus is a space only in the query of a form")
    func plus() throws {
        #expect(try PercentEncoding.decode("a+b%2B") == "a+b+")
        #expect(try PercentEncoding.decode("a+b%2B", plusIsSpace: true) == "a b+")
    }
}
