import HTTPClient
import JSONReader
import Support

/// A client for the services of one cloud: login, catalogue, and typed calls to Heat and Nova.
public final class OpenStackClient: Sendable {
    /// One finished call, for metrics and logs.
    public struct CallRecord: Sendable {
        /// Service type: `orchestration`, `compute`.
        public let service: String
        /// The method.
        public let method: HTTPMethod
        /// The status; nil without an answer.
        public let status: Int?
        /// From the request to the answer.
        public let duration: Duration
    }

    /// How to reach the cloud.
    public let configuration: CloudConfiguration
    let http: HTTPClient
    let keeper: TokenKeeper
    /// Stack name or id → full identity, so that a name is looked up once.
    let identities = Lock<[String: StackID]>([:])
    private let onCall: (@Sendable (CallRecord) -> Void)?

    /// A client; nothing is sent before the first call.
    /// - Parameters:
    ///   - reload: reads the same settings anew, when Keystone refuses the login: another credential that stands there is
    ///     used from then on. What else changed there is not.
    ///   - onCall: told of each call to a service.
    public convenience init(
        _ configuration: CloudConfiguration,
        reload: (@Sendable () throws(OpenStackError) -> CloudConfiguration)? = nil,
        onCall: (@Sendable (CallRecord) -> Void)? = nil
    ) {
        self.init(configuration, reload: reload, onCall: onCall, now: { Timestamp.now() })
    }

    init(
        _ configuration: CloudConfiguration,
        reload: (@Sendable () throws(OpenStackError) -> CloudConfiguration)? = nil,
        onCall: (@Sendable (CallRecord) -> Void)? = nil, now: @escaping @Sendable () -> Timestamp
    ) {
        self.configuration = configuration
        self.onCall = onCall
        http = HTTPClient(tls: configuration.tls, maximumInFlight: 16, userAgent: "updraft")
        keeper = TokenKeeper(configuration, http, reload: reload, now: now)
    }

    /// Ends everything under way and frees connections and threads.
    public func close() async {
        await http.close()
    }

    /// Logs in if need be. The id of the project that the login is for; nil for a token without one.
    public func projectID() async throws(OpenStackError) -> String? {
        try await keeper.current().projectID
    }

    /// Logs in if need be. The id of the user that the login is of; under a trust the trustor.
    public func userID() async throws(OpenStackError) -> String? {
        try await keeper.current().userID
    }

    /// What the login is made by, as its token says, without when that ends; nil for a password's.
    func currentDelegation() async throws(OpenStackError) -> Delegation? {
        try await keeper.current().delegation
    }

    /// The URL that calls to a service go to.
    /// - Parameter service: its type: `orchestration`, `compute`.
    public func endpoint(_ service: String) async throws(OpenStackError) -> String {
        try endpoint(service, try await keeper.current())
    }

    private func endpoint(_ service: String, _ token: Token) throws(OpenStackError) -> String {
        var url: String
        if let own = configuration.endpointOverrides[service] {
            url = own
            for form in ["%(project_id)s", "$(project_id)s", "%(tenant_id)s", "$(tenant_id)s"] {
                url = url.replacing(form, with: token.projectID ?? "")
            }
        } else if service == "identity" {
            // Where the login went, with its version; the catalogue's URL often has none.
            url = configuration.authURL
        } else {
            url = try token.catalogue.url(
                of: service, interface: configuration.interface, region: configuration.region,
                source: configuration.source)
        }
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    // MARK: Calls

    /// An answer of 2xx, or a redirect where one was asked for.
    public struct Answer: Sendable {
        /// Which call, for messages.
        public let call: String
        /// The answer itself.
        public let response: HTTPResponse

        func json() throws(OpenStackError) -> Field {
            try Field.root(response.body, call: call)
        }
    }

    /// Sends one request to a service with the token, renewing it once if it is refused.
    ///
    /// Reads are repeated on 429, 502–504 and broken connections; anything else is sent once: after a failure without an
    /// answer (`OpenStackError.Code.transport`, not `isUnsent`) the caller must look at what came of it.
    /// - Parameters:
    ///   - path: below the endpoint, already percent-encoded.
    ///   - query: encoded here.
    ///   - acceptsRedirect: 301, 302, 307, 308 are answers; otherwise errors.
    public func call(
        _ service: String, _ method: HTTPMethod, _ path: String, query: [(String, String)] = [],
        body: JSONValue? = nil, headers: HTTPHeaders = [:], acceptsRedirect: Bool = false
    ) async throws(OpenStackError) -> Answer {
        let name = "\(method.rawValue) \(service) \(path)"
        // Servers decode the path before they route it, so an encoded slash would lead elsewhere.
        guard !path.contains("%2F"), !path.contains("//") else {
            throw .configuration(name, "a name in the path is empty or holds a slash")
        }
        var token = try await keeper.current()
        var isSecondTry = false
        while true {
            let url = try endpoint(service, token) + "/" + path + PercentEncoding.query(query)
            var request = HTTPRequest(
                method, url, headers: headers, body: body?.bytes,
                timeouts: HTTPTimeouts(total: configuration.timeout), maximumResponseBytes: 64 << 20,
                retry: method == .get || method == .head ? RetryPolicy(attempts: 3) : .none)
            request.headers["X-Auth-Token"] = token.id.revealed
            request.headers["Accept"] = "application/json"
            if body != nil { request.headers["Content-Type"] = "application/json" }
            let response = try await send(request, service, name)
            switch response.status {
            case 200..<300: return Answer(call: name, response: response)
            case let status where acceptsRedirect && [301, 302, 307, 308].contains(status):
                return Answer(call: name, response: response)
            case 401 where !isSecondTry:
                // The service did nothing with the request, so even a POST may go again.
                isSecondTry = true
                token = try await keeper.another(than: token.id)
            default:
                let error = OpenStackError.from(
                    response, call: name, secrets: configuration.secrets + [token.id.revealed])
                throw error.code == .unauthorized ? freshTokenRefused(error) : error
            }
        }
    }

    /// The usual reason why a service refuses what Keystone has just made; nobody would guess it from the bare 401.
    private func freshTokenRefused(_ error: OpenStackError) -> OpenStackError {
        guard case .applicationCredential = configuration.credential else { return error }
        return OpenStackError(
            .unauthorized, call: error.call, status: error.status, type: error.type,
            message: error.message + " (The token was new. If the application credential has access rules, they must "
                + "allow this call, and the service must have service_type set in [keystone_authtoken].)",
            requestID: error.requestID)
    }

    private func send(
        _ request: HTTPRequest, _ service: String, _ name: String
    ) async throws(OpenStackError) -> HTTPResponse {
        let start = ContinuousClock.now
        do throws(HTTPError) {
            let response = try await http.send(request)
            onCall?(
                CallRecord(
                    service: service, method: request.method, status: response.status,
                    duration: ContinuousClock.now - start))
            return response
        } catch {
            onCall?(
                CallRecord(
                    service: service, method: request.method, status: nil, duration: ContinuousClock.now - start))
            throw .transport(error, call: name)
        }
    }
}
