import CShimsMicrohttpd

/// What the library knows of a request, and how an answer is handed to it. All on the server's thread.
extension Connection {
    func headers() -> ServerHeaders {
        var entries: [(name: String, value: String)] = []
        withUnsafeMutablePointer(to: &entries) { entries in
            updraft_mhd_each_header(pointer, entries) { context, name, value in
                guard let name else { return }
                context?.assumingMemoryBound(to: [(name: String, value: String)].self).pointee.append(
                    (String(cString: name), value.map { String(cString: $0) } ?? ""))
            }
        }
        return ServerHeaders(entries)
    }

    func remote() -> String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            guard let start = text.baseAddress else { return "" }
            updraft_mhd_remote(pointer, start, text.count)
            return String(cString: start)
        }
    }

    /// The subject of the peer's certificate, nil when there is none or the client CA does not vouch for it.
    func clientSubject() -> String? {
        guard updraft_mhd_client_verified(pointer) == 1 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1024) { text in
            guard let start = text.baseAddress, updraft_mhd_client_subject(pointer, start, text.count) == 1 else {
                return nil
            }
            return String(cString: start)
        }
    }

    func queue(_ response: ServerResponse) -> Bool {
        let handle = response.body.withUnsafeBytes { updraft_mhd_response($0.baseAddress, $0.count) }
        return queue(handle, status: response.status, headers: response.headers)
    }

    func queue(status: Int, headers: [(String, String)], _ source: StreamSource) -> Bool {
        let body = Unmanaged.passRetained(StreamBody(source: source, connection: self))
        let handle = updraft_mhd_stream(
            body.toOpaque(),
            { context, buffer, size in
                guard let context, let buffer else { return StreamBody.broken }
                return Unmanaged<StreamBody>.fromOpaque(context).takeUnretainedValue().read(
                    UnsafeMutableRawBufferPointer(start: buffer, count: size))
            },
            { context in
                if let context { Unmanaged<StreamBody>.fromOpaque(context).release() }
            })
        if handle == nil { body.release() }
        return queue(handle, status: status, headers: headers)
    }

    private func queue(_ handle: OpaquePointer?, status: Int, headers: [(String, String)]) -> Bool {
        guard let handle else { return false }
        for (name, value) in headers where !Self.ours.contains(name.lowercased()) {
            // Refused for a line break in it: then the field is left out, never the head broken.
            _ = updraft_mhd_add_header(handle, name, value)
        }
        return updraft_mhd_queue(pointer, (200...999).contains(status) ? UInt32(status) : 500, handle) == 1
    }

    /// Fields that the library writes itself.
    private static let ours: Set<String> = ["content-length", "transfer-encoding", "connection", "date"]
}

/// The reading end of a stream, called by the library on its thread.
private final class StreamBody {
    static let end = -1
    static let broken = -2

    let source: StreamSource
    let connection: Connection

    init(source: StreamSource, connection: Connection) {
        self.source = source
        self.connection = connection
    }

    func read(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        let connection = connection
        switch source.take(into: buffer, suspend: { connection.suspend() }, resume: { connection.resume() }) {
        case .bytes(let count): return count
        case .parked: return 0
        case .end: return Self.end
        case .broken: return Self.broken
        }
    }
}
