import Messages
import Support

/// Which pods of a node wait until their workload has another ready pod elsewhere.
///
/// What was decided stands in the record (`RemovalRecord.Surge`); this is only what one process needs while it drains.
struct SurgePlan: Sendable {
    enum State: Sendable, Equatable {
        /// Its workload is being looked for.
        case asking
        /// The record is being written.
        case recording
        /// The replica is being added.
        case raising
        /// The new pod is waited for; whether it is being looked at just now.
        case waiting(isReading: Bool)
        /// It may go: there is another one, or there will be none, or it never was the only one.
        case free
        /// The replica is being taken back.
        case lowering
    }

    /// By UID of the pod.
    var states: [String: State] = [:]

    /// UIDs of pods whose workloads are to be put back as soon as it is known what became of the replica more.
    var toReturn: Set<String> = []

    /// UIDs of pods whose workloads were put back, or are somebody else's now: not put back again.
    var returned: Set<String> = []

    /// UIDs of pods that are not to be evicted yet.
    var held: Set<String> {
        Set(states.filter { $0.value != .free && $0.value != .lowering }.keys)
    }
}

/// A change of replicas that is under way for a drain.
struct SurgeAct: Sendable {
    var node: String
    var removal: String
    var surge: RemovalRecord.Surge
    /// One more; else the way back.
    var isRaise: Bool

    /// Of the command: there and back are one each for a pod of a removal.
    var id: String { "\(removal)/\(surge.podUID)/\(isRaise ? "surge" : "back")" }

    /// There again, or back.
    var reversed: SurgeAct {
        var act = self
        act.isRaise.toggle()
        return act
    }
}

extension NodePod {
    /// Whether its owner is one that may briefly have one pod more. A StatefulSet's pods have identities.
    var maySurge: Bool { ownerKind == "ReplicaSet" || ownerKind == "ReplicationController" }
}
