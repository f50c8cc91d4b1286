import Support

/// Somebody asks the Decider for a complete record of the ledger, and what is known of a subject.
///
/// The active Decider answers with an `Evaluation` whose `answers` name the request. Several requests that come together
/// share one record.
public struct EvaluationRequested: Payload {
    /// Its event type on the bus.
    public static let eventType = EventType.evaluationRequested

    /// What the question is about.
    public struct Subject: Sendable, Hashable, Codable {
        /// What kind of thing.
        public enum Kind: String, Sendable, Codable, CaseIterable {
            /// A pod, `namespace/name`.
            case pod
            /// A node, by its name.
            case node
            /// A node group, by its id.
            case group
            /// A pod scaler, `namespace/name`.
            case podScaler = "podscaler"
            /// The whole cluster: the answer lists the groups and the removals under way. The name is left empty.
            case cluster
        }

        /// What kind of thing.
        public var kind: Kind
        /// Its name.
        public var name: String

        /// From its parts.
        public init(_ kind: Kind, _ name: String = "") {
            self.kind = kind
            self.name = name
        }
    }

    /// The cluster.
    public var cluster: String
    /// Chosen by who asks; the answer bears it.
    public var id: String
    /// Who asks, for the log.
    public var requester: String
    /// What it is about; absent for the record alone.
    public var subject: Subject?

    /// From its parts.
    public init(cluster: String, id: String, requester: String, subject: Subject? = nil) {
        self.cluster = cluster
        self.id = id
        self.requester = requester
        self.subject = subject
    }

    /// The id must be there, and nothing longer than a name can be.
    public func validate() throws(MessageError) {
        try Check.identifier(id, "id")
        try Check.range(id.utf8.count, 1...100, "id (bytes)")
        try Check.range(requester.utf8.count, 0...300, "requester (bytes)")
        try Check.range(subject?.name.utf8.count ?? 0, 0...600, "subject.name (bytes)")
    }
}
