import Support

/// What a template of a webhook may name: `{{node}}`.
public enum NoticeVariable: String, Sendable, CaseIterable {
    /// Name of the node.
    case node
    /// The node group.
    case group
    /// The reason, one word of `Reason`.
    case reason
    /// The reason's particulars.
    case detail
    /// How far the removal has come, a `RemovalPhase`.
    case phase
    /// When this phase must have ended, RFC 3339.
    case deadline
    /// The cluster.
    case cluster
    /// Id of the removal.
    case removal
}

/// Text with places for the values of a notice, such as the body of a webhook: `{"text": "{{node}}: {{phase}}"}`.
///
/// Values are escaped as the content type needs it, so no name or message of anybody can break out of its place. Two
/// opening braces always begin a place; there is nothing else to learn: no conditions, no loops.
public struct NoticeTemplate: Sendable, Hashable {
    /// How values are written.
    public enum Escaping: Sendable, Hashable, CaseIterable {
        /// Inside a JSON string.
        case json
        /// Percent-encoded, for forms.
        case form
        /// XML and HTML, text and attributes.
        case markup
        /// As it is, control characters but line breaks and tabs left out.
        case plain

        /// As a content type needs it; its parameters do not matter.
        public init(contentType: String) {
            let type = contentType.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
            if type == "application/json" || type.hasSuffix("+json") {
                self = .json
            } else if type == "application/x-www-form-urlencoded" {
                self = .form
            } else if type == "text/html" || type.hasSuffix("/xml") || type.hasSuffix("+xml") {
                self = .markup
            } else {
                self = .plain
            }
        }
    }

    /// What is wrong with a template.
    public struct Mistake: Error, Sendable, Hashable, CustomStringConvertible {
        /// Line within the template, from 1.
        public var line: Int
        /// What is wrong there.
        public var what: String

        /// Never: the text must change.
        public var isRetriable: Bool { false }

        /// `line 2 of it: {{nod}} is not known`.
        public var description: String { "line \(line) of it: \(what)" }
    }

    private enum Part: Sendable, Hashable {
        case text(String)
        case value(NoticeVariable)
    }

    /// How values are written.
    public let escaping: Escaping
    private let parts: [Part]

    /// Nothing.
    public static let empty = NoticeTemplate()

    private init() {
        escaping = .plain
        parts = []
    }

    /// Reads a template.
    public init(_ text: String, escaping: Escaping) throws(Mistake) {
        self.escaping = escaping
        var parts: [Part] = []
        var rest = Substring(text)
        var line = 1
        func lines(_ text: Substring) -> Int { text.utf8.count { $0 == 10 } }
        while let open = rest.firstRange(of: "{{") {
            let before = rest[..<open.lowerBound]
            line += lines(before)
            if !before.isEmpty { parts.append(.text(String(before))) }
            rest = rest[open.upperBound...]
            guard let close = rest.firstRange(of: "}}") else {
                throw Mistake(line: line, what: "{{ without }}")
            }
            let name = rest[..<close.lowerBound].filter { $0 != " " }
            guard let variable = NoticeVariable(rawValue: name) else {
                let known = NoticeVariable.allCases.map { "{{\($0.rawValue)}}" }.joined(separator: ", ")
                throw Mistake(line: line, what: "{{\(name.prefix(60))}} is not known; there are \(known)")
            }
            parts.append(.value(variable))
            rest = rest[close.upperBound...]
        }
        if !rest.isEmpty { parts.append(.text(String(rest))) }
        self.parts = parts
    }

    /// The text with the values in their places. A value that is missing is empty.
    public func filled(_ values: [NoticeVariable: String]) -> String {
        var text = ""
        for part in parts {
            switch part {
            case .text(let own): text += own
            case .value(let variable): text += escaping.escaped(values[variable] ?? "")
            }
        }
        return text
    }
}

extension NoticeTemplate.Escaping {
    /// A value as it goes into the text.
    public func escaped(_ value: String) -> String {
        switch self {
        case .json: NoticeTemplate.Escaping.json(value)
        case .form: PercentEncoding.encode(value)
        case .markup:
            NoticeTemplate.Escaping.printable(value).replacing("&", with: "&amp;").replacing("<", with: "&lt;")
                .replacing(">", with: "&gt;").replacing("\"", with: "&quot;").replacing("'", with: "&#39;")
        case .plain: NoticeTemplate.Escaping.printable(value)
        }
    }

    private static func hex(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    private static func json(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 32 || scalar.value == 127: text += "\\u" + hex(scalar.value, digits: 4)
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }

    private static func printable(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars
        where scalar.value >= 32 && scalar.value != 127 || scalar == "\n" || scalar == "\t" {
            text.unicodeScalars.append(scalar)
        }
        return text
    }
}
