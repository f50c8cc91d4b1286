import Glibc
import HTTPClient
import JSONReader
import Support
import TestServer
import Testing

@testable import OpenStack

/// What a fake service answers.
struct Reply: Sendable {
    var status = 200
    var headers: [(String, String)] = [("Content-Type", "application/json")]
    var body = ""

    static func json(_ body: String, _ status: Int = 200) -> Reply { Reply(status: status, body: body) }
    static func text(_ status: Int, _ body: String) -> Reply {
        Reply(status: status, headers: [("Content-Type", "text/plain")], body: body)
    }
    static func fixture(_ name: String, _ status: Int = 200) -> Reply { .json(fixtureText(name), status) }
    static func redirect(_ location: String) -> Reply {
        Reply(status: 302, headers: [("Location", location)], body: "<html>302 Found</html>")
    }
}

/// An answer recorded on a real Heat 19 or Nova 26.
func fixtureText(_ name: String) -> String {
    let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    guard let file = fopen("/\(folder)/Fixtures/\(name)", "re") else {
        Issue.record("no fixture \(name)")
        return ""
    }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self)
}

/// Keystone with a catalogue, and whatever services a test plays behind it. Checks each token.
final class FakeCloud: Sendable {
    let server: TestServer
    private let state: Lock<State>

    struct State {
        var seen: [TestRequest] = []
        var logins = 0
        var valid: Set<String> = []
    }

    /// - Parameters:
    ///   - lifetime: of a token, in seconds.
    ///   - login: plays Keystone; nil: every login succeeds with `token-1`, `token-2`…
    ///   - isChecked: whether the token of each request is.
    ///   - service: plays the rest; its requests' paths begin with `/heat/v1/p1/` or `/nova/v2.1/`.
    init(
        lifetime: Int64 = 3_600, login: (@Sendable (TestRequest) -> Reply?)? = nil,
        _ service: @escaping @Sendable (TestRequest) -> Reply, isChecked: Bool = true
    ) {
        let state = Lock(State())
        self.state = state
        server = TestServer.answering { request in
            state.withLock { $0.seen.append(request) }
            let reply: Reply
            if request.path == "/v3/auth/tokens" {
                reply = login?(request) ?? Self.token(state, request.headers["host"] ?? "", lifetime)
            } else if !isChecked || state.withLock({ $0.valid.contains(request.headers["x-auth-token"] ?? "") }) {
                reply = service(request)
            } else {
                reply = Reply.json(
                    #"{"error": {"code": 401, "title": "Unauthorized", "message": "The request you have made requires authentication."}}"#,
                    401)
            }
            return (reply.status, reply.headers, reply.body)
        }
    }

    private static func token(_ state: Lock<State>, _ host: String, _ lifetime: Int64) -> Reply {
        let id = state.withLock { state in
            state.logins += 1
            let id = "token-\(state.logins)"
            state.valid.insert(id)
            return id
        }
        // A clock of its own: what counts is how long the token lives, not when Keystone thinks it is.
        let issued = Timestamp(seconds: 1_000_000_000)
        let body = """
            {"token": {"methods": ["password"], "issued_at": "\(issued.rfc3339)",
             "expires_at": "\((issued + .seconds(Double(lifetime))).rfc3339)",
             "project": {"id": "p1", "name": "k8s"}, "user": {"id": "u1", "name": "k8s"}, "catalog": [
              {"type": "metric", "name": "gnocchi", "endpoints": [
               {"interface": "public", "region_id": "One", "region": "One", "url": "http://\(host)/gnocchi"}]},
              {"type": "orchestration", "name": "heat", "endpoints": [
               {"interface": "internal", "region_id": "One", "region": "One", "url": "http://\(host)/internal"},
               {"interface": "public", "region_id": "One", "region": "One", "url": "http://\(host)/heat/v1/p1"}]},
              {"type": "compute", "name": "nova", "endpoints": [
               {"interface": "public", "region_id": "One", "region": "One", "url": "http://\(host)/nova/v2.1/"}]}]}}
            """
        return Reply(status: 201, headers: [("X-Subject-Token", id)], body: body)
    }

    /// All requests but logins, as `METHOD target`.
    var calls: [String] {
        state.withLock { $0.seen }.filter { $0.path != "/v3/auth/tokens" }.map { "\($0.method) \($0.target)" }
    }
    var bodies: [String] { state.withLock { $0.seen }.filter { $0.path != "/v3/auth/tokens" }.map(\.text) }
    var requests: [TestRequest] { state.withLock { $0.seen } }
    var logins: Int { state.withLock { $0.logins } }
    func revokeTokens() { state.withLock { $0.valid = [] } }

    /// A client that logs in by password.
    func client(
        _ more: [String: String] = [:], now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }
    ) throws -> OpenStackClient {
        var variables = [
            "OS_AUTH_URL": server.url + "/v3", "OS_USERNAME": "k8s", "OS_PASSWORD": "s3cret-password",
            "OS_PROJECT_NAME": "k8s", "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default",
        ]
        variables.merge(more) { $1 }
        return OpenStackClient(try CloudConfiguration.load(environment: variables), now: now)
    }
}

/// Runs `body` and returns the error it threw; records an issue if it threw none.
func failure(
    _ body: () async throws(OpenStackError) -> some Any, location: SourceLocation = #_sourceLocation
) async -> OpenStackError? {
    do throws(OpenStackError) {
        _ = try await body()
        Issue.record("no error was thrown", sourceLocation: location)
        return nil
    } catch {
        return error
    }
}

/// The part of a Heat URL below the project.
func below(_ request: TestRequest) -> String { String(request.path.dropFirst("/heat/v1/p1/".count)) }
