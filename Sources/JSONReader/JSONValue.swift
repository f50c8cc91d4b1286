/// A whole JSON document as one value. For small documents: large ones are read with `JSONReader`.
public enum JSONValue: Sendable, Hashable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number without fraction and exponent that fits 64 bits.
    case int(Int64)
    /// Any other number.
    case double(Double)
    /// A string.
    case string(String)
    /// An array.
    case array([JSONValue])
    /// An object; of a repeated key the last counts.
    case object([String: JSONValue])

    /// Reads a whole document.
    public static func parse(_ bytes: [UInt8], maximumDepth: Int = 128) throws(JSONError) -> JSONValue {
        try JSONReader.read(bytes, maximumDepth: maximumDepth) { (reader) throws(JSONError) in try reader.value() }
    }

    /// Reads a whole document.
    public static func parse(_ text: String, maximumDepth: Int = 128) throws(JSONError) -> JSONValue {
        try parse(Array(text.utf8), maximumDepth: maximumDepth)
    }

    /// The value of a key; nil if this is no object or has no such key. Setting makes an object of anything else.
    public subscript(key: String) -> JSONValue? {
        get {
            guard case .object(let members) = self else { return nil }
            return members[key]
        }
        set {
            guard case .object(var members) = self else {
                self = .object(newValue.map { [key: $0] } ?? [:])
                return
            }
            // Emptied first: otherwise the dictionary has two owners and each assignment copies it.
            self = .null
            members[key] = newValue
            self = .object(members)
        }
    }

    /// The element at `index`; nil if this is no array or is shorter.
    public subscript(index: Int) -> JSONValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// The value down a path of keys; nil where it breaks off.
    public subscript(path first: String, _ rest: String...) -> JSONValue? {
        rest.reduce(self[first]) { $0?[$1] }
    }

    /// The text, if this is a string.
    public var stringValue: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The number, if this is a whole one; a double without fraction counts.
    public var intValue: Int64? {
        switch self {
        case .int(let number): return number
        case .double(let number): return Int64(exactly: number)
        default: return nil
        }
    }

    /// The number, if this is one.
    public var doubleValue: Double? {
        switch self {
        case .int(let number): return Double(number)
        case .double(let number): return number
        default: return nil
        }
    }

    /// The truth value, if this is one.
    public var boolValue: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    /// The elements, if this is an array.
    public var arrayValue: [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The members, if this is an object.
    public var objectValue: [String: JSONValue]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    /// True for `null`.
    public var isNull: Bool { self == .null }

    /// Compact JSON, keys sorted, so that equal values have equal bytes.
    public var bytes: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }

    /// Compact JSON text, keys sorted.
    public var text: String { String(decoding: bytes, as: UTF8.self) }
}

extension JSONReader {
    /// Reads the next value whole.
    public mutating func value() throws(JSONError) -> JSONValue {
        switch try kind() {
        case .null:
            _ = try isNull()
            return .null
        case .bool: return .bool(try bool())
        case .string: return .string(try string())
        case .number: return try numberValue()
        case .array:
            var elements: [JSONValue] = []
            try array { (reader) throws(JSONError) in elements.append(try reader.value()) }
            return .array(elements)
        case .object:
            var members: [String: JSONValue] = [:]
            try object { (reader, key) throws(JSONError) in members[key.text] = try reader.value() }
            return .object(members)
        }
    }

    private mutating func numberValue() throws(JSONError) -> JSONValue {
        let start = position
        if let whole = try? int() { return .int(whole) }
        position = start
        return .double(try double())
    }
}

extension JSONValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// `null`.
    public init(nilLiteral: ()) { self = .null }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A whole number.
    public init(integerLiteral value: Int64) { self = .int(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An array.
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    /// An object; of a repeated key the last counts.
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
}
