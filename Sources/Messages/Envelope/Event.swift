import Support

/// Any of our payloads: what a subscriber switches over.
public enum Event: Sendable, Equatable {
    case clusterSnapshot(ClusterSnapshot)
    case clusterDelta(ClusterDelta)
    case snapshotRequested(SnapshotRequested)
    case nodeStats(NodeStats)
    case podStats(PodStats)
    case cloudServer(CloudServer)
    case cloudAlarm(CloudAlarm)
    case cloudStats(CloudStats)
    case externalStats(ExternalStats)
    case groupState(GroupState)
    case scaleRequested(ScaleRequested)
    case scaleDecided(ScaleDecided)
    case podsDecided(PodsDecided)
    case removalDecided(RemovalDecided)
    case removalCancelled(RemovalCancelled)
    case scaleStarted(ScaleStarted)
    case scaleCompleted(ScaleCompleted)
    case scaleFailed(ScaleFailed)
    case scaleRefused(ScaleRefused)
    case nodeJoined(NodeJoined)
    case nodeReady(NodeReady)
    case nodeOverdue(NodeOverdue)
    case removalCordoned(RemovalCordoned)
    case removalNoticed(RemovalNoticed)
    case removalQuiesced(RemovalQuiesced)
    case removalDrained(RemovalDrained)
    case removalCommitted(RemovalCommitted)
    case removalCompleted(RemovalCompleted)
    case removalFailed(RemovalFailed)
    case podShutdown(PodShutdown)
    case nodeRemoval(NodeRemoval)
    case podShutdownDone(PodShutdownDone)
    case podShutdownExtend(PodShutdownExtend)
    case podShutdownRefuse(PodShutdownRefuse)
    case evaluation(Evaluation)
    case evaluationRequested(EvaluationRequested)

    /// Decodes an opened message by its event type.
    ///
    /// - Throws: `unknownEvent`, or what `MessageCoder.payload(ours:of:)` throws.
    public init(_ received: MessageCoder.Received) throws(MessageError) {
        guard let type = EventType(rawValue: received.envelope.eventType) else {
            throw MessageError(
                .unknownEvent, path: "event_type", what: "'\(received.envelope.eventType.cut(utf8: 100))' is not known")
        }
        guard !received.envelope.messageID.isEmpty else {
            throw MessageError(.invalidField, path: "message_id", what: "missing")
        }
        switch type {
        case .clusterSnapshot:
            self = .clusterSnapshot(try MessageCoder.payload(ours: ClusterSnapshot.self, of: received))
        case .clusterDelta: self = .clusterDelta(try MessageCoder.payload(ours: ClusterDelta.self, of: received))
        case .snapshotRequested:
            self = .snapshotRequested(try MessageCoder.payload(ours: SnapshotRequested.self, of: received))
        case .nodeStats: self = .nodeStats(try MessageCoder.payload(ours: NodeStats.self, of: received))
        case .podStats: self = .podStats(try MessageCoder.payload(ours: PodStats.self, of: received))
        case .cloudServer: self = .cloudServer(try MessageCoder.payload(ours: CloudServer.self, of: received))
        case .cloudAlarm: self = .cloudAlarm(try MessageCoder.payload(ours: CloudAlarm.self, of: received))
        case .cloudStats: self = .cloudStats(try MessageCoder.payload(ours: CloudStats.self, of: received))
        case .externalStats:
            self = .externalStats(try MessageCoder.payload(ours: ExternalStats.self, of: received))
        case .groupState: self = .groupState(try MessageCoder.payload(ours: GroupState.self, of: received))
        case .scaleRequested:
            self = .scaleRequested(try MessageCoder.payload(ours: ScaleRequested.self, of: received))
        case .scaleDecided: self = .scaleDecided(try MessageCoder.payload(ours: ScaleDecided.self, of: received))
        case .podsDecided: self = .podsDecided(try MessageCoder.payload(ours: PodsDecided.self, of: received))
        case .removalDecided: self = .removalDecided(try MessageCoder.payload(ours: RemovalDecided.self, of: received))
        case .removalCancelled:
            self = .removalCancelled(try MessageCoder.payload(ours: RemovalCancelled.self, of: received))
        case .scaleStarted: self = .scaleStarted(try MessageCoder.payload(ours: ScaleStarted.self, of: received))
        case .scaleCompleted: self = .scaleCompleted(try MessageCoder.payload(ours: ScaleCompleted.self, of: received))
        case .scaleFailed: self = .scaleFailed(try MessageCoder.payload(ours: ScaleFailed.self, of: received))
        case .scaleRefused: self = .scaleRefused(try MessageCoder.payload(ours: ScaleRefused.self, of: received))
        case .nodeJoined: self = .nodeJoined(try MessageCoder.payload(ours: NodeJoined.self, of: received))
        case .nodeReady: self = .nodeReady(try MessageCoder.payload(ours: NodeReady.self, of: received))
        case .nodeOverdue: self = .nodeOverdue(try MessageCoder.payload(ours: NodeOverdue.self, of: received))
        case .removalCordoned:
            self = .removalCordoned(try MessageCoder.payload(ours: RemovalCordoned.self, of: received))
        case .removalNoticed: self = .removalNoticed(try MessageCoder.payload(ours: RemovalNoticed.self, of: received))
        case .removalQuiesced:
            self = .removalQuiesced(try MessageCoder.payload(ours: RemovalQuiesced.self, of: received))
        case .removalDrained: self = .removalDrained(try MessageCoder.payload(ours: RemovalDrained.self, of: received))
        case .removalCommitted:
            self = .removalCommitted(try MessageCoder.payload(ours: RemovalCommitted.self, of: received))
        case .removalCompleted:
            self = .removalCompleted(try MessageCoder.payload(ours: RemovalCompleted.self, of: received))
        case .removalFailed: self = .removalFailed(try MessageCoder.payload(ours: RemovalFailed.self, of: received))
        case .podShutdown: self = .podShutdown(try MessageCoder.payload(ours: PodShutdown.self, of: received))
        case .nodeRemoval: self = .nodeRemoval(try MessageCoder.payload(ours: NodeRemoval.self, of: received))
        case .podShutdownDone:
            self = .podShutdownDone(try MessageCoder.payload(ours: PodShutdownDone.self, of: received))
        case .podShutdownExtend:
            self = .podShutdownExtend(try MessageCoder.payload(ours: PodShutdownExtend.self, of: received))
        case .podShutdownRefuse:
            self = .podShutdownRefuse(try MessageCoder.payload(ours: PodShutdownRefuse.self, of: received))
        case .evaluation: self = .evaluation(try MessageCoder.payload(ours: Evaluation.self, of: received))
        case .evaluationRequested:
            self = .evaluationRequested(try MessageCoder.payload(ours: EvaluationRequested.self, of: received))
        }
    }

