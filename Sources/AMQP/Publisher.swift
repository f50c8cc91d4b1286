import Support

/// Publishes with confirms over a connection of its own, which it keeps up by itself.
///
/// A message accepted is lost never: `publish` returns when the broker has confirmed it, and what was unconfirmed when a
/// connection broke is sent again on the next one, in order. So a message may arrive twice; it does not vanish. The
/// exceptions end with an error to the caller: a deadline, cancellation, a refusal by the broker, and `close`.
public final class Publisher: Sendable {
    private let core: PublisherCore

    /// Starts connecting. `topology` is declared at every connect; `onEvent` is called on the connection's thread.
    /// Throws only if the system has no thread or descriptor left.
    public init(
        settings: AMQPSettings, topology: Topology = .init(),
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }
    ) throws(AMQPError) {
        core = try PublisherCore(settings, topology, onEvent)
        try core.link.start(core)
    }

    deinit {
        core.stop(flushUntil: 0)
    }

    /// Returns when the broker has confirmed the message. Errors: `.full` at the bounds (nothing was taken),
    /// `.unroutable`, `.nacked`, `.tooLarge`, `.invalid`, `.timedOut` after `within`, `.cancelled`, `.closed`, or the
    /// broker's refusal of this message (for example `.notFound` for its exchange).
    public func publish(_ message: OutgoingMessage, within: Interval? = nil) async throws(AMQPError) {
        try await core.publish([message], within: within)
    }

    /// Returns when the broker has confirmed every message; throws the first error among them, after all are settled.
    public func publish(_ messages: [OutgoingMessage], within: Interval? = nil) async throws(AMQPError) {
        guard !messages.isEmpty else { return }
        try await core.publish(messages, within: within)
    }

    /// Where the connection stands.
    public var state: ConnectionState { core.link.state }

    /// Messages accepted and not settled yet.
    public var backlog: Int { core.backlog }

    /// Takes no more messages, gives those in hand up to `flushWithin` to be confirmed, fails the rest with
    /// `.closed`, and closes the connection.
    public func close(flushWithin: Interval = .seconds(5)) async {
        core.stop(flushUntil: monotonicNow() + flushWithin.microseconds)
        await core.link.ended()
    }
}

/// The publisher's side of the connection thread.
final class PublisherCore: Link.Work {
    typealias Waiter = CheckedContinuation<AMQPError?, Never>

    private struct State {
        var ledger: PublishLedger<Waiter>
        /// Whether the doorbell was rung since the thread last looked.
        var rung = false
        /// When to end although messages are left; nil while open.
        var stopAt: Int64?
    }

    let link: Link
    private let state: Lock<State>

    init(
        _ settings: AMQPSettings, _ topology: Topology, _ onEvent: @escaping @Sendable (ConnectionEvent) -> Void
    ) throws(AMQPError) {
        link = try Link(settings, topology, onEvent)
        let limits = PublishLedger<Waiter>.Limits(
            inFlight: settings.maximumInFlight, waiting: settings.maximumWaiting, bytes: settings.maximumWaitingBytes)
        state = Lock(State(ledger: PublishLedger(limits)))
    }

    var backlog: Int {
        state.withLock { $0.ledger.waitingCount + $0.ledger.inFlightCount }
    }

    func publish(_ messages: [OutgoingMessage], within: Interval?) async throws(AMQPError) {
        for message in messages { try message.validate(maximumBodyBytes: link.settings.maximumMessageBytes) }
        let deadline = within.map { monotonicNow() + $0.microseconds } ?? .max
        let ticket = Ticket()
        let error = await withTaskCancellationHandler {
            await withCheckedContinuation { (waiter: Waiter) in
                submit(messages, waiter, deadline, ticket)
            }
        } onCancel: {
            cancel(ticket)
        }
        if let error { throw error }
    }

    /// Lets a cancellation that comes before, during or after submission find its batch.
    private final class Ticket: Sendable {
        struct State {
            var batch: UInt64?
            var cancelled = false
        }
        let state = Lock(State())
    }

    private func submit(_ messages: [OutgoingMessage], _ waiter: Waiter, _ deadline: Int64, _ ticket: Ticket) {
        enum Outcome {
            case failed(AMQPError)
            case accepted(batch: UInt64, ring: Bool)
        }
        let outcome: Outcome = state.withLock { state in
            guard state.stopAt == nil else { return .failed(AMQPError(.closed, "the publisher is closed")) }
            do throws(AMQPError) {
                let batch = try state.ledger.submit(messages, waiter: waiter, deadline: deadline)
                defer { state.rung = true }
                return .accepted(batch: batch, ring: !state.rung)
            } catch {
                return .failed(error)
            }
        }
        switch outcome {
        case .failed(let error): waiter.resume(returning: error)
        case .accepted(let batch, let ring):
            let cancelled = ticket.state.withLock { ticket in
                ticket.batch = batch
                return ticket.cancelled
            }
            if ring { link.doorbell.ring() }
            if cancelled { cancel(ticket) }
        }
    }

