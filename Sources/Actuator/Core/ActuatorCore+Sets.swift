import Messages
import Support

/// StatefulSets: their pods go one by one, and the next goes when the others are ready, wherever they run. A budget says that
/// better; without one, two of three members of a quorum would be away at once, since the first one's object is gone long
/// before its successor serves.
///
/// Waited for until half of the drain's time is over: a set may lack a pod for reasons of its own. Those of higher priority wait
/// for the word on the set as for an eviction; for a set that is short they do not.
extension ActuatorCore {
    /// UIDs of pods that wait for others of their set, and of those that hold up pods of higher priority meanwhile; asks for the
    /// set where it is time. Those that are on their way out, or that may not be asked for again yet, are no concern of this.
    /// - Parameters:
    ///   - waiting: those that wait for something else.
    ///   - movingElsewhere: sets of which a pod is on its way from another node.
    mutating func heldForTheirSet(
        _ node: String, _ pods: [NodePod], waiting: Set<String>, movingElsewhere: Set<String>
    ) -> (held: Set<String>, holdingUp: Set<String>) {
        guard let removal = removals[node] else { return ([], []) }
        let left = removal.drain.remaining(of: pods, at: now, policy).filter {
            $0.ownerKind == "StatefulSet" && !$0.ownerUID.isEmpty
        }
        removals[node]?.sets = removal.sets.filter { set in left.contains { $0.ownerUID == set.key } }
        let isOver = now >= orderEnd(removal.record)
        var held: Set<String> = []
        var holdingUp: Set<String> = []
        for (set, members) in Dictionary(grouping: left, by: \.ownerUID).sorted(by: { $0.key < $1.key }) {
            let state = removal.sets[set]
            if isOver {
                if case .short(let why, _, _) = state {
                    note(.warning, node, why.reason, "\(why.detail); half of the drain's time is over: it goes on")
                    removals[node]?.sets[set] = .settled
                }
                continue
            }
            let due = members.filter { removal.drain.isDue($0.uid, at: now) && !removal.drain.isMoving($0) }
            let first = due.filter { !waiting.contains($0.uid) }.min(by: DrainPlan.precedes)
            var since: Timestamp?
            switch state {
            case .ready:
                // For one pod; the next one is asked for anew.
                removals[node]?.sets[set] = nil
                continue
            case .settled: continue
            case .asking(_, let begun): since = begun
            case .short(_, let at, let begun) where now - at < policy.evictionRetry: since = begun
            case .short, nil:
                // One of it is on its way: nothing to ask before that is over.
                guard !movingElsewhere.contains(set), !members.contains(where: removal.drain.isMoving), let first
                else { break }
                if case .short(_, _, let begun) = state { since = begun } else { since = now }
                removals[node]?.sets[set] = .asking(podUID: first.uid, since: since)
                emit(.readWorkload(node: node, first))
            }
            held.formUnion(due.map(\.uid))
            if let since, let first, removal.drain.isPatient(with: first.uid, since: since, at: now) {
                holdingUp.insert(first.uid)
            }
        }
        return (held, holdingUp)
    }

    /// StatefulSets of these pods of which a pod is on its way from another node.
    func setsMoving(besides node: String, _ pods: [NodePod]) -> Set<String> {
        let sets = Set(pods.filter { $0.ownerKind == "StatefulSet" }.map(\.ownerUID))
        return sets.filter { set in
            movingSets[set]?.contains { $0 != node && isMoving(set, from: $0) } == true
        }
    }

    private func isMoving(_ set: String, from node: String) -> Bool {
        guard let removal = removals[node], removal.record.phase == .quiesced else { return false }
        return removal.drain.movingSets.contains(set)
    }

    /// A node was looked at: sets of which pods were on their way from it before, and of which they are now.
    mutating func noteMovingSets(of node: String, _ before: Set<String>, _ after: Set<String>) {
        for set in after { movingSets[set, default: []].insert(node) }
        for set in before.subtracting(after) {
            movingSets[set]?.remove(node)
            if movingSets[set]?.isEmpty == true { movingSets[set] = nil }
        }
    }

    /// Drops what was noted of nodes that are not drained any more.
    mutating func forgetMovingSets() {
        for (set, nodes) in movingSets {
            let left = nodes.filter { isMoving(set, from: $0) }
            movingSets[set] = left.isEmpty ? nil : left
        }
    }

    private func orderEnd(_ record: RemovalRecord) -> Timestamp {
        record.since + max(record.deadline - record.since, .zero) * 0.5
    }

    /// The answer for a pod of a set. False: it was not asked for by this.
    mutating func setRead(_ node: String, _ podUID: String, _ view: WorkloadView?) -> Bool {
        guard let (set, _) = setAsked(node, podUID) else { return false }
        guard let view, view.isReady, view.readyOthers < view.replicas - 1 else {
            // (One that is not ready itself leaves no gap.)
            removals[node]?.sets[set] = .ready
            readPods(node)
            return true
        }
        let why = Explanation(
            .evictionBlocked,
            "\(view.kind) \(view.namespace)/\(view.name): \(view.readyOthers) of \(view.replicas - 1) other pods are ready"
        )
        if case .short = removals[node]?.sets[set] {} else { note(.debug, node, why.reason, why.detail) }
        removals[node]?.sets[set] = .short(why, at: now, since: nil)
        removals[node]?.drain.waits(podUID, why)
        return true
    }

    /// Who may not look, or asks in vain, goes on as without.
    mutating func setUnread(_ node: String, _ podUID: String, _ failure: ActFailure) -> Bool {
        guard let (set, since) = setAsked(node, podUID) else { return false }
        note(.warning, node, failure.reason, "the StatefulSet of a pod: \(failure.detail)")
        if failure.isRetriable {
            removals[node]?.sets[set] = .short(failure.explanation, at: now, since: since)
        } else {
            removals[node]?.sets[set] = .settled
            readPods(node)
        }
        return true
    }

    private func setAsked(_ node: String, _ podUID: String) -> (set: String, since: Timestamp?)? {
        for (set, state) in removals[node]?.sets ?? [:] {
            if case .asking(let asked, let since) = state, asked == podUID { return (set, since) }
        }
        return nil
    }
}

/// What is known of a StatefulSet with pods on a node that drains. `since`: from then on it holds up pods of higher priority, for
/// as long as one whose eviction is blocked; nil: it holds up nobody.
enum SetState: Sendable, Equatable {
    /// It is being looked for, by way of this pod.
    case asking(podUID: String, since: Timestamp?)
    /// All its other pods are ready: one may go now.
    case ready
    /// They are not, or nobody could say, when that was asked last.
    case short(Explanation, at: Timestamp, since: Timestamp?)
    /// Its pods wait no longer for one another.
    case settled
}
