import Messages
import Support

/// Emptying a node whose cooldown is over: pods, then their volumes, then (where policy says so) DaemonSet pods.
extension ActuatorCore {
    /// The drain's time counts from its first possible eviction.
    func drainDeadline(_ record: RemovalRecord) -> Timestamp {
        max(now, record.startedAt + policy.loadBalancerWait) + policy.drainTimeout
    }

    mutating func readPods(_ node: String) {
        guard let removal = removals[node], !removal.isReadingPods else { return }
        // Load balancers were told when the node was cordoned; until they have heard, its pods and its ports serve.
        let earliest = removal.record.startedAt + policy.loadBalancerWait
        if now < earliest && !isHurried(removal) { return timers.set(.removal(node), at: earliest) }
        removals[node]?.isReadingPods = true
        emit(.readPods(node: node))
    }

    mutating func podsRead(_ node: String, _ pods: [NodePod]) {
        guard var removal = removals[node] else { return }
        removal.isReadingPods = false
        if cannotReturn(removal) { removal.seen = pods.filter(\.isMoved) }
        removals[node] = removal
        switch removal.record.phase {
        case .drained: return lookedAgain(node, pods)
        case .removing: return lookedBeforeHeat(node, pods)
        case .failed: return lookedAfterFailure(node, pods)
        default: break
        }
        guard removal.record.phase == .quiesced else { return }
        if serverIsGone(node, removal.record) {
            // Nothing runs there any more, and no kubelet is left that could end its pods.
            note(.warning, node, .serverGone, "server \(removal.record.serverID) is gone: nothing is left to drain")
            if removal.editing == nil { request(node, .drained(deadline: now + policy.heatTimeout)) }
            return timers.set(.removal(node), at: now + policy.drainPoll)
        }
        let pods = withoutStranded(pods, node)
        if let pod = refusing(pods, removal) {
            // Whoever heard it says so on the bus as well; that may take long to arrive, and no pod goes meanwhile.
            if removal.editing == nil { request(node, .cancelled(Explanation(.podRefused, pod.id))) }
            return timers.set(.removal(node), at: now + policy.drainPoll)
        }
        let isForced = removal.record.drain?.forced != nil
        if !isForced && !isHurried(removal) { surge(node, pods) }
        guard var held = removals[node]?.surges.held else { return }
        // Force is for those that had their time.
        if isForced { held = [] }
        let late = isHurried(removal) ? [] : latePods(pods, removal)
        for late in late { held.insert(late.pod.uid) }
        let elsewhere = setsMoving(besides: node, pods)
        let moved = removal.drain.movingSets
        var holdingUp: Set<String> = []
        if !isForced && !isHurried(removal) {
            let sets = heldForTheirSet(node, pods, waiting: held, movingElsewhere: elsewhere)
            held.formUnion(sets.held)
            holdingUp = sets.holdingUp
        }
        let step = removal.drain.next(
            pods: pods, held: held, holdingUp: holdingUp, movingElsewhere: elsewhere, isForced: isForced, at: now,
            deadline: removal.record.deadline, policy: policy)
        for late in late { removal.drain.waits(late.pod.uid, Explanation(.podNotTold, late.why)) }
        removals[node]?.drain = removal.drain
        noteMovingSets(of: node, moved, removal.drain.movingSets)
        switch step {
        case .drained: podsAreGone(node, pods)
        case .evict(let evictions, let again):
            // One that came meanwhile leaves volumes of its own.
            removals[node]?.emptySince = nil
            removals[node]?.volumesAreSettled = false
            if now >= removal.record.deadline, !cannotReturn(removal) || (policy.forceTimeout != nil && !isForced) {
                for eviction in evictions { removals[node]?.drain.withdraw(eviction.pod.uid) }
                let left = removal.drain.remaining(of: pods, at: now, policy)
                if DrainPlan.areEnding(left, at: now, deadline: removal.record.deadline) {
                    return timers.set(.removal(node), at: now + policy.drainPoll)
                }
                return drainIsLate(node, left)
            }
            carryOut(evictions, node, isForced: isForced)
            // What somebody else takes away has nowhere to return to: on, until it is gone or let go.
            timers.set(.removal(node), at: again > now ? again : now + policy.drainPoll)
        }
    }

