import Support

/// A step of a removal.
public enum RemovalTransition: Sendable, Hashable {
    /// The pods were told; the cooldown ends at `until`. Again when a pod was granted more time.
    case noticed(until: Timestamp)
    /// The cooldown is over because of `outcome`; the drain must end by `deadline`.
    case quiesced(Explanation, deadline: Timestamp)
    /// What the drain has done changes and nothing else; with a new deadline for the drain, if any.
    case draining(RemovalRecord.Drain, deadline: Timestamp?)
    /// Somebody else takes the machine of a removal of our own, or does so no longer (its deletion failed); nothing else changes.
    case taken(Bool)
    /// The pods are gone; Heat must have taken the change by `deadline`.
    case drained(deadline: Timestamp)
    /// Heat is called next.
    case removing(RemovalRecord.Change, deadline: Timestamp)
    /// Somebody else has Heat delete the member and Heat's hold on it is let go next; `outcome` says what is lost where
    /// not all pods are gone. Heat must have deleted it by `deadline`.
    case released(Explanation?, deadline: Timestamp)
    /// The member is gone and the survivors are there.
    case removed
    /// Somebody else took the machine away before the removal had come to its end.
    case lost(Explanation)
    /// Taken back.
    case cancelled(Explanation)
    /// Given up. `stayCordoned`: the machine is not fit to take pods (half deleted).
    case failed(Explanation, stayCordoned: Bool)

    /// Where it leads; nil: nowhere, the phase stays.
    public var phase: RemovalPhase? {
        switch self {
        case .noticed: .noticed
        case .quiesced: .quiesced
        case .draining, .taken: nil
        case .drained: .drained
        case .removing, .released: .removing
        case .removed, .lost: .removed
        case .cancelled: .cancelled
        case .failed: .failed
        }
    }
}

/// A step that a removal cannot take from where it is.
public struct ImpossibleTransition: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where it is.
    public var from: RemovalPhase
    /// Where it should have gone.
    public var to: RemovalPhase

    /// From its parts.
    public init(from: RemovalPhase, to: RemovalPhase) {
        self.from = from
        self.to = to
    }

    /// Never: the record must change first.
    public var isRetriable: Bool { false }

    /// `a removal that is removing cannot become cancelled`.
    public var description: String { "a removal that is \(from.rawValue) cannot become \(to.rawValue)" }
}

extension RemovalPhase {
    /// Whether a removal may go from here to `next`.
    public func allows(_ next: RemovalPhase) -> Bool {
        switch (self, next) {
        case (.cordoned, .noticed), (.cordoned, .quiesced): true
        // Again: a pod was granted more time.
        case (.noticed, .noticed), (.noticed, .quiesced): true
        case (.quiesced, .drained), (.drained, .removing), (.removing, .removed): true
        case (_, .cancelled): isReversible
        // A removal fails from anywhere until the member is verified gone; then there is nothing left to fail.
        case (_, .failed): isReversible || self == .removing
        default: false
        }
    }

    /// Whether a removal may take this step from here.
    public func allows(_ transition: RemovalTransition) -> Bool {
        // What others do to the machine need not wait for our steps, but pods that were not told are never let go.
        if case .released = transition { return self == .noticed || self == .quiesced || self == .drained }
        if case .lost = transition { return isReversible }
        if case .taken = transition { return isReversible }
        if let next = transition.phase { return allows(next) }
        // Replicas that were raised are put back also when the removal is over already.
        return order >= RemovalPhase.quiesced.order
    }
}

extension RemovalRecord {
    /// The record after a step; throws if the step is impossible from here.
    public func applying(
        _ transition: RemovalTransition, at now: Timestamp
    ) throws(ImpossibleTransition) -> RemovalRecord {
        guard phase.allows(transition) else {
            throw ImpossibleTransition(from: phase, to: transition.phase ?? .quiesced)
        }
        var next = self
        if let to = transition.phase {
            if phase != to { next.since = now }
            next.phase = to
        }
        switch transition {
        case .noticed(let until): next.cooldownUntil = until
        case .quiesced(let outcome, let deadline):
            next.outcome = outcome
            next.deadline = deadline
        case .draining(let drain, let deadline):
            next.drain = drain == RemovalRecord.Drain() ? nil : drain
            if let deadline { next.deadline = deadline }
        case .taken(let isTaken): next.taken = isTaken ? true : nil
        case .drained(let deadline): next.deadline = deadline
        case .removing(let change, let deadline):
            next.calledAt = now
            next.change = change
            next.deadline = deadline
        case .released(let outcome, let deadline):
            next.calledAt = now
            if let outcome { next.outcome = outcome }
            next.deadline = deadline
        case .removed: break
        case .lost(let outcome): next.outcome = outcome
        case .cancelled(let outcome): next.outcome = outcome
        case .failed(let outcome, let stayCordoned):
            next.outcome = outcome
            // What stays is no longer undone by anyone: it says so itself, and a person decides.
            if stayCordoned { next.ours = Ours(cordon: false, label: false) }
        }
        return next
    }
}
