import Glibc
import TestServer

/// A program of this build (or of the system, by its whole path), started with exactly the given environment; killed with its owner.
final class ServiceProcess {
    /// Where the programs are: beside the test bundle, which is this process.
    static let folder: String = {
        var path = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &path, path.count)
        let text = String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.lastIndex(of: "/").map { String(text[..<$0]) } ?? "."
    }()

    let pid: pid_t
    private var status: Int32?

    /// Standard error and output go to the file `log`.
    init(_ arguments: [String], environment: [String: String], log: String) throws {
        let program = arguments[0].hasPrefix("/") ? arguments[0] : "\(Self.folder)/\(arguments[0])"
        pid = try Spawn.start(
            [program] + arguments.dropFirst(), environment: environment, output: log, appends: true)
    }

    deinit {
        if poll() == nil {
            kill(pid, SIGKILL)
            var status: Int32 = 0
            waitpid(pid, &status, 0)
        }
    }

    /// The exit code once it has ended, -1 for a signal.
    func poll() -> Int32? {
        if status == nil {
            var raw: Int32 = 0
            if waitpid(pid, &raw, WNOHANG) == pid { status = raw & 0x7f == 0 ? raw >> 8 & 0xff : -1 }
        }
        return status
    }

    /// Waits for the end, at most this long.
    func ended(within seconds: Int) async throws -> Int32? {
        for _ in 0..<(seconds * 20) {
            if let status = poll() { return status }
            try await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }
}
