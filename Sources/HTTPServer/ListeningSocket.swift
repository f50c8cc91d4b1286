import Glibc

/// A bound and listening TCP socket. Made by hand and not by the library, which says "failed" for every reason.
struct ListeningSocket {
    let descriptor: Int32
    let port: UInt16
    let isIPv6: Bool

    init(host: String, port: UInt16) throws(HTTPServerError) {
        let name = host == "localhost" ? "127.0.0.1" : host
        var four = sockaddr_in()
        var six = sockaddr_in6()
        if inet_pton(AF_INET, name, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            isIPv6 = false
        } else if inet_pton(AF_INET6, name, &six.sin6_addr) == 1 {
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            isIPv6 = true
        } else {
            throw HTTPServerError(.address, "cannot listen on \(host): not an IP address")
        }
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(isIPv6 ? AF_INET6 : AF_INET, type, 0)
        guard descriptor >= 0 else { throw Self.failure(host, port) }
        var yes: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let bound =
            isIPv6
            ? Self.with(&six) { Glibc.bind(descriptor, $0, $1) }
            : Self.with(&four) { Glibc.bind(descriptor, $0, $1) }
        guard bound == 0, listen(descriptor, 1024) == 0 else {
            let failure = Self.failure(host, port)
            Glibc.close(descriptor)
            throw failure
        }
        var size = socklen_t(isIPv6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size)
        let named =
            isIPv6
            ? Self.with(&six) { address, _ in getsockname(descriptor, address, &size) }
            : Self.with(&four) { address, _ in getsockname(descriptor, address, &size) }
        guard named == 0 else {
            let failure = Self.failure(host, port)
            Glibc.close(descriptor)
            throw failure
        }
        self.descriptor = descriptor
        self.port = UInt16(bigEndian: isIPv6 ? six.sin6_port : four.sin_port)
    }

    func close() {
        Glibc.close(descriptor)
    }

    private static func with<Address>(
        _ address: inout Address, _ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafeMutableBytes(of: &address) { bytes in
            guard let start = bytes.baseAddress else { return -1 }
            return body(start.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }

    private static func failure(_ host: String, _ port: UInt16) -> HTTPServerError {
        HTTPServerError(.address, "cannot listen on \(host):\(port): \(String(cString: strerror(errno)))")
    }
}

/// The process' limit of open files.
enum OpenFiles {
    /// Raises the soft limit to `count` as far as the hard limit lets it; never lowers it.
    static func allow(_ count: Int) {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(count) else {
            return
        }
        limit.rlim_cur = min(rlim_t(count), limit.rlim_max)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
