/// A value in a header or argument table.
public enum AMQPValue: Sendable, Hashable {
    /// No value.
    case null
    /// A boolean.
    case bool(Bool)
    /// A signed integer of any width.
    case int(Int64)
    /// A floating-point number.
    case double(Double)
    /// UTF-8 text.
    case string(String)
    /// Bytes, or text that is not UTF-8.
    case bytes([UInt8])
    /// Seconds since the Unix epoch.
    case timestamp(UInt64)
    /// A list.
    case array([AMQPValue])
    /// A nested table.
    case table([String: AMQPValue])

    /// The text of a `.string`.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number of an `.int`.
    public var int: Int64? {
        if case .int(let number) = self { number } else { nil }
    }
}

extension AMQPValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    /// `.string`.
    public init(stringLiteral value: String) { self = .string(value) }
    /// `.int`.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// `.bool`.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension AMQPValue {
    /// Nesting beyond this is cut off when reading what others sent.
    static let maximumDepth = 32

    /// An upper bound for the bytes the value takes in a frame.
    var encodedSize: Int {
        switch self {
        case .null, .bool: 2
        case .int, .double, .timestamp: 9
        case .string(let text): 5 + text.utf8.count
        case .bytes(let bytes): 5 + bytes.count
        case .array(let values): values.reduce(5) { $0 + $1.encodedSize }
        case .table(let table): Self.encodedSize(of: table)
        }
    }

    /// An upper bound for the bytes a table takes in a frame.
    static func encodedSize(of table: [String: AMQPValue]) -> Int {
        table.reduce(5) { $0 + 1 + $1.key.utf8.count + $1.value.encodedSize }
    }
}
