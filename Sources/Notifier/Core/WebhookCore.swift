import Messages
import Support

/// A webhook as the core needs it.
public struct WebhookPlan: Sendable, Hashable {
    /// Its name.
    public var id: String
    /// Of which phases it is told.
    public var phases: Set<RemovalPhase>
    /// Calls before a message counts as failed.
    public var attempts: Int
    /// Before the second call; it doubles.
    public var backoff: Interval
    /// The longest wait between two calls.
    public var maximumBackoff: Interval

    /// From its parts.
    public init(
        id: String, phases: Set<RemovalPhase>, attempts: Int = 5, backoff: Interval = .seconds(2),
        maximumBackoff: Interval = .seconds(60)
    ) {
        self.id = id
        self.phases = phases
        self.attempts = attempts
        self.backoff = backoff
        self.maximumBackoff = maximumBackoff
    }
}

/// One message to one webhook: however often it is sent, it is the same.
public struct WebhookMessage: Sendable, Hashable {
    /// The webhook.
    public var webhook: String
    /// The node.
    public var node: String
    /// The removal.
    public var removal: String
    /// What has happened.
    public var phase: RemovalPhase
    /// What goes into its template.
    public var values: [NoticeVariable: String]

    /// From its parts.
    public init(
        webhook: String, node: String, removal: String, phase: RemovalPhase, values: [NoticeVariable: String] = [:]
    ) {
        self.webhook = webhook
        self.node = node
        self.removal = removal
        self.phase = phase
        self.values = values
    }

    /// Sent along, so that a receiver can tell a repetition.
    public var id: String { "\(removal)/\(node)/\(phase.rawValue)" }
}

/// What became of a call of a webhook.
public enum WebhookOutcome: Sendable, Equatable {
    /// It took the message.
    case taken
    /// It did not. `after`: it asked to be left alone for so long.
    case failed(String, isRetriable: Bool, after: Interval?)
}

/// Which webhook is to be told of what, and when. A value: no I/O, no clock.
///
/// Of one node, a webhook is told one thing after the other, so that a chat reads them in order. What fails is tried
/// again, then given up; what would be too much to remember is given up at once. Nothing else ever waits for it.
///
/// It hears of a step twice: from the record on the Node, and from the event about it, which waits in a queue while no
/// process reads. A Node may be gone before its record says *removed*, a watch may miss a phase, a process may have
/// been away: then the event alone tells. What both say is told once.
///
/// There is no durable mark of what was sent. A process that takes over sends what the records say of the last two
/// minutes, and what is in the queue; so something may be told twice (with the same id). What a process that dies had taken
/// from the queue and not yet sent is lost if no record shows it any more: of a webhook that is away, that may be some.
struct WebhookCore: Sendable {
    /// A message of one webhook and one node that is at its turn.
    struct Key: Hashable, Sendable {
        var webhook: String
        var node: String
    }

    /// What the shell is to do.
    enum Action: Sendable, Equatable {
        /// Send it; answered by `sent`.
        case send(WebhookMessage, attempt: Int)
        /// It was given up.
        case givenUp(WebhookMessage, String)
    }

    private struct Lane: Sendable {
        var messages: [WebhookMessage] = []
        var attempts = 0
        var isInFlight = false
    }

    /// How far back what has happened is told by a process that takes over.
    static let catchUp: Interval = .minutes(2)
    /// An event that is so much younger than the step that it is about repeats what was said then.
    static let repetition: Interval = .minutes(1)
    /// For how long it is remembered what was said of a removal: longer than any event waits in the queue.
    static let memory: Interval = .minutes(60)
    /// Messages that one webhook may be behind.
    static let maximumWaiting = 10_000

    /// What was said of the removal of one node.
    private struct Story: Sendable {
        var told: Set<RemovalPhase> = []
        /// What its record said last.
        var record: RemovalPhase?
        /// What its record said, and since when, when it was too old to be told.
        var old: (phase: RemovalPhase, since: Timestamp)?
        var touched: Timestamp
    }

    private let plans: [WebhookPlan]
    private let cluster: String
    private var lanes: [Key: Lane] = [:]
    private var waiting: [String: Int] = [:]
    private(set) var timers = TimerQueue<Key>()
    /// By removal and node.
    private var stories: [String: Story] = [:]
    private var forgotAt: Timestamp?

    init(_ plans: [WebhookPlan], cluster: String) {
        self.plans = plans
        self.cluster = cluster
    }

    /// Messages that are not delivered and not given up.
    var pending: Int { waiting.values.reduce(0, +) }

    /// Removals that are remembered.
    var remembered: Int { stories.count }

    /// When `due` has something to say.
    mutating func nextWake() -> Timestamp? { timers.next }

