import Support
import TestServer
import Testing

@testable import HTTPClient

/// Runs `body` and returns the error it threw; records an issue if it threw none.
func failure(
    _ body: () async throws(HTTPError) -> some Any, location: SourceLocation = #_sourceLocation
) async -> HTTPError? {
    do throws(HTTPError) {
        _ = try await body()
        Issue.record("no error was thrown", sourceLocation: location)
        return nil
    } catch {
        return error
    }
}

@Suite("Requests and answers")
struct ExchangeTests {
    let client = HTTPClient(userAgent: "updraft-test")

    @Test("A GET returns status, headers and body")
    func get() async throws {
        let server = TestServer.answering { request in
            (200, [("X-Seen", request.headers["user-agent"] ?? ""), ("x-method", request.method)], request.target)
        }
        let response = try await client.send(HTTPRequest(.get, server.url + "/a%20b?q=1"))
        #expect(response.status == 200)
        #expect(response.headers["x-seen"] == "updraft-test")
        #expect(response.headers["X-Method"] == "GET")
        #expect(response.text == "/a%20b?q=1")
    }

    @Test(
        "Every method carries its body and only the headers it was given",
        arguments: [
            HTTPMethod.post, .put, .patch, .delete,
        ])
    func bodies(_ method: HTTPMethod) async throws {
        let server = TestServer.answering { request in
            (
                200, [],
                [
                    request.method, request.text, request.headers["content-type"] ?? "none",
                    request.headers["expect"] ?? "none", request.headers["x-empty"] ?? "none",
                ].joined(separator: "|")
            )
        }
        let plain = try await client.send(HTTPRequest(method, server.url, body: Array("hello".utf8)))
        #expect(plain.text == "\(method.rawValue)|hello|none|none|none")
        let typed = try await client.send(
            HTTPRequest(method, server.url, headers: ["Content-Type": "application/json", "X-Empty": ""], body: []))
        #expect(typed.text == "\(method.rawValue)||application/json|none|")
        let large = [UInt8](repeating: 120, count: 3 << 20)
        let echoed = try await client.send(HTTPRequest(method, server.url, body: large))
        #expect(echoed.body.count > large.count)
    }

    @Test("POST and DELETE without a body, and HEAD")
    func bodiless() async throws {
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                // The answer to HEAD names a length and sends no body.
                if request.method == "HEAD" {
                    connection.write("HTTP/1.1 204 No\r\nX-Method: HEAD\r\n\r\n")
                } else {
                    connection.answer(200, request.method + request.text)
                }
            }
        }
        #expect(try await client.send(HTTPRequest(.post, server.url)).text == "POST")
        #expect(try await client.send(HTTPRequest(.delete, server.url)).text == "DELETE")
        #expect(try await client.send(HTTPRequest(.head, server.url)).headers["x-method"] == "HEAD")
    }

    @Test("Any status is an answer; a redirect is not followed", arguments: [204, 302, 404, 409, 500, 503])
    func statuses(_ status: Int) async throws {
        let server = TestServer.answering { _ in
            status == 204 ? (204, [], "") : (status, [("Location", "http://127.0.0.1:1/elsewhere")], "text")
        }
        let response = try await client.send(HTTPRequest(.get, server.url))
        #expect(response.status == status)
        #expect(response.text == (status == 204 ? "" : "text"))
    }

    @Test("An interim answer and trailers do not disturb the head")
    func interim() async throws {
        let server = TestServer { connection in
            while connection.readRequest() != nil {
                connection.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
                connection.write("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n")
                connection.write("2\r\nok\r\n0\r\nX-Late: yes\r\n\r\n")
            }
        }
        let response = try await client.send(HTTPRequest(.get, server.url))
        #expect(response.status == 201)
        #expect(response.text == "ok")
        #expect(response.headers["Link"] == nil)
        #expect(response.headers["X-Late"] == nil)
    }

    @Test("Hundreds at once all get their own answer, over no more connections than the cap")
    func many() async throws {
        let server = TestServer.answering { (200, [], $0.target) }
        let client = HTTPClient(maximumInFlight: 8)
        let wrong = try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<400 {
                group.addTask {
                    try await client.send(HTTPRequest(.get, "\(server.url)/\(number)")).text != "/\(number)"
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wrong == 0)
        #expect(server.connections <= 8)
    }

    @Test("One slow answer does not hold up the others to the same server")
    func slowNeighbour() async throws {
        let server = TestServer { connection in
            while let request = connection.readRequest() {
                if request.path == "/slow" { return connection.waitForHangUp() }
                connection.answer(200, headers: [], "quick")
            }
        }
        let slow = Task { try await client.send(HTTPRequest(.get, server.url + "/slow")) }
        try await server.connected()
        let quick = HTTPRequest(.get, server.url + "/quick", timeouts: HTTPTimeouts(total: .seconds(20)))
        #expect(try await client.send(quick).text == "quick")
        slow.cancel()
        await #expect(throws: HTTPError.self) { try await slow.value }
    }

    @Test("A kept connection that the server has closed meanwhile is replaced without an error")
    func staleConnection() async throws {
        let server = TestServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.answer(200, headers: [], "once")
        }
        for _ in 0..<3 {
            #expect(try await client.send(HTTPRequest(.get, server.url)).text == "once")
        }
        #expect(server.connections >= 3)
    }
}
