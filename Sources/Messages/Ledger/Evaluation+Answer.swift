import Support

extension Evaluation {
    /// What an `EvaluationRequested` gets beside the record itself.
    public struct Answer: Sendable, Equatable, Codable {
        /// A node under removal.
        public struct Removal: Sendable, Hashable, Codable {
            /// The node.
            public var node: String
            /// The record on it (annotation `updraft.io/removal`), as text: see `RemovalRecord`.
            public var record: String

            /// From its parts.
            public init(node: String, record: String) {
                self.node = node
                self.record = record
            }
        }

        /// Id of the request.
        public var id: String
        /// What it was about.
        public var subject: EvaluationRequested.Subject?
        /// Whether the Decider knows the subject.
        public var isKnown: Bool
        /// What is known of it beside the entries, a sentence for a person, e.g. `runs on node-7`.
        public var standing: String
        /// Under which names the record speaks of it: pods of one shape share an entry, named after one of them.
        public var entries: [String]
        /// Names like the one asked for, when that is not known.
        public var near: [String]
        /// About the cluster: the groups as last heard, of their members only those that are not complete (the first 100).
        public var groups: [GroupState]?
        /// About the cluster: nodes under removal, the first 1,000 by name.
        public var removals: [Removal]?
        /// About the cluster: how many nodes are under removal.
        public var removalCount: Int?

        /// From its parts.
        public init(
            id: String, subject: EvaluationRequested.Subject? = nil, isKnown: Bool = false, standing: String = "",
            entries: [String] = [], near: [String] = [], groups: [GroupState]? = nil, removals: [Removal]? = nil,
            removalCount: Int? = nil
        ) {
            self.id = id
            self.subject = subject
            self.isKnown = isKnown
            self.standing = standing
            self.entries = entries
            self.near = near
            self.groups = groups
            self.removals = removals
            self.removalCount = removalCount
        }
    }
}
