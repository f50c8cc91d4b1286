import Support
import Testing

@Suite("Patterns for names") struct GlobTests {
    @Test(
        "what fits",
        arguments: [
            ("prod", "prod"), ("*", ""), ("*", "anything"), ("prod-*", "prod-"), ("prod-*", "prod-eu-1"),
            ("*.example.org", "a.b.example.org"), ("a*b*c", "aXbYbZc"), ("?", "é"), ("a?c", "abc"), ("**", "x"),
            ("", ""), ("a.c", "a.c"), ("[a]", "[a]"),
        ])
    func fits(pattern: String, text: String) {
        #expect(Glob(pattern).matches(text))
    }

    @Test(
        "what does not",
        arguments: [
            ("prod", "prod2"), ("prod", "Prod"), ("prod-*", "prod"), ("*.example.org", "example.org"), ("?", ""),
            ("a*b", "aXc"), ("", "x"), ("a.c", "abc"), ("a?", "a"),
        ])
    func fitsNot(pattern: String, text: String) {
        #expect(!Glob(pattern).matches(text))
    }

    @Test("a hostile pattern takes no time that grows beyond bounds") func hostile() {
        let pattern = Glob(String(repeating: "a*", count: 100) + "b")
        let start = ContinuousClock.now
        #expect(!pattern.matches(String(repeating: "a", count: 10_000)))
        #expect(ContinuousClock.now - start < .seconds(10))
    }

    @Test("plain names") func plain() {
        #expect(Glob("a.b").isPlain)
        #expect(!Glob("a*").isPlain && !Glob("a?").isPlain)
    }
}
