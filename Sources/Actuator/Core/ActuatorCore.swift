import Messages
import Support

/// The Actuator's logic: a value that is told what happened and when, and says what to do. No I/O, no clock.
///
/// It holds no truth of its own. Sizes and members are Heat's and are read again before and after each act; a removal
/// stands on its Node (`RemovalRecord`), written before the act that it announces. A core that is dropped at any point
/// and made anew from a list of the nodes and a reading of the groups goes on to the same end.
///
/// What is durable where:
/// - *scale.decided*: settled when Heat has accepted the size (its `desired` parameter) or the refusal was published.
///   While the stack is busy the delivery goes back to the broker's wait queue. After a crash the decision comes
///   again and meets the size that it asked for, or `group.state` tells the Decider how the change ended. A copy of a
///   decision that another process carried out is told by members made and removals decided since then.
/// - *removal.decided*: settled when each node carries its record or was refused; a machine that never became a Node
///   must be gone first.
/// - *removal.cancelled*: settled when the record of each node says so.
/// - *removal.noticed*, *removal.quiesced*: settled at once; the Notifier repeats them until the record says so.
public struct ActuatorCore: Sendable {
    enum TimerKey: Hashable, Sendable {
        case group(String)
        /// A reading that was asked for before its group had rested.
        case reading(String)
        case removal(String)
        case ticket(Int)
        /// A workload that is still to be put back although its Node is gone.
        case surge(String)
        case sweep
    }

    /// The configuration.
    public let policy: ActuatorPolicy

    var now = Timestamp(seconds: 0)
    /// When this core began: what was decided before may have been carried out by another process.
    var begunAt: Timestamp?
    var actions: [ActuatorAction] = []
    var timers = TimerQueue<TimerKey>()

    var groups: [String: GroupTrack] = [:]
    /// The one change of each stack.
    var changes: [String: StackChange] = [:]
    /// Removals by name of their node, those that are over included while their record is kept.
    var removals: [String: Removal] = [:]
    var nodes = NodeTable()
    var nodesAreKnown = false
    var arrivals = Arrivals()
    /// Edits of Nodes outside of a removal that are under way, by name.
    var tidying: [String: NodeEdit] = [:]
    /// Nodes whose edit was refused for good, by UID.
    var untidied: Set<String> = []
    /// What is wrong with records that cannot be read, by name of their node.
    var unreadable: [String: String] = [:]
    /// Nodes under removal for a group that is not configured, with the removal's id.
    var strangers: [String: String] = [:]

    var openTickets: Set<Int> = []
    /// Nodes of a `removal.decided` whose first step is under way, by ticket.
    var starting: [Int: Set<String>] = [:]
    /// Nodes of a `removal.cancelled` whose record does not say so yet, by ticket.
    var cancelling: [Int: Set<String>] = [:]
    /// Cancellations of nodes whose removal is not seen here, by node: the Node is being read past the watch.
    var cancellationsToCheck: [String: [CancellationToCheck]] = [:]
    var workloadTickets: [String: Int] = [:]
    /// Why decisions on workloads that wait for their next try have failed so far.
    var workloadFailures: [String: ActFailure] = [:]
    /// Changes of replicas for a drain that are under way, by the id of their `PodsDecided`.
    var surgeActs: [String: SurgeAct] = [:]
    /// Ways back that failed after the Node was gone, by the same ids.
    var surgesLeft: [String: SurgeAct] = [:]
    /// Ids of removals that were cancelled, so that one that arrives after its cancellation does not begin.
    var cancelled = RecentIDs()
    /// Ids of decisions whose delivery was put off, so that it is no surprise when it comes again.
    var postponed = RecentIDs()
    /// Removals of machines without a Node that are over, `<decision>/<server>`: their delivery may come once more.
    var machinesEnded = RecentIDs()
    /// Nodes that we have deleted, by UID: what the watch still says of them is old.
    var nodesDeleted = RecentIDs()
    /// Servers that Nova is being asked for, and those whose turn comes when an answer is in, in this order.
    var serversAsked: Set<String> = []
    var serversToAsk = Fifo<String>()
    /// The same, to see whether one is among them.
    var serversWaiting: Set<String> = []
    /// Nodes that somebody else took while an edit of their own was under way, with their UID.
    var waitForTidying: [String: String] = [:]
    /// Servers in ERROR, and when the removal of their node was begun.
    var failedServers: [String: Timestamp] = [:]
    /// Nodes that somebody else takes away and that could not be cordoned, by name.
    var refusedCordons: [String: RefusedCordon] = [:]
    /// Members that somebody else had Heat or Nova delete, by the beginning of their physical id, as records have it.
    var takenByOthers = RecentIDs()
    /// What came before the nodes were known.
    var early: [ActuatorEvent] = []
    /// Nodes from which a pod of a StatefulSet was on its way when they were last looked at, by the set's UID. Their
    /// removals may have gone on since (`setsMoving`).
    var movingSets: [String: Set<String>] = [:]
    /// How decisions ended: a repeated delivery gets the same answer.
    var outcomes = RecentOutcomes()

    /// A core that knows nothing yet. Its first event should be `tick`: it then asks for what it needs.
    public init(policy: ActuatorPolicy) {
        self.policy = policy
        for group in policy.groups { groups[group.id] = GroupTrack(policy: group) }
    }

    /// Something happened at `time`: what to do now, in this order.
    public mutating func handle(_ event: ActuatorEvent, at time: Timestamp) -> [ActuatorAction] {
        now = max(now, time)
        begunAt = begunAt ?? now
        actions = []
        take(event)
        for key in timers.due(at: now) {
            switch key {
            case .group(let id): readGroup(id)
            case .reading(let id): groupHasRested(id)
            case .removal(let node): removalIsDue(node)
            case .ticket(let ticket): ticketIsDue(ticket)
            case .surge(let id): surgeIsLeft(id)
            case .sweep: sweep()
            }
        }
        return actions
    }

