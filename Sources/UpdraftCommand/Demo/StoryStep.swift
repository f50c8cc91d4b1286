/// The steps of the demo's story, in the order in which they must come.
public enum StoryStep: Int, Sendable, CaseIterable {
    case podsPending
    case scaleDecided
    case groupResized
    case nodesReady
    case podsRunning
    case loadGone
    case removalDecided
    case nodeCordoned
    case podsTold
    case cooldownEnded
    case nodeDrained
    case memberRemoved

    /// One line for the timeline.
    public var title: String {
        switch self {
        case .podsPending: "pods pending"
        case .scaleDecided: "Decider explained and decided"
        case .groupResized: "Actuator resized the Heat group"
        case .nodesReady: "new nodes joined and are Ready"
        case .podsRunning: "all pods run"
        case .loadGone: "load gone"
        case .removalDecided: "Decider chose nodes to remove"
        case .nodeCordoned: "nodes cordoned"
        case .podsTold: "pods told, cooldown runs"
        case .cooldownEnded: "pods answered, cooldown over"
        case .nodeDrained: "pods evicted and gone"
        case .memberRemoved: "chosen Heat members removed, Nodes gone"
        }
    }
}
