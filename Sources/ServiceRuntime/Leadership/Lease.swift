import Support

/// The right of this replica to act, for one turn. Looked at before each act: it ends by the clock, also when nothing
/// had a chance to say so (a process that was stopped, a machine that slept).
public final class Lease: Sendable {
    private struct State {
        var until: Timestamp
        var isOver = false
    }

    private let clock: SteadyClock
    private let state: Lock<State>
    private let end = Shutdown()

    init(until: Timestamp, clock: SteadyClock) {
        self.clock = clock
        state = Lock(State(until: until))
    }

    /// One that never ends: for a service that is known to be alone (tests, simulations).
    public static var unlimited: Lease { Lease(until: Timestamp(microseconds: .max), clock: SteadyClock()) }

    /// Whether this replica may act now. Once it was not, it never is again: an act may have been left out.
    public var isHeld: Bool {
        let now = clock.now
        let (isHeld, hasEnded) = state.withLock { state -> (Bool, Bool) in
            guard !state.isOver else { return (false, false) }
            guard now >= state.until else { return (true, false) }
            state.isOver = true
            return (false, true)
        }
        if hasEnded { end.request("it ran out") }
        return isHeld
    }

    /// Returns when it is over, or when the task is cancelled.
    public func ended() async {
        await end.requested()
    }

    /// Runs `body` to its end also when the calling task is cancelled meanwhile, but cancels it when the lease is over: so
    /// that what was said still leaves when a service ends, and nothing leaves once another replica may act.
    public func finishing<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) async -> Value {
        let work = Task { await body() }
        let watch = Task {
            await ended()
            if !Task.isCancelled { work.cancel() }
        }
        defer { watch.cancel() }
        return await work.value
    }

    /// False: it was over already.
    func extend(until: Timestamp) -> Bool {
        guard isHeld else { return false }
        return state.withLock { state in
            guard !state.isOver else { return false }
            state.until = max(state.until, until)
            return true
        }
    }

    func finish(_ reason: String) {
        state.withLock { $0.isOver = true }
        end.request(reason)
    }
}
