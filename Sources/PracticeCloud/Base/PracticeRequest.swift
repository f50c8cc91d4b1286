import JSONReader
import Support

/// A request as the models see it: no sockets, headers by lower-case name.
struct PracticeRequest: Sendable {
    var method: String
    var path: String
    var query: [(String, String)] = []
    var headers: [String: String] = [:]
    var body: [UInt8] = []

    /// The path cut at its slashes, empty parts left out.
    var segments: [String] { path.split(separator: "/").map(String.init) }

    /// The first value of a query parameter.
    func parameter(_ name: String) -> String? {
        query.first { $0.0 == name }?.1
    }

    /// A query parameter that is on by `1`, `true` or an empty value.
    func flag(_ name: String) -> Bool {
        guard let value = parameter(name)?.lowercased() else { return false }
        return value == "" || value == "1" || value == "true"
    }

    /// The body as JSON; an empty body is an empty object.
    func json() throws(JSONError) -> JSONValue {
        body.isEmpty ? .object([:]) : try JSONValue.parse(body)
    }
}

/// An answer of the models.
struct PracticeAnswer: Sendable {
    var status: Int
    var headers: [(String, String)] = []
    var body: [UInt8] = []

    /// A JSON answer.
    static func json(_ status: Int, _ value: JSONValue, headers: [(String, String)] = []) -> PracticeAnswer {
        PracticeAnswer(
            status: status, headers: [("Content-Type", "application/json")] + headers, body: value.bytes)
    }

    /// A JSON answer from bytes that are JSON already.
    static func json(_ status: Int, bytes: [UInt8]) -> PracticeAnswer {
        PracticeAnswer(status: status, headers: [("Content-Type", "application/json")], body: bytes)
    }

    /// A plain text answer.
    static func text(_ status: Int, _ text: String, headers: [(String, String)] = []) -> PracticeAnswer {
        PracticeAnswer(
            status: status, headers: [("Content-Type", "text/plain; charset=UTF-8")] + headers,
            body: Array(text.utf8))
    }
}

extension Timestamp {
    /// Whole seconds as Kubernetes and OpenStack write them: `2026-11-23T21:39:41Z`.
    var wholeSeconds: String { String(rfc3339.prefix(19)) + "Z" }

    /// Without a zone, as Heat keys its cooldown: `2026-11-23T21:02:55.082163`.
    var withoutZone: String { String(rfc3339.prefix(26)) }
}

extension JSONValue {
    /// The object with members that are null in Swift left out.
    static func members(_ pairs: [(String, JSONValue?)]) -> JSONValue {
        var fields: [String: JSONValue] = [:]
        for (name, value) in pairs { if let value { fields[name] = value } }
        return .object(fields)
    }

    /// The value down a path.
    func at(_ path: [String]) -> JSONValue? {
        var value: JSONValue? = self
        for key in path { value = value?[key] }
        return value
    }

    /// Sets (or, with nil, removes) the value down a path; objects on the way are made as needed.
    mutating func set(_ path: String..., to value: JSONValue?) {
        set(path[...], to: value)
    }

    private mutating func set(_ path: ArraySlice<String>, to value: JSONValue?) {
        guard let key = path.first else {
            self = value ?? .null
            return
        }
        guard path.count > 1 else {
            self[key] = value
            return
        }
        var inner = self[key] ?? .object([:])
        // Taken out while it changes: otherwise it has two owners and is copied.
        self[key] = .null
        inner.set(path.dropFirst(), to: value)
        self[key] = inner
    }

    /// String members of an object, others left out: labels, annotations.
    var stringMembers: [String: String] {
        guard let members = objectValue else { return [:] }
        return members.compactMapValues(\.stringValue)
    }

    /// An object of strings.
    static func strings(_ values: [String: String]) -> JSONValue {
        .object(values.mapValues { .string($0) })
    }
}
