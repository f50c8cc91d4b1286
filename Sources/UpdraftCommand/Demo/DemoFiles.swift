import FoundationEssentials
import Glibc
import Support

/// Files and ports of the demo.
enum DemoFiles {
    /// The text of a file; nil when it cannot be read.
    static func read(_ path: String) -> String? {
        guard let data = try? Data(contentsOf: URL(filePath: path)) else { return nil }
        return String(decoding: data, as: UTF8.self)
    }

    /// A path from the root; a relative one is taken from the folder that this process runs in.
    static func absolute(_ path: String) -> String {
        guard !path.isEmpty, !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
        defer { free(folder) }
        return "\(String(cString: folder))/\(path)"
    }

    /// Writes a file that only its owner may read.
    static func write(_ text: String, to path: String) throws(ChildProcessError) {
        store(text, path, O_WRONLY | O_CREAT | O_TRUNC)
        guard read(path) == text else { throw ChildProcessError(name: path, what: String(cString: strerror(errno))) }
    }

    /// Appends to a file that only its owner may read.
    static func append(_ text: String, to path: String) {
        store(text, path, O_WRONLY | O_CREAT | O_APPEND)
    }

    private static func store(_ text: String, _ path: String, _ flags: Int32) {
        let descriptor = open(path, flags, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    /// A loopback port that nobody listens on, below the range that the kernel gives to outgoing connections.
    static func freePort() -> UInt16 {
        for _ in 0..<200 {
            let port = UInt16.random(in: 20_000..<32_000)
            let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard socket >= 0 else { return 0 }
            defer { close(socket) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if bound == 0 { return port }
        }
        return 0
    }

    /// The folder of this program's executable.
    static func programFolder() -> String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
        return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}
