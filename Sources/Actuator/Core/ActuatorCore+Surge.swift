import Messages
import Support

/// One replica more before the only pod of a workload is evicted, and the way back.
///
/// The record on the Node says what was raised before it is raised. It is put back as soon as the pod is on its way out,
/// by whoever has the removal then, also when the removal was cancelled or failed, and only while the number of replicas
/// is still the one that we set.
extension ActuatorCore {
    /// Looks at the pods of a draining node: whose workload to ask for, whose new pod to wait for, what to put back.
    mutating func surge(_ node: String, _ pods: [NodePod]) {
        guard let removal = removals[node] else { return }
        let recorded = removal.record.drain?.surges ?? []
        guard policy.surgeTimeout != nil || !recorded.isEmpty else { return }
        let present = Dictionary(pods.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
        for entry in recorded {
            guard let pod = present[entry.podUID], pod.deletedAt == nil else {
                returnSurge(node, entry.podUID)
                continue
            }
            switch removal.surges.states[entry.podUID] {
            case nil, .asking, .recording: raise(node, entry)
            case .waiting(isReading: false):
                // (One that an earlier removal left raised waits from this drain on.)
                if let timeout = policy.surgeTimeout, now - max(entry.since, removal.record.since) < timeout {
                    removals[node]?.surges.states[entry.podUID] = .waiting(isReading: true)
                    emit(.readWorkload(node: node, pod))
                } else {
                    note(
                        .warning, node, .surged,
                        "\(entry.kind) \(entry.namespace)/\(entry.name): the pod more was not ready within "
                            + "\(policy.surgeTimeout ?? .zero); its only pod is evicted all the same")
                    removals[node]?.surges.states[entry.podUID] = .free
                }
            default: break
            }
        }
        guard policy.surgeTimeout != nil, removal.editing == nil else { return }
        let isKnown = Set(recorded.map(\.podUID))
        for pod in pods where pod.isMoved && pod.maySurge && pod.deletedAt == nil && !isKnown.contains(pod.uid) {
            guard removal.surges.states[pod.uid] == nil else { continue }
            removals[node]?.surges.states[pod.uid] = .asking
            emit(.readWorkload(node: node, pod))
        }
    }

    mutating func workloadRead(_ node: String, _ podUID: String, _ view: WorkloadView?) {
        guard let removal = removals[node], removal.record.phase == .quiesced, !setRead(node, podUID, view) else {
            return
        }
        switch removal.surges.states[podUID] {
        case .asking:
            guard let view, view.replicas == 1, view.readyElsewhere == 0 else {
                removals[node]?.surges.states[podUID] = .free
                return
            }
            var drain = removal.record.drain ?? RemovalRecord.Drain()
            // Several only pods at once: each is written after the one before, with all that stands there by then.
            guard removal.editing == nil else {
                removals[node]?.surges.states[podUID] = nil
                return
            }
            drain.surges.append(
                RemovalRecord.Surge(
                    apiVersion: view.apiVersion, kind: view.kind, namespace: view.namespace, name: view.name,
                    from: view.replicas, to: view.replicas + 1, podUID: podUID, since: now))
            removals[node]?.surges.states[podUID] = .recording
            note(.info, node, .surged, "\(view.kind) \(view.namespace)/\(view.name) gets a second replica")
            request(node, .draining(drain, deadline: nil))
        case .waiting:
            let isReady = (view?.readyElsewhere ?? 0) > 0
            removals[node]?.surges.states[podUID] = isReady ? .free : .waiting(isReading: false)
            if isReady { readPods(node) }
        default: return
        }
    }

    mutating func workloadUnread(_ node: String, _ podUID: String, _ failure: ActFailure) {
        guard !setUnread(node, podUID, failure), let state = removals[node]?.surges.states[podUID] else { return }
        note(.warning, node, failure.reason, "the workload of a pod: \(failure.detail)")
        switch state {
        // Once more with the next look at the pods; for good: without.
        case .asking: removals[node]?.surges.states[podUID] = failure.isRetriable ? nil : .free
        case .waiting: removals[node]?.surges.states[podUID] = .waiting(isReading: false)
        default: return
        }
    }

    private mutating func raise(_ node: String, _ entry: RemovalRecord.Surge) {
        guard act(node, entry, isRaise: true) else { return }
        removals[node]?.surges.states[entry.podUID] = .raising
    }

    /// The pod is on its way out: its workload goes back to what it had.
    mutating func returnSurge(_ node: String, _ podUID: String) {
        guard let removal = removals[node] else { return }
        if let entry = removal.record.drain?.surges.first(where: { $0.podUID == podUID }) {
            let raise = SurgeAct(node: node, removal: removal.record.id, surge: entry, isRaise: true)
            if surgeActs[raise.id] != nil {
                // The way back would find the number that it had, and be over; then the other would raise it, for ever.
                removals[node]?.surges.toReturn.insert(podUID)
                return
            }
            guard act(node, entry, isRaise: false) else { return }
            removals[node]?.surges.states[podUID] = .lowering
        } else {
            removals[node]?.surges.states[podUID] = nil
        }
    }

    /// All that is still raised goes back.
    mutating func returnSurges(_ node: String) {
        guard let removal = removals[node] else { return }
        for entry in removal.record.drain?.surges ?? [] where !removal.surges.returned.contains(entry.podUID) {
            returnSurge(node, entry.podUID)
        }
    }

    /// False: such a change is under way already.
    private mutating func act(_ node: String, _ entry: RemovalRecord.Surge, isRaise: Bool) -> Bool {
        guard let record = removals[node]?.record else { return false }
        let act = SurgeAct(node: node, removal: record.id, surge: entry, isRaise: isRaise)
        guard surgeActs[act.id] == nil, surgeActs[act.reversed.id] == nil else { return false }
        send(act)
        return true
    }

    private mutating func send(_ act: SurgeAct) {
        let id = act.id
        surgeActs[id] = act
        let (entry, isRaise) = (act.surge, act.isRaise)
        emit(
            .scaleWorkload(
                PodsDecided(
                    cluster: policy.cluster, id: id, apiVersion: entry.apiVersion, kind: entry.kind,
                    namespace: entry.namespace, name: entry.name, from: isRaise ? entry.from : entry.to,
                    to: isRaise ? entry.to : entry.from, reason: Explanation(.surged, "removal \(act.removal)"),
                    decidedAt: now, deadline: now + policy.drainTimeout)))
    }

    /// The way back that failed after its Node was gone, again.
    mutating func surgeIsLeft(_ id: String) {
        guard let act = surgesLeft.removeValue(forKey: id), surgeActs[id] == nil else { return }
        send(act)
    }

    /// The replica was added, or may have been, and no record tells of it any more: only this process knows.
    private mutating func lowerUnrecorded(_ raise: SurgeAct) {
        let back = raise.reversed
        guard surgeActs[back.id] == nil, surgesLeft[back.id] == nil else { return }
        send(back)
    }

    private mutating func tryAgain(_ back: SurgeAct, _ failure: ActFailure) {
        note(.warning, back.node, failure.reason, "\(back.surge.namespace)/\(back.surge.name): \(failure.detail)")
        surgesLeft[back.id] = back
        timers.set(.surge(back.id), at: now + .seconds(5))
    }

    mutating func surgeAnswered(_ act: SurgeAct, _ outcome: WorkloadOutcome) {
        guard let removal = removals[act.node], removal.record.id == act.removal else {
            // The Node is gone, and the record with it; only this process knows what is still raised.
            switch outcome {
            case .failed(let failure) where failure.isRetriable && !act.isRaise: return tryAgain(act, failure)
            case .failed(let failure) where !failure.isRetriable: return
            case .stale: return
            case .done, .already, .failed:
                // (A later removal of the node may owe it.)
                if act.isRaise, !owes(act.node, act.surge.podUID) { lowerUnrecorded(act) }
                return
            }
        }
        let uid = act.surge.podUID
        let name = "\(act.surge.kind) \(act.surge.namespace)/\(act.surge.name)"
        let isOwed = owes(act.node, uid)
        let wasToReturn = removals[act.node]?.surges.toReturn.remove(uid) != nil && act.isRaise
        switch (outcome, act.isRaise) {
        case (.done, true) where !isOwed: lowerUnrecorded(act)
        case (.done, true) where wasToReturn, (.already, true) where wasToReturn: returnSurge(act.node, uid)
        case (.failed(let failure), true) where failure.isRetriable && wasToReturn:
            // What failed may have been carried out all the same.
            note(.warning, act.node, failure.reason, "\(name): \(failure.detail)")
            returnSurge(act.node, uid)
        case (.done, true), (.already, true): removals[act.node]?.surges.states[uid] = .waiting(isReading: false)
        case (.failed(let failure), true) where failure.isRetriable:
            note(.warning, act.node, failure.reason, "\(name): \(failure.detail)")
            removals[act.node]?.surges.states[uid] = nil
        case (.failed(let failure), false) where failure.isRetriable && !isOwed: tryAgain(act, failure)
        case (.failed(let failure), false) where failure.isRetriable:
            note(.warning, act.node, failure.reason, "\(name) back to \(act.surge.from): \(failure.detail)")
            // Tried again with the next look at the pods, or while the record is kept.
            if removal.record.phase.isOver { timers.set(.removal(act.node), at: now + policy.pollInterval) }
        case (.failed(let failure), _):
            note(.error, act.node, failure.reason, "\(name): \(failure.detail)")
            dropSurge(act.node, uid)
        case (.stale(let found), _):
            note(.info, act.node, .surged, "\(name) has \(found) replicas, set by somebody else: left alone")
            dropSurge(act.node, uid)
        case (.done, false), (.already, false): dropSurge(act.node, uid)
        }
    }

    /// Whether the record of the node's removal says that replicas are raised for this pod.
    private func owes(_ node: String, _ podUID: String) -> Bool {
        removals[node]?.record.drain?.surges.contains { $0.podUID == podUID } == true
    }

    /// Nothing is left to be put back for this pod.
    private mutating func dropSurge(_ node: String, _ podUID: String) {
        guard let removal = removals[node] else { return }
        removals[node]?.surges.states[podUID] = .free
        removals[node]?.surges.returned.insert(podUID)
        var drain = removal.record.drain ?? RemovalRecord.Drain()
        guard drain.surges.contains(where: { $0.podUID == podUID }) else { return }
        guard removal.editing == nil else {
            // Another step is being written. It is found again, and then nothing is left to do: the number is back.
            return
        }
        drain.surges.removeAll { $0.podUID == podUID }
        request(node, .draining(drain, deadline: nil))
    }
}
