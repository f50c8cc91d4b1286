extension Settings {
    /// All declared fields, sections first, in the order they are read.
    static let declarations: [FieldDeclaration] = {
        let log = SettingsReader.Log(folder: "", isDescribing: true, environment: [:])
        let empty = SettingNode(override: "", origin: "")
        _ = SettingsReader(root: empty, log: log).root(Settings.init)
        return log.declarations
    }()

    /// Which field a variable of the environment stands for. Items of lists have none.
    static let variables: [String: String] = {
        let fields = declarations.filter { !$0.path.contains("[") }
        return Dictionary(fields.map { (variable($0.path), $0.path) }) { first, _ in first }
    }()

    /// Every variable of the environment that stands for a field.
    public static var variableNames: Set<String> { Set(variables.keys) }

    /// Variables of our prefix that are not fields: the programs' own flags.
    static let otherVariables: Set<String> = ["UPDRAFT_CONFIG"]

    static func variable(_ path: String) -> String {
        "UPDRAFT_" + path.uppercased().replacing(".", with: "_")
    }

    /// The one declared path whose last part is `name`, rather below `level` than elsewhere; nil if there is none or more
    /// than one.
    static func declaredPath(endingIn name: String, near level: String) -> String? {
        let found = declarations.map(\.path).filter { $0.split(separator: ".").last.map(String.init) == name }
        let near = found.filter { $0.hasPrefix(level + ".") }
        return near.count == 1 ? near[0] : found.count == 1 ? found[0] : nil
    }

    /// The configuration reference, Markdown: `docs/configuration.md`.
    public static func reference() -> String {
        var text = introduction
        let sections = [""] + declarations.filter(\.isSection).map(\.path)
        for section in sections {
            let level = section.contains("[") ? section + (section.hasSuffix("]") ? "" : "") : section
            let inside = declarations.filter { !$0.isSection && parent($0.path) == level }
            let listed = declarations.first { $0.path == section }
            let items = declarations.filter { !$0.isSection && parent($0.path) == section + "[]" }
            guard !inside.isEmpty || !items.isEmpty else { continue }
            text += section.isEmpty ? "\n## Top level\n" : "\n## `\(section)`\(items.isEmpty ? "" : " (list)")\n"
            if let listed { text += "\n\(listed.doc)\n" }
            text += "\n| field | takes | default | meaning |\n|---|---|---|---|\n"
            for field in items.isEmpty ? inside : items {
                let name = field.path.split(separator: ".").last.map(String.init) ?? field.path
                let fallback =
                    field.fallback.map { $0.isEmpty ? "–" : "`\($0)`" } ?? "**required**"
                text += "| `\(name)` | \(escaped(field.type)) | \(escaped(fallback)) | \(escaped(field.doc)) |\n"
            }
        }
        return text
    }

    private static func parent(_ path: String) -> String {
        path.lastIndex(of: ".").map { String(path[..<$0]) } ?? ""
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("|", with: "\\|")
    }

    private static let introduction = """
        # Configuration reference

        <!-- Generated from the declarations in Sources/Settings; a test compares. `updraft-decider --reference` prints it. -->

        The four services read the same YAML file and take from it what concerns them. A field is looked up in this
        order, the first that has it wins:

        1. the flag `--set section.field=value` (repeatable; an item of a list by number or id: `--set groups.workers.max=5`),
        2. the environment, `UPDRAFT_SECTION_FIELD=value` (`UPDRAFT_BUS_TRANSPORT_URL` for `bus.transport_url`),
        3. the file (`--config FILE`, else `UPDRAFT_CONFIG`, else `/etc/updraft/updraft.yaml`),
        4. the default below.

        Every service checks the whole configuration when it starts and lists all mistakes at once, each with file, line,
        field and what is allowed; an unknown key is a mistake. `--check-config` does only that. Secrets in files and variables
        (`…_file`, `…_env`) are looked for only by the service in whose section they are, those of `bus` by all, those of
        the brokers of `collector.telemetry` and `collector.alarms` by the Actuator too. Relative paths start at
        the folder of the file. A length of time has a unit: `250ms`, `30s`, `10m`, `1h30m`.

        """
}
