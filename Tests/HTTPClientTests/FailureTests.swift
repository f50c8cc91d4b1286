import Support
import TestServer
import Testing

@testable import HTTPClient

@Suite("Failures")
struct FailureTests {
    let client = HTTPClient()

    @Test("Nobody listens")
    func refused() async {
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, "http://user:secret@127.0.0.1:1/path?token=secret#secret"))
        }
        #expect(error?.code == .refused)
        #expect(error?.isRetriable == true)
        #expect(error?.isUnsent == true)
        #expect(error?.url == "http://127.0.0.1:1/path")
        #expect(error?.description.contains("secret") == false)
    }

    @Test("A host that does not exist")
    func unresolved() async {
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, "http://no-such-host.invalid/"))
        }
        #expect(error?.code == .resolve)
        #expect(error?.isUnsent == true)
    }

    @Test(
        "What is no http URL is refused",
        arguments: [
            "", "not a url", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "/only/a/path", "http://a b/",
            "http://127.0.0.1:99999/", "http://127.0.0.1/\u{0}x",
        ])
    func badURL(_ url: String) async {
        let error = await failure { () async throws(HTTPError) in try await client.send(HTTPRequest(.get, url)) }
        #expect(error?.code == .invalidURL)
        #expect(error?.isRetriable == false)
    }

    @Test(
        "A header that would forge another one is refused",
        arguments: [
            ("X-A", "b\r\nX-Forged: 1"), ("X\nA", "b"), ("X:A", "b"), ("", "b"), ("X-A", "b\u{0}c"),
        ])
    func badHeader(_ name: String, _ value: String) async {
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, "http://127.0.0.1:1/", headers: HTTPHeaders([(name, value)])))
        }
        #expect(error?.code == .invalidRequest)
        #expect(error?.description.contains("Forged") == false)
    }

    @Test("The total timeout ends a server that never answers")
    func totalTimeout() async {
        let server = TestServer { $0.waitForHangUp() }
        let started = ContinuousClock.now
        let error = await failure { () async throws(HTTPError) in
            try await client.send(
                HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(total: .milliseconds(300))))
        }
        #expect(error?.code == .timedOut)
        #expect(error?.isRetriable == true)
        #expect(error?.isUnsent == false)
        #expect(ContinuousClock.now - started >= .milliseconds(290))
    }

    @Test("The stall timeout ends an answer that stops half-way, however long the total")
    func stall() async {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.waitForHangUp()
        }
        let error = await failure { () async throws(HTTPError) in
            try await client.send(
                HTTPRequest(
                    .get, server.url, timeouts: HTTPTimeouts(total: .seconds(600), stall: .milliseconds(200))))
        }
        #expect(error?.code == .stalled)
    }

    @Test("An answer that trickles is not stalled")
    func trickle() async throws {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
            for _ in 0..<12 {
                connection.pause(milliseconds: 100)
                connection.write("x")
            }
        }
        let response = try await client.send(
            HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(total: .seconds(60), stall: .seconds(1))))
        #expect(response.text == "xxxxxxxxxxxx")
    }

    @Test("A request that finds no free slot in time says so")
    func queueTimeout() async throws {
        let server = TestServer { $0.waitForHangUp() }
        let client = HTTPClient(maximumInFlight: 1)
        let first = Task { try await client.send(HTTPRequest(.get, server.url)) }
        try await server.connected()
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(total: .milliseconds(200))))
        }
        #expect(error?.code == .timedOut)
        #expect(error?.detail.contains("slot") == true)
        #expect(error?.isUnsent == true)
        first.cancel()
    }

    @Test("A body larger than the limit is refused, with and without a length in the head", arguments: [true, false])
    func tooLarge(_ named: Bool) async {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n" + (named ? "Content-Length: 5000000\r\n\r\n" : "\r\n"))
            while connection.write([UInt8](repeating: 120, count: 65_536)) {}
        }
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url, maximumResponseBytes: 1_000_000))
        }
        #expect(error?.code == .tooLarge)
        #expect(error?.isRetriable == false)
    }

    @Test("A header without end is refused")
    func endlessHeader() async {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n")
            while connection.write("X-More: " + String(repeating: "y", count: 1_000) + "\r\n") {}
        }
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url))
        }
        #expect(error?.code == .tooLarge)
    }

    @Test(
        "Broken answers are errors with a code",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", HTTPError.Code.closed),
            ("", .closed),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nnot a chunk", .closed),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", .closed),
            ("SSH-2.0-OpenSSH_9.2\r\n", .protocolError),
            ("HTTP/1.1 abc\r\n\r\n", .protocolError),
        ])
    func broken(_ answer: String, _ code: HTTPError.Code) async {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write(answer)
        }
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url))
        }
        #expect(error?.code == code, "\(String(describing: error))")
    }

    @Test("A reset connection")
    func reset() async {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
            connection.resetOnClose()
        }
        let error = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url))
        }
        #expect(error?.code == .closed)
        #expect(error?.isUnsent == false)
    }

    @Test("Cancelling the task ends the transfer and hangs up")
    func cancel() async throws {
        let (hungUp, signal) = AsyncStream<Void>.makeStream()
        let server = TestServer { connection in
            connection.waitForHangUp()
            signal.yield()
        }
        let task = Task { try await client.send(HTTPRequest(.get, server.url)) }
        try await server.connected()
        task.cancel()
        let error = await #expect(throws: HTTPError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        for await _ in hungUp { break }
    }

    @Test("Hundreds cancelled at once, begun or waiting, all end")
    func cancelMany() async throws {
        let server = TestServer { $0.waitForHangUp() }
        let tasks = (0..<300).map { _ in Task { try await client.send(HTTPRequest(.get, server.url)) } }
        try await server.connected()
        tasks.forEach { $0.cancel() }
        for task in tasks {
            let error = await #expect(throws: HTTPError.self) { try await task.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test("A task cancelled beforehand sends nothing")
    func cancelledBefore() async {
        let server = TestServer { $0.waitForHangUp() }
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await client.send(HTTPRequest(.get, server.url))
        }
        task.cancel()
        let error = await #expect(throws: HTTPError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        #expect(error?.isUnsent == true)
        #expect(server.connections == 0)
    }

    @Test("Closing the client fails what is under way and all that comes later")
    func close() async throws {
        let server = TestServer { $0.waitForHangUp() }
        let client = HTTPClient()
        let running = Task { try await client.send(HTTPRequest(.get, server.url)) }
        try await server.connected()
        await client.close()
        let first = await #expect(throws: HTTPError.self) { try await running.value }
        #expect(first?.code == .clientClosed)
        let later = await failure { () async throws(HTTPError) in
            try await client.send(HTTPRequest(.get, server.url))
        }
        #expect(later?.code == .clientClosed)
        let stream = await failure { () async throws(HTTPError) in
            try await client.lines(HTTPRequest(.get, server.url))
        }
        #expect(stream?.code == .clientClosed)
        await client.close()
    }
}
