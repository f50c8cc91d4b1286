/// One streamed answer: its head, and its lines as they come.
///
/// Read it from one task. A reader that falls behind makes the transfer pause; memory stays bounded. Letting go of the
/// value, `cancel()`, or cancelling the reading task ends the transfer.
public final class HTTPLines: Sendable, AsyncSequence {
    /// A line without its line feed; a last line without one counts too, unless the connection broke in it.
    public typealias Element = [UInt8]
    /// What a broken stream throws.
    public typealias Failure = HTTPError

    /// Status and header fields. Outside 200…299 the body is not a stream of lines: read it by `remainingBody`.
    public let head: HTTPResponseHead

    private let handle: StreamHandle

    init(head: HTTPResponseHead, handle: StreamHandle) {
        self.head = head
        self.handle = handle
    }

    /// Iterates over the lines that have not been read.
    public func makeAsyncIterator() -> Iterator {
        Iterator(handle: handle)
    }

    /// Ends the transfer; a pending or later `next` throws `HTTPError.Code.cancelled`.
    public func cancel() {
        handle.cancel()
    }

    /// The rest of the body of an answer whose status is not 200…299 (an error text).
    /// - Parameter limit: the largest body accepted, in bytes; a larger one throws `HTTPError.Code.tooLarge`.
    public func remainingBody(limit: Int = 1 << 20) async throws(HTTPError) -> [UInt8] {
        let isStream = (200..<300).contains(head.status)
        var body: [UInt8] = []
        while let piece = try await handle.next() {
            body += piece
            if isStream { body.append(10) }
            guard body.count <= limit else {
                handle.cancel()
                throw HTTPError(.tooLarge, url: handle.url, detail: "the answer is larger than \(limit) bytes")
            }
        }
        return body
    }

    /// The position in the stream.
    public struct Iterator: AsyncIteratorProtocol {
        let handle: StreamHandle

        /// The next line, or nil when the answer is complete.
        public mutating func next() async throws(HTTPError) -> [UInt8]? {
            try await handle.next()
        }

        /// The next line, or nil when the answer is complete.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(HTTPError) -> [UInt8]? {
            try await handle.next()
        }
    }
}

/// The reader's end of a transfer. Letting go of it cancels the transfer.
final class StreamHandle: Sendable {
    /// What the reader's end asks of the transfer.
    enum Request: Sendable {
        /// There is room again.
        case resume
        /// Nobody wants the rest.
        case cancel
        /// The reader's end is gone.
        case release
    }

    let url: String
    private let stream: LineStream
    private let ask: @Sendable (Request) -> Void

    init(stream: LineStream, url: String, ask: @escaping @Sendable (Request) -> Void) {
        self.stream = stream
        self.url = url
        self.ask = ask
    }

    deinit {
        ask(.release)
    }

    func cancel() {
        // The reader is woken here and not only when the event thread comes round.
        stream.finish(.failure(HTTPError(.cancelled, url: url, detail: "the task was cancelled")))
        ask(.cancel)
    }

    func head() async throws(HTTPError) -> HTTPResponseHead {
        let result: Result<HTTPResponseHead?, HTTPError> = await withTaskCancellationHandler {
            do throws(HTTPError) { return .success(try await stream.head()) } catch { return .failure(error) }
        } onCancel: {
            cancel()
        }
        guard let head = try result.get() else {
            throw HTTPError(.closed, url: url, detail: "the answer ended before its head")
        }
        return head
    }

    func next() async throws(HTTPError) -> [UInt8]? {
        if Task.isCancelled { cancel() }
        while true {
            switch stream.next() {
            case .line(let line, let resume):
                if resume { ask(.resume) }
                return line
            case .end: return nil
            case .failed(let error): throw error
            case .wait:
                await withTaskCancellationHandler {
                    await stream.waitForLine()
                } onCancel: {
                    cancel()
                }
            }
        }
    }
}
