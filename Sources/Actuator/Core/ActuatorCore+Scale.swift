import Messages
import Support

/// `scale.decided`: from the delivery to the read-back.
extension ActuatorCore {
    mutating func scaleDecided(_ decision: ScaleDecided, _ ticket: Int) {
        hold(ticket)
        if let outcome = outcomes[decision.id] {
            // The same again: the same answer, and nothing else happens.
            if !postponed.contains(decision.id) {
                note(.info, decision.group, .alreadyApplied, "decision \(decision.id) was here before")
                emit(.publish(outcome))
            }
            return settle(ticket)
        }
        guard let track = groups[decision.group] else {
            return refuse(
                decision, Explanation(.groupUnknown, "no group '\(decision.group)' is configured"), ticket: ticket)
        }
        let running = running(in: track)
        if running?.id == decision.id {
            // Until Heat has accepted it, a crash must bring it back.
            guard track.waiting?.decision.id == decision.id else { return settle(ticket) }
            groups[decision.group]?.waiting?.ticket = ticket
            return
        }
        if let why = objection(to: decision, track) {
            let waited = track.waiting?.decision.id == decision.id ? track.waiting : nil
            if waited != nil { groups[decision.group]?.waiting = nil }
            // A deadline that passed while Heat did not answer: what Heat said tells more.
            let told = why.reason == .decisionExpired ? waited?.lastFailure?.explanation : nil
            return refuse(decision, told ?? why, ticket: ticket)
        }
        if track.waiting?.decision.id == decision.id {
            groups[decision.group]?.waiting?.ticket = ticket
            return
        }
        if let waiting = track.waiting {
            if waiting.decision.id == running?.id {
                // Heat is being asked for it just now: its answer is what becomes of it.
                settle(waiting.ticket)
            } else {
                refuse(
                    waiting.decision, Explanation(.superseded, "by decision \(decision.id)"), ticket: waiting.ticket)
            }
        }
        groups[decision.group]?.newest = decision.decidedAt
        groups[decision.group]?.waiting = GroupTrack.Waiting(decision: decision, ticket: ticket, since: now)
        readGroup(decision.group)
    }

    /// The decision that is being carried out.
    private func running(in track: GroupTrack) -> ScaleDecided? {
        guard case .scale(let decision)? = changes[track.policy.stack]?.kind else { return nil }
        return decision
    }

    /// What speaks against a decision before Heat is asked.
    private func objection(to decision: ScaleDecided, _ track: GroupTrack) -> Explanation? {
        let group = track.policy
        if decision.deadline < now {
            return Explanation(.decisionExpired, "its deadline was \(decision.deadline.rfc3339)")
        }
        if let pause = track.pause { return Explanation(.groupPaused, pause.detail) }
        if decision.to > group.max {
            return Explanation(.maximumReached, "\(decision.to) wanted, max is \(group.max) (\(group.origin).max)")
        }
        // A group below its minimum comes nearer to it as far as other limits let it.
        if decision.to < group.min && decision.to <= decision.from {
            return Explanation(.minimumReached, "\(decision.to) wanted, min is \(group.min) (\(group.origin).min)")
        }
        if decision.to < 1 {
            return Explanation(.minimumReached, "0 wanted; Heat ignores a desired size of 0 in an update")
        }
        if let newest = track.newest, newest > decision.decidedAt {
            return Explanation(.superseded, "by a decision of \(newest.rfc3339)")
        }
        if let newest = track.newestRemoval, newest > decision.decidedAt {
            return Explanation(.superseded, "by a removal that was decided at \(newest.rfc3339)")
        }
        return nil
    }

