/// The sources that win over the file.
enum Overrides {
    /// Variables `UPDRAFT_<SECTION>_<FIELD>`. Which `_` was a dot is known from the declared fields; other variables of
    /// that prefix are left alone (Kubernetes invents some for every Service), unless they look like a slip.
    static func apply(environment: [String: String], to root: inout SettingNode) -> [SettingsMistake] {
        var mistakes: [SettingsMistake] = []
        for (name, value) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("UPDRAFT_") {
            let origin = "environment \(name)"
            if let path = Settings.variables[name] {
                let node = SettingNode(override: value, origin: origin)
                if let wrong = root.put(node, at: path.split(separator: ".").map(String.init)[...]) {
                    mistakes.append(SettingsMistake(origin: origin, path: path, what: wrong))
                }
            } else if !Settings.otherVariables.contains(name), !isServiceLink(name),
                let near = Suggestion.nearest(name, among: Settings.variables.keys.sorted())
            {
                mistakes.append(
                    SettingsMistake(origin: origin, path: "", what: "names no field; did you mean \(near)?"))
            }
        }
        return mistakes
    }

    /// What Kubernetes puts into the environment of every pod for a Service that is called like one of ours; no field is.
    private static func isServiceLink(_ name: String) -> Bool {
        name.hasSuffix("_PORT") || name.contains("_PORT_") || name.contains("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
    }

    /// `a.b=c` each.
    static func apply(flags: [String], to root: inout SettingNode) -> [SettingsMistake] {
        var mistakes: [SettingsMistake] = []
        for flag in flags {
            guard let equals = flag.firstIndex(of: "="), equals > flag.startIndex else {
                mistakes.append(
                    SettingsMistake(
                        origin: "--set \(flag.prefix(60))", path: "", what: "has no value",
                        allowed: "section.field=value"))
                continue
            }
            let path = String(flag[..<equals])
            let node = SettingNode(
                override: String(flag[flag.index(after: equals)...]), origin: "--set \(path)")
            if let wrong = root.put(node, at: path.split(separator: ".").map(String.init)[...]) {
                mistakes.append(SettingsMistake(origin: "--set \(path)", path: path, what: wrong))
            }
        }
        return mistakes
    }
}
