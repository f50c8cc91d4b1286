import Messages

/// A step of a removal as an event on the bus tells it.
struct RemovalStep: Sendable {
    var progress: RemovalProgress
    /// What the record of the node says when the step is done.
    var phase: RemovalPhase

    /// Nil: the event is about something else, or about a removal that no Node was ever under: one that was refused, or of
    /// a machine that never became a Node.
    init?(_ event: Event) {
        switch event {
        case .removalCordoned(let event): self.init(event.removal, .cordoned)
        case .removalNoticed(let event): self.init(event.removal, .noticed)
        case .removalQuiesced(let event): self.init(event.removal, .quiesced)
        case .removalDrained(let event): self.init(event.removal, .drained)
        case .removalCommitted(let event): self.init(event.removal, .removing)
        case .removalCompleted(let event): self.init(event.removal, .removed)
        case .removalFailed(let event):
            guard let phase = event.removal.phase else { return nil }
            self.init(event.removal, phase == .cancelled ? .cancelled : .failed)
        default: return nil
        }
        guard progress.nodeUID != RemovalNames.unregistered else { return nil }
    }

    private init(_ progress: RemovalProgress, _ phase: RemovalPhase) {
        self.progress = progress
        self.phase = phase
    }
}
