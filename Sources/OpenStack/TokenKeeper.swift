import HTTPClient
import Support

/// Holds the one token of a client: fetched when first needed, renewed before it ends or when a service refuses it, and
/// never by two callers at once. Nobody waits for Keystone while the token is good for a while yet: one that hangs would
/// make every call slow.
actor TokenKeeper {
    private var configuration: CloudConfiguration
    /// Reads the settings anew.
    private let reload: (@Sendable () throws(OpenStackError) -> CloudConfiguration)?
    private let http: HTTPClient
    private let now: @Sendable () -> Timestamp

    private var token: Token?
    private var flight: Task<Result<Token, OpenStackError>, Never>?
    /// A refused login is not repeated at once for every caller: Keystone may lock the account after a few.
    private var refusal: (error: OpenStackError, until: Timestamp)?
    private var backoff = Backoff(first: .seconds(2), cap: .seconds(60))
    /// After a renewal that failed while the old token is good.
    private var renewAgainFrom: Timestamp?
    /// How long Keystone is then left alone.
    private static let renewalPause = Interval.seconds(30)

    init(
        _ configuration: CloudConfiguration, _ http: HTTPClient,
        reload: (@Sendable () throws(OpenStackError) -> CloudConfiguration)? = nil,
        now: @escaping @Sendable () -> Timestamp
    ) {
        self.configuration = configuration
        self.reload = reload
        self.http = http
        self.now = now
    }

    /// A token that is good for a while yet.
    func current() async throws(OpenStackError) -> Token {
        guard let token else { return try await fetch() }
        let time = now()
        if time < token.renewFrom { return token }
        if time < token.expires, let renewAgainFrom, time < renewAgainFrom { return token }
        if time < token.replaceFrom {
            if flight == nil { flight = Task { await login() } }
            return token
        }
        do throws(OpenStackError) {
            return try await fetch()
        } catch {
            // Keystone being away is no reason to stop as long as the old token holds.
            if now() < token.expires, error.isRetriable || error.code == .unauthorized { return token }
            throw error
        }
    }

    /// A token other than `refused`, which a service did not take.
    func another(than refused: Secret) async throws(OpenStackError) -> Token {
        if let token, token.id != refused { return token }
        token = nil
        return try await fetch()
    }

    /// Whether a login is under way.
    var isRenewing: Bool { flight != nil }

    private func fetch() async throws(OpenStackError) -> Token {
        if let flight { return try await flight.value.get() }
        if let refusal, now() < refusal.until { throw refusal.error }
        let flight = Task { await login() }
        self.flight = flight
        let result = await flight.value
        return try result.get()
    }

    private func login() async -> Result<Token, OpenStackError> {
        var result: Result<Token, OpenStackError>
        do throws(OpenStackError) { result = .success(try await request()) } catch { result = .failure(error) }
        if case .failure(let error) = result, error.code == .unauthorized {
            switch takeNewCredential() {
            case .taken:
                do throws(OpenStackError) { result = .success(try await request()) } catch { result = .failure(error) }
            case .none: break
            case .unusable(let why): result = .failure(error.adding(why))
            }
        }
        flight = nil
        switch result {
        case .success(let new):
            token = new
            refusal = nil
            renewAgainFrom = nil
            backoff.succeeded()
        case .failure(let error):
            let time = now()
            var until = time + Self.renewalPause
            if error.code == .unauthorized {
                let refusedUntil = time + backoff.failed(jitter: Double.random(in: 0...1))
                refusal = (error, refusedUntil)
                until = max(until, refusedUntil)
            }
            renewAgainFrom = until
        }
        return result
    }

    private enum NewCredential {
        case taken, none
        /// What stands there is no help, and why.
        case unusable(String)
    }

    /// A trust or application credential that is gone never works again: another one has another id, and stands where this
    /// one stood. A small file, read only after a refusal.
    private func takeNewCredential() -> NewCredential {
        guard let reload else { return .none }
        let new: CloudConfiguration
        do throws(OpenStackError) { new = try reload() } catch {
            return .unusable("the login cannot be read anew (\(error.call): \(error.message))")
        }
        guard new.credential != configuration.credential else { return .none }
        // Of another Keystone it is not for this one to see.
        guard new.authURL == configuration.authURL else {
            return .unusable("the login that stands there now is for another Keystone, which takes a restart")
        }
        configuration.credential = new.credential
        return .taken
    }

    private func request() async throws(OpenStackError) -> Token {
        let call = "POST identity auth/tokens"
        let request = HTTPRequest(
            .post, configuration.authURL + "/auth/tokens",
            headers: ["Content-Type": "application/json", "Accept": "application/json"],
            body: configuration.loginBody.bytes, timeouts: HTTPTimeouts(total: .seconds(30)),
            maximumResponseBytes: 8 << 20,
            // A second token is harmless, so a login may be repeated like a read.
            retry: RetryPolicy(attempts: 3, alsoNonIdempotent: true))
        let response: HTTPResponse
        do throws(HTTPError) { response = try await http.send(request) } catch { throw .transport(error, call: call) }
        guard (200..<300).contains(response.status) else {
            let error = OpenStackError.from(response, call: call, secrets: configuration.secrets)
            // Keystone answers 404 for an application credential or trust that is unknown or was deleted.
            guard error.code == .notFound || error.code == .forbidden, response.headers["X-Openstack-Request-Id"] != nil
            else { throw error }
            throw OpenStackError(
                .unauthorized, call: call, status: error.status, type: error.type, message: error.message,
                requestID: error.requestID)
        }
        guard let id = response.headers["X-Subject-Token"], !id.isEmpty else {
            throw OpenStackError(.malformed, call: call, message: "the answer has no header X-Subject-Token")
        }
        return try Token.decode(try Field.root(response.body, call: call), id: id, received: now())
    }
}
