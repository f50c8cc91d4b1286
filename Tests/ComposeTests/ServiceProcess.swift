import Glibc
import Testing

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
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The threads of the concurrency pool block all signals, and a child inherits that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { (text: String) in strdup(text) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argv + envp).forEach { free($0) } }
        var pid = pid_t()
        try #require(
            posix_spawn(&pid, program, &actions, &attributes, &argv, &envp) == 0, "\(program) cannot be started")
        self.pid = pid
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
