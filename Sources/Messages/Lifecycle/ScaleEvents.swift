import Support

/// What became of a `ScaleDecided`: the fields that its four outcomes share.
public struct ScaleProgress: Sendable, Hashable, Codable {
    /// The decision.
    public var id: String
    /// The node group.
    public var group: String
    /// Size before.
    public var from: Int
    /// Size wanted.
    public var to: Int
    /// Size as read back from Heat, where that was done.
    public var size: Int?
    /// Why it was decided, or why it was refused or failed.
    public var reason: Explanation
    /// When.
    public var at: Timestamp

    /// From its parts.
    public init(
        id: String, group: String, from: Int, to: Int, size: Int? = nil, reason: Explanation, at: Timestamp
    ) {
        self.id = id
        self.group = group
        self.from = from
        self.to = to
        self.size = size
        self.reason = reason
        self.at = at
    }
}

/// Heat accepted the change.
public struct ScaleStarted: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.scaleStarted

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var scale: ScaleProgress

    /// From its parts.
    public init(cluster: String, scale: ScaleProgress) {
        self.cluster = cluster
        self.scale = scale
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(scale.id, "scale.id")
        try Check.identifier(scale.group, "scale.group")
    }
}

/// The group has the size, read back.
public struct ScaleCompleted: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.scaleCompleted

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var scale: ScaleProgress

    /// From its parts.
    public init(cluster: String, scale: ScaleProgress) {
        self.cluster = cluster
        self.scale = scale
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(scale.id, "scale.id")
        try Check.identifier(scale.group, "scale.group")
    }
}

/// Heat accepted the change and it failed; the group may be of any size.
public struct ScaleFailed: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.scaleFailed

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var scale: ScaleProgress

    /// From its parts.
    public init(cluster: String, scale: ScaleProgress) {
        self.cluster = cluster
        self.scale = scale
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(scale.id, "scale.id")
        try Check.identifier(scale.group, "scale.group")
    }
}

/// Nothing was changed, and why.
public struct ScaleRefused: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.scaleRefused

    /// The cluster.
    public var cluster: String
    /// What happened.
    public var scale: ScaleProgress

    /// From its parts.
    public init(cluster: String, scale: ScaleProgress) {
        self.cluster = cluster
        self.scale = scale
    }

    /// Ids must be there.
    public func validate() throws(MessageError) {
        try Check.identifier(scale.id, "scale.id")
        try Check.identifier(scale.group, "scale.group")
    }
}
