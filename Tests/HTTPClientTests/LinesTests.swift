import Glibc
import Support
import TestServer
import Testing

@testable import HTTPClient

@Suite("Streamed lines")
struct LinesTests {
    let client = HTTPClient()

    private func text(_ line: [UInt8]) -> String { String(decoding: line, as: UTF8.self) }

    @Test("Lines come one by one, as soon as they are sent")
    func oneByOne() async throws {
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let turn = Lock(0)
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Kind: watch\r\n\r\n")
            ask.yield()
            for number in 0..<3 {
                while turn.withLock({ $0 }) <= number { connection.pause(milliseconds: 2) }
                connection.chunk("line \(number)\n")
            }
            connection.chunk("the end")
            connection.chunk("")
        }
        let lines = try await client.lines(HTTPRequest(.get, server.url))
        #expect(lines.head.status == 200)
        #expect(lines.head.headers["x-kind"] == "watch")
        for await _ in asked { break }
        var iterator = lines.makeAsyncIterator()
        for number in 0..<3 {
            // The server sends a line only after this: it cannot have been buffered anywhere until more came.
            turn.withLock { $0 += 1 }
            let line = try #require(try await iterator.next())
            #expect(text(line) == "line \(number)")
        }
        #expect(try await iterator.next().map(text) == "the end")
        #expect(try await iterator.next() == nil)
    }

    @Test("A line may be cut into chunks anywhere, and may be empty")
    func cuts() async throws {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for byte in "ab\n\ncde\nf\r\n".utf8 { connection.chunk(String(UnicodeScalar(byte))) }
            connection.chunk("")
        }
        let lines = try await client.lines(HTTPRequest(.get, server.url))
        var seen: [String] = []
        for try await line in lines { seen.append(text(line)) }
        #expect(seen == ["ab", "", "cde", "f\r"])
    }

    @Test("A slow reader makes the server wait; nothing is lost or doubled, and memory stays bounded")
    func backPressure() async throws {
        let total = 40_000
        let filler = String(repeating: "x", count: 990)
        let written = Lock(0)
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n\r\n")
            for number in 0..<total {
                guard connection.write("\(number) \(filler)\n") else { return }
                written.withLock { $0 += 1 }
            }
        }
        let lines = try await client.lines(HTTPRequest(.get, server.url))
        // While nothing is read the server gets stuck: what it has written stops growing, far from the whole.
        var before = -1
        while true {
            let now = written.withLock { $0 }
            if now == before, now > 0 { break }
            before = now
            try await Task.sleep(for: .milliseconds(300))
        }
        #expect(before < total / 2, "\(before) lines were taken though nobody read")
        var expected = 0
        for try await line in lines {
            guard text(line).hasPrefix("\(expected) x"), line.count > 990 else { break }
            expected += 1
        }
        #expect(expected == total)
    }

    @Test("A line beyond the limit ends the stream", arguments: [true, false])
    func lineTooLong(_ ended: Bool) async throws {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n\r\nfine\n" + String(repeating: "x", count: 2_000))
            if ended { connection.write("\n") }
            connection.waitForHangUp()
        }
        let lines = try await client.lines(HTTPRequest(.get, server.url), maximumLineBytes: 1_000)
        var seen: [String] = []
        let error = await failure { () async throws(HTTPError) in
            for try await line in lines { seen.append(text(line)) }
        }
        #expect(error?.code == .lineTooLong)
    }

    @Test("A stream that is cut throws after the lines that came, and keeps the broken line to itself")
    func cut() async throws {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.chunk("one\ntwo\nthr")
        }
        let lines = try await client.lines(HTTPRequest(.get, server.url))
        var seen: [String] = []
        let error = await failure { () async throws(HTTPError) in
            for try await line in lines { seen.append(text(line)) }
        }
        #expect(seen == ["one", "two"])
        #expect(error?.code == .closed)
    }

    @Test("An error status gives its body whole", arguments: ["gone", "two\nlines\n", ""])
    func errorBody(_ body: String) async throws {
        let server = TestServer.answering { _ in (410, [], body) }
        let lines = try await client.lines(HTTPRequest(.get, server.url))
        #expect(lines.head.status == 410)
        #expect(text(try await lines.remainingBody()) == body)
        let again = try await client.lines(HTTPRequest(.get, server.url))
        if body.count > 2 {
            let error = await failure { () async throws(HTTPError) in try await again.remainingBody(limit: 2) }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test("No head in time is a timeout; after the head the total no longer counts")
    func headTimeout() async throws {
        let server = TestServer { connection in
            guard let request = connection.readRequest() else { return }
            if request.path == "/silent" { return connection.waitForHangUp() }
            connection.write("HTTP/1.1 200 OK\r\n\r\nfirst\n")
            connection.pause(milliseconds: 900)
            connection.write("second\n")
        }
        let timeouts = HTTPTimeouts(total: .milliseconds(500))
        let error = await failure { () async throws(HTTPError) in
            try await client.lines(HTTPRequest(.get, server.url + "/silent", timeouts: timeouts))
        }
        #expect(error?.code == .timedOut)
        let lines = try await client.lines(HTTPRequest(.get, server.url, timeouts: timeouts))
        var seen: [String] = []
        for try await line in lines { seen.append(text(line)) }
        #expect(seen == ["first", "second"])
    }

    @Test("A silent stream is stalled")
    func stalled() async throws {
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n\r\nfirst\n")
            connection.waitForHangUp()
        }
        let lines = try await client.lines(
            HTTPRequest(.get, server.url, timeouts: HTTPTimeouts(stall: .milliseconds(300))))
        var iterator = lines.makeAsyncIterator()
        #expect(try await iterator.next().map(text) == "first")
        let error = await failure { () async throws(HTTPError) in try await iterator.next() }
        #expect(error?.code == .stalled)
    }

    @Test("Cancelling the reader, or letting go of the stream, hangs up", arguments: [true, false])
    func hangUp(_ byCancel: Bool) async throws {
        let (hungUp, signal) = AsyncStream<Void>.makeStream()
        let server = TestServer { connection in
            _ = connection.readRequest()
            connection.write("HTTP/1.1 200 OK\r\n\r\nfirst\n")
            connection.waitForHangUp()
            signal.yield()
        }
        let (read, didRead) = AsyncStream<Void>.makeStream()
        let client = client
        let task = Task {
            let lines = try await client.lines(HTTPRequest(.get, server.url))
            for try await _ in lines {
                didRead.yield()
                if !byCancel { break }
            }
        }
        for await _ in read { break }
        if byCancel {
            task.cancel()
            let error = await #expect(throws: HTTPError.self) { try await task.value }
            #expect(error?.code == .cancelled)
        } else {
            try await task.value
        }
        for await _ in hungUp { break }
    }

    @Test("Streams do not take the slots of requests, and have a bound of their own")
    func bound() async throws {
        let server = TestServer { connection in
            guard let request = connection.readRequest() else { return }
            if request.path == "/quick" {
                connection.answer(200, headers: [], "quick")
            } else {
                connection.write("HTTP/1.1 200 OK\r\n\r\nfirst\n")
                connection.waitForHangUp()
            }
        }
        let client = HTTPClient(maximumInFlight: 1)
        var open: [HTTPLines] = []
        for _ in 0..<20 { open.append(try await client.lines(HTTPRequest(.get, server.url + "/watch"))) }
        #expect(try await client.send(HTTPRequest(.get, server.url + "/quick")).text == "quick")
        #expect(open.count == 20)
    }
}
