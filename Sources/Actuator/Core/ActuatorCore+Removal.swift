import Messages
import Support

/// From the cordoned node to the drained one, and the way back.
extension ActuatorCore {
    // MARK: What others say

    mutating func removalNoticed(_ progress: RemovalProgress) {
        guard let removal = known(progress, .removalNoticed(progress)) else { return }
        // The Notifier's word may not exceed what the record allows.
        let until = min(progress.deadline ?? removal.record.deadline, removal.record.deadline)
        if removal.record.phase.order > RemovalPhase.noticed.order { return }
        // Pods may ask for more time again and again. Of the ends that wait to be written the last one counts, and what moves by
        // less than a second is no news: a queue of them would stand before what matters.
        if let place = removal.queue.lastIndex(where: { $0.transition.phase == .noticed && $0.ticket == nil }) {
            removals[progress.node]?.queue[place].transition = .noticed(until: until)
            return
        }
        if removal.record.phase == .noticed, !removal.isAskedFor(.noticed),
            let known = removal.record.cooldownUntil, max(until - known, known - until) < .seconds(1)
        {
            return
        }
        request(progress.node, .noticed(until: until))
    }

    mutating func removalQuiesced(_ progress: RemovalProgress) {
        guard let removal = known(progress, .removalQuiesced(progress)) else { return }
        if removal.record.phase.order >= RemovalPhase.quiesced.order { return }
        // Repeated while the first is being written.
        if removal.isAskedFor(.quiesced) { return }
        request(progress.node, .quiesced(progress.reason, deadline: drainDeadline(removal)))
    }

    /// The removal that an event is about, if it is ours.
    private mutating func known(_ progress: RemovalProgress, _ event: ActuatorEvent) -> Removal? {
        if !nodesAreKnown {
            if early.count < 10_000 { early.append(event) }
            return nil
        }
        guard let removal = removals[progress.node], removal.record.id == progress.id,
            removal.record.nodeUID == progress.nodeUID
        else {
            note(.debug, progress.node, .decisionStale, "an event of removal \(progress.id), which does not run here")
            return nil
        }
        return removal
    }

    mutating func removalCancelled(_ decision: RemovalCancelled, _ ticket: Int) {
        hold(ticket)
        guard nodesAreKnown else { return settle(ticket, .retryLater) }
        // A decision that waits in the broker, for Heat is slow, comes after its cancellation.
        if decision.nodes.isEmpty { cancelled.insert(decision.id) }
        for node in decision.nodes { cancelled.insert(Self.cancellation(decision.id, node)) }
        dropStarts(decision)
        let meant = Set(decision.nodes)
        let names = removals.filter { name, removal in
            removal.record.id == decision.id && (meant.isEmpty || meant.contains(name))
        }.keys.sorted()
        var asked: Set<String> = []
        for name in names {
            guard let removal = removals[name] else { continue }
            guard removal.record.phase.isReversible, !cannotReturn(removal) else {
                sayTooLate(name, removal, decision.reason)
                continue
            }
            asked.insert(name)
        }
        // Another process may have begun it just now, and the watch not have told of that yet.
        let unseen = meant.subtracting(names)
        guard !asked.isEmpty || !unseen.isEmpty else { return settle(ticket) }
        // Settled when each node's record says so: after a crash nothing else would tell the others.
        cancelling[ticket] = asked.union(unseen)
        for name in asked.sorted() { request(name, .cancelled(decision.reason), ticket) }
        for name in unseen.sorted() {
            cancellationsToCheck[name, default: []].append(CancellationToCheck(decision: decision, ticket: ticket))
            emit(.checkNode(name))
        }
    }

    /// The Node was read past the watch: what it says of its removal is what its cancellations are about. (A reading that
    /// failed says nothing: the delivery comes again.)
    mutating func checkCancellations(of node: String) {
        for waiting in cancellationsToCheck.removeValue(forKey: node) ?? [] {
            let id = waiting.decision.id
            guard let removal = removals[node], removal.record.id == id else {
                note(.info, node, .decisionStale, "cancelled, and not under removal \(id)")
                settle(waiting.ticket, of: node)
                continue
            }
            // (Adopted just now, it is being cancelled: this waits for that.)
            if removal.record.phase.isReversible, !cannotReturn(removal) {
                request(node, .cancelled(waiting.decision.reason), waiting.ticket)
            } else {
                sayTooLate(node, removal, waiting.decision.reason)
                settle(waiting.ticket, of: node)
            }
        }
    }

    /// Its delivery was settled: nothing waits for the answer any more.
    mutating func forgetCancellation(_ ticket: Int) {
        for (node, waiting) in cancellationsToCheck where waiting.contains(where: { $0.ticket == ticket }) {
            let others = waiting.filter { $0.ticket != ticket }
            cancellationsToCheck[node] = others.isEmpty ? nil : others
        }
    }

