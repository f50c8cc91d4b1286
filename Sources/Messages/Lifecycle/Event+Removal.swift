extension Event {
    /// The node of whose removal this tells a step; nil: it is about something else.
    public var nodeUnderRemoval: String? {
        switch self {
        case .removalCordoned(let event): event.removal.node
        case .removalNoticed(let event): event.removal.node
        case .removalQuiesced(let event): event.removal.node
        case .removalDrained(let event): event.removal.node
        case .removalCommitted(let event): event.removal.node
        case .removalCompleted(let event): event.removal.node
        case .removalFailed(let event): event.removal.node
        case .nodeRemoval(let event): event.node
        default: nil
        }
    }
}
