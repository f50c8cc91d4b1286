import Messages
import Support

extension Settings.Decider {
    /// An item of `decider.priorities`.
    public struct Priority: Sendable, Hashable {
        /// Higher is preferred.
        public var priority: Int
        /// Regular expressions that may match anywhere in a group's id.
        public var patterns: [String]

        init(_ reader: SettingsReader) {
            priority = reader.count("priority", default: 0, in: Int.min...Int.max, "Higher is preferred.")
            patterns = reader.texts(
                "patterns", "Regular expressions; each may match anywhere in a group's id.")
            if patterns.isEmpty { reader.mistake("patterns", "is missing or empty", allowed: "at least one pattern") }
            for pattern in patterns where (try? Regex(pattern)) == nil {
                reader.mistake("patterns", "\(SettingsReader.quoted(pattern)) is no regular expression")
            }
        }
    }

    /// `decider.headroom`: spare capacity that is kept.
    public struct Headroom: Sendable, Hashable {
        /// An item of `decider.headroom.shapes`: room for so many pods of a shape.
        public struct Shape: Sendable, Hashable {
            /// Its name in the ledger.
            public var name: String
            /// How many pods.
            public var count: Int
            /// What each requests.
            public var requests: ResourceList
            /// Labels that their node has to have.
            public var nodeSelector: [String: String]
            /// Taints that they tolerate.
            public var tolerations: [Toleration]

            init(_ reader: SettingsReader) {
                name = reader.identifier("name", "Its name in the ledger.")
                count = reader.count("count", default: 1, in: 0...100_000, "How many such pods there is room for.")
                requests = ResourceList(
                    cpuMillis: reader.cpuMillis("cpu", "CPU of each.") ?? 0,
                    memoryBytes: reader.quantity("memory", "Memory of each.") ?? 0,
                    ephemeralStorageBytes: reader.quantity("ephemeral_storage", "Local disk of each.") ?? 0,
                    extended: reader.table(
                        "extended", "quantity", "Extended resources of each, e.g. `nvidia.com/gpu: 1`.",
                        parse: Quantity.units))
                if requests == ResourceList() {
                    reader.mistake("name", "asks for nothing", allowed: "cpu, memory, ephemeral_storage or extended")
                }
                nodeSelector = reader.texts(of: "node_selector", "Labels that the nodes have to have.")
                tolerations = reader.field(
                    "tolerations", "list of `key`, `key=value`, `key:Effect`, `key=value:Effect` or `*`", default: [],
                    shown: "[]",
                    "Taints that do not matter. Without a value any; without an effect all; `*`: every taint.",
                    read: Self.tolerations)
            }

            private static func tolerations(_ node: SettingNode) throws(SettingsReader.Refusal) -> [Toleration] {
                guard case .list(let items) = node.content else {
                    throw SettingsReader.Refusal("is \(node.kind)")
                }
                var tolerations: [Toleration] = []
                for item in items {
                    let text = try SettingsReader.text(item)
                    if text == "*" {
                        tolerations.append(Toleration(key: nil, exists: true))
                        continue
                    }
                    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
                    let sides = (parts.first ?? "").split(
                        separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    let effect = parts.count == 2 ? TaintEffect(rawValue: String(parts[1])) : nil
                    guard let key = sides.first, !key.isEmpty, parts.count == 1 || effect != nil else {
                        throw SettingsReader.Refusal("has \(SettingsReader.quoted(text))")
                    }
                    tolerations.append(
                        Toleration(
                            key: String(key), exists: sides.count == 1,
                            value: sides.count == 2 ? String(sides[1]) : "", effect: effect))
                }
                return tolerations
            }
        }

        /// Percent of the allocatable CPU and memory of the groups' nodes.
        public var percent: Double
        /// Room for pods of certain shapes.
        public var shapes: [Shape]

        init(_ reader: SettingsReader) {
            percent = reader.number(
                "percent", default: 0, in: 0...100,
                "Share of the CPU and memory of the groups' nodes that is kept free.")
            shapes = reader.list(
                "shapes", "Room that is kept for pods of certain shapes, each as often as its count.", Shape.init)
            var seen: Set<String> = []
            for shape in shapes where !shape.name.isEmpty && !seen.insert(shape.name).inserted {
                reader.mistake(
                    "shapes", "the name \"\(shape.name)\" is used twice", allowed: "a name of its own for each")
            }
        }
    }
}
