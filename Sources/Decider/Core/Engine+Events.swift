import FoundationEssentials
import Messages
import Support

extension Engine {
    /// Takes a snapshot part. What it came to tells whether a snapshot has to be asked for.
    mutating func apply(_ snapshot: ClusterSnapshot, at now: Timestamp) -> ClusterModel.Outcome {
        model.apply(snapshot, at: now)
    }

    /// Takes a delta.
    mutating func apply(_ delta: ClusterDelta, at now: Timestamp) -> ClusterModel.Outcome {
        model.apply(delta, at: now)
    }

    /// Takes the state of a group; false when the group is not configured or the state is older than the known one.
    mutating func apply(_ state: GroupState, at now: Timestamp) -> Bool {
        guard let number = groupNumbers[state.group] else { return false }
        if let known = groups[number].state, known.observedAt > state.observedAt { return false }
        // Said again without a change: nothing has to be found out anew.
        var last = groups[number].state
        last?.observedAt = state.observedAt
        let isNews = last != state
        groups[number].take(state)
        groups[number].heardAt = now
        noteDeletions(number, at: now)
        if let act = groups[number].memory.scale, state.observedAt >= act.decidedAt,
            act.to >= act.from ? state.size >= act.to : state.size <= act.to && (state.desired ?? 0) <= act.to
        {
            // The members are listed: from here on the group's own size says how many come.
            groups[number].memory.scale = nil
        }
        if isNews { noteGroupsChanged() }
        return true
    }

    /// Takes measured load.
    mutating func apply(_ stats: NodeStats, at now: Timestamp) {
        for sample in stats.samples where !sample.stale {
            let load = max(sample.cpuUtilization ?? -1, sample.memoryUtilization ?? -1)
            if load >= 0 { measured[sample.node] = (load, now) }
        }
        measure(stats, at: now)
        if measured.count > 2 * model.nodeSlots.count + 100 {
            measured = measured.filter { model.nodeSlots[$0.key] != nil }
        }
    }

    // MARK: What became of decisions

    mutating func scaleStarted(_ scale: ScaleProgress, at now: Timestamp) -> Bool {
        guard let number = number(of: scale) else { return false }
        groups[number].memory.scale?.startedAt = now
        return true
    }

    mutating func scaleCompleted(_ scale: ScaleProgress, at now: Timestamp) -> Bool {
        guard let number = number(of: scale) else { return false }
        let size = groups[number].state?.size ?? 0
        let startedAt = groups[number].memory.scale?.startedAt ?? now
        groups[number].memory.scale?.startedAt = startedAt
        // Until the group's state shows the members, the act keeps the target.
        if size >= scale.to { groups[number].memory.scale = nil }
        return true
    }

    mutating func scaleFailed(_ scale: ScaleProgress, at now: Timestamp) -> Bool {
        guard let number = number(of: scale) else { return false }
        let act = groups[number].memory.scale.take()
        groups[number].memory.expected = 0
        if let act {
            if act.to > act.from { backOff(number, scale.reason, at: now) }
            endedInVain(act, number, size: scale.size, scale.reason, at: now)
        }
        return true
    }

    /// A refusal that says "look again" leaves the group usable; any other backs it off, so that another group is tried at once.
    mutating func scaleRefused(_ scale: ScaleProgress, at now: Timestamp) -> Bool {
        guard let number = number(of: scale) else { return false }
        let act = groups[number].memory.scale.take()
        groups[number].memory.expected = 0
        let passing: Set<Reason> = [
            .decisionStale, .decisionExpired, .alreadyApplied, .superseded, .stackInProgress, .heatConflict, .groupBusy,
        ]
        if !passing.contains(scale.reason.reason) {
            backOff(number, scale.reason, at: now)
        }
        // What was there already is there.
        if let act, scale.reason.reason != .alreadyApplied {
            endedInVain(act, number, size: scale.size, scale.reason, at: now)
        }
        return true
    }

    private func number(of scale: ScaleProgress) -> Int? {
        guard let number = groupNumbers[scale.group], groups[number].memory.scale?.id == scale.id else { return nil }
        return number
    }

