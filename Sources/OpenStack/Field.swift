import JSONReader
import Support

/// A value of an answer that knows where it stands, so that each surprise is an error naming call and JSON path.
struct Field {
    let call: String
    let path: String
    let value: JSONValue

    /// The document of an answer.
    static func root(_ body: [UInt8], call: String) throws(OpenStackError) -> Field {
        do throws(JSONError) {
            return Field(call: call, path: "", value: try JSONValue.parse(body))
        } catch {
            throw OpenStackError(.malformed, call: call, message: "the answer is not JSON: \(error)")
        }
    }

    func malformed(_ what: String) -> OpenStackError {
        OpenStackError(.malformed, call: call, message: "the answer's \(path.isEmpty ? "document" : path) \(what)")
    }

    private func child(_ key: String, _ value: JSONValue) -> Field {
        Field(call: call, path: path.isEmpty ? key : "\(path).\(key)", value: value)
    }

    /// The member of that name; null counts as absent.
    func optional(_ key: String) throws(OpenStackError) -> Field? {
        guard case .object(let members) = value else { throw malformed("is not an object") }
        guard let member = members[key], !member.isNull else { return nil }
        return child(key, member)
    }

    /// The member of that name, which must be there.
    func member(_ key: String) throws(OpenStackError) -> Field {
        guard let member = try optional(key) else { throw child(key, .null).malformed("is missing") }
        return member
    }

    /// All members of an object.
    func members() throws(OpenStackError) -> [(name: String, field: Field)] {
        guard case .object(let members) = value else { throw malformed("is not an object") }
        return members.sorted { $0.key < $1.key }.map { ($0.key, child($0.key, $0.value)) }
    }

    /// The elements of an array.
    func elements() throws(OpenStackError) -> [Field] {
        guard case .array(let elements) = value else { throw malformed("is not an array") }
        return elements.enumerated().map { Field(call: call, path: "\(path)[\($0.offset)]", value: $0.element) }
    }

    func string() throws(OpenStackError) -> String {
        guard case .string(let text) = value else { throw malformed("is not a string") }
        return text
    }

    func bool() throws(OpenStackError) -> Bool {
        guard case .bool(let truth) = value else { throw malformed("is not a boolean") }
        return truth
    }

    /// A whole number; also one in quotes, which Nova and Heat write here and there.
    func int() throws(OpenStackError) -> Int {
        if let number = value.intValue ?? value.stringValue.flatMap(Int64.init), let int = Int(exactly: number) {
            return int
        }
        throw malformed("is not a whole number")
    }

    /// A time in UTC, with or without zone and fraction.
    func time() throws(OpenStackError) -> Timestamp {
        guard let time = Timestamp(try string()) else { throw malformed("is not a time") }
        return time
    }

    func string(_ key: String) throws(OpenStackError) -> String { try member(key).string() }
    func int(_ key: String) throws(OpenStackError) -> Int { try member(key).int() }
    func optionalString(_ key: String) throws(OpenStackError) -> String? { try optional(key)?.string() }
    func optionalInt(_ key: String) throws(OpenStackError) -> Int? { try optional(key)?.int() }
    func optionalTime(_ key: String) throws(OpenStackError) -> Timestamp? { try optional(key)?.time() }

    /// The elements of the array under `key`, each decoded.
    func list<Element>(
        _ key: String, _ decode: (Field) throws(OpenStackError) -> Element
    ) throws(OpenStackError) -> [Element] {
        var list: [Element] = []
        for element in try member(key).elements() { list.append(try decode(element)) }
        return list
    }

    /// An object of strings; numbers and booleans are written out, null is empty.
    func strings() throws(OpenStackError) -> [String: String] {
        var strings: [String: String] = [:]
        for (name, field) in try members() {
            strings[name] = field.value.stringValue ?? (field.value.isNull ? "" : field.value.text)
        }
        return strings
    }
}
