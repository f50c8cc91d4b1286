import Messages
import Support

/// A way by which a pod is told.
public enum NoticeChannel: String, Sendable, CaseIterable, Comparable {
    /// Annotations on the pod: removal, deadline, token.
    case annotation
    /// Condition of its readiness gate: it leaves its Services.
    case gate
    /// POST to the hook that it declares.
    case hook
    /// Message on the bus.
    case bus
    /// Kubernetes Event.
    case event

    /// Annotation and gate go first: who is called finds them in place.
    public static func < (left: NoticeChannel, right: NoticeChannel) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .annotation: 0
        case .gate: 1
        case .hook: 2
        case .bus: 3
        case .event: 4
        }
    }

    /// Without an end to its tries while the cooldown runs: state of the cluster, not a message.
    var isState: Bool { self == .annotation || self == .gate }
}

/// What a pod is told, or that it may stay after all.
public struct Notice: Sendable, Equatable {
    /// The removal.
    public var removal: String
    /// The node that goes.
    public var node: String
    /// UUID of its server.
    public var serverID: String
    /// The pod.
    public var pod: NodePod
    /// Why.
    public var reason: Explanation
    /// Until when it may take.
    public var deadline: Timestamp
    /// The earlier notice is withdrawn: the node stays.
    public var withdrawn: Bool
    /// The pod was told a later deadline before.
    public var isShortened: Bool
    /// Outcomes so far, for the annotation that records them.
    public var outcomes: [NoticeChannel: String]
    /// What the pod answered, for the same annotation.
    public var answer: AnswerWord?
    /// The message by which the bus brought an answer last, for the same annotation.
    public var answerID: String?

    /// From its parts.
    public init(
        removal: String, node: String, serverID: String, pod: NodePod, reason: Explanation, deadline: Timestamp,
        withdrawn: Bool = false, isShortened: Bool = false, outcomes: [NoticeChannel: String] = [:],
        answer: AnswerWord? = nil, answerID: String? = nil
    ) {
        self.removal = removal
        self.node = node
        self.serverID = serverID
        self.pod = pod
        self.reason = reason
        self.deadline = deadline
        self.withdrawn = withdrawn
        self.isShortened = isShortened
        self.outcomes = outcomes
        self.answer = answer
        self.answerID = answerID
    }
}

extension Notice {
    /// The pod was told in some way before.
    public var wasReached: Bool { outcomes.values.contains("told") }

    /// A call that could start within this is made however short the pod's time is.
    static let promptly = Interval.seconds(2)

    /// Whether a call of the pod's hook that has waited for its turn since `asked` is of no use any more: the pod's time is
    /// over, and at its address there may be another pod soon.
    func isTooLate(asked: Timestamp, now: Timestamp) -> Bool {
        !withdrawn && wasReached && now > max(deadline, asked + Notice.promptly)
    }
}

/// Which delivery a result belongs to.
public struct DeliveryID: Sendable, Hashable {
    /// The pod.
    public var podUID: String
    /// The way.
    public var channel: NoticeChannel
    /// Notice and withdrawal of one pod differ by this.
    public var generation: Int

    /// From its parts.
    public init(podUID: String, channel: NoticeChannel, generation: Int) {
        self.podUID = podUID
        self.channel = channel
        self.generation = generation
    }
}

/// What became of a delivery.
public enum DeliveryOutcome: Sendable, Equatable {
    /// It arrived; `answer`: what the hook replied.
    case delivered(answer: AnswerWord?)
    /// It arrived, and the reply looks like an answer but is none.
    case garbled(String)
    /// The pod is not there any more.
    case gone
    /// It was not made: when it was its turn, the pod's time was over.
    case expired
    /// It failed; `isRetriable`: another try may help.
    case failed(String, isRetriable: Bool)
}

/// What a pod may say.
public enum AnswerWord: Sendable, Hashable {
    /// It is ready to go.
    case done
    /// It needs this much longer from now.
    case extend(Interval)
    /// It asks that the node stay.
    case refuse

    /// As in the annotation `updraft.io/shutdown-answer`.
    public var text: String {
        switch self {
        case .done: "done"
        case .extend(let interval): "extend=\(Int64(interval.inSeconds.rounded(.up)))"
        case .refuse: "refuse"
        }
    }

    /// Reads `done`, `refuse`, `extend=30` (seconds, at most a week); nil for anything else.
    public init?(_ text: String) {
        switch text {
        case "done": self = .done
        case "refuse": self = .refuse
        default:
            guard text.hasPrefix("extend="), let seconds = Double(text.dropFirst(7)) else { return nil }
            self.init(extendBy: seconds)
        }
    }

    /// From the fields of an answer in JSON: `done`, `extend` with `seconds`, `refuse`; nil for anything else.
    public init?(_ word: String, seconds: Double?) {
        switch word {
        case "done": self = .done
        case "refuse": self = .refuse
        case "extend":
            guard let seconds else { return nil }
            self.init(extendBy: seconds)
        default: return nil
        }
    }

    private init?(extendBy seconds: Double) {
        guard (0...604_800).contains(seconds) else { return nil }
        self = .extend(.seconds(seconds))
    }
}

/// By which way an answer came.
public enum AnswerSource: String, Sendable, CaseIterable {
    case hook, http, bus, annotation
}

/// What an answer did.
public enum AnswerVerdict: String, Sendable, CaseIterable {
    /// It counts.
    case accepted
    /// It asked for more than policy grants; it got what there is.
    case clamped
    /// Policy does not let a pod refuse.
    case notAllowed = "not_allowed"
    /// It refused, and somebody else takes the machine away: nobody here can keep it.
    case irrevocable
    /// The pod answered before, or the cooldown is over.
    case late
    /// The same as before.
    case duplicate
    /// No such removal, or the pod was not told of it.
    case unknown
    /// The token is not the notice's.
    case forged
    /// Neither `done` nor `refuse` nor `extend` with a number of seconds.
    case unreadable
}
