import Glibc
import Testing

@testable import Settings

@Suite struct ReferenceTests {
    /// `UPDRAFT_WRITE=1 swift test --filter ReferenceTests` writes the page anew.
    @Test func thePageInTheDocsIsTheGeneratedOne() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let page = "/\(root)/docs/configuration.md"
        if getenv("UPDRAFT_WRITE") != nil {
            let file = try #require(fopen(page, "we"))
            fputs(Settings.reference(), file)
            fclose(file)
        }
        let file = try #require(fopen(page, "re"), "docs/configuration.md is missing")
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        let same = String(decoding: bytes[..<count], as: UTF8.self) == Settings.reference()
        #expect(same, "docs/configuration.md differs from the code: UPDRAFT_WRITE=1 swift test --filter ReferenceTests")
    }

    @Test func everyFieldHasAMeaningAndAVariable() {
        #expect(Settings.declarations.count > 80)
        for field in Settings.declarations {
            #expect(!field.doc.isEmpty, "\(field.path)")
        }
        #expect(Settings.variables["UPDRAFT_BUS_TRANSPORT_URL"] == "bus.transport_url")
        #expect(Settings.variables["UPDRAFT_BUS_TRANSPORT_URL_FILE"] == "bus.transport_url_file")
        let fields = Settings.declarations.filter { !$0.path.contains("[") }
        #expect(Settings.variables.count == fields.count, "two fields share a variable")
    }

    @Test func defaultsAreWithinTheirOwnBounds() throws {
        // Each default, written out as the reference shows it, must be taken again.
        for field in Settings.declarations where !field.isSection && !field.path.contains("[") {
            guard let fallback = field.fallback, !fallback.isEmpty, fallback != "{}", fallback != "[]" else { continue }
            let settings = try Settings.load(file: nil, flags: ["cluster=x", "\(field.path)=\(fallback)"])
            #expect(settings.cluster == "x")
        }
    }
}
