import FoundationEssentials
import Glibc
import Messages
import Support
import Testing

/// docs/messages.md says what the code does. `UPDRAFT_WRITE=1 swift test --filter MessagesTests.DocumentationTests` writes
/// its tables anew, from the declarations and their comments.
@Suite(.serialized) struct DocumentationTests {
    static let path = #filePath.replacing("Tests/MessagesTests/DocumentationTests.swift", with: "docs/messages.md")
    static let folder = #filePath.replacing("Tests/MessagesTests/DocumentationTests.swift", with: "Sources/Messages")

    private static func page() throws -> String { try String(contentsOf: URL(filePath: path), encoding: .utf8) }

    /// Where the section of a heading stands, without the heading.
    private static func section(_ heading: String, in page: String) -> Range<String.Index>? {
        guard let start = page.firstRange(of: "\n## \(heading)\n") else { return nil }
        let end = page[start.upperBound...].firstRange(of: "\n## ")?.lowerBound ?? page.endIndex
        return start.upperBound..<end
    }

    /// The first table of a text.
    private static func table(in text: Substring) -> Range<String.Index>? {
        guard let start = text.firstRange(of: "\n|")?.lowerBound else { return nil }
        var end = text.index(after: start)
        while end < text.endIndex, text[end] == "|" {
            guard let next = text[end...].firstIndex(of: "\n") else { return text.index(after: start)..<text.endIndex }
            end = text.index(after: next)
        }
        return text.index(after: start)..<end
    }

    private static func same(_ found: Substring, _ expected: String, _ what: String) {
        let missing = Set(expected.split(separator: "\n")).subtracting(found.split(separator: "\n")).sorted()
        #expect(
            found == expected,
            """
            docs/messages.md differs from the code in \(what): UPDRAFT_WRITE=1 swift test --filter \
            MessagesTests.DocumentationTests. Missing: \(missing.prefix(5))
            """)
    }

    @Test(arguments: EventType.allCases) func everyMessageIsThereWithItsTopicAndItsFields(type: EventType) throws {
        var page = try Self.page()
        let sources = try MessageSources(folder: Self.folder)
        let payload = try #require(sources.payload(of: "\(type)"), "no payload is declared for it")
        let section = try #require(
            Self.section("`\(type.rawValue)`", in: page), "docs/messages.md has no section for \(type.rawValue)")
        #expect(page[section].contains("Topic `\(type.topic.rawValue)`."))
        let table = try #require(Self.table(in: page[section]), "the section has no table")
        if getenv("UPDRAFT_WRITE") != nil {
            page.replaceSubrange(table, with: sources.table(payload))
            try page.write(toFile: Self.path, atomically: true, encoding: .utf8)
            return
        }
        Self.same(page[table], sources.table(payload), type.rawValue)
    }

    @Test func everyTypeInsideOfMessagesIsThere() throws {
        var page = try Self.page()
        let sources = try MessageSources(folder: Self.folder)
        let parts = sources.parts()
        #expect(parts.count > 25 && parts.contains("Explanation") && parts.contains("GroupState.Member"), "\(parts)")
        let text = parts.map { name in
            "\n### `\(name)`\n\n\(sources.types[name]?.comment ?? "")\n\n\(sources.table(name))"
        }.joined()
        let section = try #require(Self.section("Types", in: page))
        let start = page[section].firstRange(of: "\n### ")?.lowerBound ?? section.upperBound
        if getenv("UPDRAFT_WRITE") != nil {
            page.replaceSubrange(start..<section.upperBound, with: text)
            try page.write(toFile: Self.path, atomically: true, encoding: .utf8)
            return
        }
        Self.same(page[start..<section.upperBound], text, "its types")
    }

    @Test func theFieldsInTheCodeAreThoseOnTheBus() throws {
        // What is read of the sources is what is encoded: of a decision, and of a pod with its short keys.
        let sources = try MessageSources(folder: Self.folder)
        let decision = try MessageCoder.encode(
            MessageCoderTests.decision, messageID: "m", publisherID: "p", priority: .info, timestamp: .now())
        for field in try #require(sources.types["ScaleDecided"]).fields {
            #expect(decision.text.contains("\"\(field.key)\":"), "\(field.key)")
        }
        let pod = Pod(
            uid: "u", name: "n", shape: 1, node: "node", nominatedNode: "other", phase: .running,
            scheduling: .scheduled, ready: true, unschedulableSince: .now(), deletedAt: .now(), claims: ["c"])
        let text = String(decoding: try JSONEncoder().encode(pod), as: UTF8.self)
        let table = sources.table("Pod")
        for key in ["uid", "nominated", "sched", "created", "unschedulable", "deleted", "claims"] {
            #expect(text.contains("\"\(key)\":") && table.contains("| `\(key)` |"), "\(key)")
        }
    }

    /// The example is one that a reader can send.
    @Test func theExampleIsRead() throws {
        let page = try Self.page()
        let section = try #require(Self.section("An example", in: page))
        let body = page[section].split(separator: "\n").filter { $0.hasPrefix("    ") }.map { $0.dropFirst(4) }.joined()
        let received = try MessageCoder.open(Array(body.utf8))
        let event = try Event(received)
        guard case .scaleDecided(let decision) = event else {
            Issue.record("it is \(event)")
            return
        }
        #expect(decision.to == decision.from + 1)
        #expect(decision.reason.reason == .podsPending)
    }
}
