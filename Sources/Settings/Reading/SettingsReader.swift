import Support

/// A field as the reference shows it.
struct FieldDeclaration: Sendable, Hashable {
    /// `bus.tls.ca_file`, `groups[].id`.
    let path: String
    /// What it takes: `text`, `length of time, 1s … 10m`.
    let type: String
    /// The default as it would be written; nil if the field is required, empty if it is simply absent.
    let fallback: String?
    /// What it does.
    let doc: String
    /// A heading rather than a field.
    let isSection: Bool
}

/// Reads one level of the configuration. Each field is named once, with its default, its bounds and its meaning: reading
/// a file, finding unknown keys, reading the environment and writing the reference all go through the same lines.
///
/// A wrong value is noted and its default used, so that reading goes on and all mistakes are found at once.
final class SettingsReader {
    /// What is shared by all levels.
    final class Log {
        var mistakes: [SettingsMistake] = []
        var declarations: [FieldDeclaration] = []
        /// The folder of the configuration file: relative paths start there.
        let folder: String
        /// Only declarations are wanted: lists show one item, nothing is required.
        let isDescribing: Bool
        /// For `env:` references and files named in the configuration.
        let environment: [String: String]
        /// For which program it is read: of other services' sections no secret is fetched. Nil: of all.
        let program: String?
        /// Another program reads it with the eyes of `program`, whose environment and flags may say more.
        let isStandIn: Bool

        init(
            folder: String, isDescribing: Bool, environment: [String: String], program: String? = nil,
            isStandIn: Bool = false
        ) {
            self.folder = folder
            self.isDescribing = isDescribing
            self.environment = environment
            self.program = program
            self.isStandIn = isStandIn
        }
    }

    let log: Log
    private let prefix: String
    private let origin: String
    private let entries: [SettingNode.Entry]
    private var known: [String] = []

    /// Starts at the root. A root that is not a mapping is a mistake and counts as empty.
    init(root: SettingNode, log: Log) {
        self.log = log
        prefix = ""
        origin = root.origin
        entries = Self.entries(root, path: "", log: log)
    }

    private init(prefix: String, node: SettingNode?, origin: String, log: Log) {
        self.log = log
        self.prefix = prefix
        self.origin = node?.origin ?? origin
        entries = node.map { Self.entries($0, path: prefix, log: log) } ?? []
    }

    private static func entries(_ node: SettingNode, path: String, log: Log) -> [SettingNode.Entry] {
        if case .map(let entries) = node.content { return entries }
        if !node.isNull {
            log.mistakes.append(
                SettingsMistake(origin: node.origin, path: path, what: "is \(node.kind)", allowed: "a mapping"))
        }
        return []
    }

    /// The path of a field of this level.
    func path(_ name: String) -> String {
        prefix.isEmpty ? name : "\(prefix).\(name)"
    }

    /// Whether a field of this level belongs to another service than the one it is read for.
    func isForeign(_ field: String) -> Bool {
        // The Actuator, which holds the rights, looks at Ceilometer's and at Aodh's broker too.
        if log.program == "actuator", ["collector.telemetry", "collector.alarms"].contains(prefix),
            field.hasPrefix("transport_url")
        {
            return false
        }
        guard let program = log.program, let section = prefix.split(separator: ".").first.map(String.init) else {
            return false
        }
        return section != program && ["collector", "decider", "actuator", "notifier"].contains(section)
    }

    /// The value of a field that is there and not null.
    func node(_ name: String) -> SettingNode? {
        guard let node = entries.first(where: { $0.key == name })?.node, !node.isNull else { return nil }
        return node
    }

    /// Notes the field for the reference and as a known key.
    func declare(_ name: String, _ type: String, fallback: String?, _ doc: String, isSection: Bool = false) {
        known.append(name)
        if log.isDescribing {
            log.declarations.append(
                FieldDeclaration(
                    path: path(name), type: type, fallback: fallback, doc: doc, isSection: isSection))
        }
    }

    /// Notes a mistake with a field of this level, where it was written if it was.
    func mistake(_ name: String, _ what: String, allowed: String? = nil) {
        guard !log.isDescribing else { return }
        log.mistakes.append(
            SettingsMistake(origin: node(name)?.origin ?? origin, path: path(name), what: what, allowed: allowed))
    }

    /// Every key that no field has claimed is a mistake. Called at the end of a level.
    private func finish() {
        for entry in entries where !known.contains(entry.key) {
            let near = Suggestion.nearest(entry.key, among: known)
            let elsewhere = near == nil ? Settings.declaredPath(endingIn: entry.key, near: prefix) : nil
            let hint = (near.map { path($0) } ?? elsewhere).map { "; did you mean \($0)?" } ?? ""
            log.mistakes.append(
                SettingsMistake(
                    origin: entry.origin, path: path(String(entry.key.prefix(100))), what: "unknown key" + hint,
                    allowed: hint.isEmpty ? known.sorted().joined(separator: ", ") : nil))
        }
    }

    // MARK: Structure

    /// A mapping of fields of its own.
    func section<Value>(_ name: String, _ doc: String, _ read: (SettingsReader) -> Value) -> Value {
        declare(name, "mapping", fallback: "", doc, isSection: true)
        let reader = SettingsReader(prefix: path(name), node: node(name), origin: origin, log: log)
        defer { reader.finish() }
        return read(reader)
    }

    /// The root itself.
    func root<Value>(_ read: (SettingsReader) -> Value) -> Value {
        defer { finish() }
        return read(self)
    }

    /// A list of mappings.
    func list<Value>(_ name: String, _ doc: String, _ read: (SettingsReader) -> Value) -> [Value] {
        declare(name, "list of mappings", fallback: "[]", doc, isSection: true)
        if log.isDescribing {
            _ = read(SettingsReader(prefix: path(name) + "[]", node: nil, origin: origin, log: log))
            return []
        }
        guard let node = node(name) else { return [] }
        guard case .list(let items) = node.content else {
            mistake(name, "is \(node.kind)", allowed: "a list of mappings")
            return []
        }
        return items.enumerated().map { index, item in
            let reader = SettingsReader(prefix: "\(path(name))[\(index)]", node: item, origin: origin, log: log)
            defer { reader.finish() }
            return read(reader)
        }
    }

    // MARK: Any field

    /// Why a value was not taken.
    struct Refusal: Error {
        let what: String
        init(_ what: String) { self.what = what }
    }

    /// A field of any type: `read` gets the value if there is one.
    func field<Value>(
        _ name: String, _ type: String, default fallback: Value, shown: String?, _ doc: String,
        read: (SettingNode) throws(Refusal) -> Value
    ) -> Value {
        declare(name, type, fallback: shown, doc)
        guard let node = node(name) else { return fallback }
        do throws(Refusal) {
            return try read(node)
        } catch {
            mistake(name, error.what, allowed: type)
            return fallback
        }
    }

    /// The text of a scalar, or the refusal that it is none.
    static func text(_ node: SettingNode) throws(Refusal) -> String {
        guard let text = node.text else { throw Refusal("is \(node.kind)") }
        return text
    }

    /// A value in quotes, cut: for messages.
    static func quoted(_ text: String) -> String {
        "\"" + text.prefix(100) + (text.count > 100 ? "…" : "") + "\""
    }
}
