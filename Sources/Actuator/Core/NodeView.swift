import Messages
import Support

/// A Node as the Actuator's core sees it.
public struct NodeView: Sendable, Equatable {
    /// Name.
    public var name: String
    /// UID.
    public var uid: String
    /// UUID of its server, from the provider id; nil while it has none.
    public var serverID: String?
    /// Whether the kubelet says that it is ready.
    public var isReady: Bool
    /// When it registered.
    public var createdAt: Timestamp
    /// Its removal, if the annotation is there and readable.
    public var record: RemovalRecord?
    /// What is wrong with the annotation, if it is there and not readable.
    public var recordMistake: String?
    /// Whether it has the taint `updraft.io/removing`, with whatever effect.
    public var hasTaint: Bool
    /// Whether it has the label for load balancers with our value.
    public var hasLabel: Bool
    /// Whether it may take pods; only for words.
    public var isCordoned: Bool
    /// Whether it is labelled as part of the control plane, which no group owns.
    public var isControlPlane: Bool
    /// Who asks that its machine is not deleted yet: what stands behind `RemovalNames.delayPrefix`, sorted.
    public var delays: [String] = []

    /// Whether it may be any server of OpenStack (`Node.mayBeAnyServer`).
    public var mayBeAnyServer: Bool
    /// Whether it has our finalizer: it stays, once deleted, until that is taken away.
    public var isHeld = false
    /// Its labels, among which those that its group declares may lack.
    public var labels: [String: String] = [:]
    /// Its taints, likewise.
    public var taints: [Taint] = []
    /// Whether somebody has deleted it and a finalizer keeps it.
    public var isBeingDeleted = false
    /// The group that an incident stopped, if this Node says so.
    public var pausedGroup: PausedGroup?

    /// From its parts.
    public init(
        name: String, uid: String, serverID: String?, isReady: Bool = true,
        createdAt: Timestamp = Timestamp(seconds: 0), record: RemovalRecord? = nil, recordMistake: String? = nil,
        hasTaint: Bool = false, hasLabel: Bool = false, isCordoned: Bool = false, isControlPlane: Bool = false
    ) {
        self.name = name
        self.uid = uid
        self.serverID = serverID
        self.isReady = isReady
        self.createdAt = createdAt
        self.record = record
        self.recordMistake = recordMistake
        self.hasTaint = hasTaint
        self.hasLabel = hasLabel
        self.isCordoned = isCordoned
        self.isControlPlane = isControlPlane
        mayBeAnyServer = serverID == nil
    }

    /// Whether it may be the machine of any member: it does not say which server of OpenStack it is.
    var isOfUnknownMachine: Bool { mayBeAnyServer && !isControlPlane }

    /// Whether a removal left something on it that a record should explain.
    var hasTraces: Bool { hasTaint || hasLabel || isHeld }

    /// From the model.
    public init(_ node: Node) {
        self.init(
            name: node.name, uid: node.uid, serverID: node.serverID, isReady: node.readiness == .ready,
            createdAt: node.createdAt, hasTaint: node.taints.contains { $0.key == RemovalNames.taint },
            hasLabel: node.labels[RemovalNames.excludeFromLoadBalancers] == RemovalNames.excludedByUs,
            isCordoned: node.unschedulable,
            isControlPlane: node.isControlPlane)
        mayBeAnyServer = node.mayBeAnyServer
        labels = node.labels
        taints = node.taints
        isBeingDeleted = node.deletedAt != nil
        pausedGroup = node.annotations[RemovalNames.pausedGroup].flatMap { PausedGroup($0) }
        delays = node.annotations.keys.filter { $0.hasPrefix(RemovalNames.delayPrefix) }
            .map { String($0.dropFirst(RemovalNames.delayPrefix.count)) }.sorted()
        guard let text = node.annotations[RemovalNames.record] else { return }
        do throws(MessageError) {
            record = try RemovalRecord(text: text)
        } catch {
            recordMistake = error.description
        }
    }
}
