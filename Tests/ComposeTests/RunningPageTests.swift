import FoundationEssentials
import Testing

/// docs/operations/running.md against the code.
@Suite("The operator's page")
struct RunningPageTests {
    private static let page = (try? Project.text("docs/operations/running.md")) ?? ""

    /// All Swift files below `Sources/MODULE`.
    private static func sources(_ module: String) throws -> [(file: String, text: String)] {
        let root = Project.path("Sources/\(module)")
        let names = try FileManager.default.subpathsOfDirectory(atPath: root).filter { $0.hasSuffix(".swift") }
        return try names.sorted().map { ("Sources/\(module)/\($0)", try Project.text("Sources/\(module)/\($0)")) }
    }

    /// The metrics that a module makes: name on the page, its kind.
    private static func metrics(_ module: String) throws -> [String: String] {
        var found: [String: String] = [:]
        for (_, text) in try sources(module) {
            for kind in ["counter", "gauge", "histogram"] {
                for part in text.split(separator: ".\(kind)(", omittingEmptySubsequences: false).dropFirst() {
                    let rest = part.drop { $0.isWhitespace }
                    guard rest.first == "\"" else { continue }
                    let name = rest.dropFirst().prefix { $0.isLowercase || $0 == "_" }
                    guard !name.isEmpty, rest.dropFirst(name.count + 1).first == "\"" else { continue }
                    found["updraft_\(name)\(kind == "counter" ? "_total" : "")"] = kind
                }
            }
        }
        return found
    }

    /// The rows of a section: first cell without its ticks, second cell.
    private static func rows(_ section: String) -> [String: String] {
        guard let start = page.firstRange(of: "\n\(section)\n") else { return [:] }
        let text = page[start.upperBound...]
        let end = text.firstRange(of: "\n##")?.lowerBound ?? text.endIndex
        var rows: [String: String] = [:]
        for line in text[..<end].split(separator: "\n") where line.hasPrefix("| `") {
            let cells = line.split(separator: "|").map { $0.filter { !$0.isWhitespace && $0 != "`" } }
            rows[cells[0]] = cells[1]
        }
        return rows
    }

    @Test(
        "every metric stands on the page with its kind, and none that is not",
        arguments: [
            ("ServiceRuntime", "All services"), ("Collector", "Collector"), ("Decider", "Decider"),
            ("Actuator", "Actuator"), ("Notifier", "Notifier"),
        ])
    func metrics(_ module: String, _ title: String) throws {
        let made = try Self.metrics(module)
        let told = Self.rows("### \(title)")
        #expect(made.count >= 5, "only \(made.keys.sorted()) were found in Sources/\(module)")
        for (name, kind) in made.sorted(by: { $0.key < $1.key }) {
            #expect(told[name] == kind, "docs/operations/running.md does not have \(name), a \(kind), under \(title)")
        }
        let gone = Set(told.keys).subtracting(made.keys).sorted()
        #expect(gone.isEmpty, "Sources/\(module) has no \(gone)")
    }

    @Test("every metric that any page names exists")
    func names() throws {
        var known: Set<String> = []
        for module in ["ServiceRuntime", "Collector", "Decider", "Actuator", "Notifier"] {
            known.formUnion(try Self.metrics(module).keys)
        }
        let pages = try FileManager.default.subpathsOfDirectory(atPath: Project.path("docs")).map { "docs/\($0)" }
        let others = ["README.md", "deploy/heat/README.md", "deploy/telemetry/README.md"]
        for file in (pages + others).filter({ $0.hasSuffix(".md") }).sorted() {
            for part in try Project.text(file).split(separator: "`updraft_", omittingEmptySubsequences: false)
                .dropFirst()
            {
                let name = "updraft_" + part.prefix { $0.isLowercase || $0 == "_" }
                #expect(known.contains(name), "\(file) names \(name)")
            }
        }
    }

    @Test("every condition of /readyz is on the page")
    func conditions() throws {
        var found: Set<String> = []
        for module in ["ServiceRuntime", "Collector", "Decider", "Actuator", "Notifier"] {
            for (_, text) in try Self.sources(module) {
                for marker in [
                    "readiness.set(\"", "readiness.failed(\"", "readiness.probe(\"", ".condition(name: \"",
                    "trouble(\"",
                    "supervisor.run(\"",
                ] {
                    for part in text.split(separator: marker, omittingEmptySubsequences: false).dropFirst() {
                        found.insert(String(part.prefix { $0.isLetter || $0 == " " || $0 == "/" }))
                    }
                }
            }
        }
        #expect(found.isSuperset(of: ["bus", "watches", "incident/", "kubernetes nodes", "answers"]), "\(found)")
        // Parts that are told of together.
        let likewise: Set = ["peers", "groups", "cloud", "heat notifications", "subscription", "a node cannot be read"]
        for name in found.subtracting(likewise).sorted() where !name.isEmpty {
            #expect(Self.page.contains("`\(name)"), "docs/operations/running.md does not name the condition \(name)")
        }
    }
}
