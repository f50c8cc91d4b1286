import Support

/// What flows between the event thread and the reader of a streamed answer: a bounded queue of lines.
///
/// The event thread asks `pauseIfFull` before it takes a chunk, and pauses the transfer then; the reader, having taken
/// enough, is told by `next` that the transfer should go on. So memory is bounded by one water mark, one chunk and one
/// unfinished line, whatever the server sends.
final class LineStream: Sendable {
    /// A transfer is paused when this many bytes wait for the reader…
    static let highWater = 1 << 20
    /// …and goes on when no more than this many are left.
    static let lowWater = 256 << 10

    enum Next {
        case line([UInt8], resume: Bool)
        case end
        case failed(HTTPError)
        case wait
    }

    private struct State {
        var head: HTTPResponseHead?
        var lines: [[UInt8]] = []
        var first = 0
        var bytes = 0
        var isPaused = false
        var end: Result<Void, HTTPError>?
        var waiters: [CheckedContinuation<Void, Never>] = []

        mutating func takeWaiters() -> [CheckedContinuation<Void, Never>] {
            defer { waiters = [] }
            return waiters
        }

        mutating func popLine() -> [UInt8]? {
            guard first < lines.count else { return nil }
            let line = lines[first]
            lines[first] = []
            first += 1
            // Compact now and then: moving the rest costs less than it frees.
            if first == lines.count || (first > 64 && first > lines.count / 2) {
                lines.removeFirst(first)
                first = 0
            }
            bytes -= line.count + Self.overhead
            return line
        }

        /// An empty line costs memory too; without this a server could send newlines without end past the mark.
        static let overhead = 32
    }

    private let state = Lock(State())

    /// On the event thread: true if the reader is too far behind; the transfer must pause then.
    func pauseIfFull() -> Bool {
        state.withLock { state in
            guard state.bytes >= Self.highWater, state.end == nil else { return false }
            state.isPaused = true
            return true
        }
    }

    /// On the event thread: the head is in.
    func arrived(_ head: HTTPResponseHead) {
        change { $0.head = head }
    }

    /// On the event thread: lines (or, for an answer that is no stream, raw chunks).
    func append(_ lines: [[UInt8]]) {
        guard !lines.isEmpty else { return }
        change { state in
            guard state.end == nil else { return }
            for line in lines { state.bytes += line.count + State.overhead }
            state.lines.append(contentsOf: lines)
        }
    }

    /// No more lines come. The first call counts. A failure by cancellation also drops what waits.
    func finish(_ result: Result<Void, HTTPError>) {
        change { state in
            guard state.end == nil else { return }
            state.end = result
            if case .failure(let error) = result, error.code == .cancelled {
                state.lines = []
                state.first = 0
                state.bytes = 0
            }
        }
    }

    /// Waits for the head. Nil if the transfer ended without an error before a head, which libcurl does not do.
    func head() async throws(HTTPError) -> HTTPResponseHead? {
        while true {
            let found: Result<HTTPResponseHead?, HTTPError>? = state.withLock { state in
                if let head = state.head { return .success(head) }
                switch state.end {
                case .failure(let error): return .failure(error)
                case .success: return .success(nil)
                case nil: return nil
                }
            }
            if let found { return try found.get() }
            await wait { $0.head == nil && $0.end == nil }
        }
    }

    /// The next line, or how the stream ended, or `.wait`.
    func next() -> Next {
        state.withLock { state in
            if let line = state.popLine() {
                let resume = state.isPaused && state.bytes <= Self.lowWater
                if resume { state.isPaused = false }
                return .line(line, resume: resume)
            }
            switch state.end {
            case .success: return .end
            case .failure(let error): return .failed(error)
            case nil: return .wait
            }
        }
    }

    /// Returns when there is a line or an end.
    func waitForLine() async {
        await wait { $0.first == $0.lines.count && $0.end == nil }
    }

    private func wait(while condition: @Sendable (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let mustWait = state.withLock { state in
                guard condition(state) else { return false }
                state.waiters.append(continuation)
                return true
            }
            if !mustWait { continuation.resume() }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let waiters = state.withLock { state in
            body(&state)
            return state.takeWaiters()
        }
        waiters.forEach { $0.resume() }
    }
}
