import Support

/// Who waits for what a core makes of something: a core gives its answers by number, and the number finds the one who
/// waits.
public final class Tickets<Answer: Sendable>: Sendable {
    private struct State {
        var next = 0
        var waiting: [Int: CheckedContinuation<Answer?, Never>] = [:]
        var isClosed = false
    }

    private let state = Lock(State())

    /// Nobody waits.
    public init() {}

    /// Takes a number, lets `submit` tell the core, and waits for the answer. Nil: there will be none, because those who
    /// give answers have ended.
    public func wait(_ submit: (_ ticket: Int) -> Void) async -> Answer? {
        let ticket = state.withLock { state -> Int in
            state.next += 1
            return state.next
        }
        return await withCheckedContinuation { continuation in
            let isClosed = state.withLock { state -> Bool in
                if !state.isClosed { state.waiting[ticket] = continuation }
                return state.isClosed
            }
            if isClosed { continuation.resume(returning: nil) } else { submit(ticket) }
        }
    }

    /// Gives whoever waits for the number the answer; a number that nobody waits for is passed over.
    public func answer(_ ticket: Int, _ answer: Answer?) {
        state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume(returning: answer)
    }

    /// Whether those who give answers have ended.
    public var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Ends all waiting, now and from now on, with nil.
    public func close() {
        let waiting = state.withLock { state -> [CheckedContinuation<Answer?, Never>] in
            state.isClosed = true
            defer { state.waiting = [:] }
            return Array(state.waiting.values)
        }
        for continuation in waiting { continuation.resume(returning: nil) }
    }
}
