import Messages
import Support

/// What leaves in order: an event is confirmed by the broker before the act that follows it is done, so that a crash
/// between the two leaves the event, not a silence. An act whose event did not leave is not done: whoever acts next finds
/// things as they were before both.
///
/// Steps of the removals of different nodes leave side by side: a broker takes milliseconds to confirm an event, and the
/// cooldowns of a thousand nodes that were decided together end in the same moment. Those of one node leave one after the
/// other, and every other event after all before it and before all after it.
public final class Outbox: Sendable {
    private enum Item: Sendable {
        case publish(Event)
        case then(@Sendable () async -> Void)
    }

    private typealias Turn = LaneOrder<Item>.Turn

    private struct State {
        var order = LaneOrder<Item>()
        var isFinished = false
        var isBroken = false
        var waiting: [CheckedContinuation<Turn?, Never>] = []

        var isOver: Bool { isBroken || (isFinished && order.isEmpty) }

        /// Who goes on, and with what; nil: to its end.
        mutating func dispatch() -> [(CheckedContinuation<Turn?, Never>, Turn?)] {
            var going: [(CheckedContinuation<Turn?, Never>, Turn?)] = []
            while !isBroken, !waiting.isEmpty, let turn = order.next() { going.append((waiting.removeLast(), turn)) }
            if isOver {
                going += waiting.map { ($0, nil) }
                waiting = []
            }
            return going
        }
    }

    /// Events under way at once.
    private static let width = 32

    private let state = Lock(State())
    private let states: AsyncStream<Event>
    private let statesInput: AsyncStream<Event>.Continuation

    /// An empty one.
    public init() {
        // Group states say how things are: when they cannot leave, only the newest are worth keeping.
        (states, statesInput) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
    }

    /// The event leaves in its turn; of those that say how things are (perishable topics) only the newest are kept.
    public func publish(_ event: Event) {
        if event.type.topic.isPerishable {
            statesInput.yield(event)
        } else {
            change { $0.order.add(.publish(event), event.nodeUnderRemoval.map { .lane($0) } ?? .alone) }
        }
    }

    /// Done after all before it have left. It is short: others of its kind wait for it.
    public func then(_ act: @escaping @Sendable () async -> Void) {
        change { $0.order.add(.then(act), .after) }
    }

    /// No more comes; what is there still leaves.
    public func finish() {
        change { $0.isFinished = true }
        statesInput.finish()
    }

    /// Sends until finished and empty, also when the task is cancelled meanwhile. `send` returns when the broker has it, or
    /// it never will; false ends everything that is in order.
    public func run(_ send: @escaping @Sendable (Event) async -> Bool) async {
        await withTaskGroup { group in
            for _ in 0..<Self.width {
                group.addTask {
                    while let turn = await self.next() {
                        switch turn.item {
                        case .publish(let event):
                            guard await send(event) else {
                                self.change { $0.isBroken = true }
                                return
                            }
                        case .then(let act): await act()
                        }
                        self.change { $0.order.finished(turn) }
                    }
                }
            }
            group.addTask { [states] in
                for await event in states { _ = await send(event) }
            }
        }
    }

    private func next() async -> Turn? {
        await withCheckedContinuation { continuation in
            change { $0.waiting.append(continuation) }
        }
    }

    private func change(_ body: (inout State) -> Void) {
        let going = state.withLock { state in
            body(&state)
            return state.dispatch()
        }
        for (continuation, turn) in going { continuation.resume(returning: turn) }
    }
}
