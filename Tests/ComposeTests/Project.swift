import Glibc
import Testing
import YAML

/// The project's own files, found from where this one is.
enum Project {
    static let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")

    static func path(_ name: String) -> String { "\(root)/\(name)" }

    static func exists(_ name: String) -> Bool { access(path(name), R_OK) == 0 }

    static func text(_ name: String) throws -> String {
        let file = try #require(fopen(path(name), "re"), "\(name) cannot be read")
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Names and values of an environment file: `NAME=value` lines, comments and empty lines.
    static func environment(_ name: String) throws -> [String: String] {
        var variables: [String: String] = [:]
        for line in try text(name).split(separator: "\n") where !line.hasPrefix("#") {
            let equals = try #require(line.firstIndex(of: "="), "no variable: \(line)")
            variables[String(line[..<equals])] = String(line[line.index(after: equals)...])
        }
        return variables
    }
}

/// What compose.yaml says of one of our services, names of variables replaced as compose does.
struct ComposeService {
    let name: String
    let node: YAMLNode

    static let names = ["collector", "decider", "actuator", "notifier"]

    static func all() throws -> [ComposeService] {
        let root = try YAML.load(file: Project.path("compose/compose.yaml"))
        let services = try #require(root["services"]?.mapping)
        return services.entries.map { ComposeService(name: $0.key, node: $0.value) }
    }

    var command: [String] { node["command"]?.items?.compactMap(\.string) ?? [] }

    var healthCheck: [String] { node["healthcheck"]?["test"]?.items?.compactMap(\.string) ?? [] }

    /// Where a file of this machine, or a named volume, is seen in the container.
    func mounts(_ variables: [String: String]) throws -> [(source: String, target: String)] {
        try (node["volumes"]?.items ?? []).map { item in
            // `:` also stands in ${NAME:-default}, so names are replaced first.
            let parts = try Self.replaced(try #require(item.string), variables).split(separator: ":").map(String.init)
            return (try #require(parts.first), try #require(parts.dropFirst().first))
        }
    }

    /// Names of variables in a text, with whether they have a default.
    static func names(in text: String) -> [(name: String, hasDefault: Bool)] {
        text.split(separator: "${").dropFirst().compactMap { part in
            guard let end = part.firstIndex(of: "}") else { return nil }
            let inside = part[..<end]
            let name = inside.prefix { $0 == "_" || $0.isLetter || $0.isNumber }
            return (String(name), inside.count > name.count)
        }
    }

    static func replaced(_ text: String, _ variables: [String: String]) throws -> String {
        var result = ""
        var rest = text[...]
        while let start = rest.firstRange(of: "${") {
            let end = try #require(rest[start.upperBound...].firstIndex(of: "}"))
            let inside = rest[start.upperBound..<end]
            let parts = inside.split(separator: ":-", maxSplits: 1)
            result += rest[..<start.lowerBound]
            result += variables[String(parts[0])] ?? (parts.count == 2 ? String(parts[1]) : "")
            rest = rest[rest.index(after: end)...]
        }
        return result + rest
    }
}
