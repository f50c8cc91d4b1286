import FoundationEssentials
import Support

/// The removal of one node as it is kept on the Node object (annotation `updraft.io/removal`): all that another
/// replica, or another release, needs to go on where the last one stopped.
///
/// Only the Actuator writes it, with the Node's resource version as the condition, so two replicas cannot both take the
/// same step. The Notifier reads it. It changes through `applying(_:at:)` only.
public struct RemovalRecord: Sendable, Hashable, Codable {
    /// What the removal itself has set on the Node, and so may undo. A node that somebody else had cordoned before
    /// stays cordoned.
    public struct Ours: Sendable, Hashable, Codable {
        /// `spec.unschedulable` was false before.
        public var cordon: Bool
        /// The load balancer label was absent before.
        public var label: Bool

        /// From its parts.
        public init(cordon: Bool = true, label: Bool = true) {
            self.cordon = cordon
            self.label = label
        }
    }

    /// The change of the Heat stack that takes the member away.
    public struct Change: Sendable, Hashable, Codable {
        /// Beginnings (eight characters) of the physical ids of the members that must survive it.
        public var survivors: [String]
        /// Other nodes that go in the same change.
        public var together: [String]

        /// From the members' physical ids.
        public init(survivors: [String], together: [String] = []) {
            self.survivors = survivors.map { String($0.prefix(8)) }.sorted()
            self.together = together
        }
    }

    /// A workload that got one replica more before its only pod is evicted. It is put back; until then it stands here.
    public struct Surge: Sendable, Hashable, Codable {
        /// e.g. `apps/v1`.
        public var apiVersion: String
        /// e.g. `Deployment`.
        public var kind: String
        /// Namespace.
        public var namespace: String
        /// Name.
        public var name: String
        /// Replicas before.
        public var from: Int
        /// Replicas that we set. Another number there is somebody else's, and stays.
        public var to: Int
        /// UID of the pod that is to be evicted.
        public var podUID: String
        /// When it was decided on.
        public var since: Timestamp

        /// From its parts.
        public init(
            apiVersion: String, kind: String, namespace: String, name: String, from: Int, to: Int, podUID: String,
            since: Timestamp
        ) {
            self.apiVersion = apiVersion
            self.kind = kind
            self.namespace = namespace
            self.name = name
            self.from = from
            self.to = to
            self.podUID = podUID
            self.since = since
        }
    }

    /// What the drain has done that another process must know, or undo.
    public struct Drain: Sendable, Hashable, Codable {
        /// Why pods are deleted without asking their budgets.
        public var forced: Explanation?
        /// Workloads with one replica too many, for now.
        public var surges: [Surge]

        /// From its parts.
        public init(forced: Explanation? = nil, surges: [Surge] = []) {
            self.forced = forced
            self.surges = surges
        }
    }

    /// Id of the `RemovalDecided`.
    public var id: String
    /// The node group.
    public var group: String
    /// UID of the Node: a node of the same name that registers later is another one.
    public var nodeUID: String
    /// UUID of its server.
    public var serverID: String
    /// Name of the Heat member (the resource in the group stack).
    public var member: String
    /// `physical_resource_id` of the Heat member: its identity.
    public var memberID: String
    /// How far it has come.
    public var phase: RemovalPhase
    /// Since when it is in this phase.
    public var since: Timestamp
    /// When it was decided.
    public var decidedAt: Timestamp
    /// When the node was cordoned: the cooldown counts from here.
    public var startedAt: Timestamp
    /// When this phase must have ended; what then happens depends on the phase.
    public var deadline: Timestamp
    /// When the cooldown ends, as the Notifier said last.
    public var cooldownUntil: Timestamp?
    /// Why the node goes.
    public var reason: Explanation
    /// Why the cooldown ended, or why the removal was cancelled or failed.
    public var outcome: Explanation?
    /// What is ours to undo.
    public var ours: Ours
    /// When Heat was called, or the machine was let go; nil before.
    public var calledAt: Timestamp?
    /// The Heat change, once it is about to be made.
    public var change: Change?
    /// What the drain has done beyond evictions.
    public var drain: Drain?
    /// A removal of our own whose machine somebody else takes away meanwhile, or left half deleted before; absent otherwise.
    public var taken: Bool?

    /// A removal that begins: the node is about to be cordoned.
    public init(
        id: String, group: String, nodeUID: String, serverID: String, member: String, memberID: String,
        decidedAt: Timestamp, startedAt: Timestamp, deadline: Timestamp, reason: Explanation, ours: Ours = Ours()
    ) {
        self.id = id
        self.group = group
        self.nodeUID = nodeUID
        self.serverID = serverID
        self.member = member
        self.memberID = memberID
        self.decidedAt = decidedAt
        self.startedAt = startedAt
        self.deadline = deadline
        self.reason = reason
        self.ours = ours
        phase = .cordoned
        since = startedAt
    }

    /// Whether somebody else takes the machine away: the Actuator gives this reason, and no decision does. Such a removal
    /// cannot be cancelled, and the size of the group is not ours to change for it.
    public var isExternal: Bool { reason.reason == .externalScaleIn }

    /// Whether the machine goes whatever anybody here says: somebody else took it first, or took it from a removal of our own.
    public var isTaken: Bool { isExternal || taken == true }

    /// What was lost, if the machine went before all of its pods were gone.
    public var lost: Explanation? { outcome?.reason == .podsLost ? outcome : nil }

    /// The fields that all removal events share.
    public func progress(
        node: String, reason: Explanation? = nil, deadline: Timestamp? = nil, pods: Int = 0, at now: Timestamp
    ) -> RemovalProgress {
        RemovalProgress(
            id: id, group: group, node: node, nodeUID: nodeUID, serverID: serverID,
            reason: reason ?? outcome ?? self.reason, deadline: deadline ?? cooldownUntil, pods: pods, at: now,
            phase: phase, calledAt: calledAt)
    }

    // MARK: Text

    /// The longest annotation that is read: the API server's limit for all annotations of an object.
    static let maximumBytes = 256 << 10

    /// The annotation's value.
    public func text() throws(MessageError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        } catch {
            throw MessageError(.unencodable, path: RemovalNames.record, what: "\(error)")
        }
    }

    /// Reads an annotation's value. It may have been edited by hand: a mistake is named with its path.
    public init(text: String) throws(MessageError) {
        guard text.utf8.count <= RemovalRecord.maximumBytes else {
            throw MessageError(.tooLarge, path: RemovalNames.record, what: "\(text.utf8.count) bytes")
        }
        do {
            self = try JSONDecoder().decode(RemovalRecord.self, from: Data(text.utf8))
        } catch let DecodingError.keyNotFound(key, _) {
            throw MessageError(.invalidField, path: "\(RemovalNames.record).\(key.stringValue)", what: "missing")
        } catch let DecodingError.typeMismatch(_, context), let DecodingError.valueNotFound(_, context),
            let DecodingError.dataCorrupted(context)
        {
            let path = ([RemovalNames.record] + context.codingPath.map(\.stringValue)).joined(separator: ".")
            throw MessageError(.invalidField, path: path, what: context.debugDescription)
        } catch {
            throw MessageError(.malformed, path: RemovalNames.record, what: "\(error)")
        }
        guard !id.isEmpty, !nodeUID.isEmpty, !group.isEmpty else {
            throw MessageError(.invalidField, path: RemovalNames.record, what: "id, group and nodeUID are needed")
        }
    }
}
