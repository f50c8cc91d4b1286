import Support

/// To an application: the node beneath your pod goes. Stop taking traffic, persist, answer.
public struct PodShutdown: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.podShutdown

    /// The cluster.
    public var cluster: String
    /// The removal.
    public var removal: String
    /// Namespace of the pod.
    public var namespace: String
    /// Its name.
    public var pod: String
    /// Its UID.
    public var podUID: String
    /// Labels of the pod, so that a subscriber can tell whether it is meant.
    public var labels: [String: String]
    /// The node that goes.
    public var node: String
    /// Why.
    public var reason: Explanation
    /// The pod is evicted after this, or once all have answered.
    public var deadline: Timestamp
    /// Where to POST the answer; nil when the Notifier offers none.
    public var answerURL: String?
    /// To be given with the answer. Valid for this pod and removal only.
    public var token: String
    /// True when the earlier notice is withdrawn: the node stays.
    public var withdrawn: Bool

    /// From its parts.
    public init(
        cluster: String, removal: String, namespace: String, pod: String, podUID: String,
        labels: [String: String] = [:], node: String, reason: Explanation, deadline: Timestamp,
        answerURL: String? = nil, token: String, withdrawn: Bool = false
    ) {
        self.cluster = cluster
        self.removal = removal
        self.namespace = namespace
        self.pod = pod
        self.podUID = podUID
        self.labels = labels
        self.node = node
        self.reason = reason
        self.deadline = deadline
        self.answerURL = answerURL
        self.token = token
        self.withdrawn = withdrawn
    }
}

/// To whom it may concern: a node goes (or stays after all).
public struct NodeRemoval: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.nodeRemoval

    /// The cluster.
    public var cluster: String
    /// The removal.
    public var removal: String
    /// The node.
    public var node: String
    /// UUID of its server.
    public var serverID: String
    /// Why.
    public var reason: Explanation
    /// When the cooldown ends at the latest.
    public var deadline: Timestamp
    /// How many pods were told.
    public var pods: Int
    /// True when the node stays after all.
    public var withdrawn: Bool

    /// From its parts.
    public init(
        cluster: String, removal: String, node: String, serverID: String, reason: Explanation, deadline: Timestamp,
        pods: Int, withdrawn: Bool = false
    ) {
        self.cluster = cluster
        self.removal = removal
        self.node = node
        self.serverID = serverID
        self.reason = reason
        self.deadline = deadline
        self.pods = pods
        self.withdrawn = withdrawn
    }
}

/// An application's answer: the fields that the three kinds share.
public struct Answer: Sendable, Hashable, Codable {
    /// The removal, from the notice.
    public var removal: String
    /// UID of the pod.
    public var podUID: String
    /// The notice's token.
    public var token: String
    /// For a person; optional.
    public var message: String?

    /// From its parts.
    public init(removal: String, podUID: String, token: String, message: String? = nil) {
        self.removal = removal
        self.podUID = podUID
        self.token = token
        self.message = message
    }

    func validate() throws(MessageError) {
        try Check.identifier(removal, "answer.removal")
        try Check.identifier(podUID, "answer.podUID")
        try Check.identifier(token, "answer.token")
    }
}

/// The pod is ready to go.
public struct PodShutdownDone: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.podShutdownDone

    /// The cluster.
    public var cluster: String
    /// Whose answer.
    public var answer: Answer

    /// From its parts.
    public init(cluster: String, answer: Answer) {
        self.cluster = cluster
        self.answer = answer
    }

    /// Ids and token must be there.
    public func validate() throws(MessageError) {
        try answer.validate()
    }
}

/// The pod needs more time.
public struct PodShutdownExtend: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.podShutdownExtend

    /// The cluster.
    public var cluster: String
    /// Whose answer.
    public var answer: Answer
    /// How much more from now, in seconds; policy clamps it.
    public var seconds: Double

    /// From its parts.
    public init(cluster: String, answer: Answer, seconds: Double) {
        self.cluster = cluster
        self.answer = answer
        self.seconds = seconds
    }

    /// Ids and token must be there; between nothing and a week.
    public func validate() throws(MessageError) {
        try answer.validate()
        try Check.range(seconds, 0...604_800, "seconds")
    }
}

/// The pod asks that its node stay; policy says whether it may.
public struct PodShutdownRefuse: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.podShutdownRefuse

    /// The cluster.
    public var cluster: String
    /// Whose answer.
    public var answer: Answer

    /// From its parts.
    public init(cluster: String, answer: Answer) {
        self.cluster = cluster
        self.answer = answer
    }

    /// Ids and token must be there.
    public func validate() throws(MessageError) {
        try answer.validate()
    }
}
