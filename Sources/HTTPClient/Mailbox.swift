import Support

/// A transfer as it is handed to the event thread.
struct TransferJob: Sendable {
    /// Who gets the answer.
    enum Sink: Sendable {
        case whole(@Sendable (Result<HTTPResponse, HTTPError>) -> Void)
        case lines(LineStream, maximumLineBytes: Int)
    }

    let id: UInt64
    let request: HTTPRequest
    let target: RequestURL
    let sink: Sink
    /// Monotonic microseconds after which the attempt has failed (for lines: if no head is in); nil: never.
    let deadline: Int64?

    /// Ends a job that never became a transfer.
    func fail(_ error: HTTPError) {
        switch sink {
        case .whole(let deliver): deliver(.failure(error))
        case .lines(let stream, _): stream.finish(.failure(error))
        }
    }
}

/// What other threads ask of the event thread.
enum TransferCommand: Sendable {
    case start(TransferJob)
    case cancel(UInt64)
    case resume(UInt64)
}

/// The event thread's letter box: commands in order, and the bell.
final class Mailbox: Sendable {
    private struct State {
        var commands: [TransferCommand] = []
        var isClosing = false
        var isGone = false
        var closers: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Lock(State())
    private let multi: MultiHandle

    init(_ multi: MultiHandle) {
        self.multi = multi
    }

    /// Puts a command in; false when the loop is closing. The bell rings only for the first of a burst.
    func post(_ command: TransferCommand) -> Bool {
        let (accepted, mustRing) = state.withLock { state in
            guard !state.isClosing else { return (false, false) }
            state.commands.append(command)
            return (true, state.commands.count == 1)
        }
        if mustRing { multi.wake() }
        return accepted
    }

    /// Asks the loop to end.
    func close() {
        state.withLock { $0.isClosing = true }
        multi.wake()
    }

    /// Returns when the loop has ended.
    func closed() async {
        await withCheckedContinuation { continuation in
            let isGone = state.withLock { state in
                if !state.isGone { state.closers.append(continuation) }
                return state.isGone
            }
            if isGone { continuation.resume() }
        }
    }

    /// On the event thread: all commands so far, and whether to end.
    func take() -> (commands: [TransferCommand], isClosing: Bool) {
        state.withLock { state in
            defer { state.commands = [] }
            return (state.commands, state.isClosing)
        }
    }

    /// On the event thread: it is over.
    func loopEnded() {
        let closers = state.withLock { state in
            state.isGone = true
            defer { state.closers = [] }
            return state.closers
        }
        closers.forEach { $0.resume() }
    }
}

/// Keeps a task's cancellation from overtaking the start of what it cancels.
final class CancelTicket: Sendable {
    private enum State {
        case fresh
        case started
        case cancelled
    }

    private let state = Lock(State.fresh)

    /// Runs `start` unless cancelled before; false if it was.
    func start(_ start: () -> Void) -> Bool {
        state.withLock { state in
            guard case .fresh = state else { return false }
            state = .started
            start()
            return true
        }
    }

    /// True if the start has happened, so that there is something to cancel.
    func cancel() -> Bool {
        state.withLock { state in
            defer { state = .cancelled }
            if case .started = state { return true }
            return false
        }
    }
}