    private func cancel(_ ticket: Ticket) {
        let batch = ticket.state.withLock { ticket in
            ticket.cancelled = true
            return ticket.batch
        }
        guard let batch else { return }
        complete { ledger, completions in ledger.cancel(batch, completions: &completions) }
    }

    /// Ends the thread when everything is confirmed, at the latest at `time`.
    func stop(flushUntil time: Int64) {
        state.withLock { $0.stopAt = min($0.stopAt ?? .max, time) }
        link.doorbell.ring()
    }

    // MARK: - On the connection's thread

    func prepare(_ session: inout Session) throws(AMQPError) {
        try session.selectConfirms()
    }

    func serve(_ session: inout Session) throws(AMQPError) {
        var messages: [OutgoingMessage] = []
        var events: [Inbound] = []
        var blocked = false
        let idle = Int32(clamping: max(50, Int64(link.settings.heartbeat.inSeconds * 250)))
        // The library must not write once it has waited too long for a heartbeat: it would then read, and wait for ever
        // (librabbitmq 0.11, `amqp_try_recv`). So the silence is measured here too, and ends a little earlier.
        let silence = session.heartbeat > 0 ? session.heartbeat * 2_000_000 - 300_000 : .max
        var heardAt = monotonicNow()
        while true {
            events.removeAll(keepingCapacity: true)
            let more = try session.drain(into: &events)
            if !events.isEmpty { heardAt = monotonicNow() }
            try handle(events, &session, &blocked)
            guard monotonicNow() - heardAt < silence else {
                throw AMQPError(.timedOut, "no heartbeat of the broker for \(session.heartbeat * 2) s")
            }
            messages.removeAll(keepingCapacity: true)
            // The batch is small so that confirms are read between: a broker that cannot write its confirms stops reading.
            let (leave, timed) = state.withLock { state in
                state.rung = false
                if !blocked { state.ledger.take(upTo: 64, into: &messages) }
                let leave = state.stopAt.map { state.ledger.isEmpty || $0 <= monotonicNow() } ?? false
                return (leave, state.ledger.hasDeadlines || state.stopAt != nil)
            }
            if leave { return }
            for message in messages { try session.publish(message) }
            if timed { expire() }
            let busy = more || (!blocked && state.withLock { $0.ledger.canSend })
            if !busy {
                let isReadable = link.doorbell.wait(
                    socket: session.descriptor, milliseconds: timed ? min(50, idle) : idle)
                if isReadable { heardAt = monotonicNow() }
            }
        }
    }

    private func handle(
        _ events: [Inbound], _ session: inout Session, _ blocked: inout Bool
    ) throws(AMQPError) {
        guard !events.isEmpty else { return }
        var refusal: AMQPError?
        complete { ledger, completions in
            for event in events {
                switch event {
                case .confirmed(let tag, let multiple, let nacked):
                    ledger.settled(tag: tag, multiple: multiple, nacked: nacked, completions: &completions)
                case .content(let content):
                    guard case .returned(let code, let text, let exchange, let routingKey) = content.start else {
                        continue
                    }
                    let where_ = "exchange '\(exchange)', routing key '\(routingKey)'"
                    ledger.returned(
                        exchange: exchange, routingKey: routingKey, messageID: content.properties.messageID,
                        error: AMQPError(reply: code, text: "\(text): \(where_)"))
                case .channelClosed(let error):
                    ledger.channelRefused(error, completions: &completions)
                    refusal = error
                case .blocked, .unblocked, .cancelled, .empty: break
                }
            }
        }
        for event in events {
            switch event {
            case .blocked(let reason):
                blocked = true
                link.blocked(reason)
            case .unblocked:
                blocked = false
                link.blocked(nil)
            default: break
            }
        }
        if refusal != nil {
            try session.reopenChannel()
            try session.selectConfirms()
        }
    }

    private func expire() {
        let now = monotonicNow()
        complete { ledger, completions in ledger.expire(now: now, completions: &completions) }
    }

    func lost(_ error: AMQPError) {
        state.withLock { $0.ledger.connectionLost() }
    }

    func idle() -> Bool {
        expire()
        return state.withLock { state in
            guard let stopAt = state.stopAt else { return true }
            return !state.ledger.isEmpty && stopAt > monotonicNow()
        }
    }

    func finished() {
        state.withLock { $0.stopAt = 0 }
        complete { ledger, completions in
            ledger.failAll(AMQPError(.closed, "the publisher was closed first"), completions: &completions)
        }
    }

    /// Changes the ledger, then wakes whoever is done: never under the lock.
    private func complete(
        _ change: (inout PublishLedger<Waiter>, inout [PublishLedger<Waiter>.Completion]) -> Void
    ) {
        let completions = state.withLock { state in
            var completions: [PublishLedger<Waiter>.Completion] = []
            change(&state.ledger, &completions)
            return completions
        }
        for completion in completions { completion.waiter.resume(returning: completion.error) }
    }
}
