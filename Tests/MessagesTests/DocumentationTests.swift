import FoundationEssentials
import Messages
import Testing

/// docs/messages.md says what the code does.
@Suite struct DocumentationTests {
    static let page: String = {
        let path = #filePath.replacing("Tests/MessagesTests/DocumentationTests.swift", with: "docs/messages.md")
        return (try? String(contentsOf: URL(filePath: path), encoding: .utf8)) ?? ""
    }()

    /// The section of one event type.
    static func section(_ type: EventType) -> Substring? {
        guard let start = page.firstRange(of: "## `\(type.rawValue)`\n") else { return nil }
        let rest = page[start.upperBound...]
        return rest.firstRange(of: "\n## ").map { rest[..<$0.lowerBound] } ?? rest
    }

    @Test(arguments: EventType.allCases) func everyEventTypeIsThereWithItsTopic(type: EventType) throws {
        let section = try #require(Self.section(type), "docs/messages.md has no section for it")
        #expect(section.contains("Topic `\(type.topic.rawValue)`."))
    }

    @Test func everyFieldOfADecisionIsThere() throws {
        let section = try #require(Self.section(.scaleDecided))
        for child in Mirror(reflecting: MessageCoderTests.decision).children {
            #expect(section.contains("| `\(child.label ?? "")` |"))
        }
    }
}
