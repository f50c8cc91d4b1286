import Glibc

/// Starts programs.
public enum Spawn {
    /// A program that cannot be started.
    public struct Failure: Error, CustomStringConvertible {
        /// Which, and why.
        public let description: String
    }

    /// Starts a program with exactly this environment, standard error and output going to a file, signals as usual.
    /// - Parameters:
    ///   - arguments: the program (found by `PATH` unless it is a path) and its arguments.
    ///   - appends: whether what stands in the file stays.
    public static func start(
        _ arguments: [String], environment: [String: String], output: String, appends: Bool
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(
            &actions, 1, output, O_WRONLY | O_CREAT | (appends ? O_APPEND : O_TRUNC), 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The threads of the concurrency pool block all signals, and a child inherits that: SIGTERM would not stop it.
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
        var process = pid_t()
        let status = posix_spawnp(&process, arguments[0], &actions, &attributes, &argv, &envp)
        guard status == 0 else {
            throw Failure(description: "\(arguments[0]) cannot be started: \(String(cString: strerror(status)))")
        }
        return process
    }
}
