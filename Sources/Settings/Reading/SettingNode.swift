import YAML

/// A node of the merged configuration: the file's tree with the overrides put in, each node knowing where it came from.
struct SettingNode {
    struct Entry {
        let key: String
        let origin: String
        var node: SettingNode
    }

    enum Content {
        /// `raw` is an override's text, which a text field takes as it is.
        case scalar(YAMLNode, raw: String?)
        case list([SettingNode])
        case map([Entry])
    }

    var content: Content
    let origin: String

    /// The tree of a file.
    init(_ node: YAMLNode, file: String) {
        self.init(node, origin: { "\(file):\($0.line)" }, raw: nil)
    }

    /// The value of an override. Written as YAML, so that lists and mappings can be given; what is none is text.
    init(override text: String, origin: String) {
        let parsed = try? YAML.parse(text)
        let plain = YAMLNode.scalar(YAMLScalar(text: text))
        self.init(parsed ?? plain, origin: { _ in origin }, raw: text)
    }

    private init(_ node: YAMLNode, origin: (YAMLPosition) -> String, raw: String?) {
        self.origin = origin(node.position)
        switch node {
        case .scalar: content = .scalar(node, raw: raw)
        case .sequence(let sequence):
            content = .list(sequence.items.map { SettingNode($0, origin: origin, raw: nil) })
        case .mapping(let mapping):
            content = .map(
                mapping.entries.map { entry in
                    Entry(
                        key: entry.key, origin: origin(entry.keyPosition),
                        node: SettingNode(entry.value, origin: origin, raw: nil))
                })
        }
    }

    private init(emptyMapFrom origin: String) {
        content = .map([])
        self.origin = origin
    }

    var isNull: Bool {
        if case .scalar(let node, _) = content { node.isNull } else { false }
    }

    /// The text of a scalar: an override's as it was given.
    var text: String? {
        if case .scalar(let node, let raw) = content { raw ?? node.string } else { nil }
    }

    /// The scalar, for its meaning as bool or number.
    var scalar: YAMLNode? {
        if case .scalar(let node, _) = content { node } else { nil }
    }

    /// `a list`, `text`, …
    var kind: String {
        switch content {
        case .scalar(let node, _): node.kind
        case .list: "a list"
        case .map: "a mapping"
        }
    }

    /// Puts `value` in at `path`, making mappings on the way. Items of a list are found by number or by their `id`.
    /// Says what is wrong, nil if nothing is.
    mutating func put(_ value: SettingNode, at path: ArraySlice<String>) -> String? {
        guard let first = path.first else {
            self = value
            return nil
        }
        if isNull { self = SettingNode(emptyMapFrom: origin) }
        switch content {
        case .scalar: return "there is no \(first) in a value"
        case .map(var entries):
            if let index = entries.firstIndex(where: { $0.key == first }) {
                if let wrong = entries[index].node.put(value, at: path.dropFirst()) { return wrong }
            } else {
                var node = SettingNode(emptyMapFrom: value.origin)
                if let wrong = node.put(value, at: path.dropFirst()) { return wrong }
                entries.append(Entry(key: first, origin: value.origin, node: node))
            }
            content = .map(entries)
            return nil
        case .list(var items):
            let named = items.firstIndex { item in
                guard case .map(let entries) = item.content else { return false }
                return entries.contains { $0.key == "id" && $0.node.text == first }
            }
            guard let index = named ?? Int(first), items.indices.contains(index) else {
                return "the list has no item \"\(first)\""
            }
            if let wrong = items[index].put(value, at: path.dropFirst()) { return wrong }
            content = .list(items)
            return nil
        }
    }
}
