import Support

/// The consumer's side of the connection thread.
final class ConsumerCore: Link.Work, DeliverySettler {
    /// What to subscribe to.
    struct Subscription: Sendable {
        var queue: String
        var prefetch: Int
        var arguments: [String: AMQPValue]
        var exclusive: Bool
    }

    private struct State {
        /// Counts the connections: a delivery of an earlier one cannot be settled any more.
        var generation: UInt64 = 0
        var consumerTag = ""
        var settlements = Settlements()
        var rung = false
        var connected = false
        var cancelling = false
        var cancelled = false
        /// Deliveries out that nobody took and nobody will: the broker gets them back when the connection closes.
        var abandoned = 0
        var stopAt: Int64?
        var stopWaiters: [CheckedContinuation<Void, Never>] = []
    }

    let link: Link
    let inbox = Inbox()
    private let subscription: Subscription
    private let state = Lock(State())

    init(
        _ settings: AMQPSettings, _ topology: Topology, _ subscription: Subscription,
        _ onEvent: @escaping @Sendable (ConnectionEvent) -> Void
    ) throws(AMQPError) {
        link = try Link(settings, topology, onEvent)
        self.subscription = subscription
    }

    func settle(tag: UInt64, generation: UInt64, as outcome: Settlements.Outcome) {
        let ring = state.withLock { state in
            guard state.generation == generation, state.connected else { return false }
            state.settlements.settled(tag: tag, as: outcome)
            defer { state.rung = true }
            return !state.rung
        }
        if ring { link.doorbell.ring() }
    }

    func cancelSubscription() async {
        await withCheckedContinuation { continuation in
            let wait = state.withLock { state in
                state.cancelling = true
                guard state.connected, !state.cancelled else { return false }
                state.stopWaiters.append(continuation)
                return true
            }
            link.doorbell.ring()
            if !wait {
                _ = inbox.clear(finish: true)
                continuation.resume()
            }
        }
    }

    func stop(settleUntil time: Int64) {
        state.withLock { $0.stopAt = min($0.stopAt ?? .max, time) }
        link.doorbell.ring()
    }

    // MARK: - On the connection's thread

    func prepare(_ session: inout Session) throws(AMQPError) {
        let tag = try session.consume(
            subscription.queue, prefetch: subscription.prefetch, exclusive: subscription.exclusive,
            arguments: subscription.arguments)
        state.withLock { state in
            state.generation += 1
            state.settlements = Settlements()
            state.abandoned = 0
            state.consumerTag = tag
            state.connected = true
        }
    }

    func serve(_ session: inout Session) throws(AMQPError) {
        var (generation, consumerTag) = state.withLock { ($0.generation, Optional($0.consumerTag)) }
        var events: [Inbound] = []
        let idle = Int32(clamping: max(50, Int64(link.settings.heartbeat.inSeconds * 250)))
        while true {
            let turn = state.withLock { state in
                state.rung = false
                return (actions: state.settlements.flush(), cancel: state.cancelling, close: state.stopAt)
            }
            try session.settle(turn.actions)
            if turn.cancel, let tag = consumerTag {
                try session.cancel(tag)
                consumerTag = nil
                // What arrived before the broker knew is taken in, to be given back.
                try drain(&session, &events, generation)
                handBack()
                continue
            }
            if let close = turn.close, isFinished(by: close) {
                // What was settled since this turn began.
                return try session.settle(state.withLock { $0.settlements.flush() })
            }
            if try drain(&session, &events, generation) { continue }
            link.doorbell.wait(socket: session.descriptor, milliseconds: turn.close != nil ? min(50, idle) : idle)
        }
    }

    /// When closing: no more is handed on, and whether everything that was is settled (or the time is up).
    ///
    /// The subscription stays until the connection closes: a queue with a single active consumer passes to the next
    /// one only then, so that it sees the messages in order and none while its predecessor still works on an
    /// earlier one.
    private func isFinished(by time: Int64) -> Bool {
        let left = inbox.clear(finish: true).count
        return state.withLock { state in
            state.abandoned += left
            return state.settlements.outstanding <= state.abandoned || time <= monotonicNow()
        }
    }

    /// Everything nobody has taken goes back to the queue, and whoever waits for the end of the subscription is told.
    private func handBack() {
        let left = inbox.clear(finish: true)
        let waiters = state.withLock { state in
            state.cancelled = true
            // After a close has begun too: then they are given back at once instead of with the connection.
            for delivery in left { state.settlements.settled(tag: delivery.tag, as: .requeue) }
            defer { state.stopWaiters = [] }
            return state.stopWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    @discardableResult
    private func drain(
        _ session: inout Session, _ events: inout [Inbound], _ generation: UInt64
    ) throws(AMQPError) -> Bool {
        events.removeAll(keepingCapacity: true)
        let more = try session.drain(into: &events, maximum: 1_024)
        guard !events.isEmpty else { return more }
        var deliveries: [Delivery] = []
        for event in events {
            switch event {
            case .content(let content):
                guard case .delivery(let tag, let redelivered, let exchange, let routingKey) = content.start else {
                    continue
                }
                deliveries.append(
                    Delivery(
                        body: content.body, bodySize: content.size, exchange: exchange, routingKey: routingKey,
                        properties: content.properties, redelivered: redelivered, tag: tag, generation: generation,
                        settler: self))
            case .cancelled:
                link.announce(.consumerCancelled(queue: subscription.queue))
                throw AMQPError(.consumerCancelled, "the broker ended the subscription to \(subscription.queue)")
            case .channelClosed(let error): throw error
            case .confirmed, .empty, .blocked, .unblocked: break
            }
        }
        state.withLock { state in
            for delivery in deliveries { state.settlements.delivered(tag: delivery.tag) }
        }
        inbox.put(deliveries)
        return more
    }

    func lost(_ error: AMQPError) {
        let waiters = state.withLock { state in
            state.connected = false
            defer { state.stopWaiters = [] }
            return state.stopWaiters
        }
        _ = inbox.clear(finish: !waiters.isEmpty)
        for waiter in waiters { waiter.resume() }
    }

    func idle() -> Bool {
        state.withLock { state in !state.cancelling && state.stopAt == nil }
    }

    func finished() {
        lost(AMQPError(.closed, "the consumer was closed"))
        _ = inbox.clear(finish: true)
    }
}
