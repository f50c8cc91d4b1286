import HTTPClient
import JSONReader
import Support

/// A client of one API server.
///
/// Credentials are renewed by themselves: a token file is read again as it is rotated, a credential plug-in runs again
/// when its token expires or is refused. Calls are retried only where a repetition has no second effect; watches and
/// lists are kept going by `Reflector`.
public final class KubernetesClient: Sendable {
    /// Where the server is and how one proves oneself.
    public let configuration: KubernetesConfiguration

    let credentials: CredentialSource
    let versions = Lock(ServerVersions())
    private let transport: Lock<Transport>
    private let userAgent: String
    private let maximumInFlight: Int
    private let requestTimeout: Interval

    /// The HTTP client of the TLS settings in use: a plug-in may hand out a new client certificate.
    private struct Transport {
        var tls: TLSSettings
        var http: HTTPClient
    }

    /// A client; nothing is sent yet.
    /// - Parameters:
    ///   - maximumInFlight: calls driven at once; the others wait in order.
    ///   - requestTimeout: how long a call may take that says nothing else.
    ///   - now: the clock by which credentials age.
    public init(
        _ configuration: KubernetesConfiguration, userAgent: String = "updraft", maximumInFlight: Int = 64,
        requestTimeout: Interval = .seconds(30), now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }
    ) {
        self.configuration = configuration
        self.userAgent = userAgent
        self.maximumInFlight = maximumInFlight
        self.requestTimeout = requestTimeout
        credentials = CredentialSource(configuration.authentication, now: now)
        transport = Lock(
            Transport(
                tls: configuration.tls,
                http: HTTPClient(tls: configuration.tls, maximumInFlight: maximumInFlight, userAgent: userAgent)))
    }

    /// How a call is sent.
    public struct Call: Sendable {
        /// The method.
        public var method: HTTPMethod
        /// The path, percent-encoded.
        public var path: String
        /// Query items, not yet encoded.
        public var query: [(String, String)]
        /// The body, if any.
        public var body: [UInt8]?
        /// Media type of the body.
        public var contentType: String
        /// Media type wanted.
        public var accept: String
        /// How long it may take; nil: as the client says.
        public var timeouts: HTTPTimeouts?
        /// The largest answer taken, in bytes.
        public var maximumResponseBytes: Int
        /// What is tried again.
        public var retry: RetryPolicy

        /// A call; JSON both ways unless said otherwise.
        public init(
            _ method: HTTPMethod, _ path: String, query: [(String, String)] = [], body: [UInt8]? = nil,
            contentType: String = "application/json", accept: String = "application/json",
            timeouts: HTTPTimeouts? = nil, maximumResponseBytes: Int = 64 << 20, retry: RetryPolicy = .standard
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.body = body
            self.contentType = contentType
            self.accept = accept
            self.timeouts = timeouts
            self.maximumResponseBytes = maximumResponseBytes
            self.retry = retry
        }

        /// For errors: method and path.
        var operation: String { "\(method.rawValue) \(path)" }
    }

    /// Sends a call and returns the answer if its status is 2xx.
    ///
    /// - Throws: what the server or the way to it says; a 401 only after the credential was renewed.
    public func request(_ call: Call) async throws(KubernetesError) -> HTTPResponse {
        var credential = try await credentials.current()
        var response = try await send(call, credential)
        if response.status == 401 {
            let renewed = try await credentials.current(rejected: credential)
            if renewed != credential {
                credential = renewed
                response = try await send(call, credential)
            }
        }
        guard (200..<300).contains(response.status) else {
            throw KubernetesError(response, operation: call.operation)
        }
        return response
    }

    /// Sends a call whose answer is a stream of lines; the head has been checked to be 2xx.
    func lines(_ call: Call, maximumLineBytes: Int) async throws(KubernetesError) -> HTTPLines {
        var credential = try await credentials.current()
        var stream = try await openLines(call, credential, maximumLineBytes)
        if stream.head.status == 401 {
            let renewed = try await credentials.current(rejected: credential)
            if renewed != credential {
                credential = renewed
                stream = try await openLines(call, credential, maximumLineBytes)
            }
        }
        guard (200..<300).contains(stream.head.status) else {
            let body = (try? await stream.remainingBody(limit: 1 << 20)) ?? []
            let response = HTTPResponse(status: stream.head.status, headers: stream.head.headers, body: body)
            throw KubernetesError(response, operation: call.operation)
        }
        return stream
    }

    /// Ends everything that is open.
    public func close() async {
        await transport.withLock { $0.http }.close()
    }

    /// The URL of a call: for other clients that talk to the same server.
    public func url(_ call: Call) -> String {
        configuration.server + call.path + PercentEncoding.query(call.query)
    }

    /// The `Authorization` header as it is now, for other servers that check it against this cluster (kubelets).
    public func authorization() async throws(KubernetesError) -> String? {
        try await credentials.current().authorization
    }

    private func send(
        _ call: Call, _ credential: CredentialSource.Current
    ) async throws(KubernetesError) -> HTTPResponse {
        do throws(HTTPError) {
            return try await http(for: credential).send(request(call, credential))
        } catch {
            throw KubernetesError(error, operation: call.operation)
        }
    }

    private func openLines(
        _ call: Call, _ credential: CredentialSource.Current, _ limit: Int
    ) async throws(KubernetesError) -> HTTPLines {
        do throws(HTTPError) {
            return try await http(for: credential).lines(request(call, credential), maximumLineBytes: limit)
        } catch {
            throw KubernetesError(error, operation: call.operation)
        }
    }

    private func request(_ call: Call, _ credential: CredentialSource.Current) -> HTTPRequest {
        var headers: HTTPHeaders = ["Accept": call.accept]
        if let authorization = credential.authorization { headers["Authorization"] = authorization }
        if call.body != nil { headers["Content-Type"] = call.contentType }
        return HTTPRequest(
            call.method, url(call), headers: headers, body: call.body,
            timeouts: call.timeouts ?? HTTPTimeouts(total: requestTimeout),
            maximumResponseBytes: call.maximumResponseBytes, retry: call.retry)
    }

    private func http(for credential: CredentialSource.Current) -> HTTPClient {
        var tls = configuration.tls
        if let certificate = credential.certificate {
            tls.clientCertificateData = certificate
            tls.clientKeyData = credential.key
        }
        let wanted = tls
        return transport.withLock { transport in
            if transport.tls != wanted {
                // The client before ends when its last call has.
                transport = Transport(
                    tls: wanted,
                    http: HTTPClient(tls: wanted, maximumInFlight: maximumInFlight, userAgent: userAgent))
            }
            return transport.http
        }
    }

    /// Decodes an answer.
    func decode<Value>(
        _ response: HTTPResponse, _ operation: String, _ body: (inout JSONReader) throws(JSONError) -> Value
    ) throws(KubernetesError) -> Value {
        do throws(JSONError) {
            return try JSONReader.read(response.body, body)
        } catch {
            throw KubernetesError(
                .malformed, operation: operation, message: "the answer is not what it should be: \(error)",
                status: response.status)
        }
    }
}
