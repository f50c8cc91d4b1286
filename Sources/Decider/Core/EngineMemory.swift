import Messages
import Support

/// What a Decider must not forget: it is the checkpoint. Everything else comes back with the next snapshot.
struct EngineMemory: Sendable, Codable, Equatable {
    /// The form; a newer one is refused.
    static let currentVersion = 1

    var version = EngineMemory.currentVersion
    var cluster: String
    /// Number of the last evaluation.
    var number: Int64 = 0
    var groups: [String: GroupMemory] = [:]
    /// Since when a node is unneeded, by its UID (its name when it has none).
    var unneededSince: [String: Timestamp] = [:]
    /// When any group was last made larger.
    var grewAt: Timestamp?
    /// When the last removal began.
    var removedAt: Timestamp?
    /// When a removal last failed.
    var removalFailedAt: Timestamp?
    /// Nodes whose removal ended over their own pods, and when, by name; nil: none.
    var unwilling: [String: Timestamp]?
    /// New nodes of the last minute: when and how many.
    var recentGrowth: [Growth] = []
    /// Ids of the last requests from outside, so that one that is delivered again is not taken twice.
    var signalsSeen: [String]?
    /// What rules must not forget, by name.
    var rules: [String: RuleMemory]?
    /// Alarms that rules are for, by id.
    var alarms: [String: AlarmMemory]?

    /// Nodes that are being replaced.
    var consolidation: ConsolidationPlan?
    /// When nodes were last replaced, or that was given up.
    var consolidatedAt: Timestamp?
    /// Since when some nodes could be replaced without a break.
    var consolidationSince: Timestamp?

    /// What pod scalers have under way; nil: nothing.
    var pods: PodScalingMemory?

    struct Growth: Sendable, Codable, Equatable {
        var at: Timestamp
        var count: Int
    }

    init(cluster: String) {
        self.cluster = cluster
    }
}

/// What an evaluation came to.
public struct EvaluationResult: Sendable {
    /// Decisions to publish, in this order.
    public var decisions: [Event] = []
    /// The ledger record; entries that did not change since the last are left out unless all were asked for.
    public var evaluation: Evaluation
    /// When the next evaluation is due even if nothing happens.
    public var nextDeadline: Timestamp?
    /// Whether the checkpoint has to be saved before the decisions are published.
    public var memoryChanged = false
}

extension Evaluation {
    /// The record in parts of at most so many entries each, so that no message grows too large. Summary and decisions are in
    /// each.
    func parts(of limit: Int) -> [Evaluation] {
        guard pods.count + nodes.count > limit else {
            var whole = self
            if answers != nil { (whole.part, whole.parts) = (0, 1) }
            return [whole]
        }
        var parts: [Evaluation] = []
        var rest = (pods: pods[...], nodes: nodes[...])
        repeat {
            var part = self
            part.pods = Array(rest.pods.prefix(limit))
            rest.pods = rest.pods.dropFirst(part.pods.count)
            part.nodes = Array(rest.nodes.prefix(limit - part.pods.count))
            rest.nodes = rest.nodes.dropFirst(part.nodes.count)
            part.groups = parts.isEmpty ? groups : []
            part.signals = parts.isEmpty ? signals : nil
            part.rules = parts.isEmpty ? rules : nil
            part.scalers = parts.isEmpty ? scalers : nil
            part.isComplete = isComplete && parts.isEmpty
            // The first part says all, the others only whom they are for.
            if !parts.isEmpty { part.answers = answers?.map { Answer(id: $0.id) } }
            part.part = answers == nil ? nil : parts.count
            parts.append(part)
        } while !rest.pods.isEmpty || !rest.nodes.isEmpty
        if answers != nil {
            for index in parts.indices { parts[index].parts = parts.count }
        }
        return parts
    }
}

/// Where the engine stands, for metrics and readiness.
public struct EngineStanding: Sendable {
    /// One group.
    public struct Group: Sendable {
        /// Its id.
        public var id: String
        /// Members that count.
        public var size: Int
        /// Wanted size.
        public var target: Int
        /// Whether the Actuator has said anything of it.
        public var isKnown: Bool
    }

    /// Nodes known.
    public var nodes: Int
    /// Pods known.
    public var pods: Int
    /// Pods without a node.
    public var pending: Int
    /// Nodes that could go.
    public var unneeded: Int
    /// Measurements of nodes that cannot be true, since this engine was made.
    public var unbelieved = 0
    /// The groups.
    public var groups: [Group]
    /// Why nothing can be decided, if so.
    public var problem: String?
}

extension Engine {
    /// Where it stands.
    public func standing(at now: Timestamp) -> EngineStanding {
        EngineStanding(
            nodes: counts.nodes, pods: counts.pods, pending: counts.pending, unneeded: memory.unneededSince.count,
            unbelieved: measurements.unbelieved,
            groups: groups.map {
                EngineStanding.Group(
                    id: $0.rules.id, size: $0.state?.size ?? 0, target: $0.target, isKnown: $0.state != nil)
            }, problem: staleness(at: now)?.detail)
    }
}
