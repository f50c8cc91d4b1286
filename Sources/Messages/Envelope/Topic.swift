/// A topic of the `updraft` exchange: the third word of a routing key.
public enum Topic: String, Sendable, CaseIterable, Codable {
    /// What the cluster is: snapshots and deltas. Perishable.
    case state
    /// Requests for a snapshot, by a reader that found a gap. Perishable.
    case requests
    /// Measurements of nodes and pods. Perishable.
    case stats
    /// Facts about servers, from Nova's notifications. Perishable, and not signed: hints.
    case cloud
    /// Requests for a few nodes more or less, by alarms and people, and the states of alarms.
    case signals
    /// What the Heat groups are. Perishable.
    case groups
    /// Commands of the Decider.
    case decisions
    /// What became of decisions.
    case lifecycle
    /// To applications: your pod goes.
    case notices
    /// From applications: done, more time, not now.
    case answers
    /// Why the Decider did what it did.
    case ledger
    /// Questions to the Decider, by the user's command or a console. Perishable.
    case questions

    /// Whether messages of this topic may be dropped when nobody reads them in time; the others are kept in quorum
    /// queues, confirmed and acknowledged (docs/architecture.md §3).
    public var isPerishable: Bool {
        switch self {
        case .state, .requests, .stats, .cloud, .groups, .ledger, .questions: true
        case .decisions, .signals, .lifecycle, .notices, .answers: false
        }
    }

    /// Whether its messages hold the tokens by which pods answer: no body of them is kept where others may read it.
    public var holdsTokens: Bool { self == .notices || self == .answers }

    /// Whether messages of this topic ask somebody to act and therefore carry a signature. Answers do not: applications
    /// have no key, and each answer holds the token of its notice.
    public var isCommand: Bool {
        switch self {
        case .decisions, .signals, .lifecycle: true
        case .state, .requests, .stats, .cloud, .groups, .notices, .answers, .ledger, .questions: false
        }
    }
}

/// Priority of an oslo notification: the last word of a routing key, upper case inside the message.
public enum Priority: String, Sendable, CaseIterable, Codable {
    case audit, debug, info, warn, error, critical, sample
}
