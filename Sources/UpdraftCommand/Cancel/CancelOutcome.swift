import Decider
import FoundationEssentials
import Messages

/// What came of a cancellation.
struct CancelOutcome: Sendable, Equatable, Encodable {
    enum Kind: String, Sendable, Encodable {
        case takenBack, tooLate, overAlready, failedOtherwise, unanswered
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
