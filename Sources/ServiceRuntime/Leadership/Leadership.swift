import Support

/// Which of a service's replicas acts. Pure: events and time in, actions out.
///
/// All replicas of a service and cluster read one queue, which the broker hands to one of them at a time (single active
/// consumer), and each sends probes of its own into it. A replica holds the lease for a while after it *sent* a probe
/// that came back to it: when it sent that probe, the broker had not handed the queue to anybody else yet. So whatever
/// lies in between (a full socket, a stopped process, a suspended machine) makes the lease shorter, never longer.
///
/// The broker takes the queue from a replica only together with its subscription, so what comes by one subscription shows
/// one unbroken possession. Whoever begins to receive waits until the lease of the one before must be over (`takeover` is
/// longer than `lease`, counted from a later moment), and only then acts: at no time do two replicas hold a lease,
/// however the queue came to change hands. Clocks of different machines are not compared; they must only run about
/// equally fast.
public struct Leadership: Sendable {
    /// Times.
    public struct Options: Sendable {
        /// Between two probes.
        public var probeInterval: Interval
        /// From sending a probe that came back to the end of the lease.
        public var lease: Interval
        /// From the first message of the queue to acting; longer than `lease`, by what a request may take to leave after the
        /// lease was looked at.
        public var takeover: Interval

        /// Usual times: the next replica acts within a second and a half after one was killed.
        public init(
            probeInterval: Interval = .milliseconds(200), lease: Interval = .seconds(1),
            takeover: Interval = .milliseconds(1_250)
        ) {
            self.probeInterval = probeInterval
            self.lease = lease
            self.takeover = takeover
        }
    }

    /// What happens.
    public enum Event: Sendable, Equatable {
        /// The time that `wakeAt` named has come, or it begins.
        case ticked
        /// A probe of this replica came out of the queue, by a subscription that is its `connection`th.
        case ownProbe(UInt64, connection: UInt64)
        /// Something else came out of the queue, usually a probe of another replica.
        case otherProbe(connection: UInt64)
    }

    /// What is to be done.
    public enum Action: Sendable, Equatable {
        /// Send a probe with this number.
        case probe(UInt64)
        /// This replica acts from now on. Its lease ends at `leaseUntil` unless it is extended.
        case activated
        /// This replica acts no longer.
        case stoodDown(reason: String)
    }

    private enum State: Sendable {
        case standby
        /// The queue is ours; whoever had it before may still act.
        case waiting(since: Timestamp)
        case active
    }

    private let options: Options
    private var state = State.standby
    private var sent: [(number: UInt64, at: Timestamp)] = []
    private var next: UInt64 = 1
    private var probeAt: Timestamp?
    /// When the lease ends; in the past when there is none.
    private var until = Timestamp(microseconds: .min)
    private var heardAt: Timestamp?
    private var connection: UInt64 = 0

    /// Stands by. Its first event should be `ticked`.
    public init(_ options: Options = Options()) {
        self.options = options
    }

    /// Whether this replica acts.
    public var isActive: Bool {
        if case .active = state { true } else { false }
    }

    /// When the lease ends; nil while this replica stands by.
    public var leaseUntil: Timestamp? { isActive ? until : nil }

    /// When `ticked` is due, if nothing else happens before.
    public var wakeAt: Timestamp? {
        guard let probeAt else { return nil }
        switch state {
        case .standby: return probeAt
        case .waiting(let since): return min(probeAt, since + options.takeover)
        case .active: return min(probeAt, until)
        }
    }

    /// Takes in an event.
    public mutating func handle(_ event: Event, at now: Timestamp) -> [Action] {
        var actions: [Action] = []
        // First of all: what comes late must not hide that the lease had ended.
        expire(now, &actions)
        switch event {
        case .ticked: break
        case .otherProbe(let connection): _ = heard(by: connection, now, &actions)
        case .ownProbe(let number, let connection):
            guard heard(by: connection, now, &actions) else { break }
            if let probe = sent.first(where: { $0.number == number }) { until = max(until, probe.at + options.lease) }
        }
        if case .waiting(let since) = state, now >= since + options.takeover, now < until {
            state = .active
            actions.append(.activated)
        }
        if probeAt.map({ now >= $0 }) ?? true { probe(now, &actions) }
        return actions
    }

    private mutating func expire(_ now: Timestamp, _ actions: inout [Action]) {
        guard now >= until else { return }
        switch state {
        case .standby: break
        case .waiting(let since):
            // Nothing of ours came back in all that time: what is known of the possession is too old to count on.
            if now >= since + options.lease { state = .standby }
        case .active:
            let silence = heardAt.map { "\(now - $0)" } ?? "a while"
            standDown("no probe of this replica has come back in time (nothing came for \(silence))", &actions)
        }
    }

    private mutating func standDown(_ reason: String, _ actions: inout [Action]) {
        if isActive { actions.append(.stoodDown(reason: reason)) }
        state = .standby
        until = Timestamp(microseconds: .min)
    }

    /// Something came out of the queue. False: by a subscription that is over, so it says nothing.
    private mutating func heard(
        by connection: UInt64, _ now: Timestamp, _ actions: inout [Action]
    ) -> Bool {
        guard connection >= self.connection else { return false }
        if connection > self.connection {
            // Another replica may have had the queue since.
            standDown("the subscription was lost and made anew", &actions)
            self.connection = connection
        }
        heardAt = now
        if case .standby = state { state = .waiting(since: now) }
        return true
    }

    private mutating func probe(_ now: Timestamp, _ actions: inout [Action]) {
        sent.removeAll { $0.at + options.lease <= now }
        sent.append((next, now))
        actions.append(.probe(next))
        next += 1
        probeAt = now + options.probeInterval
    }
}