    /// A removal that cannot be cancelled any more. A person who asked waits for its end: one that was told before is told
    /// again.
    private mutating func sayTooLate(_ node: String, _ removal: Removal, _ why: Explanation) {
        let record = removal.record
        guard record.phase.isOver else {
            return note(
                .info, node, .decisionStale, "too late to cancel removal \(record.id): Heat or Nova deletes the machine"
            )
        }
        guard why.reason == .cancelledByOperator else { return }
        note(.info, node, .decisionStale, "too late to cancel removal \(record.id): it is over")
        emit(
            .publish(
                .removalFailed(
                    RemovalFailed(cluster: policy.cluster, removal: record.progress(node: node, at: now)))))
    }

    static func cancellation(_ removal: String, _ node: String) -> String { "\(removal)/\(node)" }

    /// Removals that wait to begin and are cancelled now.
    private mutating func dropStarts(_ decision: RemovalCancelled) {
        for id in groups.keys.sorted() {
            guard var starts = groups[id]?.starts else { continue }
            for index in starts.indices where starts[index].decision.id == decision.id {
                let dropped = starts[index].decision.nodes.filter {
                    decision.nodes.isEmpty || decision.nodes.contains($0.node)
                }
                for target in dropped { refuse(target, of: starts[index].decision, decision.reason) }
                starts[index].decision.nodes.removeAll { dropped.contains($0) }
            }
            for start in starts where start.decision.nodes.isEmpty { settle(start.ticket) }
            groups[id]?.starts = starts.filter { !$0.decision.nodes.isEmpty }
        }
    }

    // MARK: Steps

    /// Takes a step: written to the Node first, then acted on. One at a time; a later one waits.
    mutating func request(_ node: String, _ transition: RemovalTransition, _ ticket: Int? = nil) {
        guard var removal = removals[node] else { return settle(ticket, of: node) }
        if removal.editing != nil || tidying[node] != nil {
            removal.queue.append(Removal.Request(transition: transition, ticket: ticket))
            removals[node] = removal
            return
        }
        do throws(ImpossibleTransition) {
            let next = try removal.record.applying(transition, at: now)
            if removal.nodeIsGone {
                removal.record = next
                removals[node] = removal
                settle(ticket, of: node)
                return entered(node, after: transition)
            }
            var undo = false
            switch transition {
            case .cancelled: undo = true
            case .failed(_, let stayCordoned): undo = !stayCordoned
            default: break
            }
            var edit = NodeEdit(
                node: node, uid: removal.uid, kind: .advance(from: removal.record.phase, next, undo: undo))
            edit.holds = mayHold(node, removal, as: next)
            removal.editing = edit
            removal.editRequest = Removal.Request(transition: transition, ticket: ticket)
            removals[node] = removal
            emit(.editNode(edit))
        } catch {
            note(.debug, node, .decisionStale, error.description)
            settle(ticket, of: node)
        }
    }

    mutating func nodeEdited(_ node: String, _ outcome: NodeEditOutcome) {
        if removals[node]?.editing == nil { return tidied(node, outcome) }
        guard var removal = removals[node], let edit = removal.editing else { return }
        let asked = removal.editRequest
        let ticket = asked?.ticket
        if case .failed(let failure) = outcome { return editFailed(node, edit, failure) }
        removal.editing = nil
        removal.editRequest = nil
        removal.editFailures = 0
        switch outcome {
        case .failed: break
        case .done(let record):
            if let record { removal.record = record }
            removals[node] = removal
            settle(ticket, of: node)
            started(node)
            if record == nil {
                removals[node] = nil
                timers.cancel(.removal(node))
            } else {
                entered(node, after: asked?.transition)
            }
        case .overtaken(let record):
            started(node)
            if let record {
                removal.record = record
                // Another replica was faster. What was asked for is asked for again if it still leads anywhere.
                if let asked, record.id == edit.recordID, record.phase.allows(asked.transition) {
                    removal.queue.insert(asked, at: 0)
                } else {
                    settle(ticket, of: node)
                }
                removals[node] = removal
                entered(node)
            } else if case .cordon = edit.kind {
                removals[node] = nil
            } else {
                settle(ticket, of: node)
                takenAway(node)
            }
        case .gone:
            removals[node] = removal
            settle(ticket, of: node)
            started(node)
            vanished(node)
        }
        takeNext(node)
    }

    /// A step of this node that a delivery asked for is durable, or leads nowhere any more. One that asks for steps of several
    /// nodes is settled with the last of them.
    mutating func settle(_ ticket: Int?, of node: String) {
        guard let ticket else { return }
        cancelling[ticket]?.remove(node)
        if cancelling[ticket]?.isEmpty != false { settle(ticket) }
    }

