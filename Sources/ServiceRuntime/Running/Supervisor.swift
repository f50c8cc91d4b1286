import Support

/// Keeps the parts of a service running: a part that fails is started again after a growing wait, is "not ready"
/// meanwhile, and never takes the others with it.
public struct Supervisor: Sendable {
    private let log: Logger
    private let readiness: Readiness
    private let shutdown: Shutdown
    private let restarts: Counter
    private let backoff: Backoff
    private let sleep: @Sendable (Interval) async throws -> Void
    private let jitter: @Sendable () -> Double

    /// A part that ran this long before it failed starts with the shortest wait again.
    static let settled = Interval.seconds(60)

    /// The waits grow from `backoff`'s first to its cap.
    public init(
        log: Logger, metrics: Metrics, readiness: Readiness, shutdown: Shutdown,
        backoff: Backoff = Backoff(first: .milliseconds(200), cap: .seconds(30)),
        sleep: @escaping @Sendable (Interval) async throws -> Void = { try await Task.sleep(for: $0.duration) },
        jitter: @escaping @Sendable () -> Double = { .random(in: 0...1) }
    ) {
        self.log = log
        self.readiness = readiness
        self.shutdown = shutdown
        self.backoff = backoff
        self.sleep = sleep
        self.jitter = jitter
        restarts = metrics.counter(
            "restarts", "Parts of the service started again after a failure.", .label("part", atMost: 50))
    }

    /// Given to a part, so that it can say when it works.
    public struct Part: Sendable {
        /// Its name, which is its condition in `/readyz`.
        public let name: String
        fileprivate let readiness: Readiness

        /// It works: the service is ready as far as this part goes.
        public func ready() {
            readiness.ok(name)
        }

        /// It does not work just now, but goes on by itself.
        public func notReady(_ reason: String) {
            readiness.failed(name, reason)
        }
    }

    /// Runs `body` until the service ends: again whenever it throws or returns. It calls `ready()` when it works.
    /// Returns when the end is wanted and the body has returned, or when the task is cancelled.
    public func run(_ name: String, _ body: @Sendable (Part) async throws -> Void) async {
        let part = Part(name: name, readiness: readiness)
        var backoff = backoff
        part.notReady("starting")
        // Cancelled while the service goes on: it is not a part of it any more (this replica stands by).
        defer { if Task.isCancelled, !shutdown.isRequested { readiness.remove(name) } }
        while !shutdown.isRequested, !Task.isCancelled {
            let started = Timestamp.now()
            let failure: String
            do {
                try await body(part)
                failure = "it ended"
            } catch {
                failure = String(describing: error)
            }
            if shutdown.isRequested || Task.isCancelled { return }
            if Timestamp.now() - started >= Self.settled { backoff.succeeded() }
            let wait = backoff.failed(jitter: jitter())
            restarts.increment(name)
            part.notReady("failed: \(failure)")
            log.warning(
                "a part failed and is started again",
                [.part: .string(name), .error: .string(failure), .retryIn: .text(wait)])
            await withTaskGroup { group in
                group.addTask { try? await sleep(wait) }
                group.addTask { await shutdown.requested() }
                await group.next()
                group.cancelAll()
            }
        }
    }

    /// Runs several parts side by side until the service ends.
    public func run(_ parts: [(name: String, body: @Sendable (Part) async throws -> Void)]) async {
        await withTaskGroup { group in
            for part in parts { group.addTask { await run(part.name, part.body) } }
        }
    }
}
