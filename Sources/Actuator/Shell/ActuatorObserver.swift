import Messages
import ServiceRuntime
import Support

/// The Actuator's log entries, metrics and conditions.
struct ActuatorObserver: Sendable {
    private let log: Logger
    private let readiness: Readiness
    private let decisions: Counter
    private let troubles: Counter
    private let acts: Histogram
    private let underRemoval: Gauge
    private let groupSize: Gauge
    private let withoutGroup: Gauge
    private let ownConditions = Lock<Set<String>>([])

    /// Writes to these.
    init(log: Logger, metrics: Metrics, readiness: Readiness) {
        self.log = log
        self.readiness = readiness
        decisions = metrics.counter(
            "actuator_events", "What became of decisions and removals.", .label("event", EventType.self))
        troubles = metrics.counter(
            "actuator_troubles", "Warnings and errors, by reason.", .label("reason", Reason.self))
        acts = metrics.histogram(
            "actuator_act_seconds", "How long calls to Heat and Kubernetes take.",
            .label("act", ActuatorAction.labels))
        underRemoval = metrics.gauge(
            "actuator_removals", "Nodes under removal, by phase; those that are over while their record is kept.",
            .label("phase", RemovalPhase.self))
        withoutGroup = metrics.gauge(
            "actuator_nodes_without_group", "Nodes whose provider id is missing or names no server of any group.")
        groupSize = metrics.gauge(
            "group_members", "Members of a group that count, as last read.", .label("group", atMost: 1_000))
    }

    func published(_ event: Event) {
        decisions.increment(event.type.rawValue)
        if case .groupState(let state) = event { return groupSize.set(Double(state.size), state.group) }
        let level = event.type == .removalFailed || event.type == .scaleFailed
        let (subject, id, reason) = ActuatorObserver.words(event)
        log.log(
            level ? .warning : .info, event.type.rawValue,
            [
                .eventType: .string(event.type.rawValue), .resource: .string(subject), .decision: .string(id),
                .reason: .string(reason?.reason.rawValue ?? ""), .details: .string(reason?.detail ?? ""),
            ])
    }

    private static func words(_ event: Event) -> (subject: String, id: String, reason: Explanation?) {
        switch event {
        case .scaleStarted(let event): (event.scale.group, event.scale.id, event.scale.reason)
        case .scaleCompleted(let event): (event.scale.group, event.scale.id, event.scale.reason)
        case .scaleFailed(let event): (event.scale.group, event.scale.id, event.scale.reason)
        case .scaleRefused(let event): (event.scale.group, event.scale.id, event.scale.reason)
        case .removalCordoned(let event): (event.removal.node, event.removal.id, event.removal.reason)
        case .removalDrained(let event): (event.removal.node, event.removal.id, event.removal.reason)
        case .removalCommitted(let event): (event.removal.node, event.removal.id, event.removal.reason)
        case .removalCompleted(let event): (event.removal.node, event.removal.id, event.removal.reason)
        case .removalFailed(let event): (event.removal.node, event.removal.id, event.removal.reason)
        case .nodeJoined(let event): (event.arrival.node, "", nil)
        case .nodeReady(let event): (event.arrival.node, "", nil)
        case .nodeOverdue(let event): (event.node ?? event.serverID, "", event.reason)
        default: ("", "", nil)
        }
    }

    func note(_ note: ActuatorNote) {
        let fields: KeyValuePairs<LogKey, LogValue> = [
            .resource: .string(note.subject), .reason: .string(note.explanation.reason.rawValue),
        ]
        switch note.level {
        case .debug: log.debug(note.explanation.detail, fields)
        case .info: log.info(note.explanation.detail, fields)
        case .warning: log.warning(note.explanation.detail, fields)
        case .error: log.error(note.explanation.detail, fields)
        }
    }

    func count(_ reason: Reason) {
        troubles.increment(reason.rawValue)
    }

    /// Something that lasts, as the active replica sees it; nil: it is well.
    func condition(_ name: String, _ what: String?) {
        ownConditions.withLock { _ = $0.insert(name) }
        readiness.set(name, ok: what == nil, reason: what ?? "")
    }

    /// This replica acts no longer: what it says of its acts is no longer looked after.
    func ended() {
        for name in ownConditions.withLock({ $0 }) { readiness.remove(name) }
        removals([:])
        nodesWithoutGroup(0)
    }

    func nodesWithoutGroup(_ count: Int) {
        withoutGroup.set(Double(count))
    }

    func took(_ act: String, _ interval: Interval) {
        acts.observe(interval, act)
    }

    func removals(_ phases: [RemovalPhase: Int]) {
        for phase in RemovalPhase.allCases { underRemoval.set(Double(phases[phase] ?? 0), phase.rawValue) }
    }
}