    /// The step that waited, if any.
    mutating func takeNext(_ node: String) {
        guard let next = removals[node]?.queue.first, removals[node]?.editing == nil else { return }
        removals[node]?.queue.removeFirst()
        request(node, next.transition, next.ticket)
    }

    private mutating func editFailed(_ node: String, _ edit: NodeEdit, _ failure: ActFailure) {
        note(.warning, node, failure.reason, failure.detail)
        let beginBy = removals[node]?.beginBy
        let isLate = beginBy.map { now > $0 } ?? false
        if case .cordon(let record) = edit.kind, !failure.isRetriable || isLate {
            let waiting = removals[node]?.queue ?? []
            removals[node] = nil
            for request in waiting { settle(request.ticket, of: node) }
            started(node)
            // What somebody else takes away is tried again as long as it is there.
            if record.isExternal, !cordonIsRefused(node, record, failure) { return }
            // Whoever decided has long forgotten it; the last failure tells why nothing came of it.
            let why =
                failure.isRetriable
                ? Explanation(.decisionExpired, "not cordoned by its deadline: \(failure.detail)")
                : failure.explanation
            emit(
                .publish(
                    .removalFailed(
                        RemovalFailed(
                            cluster: policy.cluster, removal: record.progress(node: node, reason: why, at: now)))))
            return
        }
        removals[node]?.editFailures += 1
        removals[node]?.editRetries = true
        let failures = removals[node]?.editFailures ?? 1
        let delay = min(Interval.milliseconds(250) * Double(1 << min(failures, 8)), .seconds(30))
        timers.set(.removal(node), at: now + delay)
    }

    /// The first step of a node is durable, or was refused: its decision may be settled.
    mutating func started(_ node: String) {
        for ticket in starting.keys.sorted() {
            guard starting[ticket]?.remove(node) != nil, starting[ticket]?.isEmpty == true else { continue }
            settle(ticket)
        }
    }

    /// The record says where the removal is now: the act of that phase. Also after a restart, so each act is
    /// harmless when repeated.
    mutating func entered(_ node: String, after transition: RemovalTransition? = nil) {
        guard let removal = removals[node] else { return }
        let record = removal.record
        // Within a phase: what the phase announces was announced.
        if case .draining = transition, record.phase != .quiesced { return }
        if case .taken = transition, record.phase != .quiesced {
            // A deadline that passed while this was written was not looked at.
            return timers.set(.removal(node), at: record.deadline)
        }
        switch record.phase {
        case .cordoned:
            emit(
                .publish(
                    .removalCordoned(
                        RemovalCordoned(
                            cluster: policy.cluster,
                            removal: record.progress(node: node, deadline: record.deadline, at: now)))))
            timers.set(.removal(node), at: record.deadline)
        case .noticed where isHurried(removal):
            // No cooldown: the machine goes while we speak. What can be evicted may still end in order.
            request(
                node,
                .quiesced(
                    Explanation(.externalScaleIn, "nothing holds the machine"), deadline: drainDeadline(removal)))
        case .noticed:
            timers.set(.removal(node), at: record.deadline)
        case .quiesced:
            readPods(node)
        case .drained:
            emit(
                .publish(
                    .removalDrained(
                        RemovalDrained(cluster: policy.cluster, removal: record.progress(node: node, at: now)))))
            timers.set(.removal(node), at: record.deadline)
            // (One that is adopted was drained by another process, nobody knows when.)
            if transition != nil { removals[node]?.emptyAt = now }
            returnSurges(node)
            readGroup(record.group)
        case .removing:
            // (Of a machine that never became a Node only the end is told.)
            if !removal.isMachine {
                emit(
                    .publish(
                        .removalCommitted(
                            RemovalCommitted(cluster: policy.cluster, removal: record.progress(node: node, at: now)))))
            }
            removalIsWritten(node)
            // (Where pods went with the machine, or the first try failed.)
            returnSurges(node)
            // Left to Heat: the next reading lets it go.
            if record.change == nil { readGroup(record.group) }
        case .removed:
            emit(
                .publish(
                    .removalCompleted(
                        RemovalCompleted(
                            cluster: policy.cluster,
                            removal: record.progress(
                                node: node, reason: record.lost ?? record.reason, pods: lostPods(removal), at: now)))))
            machineEnded(node)
            returnSurges(node)
            deleteNode(node)
        case .cancelled, .failed:
            returnSurges(node)
            emit(
                .publish(
                    .removalFailed(
                        RemovalFailed(cluster: policy.cluster, removal: record.progress(node: node, at: now)))))
            removalIsWritten(node)
            machineEnded(node)
            if record.outcome?.reason == .wrongMemberRemoved, let outcome = record.outcome {
                pauseGroup(record.group, outcome)
            }
            release(node)
            replaceLeft(removal)
            if removal.nodeIsGone {
                removals[node] = nil
                if record.outcome?.reason == .wrongMemberRemoved { keepIncident(of: record.group) }
            } else {
                timers.set(.removal(node), at: record.since + policy.retention)
            }
        }
    }

