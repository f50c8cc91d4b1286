/// Header fields of a request: ordered, looked up without regard to case.
public struct ServerHeaders: Sendable {
    /// The fields as they came.
    public let entries: [(name: String, value: String)]

    /// From name and value pairs.
    public init(_ entries: [(name: String, value: String)] = []) {
        self.entries = entries
    }

    /// The first value of a field; nil if it is absent.
    public subscript(name: String) -> String? {
        let wanted = name.utf8
        return entries.first { Self.same($0.name.utf8, wanted) }?.value
    }

    /// ASCII comparison: header names are tokens (RFC 9110 §5.1), and `lowercased()` per lookup would cost a copy.
    private static func same(_ left: String.UTF8View, _ right: String.UTF8View) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { one, other in
                one == other || (one ^ other == 0x20 && (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(one | 0x20))
            }
    }
}

/// One request, complete: the handler is called when all of the body is in.
public struct ServerRequest: Sendable {
    /// The method as sent: `GET`, `PATCH`, …
    public let method: String
    /// The request target as sent, still encoded.
    public let target: String
    /// The path, decoded, without the query; always starts with `/` (or is `*`).
    public let path: String
    /// The query's names and values, decoded, in order.
    public let query: [(name: String, value: String)]
    /// The header fields.
    public let headers: ServerHeaders
    /// The whole body; empty if there was none.
    public let body: [UInt8]
    /// The peer's address without port: `127.0.0.1`, `::1`.
    public let remote: String
    /// The subject of the client certificate (RFC 4514), when the server asks for one and this one was verified.
    public let clientSubject: String?

    /// For tests of handlers without a server.
    public init(
        method: String, target: String, headers: ServerHeaders = ServerHeaders(), body: [UInt8] = [],
        remote: String = "127.0.0.1", clientSubject: String? = nil
    ) throws(HTTPServerError) {
        guard let parsed = RequestTarget(target) else {
            throw HTTPServerError(.badRequest, "malformed request target")
        }
        self.init(
            method: method, target: parsed, headers: headers, body: body, remote: remote, clientSubject: clientSubject)
    }

    init(
        method: String, target: RequestTarget, headers: ServerHeaders, body: [UInt8], remote: String,
        clientSubject: String?
    ) {
        self.method = method
        self.target = target.text
        self.path = target.path
        self.query = target.query
        self.headers = headers
        self.body = body
        self.remote = remote
        self.clientSubject = clientSubject
    }

    /// The first value of a query parameter; empty text for one without value, nil if it is absent.
    public subscript(query name: String) -> String? {
        query.first { $0.name == name }?.value
    }
}
