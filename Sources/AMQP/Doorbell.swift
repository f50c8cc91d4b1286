import CShims
import Glibc
import Support

/// Wakes a connection's thread out of `poll`. Owns the eventfd.
final class Doorbell: Sendable {
    let descriptor: Int32

    init() throws(AMQPError) {
        descriptor = updraft_eventfd_create()
        guard descriptor >= 0 else {
            throw AMQPError(.connection, "eventfd: \(String(cString: strerror(errno)))")
        }
    }

    deinit {
        close(descriptor)
    }

    /// From any thread; never blocks.
    func ring() {
        _ = updraft_eventfd_ring(descriptor)
    }

    /// On the owning thread.
    func clear() {
        updraft_eventfd_clear(descriptor)
    }

    /// On the owning thread: waits until rung, until `socket` (if not negative) has something to read, or until
    /// `milliseconds` have passed.
    /// - Returns: whether `socket` has something to read, or has ended.
    @discardableResult
    func wait(socket: Int32 = -1, milliseconds: Int32) -> Bool {
        var descriptors = (
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        )
        // A negative descriptor is skipped by poll(2).
        _ = withUnsafeMutablePointer(to: &descriptors) {
            $0.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, max(0, milliseconds)) }
        }
        if descriptors.0.revents != 0 { clear() }
        return descriptors.1.revents != 0
    }
}

/// Microseconds on the monotonic clock.
func monotonicNow() -> Int64 {
    var spec = timespec()
    clock_gettime(CLOCK_MONOTONIC, &spec)
    return Int64(spec.tv_sec) * 1_000_000 + Int64(spec.tv_nsec) / 1_000
}

/// Runs `body` on a new detached thread.
func startThread(named name: String, _ body: @escaping @Sendable () -> Void) throws(AMQPError) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        let name: String
        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(name, body))
    let status = pthread_create(
        &thread, nil,
        { raw in
            guard let raw else { return nil }
            let box = Unmanaged<Box>.fromOpaque(raw).takeRetainedValue()
            updraft_thread_name(box.name)
            box.body()
            return nil
        }, box.toOpaque())
    guard status == 0 else {
        box.release()
        throw AMQPError(.connection, "a thread could not be started: \(String(cString: strerror(status)))")
    }
    pthread_detach(thread)
}
