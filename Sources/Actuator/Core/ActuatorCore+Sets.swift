import Messages
import Support

/// StatefulSets: their pods go one by one, and the next goes when the others are ready, wherever they run. A budget says that
/// better; without one, two of three members of a quorum would be away at once, since the first one's object is gone long
/// before its successor serves.
///
/// Waited for until half of the drain's time is over: a set may lack a pod for reasons of its own.
extension ActuatorCore {
    /// UIDs of pods that wait for others of their set; asks for the set where it is time.
    /// - Parameters:
    ///   - waiting: those that wait for something else.
    ///   - movingElsewhere: sets of which a pod is on its way from another node.
    mutating func heldForTheirSet(
        _ node: String, _ pods: [NodePod], waiting: Set<String>, movingElsewhere: Set<String>
    ) -> Set<String> {
        guard let removal = removals[node] else { return [] }
        let left = pods.filter { $0.isMoved && $0.ownerKind == "StatefulSet" && !$0.ownerUID.isEmpty }
        removals[node]?.sets = removal.sets.filter { set in left.contains { $0.ownerUID == set.key } }
        let isOver = now >= orderEnd(removal.record)
        var held: Set<String> = []
        for (set, members) in Dictionary(grouping: left, by: \.ownerUID).sorted(by: { $0.key < $1.key }) {
            let state = removal.sets[set]
            if isOver {
                if case .short(let why, _) = state {
                    note(.warning, node, why.reason, "\(why.detail); half of the drain's time is over: it goes on")
                    removals[node]?.sets[set] = .settled
                }
                continue
            }
            switch state {
            case .ready:
                // For one pod; the next one is asked for anew.
                removals[node]?.sets[set] = nil
                continue
            case .settled: continue
            case .asking: break
            case .short(_, let at) where now - at < policy.evictionRetry: break
            case .short, nil:
                // One of it is on its way: nothing to ask before that is over.
                guard !movingElsewhere.contains(set), !members.contains(where: removal.drain.isMoving),
                    let next = members.filter({
                        !waiting.contains($0.uid) && removal.drain.isDue($0.uid, at: now)
                    }).min(by: DrainPlan.precedes)
                else { break }
                removals[node]?.sets[set] = .asking(podUID: next.uid)
                emit(.readWorkload(node: node, next))
            }
            held.formUnion(members.map(\.uid))
        }
        return held
    }

    private func orderEnd(_ record: RemovalRecord) -> Timestamp {
        record.since + max(record.deadline - record.since, .zero) * 0.5
    }

    /// The answer for a pod of a set. False: it was not asked for by this.
    mutating func setRead(_ node: String, _ podUID: String, _ view: WorkloadView?) -> Bool {
        guard let set = setAsked(node, podUID) else { return false }
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
        removals[node]?.sets[set] = .short(why, at: now)
        removals[node]?.drain.waits(podUID, why)
        return true
    }

    /// Who may not look, or asks in vain, goes on as without.
    mutating func setUnread(_ node: String, _ podUID: String, _ failure: ActFailure) -> Bool {
        guard let set = setAsked(node, podUID) else { return false }
        note(.warning, node, failure.reason, "the StatefulSet of a pod: \(failure.detail)")
        if failure.isRetriable {
            removals[node]?.sets[set] = .short(failure.explanation, at: now)
        } else {
            removals[node]?.sets[set] = .settled
            readPods(node)
        }
        return true
    }

    private func setAsked(_ node: String, _ podUID: String) -> String? {
        removals[node]?.sets.first { $0.value == .asking(podUID: podUID) }?.key
    }
}

/// What is known of a StatefulSet with pods on a node that drains.
enum SetState: Sendable, Equatable {
    /// It is being looked for, by way of this pod.
    case asking(podUID: String)
    /// All its other pods are ready: one may go now.
    case ready
    /// They are not, or nobody could say, when that was asked last.
    case short(Explanation, at: Timestamp)
    /// Its pods wait no longer for one another.
    case settled
}