    /// The payload, whatever it is.
    public var payload: any Payload {
        switch self {
        case .clusterSnapshot(let payload): payload
        case .clusterDelta(let payload): payload
        case .snapshotRequested(let payload): payload
        case .nodeStats(let payload): payload
        case .podStats(let payload): payload
        case .cloudServer(let payload): payload
        case .cloudAlarm(let payload): payload
        case .cloudStats(let payload): payload
        case .externalStats(let payload): payload
        case .groupState(let payload): payload
        case .scaleRequested(let payload): payload
        case .scaleDecided(let payload): payload
        case .podsDecided(let payload): payload
        case .removalDecided(let payload): payload
        case .removalCancelled(let payload): payload
        case .scaleStarted(let payload): payload
        case .scaleCompleted(let payload): payload
        case .scaleFailed(let payload): payload
        case .scaleRefused(let payload): payload
        case .nodeJoined(let payload): payload
        case .nodeReady(let payload): payload
        case .nodeOverdue(let payload): payload
        case .removalCordoned(let payload): payload
        case .removalNoticed(let payload): payload
        case .removalQuiesced(let payload): payload
        case .removalDrained(let payload): payload
        case .removalCommitted(let payload): payload
        case .removalCompleted(let payload): payload
        case .removalFailed(let payload): payload
        case .podShutdown(let payload): payload
        case .nodeRemoval(let payload): payload
        case .podShutdownDone(let payload): payload
        case .podShutdownExtend(let payload): payload
        case .podShutdownRefuse(let payload): payload
        case .evaluation(let payload): payload
        case .evaluationRequested(let payload): payload
        }
    }

    /// The cluster that it is about.
    public var cluster: String { payload.cluster }

    /// Its type.
    public var type: EventType { Swift.type(of: payload).eventType }
}
