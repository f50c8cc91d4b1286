/// Why an exchange gave no answer. Holds no secret: neither user name and password nor the query of the URL.
public struct HTTPError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure it was.
    public enum Code: String, Sendable {
        /// The connect or total timeout passed.
        case timedOut
        /// No byte came or went for `HTTPTimeouts.stall`.
        case stalled
        /// No connection: refused, unreachable.
        case refused
        /// The host name is not known.
        case resolve
        /// Handshake or certificate: wrong CA, wrong name, expired, client certificate missing or unreadable.
        case tls
        /// The answer is larger than `HTTPRequest.maximumResponseBytes`, or its header is beyond reason.
        case tooLarge
        /// A line is longer than the limit given to `HTTPClient.lines`.
        case lineTooLong
        /// The task was cancelled.
        case cancelled
        /// What came is not HTTP.
        case protocolError
        /// The URL is malformed or neither `http` nor `https`.
        case invalidURL
        /// The request cannot be sent as it is, e.g. a line break in a header value.
        case invalidRequest
        /// The connection ended before the answer was complete.
        case closed
        /// Too many requests wait, or too many streams are open, in this client.
        case overloaded
        /// `HTTPClient.close` was called.
        case clientClosed
    }

    /// What kind of failure it was.
    public let code: Code
    /// The URL without user name, password, query and fragment.
    public let url: String
    /// The particulars, for people.
    public let detail: String
    /// Whether it is certain that the server never saw the request, so that even a POST may be sent again.
    public let isUnsent: Bool
    /// The status of an answer of which only the body could not be taken (`tooLarge`, `lineTooLong`).
    public let status: Int?

    /// An error for `url`, which is stripped of its secrets here.
    public init(_ code: Code, url: String, detail: String, isUnsent: Bool = false, status: Int? = nil) {
        self.code = code
        self.url = HTTPError.withoutSecrets(url)
        self.detail = detail
        self.isUnsent = isUnsent
        self.status = status
    }

    /// Whether the same request may well succeed a little later.
    public var isRetriable: Bool {
        switch code {
        case .timedOut, .stalled, .refused, .resolve, .closed, .protocolError, .overloaded: true
        case .tls, .tooLarge, .lineTooLong, .cancelled, .invalidURL, .invalidRequest, .clientClosed: false
        }
    }

    /// `refused: http://127.0.0.1:1/healthz: Failed to connect to 127.0.0.1 port 1 after 0 ms: Couldn't connect to server`
    public var description: String {
        "\(code.rawValue): \(url): \(detail)"
    }

    /// `url` without user name, password, query and fragment, cut to a length that fits a log line.
    static func withoutSecrets(_ url: String) -> String {
        var text = Substring(url)
        if let end = text.firstIndex(where: { $0 == "?" || $0 == "#" }) { text = text[..<end] }
        // The authority ends at the first slash after "//"; what stands before its last "@" is user and password.
        // Without "//" (malformed), anything before an "@" is dropped: better too little than a password.
        let scheme: Substring
        var rest: Substring
        if let slashes = text.firstRange(of: "//") {
            scheme = text[..<slashes.upperBound]
            rest = text[slashes.upperBound...]
        } else {
            scheme = ""
            rest = text
        }
        let authorityEnd = rest.firstIndex(of: "/") ?? rest.endIndex
        let authority = rest[..<authorityEnd]
        if let at = authority.lastIndex(of: "@") {
            rest = rest[rest.index(after: at)...]
        }
        return scheme + String(rest.prefix(512))
    }
}
