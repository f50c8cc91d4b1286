import Support

/// The wish that the service ends. Any number of parts may wait for it.
public final class Shutdown: Sendable {
    private struct State {
        var reason: String?
        var next = 0
        var waiting: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state = Lock(State())

    /// Not wanted yet.
    public init() {}

    /// Whether the end is wanted.
    public var isRequested: Bool { state.withLock { $0.reason != nil } }

    /// Why, once it is wanted: `SIGTERM`.
    public var reason: String? { state.withLock { $0.reason } }

    /// Asks for the end; the first reason counts.
    public func request(_ reason: String) {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            guard state.reason == nil else { return [] }
            state.reason = reason
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume() }
    }

    /// Returns when the end is wanted, or when the task is cancelled.
    public func requested() async {
        let ticket = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let now = state.withLock { state in
                    guard state.reason == nil, !Task.isCancelled else { return true }
                    state.waiting[ticket] = continuation
                    return false
                }
                if now { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume()
        }
    }
}
