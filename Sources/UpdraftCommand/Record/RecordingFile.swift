import Decider
import Glibc
import Support

/// The file of a recording, line by line. Lines are gathered and written in larger pieces; only its owner may read it.
final class RecordingWriter {
    /// Written so far, in bytes.
    private(set) var size = 0
    private let descriptor: Int32
    private let path: String
    private var buffer: [UInt8] = []

    /// Makes the file; one that is there is replaced only if `replacing`.
    init(_ path: String, replacing: Bool) throws(CommandError) {
        let flags = O_WRONLY | O_CREAT | O_CLOEXEC | (replacing ? O_TRUNC : O_EXCL)
        let opened = open(path, flags, 0o600)
        guard opened >= 0 else {
            let why = errno == EEXIST ? "is there already; --force replaces it" : String(cString: strerror(errno))
            throw CommandError("\(path) cannot be written: \(why)", exitCode: 2)
        }
        descriptor = opened
        self.path = path
    }

    deinit { close(descriptor) }

    /// Adds a line.
    func write(_ line: String) throws(CommandError) {
        let before = buffer.count
        buffer.append(contentsOf: line.utf8)
        buffer.append(10)
        size += buffer.count - before
        if buffer.count >= 1 << 16 { try flush() }
    }

    /// Puts what was gathered into the file.
    func flush() throws(CommandError) {
        var rest = buffer[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno != EINTR {
                throw CommandError("\(path) cannot be written: \(String(cString: strerror(errno)))")
            }
        }
        buffer.removeAll(keepingCapacity: true)
    }
}

/// Reads a recording.
enum RecordingFile {
    /// Calls `body` for each message, in order. A last line that was cut off (the recorder was killed) ends it without an
    /// error; any other line that cannot be read is one.
    static func read(
        _ path: String, head: (Recording.Head) throws(CommandError) -> Void,
        _ body: (Recording.Entry) async throws(CommandError) -> Void
    ) async throws(CommandError) {
        guard let file = fopen(path, "re") else {
            throw CommandError("\(path) cannot be read: \(String(cString: strerror(errno)))", exitCode: 2)
        }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var capacity = 0
        defer { free(line) }
        var number = 0
        while true {
            let count = getline(&line, &capacity, file)
            guard count > 0, let start = line else { break }
            guard count <= Recording.maximumLineBytes else {
                throw CommandError("\(path): line \(number + 1) is longer than \(Recording.maximumLineBytes) bytes")
            }
            number += 1
            var bytes = [UInt8](UnsafeRawBufferPointer(start: start, count: count))
            let isWhole = bytes.last == 10
            if isWhole { bytes.removeLast() }
            if bytes.isEmpty { continue }
            if number == 1 {
                try head(try Self.parse(path) { () throws(DeciderError) in try Recording.head(bytes) })
                continue
            }
            let entry: Recording.Entry
            do throws(CommandError) {
                entry = try Self.parse(path) { () throws(DeciderError) in try Recording.entry(bytes, number: number) }
            } catch {
                if !isWhole { return }
                throw error
            }
            try await body(entry)
        }
        guard ferror(file) == 0 else {
            throw CommandError("\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        guard number > 0 else { throw CommandError("\(path) is empty", exitCode: 2) }
    }

    private static func parse<Value>(
        _ path: String, _ body: () throws(DeciderError) -> Value
    ) throws(CommandError) -> Value {
        do throws(DeciderError) {
            return try body()
        } catch {
            throw CommandError("\(path): \(error.text)")
        }
    }
}
