/// Status and header fields of an answer.
public struct HTTPResponseHead: Sendable, Equatable {
    /// The status code, 200…599.
    public var status: Int
    /// The header fields.
    public var headers: HTTPHeaders

    /// A head.
    public init(status: Int, headers: HTTPHeaders) {
        self.status = status
        self.headers = headers
    }
}

/// A whole answer. Every status is an answer, also 404 and 500.
public struct HTTPResponse: Sendable, Equatable {
    /// The status code, 200…599.
    public var status: Int
    /// The header fields.
    public var headers: HTTPHeaders
    /// The body.
    public var body: [UInt8]

    /// An answer.
    public init(status: Int, headers: HTTPHeaders = [:], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The body as text, bytes that are not UTF-8 replaced.
    public var text: String {
        String(decoding: body, as: UTF8.self)
    }
}
