/// A place in a document, counted from 1.
public struct YAMLPosition: Sendable, Hashable, Comparable {
    /// The line, from 1.
    public let line: Int
    /// The column, from 1.
    public let column: Int

    /// From line and column, both from 1.
    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    /// Earlier in the document.
    public static func < (left: YAMLPosition, right: YAMLPosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// A scalar as written.
public struct YAMLScalar: Sendable, Hashable {
    /// The text, with quotes and escapes resolved.
    public let text: String
    /// Written without quotes and not as a block: only then can it mean null, a bool or a number.
    public let isPlain: Bool
    /// Where it starts.
    public let position: YAMLPosition

    /// A scalar that stands in no document: a value from elsewhere that is to mean what it would mean in one.
    public init(text: String, isPlain: Bool = true, position: YAMLPosition = YAMLPosition(line: 1, column: 1)) {
        self.text = text
        self.isPlain = isPlain
        self.position = position
    }
}

/// A sequence.
public struct YAMLSequence: Sendable, Hashable {
    /// The items in order.
    public let items: [YAMLNode]
    /// Where it starts.
    public let position: YAMLPosition
}

/// A mapping: keys are scalars and each occurs once.
public struct YAMLMapping: Sendable, Hashable {
    /// One key and its value.
    public struct Entry: Sendable, Hashable {
        /// The key's text.
        public let key: String
        /// Where the key starts.
        public let keyPosition: YAMLPosition
        /// The value.
        public let value: YAMLNode
    }

    /// The entries in the order they were written.
    public let entries: [Entry]
    /// Where it starts.
    public let position: YAMLPosition

    /// The value of a key, nil if it is absent.
    public subscript(key: String) -> YAMLNode? {
        entries.first { $0.key == key }?.value
    }
}

/// One node of a document.
public indirect enum YAMLNode: Sendable, Hashable {
    /// Text, number, bool or null.
    case scalar(YAMLScalar)
    /// `- item` or `[item]`.
    case sequence(YAMLSequence)
    /// `key: value` or `{key: value}`.
    case mapping(YAMLMapping)

    /// Where it starts.
    public var position: YAMLPosition {
        switch self {
        case .scalar(let scalar): scalar.position
        case .sequence(let sequence): sequence.position
        case .mapping(let mapping): mapping.position
        }
    }

    /// The line it starts on, from 1.
    public var line: Int { position.line }

    /// The column it starts at, from 1.
    public var column: Int { position.column }

    /// `a mapping`, `a list`, `null`, `a bool`, `a number` or `text`: for messages.
    public var kind: String {
        switch self {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .scalar:
            isNull ? "null" : bool != nil ? "a bool" : double != nil ? "a number" : "text"
        }
    }

    /// A mapping's value for a key; nil if this is no mapping or has no such key.
    public subscript(key: String) -> YAMLNode? {
        mapping?[key]
    }

    /// The mapping, nil if this is none.
    public var mapping: YAMLMapping? {
        if case .mapping(let mapping) = self { mapping } else { nil }
    }

    /// The items of a sequence, nil if this is none.
    public var items: [YAMLNode]? {
        if case .sequence(let sequence) = self { sequence.items } else { nil }
    }

    /// The scalar, nil if this is none.
    public var scalar: YAMLScalar? {
        if case .scalar(let scalar) = self { scalar } else { nil }
    }

    /// The text of any scalar but null: `12` gives `"12"`.
    public var string: String? {
        guard case .scalar(let scalar) = self, !isNull else { return nil }
        return scalar.text
    }

    private var plain: String? {
        guard case .scalar(let scalar) = self, scalar.isPlain else { return nil }
        return scalar.text
    }

    /// A plain `null`, `~` or nothing at all.
    public var isNull: Bool {
        switch plain {
        case "", "~", "null", "Null", "NULL": true
        default: false
        }
    }

    /// A plain `true` or `false`. `yes` and `on` are text, as in YAML 1.2.
    public var bool: Bool? {
        switch plain {
        case "true", "True", "TRUE": true
        case "false", "False", "FALSE": false
        default: nil
        }
    }

    /// A plain whole number: decimal, `0x…` or `0o…`, within 64 bits.
    public var int: Int? {
        guard let plain else { return nil }
        if plain.hasPrefix("0x") { return Int(plain.dropFirst(2), radix: 16) }
        if plain.hasPrefix("0o") { return Int(plain.dropFirst(2), radix: 8) }
        return Int(plain)
    }

    /// A plain finite number.
    public var double: Double? {
        if let int { return Double(int) }
        // `Double` also reads `inf`, `nan` and hexadecimal floats, which nobody means.
        guard let plain, plain.utf8.allSatisfy({ Self.numeric.contains($0) }), let value = Double(plain),
            value.isFinite
        else { return nil }
        return value
    }

    private static let numeric = Set("0123456789+-.eE".utf8)
}
