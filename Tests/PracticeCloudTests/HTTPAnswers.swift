import HTTPServer
import JSONReader

/// A place to post answers to, as the Notifier offers one.
final class HTTPAnswers: Sendable {
    private let server: HTTPServer
    var url: String { "http://127.0.0.1:\(server.port)/answers" }

    init(_ heard: @escaping @Sendable (JSONValue) -> Void) throws {
        server = try HTTPServer { request in
            if let body = try? JSONValue.parse(request.body) { heard(body) }
            return .response(.json(200, "{}"))
        }
    }

    func stop() { server.stop() }
}