    /// When to call `handle(.tick, …)` next, if nothing else happens before.
    public mutating func nextWake() -> Timestamp? {
        timers.next
    }

    /// Nodes that have a removal, those that are over included while they are kept.
    public var removalCount: Int { removals.count }

    /// Nodes under removal, for metrics: by phase.
    public var removalsByPhase: [RemovalPhase: Int] {
        removals.values.reduce(into: [:]) { $0[$1.record.phase, default: 0] += 1 }
    }

    /// Nodes of which it was said that no group knows them, as long as that is so, for metrics.
    public var nodesWithoutGroup: Int {
        arrivals.warned.reduce(0) { $0 + (arrivals.unowned[$1] == nil ? 0 : 1) }
    }

    mutating func take(_ event: ActuatorEvent) {
        switch event {
        case .scaleDecided(let decision, let ticket): scaleDecided(decision, ticket)
        case .removalDecided(let decision, let ticket): removalDecided(decision, ticket)
        case .removalCancelled(let decision, let ticket): removalCancelled(decision, ticket)
        case .podsDecided(let decision, let ticket): podsDecided(decision, ticket)
        case .removalNoticed(let progress): removalNoticed(progress)
        case .removalQuiesced(let progress): removalQuiesced(progress)
        case .stackHint: for id in groups.keys.sorted() { readGroup(id) }
        case .stackLeaving(let stackID): stackLeaving(stackID)
        case .serverReported(let report): serverReported(report)
        case .groupRead(let id, let reading): groupRead(id, reading)
        case .groupUnread(let id, let failure): groupUnread(id, failure)
        case .resized(let id, let failure): resized(id, failure)
        case .marked(let id, let member, let unhealthy, let failure): marked(id, member, unhealthy, failure)
        case .serversRead(let id, let words): serversRead(id, words)
        case .holdsCleared(let id, let failure): groups[id]?.releaseFailure = failure
        case .serverChecked(let serverID, let fate): serverChecked(serverID, fate)
        case .nodesListed(let views): nodesListed(views)
        case .nodeSeen(let view): nodeSeen(view)
        case .nodeGone(let name, let uid): nodeGone(name, uid)
        case .nodeChecked(let name, let view): nodeChecked(name, view)
        case .nodeEdited(let node, let outcome): nodeEdited(node, outcome)
        case .podsRead(let node, let pods): podsRead(node, pods)
        case .podsUnread(let node, let failure): podsUnread(node, failure)
        case .evicted(let node, let uid, let outcome): evicted(node, uid, outcome)
        case .volumesRead(let node, let names): volumesRead(node, names)
        case .volumesUnread(let node, let failure): volumesUnread(node, failure)
        case .workloadRead(let node, let uid, let view): workloadRead(node, uid, view)
        case .workloadUnread(let node, let uid, let failure): workloadUnread(node, uid, failure)
        case .nodeDeleted(let node, let failure): nodeDeleted(node, failure)
        case .workloadScaled(let decision, let outcome): workloadScaled(decision, outcome)
        case .tick:
            // The first tick starts the reading; later ones only let time pass.
            for id in groups.keys.sorted() where groups[id]?.wasAsked == false { readGroup(id) }
        }
    }

    // MARK: What the parts share

    mutating func emit(_ action: ActuatorAction) {
        actions.append(action)
    }

    mutating func note(_ level: ActuatorNote.Level, _ subject: String, _ reason: Reason, _ detail: String) {
        emit(.note(ActuatorNote(level, subject, reason, detail)))
    }

    /// A delivery whose step takes a while: held for a bounded time.
    mutating func hold(_ ticket: Int) {
        openTickets.insert(ticket)
        timers.set(.ticket(ticket), at: now + policy.ticketHold)
    }

    /// Settles a delivery, once.
    mutating func settle(_ ticket: Int?, _ settlement: Settlement = .done) {
        guard let ticket, openTickets.remove(ticket) != nil else { return }
        timers.cancel(.ticket(ticket))
        starting[ticket] = nil
        cancelling[ticket] = nil
        forgetCancellation(ticket)
        emit(.settle(ticket: ticket, settlement))
    }

    /// The delivery goes to the broker's wait queue, where it is safe; what it asks for goes on in memory. When it
    /// comes again it is taken up there, or finds that it is done.
    private mutating func ticketIsDue(_ ticket: Int) {
        for id in groups.keys.sorted() {
            if let waiting = groups[id]?.waiting, waiting.ticket == ticket {
                groups[id]?.waiting?.ticket = nil
                postponed.insert(waiting.decision.id)
            }
            guard let starts = groups[id]?.starts else { continue }
            for index in starts.indices where starts[index].ticket == ticket { groups[id]?.starts[index].ticket = nil }
        }
        settle(ticket, .retryLater)
    }
}

/// The last few ids of something.
struct RecentIDs: Sendable {
    private var order: [String] = []
    private var members: Set<String> = []

    func contains(_ id: String) -> Bool { members.contains(id) }

    mutating func insert(_ id: String) {
        guard members.insert(id).inserted else { return }
        order.append(id)
        if order.count > 1_000 { members.remove(order.removeFirst()) }
    }
}

/// How the last few decisions ended.
struct RecentOutcomes: Sendable {
    private var order: [String] = []
    private var outcomes: [String: Event] = [:]

    subscript(id: String) -> Event? { outcomes[id] }

    mutating func insert(_ id: String, _ outcome: Event) {
        if outcomes.updateValue(outcome, forKey: id) != nil { return }
        order.append(id)
        if order.count > 1_000 { outcomes[order.removeFirst()] = nil }
    }
}
