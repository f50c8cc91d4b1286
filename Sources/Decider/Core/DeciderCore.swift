import Messages
import Support

/// What the shell has to do for the core.
public enum DeciderAction: Sendable {
    /// Publish this; the checkpoint before it has to be saved first.
    case publish(Event)
    /// Ask the Collector for a snapshot.
    case requestSnapshot(SnapshotRequested)
    /// Save this as the checkpoint.
    case saveCheckpoint([UInt8])
    /// Call `timerFired` at this time; replaces the timer before.
    case setTimer(Timestamp)
}

/// The Decider of one cluster without I/O: messages and time in, actions out.
///
/// Messages only change what is known and ask for an evaluation; the shell gathers those that come together and then calls
/// `evaluate`.
public struct DeciderCore: Sendable {
    /// The engine.
    public private(set) var engine: Engine
    /// Whether something came in since the last evaluation.
    public private(set) var isDirty = false
    private var requestedAt: Timestamp?
    private var completeAt: Timestamp?
    /// Questions that the next record answers, in the order in which they came.
    private var questions: [EvaluationRequested] = []
    private var answeredAt: Timestamp?

    /// How often every entry of the ledger is published, so that late readers see all.
    public var completeInterval = Interval.minutes(5)
    /// Questions are answered at most this often; those that come meanwhile share the next answer.
    public var answerInterval = Interval.seconds(1)
    /// So many questions wait at most; later ones are dropped, their askers ask again.
    static let maximumQuestions = 50

    /// - Parameters:
    ///   - configuration: the rules.
    ///   - term: part of every decision's id; has to differ each time a Decider takes over.
    public init(_ configuration: DeciderConfiguration, term: String) {
        engine = Engine(configuration, term: term)
    }

    /// Takes up where another left off.
    public mutating func restore(_ checkpoint: [UInt8]) throws(DeciderError) {
        try engine.restore(checkpoint)
        isDirty = true
    }

    /// The last checkpoint did not get through: the next evaluation saves one.
    public mutating func checkpointNotSaved() {
        engine.savedMemory = nil
    }

    /// A checkpoint with what alarms and requests have said since the last one; nil: that one knows of it. Whoever sent them may
    /// be told that they are taken once it is saved.
    public mutating func checkpointOfSignals() -> DeciderAction? {
        guard engine.hasUnsavedSignals || engine.savedMemory == nil, let bytes = try? engine.checkpoint() else {
            return nil
        }
        engine.hasUnsavedSignals = false
        engine.savedMemory = engine.memoryToSave
        return .saveCheckpoint(bytes)
    }

    /// Takes a message in.
    public mutating func receive(_ event: Event, at now: Timestamp) -> [DeciderAction] {
        guard event.cluster == engine.configuration.cluster else { return [] }
        switch event {
        case .clusterSnapshot(let snapshot): return noted(engine.apply(snapshot, at: now), at: now)
        case .clusterDelta(let delta): return noted(engine.apply(delta, at: now), at: now)
        case .groupState(let state): mark(engine.apply(state, at: now))
        case .nodeStats(let stats): engine.apply(stats, at: now)
        case .cloudStats(let stats): engine.apply(stats, at: now)
        case .cloudAlarm(let alarm): mark(engine.alarmChanged(alarm, at: now))
        case .podStats(let stats): engine.apply(stats, at: now)
        case .externalStats(let stats): engine.apply(stats, at: now)
        case .scaleRequested(let request): mark(engine.scaleRequested(request, at: now))
        case .scaleStarted(let event): mark(engine.scaleStarted(event.scale, at: now))
        case .scaleCompleted(let event):
            mark(
                engine.podsAnswered(event.scale, refused: false, at: now)
                    || engine.scaleCompleted(event.scale, at: now))
        case .scaleFailed(let event): mark(engine.scaleFailed(event.scale, at: now))
        case .scaleRefused(let event):
            mark(
                engine.podsAnswered(event.scale, refused: true, at: now) || engine.scaleRefused(event.scale, at: now))
        case .removalCordoned(let event): mark(engine.removal(.underWay, event.removal, at: now))
        case .removalNoticed(let event): mark(engine.removal(.underWay, event.removal, at: now))
        case .removalQuiesced(let event): mark(engine.removal(.underWay, event.removal, at: now))
        case .removalDrained(let event): mark(engine.removal(.drained, event.removal, at: now))
        case .removalCompleted(let event): mark(engine.removal(.completed, event.removal, at: now))
        case .removalFailed(let event): mark(engine.removal(.failed, event.removal, at: now))
        case .evaluationRequested(let question):
            // Asked again for want of patience, it is still one question.
            if questions.count < Self.maximumQuestions, !questions.contains(where: { $0.id == question.id }) {
                questions.append(question)
                isDirty = true
            }
        default: break
        }
        return []
    }