    /// Drained, and then it waited for its stack: is it still empty?
    private mutating func lookedAgain(_ node: String, _ pods: [NodePod]) {
        guard let removal = removals[node], !removal.isMachine, !isInChange(node) else { return }
        guard let pod = removal.drain.remaining(of: withoutStranded(pods, node), at: now, policy).first else {
            removals[node]?.emptyAt = now
            // Later it would not be fresh any more, and the node be looked at again, for ever.
            return readGroup(removal.record.group, within: policy.lookAgainAfter * 0.5)
        }
        // Another time: the removal that takes it along tells it first.
        if removal.editing == nil, !isBeingTaken(removal) {
            fail(node, Explanation(.podNotTold, "pod \(pod.id) came after the node was drained"))
        }
    }

    /// In a change of which Heat knows nothing yet.
    private mutating func lookedBeforeHeat(_ node: String, _ pods: [NodePod]) {
        guard let removal = removals[node], removal.record.change != nil else { return }
        let left = removal.drain.remaining(of: withoutStranded(pods, node), at: now, policy)
        guard let pod = left.first else {
            removals[node]?.emptyAt = now
            return readGroup(removal.record.group, within: policy.lookAgainAfter * 0.5)
        }
        cameBeforeHeat(pod, node)
    }

    /// It failed at Heat and stays out of service; its machine goes with the next repair, if it is still empty.
    private mutating func lookedAfterFailure(_ node: String, _ pods: [NodePod]) {
        guard let removal = removals[node], removal.record.change != nil else { return }
        let left = removal.drain.remaining(of: withoutStranded(pods, node), at: now, policy)
        removals[node]?.emptyAt = left.isEmpty ? now : nil
        if let pod = left.first, !removal.hasPodsAgain {
            note(
                .warning, node, .podNotTold,
                "pod \(pod.id) came after the node was drained: its machine does not go before it is drained anew")
        }
        removals[node]?.hasPodsAgain = !left.isEmpty
        readGroup(removal.record.group, within: policy.lookAgainAfter * 0.5)
    }

    /// Pods that wait for their notice, or for the time that it gives them, with what each waits for. The word that a
    /// cooldown is over speaks of the pods that the Notifier knew then. One that came later (it tolerates the taint, names
    /// the node, or was bound at that very moment), or whose telling ended with its process, is told like the others, and
    /// its notice says so.
    private func latePods(_ pods: [NodePod], _ removal: Removal) -> [(pod: NodePod, why: String)] {
        pods.compactMap { pod in
            guard pod.isMoved, pod.deletedAt == nil else { return nil }
            // It is noted when each way was tried.
            guard let marks = NoticeMarks(pod.annotations, removal: removal.record.id),
                let deadline = pod.annotations[RemovalNames.podDeadline].flatMap({ Timestamp($0) })
            else { return (pod, "pod \(pod.id) has no notice of this removal on it, and goes by no force without one") }
            // Of those told before, each has answered, or its time is over: all deadlines lie before the record.
            guard now < deadline, deadline > removal.record.since, marks.answer != "done" else { return nil }
            return (pod, "pod \(pod.id) came after the cooldown and has until \(deadline.rfc3339)")
        }
    }

    /// A pod whose refusal was accepted, as its notice says; nil where the machine goes whatever anybody here says. Whoever may
    /// write a pod's annotations may write that: it counts for those that may refuse.
    private func refusing(_ pods: [NodePod], _ removal: Removal) -> NodePod? {
        if cannotReturn(removal) { return nil }
        return pods.first { pod in
            pod.deletedAt == nil && policy.pods.terms(for: pod).mayRefuse
                && NoticeMarks(pod.annotations, removal: removal.record.id)?.answer == "refuse"
        }
    }

