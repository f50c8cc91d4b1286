import Decider
import FoundationEssentials
import Messages

/// What came of a cancellation.
struct CancelOutcome: Sendable, Equatable, Encodable {
    enum Kind: String, Sendable, Encodable {
        case takenBack, tooLate, overAlready, notOurs, failedOtherwise, unanswered
    }

    var node: String
    var removal: String
    var kind: Kind
    var detail: String

    /// Whether the node stays because of this.
    var isTakenBack: Bool { kind == .takenBack }

    var text: String {
        let head =
            switch kind {
            case .takenBack: "taken back"
            case .tooLate: "too late"
            case .overAlready: "not under removal any more"
            case .notOurs: "cannot be taken back"
            case .failedOtherwise: "it stays, but not because of this"
            case .unanswered: "not known what became of it"
            }
        return "node \(node): \(head): \(detail) (removal \(removal))"
    }

    var json: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

extension CancelOutcome {
    /// What the record says already: nobody needs to be asked. Nil: it can be taken back.
    init?(withoutAsking node: String, _ record: RemovalRecord) {
        let kind: Kind
        let detail: String
        if record.phase.isOver {
            kind = .overAlready
            detail = "the removal is over (\(record.phase.rawValue)): \((record.outcome ?? record.reason).sentence)"
        } else if record.isExternal {
            kind = .notOurs
            detail =
                "it is somebody else's removal, and the machine goes whatever is done here: \(record.reason.sentence)"
        } else if record.isTaken {
            // The Actuator takes none back whose machine goes, and nobody would answer.
            kind = .notOurs
            detail = "somebody else takes its machine away meanwhile, and it goes whatever is done here"
        } else if !record.phase.isReversible {
            kind = .tooLate
            detail = "Heat was called at \(record.since); the node goes"
        } else {
            return nil
        }
        self.init(node: node, removal: record.id, kind: kind, detail: detail)
    }
}

/// Recognises the outcome among what became of removals. Pure.
struct CancelWatch: Sendable {
    let node: String
    let removal: String

    func outcome(of event: Event) -> CancelOutcome? {
        switch event {
        case .removalFailed(let failed) where isMine(failed.removal):
            let reason = failed.removal.reason
            return CancelOutcome(
                node: node, removal: removal,
                kind: reason.reason == .cancelledByOperator ? .takenBack : .failedOtherwise, detail: reason.sentence)
        case .removalCompleted(let completed) where isMine(completed.removal):
            return CancelOutcome(
                node: node, removal: removal, kind: .tooLate,
                detail: "Heat had been called; the member is gone since \(completed.removal.at)")
        default: return nil
        }
    }

    private func isMine(_ progress: RemovalProgress) -> Bool {
        progress.node == node && progress.id == removal
    }
}
