import Messages
import Support

/// What leaves in order: an event is confirmed by the broker before the act that follows it is done, so that a crash
/// between the two leaves the event, not a silence. An act whose event did not leave is not done: whoever acts next finds things as
/// they were before both.
struct Outbox: Sendable {
    /// A thing to do after all before it.
    enum Item: Sendable {
        case publish(Event)
        case then(@Sendable () async -> Void)
    }

    private let ordered: AsyncStream<Item>
    private let orderedInput: AsyncStream<Item>.Continuation
    private let states: AsyncStream<Event>
    private let statesInput: AsyncStream<Event>.Continuation

    init() {
        (ordered, orderedInput) = AsyncStream.makeStream()
        // Group states say how things are: when they cannot leave, only the newest are worth keeping.
        (states, statesInput) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
    }

    func publish(_ event: Event) {
        if event.type.topic.isPerishable { statesInput.yield(event) } else { orderedInput.yield(.publish(event)) }
    }

    func then(_ act: @escaping @Sendable () async -> Void) {
        orderedInput.yield(.then(act))
    }

    /// No more comes; what is there still leaves.
    func finish() {
        orderedInput.finish()
        statesInput.finish()
    }

    /// Sends until finished and empty. `send` returns when the broker has it, or it never will; false ends everything that is
    /// in order.
    func run(_ send: @escaping @Sendable (Event) async -> Bool) async {
        await withTaskGroup { group in
            group.addTask {
                for await item in ordered {
                    switch item {
                    case .publish(let event): guard await send(event) else { return }
                    case .then(let act): await act()
                    }
                }
            }
            group.addTask {
                for await event in states { _ = await send(event) }
            }
        }
    }
}