    private mutating func mark(_ changed: Bool) {
        if changed { isDirty = true }
    }

    private mutating func noted(_ outcome: ClusterModel.Outcome, at now: Timestamp) -> [DeciderAction] {
        switch outcome {
        case .applied:
            isDirty = true
            requestedAt = nil
            return []
        case .heartbeat, .ignored:
            return []
        case .gap(let why):
            return request(why, at: now)
        }
    }

    /// Asks for a snapshot, but not again for every message that comes meanwhile.
    private mutating func request(_ why: String, at now: Timestamp) -> [DeciderAction] {
        if let last = requestedAt, now < last + .seconds(5) { return [] }
        requestedAt = now
        return [
            .requestSnapshot(
                SnapshotRequested(cluster: engine.configuration.cluster, requester: "decider", why: why))
        ]
    }

    /// A decision could not be delivered: as if it had never been made. Whether it was known.
    public mutating func retract(_ event: Event, at now: Timestamp) -> Bool {
        var known = false
        switch event {
        case .scaleDecided(let decision):
            known = engine.scaleRefused(
                ScaleProgress(
                    id: decision.id, group: decision.group, from: decision.from, to: decision.to,
                    reason: Explanation(.decisionExpired, "not delivered"), at: now), at: now)
        case .removalDecided(let decision):
            for target in decision.nodes {
                let progress = RemovalProgress(
                    id: decision.id, group: decision.group, node: target.node, nodeUID: target.nodeUID,
                    serverID: target.serverID, reason: Explanation(.decisionExpired, "not delivered"), at: now)
                if engine.removal(.failed, progress, at: now) { known = true }
            }
        case .removalCancelled(let decision): known = engine.uncancel(decision)
        case .podsDecided(let decision):
            known = engine.podsAnswered(
                ScaleProgress(
                    id: decision.id, group: decision.name, from: decision.from, to: decision.to,
                    reason: Explanation(.decisionExpired, "not delivered"), at: now), refused: true, at: now)
        default: break
        }
        mark(known)
        return known
    }

    /// Looks at everything and decides. `complete`: the ledger gets every entry.
    public mutating func evaluate(at now: Timestamp, complete: Bool = false) -> [DeciderAction] {
        isDirty = false
        var actions: [DeciderAction] = []
        if !engine.isReady { actions += request("nothing is known of the cluster yet", at: now) }
        let answers = !questions.isEmpty && (answeredAt.map { now >= $0 + answerInterval } ?? true)
        let wantsAll = complete || answers || completeAt.map { now >= $0 + completeInterval } ?? engine.isReady
        if wantsAll && engine.isReady { completeAt = now }
        var result = engine.evaluate(at: now, complete: wantsAll && engine.isReady)
        if result.memoryChanged || !result.decisions.isEmpty, let bytes = try? engine.checkpoint() {
            // Decisions wait for the checkpoint: a successor must know of them.
            actions.append(.saveCheckpoint(bytes))
            engine.hasUnsavedSignals = false
        }
        for decision in result.decisions { actions.append(.publish(decision)) }
        if answers {
            result.evaluation.answers = questions.map { engine.answer($0, result.evaluation, at: now) }
            questions = []
            answeredAt = now
        }
        if engine.isNews(&result.evaluation) { actions.append(.publish(.evaluation(result.evaluation))) }
        var next = now + .seconds(30)
        if let deadline = result.nextDeadline { next = min(next, max(deadline, now + .milliseconds(1))) }
        if !questions.isEmpty, let answeredAt { next = min(next, answeredAt + answerInterval) }
        actions.append(.setTimer(next))
        return actions
    }
}

extension Engine {
    /// Whether the record says anything that was not said before.
    mutating func isNews(_ evaluation: inout Evaluation) -> Bool {
        let sentenceIsNews = ledger.isNews(evaluation.summary)
        return evaluation.isComplete || sentenceIsNews || evaluation.answers != nil || !evaluation.pods.isEmpty
            || !evaluation.nodes.isEmpty
            || !evaluation.groups.isEmpty || !evaluation.decisions.isEmpty || evaluation.rules != nil
            || evaluation.scalers != nil || evaluation.signals != nil
    }
}
