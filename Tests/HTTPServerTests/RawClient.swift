import Glibc

/// A client that shows every byte: what a library would hide is what these tests are about.
final class RawClient {
    struct Failure: Error { let what: String }

    private let descriptor: Int32
    private var buffer: [UInt8] = []

    /// Reads give up after ten seconds.
    init(port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw Failure(what: "connect: \(errno)") }
    }

    deinit { close() }

    private var open = true

    func close() {
        if open { Glibc.close(descriptor) }
        open = false
    }

    func write(_ text: String) throws {
        try write(Array(text.utf8))
    }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(what: "write: \(errno)") }
            rest = rest.dropFirst(count)
        }
    }

    /// Bytes up to and with `end`.
    func read(until end: String) throws -> String {
        let wanted = Array(end.utf8)
        while true {
            if buffer.count >= wanted.count {
                for start in 0...(buffer.count - wanted.count)
                where buffer[start..<start + wanted.count].elementsEqual(wanted) {
                    let found = String(decoding: buffer[..<(start + wanted.count)], as: UTF8.self)
                    buffer.removeFirst(start + wanted.count)
                    return found
                }
            }
            guard try fill() else { throw Failure(what: "end of stream before \(end.debugDescription)") }
        }
    }

    func read(count: Int) throws -> String {
        while buffer.count < count {
            guard try fill() else { throw Failure(what: "end of stream") }
        }
        defer { buffer.removeFirst(count) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    /// True when the server has closed and nothing is left.
    func atEnd() throws -> Bool {
        if !buffer.isEmpty { return false }
        return try !fill()
    }

    /// Sends a request and reads the whole answer by its length.
    func exchange(_ request: String) throws -> (head: String, body: String) {
        try write(request)
        let head = try read(until: "\r\n\r\n")
        guard let line = head.split(separator: "\r\n").first(where: { $0.lowercased().hasPrefix("content-length:") }),
            let length = Int(line.split(separator: " ").last ?? "")
        else { return (head, "") }
        return (head, try read(count: length))
    }

    private func fill() throws -> Bool {
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &piece, piece.count, 0)
        if count < 0, errno == ECONNRESET { return false }
        guard count >= 0 else { throw Failure(what: "read: \(errno)") }
        buffer += piece[..<count]
        return count > 0
    }
}
