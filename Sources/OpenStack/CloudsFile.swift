import YAML

/// `clouds.yaml` with `secure.yaml` merged over it.
struct CloudsFile {
    private let path: String
    private let clouds: YAMLMapping
    private let secure: YAMLNode?

    static func load(_ path: String, secure: String?) throws(OpenStackError) -> CloudsFile {
        let root = try read(path)
        guard let clouds = root["clouds"]?.mapping else {
            throw .configuration("\(path):\(root.line)", "has no mapping \"clouds\"")
        }
        var extra: YAMLNode?
        if let secure { extra = try read(secure)["clouds"] }
        return CloudsFile(path: path, clouds: clouds, secure: extra)
    }

    private static func read(_ path: String) throws(OpenStackError) -> YAMLNode {
        do throws(YAMLError) {
            return try YAML.load(file: path)
        } catch {
            // The position belongs to the error's own text; what the file holds does not go into it.
            throw .configuration(path, error.description)
        }
    }

    /// The settings of the cloud of that name, or of the only one.
    func settings(of name: String?) throws(OpenStackError) -> CloudSettings {
        let names = clouds.entries.map(\.key)
        guard let name = name ?? (names.count == 1 ? names.first : nil) else {
            throw .configuration(path, "holds \(names.count) clouds (\(listed(names))): name one of them")
        }
        guard let cloud = clouds[name] else {
            throw .configuration(path, "has no cloud \"\(name)\"; it has \(listed(names))")
        }
        guard cloud.mapping != nil else {
            throw .configuration("\(path):\(cloud.line)", "cloud \"\(name)\" is \(cloud.kind) and not a mapping")
        }
        let over = secure?[name]
        var top = try scalars(cloud).merging(try scalars(over)) { $1 }
        let auth = try scalars(cloud["auth"]).merging(try scalars(over?["auth"])) { $1 }
        top["interface"] = top["interface"] ?? top["endpoint_type"]
        if top["region_name"] == nil, let regions = cloud["regions"]?.items, regions.count == 1 {
            top["region_name"] = regions[0].string ?? regions[0]["name"]?.string
        }
        return CloudSettings(source: "\(path):\(cloud.line) cloud \"\(name)\"", top: top, auth: auth) { key, isAuth in
            isAuth ? "auth.\(key)" : key
        }
    }

    private func listed(_ names: [String]) -> String {
        names.isEmpty ? "none" : names.map { "\"\($0)\"" }.joined(separator: ", ")
    }

    /// The scalar members; what is nested (other services' settings) is passed over.
    private func scalars(_ node: YAMLNode?) throws(OpenStackError) -> [String: String] {
        guard let node, !node.isNull else { return [:] }
        guard let mapping = node.mapping else {
            throw .configuration("\(path):\(node.line)", "is \(node.kind) where a mapping should be")
        }
        var scalars: [String: String] = [:]
        for entry in mapping.entries {
            if let text = entry.value.string { scalars[entry.key] = text }
        }
        return scalars
    }
}
