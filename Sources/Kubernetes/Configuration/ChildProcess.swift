import Glibc
import Support

/// Runs a program to its end on a thread of its own: waiting for it must not block the cooperative pool.
enum ChildProcess {
    /// How it ended.
    struct Outcome: Sendable {
        /// The exit code; 128 + n when a signal n ended it.
        var status: Int32
        var output: [UInt8]
        var errors: [UInt8]
    }

    /// Why it could not be run to its end.
    struct Failure: Error, Sendable {
        var what: String
    }

    /// Runs `program` with our environment plus `environment`, standard input empty.
    static func run(
        _ program: String, arguments: [String], environment: [String: String], timeout: Interval, maximumBytes: Int
    ) async throws(Failure) -> Outcome {
        let result: Result<Outcome, Failure> = await withCheckedContinuation { continuation in
            let work = Work {
                do throws(Failure) {
                    let child = try spawning.withLock { (_) throws(Failure) -> Child in
                        try start(program, arguments: arguments, environment: environment)
                    }
                    continuation.resume(returning: child.finish(timeout: timeout, maximumBytes: maximumBytes))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
            var thread = pthread_t()
            let box = Unmanaged.passRetained(work)
            let code = pthread_create(
                &thread, nil,
                { pointer in
                    if let pointer { Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body() }
                    return nil
                }, box.toOpaque())
            guard code == 0 else {
                box.release()
                continuation.resume(returning: .failure(Failure(what: "no thread: \(String(cString: strerror(code)))")))
                return
            }
            pthread_detach(thread)
        }
        return try result.get()
    }

    /// One start at a time: between the making of a pipe and its close-on-exec flag another program started by us
    /// would inherit our end, and its reader would wait for that program too.
    private static let spawning = Lock(())

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// A started program and our ends of its pipes.
    private struct Child {
        var pid: pid_t
        var output: Int32
        var errors: Int32

        /// Reads both pipes until they are closed, then collects the exit code. Beyond the time or the size the
        /// program and its children are killed.
        func finish(timeout: Interval, maximumBytes: Int) -> Result<Outcome, Failure> {
            var outcome = Outcome(status: 0, output: [], errors: [])
            var failure: Failure?
            let deadline = monotonicMilliseconds() + timeout.microseconds / 1_000
            var open = [
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
            ]
            while open.contains(where: { $0.fd >= 0 }) {
                let left = deadline - monotonicMilliseconds()
                guard left > 0 else {
                    failure = Failure(what: "not done after \(timeout)")
                    break
                }
                let ready = poll(&open, nfds_t(open.count), Int32(min(left, 1_000)))
                if ready < 0, errno != EINTR {
                    failure = Failure(what: "poll: \(String(cString: strerror(errno)))")
                    break
                }
                for index in open.indices where open[index].fd >= 0 && open[index].revents != 0 {
                    guard let piece = Child.read(open[index].fd) else {
                        open[index].fd = -1
                        continue
                    }
                    if index == 0 { outcome.output += piece } else { outcome.errors += piece }
                }
                if outcome.output.count > maximumBytes || outcome.errors.count > maximumBytes {
                    failure = Failure(what: "printed more than \(maximumBytes) bytes")
                    break
                }
            }
            close(output)
            close(errors)
            if failure != nil { kill(-pid, SIGKILL) }
            var status: Int32 = 0
            // A program that closed its outputs and lives on is not waited for beyond the deadline.
            while failure == nil, waitpid(pid, &status, WNOHANG) == 0 {
                if monotonicMilliseconds() >= deadline {
                    failure = Failure(what: "not done after \(timeout)")
                    kill(-pid, SIGKILL)
                } else {
                    usleep(5_000)
                }
            }
            if let failure {
                waitpid(pid, &status, 0)
                return .failure(failure)
            }
            outcome.status = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
            return .success(outcome)
        }

        /// What is there; nil at the end.
        private static func read(_ descriptor: Int32) -> [UInt8]? {
            let piece = [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
                var length = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                while length < 0, errno == EINTR { length = Glibc.read(descriptor, buffer.baseAddress, buffer.count) }
                count = max(0, length)
            }
            return piece.isEmpty ? nil : piece
        }
    }

    private static func monotonicMilliseconds() -> Int64 {
        var spec = timespec()
        clock_gettime(CLOCK_MONOTONIC, &spec)
        return Int64(spec.tv_sec) * 1_000 + Int64(spec.tv_nsec) / 1_000_000
    }

    private static func start(
        _ program: String, arguments: [String], environment: [String: String]
    ) throws(Failure) -> Child {
        let outputPipe = try pipeEnds()
        let errorPipe: (read: Int32, write: Int32)
        do throws(Failure) {
            errorPipe = try pipeEnds()
        } catch {
            close(outputPipe.read)
            close(outputPipe.write)
            throw error
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, outputPipe.write, 1)
        posix_spawn_file_actions_adddup2(&actions, errorPipe.write, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals that a service ignores would stay ignored in the program; a group of its own lets us end its
        // children with it.
        var defaults = sigset_t()
        sigfillset(&defaults)
        var mask = sigset_t()
        sigemptyset(&mask)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setsigmask(&attributes, &mask)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))
        var arguments = ([program] + arguments).map { strdup($0) }
        arguments.append(nil)
        var variables = variables(adding: environment).map { strdup($0) }
        variables.append(nil)
        defer {
            arguments.forEach { free($0) }
            variables.forEach { free($0) }
        }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, program, &actions, &attributes, arguments, variables)
        close(outputPipe.write)
        close(errorPipe.write)
        guard code == 0 else {
            close(outputPipe.read)
            close(errorPipe.read)
            throw Failure(what: "cannot be started: \(String(cString: strerror(code)))")
        }
        return Child(pid: pid, output: outputPipe.read, errors: errorPipe.read)
    }

    private static func pipeEnds() throws(Failure) -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Failure(what: "no pipe: \(String(cString: strerror(errno)))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    private static func variables(adding added: [String: String]) -> [String] {
        var all: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            if let mark = text.firstIndex(of: "=") {
                all[String(text[..<mark])] = String(text[text.index(after: mark)...])
            }
            next += 1
        }
        return all.merging(added) { _, new in new }.map { "\($0.key)=\($0.value)" }
    }
}
