import Messages

extension Explanation {
    /// For a person: the reason in words, and its values.
    public var sentence: String {
        detail.isEmpty ? reason.words : "\(reason.words): \(detail)"
    }
}

extension Reason {
    /// The reason in words.
    public var words: String {
        switch self {
        case .podsPending: "triggers a scale-up"
        case .fitsExisting: "needs no new node"
        case .expendable: "is expendable"
        case .tooYoung: "is younger than the delay"
        case .nominated: "is nominated to a node"
        case .daemonSetPod: "is a DaemonSet's: it comes with a node and causes none"
        case .otherScheduler: "is not waited for"
        case .insufficientCPU: "not enough cpu"
        case .insufficientMemory: "not enough memory"
        case .insufficientEphemeralStorage: "not enough ephemeral storage"
        case .insufficientResource: "not enough of a resource"
        case .tooManyPods: "no more pods fit"
        case .nodeNameMismatch: "the pod names another node"
        case .nodeUnschedulable: "the node is cordoned"
        case .nodeAffinityMismatch: "the node's labels do not match"
        case .taintNotTolerated: "a taint is not tolerated"
        case .podAffinityMismatch: "no pod that it wants to be with is there (pod affinity by)"
        case .podAntiAffinityConflict: "a pod that it has to keep away from is there (pod anti-affinity by)"
        case .topologySpreadConflict: "the pods would be spread too unevenly (topology spread by)"
        case .hostPortConflict: "a host port is taken"
        case .volumeZoneConflict: "its volume cannot be used there"
        case .claimMissing: "its volume claim does not exist"
        case .otherGroupChosen: "would do as well, but"
        case .maximumReached: "the group is at its largest size"
        case .minimumReached: "the group is at its smallest size"
        case .totalNodesReached, .totalCoresReached, .totalMemoryReached, .totalResourceReached:
            "a limit of the cluster is reached"
        case .quotaReached: "a quota is used up"
        case .batchLimitReached: "as many nodes as may come at once are coming"
        case .groupBackedOff: "the group is left alone after a failure"
        case .replacedInVain: "its machines came in vain to replace others"
        case .groupUnhealthy: "too many nodes of the group do not work"
        case .groupPaused: "the group is paused"
        case .groupBusy: "the group is being changed"
        case .groupUnknown: "no group can take it"
        case .noTemplate: "what a node of the group is like is not known"
        case .clusterUnhealthy: "too many nodes of the cluster do not work"
        case .stateStale: "nothing has been heard for too long"
        case .balanced: "takes a share of the nodes"
        case .heldBack: "is not made larger"
        case .nodeUnneeded: "is not needed"
        case .nodeUnready: "has not been ready for too long"
        case .consolidated: "is replaced by fewer or cheaper nodes"
        case .notUnderutilized: "is used enough to stay"
        case .notUnneededLongEnough: "could go, but not for long enough yet"
        case .notUnreadyLongEnough: "is not ready, but not for long enough yet"
        case .scaleDownDisabled: "stays: no nodes are removed (decider.scale_down.enabled)"
        case .scaleDownDisabledAnnotation, .doNotDisrupt: "stays: it is marked so"
        case .scaleDownUnreadyDisabled: "stays: nodes that are not ready are kept (decider.scale_down.unready_enabled)"
        case .scaleDownInCooldown: "could go, but no node goes now"
        case .noPlaceToMovePods: "stays: its pods fit nowhere else"
        case .blockedByPod: "stays: a pod may not be moved"
        case .recentlyUnremovable: "stays: it could not go a moment ago and is looked at again later"
        case .candidateLimitReached: "was not looked at: enough others may go"
        case .waitingForCompletion: "stays until a pod has run to its end"
        case .currentlyBeingDeleted: "is under removal"
        case .notAutoscaled: "stays: it belongs to no configured group"
        case .deletionBudgetReached: "could go, but as many as may go at once are going"
        case .minimalResourceLimitExceeded: "could go, but the cluster would be smaller than it may be"
        case .atomicScaleDownFailed: "stays: all nodes of its group go, or none"
        case .notEnoughBudget: "a PodDisruptionBudget allows no more disruptions"
        default: spelledOut
        }
    }

    /// `TopologySpreadConflict` as `topology spread conflict`.
    private var spelledOut: String {
        var text = ""
        var last: Character?
        for letter in rawValue {
            if letter.isUppercase, let before = last, !before.isUppercase { text.append(" ") }
            text.append(contentsOf: letter.lowercased())
            last = letter
        }
        return text
    }
}
