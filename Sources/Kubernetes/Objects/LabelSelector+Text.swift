import Messages

extension LabelSelector {
    /// Longer ones are nobody's.
    private static let longestText = 20_000

    /// Reads a selector in text form, as `kubectl -l` and `status.selector` of a `scale` have it: `app=web,tier in (a,b),!old`.
    /// Nil where it is none; also for the empty text, which would mean every pod.
    public init?(text: String) {
        guard !text.isEmpty, text.utf8.count <= Self.longestText else { return nil }
        var requirements: [Requirement] = []
        for part in Self.split(text) {
            guard let requirement = Self.requirement(part) else { return nil }
            requirements.append(requirement)
        }
        self.init(requirements)
    }

    /// The selector in text form, as queries of the API have it; empty where it chooses all. Its keys and values hold nothing that
    /// would make another selector of it, where whoever read it has looked.
    public var text: String {
        requirements.sorted { ($0.key, $0.values.count) < ($1.key, $1.values.count) }.map { requirement in
            let values = requirement.values.sorted().joined(separator: ",")
            return switch requirement.operator {
            case .in:
                requirement.values.count == 1 ? "\(requirement.key)=\(values)" : "\(requirement.key) in (\(values))"
            case .notIn: "\(requirement.key) notin (\(values))"
            case .exists: requirement.key
            case .doesNotExist: "!\(requirement.key)"
            case .greaterThan: "\(requirement.key)>\(values)"
            case .lessThan: "\(requirement.key)<\(values)"
            }
        }.joined(separator: ",")
    }

    /// At commas that are in no brackets.
    private static func split(_ text: String) -> [Substring] {
        var parts: [Substring] = []
        var start = text.startIndex
        var isInside = false
        for index in text.indices {
            switch text[index] {
            case "(": isInside = true
            case ")": isInside = false
            case "," where !isInside:
                parts.append(text[start..<index])
                start = text.index(after: index)
            default: break
            }
        }
        parts.append(text[start...])
        return parts
    }

    private static func requirement(_ text: Substring) -> Requirement? {
        let text = trimmed(text)
        if text.hasPrefix("!"), let key = word(text.dropFirst()), !key.isEmpty {
            return Requirement(key, .doesNotExist)
        }
        for (sign, operation) in [("!=", Requirement.Operator.notIn), ("==", .in), ("=", .in)] {
            guard let place = place(of: sign, in: text) else { continue }
            guard let key = word(text[..<place.lowerBound]), !key.isEmpty, let value = word(text[place.upperBound...])
            else { return nil }
            return Requirement(key, operation, [value])
        }
        guard let open = text.firstIndex(of: "(") else {
            return word(text).flatMap { $0.isEmpty ? nil : Requirement($0, .exists) }
        }
        guard text.last == ")" else { return nil }
        let head = text[..<open].split(separator: " ")
        guard head.count == 2, let key = word(head[0]), let operation = set[String(head[1])] else { return nil }
        var values: [String] = []
        for item in text[text.index(after: open)...].dropLast().split(separator: ",", omittingEmptySubsequences: false)
        {
            guard let value = word(item) else { return nil }
            values.append(value)
        }
        return Requirement(key, operation, values)
    }

    private static let set: [String: Requirement.Operator] = ["in": .in, "notin": .notIn]

    private static func place(of sign: String, in text: Substring) -> Range<Substring.Index>? {
        var index = text.startIndex
        while index < text.endIndex {
            if text[index...].hasPrefix(sign) { return index..<text.index(index, offsetBy: sign.count) }
            index = text.index(after: index)
        }
        return nil
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }

    /// A key or a value: letters, digits, and what may stand between.
    private static func word(_ text: Substring) -> String? {
        let text = trimmed(text)
        let isPlain = text.utf8.allSatisfy { byte in
            (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x2D || byte == 0x5F || byte == 0x2E
                || byte == 0x2F
        }
        return isPlain ? String(text) : nil
    }
}
