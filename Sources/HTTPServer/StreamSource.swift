import Support

/// The writing end of a streaming answer. Any task may send; the server's thread takes what is there and parks the
/// connection when there is nothing, so that an idle watch costs no turn of any loop.
public final class StreamSource: Sendable {
    private struct State {
        var chunks: [[UInt8]] = []
        var head = 0
        var offset = 0
        var buffered = 0
        var finished = false
        var closed = false
        /// Set while the connection is suspended: resumes it. Taken by whoever calls it, so it is called once.
        var resume: (@Sendable () -> Void)?
        var onClose: [@Sendable () -> Void] = []
    }

    private let state = Lock(State())
    /// Bytes that may wait for a slow client.
    public let maximumBufferedBytes: Int

    /// `maximumBufferedBytes`: what may wait for a slow client before `send` says no.
    public init(maximumBufferedBytes: Int = 8 << 20) {
        self.maximumBufferedBytes = maximumBufferedBytes
    }

    /// Hands over bytes. False when the client is gone, the stream finished, or the buffer is over its bound; then
    /// nothing of `bytes` is sent. A single piece larger than the bound passes when nothing waits.
    @discardableResult
    public func send(_ bytes: [UInt8]) -> Bool {
        state.withLock { state in
            guard !state.closed, !state.finished else { return false }
            guard !bytes.isEmpty else { return true }
            guard state.buffered == 0 || state.buffered + bytes.count <= maximumBufferedBytes else { return false }
            state.chunks.append(bytes)
            state.buffered += bytes.count
            Self.wake(&state)
            return true
        }
    }

    /// Ends the body after what was sent; more is refused.
    public func finish() {
        state.withLock { state in
            guard !state.finished else { return }
            state.finished = true
            Self.wake(&state)
        }
    }

    /// Breaks the connection off: the client sees a body cut short.
    public func abort() {
        close()
    }

    /// True once the client is gone or the server stopped.
    public var isClosed: Bool {
        state.withLock { $0.closed }
    }

    /// Calls `handler` once when the connection is over, well or not; at once if it is already. Not from `send`.
    public func onClose(_ handler: @escaping @Sendable () -> Void) {
        let now = state.withLock { state in
            if state.closed { return true }
            state.onClose.append(handler)
            return false
        }
        if now { handler() }
    }

    /// What the server's thread found.
    enum Taken {
        case bytes(Int)
        case parked
        case end
        case broken
    }

    /// Copies what waits into `buffer`. With nothing there, calls `suspend` under the lock (so that no `send` can slip
    /// in between) and keeps `resume` for the next one.
    func take(
        into buffer: UnsafeMutableRawBufferPointer, suspend: () -> Void, resume: @escaping @Sendable () -> Void
    ) -> Taken {
        state.withLock { state in
            if state.closed { return .broken }
            var written = 0
            while written < buffer.count, state.head < state.chunks.count {
                let size = state.chunks[state.head].withUnsafeBytes { bytes in
                    let size = min(buffer.count - written, bytes.count - state.offset)
                    UnsafeMutableRawBufferPointer(rebasing: buffer[written..<written + size])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[state.offset..<state.offset + size]))
                    return size
                }
                written += size
                state.offset += size
                if state.offset == state.chunks[state.head].count {
                    state.chunks[state.head] = []
                    state.head += 1
                    state.offset = 0
                }
            }
            if state.head == state.chunks.count {
                state.chunks.removeAll(keepingCapacity: state.head <= 64)
                state.head = 0
            } else if state.head > 1024 {
                state.chunks.removeFirst(state.head)
                state.head = 0
            }
            state.buffered -= written
            if written > 0 { return .bytes(written) }
            if state.finished { return .end }
            suspend()
            state.resume = resume
            return .parked
        }
    }

    /// The connection is over or must end: wakes it if it is parked, so that the server's thread sees it.
    func close() {
        let handlers = state.withLock { state -> [@Sendable () -> Void] in
            guard !state.closed else { return [] }
            state.closed = true
            state.chunks = []
            state.buffered = 0
            Self.wake(&state)
            let handlers = state.onClose
            state.onClose = []
            return handlers
        }
        for handler in handlers { handler() }
    }

    /// Under the lock, so that the server cannot be stopped between taking the wake-up and calling it.
    private static func wake(_ state: inout State) {
        guard let resume = state.resume else { return }
        state.resume = nil
        resume()
    }
}
