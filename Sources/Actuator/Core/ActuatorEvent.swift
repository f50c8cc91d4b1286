import Messages
import Support

/// What happens to the Actuator's core. A ticket stands for a delivery whose settlement the core asks for.
public enum ActuatorEvent: Sendable {
    // From the bus
    case scaleDecided(ScaleDecided, ticket: Int)
    case removalDecided(RemovalDecided, ticket: Int)
    case removalCancelled(RemovalCancelled, ticket: Int)
    case podsDecided(PodsDecided, ticket: Int)
    case removalNoticed(RemovalProgress)
    case removalQuiesced(RemovalProgress)
    /// Heat said on its own exchange that a stack changed: look at the groups now.
    case stackHint
    /// Heat said there that it begins to delete a stack: perhaps that of a member.
    case stackLeaving(stackID: String)
    /// The Collector heard Nova say something of a server.
    case serverReported(CloudServer)

    // From Heat
    case groupRead(group: String, GroupReading)
    case groupUnread(group: String, ActFailure)
    /// The size was sent; nil: Heat accepted it.
    case resized(group: String, ActFailure?)
    case marked(group: String, member: String, unhealthy: Bool, ActFailure?)
    /// What Nova says of servers, by id; those of which it said nothing are left out.
    case serversRead(group: String, [String: ServerWord])
    /// Members were let go, or why not.
    case holdsCleared(group: String, ActFailure?)
    /// What Nova says of a server now.
    case serverChecked(serverID: String, ServerFate)

    // From Kubernetes
    case nodesListed([NodeView])
    case nodeSeen(NodeView)
    case nodeGone(name: String, uid: String)
    /// Read just now, not from a watch that may lag; nil: there is no such Node.
    case nodeChecked(name: String, NodeView?)
    case nodeEdited(node: String, NodeEditOutcome)
    case podsRead(node: String, [NodePod])
    case podsUnread(node: String, ActFailure)
    /// Also the answer to `deletePod`.
    case evicted(node: String, podUID: String, EvictionOutcome)
    /// The volumes of pods that are gone and that are still attached to the node, by name.
    case volumesRead(node: String, [String])
    case volumesUnread(node: String, ActFailure)
    /// The workload that a pod belongs to; nil: none that can be scaled.
    case workloadRead(node: String, podUID: String, WorkloadView?)
    case workloadUnread(node: String, podUID: String, ActFailure)
    case nodeDeleted(node: String, ActFailure?)
    case workloadScaled(PodsDecided, WorkloadOutcome)

    /// Time passed.
    case tick
}

/// What Nova says of a server. Heat does not notice when it fails or goes.
public enum ServerWord: Sendable, Hashable {
    /// Its status, and what went wrong if something did.
    case status(String, fault: String?)
    /// There is no such server.
    case gone

    /// Why the member cannot be a node; nil: Nova sees nothing wrong.
    var trouble: Explanation? {
        switch self {
        case .gone: Explanation(.serverGone, "Nova knows no such server")
        case .status("ERROR", let fault):
            Explanation(.serverFailed, "Nova says ERROR\(fault.map { ": \($0.prefix(200))" } ?? "")")
        case .status: nil
        }
    }

    /// For a sentence.
    var text: String {
        switch self {
        case .gone: "Nova knows no such server"
        case .status(let status, let fault): "Nova says \(status)\(fault.map { ": \($0.prefix(200))" } ?? "")"
        }
    }
}

/// What Nova says of a server when asked.
public enum ServerFate: Sendable, Equatable {
    /// There is no such server.
    case gone
    /// It is being deleted.
    case leaving
    /// It is in ERROR, because of this.
    case failed(String)
    /// It is there.
    case there
    /// Nova did not say.
    case unknown(ActFailure)
}

/// What became of an eviction.
public enum EvictionOutcome: Sendable, Equatable {
    /// The pod is on its way out.
    case accepted
    /// There is no such pod (any more).
    case gone
    /// A budget forbids it now (429), or two budgets cover the pod (500).
    case blocked(budget: String, retryAfter: Interval?)
    /// It failed otherwise.
    case failed(ActFailure)
}

/// A workload whose replicas can be changed.
public struct WorkloadView: Sendable, Equatable {
    /// e.g. `apps/v1`.
    public var apiVersion: String
    /// e.g. `Deployment`.
    public var kind: String
    /// Namespace.
    public var namespace: String
    /// Name.
    public var name: String
    /// Replicas that it shall have.
    public var replicas: Int
    /// Ready pods of it on other nodes, those on their way out left out.
    public var readyElsewhere: Int
    /// Ready pods of it on any node, the one that was asked for and those on their way out left out.
    public var readyOthers: Int
    /// Whether the pod that was asked for is ready.
    public var isReady: Bool

