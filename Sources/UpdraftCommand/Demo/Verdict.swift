import Support

/// Whether the story's invariants held. Pure: facts in, findings out.
public struct Verdict: Sendable, Equatable {
    /// What was seen of one pod that came to its end on a node under removal.
    public struct PodEnd: Sendable, Equatable {
        /// `namespace/name`.
        public var pod: String
        /// Its UID.
        public var uid: String
        /// When it was told to stop.
        public var endedAt: Timestamp

        /// From its parts.
        public init(pod: String, uid: String, endedAt: Timestamp) {
            self.pod = pod
            self.uid = uid
            self.endedAt = endedAt
        }
    }

    /// What is judged.
    public struct Facts: Sendable, Equatable {
        /// Servers of the group before the load went.
        public var serversBefore: Set<String> = []
        /// Servers of the group at the end.
        public var serversAfter: Set<String> = []
        /// Servers of the nodes at the end, as Kubernetes knows them.
        public var nodesAfter: Set<String> = []
        /// The size that the stack's parameter says at the end.
        public var desired: Int?
        /// Servers of the nodes that the Decider chose.
        public var chosen: Set<String> = []
        /// The oldest server before; nil when that cannot be told.
        public var oldest: String?
        /// When each pod was first told, by UID.
        public var told: [String: Timestamp] = [:]
        /// Pods that ended by eviction.
        public var ended: [PodEnd] = []
        /// Nodes left with a cordon or our taint at the end.
        public var leftCordoned: [String] = []

        /// Nothing seen yet.
        public init() {}
    }

    /// One invariant and whether it held.
    public struct Finding: Sendable, Equatable {
        /// What must hold.
        public var invariant: String
        /// Whether it did.
        public var holds: Bool
        /// The values.
        public var detail: String
    }

    /// All of them.
    public let findings: [Finding]
    /// Whether every invariant held.
    public var holds: Bool { findings.allSatisfy(\.holds) }

    /// Judges. `others` are findings of somebody else, taken as they are.
    public init(_ facts: Facts, also others: [Finding] = []) {
        let untold = facts.ended.filter { end in facts.told[end.uid].map { $0 > end.endedAt } ?? true }
        let gone = facts.serversBefore.subtracting(facts.serversAfter)
        let new = facts.serversAfter.subtracting(facts.serversBefore)
        var findings = [
            Finding(
                invariant: "no pod evicted without notice", holds: untold.isEmpty && !facts.ended.isEmpty,
                detail: untold.isEmpty
                    ? "\(facts.ended.count) evicted, each told before"
                    : "not told: " + untold.map(\.pod).sorted().joined(separator: ", ")),
            Finding(
                invariant: "nothing removed but the chosen members", holds: gone == facts.chosen && !gone.isEmpty,
                detail: gone == facts.chosen
                    ? "\(gone.count) chosen, \(gone.count) gone"
                    : "chosen \(facts.chosen.sorted()), gone \(gone.sorted())"),
            Finding(
                invariant: "the survivors are the same servers", holds: new.isEmpty,
                detail: new.isEmpty ? "\(facts.serversAfter.count) kept" : "new: \(new.sorted())"),
            Finding(
                invariant: "sizes agree in Heat and Kubernetes",
                holds: facts.serversAfter == facts.nodesAfter && facts.desired == facts.serversAfter.count,
                detail: "\(facts.serversAfter.count) members, \(facts.nodesAfter.count) nodes, desired "
                    + (facts.desired.map(String.init) ?? "unknown")),
            Finding(
                invariant: "no node left cordoned", holds: facts.leftCordoned.isEmpty,
                detail: facts.leftCordoned.isEmpty ? "none" : facts.leftCordoned.joined(separator: ", ")),
        ]
        if let oldest = facts.oldest {
            // Heat alone would have taken the oldest: the story is built so that it is not the one to go.
            findings.append(
                Finding(
                    invariant: "Heat's own choice, the oldest, was kept", holds: facts.serversAfter.contains(oldest),
                    detail: String(oldest.prefix(8))))
        }
        self.findings = findings + others
    }
}
