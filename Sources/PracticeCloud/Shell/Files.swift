import Glibc

/// The few files that the command reads and writes.
enum Files {
    /// A whole file; nil if it cannot be read or is larger than 16 MiB.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { return bytes }
            guard count > 0, bytes.count <= 16 << 20 else { return nil }
            bytes += buffer[..<count]
        }
    }

    /// Writes a file that only its owner may read, whole or not at all.
    static func write(_ bytes: [UInt8], to path: String) throws(PracticeCloudError) {
        let draft = path + ".new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("write", draft) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else {
                close(descriptor)
                throw failure("write", draft)
            }
            rest = rest.dropFirst(count)
        }
        close(descriptor)
        guard rename(draft, path) == 0 else { throw failure("rename", path) }
    }

    /// The directory for the state, made if it is not there; a new one if none is named. Its whole path: what is written there
    /// names files there, and is read by programs that run elsewhere.
    static func directory(_ wanted: String?) throws(PracticeCloudError) -> String {
        if let wanted {
            guard mkdir(wanted, 0o700) == 0 || errno == EEXIST else { throw failure("make", wanted) }
            guard let path = realpath(wanted, nil) else { throw failure("find", wanted) }
            defer { free(path) }
            return String(cString: path)
        }
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/updraft-practice-XXXXXX".utf8CString)
        guard
            let made = template.withUnsafeMutableBufferPointer({ buffer in buffer.baseAddress.flatMap { mkdtemp($0) } })
        else {
            throw failure("make a directory in", parent)
        }
        return String(cString: made)
    }

    private static func failure(_ what: String, _ path: String) -> PracticeCloudError {
        PracticeCloudError(.file, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}
