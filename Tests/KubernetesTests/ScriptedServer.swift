import HTTPServer
import JSONReader
import Kubernetes
import Support

/// An API server that answers what a test tells it, and remembers what it was asked.
final class ScriptedServer: Sendable {
    typealias Answer = @Sendable (ServerRequest, _ number: Int) -> ServerReply

    private struct State {
        var requests: [ServerRequest] = []
    }

    private final class Book: Sendable {
        let state = Lock(State())
    }

    private let book = Book()
    let server: HTTPServer

    /// `answer` gets each request and how many with the same method and path came before it.
    init(_ answer: @escaping Answer) throws {
        let book = self.book
        server = try HTTPServer { request in
            let number = book.state.withLock { state in
                let number = state.requests.count { $0.method == request.method && $0.path == request.path }
                state.requests.append(request)
                return number
            }
            return answer(request, number)
        }
    }

    var url: String { "http://127.0.0.1:\(server.port)" }

    var requests: [ServerRequest] { book.state.withLock { $0.requests } }

    /// `GET /api/v1/nodes` and so on, in order.
    var log: [String] { requests.map { "\($0.method) \($0.path)" } }

    func client(
        _ authentication: KubernetesConfiguration.Authentication = .none,
        now: @escaping @Sendable () -> Timestamp = { Timestamp.now() }
    ) -> KubernetesClient {
        KubernetesClient(
            KubernetesConfiguration(server: url, authentication: authentication), now: now)
    }

    /// The JSON body of the last request of that method.
    func lastBody(_ method: String) throws -> JSONValue {
        try JSONValue.parse(requests.last { $0.method == method }?.body ?? [])
    }

    static func status(_ code: Int, _ reason: String, _ message: String = "") -> ServerReply {
        .response(
            .json(
                code,
                #"{"kind":"Status","status":"Failure","reason":"\#(reason)","message":"\#(message)","code":\#(code)}"#))
    }

    static func json(_ text: String, _ status: Int = 200) -> ServerReply {
        .response(.json(status, text))
    }

    /// A stream with these lines, left open or ended.
    static func watch(_ lines: [String], ends: Bool) -> ServerReply {
        let source = StreamSource()
        source.send(Array(lines.map { $0 + "\n" }.joined().utf8))
        if ends { source.finish() }
        return .stream(status: 200, headers: [("Content-Type", "application/json")], source)
    }
}