    /// UIDs of DaemonSet pods whose notice gives them time that is not over.
    private func untimely(_ pods: [NodePod], _ removal: Removal) -> Set<String> {
        if isHurried(removal) { return [] }
        return Set(
            pods.filter { pod in
                guard pod.isEvictedLast, let marks = NoticeMarks(pod.annotations, removal: removal.record.id),
                    let deadline = pod.annotations[RemovalNames.podDeadline].flatMap({ Timestamp($0) })
                else { return false }
                return now < deadline && deadline > removal.record.since && marks.answer != "done"
            }.map(\.uid))
    }

    /// Pods whose time to stop is long over on a node that is not ready: no kubelet will ever say that they are gone.
    /// They go with the machine, which is the only way to end them.
    private func withoutStranded(_ pods: [NodePod], _ node: String) -> [NodePod] {
        guard nodes[node]?.isReady == false else { return pods }
        return pods.filter { pod in
            guard let deletedAt = pod.deletedAt else { return true }
            return now < deletedAt + policy.strandedAfter
        }
    }

    private mutating func carryOut(_ evictions: [DrainPlan.Eviction], _ node: String, isForced: Bool) {
        // A cancellation that is being written stops further evictions.
        guard let removal = removals[node] else { return }
        guard removal.editing == nil else {
            for eviction in evictions { removals[node]?.drain.withdraw(eviction.pod.uid) }
            return
        }
        for eviction in evictions {
            if isForced {
                let why = removal.record.drain?.forced?.detail ?? ""
                note(.warning, node, .drainForced, "pod \(eviction.pod.id) is deleted: \(why)")
                emit(.deletePod(node: node, eviction.pod, grace: eviction.grace))
            } else {
                emit(.evict(node: node, eviction.pod, grace: eviction.grace))
            }
        }
    }

    /// The deadline has passed and pods are left.
    private mutating func drainIsLate(_ node: String, _ left: [NodePod]) {
        guard let removal = removals[node], removal.editing == nil else { return }
        let names = left.prefix(3).map(\.id).joined(separator: ", ") + (left.count > 3 ? ", …" : "")
        let obstacle = removal.drain.obstacle
        let text = "\(left.count) pods left (\(names))\(obstacle.map { ": \($0.detail)" } ?? "")"
        if let more = policy.forceTimeout, removal.record.drain?.forced == nil {
            var drain = removal.record.drain ?? RemovalRecord.Drain()
            drain.forced = Explanation(.drainForced, "the drain took longer than \(policy.drainTimeout), \(text)")
            return request(node, .draining(drain, deadline: now + more))
        }
        fail(node, Explanation(obstacle?.reason ?? .drainTimedOut, text))
    }

    mutating func podsUnread(_ node: String, _ failure: ActFailure) {
        guard let removal = removals[node] else { return }
        removals[node]?.isReadingPods = false
        // What waits for a look waits for the next one; nobody is to wonder for what.
        if !removal.record.phase.isOver { note(.warning, node, failure.reason, failure.detail) }
        guard removal.record.phase == .quiesced else { return }
        let end = removal.record.deadline + (failure.isRetriable ? DrainPlan.endingMargin : .zero)
        if now >= end, !cannotReturn(removal) { return fail(node, failure.explanation) }
        timers.set(.removal(node), at: now + policy.pollInterval)
    }

    mutating func evicted(_ node: String, _ podUID: String, _ outcome: EvictionOutcome) {
        if case .blocked(let budget, _) = outcome { note(.info, node, .evictionBlocked, budget) }
        if case .failed(let failure) = outcome { note(.warning, node, failure.reason, failure.detail) }
        removals[node]?.drain.evicted(podUID, outcome, at: now, policy: policy)
        if outcome == .accepted || outcome == .gone { returnSurge(node, podUID) }
    }

