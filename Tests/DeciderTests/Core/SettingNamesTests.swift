import Testing

@testable import Decider

/// What a person is told of a limit names the setting; a name that does not exist sends him looking in vain.
@Suite("Settings named in explanations")
struct SettingNamesTests {
    private static let root = String(#filePath.dropLast("Tests/DeciderTests/Core/SettingNamesTests.swift".count))

    /// Sections and fields of the reference, as `section` and `section.field`.
    private static func documented() -> Set<String> {
        var names: Set<String> = []
        var section = ""
        let text = String(decoding: ScenarioTests.bytes(root + "docs/configuration.md"), as: UTF8.self)
        for line in text.split(separator: "\n") {
            if let title = line.firstMatch(of: /^#+ `([a-z_.\[\]<>]+)`/) {
                section = String(title.1).replacing("[]", with: "")
                names.insert(section)
            } else if let field = line.firstMatch(of: /^\| `([a-z_]+)` \|/) {
                names.insert(section.isEmpty ? String(field.1) : "\(section).\(field.1)")
            }
        }
        return names
    }

    @Test("Each of them stands in the reference")
    func exist() throws {
        let documented = Self.documented()
        try #require(documented.contains("decider.max_nodes_per_decision"), "the reference is read in vain")
        var named: [String: String] = [:]
        for file in [
            "ScaleUp/Engine+Growth", "ScaleUp/ScaleUpPlanner", "ScaleUp/ScaleUpPlanner+Retries",
            "ScaleUp/Engine+ScaleUp",
            "ScaleDown/RemovalSelection", "ScaleDown/Engine+ScaleDown", "ScaleDown/Eligibility",
            "ScaleDown/Consolidation",
            "Groups/GroupStanding", "Groups/GroupRuntime", "Engine+Evaluate", "Engine+Repairs",
        ] {
            let text = String(
                decoding: ScenarioTests.bytes("\(Self.root)Sources/Decider/Core/\(file).swift"), as: UTF8.self)
            try #require(!text.isEmpty, "\(file) is not there")
            for line in text.split(separator: "\n") where line.contains("\"") {
                for match in line.matches(of: /decider(\.[a-z_]+)+/) { named[String(match.0)] = file }
            }
        }
        #expect(named.keys.contains("decider.scale_down.max_parallel_drains"))
        for (name, file) in named {
            #expect(documented.contains(name), "\(file) names \(name), which is no setting")
        }
    }
}
