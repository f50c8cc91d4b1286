import Support
import TestServer
import Testing

@testable import HTTPServer

@Suite struct StreamTests {
    private static let request = "GET /watch HTTP/1.1\r\nHost: x\r\n\r\n"

    @Test func eachEventArrivesAtOnce() async throws {
        let source = StreamSource()
        let server = try HTTPServer { _ in .stream(status: 200, headers: [("Content-Type", "application/json")], source)
        }
        defer { server.stop() }
        let port = server.port
        let seen = try await onThread {
            let client = try RawClient(port: port)
            try client.write(Self.request)
            // The head comes before the first event: a watch that has nothing to say is open all the same.
            var seen = [try client.read(until: "\r\n\r\n")]
            for event in ["one\n", "two\n", "three\n"] {
                #expect(source.send(Array(event.utf8)))
                seen.append(try client.read(until: "\(event)\r\n"))
            }
            source.finish()
            seen.append(try client.read(until: "0\r\n\r\n"))
            // The connection serves on.
            try client.write("GET /watch HTTP/1.1\r\nHost: x\r\n\r\n")
            return seen
        }
        #expect(seen[0].contains("Transfer-Encoding: chunked"))
        #expect(Array(seen[1...]) == ["4\r\none\n\r\n", "4\r\ntwo\n\r\n", "6\r\nthree\n\r\n", "0\r\n\r\n"])
    }

    @Test func whatWasSentBeforeTheReplyIsInIt() async throws {
        let server = try HTTPServer { _ in
            let source = StreamSource()
            source.send(Array("a".utf8))
            source.send(Array("b".utf8))
            source.finish()
            #expect(!source.send(Array("c".utf8)))
            return .stream(status: 200, headers: [], source)
        }
        defer { server.stop() }
        let port = server.port
        let body = try await onThread {
            let client = try RawClient(port: port)
            try client.write(Self.request)
            _ = try client.read(until: "\r\n\r\n")
            return try client.read(until: "0\r\n\r\n")
        }
        #expect(body == "2\r\nab\r\n0\r\n\r\n")
    }

    @Test func aClientThatLeavesIsNoticedWhileNothingIsSent() async throws {
        let source = StreamSource()
        let server = try HTTPServer { _ in .stream(status: 200, headers: [], source) }
        defer { server.stop() }
        let port = server.port
        let (closed, continuation) = AsyncStream<Void>.makeStream()
        source.onClose { continuation.finish() }
        try await onThread {
            let client = try RawClient(port: port)
            try client.write(Self.request)
            _ = try client.read(until: "\r\n\r\n")
            client.close()
        }
        for await _ in closed {}
        #expect(!source.send(Array("late".utf8)))
    }

    @Test func aSlowClientIsBoundedNotBuffered() async throws {
        let source = StreamSource(maximumBufferedBytes: 100_000)
        let server = try HTTPServer { _ in .stream(status: 200, headers: [], source) }
        defer { server.stop() }
        let port = server.port
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 10_000)
        let (sent, received) = try await onThread {
            let client = try RawClient(port: port)
            try client.write(Self.request)
            _ = try client.read(until: "\r\n\r\n")
            var sent = 0
            // The sockets take some megabytes; then the bound speaks.
            var refused = 0
            while refused < 1_000_000, sent < 100_000_000 {
                if source.send(piece) { sent += piece.count } else { refused += 1 }
            }
            source.finish()
            var received = 0
            while true {
                let size = Int(try client.read(until: "\r\n").dropLast(), radix: 16) ?? 0
                received += try client.read(count: size).utf8.count
                _ = try client.read(count: 2)
                if size == 0 { return (sent, received) }
            }
        }
        #expect(sent < 100_000_000)
        #expect(received == sent)
    }

    @Test func abortCutsTheBodyShort() async throws {
        let source = StreamSource()
        let server = try HTTPServer { _ in .stream(status: 200, headers: [], source) }
        defer { server.stop() }
        let port = server.port
        let rest = try await onThread {
            let client = try RawClient(port: port)
            try client.write(Self.request)
            _ = try client.read(until: "\r\n\r\n")
            source.send(Array("a\n".utf8))
            _ = try client.read(until: "a\n\r\n")
            source.abort()
            return try client.atEnd()
        }
        #expect(rest)
    }

    @Test func hundredsOfIdleWatchesAndOneEventForAll() async throws {
        let sources = Lock<[StreamSource]>([])
        let server = try HTTPServer(maximumConnections: 2000) { _ in
            let source = StreamSource()
            sources.withLock { $0.append(source) }
            return .stream(status: 200, headers: [], source)
        }
        defer { server.stop() }
        let port = server.port
        let count = 300
        let received = try await onThread {
            let clients = try (0..<count).map { _ in
                let client = try RawClient(port: port)
                try client.write(Self.request)
                _ = try client.read(until: "\r\n\r\n")
                return client
            }
            for source in sources.withLock({ $0 }) { source.send(Array("event\n".utf8)) }
            return try clients.filter { try $0.read(until: "\n\r\n") == "6\r\nevent\n\r\n" }.count
        }
        #expect(received == count)
    }
}