    /// The timer of a removal: a step to try again, a deadline, pods to look at, or a record to take away.
    mutating func removalIsDue(_ node: String) {
        guard let removal = removals[node] else { return }
        if let edit = removal.editing {
            guard removal.editRetries else { return }
            removals[node]?.editRetries = false
            emit(.editNode(edit))
            return
        }
        let record = removal.record
        switch record.phase {
        // Looked at again: its deletion may fail, or be refused.
        case .cordoned where now >= record.deadline && cannotReturn(removal):
            timers.set(.removal(node), at: now + policy.resync)
        case .cordoned where now >= record.deadline:
            // Untold pods are never evicted.
            fail(
                node,
                Explanation(.cooldownExpired, "no Notifier said in time that the pods were told: is one running?"))
        case .noticed where now >= record.deadline:
            let why = Explanation(.cooldownExpired, "the Notifier did not say that the cooldown is over")
            request(node, .quiesced(why, deadline: drainDeadline(removal)))
        case .quiesced: readPods(node)
        // What others took goes on until its machine is gone, or is given up (`followUnlisted`).
        case .drained where now >= record.deadline && record.isExternal && removal.unsettledSince != nil:
            timers.set(.removal(node), at: now + policy.resync)
        case .drained where now >= record.deadline && !isInChange(node):
            let failure = groups[record.group]?.failure?.explanation
            fail(
                node,
                failure ?? Explanation(.stackInProgress, "the stack took no change for \(policy.heatTimeout)"))
        case .removed: deleteNode(node)
        case .cancelled, .failed: forget(node)
        case .removing: break
        default: timers.set(.removal(node), at: record.deadline)
        }
    }

    /// Takes the record of a removal that is over from the Node, unless it still says something: an incident, or a
    /// machine that stays cordoned.
    private mutating func forget(_ node: String) {
        guard let removal = removals[node], removal.record.outcome?.reason != .wrongMemberRemoved,
            nodes[node]?.hasTaint != true
        else { return }
        if removal.record.drain?.surges.isEmpty == false {
            // Replicas are still to be put back.
            returnSurges(node)
            return timers.set(.removal(node), at: now + policy.resync)
        }
        guard now >= removal.record.since + policy.retention else {
            return timers.set(.removal(node), at: removal.record.since + policy.retention)
        }
        if tidying[node] != nil { return timers.set(.removal(node), at: now + policy.pollInterval) }
        let edit = NodeEdit(node: node, uid: removal.uid, kind: .forget(id: removal.record.id))
        removals[node]?.editing = edit
        emit(.editNode(edit))
    }

    mutating func fail(_ node: String, _ why: Explanation, stayCordoned: Bool = false) {
        note(.warning, node, why.reason, "removal failed: \(why.detail)")
        request(node, .failed(why, stayCordoned: stayCordoned))
    }

    /// Names of nodes of a group that are drained and wait for the stack.
    func drained(in group: String) -> [String] {
        var names: [String] = []
        for (name, removal) in removals where removal.record.phase == .drained && removal.record.group == group {
            names.append(name)
        }
        return names.sorted()
    }

    /// Whether there are any.
    func hasDrained(in group: String) -> Bool {
        removals.values.contains { $0.record.phase == .drained && $0.record.group == group }
    }

    func isInChange(_ node: String) -> Bool {
        changes.values.contains {
            if case .removal(let nodes) = $0.kind { nodes.contains(node) } else { false }
        }
    }

    // MARK: The Node object

    private mutating func deleteNode(_ node: String) {
        guard let removal = removals[node] else { return }
        if removal.nodeIsGone {
            removals[node] = nil
            timers.cancel(.removal(node))
            return
        }
        guard !removal.isDeleting else { return }
        removals[node]?.isDeleting = true
        emit(.deleteNode(node: node, uid: removal.uid))
    }

    mutating func nodeDeleted(_ node: String, _ failure: ActFailure?) {
        guard let removal = removals[node], removal.isDeleting else { return }
        removals[node]?.isDeleting = false
        guard let failure else {
            removals[node] = nil
            nodes[node] = nil
            nodesDeleted.insert(removal.uid)
            return timers.cancel(.removal(node))
        }
        note(.warning, node, failure.reason, failure.detail)
        timers.set(.removal(node), at: now + (failure.isRetriable ? policy.pollInterval : policy.resync))
    }
}