    /// Looks whether the waiting decision can be carried out now. True when it took the stack.
    mutating func considerScale(_ id: String, _ reading: GroupReading) -> Bool {
        guard let track = groups[id], let waiting = track.waiting, reading.begunAt >= waiting.since else {
            return false
        }
        let decision = waiting.decision
        func refusal(_ why: Explanation) -> Bool {
            groups[id]?.waiting = nil
            refuse(decision, why, size: reading.counted.count, ticket: waiting.ticket)
            return false
        }
        if let why = objection(to: decision, track) ?? reading.problem { return refusal(why) }
        // Somebody's change is under way: ours is the next one. A drain under a hold may take long, and needs no waiting.
        if reading.isBusy && !reading.waitsOnlyForHeld { return false }
        let size = reading.counted.count
        if decision.to == size && reading.desired == decision.to && !reading.isFailed {
            groups[id]?.waiting = nil
            finish(decision, size: size, Explanation(.alreadyApplied, "the group has \(size) members"))
            settle(waiting.ticket)
            return false
        }
        if decision.to < size {
            // Lowering the size removes the oldest member, with whatever runs on it.
            return refusal(
                Explanation(
                    .decisionStale,
                    "the group has \(size) members, \(decision.to) wanted: members go by removal.decided only"))
        }
        // Right after the start: an incident, and which of the failed members are nodes, stand on the Nodes.
        if !nodesAreKnown { return false }
        if let obstacle = strangersThatFailed([], reading, in: id) {
            return refusal(Explanation(.memberFailed, obstacle))
        }
        // A decision that comes again after a crash finds the size that it sent.
        if decision.from != size && decision.from != reading.desired && decision.to != reading.desired {
            return refusal(
                Explanation(
                    .decisionStale,
                    "it saw \(decision.from) members, there are \(size) (desired \(reading.desired ?? 0))"))
        }
        // Carried out although the answer was lost, and somebody set another size since: that one is theirs.
        if waiting.isSeen && reading.desired != decision.to {
            return refusal(
                Explanation(
                    .decisionStale, "size \(decision.to) was there, and \(reading.desired ?? 0) was set since"))
        }
        // Older than this process: the one before may have carried it out, and something else made room or took it since.
        if let begunAt, decision.decidedAt < begunAt {
            if let updatedAt = reading.stackUpdatedAt, updatedAt > decision.decidedAt, decision.to != reading.desired {
                return refusal(
                    Explanation(.decisionStale, "the stack was updated at \(updatedAt.rfc3339), after it was decided"))
            }
            let made = reading.counted.count { $0.createdAt.map { $0 > decision.decidedAt } ?? false }
            if made >= decision.to - size && decision.to != reading.desired {
                return refusal(Explanation(.decisionStale, "\(made) members were made since it was decided"))
            }
        }
        guard othersAllowUpdate(of: id), emptiedAreStillEmpty(reading, in: id) else { return false }
        changes[track.policy.stack] = StackChange(
            group: id, kind: .scale(decision), step: .sending(decision.to), deadline: now + policy.heatTimeout)
        groups[id]?.waiting?.sentAt = reading.desired == decision.to ? nil : now
        send(decision.to, for: id)
        return true
    }

    /// Heat answered a resize.
    mutating func resized(_ id: String, _ failure: ActFailure?) {
        guard let stack = groups[id]?.policy.stack, var change = changes[stack], change.group == id,
            case .sending(let size) = change.step
        else { return }
        acted(on: id)
        noteAnswer(of: id, failure)
        change.attempts += 1
        change.lastFailure = failure
        if failure == nil {
            change.step = .settling(size)
            change.sentAt = now
            change.sawBusy = false
        } else {
            // Also after an error: a request without an answer may have been carried out (docs/openstack/heat.md §9), or be
            // carried out yet.
            change.step = .looking
        }
        changes[stack] = change
        switch change.kind {
        case .scale(let decision): scaleAnswered(decision, id, change, failure)
        case .removal: removalAnswered(id, change, failure)
        case .repair, .unmark: if failure != nil { return endChange(of: id) }
        }
        // Not at once after a failure: the next try needs a reading, so this is what spaces the tries out.
        timers.set(.group(id), at: now + (failure == nil ? .milliseconds(500) : policy.pollInterval))
    }