    /// From its parts.
    public init(
        apiVersion: String, kind: String, namespace: String, name: String, replicas: Int, readyElsewhere: Int,
        readyOthers: Int, isReady: Bool
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.replicas = replicas
        self.readyElsewhere = readyElsewhere
        self.readyOthers = readyOthers
        self.isReady = isReady
    }
}

/// What became of a change of replicas.
public enum WorkloadOutcome: Sendable, Equatable {
    /// It has that many replicas now.
    case done
    /// It had that many already.
    case already
    /// It has another number than the decision saw.
    case stale(found: Int)
    /// It failed.
    case failed(ActFailure)
}

/// A member that a record names. Heat takes a replaced member off its list while the stack of that member lives on.
public struct ExpectedMember: Sendable, Equatable {
    /// Its name in the group.
    public var name: String
    /// `physical_resource_id`.
    public var physicalID: String
    /// Its server.
    public var serverID: String

    /// From its parts.
    public init(name: String, physicalID: String, serverID: String) {
        self.name = name
        self.physicalID = physicalID
        self.serverID = serverID
    }
}

/// What the Actuator's core wants done.
public enum ActuatorAction: Sendable, Equatable {
    /// Put this on the bus.
    case publish(Event)
    /// Settle a delivery.
    case settle(ticket: Int, Settlement)
    /// Read a group from Heat; answered by `groupRead` or `groupUnread`. `expecting`: members that are on their way out, which
    /// Heat's list may not show any more.
    case readGroup(String, expecting: [ExpectedMember])
    /// Set the size, and in the same update the sizes of other groups of the stack, by their ids; answered by `resized`.
    case resize(group: String, to: Int, keeping: [String: Int])
    /// Mark a member of the group unhealthy or not; answered by `marked`.
    case mark(group: String, member: String, unhealthy: Bool, why: String)
    /// Let members that were drained go on leaving, if something in the stack holds them; answered by `holdsCleared`.
    case clearHooks(group: String, memberIDs: [String])
    /// Have Heat fail the deletion of these members, where what holds them can refuse; answered by `holdsCleared`.
    case refuseDeletion(group: String, memberIDs: [String])
    /// Ask Nova for these servers; answered by `serversRead`.
    case readServers(group: String, ids: [String])
    /// Ask Nova for a server; answered by `serverChecked`.
    case checkServer(String)
    /// Change a Node; answered by `nodeEdited`.
    case editNode(NodeEdit)
    /// Read a Node; answered by `nodeChecked`.
    case checkNode(String)
    /// Read the pods of a node; answered by `podsRead` or `podsUnread`.
    case readPods(node: String)
    /// Evict; answered by `evicted`. `grace`: seconds, where the pod's own are too many.
    case evict(node: String, NodePod, grace: Int64?)
    /// Delete a pod without asking its budgets; answered by `evicted`. `grace` as with `evict`.
    case deletePod(node: String, NodePod, grace: Int64?)
    /// Look which volumes of pods that are gone are still attached; answered by `volumesRead` or `volumesUnread`.
    case readVolumes(node: String)
    /// Look for the workload of a pod; answered by `workloadRead` or `workloadUnread`.
    case readWorkload(node: String, NodePod)
    /// Delete the Node object; answered by `nodeDeleted`.
    case deleteNode(node: String, uid: String)
    /// Change replicas; answered by `workloadScaled`.
    case scaleWorkload(PodsDecided)
    /// A Kubernetes Event on a Node. No answer.
    case report(node: String, Explanation)
    /// Log it.
    case note(ActuatorNote)
    /// Something that lasts: shown by `/readyz`. Nil: it is well again.
    case condition(name: String, Explanation?)
}

/// What to do with a delivery.
public enum Settlement: Sendable, Equatable {
    /// Its step is durable, or it needs none.
    case done
    /// Not yet: the broker gives it again in a while.
    case retryLater
}

/// A line for the log.
public struct ActuatorNote: Sendable, Equatable {
    /// How loud.
    public enum Level: Sendable, Equatable {
        case debug, info, warning, error
    }

    /// How loud.
    public var level: Level
    /// What it is about: a group or a node; empty: neither.
    public var subject: String
    /// Why.
    public var explanation: Explanation

    /// From its parts.
    public init(_ level: Level, _ subject: String, _ reason: Reason, _ detail: String) {
        self.level = level
        self.subject = subject
        explanation = Explanation(reason, detail)
    }
}
