import Glibc
import Support
import TestServer
import Testing

@testable import HTTPServer

/// Opens once: lets a test hold a handler in the middle.
private final class Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    func open() { continuation.finish() }
    func passed() async { for await _ in stream {} }
}

@Suite struct HTTPServerTests {
    @Test func answersWhatWasAsked() async throws {
        let server = try HTTPServer { request in
            .response(
                .text(
                    "\(request.method) \(request.path) \(request[query: "q"] ?? "-") \(request.headers["x-test"] ?? "-") "
                        + String(decoding: request.body, as: UTF8.self)))
        }
        defer { server.stop() }
        let port = server.port
        let answers = try await onThread {
            let client = try RawClient(port: port)
            return [
                try client.exchange("GET /a%2Fb?q=1 HTTP/1.1\r\nHost: x\r\nX-TEST: yes\r\n\r\n"),
                try client.exchange("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
                try client.exchange(
                    "PATCH /d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                ),
            ]
        }
        #expect(answers.map(\.body) == ["GET /a/b 1 yes ", "POST /c - - hello", "PATCH /d - - abcde"])
        #expect(answers.allSatisfy { $0.head.hasPrefix("HTTP/1.1 200 OK\r\n") })
    }

    @Test("a server that is stopped while a handler is about to suspend lets go of its connection")
    func stopsWhileAHandlerBegins() async throws {
        let gate = Gate()
        let begun = Lock(false)
        let server = try HTTPServer { _ in
            begun.withLock { $0 = true }
            // On the server's own thread, as every handler up to its first suspension. A shorter wait tests less, and
            // cannot fail.
            usleep(200_000)
            await gate.passed()
            return .response(.text(200, "late"))
        }
        let port = server.port
        let client = Task {
            try await onThread { try RawClient(port: port).exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head }
        }
        while !begun.withLock({ $0 }) { await Task.yield() }
        server.stop()
        gate.open()
        let head = try? await client.value
        #expect(head?.isEmpty ?? true)
    }

    @Test func aHandlerMaySuspend() async throws {
        let gate = Gate()
        let server = try HTTPServer { request in
            if request.path == "/slow" { await gate.passed() }
            return .response(.json("{\"path\":\"\(request.path)\"}"))
        }
        defer { server.stop() }
        let port = server.port
        let slow = Task {
            try await onThread { try RawClient(port: port).exchange("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").body }
        }
        while server.activeRequests == 0 { await Task.yield() }
        let quick = try await onThread {
            try RawClient(port: port).exchange("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n").body
        }
        #expect(quick == "{\"path\":\"/quick\"}")
        gate.open()
        #expect(try await slow.value == "{\"path\":\"/slow\"}")
    }

    @Test func manySuspendedHandlersOnOneConnection() async throws {
        let server = try HTTPServer { request in
            await Task.yield()
            return .response(.text(request.path))
        }
        defer { server.stop() }
        let port = server.port
        let wrong = try await onThread {
            let client = try RawClient(port: port)
            return try (0..<500).filter {
                try client.exchange("GET /\($0) HTTP/1.1\r\nHost: x\r\n\r\n").body != "/\($0)"
            }
        }
        #expect(wrong.isEmpty)
    }

    @Test func aBodyOverTheLimitIs413() async throws {
        let handled = Lock(0)
        let refused = Lock<[String]>([])
        let server = try HTTPServer(
            maximumBodyBytes: 1000,
            refused: { request in
                refused.withLock { $0.append("\(request.method) \(request.path) \(request.body.count)") }
            }
        ) { _ in
            handled.withLock { $0 += 1 }
            return .response(.text("fine"))
        }
        defer { server.stop() }
        let port = server.port
        let body = String(repeating: "x", count: 2000)
        let answers = try await onThread {
            [
                try RawClient(port: port).exchange("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n\(body)"),
                try RawClient(port: port).exchange(
                    "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n\(body)\r\n0\r\n\r\n"),
                try RawClient(port: port).exchange(
                    "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n"),
            ]
        }
        #expect(answers.allSatisfy { $0.head.hasPrefix("HTTP/1.1 413 ") })
        #expect(answers.allSatisfy { $0.body == "a body may have at most 1000 bytes\n" })
        #expect(handled.withLock { $0 } == 0)
        #expect(refused.withLock { $0 } == Array(repeating: "POST / 0", count: 3))
    }

    @Test func anEndlessBodyIsCutOff() async throws {
        let refused = Lock(0)
        let server = try HTTPServer(maximumBodyBytes: 1000, refused: { _ in refused.withLock { $0 += 1 } }) { _ in
            .response(.text("fine"))
        }
        defer { server.stop() }
        let port = server.port
        let cutOff = try await onThread {
            let client = try RawClient(port: port)
            try client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n")
            let piece = [UInt8](repeating: 0, count: 65_536)
            for _ in 0..<1000 {
                do { try client.write(piece) } catch { return true }
            }
            return false
        }
        #expect(cutOff)
        #expect(refused.withLock { $0 } == 1)
    }

    @Test func malformedRequestsDoNotReachTheHandler() async throws {
        let handled = Lock(0)
        let server = try HTTPServer { _ in
            handled.withLock { $0 += 1 }
            return .response(.text("fine"))
        }
        defer { server.stop() }
        let port = server.port
        let heads = try await onThread {
            try ["GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"].map {
                try RawClient(port: port).exchange($0).head
            }
        }
        #expect(heads.allSatisfy { $0.hasPrefix("HTTP/1.1 400 ") })
        try await onThread {
            let client = try RawClient(port: port)
            try client.write("complete nonsense\r\n\r\n")
            _ = try? client.read(until: "\r\n\r\n")
        }
        #expect(handled.withLock { $0 } == 0)
    }

    @Test func aHeaderCannotSplitTheHead() async throws {
        let server = try HTTPServer { _ in
            .response(ServerResponse(status: 200, headers: [("X-Evil", "a\r\nX-Injected: b"), ("X-Good", "c")]))
        }
        defer { server.stop() }
        let port = server.port
        let head = try await onThread { try RawClient(port: port).exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n").head }
        #expect(!head.contains("Injected"))
        #expect(head.contains("X-Good: c"))
    }

    @Test func hangUpClosesWithoutAWord() async throws {
        let server = try HTTPServer { _ in .hangUp }
        defer { server.stop() }
        let port = server.port
        let silent = try await onThread {
            let client = try RawClient(port: port)
            try client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            return try client.atEnd()
        }
        #expect(silent)
    }

    @Test func connectionsOverTheLimitWait() async throws {
        let server = try HTTPServer(maximumConnections: 4) { _ in .response(.text("fine")) }
        defer { server.stop() }
        let port = server.port
        let answered = try await onThread {
            var clients: [RawClient] = []
            for _ in 0..<4 {
                let client = try RawClient(port: port)
                _ = try client.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                clients.append(client)
            }
            let fifth = try RawClient(port: port)
            try fifth.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            clients.removeAll()
            return try fifth.read(until: "\r\n")
        }
        #expect(answered == "HTTP/1.1 200 OK\r\n")
    }

    @Test func theAddressIsNamedWhenItCannotBeUsed() throws {
        let first = try HTTPServer { _ in .hangUp }
        defer { first.stop() }
        let taken = #expect(throws: HTTPServerError.self) { _ = try HTTPServer(port: first.port) { _ in .hangUp } }
        #expect(taken?.detail == "cannot listen on 127.0.0.1:\(first.port): Address already in use")
        #expect(taken?.isRetriable == true)
        let nonsense = #expect(throws: HTTPServerError.self) { _ = try HTTPServer(host: "nowhere") { _ in .hangUp } }
        #expect(nonsense?.detail == "cannot listen on nowhere: not an IP address")
    }

    @Test func aMissingCertificateIsNamed() {
        let error = #expect(throws: HTTPServerError.self) {
            _ = try HTTPServer(tls: ServerTLS(certificateFile: "/nowhere/cert.pem", keyFile: "/nowhere/key.pem")) { _ in
                .hangUp
            }
        }
        #expect(error?.detail == "cannot read /nowhere/cert.pem: No such file or directory")
    }

    @Test func stoppingLetsEverythingGo() async throws {
        let gate = Gate()
        let cancelled = Lock(false)
        let source = StreamSource()
        let server = try HTTPServer { request in
            if request.path == "/stream" { return .stream(status: 200, headers: [], source) }
            await withTaskCancellationHandler {
                await gate.passed()
            } onCancel: {
                cancelled.withLock { $0 = true }
            }
            return .response(.text("late"))
        }
        let port = server.port
        let streaming = Lock(false)
        async let ends = onThread {
            let one = try RawClient(port: port)
            try one.write("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            let two = try RawClient(port: port)
            try two.write("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
            let head = try two.read(until: "\r\n\r\n")
            streaming.withLock { $0 = true }
            return (head.hasPrefix("HTTP/1.1 200"), try one.atEnd(), try two.atEnd())
        }
        while server.activeRequests < 2 || !streaming.withLock({ $0 }) { await Task.yield() }
        server.stop()
        server.stop()
        let result = try await ends
        #expect(result.0 && result.1 && result.2)
        #expect(source.isClosed)
        gate.open()
        #expect(cancelled.withLock { $0 })
    }
}