    private mutating func scaleAnswered(
        _ decision: ScaleDecided, _ id: String, _ change: StackChange, _ failure: ActFailure?
    ) {
        // A newer one may have come while Heat was asked: it waits for its own turn.
        let waiting = groups[id]?.waiting
        let ticket = waiting?.decision.id == decision.id ? waiting?.ticket : nil
        let newer = waiting.flatMap { $0.decision.id == decision.id ? nil : $0.decision }
        guard let failure else {
            if newer == nil { groups[id]?.waiting = nil }
            emit(.publish(.scaleStarted(ScaleStarted(cluster: policy.cluster, scale: progress(decision)))))
            return settle(ticket)
        }
        changes[change.stackKey(groups)] = nil
        if failure.isRetriable {
            note(.warning, id, failure.reason, "resize to \(decision.to): \(failure.detail)")
            groups[id]?.waiting?.since = now
            if let newer {
                refuse(decision, Explanation(.superseded, "by decision \(newer.id)"), ticket: nil)
            } else {
                groups[id]?.waiting?.lastFailure = failure
            }
        } else {
            if newer == nil { groups[id]?.waiting = nil }
            refuse(decision, failure.explanation, ticket: ticket)
        }
    }

    /// Follows an accepted size until the stack settles.
    mutating func followScale(_ decision: ScaleDecided, _ change: StackChange, _ reading: GroupReading) {
        guard case .settling(let target) = change.step, let sentAt = change.sentAt else { return }
        let id = change.group
        let stack = change.stackKey(groups)
        if reading.isBusy && now < change.deadline {
            changes[stack]?.sawBusy = true
            return
        }
        let size = reading.counted.count
        if size == target && !reading.isFailed {
            finish(decision, size: size, decision.reason)
            return endChange(of: id)
        }
        // Right after the acceptance the stack may still show what was before.
        if !change.sawBusy && now - sentAt < policy.statusLag { return }
        let why: Explanation
        if reading.isBusy {
            why = Explanation(.stackInProgress, "still \(reading.stackStatus) \(now - sentAt) after it was accepted")
        } else if reading.isFailed {
            let isQuota = reading.failure.contains("Quota exceeded for")
            why = Explanation(isQuota ? .quotaReached : .heatUpdateFailed, reading.failure)
        } else {
            why = Explanation(.sizeMismatch, "\(target) asked for, \(size) members counted")
        }
        let outcome = Event.scaleFailed(
            ScaleFailed(cluster: policy.cluster, scale: progress(decision, size: size, why)))
        outcomes.insert(decision.id, outcome)
        emit(.publish(outcome))
        note(.error, id, why.reason, why.detail)
        endChange(of: id)
        repair(id, reading)
    }

    /// Sweeps out members that never came to be, so that the stack is whole and takes signals and changes again.
    private mutating func repair(_ id: String, _ reading: GroupReading) {
        let failed = reading.members.filter(\.isFailed)
        guard let track = groups[id], let size = restingSize(reading), size >= track.policy.floor, !failed.isEmpty,
            failed.allSatisfy({ $0.status == "CREATE_FAILED" }), failed.allSatisfy({ !isNode($0) }),
            othersAllowUpdate(of: id)
        else { return }
        note(.info, id, .memberFailed, "size \(size) is sent for \(failed.count) members that failed to be made")
        changes[track.policy.stack] = StackChange(
            group: id, kind: .repair, step: .sending(size), deadline: now + policy.heatTimeout)
        send(size, for: id)
    }

    /// Whether the member's server is a Node of the cluster, or may be one: a Node that does not say which server it is may
    /// be any.
    func isNode(_ member: GroupState.Member) -> Bool {
        guard let serverID = member.serverID else { return nodeAmongServers(of: member) != nil }
        return nodes.on(server: serverID) != nil || nodeOfUnknownMachine != nil
    }

    /// The Node that a member may be of which it cannot be told which of its servers is its machine.
    func nodeAmongServers(of member: GroupState.Member) -> String? {
        for id in groups.keys.sorted() {
            guard let servers = groups[id]?.reading?.candidates[member.identity] else { continue }
            return servers.lazy.compactMap { self.nodes.on(server: $0)?.name }.first ?? nodeOfUnknownMachine
        }
        return nil
    }

