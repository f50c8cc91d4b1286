/// Every event type of Updraft's own messages (docs/architecture.md §3).
public enum EventType: String, Sendable, CaseIterable, Codable {
    case clusterSnapshot = "updraft.cluster.snapshot"
    case clusterDelta = "updraft.cluster.delta"
    case snapshotRequested = "updraft.snapshot.requested"
    case nodeStats = "updraft.node.stats"
    case podStats = "updraft.pod.stats"
    case cloudServer = "updraft.cloud.server"
    case cloudAlarm = "updraft.cloud.alarm"
    case cloudStats = "updraft.cloud.stats"
    case externalStats = "updraft.external.stats"
    case groupState = "updraft.group.state"
    case scaleRequested = "updraft.scale.requested"
    case scaleDecided = "updraft.scale.decided"
    case podsDecided = "updraft.pods.decided"
    case removalDecided = "updraft.removal.decided"
    case removalCancelled = "updraft.removal.cancelled"
    case scaleStarted = "updraft.scale.started"
    case scaleCompleted = "updraft.scale.completed"
    case scaleFailed = "updraft.scale.failed"
    case scaleRefused = "updraft.scale.refused"
    case nodeJoined = "updraft.node.joined"
    case nodeReady = "updraft.node.ready"
    case nodeOverdue = "updraft.node.overdue"
    case removalCordoned = "updraft.removal.cordoned"
    case removalNoticed = "updraft.removal.noticed"
    case removalQuiesced = "updraft.removal.quiesced"
    case removalDrained = "updraft.removal.drained"
    case removalCommitted = "updraft.removal.committed"
    case removalCompleted = "updraft.removal.completed"
    case removalFailed = "updraft.removal.failed"
    case podShutdown = "updraft.pod.shutdown"
    case nodeRemoval = "updraft.node.removal"
    case podShutdownDone = "updraft.pod.shutdown.done"
    case podShutdownExtend = "updraft.pod.shutdown.extend"
    case podShutdownRefuse = "updraft.pod.shutdown.refuse"
    case evaluation = "updraft.evaluation"
    case evaluationRequested = "updraft.evaluation.requested"

    /// The topic that carries it.
    public var topic: Topic {
        switch self {
        case .clusterSnapshot, .clusterDelta: .state
        case .snapshotRequested: .requests
        case .nodeStats, .podStats, .cloudStats, .externalStats: .stats
        case .cloudServer: .cloud
        case .scaleRequested, .cloudAlarm: .signals
        case .groupState: .groups
        case .scaleDecided, .podsDecided, .removalDecided, .removalCancelled: .decisions
        case .scaleStarted, .scaleCompleted, .scaleFailed, .scaleRefused, .nodeJoined, .nodeReady, .nodeOverdue,
            .removalCordoned, .removalNoticed, .removalQuiesced, .removalDrained, .removalCommitted,
            .removalCompleted, .removalFailed:
            .lifecycle
        case .podShutdown, .nodeRemoval: .notices
        case .podShutdownDone, .podShutdownExtend, .podShutdownRefuse: .answers
        case .evaluation: .ledger
        case .evaluationRequested: .questions
        }
    }
}
