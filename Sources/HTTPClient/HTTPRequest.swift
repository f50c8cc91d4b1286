import Support

/// The request methods that the services use.
public enum HTTPMethod: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case patch = "PATCH"
    case delete = "DELETE"

    /// Whether sending twice has the effect of sending once (RFC 9110 §9.2.2), so that a retry is always allowed.
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete: true
        case .post, .patch: false
        }
    }
}

/// How long each phase of an exchange may take.
public struct HTTPTimeouts: Sendable, Equatable {
    /// Name lookup, TCP and TLS handshake.
    public var connect: Interval
    /// One attempt from the call to the last byte, with the wait for a free slot; nil: no limit.
    /// For `HTTPClient.lines` until the response head is in.
    public var total: Interval?
    /// The longest time without a byte in either direction; nil: no limit. A reader that is slow itself is not a stall.
    public var stall: Interval?

    /// Timeouts as given.
    public init(connect: Interval = .seconds(10), total: Interval? = .seconds(60), stall: Interval? = nil) {
        self.connect = connect
        self.total = total
        self.stall = stall
    }

    /// 10 s to connect, 60 s in all.
    public static let standard = HTTPTimeouts()
}

/// One HTTP request.
public struct HTTPRequest: Sendable {
    /// The method.
    public var method: HTTPMethod
    /// An absolute `http` or `https` URL, already percent-encoded.
    public var url: String
    /// Header fields. `Host`, `Content-Length` and `User-Agent` are made by the client.
    public var headers: HTTPHeaders
    /// The body; nil sends none.
    public var body: [UInt8]?
    /// How long it may take.
    public var timeouts: HTTPTimeouts
    /// The largest body accepted in the answer, in bytes. A larger one fails with `HTTPError.Code.tooLarge`.
    public var maximumResponseBytes: Int
    /// What is tried again, and how often.
    public var retry: RetryPolicy

    /// A request.
    public init(
        _ method: HTTPMethod = .get,
        _ url: String,
        headers: HTTPHeaders = [:],
        body: [UInt8]? = nil,
        timeouts: HTTPTimeouts = .standard,
        maximumResponseBytes: Int = 64 << 20,
        retry: RetryPolicy = .none
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeouts = timeouts
        self.maximumResponseBytes = maximumResponseBytes
        self.retry = retry
    }
}
