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
        case .insufficientCPU: "not enough cpu"
        case .insufficientMemory: "not enough memory"
        case .insufficientEphemeralStorage: "not enough ephemeral storage"
        case .insufficientResource: "not enough of a resource"
        case .taintNotTolerated: "a taint is not tolerated"
        case .nodeUnneeded: "is not needed"
        case .notUnderutilized: "is used enough to stay"
        case .notUnneededLongEnough: "could go, but not for long enough yet"
        case .noPlaceToMovePods: "stays: its pods fit nowhere else"
        case .blockedByPod: "stays: a pod may not be moved"
        case .currentlyBeingDeleted: "is under removal"
        case .notAutoscaled: "stays: it belongs to no configured group"
        case .minimumReached: "the group is at its smallest size"
        case .maximumReached: "the group is at its largest size"
        case .groupUnknown: "no group can take it"
        case .notEnoughBudget: "a PodDisruptionBudget allows no more disruptions"
        case .otherGroupChosen: "another group was chosen"
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
