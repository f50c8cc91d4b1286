import Bus
import Support

/// Holds the core of one replica's leadership: sends its probes, hears what comes back, and gives out leases.
actor LeadershipKeeper {
    /// The leases that this replica got, each once.
    nonisolated let leases: AsyncStream<Lease>

    private let name = String(UInt64.random(in: 0 ... .max), radix: 36)
    private let clock = SteadyClock()
    private let send: @Sendable (String) async -> Void
    private let observer: LeadershipObserver
    private let grants: AsyncStream<Lease>.Continuation
    private var core: Leadership
    private var lease: Lease?

    /// - Parameter send: puts a probe into the queue; returns when the broker has it, or gave up.
    init(
        _ options: Leadership.Options, observer: LeadershipObserver, send: @escaping @Sendable (String) async -> Void
    ) {
        core = Leadership(options)
        self.observer = observer
        self.send = send
        (leases, grants) = AsyncStream.makeStream()
    }

    /// Sends probes and lets time pass, until the task is cancelled.
    func run() async {
        await withDiscardingTaskGroup { probes in
            while !Task.isCancelled {
                // Nothing may make the next one late, so none is waited for.
                for number in handle(.ticked) { probes.addTask { [send, name] in await send("\(name):\(number)") } }
                let pause = core.wakeAt.map { max($0 - clock.now, .milliseconds(1)) } ?? .zero
                try? await Task.sleep(for: pause.duration)
            }
            probes.cancelAll()
        }
        lease?.finish("the service ends")
        grants.finish()
    }

    /// Something came out of the queue.
    func heard(_ text: String, connection: UInt64) {
        let words = text.split(separator: ":")
        let isOwn = words.count == 2 && words[0] == name
        if isOwn, let number = UInt64(words[1]) {
            _ = handle(.ownProbe(number, connection: connection))
        } else {
            _ = handle(.otherProbe(connection: connection))
        }
    }

    /// Returns the probes to send.
    private func handle(_ event: Leadership.Event) -> [UInt64] {
        var probes: [UInt64] = []
        for action in core.handle(event, at: clock.now) {
            switch action {
            case .probe(let number): probes.append(number)
            case .activated:
                grant(until: core.leaseUntil ?? clock.now)
                observer.activated()
            case .stoodDown(let reason):
                lease?.finish(reason)
                lease = nil
                observer.stoodDown(reason)
            }
        }
        // Whoever worked under a lease that ran out has stopped: this replica begins anew, it is still the one.
        if let until = core.leaseUntil, let lease, !lease.extend(until: until) { grant(until: until) }
        return probes
    }

    private func grant(until: Timestamp) {
        let lease = Lease(until: until, clock: clock)
        self.lease = lease
        grants.yield(lease)
    }
}

/// Where leadership is told. Must return soon.
struct LeadershipObserver: Sendable {
    var activated: @Sendable () -> Void = {}
    var stoodDown: @Sendable (_ reason: String) -> Void = { _ in }
}
