import Glibc

/// One request as a test server read it.
public struct TestRequest: Sendable {
    /// The method.
    public let method: String
    /// Path with query, as sent.
    public let target: String
    /// Header fields, names in lower case; of repeated ones the last.
    public let headers: [String: String]
    /// The body.
    public let body: [UInt8]

    /// The body as text.
    public var text: String { String(decoding: body, as: UTF8.self) }
    /// The path without the query.
    public var path: String { String(target.prefix { $0 != "?" }) }
    /// The query after the question mark, as sent.
    public var query: String { String(target.drop { $0 != "?" }.dropFirst()) }
}

/// The server's end of one TCP connection: blocking calls, on a thread of its own. Closed when the handler returns.
public final class TestConnection {
    private let socket: Int32
    private var buffer: [UInt8] = []

    init(_ socket: Int32) {
        self.socket = socket
    }

    deinit {
        close(socket)
    }

    /// Reads one request with its body (by Content-Length). Nil when the client has gone.
    public func readRequest() -> TestRequest? {
        let blank = Array("\r\n\r\n".utf8)
        while true {
            if let end = buffer.firstRange(of: blank) {
                let head = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
                var lines = head.split(separator: "\r\n", omittingEmptySubsequences: false)
                let first = lines.removeFirst().split(separator: " ")
                guard first.count == 3 else { return nil }
                var headers: [String: String] = [:]
                for line in lines {
                    guard let colon = line.firstIndex(of: ":") else { continue }
                    headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
                }
                let length = headers["content-length"].flatMap(Int.init) ?? 0
                while buffer.count < end.upperBound + length { guard fill() else { return nil } }
                let body = Array(buffer[end.upperBound..<end.upperBound + length])
                buffer.removeFirst(end.upperBound + length)
                return TestRequest(method: String(first[0]), target: String(first[1]), headers: headers, body: body)
            }
            guard fill() else { return nil }
        }
    }

    /// Reads so many bytes; nil when the client has gone.
    public func read(_ count: Int) -> [UInt8]? {
        while buffer.count < count { guard fill() else { return nil } }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func fill() -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(socket, &chunk, chunk.count, 0)
        guard count > 0 else { return false }
        buffer += chunk[..<count]
        return true
    }

    /// Writes bytes; false when the client has gone.
    @discardableResult
    public func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                send(socket, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return false }
            sent += count
        }
        return true
    }

    /// Writes text; false when the client has gone.
    @discardableResult
    public func write(_ text: String) -> Bool {
        write(Array(text.utf8))
    }

    /// Writes a whole answer.
    @discardableResult
    public func answer(_ status: Int, headers: [(String, String)] = [], _ body: String = "") -> Bool {
        var text = "HTTP/1.1 \(status) Status\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        return write(text + "Content-Length: \(body.utf8.count)\r\n\r\n" + body)
    }

    /// Writes one chunk of a chunked body; an empty one ends it.
    @discardableResult
    public func chunk(_ text: String) -> Bool {
        write(String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
    }

    /// Blocks until the client has closed its end.
    public func waitForHangUp() {
        while fill() {}
    }

    /// Makes the close a reset instead of an orderly end.
    public func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Sleeps on the connection's own thread.
    public func pause(milliseconds: UInt32) {
        usleep(milliseconds * 1_000)
    }
}
