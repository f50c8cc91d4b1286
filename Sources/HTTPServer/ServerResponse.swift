/// A complete answer.
public struct ServerResponse: Sendable {
    /// The status code.
    public var status: Int
    /// Header fields. Length, connection and date are the server's; a field that would break the head is left out.
    public var headers: [(String, String)]
    /// The body; not sent for `HEAD`.
    public var body: [UInt8]

    /// From its parts.
    public init(status: Int, headers: [(String, String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Plain text with status 200.
    public static func text(_ text: String) -> ServerResponse {
        .text(200, text)
    }

    /// Plain text.
    public static func text(
        _ status: Int, _ text: String, type: String = "text/plain; charset=utf-8"
    ) -> ServerResponse {
        ServerResponse(status: status, headers: [("Content-Type", type)], body: Array(text.utf8))
    }

    /// JSON text with status 200.
    public static func json(_ text: String) -> ServerResponse {
        .json(200, Array(text.utf8))
    }

    /// JSON text.
    public static func json(_ status: Int, _ text: String, headers: [(String, String)] = []) -> ServerResponse {
        .json(status, Array(text.utf8), headers: headers)
    }

    /// JSON bytes with status 200.
    public static func json(_ body: [UInt8]) -> ServerResponse {
        .json(200, body)
    }

    /// JSON bytes.
    public static func json(_ status: Int, _ body: [UInt8], headers: [(String, String)] = []) -> ServerResponse {
        ServerResponse(status: status, headers: [("Content-Type", "application/json")] + headers, body: body)
    }
}

/// What a handler answers.
public enum ServerReply: Sendable {
    /// All at once.
    case response(ServerResponse)
    /// A body of unknown length, sent in chunks as the source gets them: watches.
    case stream(status: Int, headers: [(String, String)], StreamSource)
    /// The connection is closed without a word: for practising faults.
    case hangUp
}

/// What went wrong with a server.
public struct HTTPServerError: Error, Sendable, CustomStringConvertible {
    /// The kinds.
    public enum Code: String, Sendable {
        /// The address is taken, not ours, or not an address.
        case address
        /// A key or certificate cannot be used.
        case tls
        /// The library refused to start.
        case start
        /// A request made by hand is malformed.
        case badRequest
    }

    /// The kind.
    public let code: Code
    /// What and where, for people.
    public let detail: String

    init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    /// An address may become free; the rest stays wrong.
    public var isRetriable: Bool { code == .address }

    /// For people.
    public var description: String { detail }
}
