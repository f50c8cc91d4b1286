import Support
import Synchronization

/// An HTTP client on libcurl: many requests in flight on one event thread, streamed answers on a second one that is
/// started with the first stream.
///
/// Requests share connections (HTTP/2 over TLS where the server has it). A stream has a connection of its own, so its
/// slow reader holds up nobody else. Redirects are answers like others; proxies are used only where the environment
/// (`https_proxy`, `no_proxy`) asks for it; never for this machine.
public final class HTTPClient: Sendable {
    /// Streams open at once; more fail with `HTTPError.Code.overloaded`.
    public static let maximumStreams = 512
    /// Requests waiting for a free slot; more fail with `HTTPError.Code.overloaded`.
    public static let maximumWaiting = 65_536

    private let tls: TLSSettings
    private let userAgent: String
    private let requests: Mailbox?
    private let streams = Lock(Streams())
    private let lastID = Atomic<UInt64>(0)
    private let openStreams = Atomic<Int>(0)

    private struct Streams {
        var mailbox: Mailbox?
        var isClosed = false
    }

    /// A client with a thread of its own. Make one for each set of TLS settings and keep it.
    /// - Parameter maximumInFlight: requests driven at once; the others wait in order. 64 was measured best.
    public init(tls: TLSSettings = TLSSettings(), maximumInFlight: Int = 64, userAgent: String = "updraft") {
        self.tls = tls
        self.userAgent = userAgent
        requests = TransferLoop.start(
            Transfer.Profile(tls: tls, userAgent: userAgent, ownConnection: false),
            TransferLoop.Limits(inFlight: max(1, maximumInFlight), waiting: Self.maximumWaiting))
    }

    deinit {
        // The threads hold no reference to the client, so they end with it.
        requests?.close()
        streams.withLock { $0.mailbox }?.close()
    }

    /// Sends a request, with retries as its policy says, and returns the whole answer, whatever its status.
    /// Cancelling the task cancels the transfer at once.
    public func send(_ request: HTTPRequest) async throws(HTTPError) -> HTTPResponse {
        var policy = request.retry
        var made = 0
        while true {
            made += 1
            let result = await attempt(request)
            let jitter = Double.random(in: 0...1)
            let pause: Interval?
            switch result {
            case .success(let response):
                pause = policy.delay(
                    after: response, to: request.method, made: made, jitter: jitter, now: Timestamp.now())
            case .failure(let error):
                pause = policy.delay(after: error, to: request.method, made: made, jitter: jitter)
            }
            guard let pause else { return try result.get() }
            do {
                try await Task.sleep(for: pause.duration)
            } catch {
                throw HTTPError(
                    .cancelled, url: request.url, detail: "the task was cancelled before attempt \(made + 1)")
            }
        }
    }

    /// Sends a request and returns as soon as the head of the answer is in; the lines of the body follow as they come.
    /// There is no retry: who reads a stream knows best where to go on.
    /// - Parameter maximumLineBytes: a longer line ends the stream with `HTTPError.Code.lineTooLong`.
    public func lines(
        _ request: HTTPRequest, maximumLineBytes: Int = 16 << 20
    ) async throws(HTTPError) -> HTTPLines {
        let target = try check(request)
        guard openStreams.wrappingAdd(1, ordering: .relaxed).newValue <= Self.maximumStreams else {
            openStreams.wrappingSubtract(1, ordering: .relaxed)
            throw HTTPError(
                .overloaded, url: request.url, detail: "\(Self.maximumStreams) streams are open", isUnsent: true)
        }
        guard let mailbox = streamMailbox() else {
            openStreams.wrappingSubtract(1, ordering: .relaxed)
            throw closedError(request)
        }
        let stream = LineStream()
        let id = nextID()
        let job = TransferJob(
            id: id, request: request, target: target, sink: .lines(stream, maximumLineBytes: maximumLineBytes),
            deadline: deadline(request))
        // From here on the transfer is cancelled, and the count lowered, when `handle` is let go. It holds the client,
        // so that a stream outlives the last other use of the client.
        let handle = StreamHandle(stream: stream, url: request.url) { [self] ask in
            switch ask {
            case .resume: _ = mailbox.post(.resume(id))
            case .cancel: _ = mailbox.post(.cancel(id))
            case .release:
                _ = mailbox.post(.cancel(id))
                openStreams.wrappingSubtract(1, ordering: .relaxed)
            }
        }
        guard mailbox.post(.start(job)) else { throw closedError(request) }
        let head = try await handle.head()
        return HTTPLines(head: head, handle: handle)
    }

    /// Ends all transfers with `HTTPError.Code.clientClosed`, and returns when the threads have let go of everything.
    public func close() async {
        let stream = streams.withLock { state in
            state.isClosed = true
            return state.mailbox
        }
        requests?.close()
        stream?.close()
        await requests?.closed()
        await stream?.closed()
    }

    // MARK: One attempt

    private func attempt(_ request: HTTPRequest) async -> Result<HTTPResponse, HTTPError> {
        let target: RequestURL
        do throws(HTTPError) { target = try check(request) } catch { return .failure(error) }
        guard let requests else { return .failure(closedError(request)) }
        let id = nextID()
        let ticket = CancelTicket()
        return await withTaskCancellationHandler {
            await withCheckedContinuation {
                (continuation: CheckedContinuation<Result<HTTPResponse, HTTPError>, Never>) in
                let job = TransferJob(
                    id: id, request: request, target: target, sink: .whole { continuation.resume(returning: $0) },
                    deadline: deadline(request))
                var accepted = false
                if !ticket.start({ accepted = requests.post(.start(job)) }) {
                    job.fail(
                        HTTPError(.cancelled, url: request.url, detail: "the task was cancelled", isUnsent: true))
                } else if !accepted {
                    job.fail(closedError(request))
                }
            }
        } onCancel: {
            if ticket.cancel() { _ = requests.post(.cancel(id)) }
        }
    }

    private func check(_ request: HTTPRequest) throws(HTTPError) -> RequestURL {
        for field in request.headers.fields {
            let bad = (field.name + field.value).utf8.contains { $0 == 10 || $0 == 13 || $0 == 0 }
            guard !bad, !field.name.isEmpty, !field.name.utf8.contains(58) else {
                let name = String(field.name.unicodeScalars.filter { $0.value > 32 && $0.value < 127 })
                throw HTTPError(
                    .invalidRequest, url: request.url, detail: "header \"\(name)\" holds a forbidden character",
                    isUnsent: true)
            }
        }
        return try RequestURL.parse(request.url, serverName: tls.serverName)
    }

    private func streamMailbox() -> Mailbox? {
        streams.withLock { state in
            if state.isClosed { return nil }
            if let mailbox = state.mailbox { return mailbox }
            state.mailbox = TransferLoop.start(
                Transfer.Profile(tls: tls, userAgent: userAgent, ownConnection: true),
                TransferLoop.Limits(inFlight: Self.maximumStreams, waiting: Self.maximumStreams))
            return state.mailbox
        }
    }

    private func nextID() -> UInt64 {
        lastID.wrappingAdd(1, ordering: .relaxed).newValue
    }

    private func deadline(_ request: HTTPRequest) -> Int64? {
        request.timeouts.total.map { monotonicMicroseconds() &+ min($0.microseconds, Int64(1) << 50) }
    }

    private func closedError(_ request: HTTPRequest) -> HTTPError {
        HTTPError(.clientClosed, url: request.url, detail: "the client is closed", isUnsent: true)
    }
}
