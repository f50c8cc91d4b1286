import Support

/// The supervisor of one connection: a thread that connects to one host after another, declares the topology, hands the
/// session to its work, and starts again with a longer pause when that fails, until it is told to stop.
final class Link: Sendable {
    /// What a publisher or consumer does with the connection. All of it is called on the link's thread.
    protocol Work: AnyObject, Sendable {
        /// Connected and declared. Before this returns, `connected` is not announced.
        func prepare(_ session: inout Session) throws(AMQPError)
        /// Serves until told to stop; then returns, having finished what it could.
        func serve(_ session: inout Session) throws(AMQPError)
        /// The connection is lost or was not reached.
        func lost(_ error: AMQPError)
        /// About ten times a second while there is no connection. False ends the waiting.
        func idle() -> Bool
        /// The thread ends.
        func finished()
    }

    private struct Status {
        var state = ConnectionState.connecting(nil)
        var host = ""
        var waiters: [CheckedContinuation<Void, Never>] = []
        var ended = false
    }

    let settings: AMQPSettings
    let doorbell: Doorbell
    private let topology: Topology
    private let onEvent: @Sendable (ConnectionEvent) -> Void
    private let status = Lock(Status())

    init(
        _ settings: AMQPSettings, _ topology: Topology, _ onEvent: @escaping @Sendable (ConnectionEvent) -> Void
    ) throws(AMQPError) {
        self.settings = settings
        self.topology = topology
        self.onEvent = onEvent
        doorbell = try Doorbell()
    }

    var state: ConnectionState {
        status.withLock { $0.state }
    }

    /// Starts the thread, which keeps `work` alive until it ends.
    func start(_ work: any Work) throws(AMQPError) {
        try startThread(named: "amqp \(settings.name)") { [self] in
            run(work)
            end(work)
        }
    }

    /// Returns when the thread has ended.
    func ended() async {
        await withCheckedContinuation { continuation in
            let now = status.withLock { status in
                if !status.ended { status.waiters.append(continuation) }
                return status.ended
            }
            if now { continuation.resume() }
        }
    }

    /// From the work, on the thread: the broker's alarm.
    func blocked(_ reason: String?) {
        if let reason {
            status.withLock { $0.state = .blocked(reason) }
            onEvent(.blocked(reason: reason))
        } else {
            status.withLock { $0.state = .connected($0.host) }
            onEvent(.unblocked)
        }
    }

    /// From the work, on the thread.
    func announce(_ event: ConnectionEvent) {
        onEvent(event)
    }

    private func run(_ work: any Work) {
        var backoff = settings.backoff
        let hosts = settings.url.hosts
        // Clients spread over the hosts, as oslo's do.
        var attempt = Int.random(in: 0..<hosts.count)
        var failures = 0
        var absence = Absence(settings.absenceBackoff)
        while work.idle() {
            let host = hosts[attempt % hosts.count]
            attempt += 1
            var connectedAt: Int64?
            do throws(AMQPError) {
                var session = try Session.open(host, settings)
                if let error = try missing(&session) {
                    session.close()
                    let pause = tell(error, &absence)
                    work.lost(error)
                    wait(pause, work)
                    continue
                }
                try declare(&session)
                try work.prepare(&session)
                connectedAt = monotonicNow()
                absence.ended()
                status.withLock {
                    $0.host = host.description
                    $0.state = .connected(host.description)
                }
                onEvent(.connected(host: host.description))
                try work.serve(&session)
                session.close()
                return
            } catch {
                absence.ended()
                // A connection that held for a second was a success; one refused over and over is not.
                if let connectedAt, monotonicNow() - connectedAt > 1_000_000 { backoff.succeeded() }
                // Every host gets its chance before the first pause.
                failures += 1
                let pause = failures % hosts.count == 0 ? backoff.failed(jitter: .random(in: 0...1)) : .zero
                status.withLock { $0.state = .connecting(error) }
                work.lost(error)
                onEvent(.disconnected(error, retryIn: pause))
                wait(pause, work)
            }
        }
    }

    /// What of others is not there and has to be before anything is declared; the broker's words.
    private func missing(_ session: inout Session) throws(AMQPError) -> AMQPError? {
        let others = Topology(exchanges: topology.exchanges.filter { $0.mode == .passive })
        do throws(AMQPError) {
            try session.declare(others)
            return nil
        } catch {
            if error.code == .notFound { return error }
            if error.isLasting { onEvent(.topologyRefused(error)) }
            throw error
        }
    }

    /// That something of others is missing, told once as long as it is.
    private struct Absence {
        var backoff: Backoff
        var told: AMQPError?

        init(_ backoff: Backoff) {
            self.backoff = backoff
        }

        mutating func ended() {
            backoff.succeeded()
            told = nil
        }
    }

    /// Tells it; how long to wait before the next look.
    private func tell(_ error: AMQPError, _ absence: inout Absence) -> Interval {
        status.withLock { $0.state = .awaiting(error) }
        if absence.told != error { onEvent(.awaiting(error)) }
        absence.told = error
        return absence.backoff.failed(jitter: .random(in: 0...1))
    }

    private func declare(_ session: inout Session) throws(AMQPError) {
        do throws(AMQPError) {
            try session.declare(topology)
        } catch {
            if error.isLasting { onEvent(.topologyRefused(error)) }
            throw error
        }
    }

    private func wait(_ pause: Interval, _ work: any Work) {
        let until = monotonicNow() + pause.microseconds
        while work.idle() {
            let left = until - monotonicNow()
            guard left > 0 else { return }
            doorbell.wait(milliseconds: Int32(clamping: min(100, left / 1_000 + 1)))
        }
    }

    private func end(_ work: any Work) {
        work.finished()
        let waiters = status.withLock { status in
            status.state = .closed
            status.ended = true
            defer { status.waiters = [] }
            return status.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