    /// Why a removal ends over what runs on the node itself: another node may go all the same.
    static let overItsPods: Set<Reason> = [
        .podRefused, .podNotTold, .drainTimedOut, .evictionBlocked, .volumesAttached,
    ]
    /// How long other nodes are then taken: three times the usual cooldown of a rule.
    static let unwillingPause = Interval.minutes(15)

    enum RemovalStep { case underWay, drained, completed, failed }

    mutating func removal(_ step: RemovalStep, _ progress: RemovalProgress, at now: Timestamp) -> Bool {
        guard let number = groups.firstIndex(where: { $0.memory.removal?.id == progress.id }),
            var removal = groups[number].memory.removal,
            let index = removal.targets.firstIndex(where: { $0.node == progress.node })
        else { return false }
        if removal.startedAt == nil { removal.startedAt = now }
        switch step {
        case .underWay: break
        case .drained: removal.targets[index].isDrained = true
        case .completed:
            removal.targets.remove(at: index)
            removal.gone = (removal.gone ?? 0) + 1
        case .failed:
            let wasCancelled = removal.targets[index].isCancelled
            removal.targets.remove(at: index)
            let harmless: Set<Reason> = [
                .loadReturned, .cancelledByOperator, .decisionStale, .decisionExpired, .superseded,
                .alreadyApplied,
            ]
            givenBack[progress.node] = now
            switch progress.reason.reason {
            case .alreadyApplied: removal.gone = (removal.gone ?? 0) + 1
            case .loadReturned, .cancelledByOperator: removal.wasTakenBack = true
            default: if wasCancelled { removal.wasTakenBack = true }
            }
            if progress.reason.reason != .alreadyApplied { removal.failure = progress.reason }
            if !wasCancelled && !harmless.contains(progress.reason.reason) {
                groups[number].memory.removalFailedAt = now
                memory.removalFailedAt = now
            }
            // A pod that refuses does so again if it is asked at once.
            if !wasCancelled && Self.overItsPods.contains(progress.reason.reason) {
                memory.unwilling = (memory.unwilling ?? [:]).filter { now < $0.value + Self.unwillingPause }
                memory.unwilling?[progress.node] = now
            }
        }
        keep(removal, number, at: now)
        return true
    }

    /// A cancellation was not delivered: the nodes may be taken back again.
    mutating func uncancel(_ decision: RemovalCancelled) -> Bool {
        guard let number = groups.firstIndex(where: { $0.memory.removal?.id == decision.id }),
            var removal = groups[number].memory.removal
        else { return false }
        for index in removal.targets.indices where decision.nodes.contains(removal.targets[index].node) {
            removal.targets[index].isCancelled = false
        }
        groups[number].memory.removal = removal
        return true
    }

    // MARK: Checkpoint

    /// What has to survive this process, as JSON.
    public func checkpoint() throws -> [UInt8] {
        var saved = memory
        for group in groups { saved.groups[group.rules.id] = group.memory }
        saved.pods?.trimIdled()
        return Array(try JSONEncoder().encode(saved))
    }

    /// Takes up where another left off. Groups that are not configured any more are dropped.
    ///
    /// - Throws: `DeciderError` when the checkpoint cannot be read, is of a newer form or of another cluster.
    public mutating func restore(_ bytes: [UInt8]) throws(DeciderError) {
        let saved: EngineMemory
        do {
            saved = try JSONDecoder().decode(EngineMemory.self, from: Data(bytes))
        } catch {
            throw DeciderError(.invalidCheckpoint, "the checkpoint cannot be read: \(error)")
        }
        guard saved.version <= EngineMemory.currentVersion else {
            throw DeciderError(
                .invalidCheckpoint, "form \(saved.version), this release reads up to \(EngineMemory.currentVersion)")
        }
        guard saved.cluster == configuration.cluster else {
            throw DeciderError(.invalidCheckpoint, "of cluster \(saved.cluster), not \(configuration.cluster)")
        }
        memory = saved
        memory.pods?.mergeIdled()
        podScaling.keptRevision = -1
        for number in groups.indices {
            if let known = saved.groups[groups[number].rules.id] { groups[number].memory = known }
        }
        memory.groups = [:]
        savedMemory = memoryToSave
    }
}