    // MARK: When the pods are gone

    private mutating func podsAreGone(_ node: String, _ pods: [NodePod]) {
        guard var removal = removals[node], removal.editing == nil else { return }
        if removal.emptySince == nil { removal.emptySince = now }
        removals[node] = removal
        if !removal.volumesAreSettled && policy.volumeDetachTimeout > .zero && !isHurried(removal) {
            guard !removal.isReadingVolumes else { return }
            removals[node]?.isReadingVolumes = true
            return emit(.readVolumes(node: node))
        }
        let isLate = now >= removal.record.deadline
        if policy.evictsDaemonSets && !isLate {
            let step = removal.drain.nextOfDaemonSets(
                pods: pods, of: removal.record.id, held: untimely(pods, removal), at: now,
                deadline: removal.record.deadline, policy: policy)
            removals[node]?.drain = removal.drain
            if case .evict(let evictions, let again) = step {
                carryOut(evictions, node, isForced: false)
                removals[node]?.daemonSetsGo = true
                return timers.set(.removal(node), at: again)
            }
        }
        if removal.daemonSetsGo {
            // They had volumes as well.
            removals[node]?.daemonSetsGo = false
            removals[node]?.volumesAreSettled = false
            removals[node]?.emptySince = now
            return podsAreGone(node, pods)
        }
        if removal.record.drain?.surges.isEmpty == false {
            // Put back before the record moves on; if that does not succeed in time it goes on being tried.
            returnSurges(node)
            if !isLate { return timers.set(.removal(node), at: min(now + policy.drainPoll, removal.record.deadline)) }
        }
        request(node, .drained(deadline: now + policy.heatTimeout))
    }

    mutating func volumesRead(_ node: String, _ attached: [String]) {
        guard let removal = removals[node] else { return }
        removals[node]?.isReadingVolumes = false
        guard removal.record.phase == .quiesced else { return }
        let names = attached.filter { !removal.volumesGivenUp.contains($0) }
        let since = removal.emptySince ?? now
        if names.isEmpty { return volumesAreSettled(node) }
        let end = volumesEnd(removal, since)
        guard now >= end else { return timers.set(.removal(node), at: min(now + policy.drainPoll, end)) }
        let shown = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", …" : "")
        let why = Explanation(.volumesAttached, "still attached \(now - since) after their pods had gone: \(shown)")
        if policy.volumesMustDetach && !cannotReturn(removal) { return fail(node, why) }
        note(.warning, node, why.reason, why.detail)
        removals[node]?.volumesGivenUp.formUnion(names)
        volumesAreSettled(node)
    }

    mutating func volumesUnread(_ node: String, _ failure: ActFailure) {
        guard let removal = removals[node] else { return }
        removals[node]?.isReadingVolumes = false
        guard removal.record.phase == .quiesced else { return }
        note(.warning, node, failure.reason, "volume attachments: \(failure.detail)")
        let end = volumesEnd(removal, removal.emptySince ?? now)
        if failure.isRetriable && now < end {
            return timers.set(.removal(node), at: min(now + policy.pollInterval, end))
        }
        // Who may not look cannot wait for what it would see, unless policy insists.
        if policy.volumesMustDetach && !cannotReturn(removal) { return fail(node, failure.explanation) }
        volumesAreSettled(node)
    }

    /// Until when volumes are waited for: within the drain's time, and a moment more where the pods took all of that.
    private func volumesEnd(_ removal: Removal, _ since: Timestamp) -> Timestamp {
        min(since + policy.volumeDetachTimeout, max(removal.record.deadline, since + DrainPlan.endingMargin))
    }

    private mutating func volumesAreSettled(_ node: String) {
        removals[node]?.volumesAreSettled = true
        readPods(node)
    }
}
