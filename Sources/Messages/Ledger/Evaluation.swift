import Support

/// What the Decider concluded in one evaluation, and why: also "did nothing, because".
///
/// Published are the entries that changed since the evaluation before (`isComplete` false) or all of them.
public struct Evaluation: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.evaluation

    /// About a pending pod, or several of one shape that share the outcome.
    public struct PodEntry: Sendable, Hashable, Codable {
        /// `namespace/name` of one of them.
        public var pod: String
        /// How many pods share this entry.
        public var count: Int
        /// What was concluded, e.g. `PodsPending` (it triggers) or `FitsExisting`.
        public var outcome: Explanation
        /// Group that will take it, when one will.
        public var group: String?
        /// Per group the first constraint that failed, with its values.
        public var groups: [String: Explanation]

        /// From its parts.
        public init(
            pod: String, count: Int = 1, outcome: Explanation, group: String? = nil,
            groups: [String: Explanation] = [:]
        ) {
            self.pod = pod
            self.count = count
            self.outcome = outcome
            self.group = group
            self.groups = groups
        }
    }

    /// About a node: why it stays or goes.
    public struct NodeEntry: Sendable, Hashable, Codable {
        /// The node.
        public var node: String
        /// Its group, if it has one.
        public var group: String?
        /// Why it stays or goes.
        public var outcome: Explanation
        /// Requests over allocatable, the larger of cpu and memory.
        public var utilization: Double?
        /// Since when it is unneeded, if it is.
        public var unneededSince: Timestamp?

        /// From its parts.
        public init(
            node: String, group: String? = nil, outcome: Explanation, utilization: Double? = nil,
            unneededSince: Timestamp? = nil
        ) {
            self.node = node
            self.group = group
            self.outcome = outcome
            self.utilization = utilization
            self.unneededSince = unneededSince
        }
    }

    /// About a group: its sizes and what bound it.
    public struct GroupEntry: Sendable, Hashable, Codable {
        /// The group.
        public var group: String
        /// Members that count.
        public var size: Int
        /// Size wanted after this evaluation.
        public var target: Int
        /// Limits that bound, with value and origin.
        public var bound: [Explanation]

        /// From its parts.
        public init(group: String, size: Int, target: Int, bound: [Explanation] = []) {
            self.group = group
            self.size = size
            self.target = target
            self.bound = bound
        }
    }

    /// What became of a request from outside.
    public struct SignalEntry: Sendable, Hashable, Codable {
        /// Id of the `ScaleRequested`.
        public var id: String
        /// The node group.
        public var group: String
        /// Nodes asked for: more than zero to grow, less to shrink.
        public var change: Int
        /// Nodes decided on, likewise; in a later entry of the same id those that came of it.
        public var decided: Int
        /// Who asked.
        public var who: String
        /// What was concluded, and why not more.
        public var outcome: Explanation

        /// From its parts.
        public init(id: String, group: String, change: Int, decided: Int, who: String, outcome: Explanation) {
            self.id = id
            self.group = group
            self.change = change
            self.decided = decided
            self.who = who
            self.outcome = outcome
        }
    }

    /// About a rule on an alarm or on measured load.
    public struct RuleEntry: Sendable, Hashable, Codable {
        /// Its name.
        public var rule: String
        /// The node group.
        public var group: String
        /// What it does, or why nothing.
        public var outcome: Explanation
        /// Since when its condition holds, if it does.
        public var since: Timestamp?

        /// From its parts.
        public init(rule: String, group: String, outcome: Explanation, since: Timestamp? = nil) {
            self.rule = rule
            self.group = group
            self.outcome = outcome
            self.since = since
        }
    }

    /// About a pod scaler: how many replicas its target has and shall have, and why.
    public struct ScalerEntry: Sendable, Hashable, Codable {
        /// What one threshold came to.
        public struct Threshold: Sendable, Hashable, Codable {
            /// The stat.
            public var stat: String
            /// Its value as it was compared; nil: it could not be had.
            public var value: Double?
            /// What it was compared with.
            public var goal: Double
            /// `%` of requests, `average` over the pods, or `value`.
            public var unit: String
            /// Replicas that the threshold asks for; nil: it says nothing.
            public var replicas: Int?
            /// Why.
            public var outcome: Explanation

            /// From its parts.
            public init(
                stat: String, value: Double?, goal: Double, unit: String, replicas: Int?, outcome: Explanation
            ) {
                self.stat = stat
                self.value = value
                self.goal = goal
                self.unit = unit
                self.replicas = replicas
                self.outcome = outcome
            }
        }

        /// `namespace/name` of the scaler.
        public var scaler: String
        /// Generation of the spec that was looked at; zero for a scaler of the configuration.
        public var generation: Int64
        /// Whether the scaler is a `PodScaler` object.
        public var isObject: Bool
        /// Id of the target (`kind/namespace/name`), also of one that is named and not there; nil: the selector finds none.
        public var target: String?
        /// UID of the target, for Events; nil: it is not known.
        public var targetUID: String?
        /// `apiVersion` of a target of no kind that every cluster has, for Events; nil: it is of one, or not known.
        public var targetAPIVersion: String?
        /// Replicas over the monitored set.
        public var current: Int
        /// Replicas wanted.
        public var desired: Int
        /// Why so many.
        public var outcome: Explanation
        /// What held the change back, in order.
        public var limits: [Explanation]
        /// Why the scaler cannot scale; nil: it can.
        public var problem: Explanation?
        /// What each threshold came to.
        public var thresholds: [Threshold]
        /// When replicas were last changed by it.
        public var scaledAt: Timestamp?
        /// The scaler is gone.
        public var isGone: Bool?

        /// From its parts.
        public init(
            scaler: String, generation: Int64 = 0, isObject: Bool = true, target: String? = nil,
            targetUID: String? = nil, targetAPIVersion: String? = nil, current: Int = 0, desired: Int = 0,
            outcome: Explanation,
            limits: [Explanation] = [], problem: Explanation? = nil,
            thresholds: [Threshold] = [], scaledAt: Timestamp? = nil, isGone: Bool? = nil
        ) {
            self.scaler = scaler
            self.generation = generation
            self.isObject = isObject
            self.target = target
            self.targetUID = targetUID
            self.targetAPIVersion = targetAPIVersion
            self.current = current
            self.desired = desired
            self.outcome = outcome
            self.limits = limits
            self.problem = problem
            self.thresholds = thresholds
            self.scaledAt = scaledAt
            self.isGone = isGone
        }
    }

    /// The cluster.
    public var cluster: String
    /// Number of the evaluation since the Decider took over.
    public var number: Int64
    /// When.
    public var at: Timestamp
    /// How long the core took, in microseconds.
    public var tookMicroseconds: Int64
    /// One sentence for a person.
    public var summary: String
    /// Whether all entries are given, not only the changed.
    public var isComplete: Bool
    /// Pods.
    public var pods: [PodEntry]
    /// Nodes.
    public var nodes: [NodeEntry]
    /// Groups.
    public var groups: [GroupEntry]
    /// Ids of the decisions made.
    public var decisions: [String]
    /// What became of requests from outside and of rules, and alarms that no rule is for; nil: there were none.
    public var signals: [SignalEntry]?
    /// Rules; nil: none changed.
    public var rules: [RuleEntry]?
    /// Requests that this record answers; absent when nobody asked.
    public var answers: [Answer]?
    /// Number of this part of an answer, from 0; absent where nobody asked.
    public var part: Int?
    /// How many parts the answer has.
    public var parts: Int?
    /// Pod scalers; nil: nothing is to be said of any.
    public var scalers: [ScalerEntry]?

    /// From its parts.
    public init(
        cluster: String, number: Int64, at: Timestamp, tookMicroseconds: Int64 = 0, summary: String,
        isComplete: Bool = true, pods: [PodEntry] = [], nodes: [NodeEntry] = [], groups: [GroupEntry] = [],
        decisions: [String] = [], answers: [Answer]? = nil
    ) {
        self.cluster = cluster
        self.number = number
        self.at = at
        self.tookMicroseconds = tookMicroseconds
        self.summary = summary
        self.isComplete = isComplete
        self.pods = pods
        self.nodes = nodes
        self.groups = groups
        self.decisions = decisions
        self.answers = answers
    }
}
