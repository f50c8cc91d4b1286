import Support

/// Somebody outside (an alarm, a person) asks for a few nodes more or less, instead of signalling Heat's policy. The
/// Decider takes it through all of its guards: what it cannot do gracefully it refuses, and the ledger says so.
public struct ScaleRequested: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.scaleRequested

    /// Which way.
    public enum Direction: String, Sendable, Hashable, Codable, CaseIterable {
        case up, down
    }

    /// The largest step that is taken.
    public static let maximumStep = 100

    /// The cluster.
    public var cluster: String
    /// Unique; the request is considered at most once per id.
    public var id: String
    /// The node group.
    public var group: String
    /// Which way.
    public var direction: Direction
    /// How many nodes, 1…100.
    public var step: Int
    /// Who asks, e.g. `alarm group cpu (c9a72278-…)`.
    public var who: String
    /// Why, in its words.
    public var why: String
    /// When it was asked.
    public var at: Timestamp
    /// Forget it after this.
    public var deadline: Timestamp

    /// From its parts.
    public init(
        cluster: String, id: String, group: String, direction: Direction, step: Int, who: String, why: String = "",
        at: Timestamp, deadline: Timestamp
    ) {
        self.cluster = cluster
        self.id = id
        self.group = group
        self.direction = direction
        self.step = step
        self.who = who
        self.why = why
        self.at = at
        self.deadline = deadline
    }

    /// Ids present, the step sane.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
        try Check.identifier(group, "group")
        try Check.range(step, 1...ScaleRequested.maximumStep, "step")
    }
}
