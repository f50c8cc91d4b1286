import Crypto
import Testing

@Suite("UUIDs of names")
struct UUID5Tests {
    @Test("the same as Python's uuid.uuid5")
    func known() throws {
        // uuid.uuid5(uuid.NAMESPACE_DNS, "python.org"), from Python's own documentation.
        #expect(UUID5(namespace: .dns, name: "python.org").description == "886313e1-3b8a-5372-9b90-0c9aee199e5d")
        #expect(UUID5.dns.description == "6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    }

    @Test("read and written; what is none is refused")
    func parsing() {
        let text = "b54dd5e6-776a-41f4-981e-0dd2bab87f64"
        #expect(UUID5(text)?.description == text)
        #expect(UUID5(text.replacing("-", with: ""))?.description == text)
        for wrong in [
            "", "c1:node-1", text + "0", String(repeating: "g", count: 32), String(repeating: "-", count: 36),
        ] {
            #expect(UUID5(wrong) == nil, "\(wrong)")
        }
    }
}