    /// A Node that does not say which server of OpenStack it is.
    var nodeOfUnknownMachine: String? { nodes.nameOfUnknownMachine }

    // MARK: Words

    func progress(_ decision: ScaleDecided, size: Int? = nil, _ reason: Explanation? = nil) -> ScaleProgress {
        ScaleProgress(
            id: decision.id, group: decision.group, from: decision.from, to: decision.to, size: size,
            reason: reason ?? decision.reason, at: now)
    }

    private mutating func finish(_ decision: ScaleDecided, size: Int, _ reason: Explanation) {
        let outcome = Event.scaleCompleted(
            ScaleCompleted(cluster: policy.cluster, scale: progress(decision, size: size, reason)))
        outcomes.insert(decision.id, outcome)
        emit(.publish(outcome))
    }

    mutating func refuse(_ decision: ScaleDecided, _ why: Explanation, size: Int? = nil, ticket: Int?) {
        let outcome = Event.scaleRefused(
            ScaleRefused(cluster: policy.cluster, scale: progress(decision, size: size, why)))
        outcomes.insert(decision.id, outcome)
        emit(.publish(outcome))
        note(.info, decision.group, why.reason, "scale \(decision.id) refused: \(why.detail)")
        settle(ticket)
    }
}

extension StackChange {
    /// The key of its stack.
    func stackKey(_ groups: [String: GroupTrack]) -> String { groups[group]?.policy.stack ?? "" }
}

/// `pods.decided`: replicas through the scale subresource.
extension ActuatorCore {
    mutating func podsDecided(_ decision: PodsDecided, _ ticket: Int) {
        hold(ticket)
        if let outcome = outcomes[decision.id] {
            emit(.publish(outcome))
            return settle(ticket)
        }
        guard decision.deadline >= now else {
            // What stood in the way is what whoever decided has to know, and not that time has passed.
            let expired = Explanation(.decisionExpired, "its deadline was \(decision.deadline.rfc3339)")
            answer(decision, workloadFailures[decision.id]?.explanation ?? expired, isDone: false)
            return settle(ticket)
        }
        workloadTickets[decision.id] = ticket
        emit(.scaleWorkload(decision))
    }

    mutating func workloadScaled(_ decision: PodsDecided, _ outcome: WorkloadOutcome) {
        if let act = surgeActs.removeValue(forKey: decision.id) { return surgeAnswered(act, outcome) }
        let ticket = workloadTickets.removeValue(forKey: decision.id)
        switch outcome {
        case .done: answer(decision, decision.reason, isDone: true)
        case .already: answer(decision, Explanation(.alreadyApplied, "it has \(decision.to) replicas"), isDone: true)
        case .stale(let found):
            answer(
                decision, Explanation(.decisionStale, "it saw \(decision.from) replicas, there are \(found)"),
                isDone: false)
        case .failed(let failure):
            if failure.isRetriable {
                // Nobody waits for so many: those that were lost elsewhere must not stay for ever.
                if workloadFailures.count >= Self.maximumFailures { workloadFailures = [:] }
                workloadFailures[decision.id] = failure
                return settle(ticket, .retryLater)
            }
            answer(decision, failure.explanation, isDone: false)
        }
        settle(ticket)
    }

    private static let maximumFailures = 10_000

    /// The workload stands in the event where a node group otherwise does.
    private mutating func answer(_ decision: PodsDecided, _ reason: Explanation, isDone: Bool) {
        let progress = ScaleProgress(
            id: decision.id, group: "\(decision.kind)/\(decision.namespace)/\(decision.name)", from: decision.from,
            to: decision.to, size: isDone ? decision.to : nil, reason: reason, at: now)
        let outcome =
            isDone
            ? Event.scaleCompleted(ScaleCompleted(cluster: policy.cluster, scale: progress))
            : Event.scaleRefused(ScaleRefused(cluster: policy.cluster, scale: progress))
        outcomes.insert(decision.id, outcome)
        workloadFailures[decision.id] = nil
        emit(.publish(outcome))
    }
}