    /// A node's record was read. `isFirst`: nothing was known of the node before.
    mutating func recordSeen(_ node: String, _ record: RemovalRecord, isFirst: Bool, at now: Timestamp) -> [Action] {
        guard !plans.isEmpty else { return [] }
        var story = story(record.id, node, at: now)
        defer { stories["\(record.id)/\(node)"] = story }
        guard story.record != record.phase else { return [] }
        story.record = record.phase
        if isFirst, now - record.since > WebhookCore.catchUp {
            story.old = (record.phase, record.since)
            return []
        }
        guard story.told.insert(record.phase).inserted else { return [] }
        let why = record.outcome ?? record.reason
        // While the cooldown runs, its end is what people wait for.
        let deadline = record.phase == .noticed ? record.cooldownUntil ?? record.deadline : record.deadline
        return tell(
            record.phase, of: record.id, node,
            [.group: record.group, .reason: why.reason.rawValue, .detail: why.detail, .deadline: deadline.rfc3339])
    }

    /// An event about a removal was heard.
    mutating func eventHeard(_ event: RemovalProgress, _ phase: RemovalPhase, at now: Timestamp) -> [Action] {
        guard !plans.isEmpty else { return [] }
        var story = story(event.id, event.node, at: now)
        defer { stories["\(event.id)/\(event.node)"] = story }
        // The Actuator says again what a removal has come to when it starts.
        if let old = story.old, old.phase == phase, event.at - old.since > WebhookCore.repetition { return [] }
        guard story.told.insert(phase).inserted else { return [] }
        return tell(
            phase, of: event.id, event.node,
            [
                .group: event.group, .reason: event.reason.reason.rawValue, .detail: event.reason.detail,
                .deadline: (event.deadline ?? event.at).rfc3339,
            ])
    }

    private mutating func story(_ removal: String, _ node: String, at now: Timestamp) -> Story {
        if forgotAt.map({ now - $0 > .minutes(5) }) ?? true {
            forgotAt = now
            stories = stories.filter { now - $0.value.touched < WebhookCore.memory }
        }
        var story = stories["\(removal)/\(node)"] ?? Story(touched: now)
        story.touched = now
        return story
    }

    private mutating func tell(
        _ phase: RemovalPhase, of removal: String, _ node: String, _ facts: [NoticeVariable: String]
    ) -> [Action] {
        var values = facts
        values[.node] = node
        values[.phase] = phase.rawValue
        values[.cluster] = cluster
        values[.removal] = removal
        var actions: [Action] = []
        for plan in plans where plan.phases.contains(phase) {
            let message = WebhookMessage(
                webhook: plan.id, node: node, removal: removal, phase: phase, values: values)
            guard waiting[plan.id, default: 0] < WebhookCore.maximumWaiting else {
                actions.append(.givenUp(message, "\(WebhookCore.maximumWaiting) messages wait before it"))
                continue
            }
            let key = Key(webhook: plan.id, node: node)
            waiting[plan.id, default: 0] += 1
            lanes[key, default: Lane()].messages.append(message)
            // Behind one that is on its way, or that waits for its next try.
            if lanes[key]?.messages.count == 1 { actions += attempt(key) }
        }
        return actions
    }

    /// What is due by now.
    mutating func due(at now: Timestamp) -> [Action] {
        timers.due(at: now).flatMap { attempt($0) }
    }

    /// What became of a call.
    mutating func sent(_ message: WebhookMessage, _ outcome: WebhookOutcome, at now: Timestamp) -> [Action] {
        let key = Key(webhook: message.webhook, node: message.node)
        guard var lane = lanes[key], lane.isInFlight, lane.messages.first?.id == message.id,
            let plan = plans.first(where: { $0.id == message.webhook })
        else { return [] }
        lane.isInFlight = false
        var actions: [Action] = []
        if case .failed(let why, let isRetriable, let after) = outcome {
            if isRetriable, lane.attempts < plan.attempts {
                lanes[key] = lane
                let own = min(plan.backoff * Double(1 << min(lane.attempts - 1, 20)), plan.maximumBackoff)
                timers.set(key, at: now + max(own, min(after ?? .zero, .minutes(60))))
                return []
            }
            actions.append(.givenUp(message, why))
        }
        lane.messages.removeFirst()
        lane.attempts = 0
        waiting[message.webhook, default: 1] -= 1
        lanes[key] = lane.messages.isEmpty ? nil : lane
        return actions + attempt(key)
    }

    private mutating func attempt(_ key: Key) -> [Action] {
        guard let lane = lanes[key], !lane.isInFlight, let message = lane.messages.first else { return [] }
        lanes[key]?.isInFlight = true
        lanes[key]?.attempts += 1
        return [.send(message, attempt: lane.attempts + 1)]
    }
}
