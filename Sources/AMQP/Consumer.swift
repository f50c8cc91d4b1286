import Support

/// Consumes one queue with manual acknowledgement over a connection of its own, which it keeps up by itself.
public final class Consumer: Sendable {
    private let core: ConsumerCore

    /// Starts connecting. `topology` is declared at every connect; `onEvent` is called on the connection's thread.
    /// At most `prefetch` deliveries are out at a time. `arguments` go to `basic.consume` (for example
    /// `x-priority`). Throws only if the system has no thread or descriptor left.
    public init(
        settings: AMQPSettings, topology: Topology = .init(), queue: String, prefetch: Int = 32,
        arguments: [String: AMQPValue] = [:], exclusive: Bool = false,
        onEvent: @escaping @Sendable (ConnectionEvent) -> Void = { _ in }
    ) throws(AMQPError) {
        core = try ConsumerCore(
            settings, topology,
            .init(queue: queue, prefetch: max(1, prefetch), arguments: arguments, exclusive: exclusive), onEvent)
        try core.link.start(core)
    }

    deinit {
        core.stop(settleUntil: 0)
    }

    /// What arrives, in order. Ends after `stop` or `close`. Several tasks may iterate; each delivery goes to one.
    /// Deliveries not yet taken when a connection is lost are dropped: the broker delivers them again.
    public var deliveries: Deliveries { Deliveries(core: core) }

    /// Where the connection stands.
    public var state: ConnectionState { core.link.state }

    /// Ends the subscription: `deliveries` ends, what was not taken from it goes back to the queue, and what was taken
    /// can still be settled. Returns when the broker knows, or there is no connection. Another consumer may get
    /// the rest while what was taken is still worked on; where order matters, use `close`.
    public func stop() async {
        await core.cancelSubscription()
    }

    /// Ends `deliveries`, waits up to `within` until everything taken from it is settled, and closes the connection; only
    /// then the broker gives what is left to another consumer, in order.
    public func close(within: Interval = .seconds(5)) async {
        core.stop(settleUntil: monotonicNow() + within.microseconds)
        await core.link.ended()
    }

    /// The deliveries of a consumer.
    public struct Deliveries: AsyncSequence, Sendable {
        /// A message.
        public typealias Element = Delivery
        /// The sequence ends, but never fails.
        public typealias Failure = Never
        let core: ConsumerCore

        /// Takes deliveries one by one.
        public struct AsyncIterator: AsyncIteratorProtocol {
            /// A message.
            public typealias Element = Delivery
            /// The sequence ends, but never fails.
            public typealias Failure = Never
            let core: ConsumerCore

            /// The next delivery; nil after `stop` or when the task is cancelled.
            public mutating func next() async -> Delivery? {
                await core.inbox.next()
            }

            /// The next delivery; nil after `stop` or when the task is cancelled.
            public mutating func next(isolation actor: isolated (any Actor)?) async -> Delivery? {
                await core.inbox.next()
            }
        }

        /// Takes deliveries from now on.
        public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(core: core) }
    }
}

/// Deliveries between the connection's thread and the tasks that handle them. Bounded by the prefetch.
final class Inbox: Sendable {
    private struct State {
        var buffer = Fifo<Delivery>()
        var waiters: [(id: UInt64, continuation: CheckedContinuation<Delivery?, Never>)] = []
        var cancelled: Set<UInt64> = []
        var nextID: UInt64 = 0
        var finished = false
    }

    private let state = Lock(State())

    func next() async -> Delivery? {
        enum Quick {
            case ready(Delivery?)
            case wait(UInt64)
        }
        let quick: Quick = state.withLock { state in
            if state.finished { return .ready(nil) }
            if let delivery = state.buffer.popFirst() { return .ready(delivery) }
            state.nextID += 1
            return .wait(state.nextID)
        }
        switch quick {
        case .ready(let delivery): return delivery
        case .wait(let id): return await wait(id)
        }
    }

    private func wait(_ id: UInt64) async -> Delivery? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Delivery?, Never>) in
                let now: Delivery?? = state.withLock { state in
                    if state.cancelled.remove(id) != nil || state.finished { return .some(nil) }
                    if let delivery = state.buffer.popFirst() { return delivery }
                    state.waiters.append((id, continuation))
                    return .none
                }
                if let now { continuation.resume(returning: now) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return CheckedContinuation<Delivery?, Never>?.none
                }
                return state.waiters.remove(at: index).continuation
            }
            waiter?.resume(returning: nil)
        }
    }

    func put(_ deliveries: [Delivery]) {
        guard !deliveries.isEmpty else { return }
        let served = state.withLock { state in
            state.buffer.append(contentsOf: deliveries)
            var served: [(CheckedContinuation<Delivery?, Never>, Delivery)] = []
            // What comes after the end waits for `clear`.
            while !state.finished, !state.waiters.isEmpty, let delivery = state.buffer.popFirst() {
                served.append((state.waiters.removeFirst().continuation, delivery))
            }
            return served
        }
        for (continuation, delivery) in served { continuation.resume(returning: delivery) }
    }

    /// Takes out what nobody has taken yet. With `finish` the sequence ends.
    func clear(finish: Bool) -> [Delivery] {
        let (left, waiters) = state.withLock { state in
            let left = Array(state.buffer.elements)
            state.buffer.removeAll()
            guard finish else { return (left, [CheckedContinuation<Delivery?, Never>]()) }
            state.finished = true
            defer { state.waiters = [] }
            return (left, state.waiters.map(\.continuation))
        }
        for waiter in waiters { waiter.resume(returning: nil) }
        return left
    }
}
