import FoundationEssentials
import Testing

@testable import UpdraftCommand

/// docs/command.md says what the command does.
@Suite("The command's page")
struct DocumentationTests {
    private static let page: String = {
        let path = #filePath.replacing(
            "Tests/UpdraftCommandTests/DocumentationTests.swift", with: "docs/command.md")
        return (try? String(contentsOf: URL(filePath: path), encoding: .utf8)) ?? ""
    }()

    private static let sections: [(name: String, text: Substring)] = {
        let parts = page.split(separator: "\n## updraft ").dropFirst()
        return parts.map { part in
            let end = part.firstIndex(of: "\n") ?? part.endIndex
            return (String(part[..<end]), part[end...])
        }
    }()

    /// `--words` of a text.
    private static func flags(_ text: some StringProtocol) -> Set<String> {
        var found: Set<String> = []
        var rest = Substring(text)
        while let start = rest.firstRange(of: "--") {
            let name = rest[start.upperBound...].prefix { $0.isLowercase || $0 == "-" }
            if let first = name.first, first != "-" { found.insert("--\(name)") }
            rest = rest[start.upperBound...].dropFirst(name.count)
        }
        return found
    }

    @Test("Each documented command exists, and its help names the flags that the page names")
    func documented() throws {
        #expect(Self.sections.count >= 9)
        for section in Self.sections {
            let subcommand = try #require(
                UpdraftCommand.subcommands.first { $0.name == section.name }, "there is no command \(section.name)")
            var help = try #require(subcommand.help, "\(section.name) has no help")
            // Its parts have help of their own.
            if section.name == "doctor" { help += Doctor.parts.compactMap(\.help).joined() }
            let missing = Self.flags(section.text).subtracting(Self.flags(help))
            #expect(missing.isEmpty, "\(section.name) --help does not name \(missing)")
        }
    }

    @Test("Each command is documented, and so are the flags that it alone has")
    func complete() {
        let shared = Set(SuiteLink.flags.map(\.name))
        let usages = [
            ExplainCommand.usage, StatusCommand.usage, TimelineCommand.usage, CancelCommand.usage, RecordCommand.usage,
            Simulate.usage,
        ]
        for subcommand in UpdraftCommand.subcommands {
            let section = Self.sections.first { $0.name == subcommand.name }
            #expect(section != nil, "docs/command.md has no section 'updraft \(subcommand.name)'")
            guard let section, let usage = usages.first(where: { $0.name == subcommand.name }) else { continue }
            let missing = Set(usage.flags.map(\.name)).subtracting(shared).subtracting(Self.flags(section.text))
            #expect(missing.isEmpty, "the page does not name \(missing) of \(usage.name)")
        }
        #expect(shared.subtracting(Self.flags(Self.page)).isEmpty)
    }
}
