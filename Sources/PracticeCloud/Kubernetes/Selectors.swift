import JSONReader
import Messages

/// `labelSelector` and `fieldSelector` of a list or watch.
struct ListSelector: Sendable {
    private var labels: [Requirement] = []
    private var fields: [(path: [String], value: String, isEqual: Bool)] = []
    /// Only this namespace; nil: all.
    var namespace: String?

    /// Reads both; a text that is no selector is refused as the API server does.
    init(namespace: String?, labelSelector: String?, fieldSelector: String?) throws(KubernetesFailure) {
        self.namespace = namespace
        if let labelSelector { labels = try ListSelector.parse(labelSelector) }
        for part in (fieldSelector ?? "").split(separator: ",") {
            let isEqual = !part.contains("!=")
            let pieces = part.split(
                separator: isEqual ? "=" : "!=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pieces.count == 2 else {
                throw .badRequest("Unable to find field selector: invalid selector: \(part)")
            }
            let value = pieces[1].hasPrefix("=") ? pieces[1].dropFirst() : pieces[1]
            fields.append((pieces[0].split(separator: ".").map(String.init), String(value), isEqual))
        }
    }

    /// Selects everything.
    var isEmpty: Bool { namespace == nil && labels.isEmpty && fields.isEmpty }

    /// Whether an object is selected.
    func matches(_ object: StoredObject) -> Bool {
        if let namespace, object.namespace != namespace { return false }
        if !labels.isEmpty {
            let have = object.labels
            guard labels.allSatisfy({ $0.matches(have) }) else { return false }
        }
        return fields.allSatisfy { field in
            let text: String
            switch object.value.at(field.path) {
            case .string(let value)?: text = value
            case .bool(let value)?: text = value ? "true" : "false"
            case .int(let value)?: text = String(value)
            // An absent boolean is false, an absent string is empty.
            default: text = field.path.last == "unschedulable" ? "false" : ""
            }
            return (text == field.value) == field.isEqual
        }
    }

    /// `a=b,c!=d,e in (x,y),f notin (z),g,!h`.
    static func parse(_ text: String) throws(KubernetesFailure) -> [Requirement] {
        var found: [Requirement] = []
        var depth = 0
        var parts: [String] = [""]
        for character in text {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == ",", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(character) }
        }
        for part in parts {
            let words = part.split(whereSeparator: { $0 == " " })
            if words.isEmpty { continue }
            if words.count >= 3 || (words.count == 2 && words[1].hasPrefix("in(")) || part.contains(" in (")
                || part.contains(" notin (")
            {
                guard let open = part.firstIndex(of: "("), let close = part.lastIndex(of: ")"), open < close else {
                    throw .badRequest("unable to parse requirement: \(part)")
                }
                let values = part[part.index(after: open)..<close].split(separator: ",").map {
                    String($0.filter { $0 != " " })
                }
                found.append(Requirement(String(words[0]), part.contains("notin") ? .notIn : .in, values))
            } else if let range = part.firstRange(of: "!=") {
                found.append(
                    Requirement(trimmed(part[..<range.lowerBound]), .notIn, [trimmed(part[range.upperBound...])]))
            } else if let range = part.firstRange(of: "=") {
                let value = trimmed(part[range.upperBound...])
                found.append(
                    Requirement(
                        trimmed(part[..<range.lowerBound]), .in,
                        [value.hasPrefix("=") ? String(value.dropFirst()) : value]))
            } else if words[0].hasPrefix("!") {
                found.append(Requirement(String(words[0].dropFirst()), .doesNotExist))
            } else {
                found.append(Requirement(String(words[0]), .exists))
            }
        }
        return found
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.filter { $0 != " " })
    }
}

extension LabelSelector {
    /// From a `selector` with `matchLabels` and `matchExpressions`; nil where there is none (matches nothing).
    init?(json: JSONValue?) {
        guard let json, json.objectValue != nil else { return nil }
        var requirements: [Requirement] = []
        for (key, value) in json["matchLabels"]?.stringMembers ?? [:] {
            requirements.append(Requirement(key, .in, [value]))
        }
        for expression in json["matchExpressions"]?.arrayValue ?? [] {
            if let requirement = Requirement(json: expression) { requirements.append(requirement) }
        }
        self.init(requirements)
    }

    /// From a plain map, as ReplicationControllers have it.
    init(map: [String: String]) {
        self.init(map.map { Requirement($0.key, .in, [$0.value]) })
    }

    /// As `status.selector` of a Scale: `app=web,tier=front`.
    var text: String {
        requirements.map { requirement in
            switch requirement.operator {
            case .in where requirement.values.count == 1: return "\(requirement.key)=\(requirement.values[0])"
            case .in: return "\(requirement.key) in (\(requirement.values.joined(separator: ",")))"
            case .notIn: return "\(requirement.key) notin (\(requirement.values.joined(separator: ",")))"
            case .doesNotExist: return "!\(requirement.key)"
            default: return requirement.key
            }
        }.sorted().joined(separator: ",")
    }
}

extension Requirement {
    /// From `{"key","operator","values"}`.
    init?(json: JSONValue) {
        guard let key = json["key"]?.stringValue,
            let comparison = json["operator"]?.stringValue.flatMap({ Operator(rawValue: $0) })
        else { return nil }
        self.init(key, comparison, json["values"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    }
}
