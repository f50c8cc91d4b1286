import Glibc
import Support

/// A process that this one started, in a process group of its own, its output in a log file.
///
/// The group makes sure that what the child starts is stopped with it.
public final class ChildProcess: Sendable {
    /// What to call it to a person.
    public let name: String
    /// Its process id, which is also its group's.
    public let pid: pid_t
    /// Where its output goes.
    public let logFile: String
    private let exit = Lock<Int32?>(nil)

    private init(name: String, pid: pid_t, logFile: String) {
        self.name = name
        self.pid = pid
        self.logFile = logFile
    }

    /// Starts `executable` with `arguments` and exactly the environment given; output is appended to `logFile`.
    ///
    /// - Throws: `ChildProcessError` when it cannot be started; not retriable.
    public static func start(
        name: String, executable: String, arguments: [String], environment: [String: String], logFile: String
    ) throws(ChildProcessError) -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, logFile, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The default set of signals: this process ignores some, and ignored signals are inherited.
        var defaults = sigset_t()
        sigfillset(&defaults)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var argv: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, executable, &actions, &attributes, &argv, &envp)
        guard status == 0 else {
            throw ChildProcessError(name: name, what: "\(executable): \(String(cString: strerror(status)))")
        }
        return ChildProcess(name: name, pid: pid, logFile: logFile)
    }

    /// The raw wait status once it has ended; nil while it runs. Never blocks.
    public func exitStatus() -> Int32? {
        exit.withLock { known in
            if let known { return known }
            var status: Int32 = 0
            let result = waitpid(pid, &status, WNOHANG)
            if result == pid || (result == -1 && errno == ECHILD) { known = status }
            return known
        }
    }

    /// Whether it still runs.
    public var isRunning: Bool { exitStatus() == nil }

    /// Sends a signal to its whole group, unless it has ended.
    public func signal(_ number: Int32) {
        guard isRunning else { return }
        kill(-pid, number)
    }

    /// Asks it to end and, after `grace`, makes it. Returns when it has ended.
    public func stop(grace: Interval) async {
        signal(SIGTERM)
        let deadline = Timestamp.now() + grace
        while isRunning, Timestamp.now() < deadline {
            try? await Task.sleep(for: .milliseconds(20))
        }
        signal(SIGKILL)
        while isRunning {
            try? await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// A process could not be started. Not retriable.
public struct ChildProcessError: Error, Sendable, CustomStringConvertible {
    /// Which one.
    public var name: String
    /// Why.
    public var what: String
    /// Always false.
    public var isRetriable: Bool { false }
    /// Name and cause.
    public var description: String { "cannot start \(name): \(what)" }
}
