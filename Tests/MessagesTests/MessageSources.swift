import FoundationEssentials

/// What the sources of Messages declare, with the comments: from it the tables of docs/messages.md are made.
///
/// Read line by line, by indentation: scripts/lint sees to it that all sources have the same form.
struct MessageSources {
    struct Declared {
        var name: String
        var comment: String
        /// Of a payload: the name of its `EventType`.
        var event: String?
        var fields: [(key: String, type: String, comment: String)] = []
        /// Of an enumeration: raw values.
        var cases: [(value: String, comment: String)] = []
        /// Other keys on the bus than the names in the code.
        var renamed: [String: String] = [:]
    }

    private(set) var types: [String: Declared] = [:]

    init(folder: String) throws {
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() where name.hasSuffix(".swift")
        {
            read(try String(contentsOf: URL(filePath: "\(folder)/\(name)"), encoding: .utf8))
        }
        for (name, keys) in types where name.hasSuffix(".CodingKeys") {
            types[String(name.dropLast(11))]?.renamed = Dictionary(
                keys.cases.map { ($0.comment, $0.value) }, uniquingKeysWith: { first, _ in first })
        }
    }

    private mutating func read(_ text: String) {
        var scopes: [(name: String, indent: Int)] = []
        var comment: [Substring] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let words = line.drop { $0 == " " }
            let indent = line.count - words.count
            if words.hasPrefix("///") {
                comment.append(words.dropFirst(3).drop { $0 == " " })
                continue
            }
            if words == "}", let last = scopes.last, indent == last.indent { scopes.removeLast() }
            take(words, indent, &scopes, Self.joined(comment))
            comment = []
        }
    }

    /// One line of code.
    private mutating func take(
        _ line: Substring, _ indent: Int, _ scopes: inout [(name: String, indent: Int)], _ comment: String
    ) {
        let words = line.split(separator: " ").map(String.init)
        if line.hasSuffix("{"), let at = words.firstIndex(where: { ["struct", "enum", "extension"].contains($0) }),
            at <= 2, at + 1 < words.count
        {
            let name = words[at + 1].filter { $0 != ":" && $0 != "{" }
            let full = (scopes.map(\.name).last.map { "\($0)." } ?? "") + name
            scopes.append((full, indent))
            if words[at] != "extension" { types[full] = Declared(name: full, comment: comment) }
            return
        }
        guard let scope = scopes.last, indent == scope.indent + 4 else { return }
        if line.hasPrefix("public var "), !line.hasSuffix("}"), !line.hasSuffix("{") {
            let parts = line.dropFirst(11).split(separator: ": ", maxSplits: 1)
            guard parts.count == 2 else { return }
            types[scope.name]?.fields.append(
                (parts[0].filter { $0 != "`" }, String(parts[1].split(separator: " = ")[0]), comment))
        } else if line.hasPrefix("public static let eventType = EventType.") {
            types[scope.name]?.event = words.last.map { String($0.dropFirst(10)) }
        } else if line.hasPrefix("case ") {
            for part in line.dropFirst(5).split(separator: ",") {
                let sides = part.split(separator: "=").map { $0.filter { $0 != " " && $0 != "\"" && $0 != "`" } }
                // The keys of a type have no comments: there the name in the code stands in its place.
                types[scope.name]?.cases.append(
                    (sides[sides.count - 1], scope.name.hasSuffix(".CodingKeys") ? sides[0] : comment))
            }
        }
    }

    /// The lines of a comment as one paragraph; its first only.
    private static func joined(_ lines: [Substring]) -> String {
        lines.prefix { !$0.isEmpty }.joined(separator: " ").replacing("|", with: "\\|")
    }

    /// A field's type with the full names of types of ours, and these types.
    func resolved(_ type: String, in scope: String) -> (text: String, types: [String]) {
        var text = ""
        var found: [String] = []
        var word = ""
        func finish() {
            defer { word = "" }
            var place = scope
            while !word.isEmpty {
                let full = place.isEmpty ? word : "\(place).\(word)"
                if types[full] != nil {
                    found.append(full)
                    text += full
                    return
                }
                guard !place.isEmpty else { break }
                place = place.lastIndex(of: ".").map { String(place[..<$0]) } ?? ""
            }
            text += word
        }
        for character in type {
            if character.isLetter || character.isNumber || character == "." {
                word.append(character)
            } else {
                finish()
                text.append(character)
            }
        }
        finish()
        return (text, found)
    }

    /// The table of a type's fields, or of an enumeration's values.
    func table(_ name: String) -> String {
        guard let type = types[name] else { return "" }
        if type.fields.isEmpty {
            return "| value | |\n|---|---|\n" + type.cases.map { "| `\($0.value)` | \($0.comment) |\n" }.joined()
        }
        return "| field | type | |\n|---|---|---|\n"
            + type.fields.map { field in
                "| `\(type.renamed[field.key] ?? field.key)` | \(resolved(field.type, in: name).text) | \(field.comment) |\n"
            }.joined()
    }

    /// The name of an event's payload.
    func payload(of event: String) -> String? { types.values.first { $0.event == event }?.name }

    /// All types that payloads are made of, payloads left out, by name.
    func parts() -> [String] {
        var open = types.values.filter { $0.event != nil }.map(\.name)
        var seen = Set(open)
        while let name = open.popLast() {
            for field in types[name]?.fields ?? [] {
                for part in resolved(field.type, in: name).types where seen.insert(part).inserted { open.append(part) }
            }
        }
        // A payload may also stand in another (the groups of an answer).
        return seen.filter { types[$0]?.event == nil }.sorted()
    }
}
