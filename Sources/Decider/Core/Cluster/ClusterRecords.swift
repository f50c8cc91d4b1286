import Messages
import Support

/// A pod as the model keeps it: what differs between replicas, in little memory.
struct PodRecord: Sendable {
    var uid: String
    var name: String
    /// Number of its class in the catalogue.
    var podClass: Int32
    /// Slot of the node it runs on, -1 for none.
    var node: Int32
    /// Slot of the node whose room it holds (its node, or the nominated one), -1 for none.
    var holds: Int32
    var phase: Pod.Phase
    var scheduling: Pod.Scheduling
    var isTerminating: Bool
    var createdAt: Timestamp
    var unschedulableSince: Timestamp?
    var deletedAt: Timestamp?
    var nominated: Bool
}

/// What is asked of every waiting pod in every evaluation, without anything that has to be retained.
struct PodBrief: Sendable {
    /// A number that no other pod had in its slot; zero: nobody has the slot.
    var serial = 0
    var podClass: Int32 = -1
    var holds: Int32 = -1
    var phase = Pod.Phase.pending
    var scheduling = Pod.Scheduling.unseen
    var isTerminating = false
    var isReady = false
    var createdAt = Timestamp(seconds: 0)
    var startedAt: Timestamp?
    var readyChangedAt: Timestamp?

    /// Whether its containers have ended for good.
    var isOver: Bool { phase == .failed || phase == .succeeded }
}

/// A node as the model keeps it.
struct NodeRecord: Sendable {
    var node: Node
    /// Records of the pods on it, terminal ones included.
    var pods: [Int32] = []
    /// Allocatable as a vector.
    var allocatable: [Int64]
    /// The server that it runs on.
    var serverID: String?
    /// What the record of its removal says; nil: it has none.
    var removal: RemovalBrief?
}

/// What is asked of every node in every evaluation, without anything that has to be retained.
struct NodeBrief: Sendable {
    var exists = false
    var isReady = false
    /// Under removal, by whomever.
    var isLeaving = false
    /// Updraft's own marks are on it.
    var isUnderRemoval = false
    var createdAt = Timestamp(seconds: 0)
    var readinessChangedAt: Timestamp?
    /// What it offers.
    var cpu: Int64 = 0
    var memory: Int64 = 0
    /// Whether more than requests of cpu and memory has to be looked at: marks, GPUs.
    var isSpecial = false
    /// Pods on it; of them those terminating, and those of DaemonSets and static ones.
    var pods: Int32 = 0
    var terminating: Int32 = 0
    var fixedPods: Int32 = 0
}

/// A pod that left a node under removal.
struct EvictedPod: Sendable {
    var podClass: Int32
    var at: Timestamp
}

extension Taint {
    /// The taint that Kubernetes lays on a node while it is cordoned.
    static let cordon = Taint(key: "node.kubernetes.io/unschedulable", effect: .noSchedule)
}

extension Node {
    /// The taint with which cluster-autoscaler marks a node that it deletes.
    static let peerDeletionTaint = "ToBeDeletedByClusterAutoscaler"

    /// Taints that say that a node does not work, whatever its condition says (the peer's list).
    static let notWorkingTaints: Set<String> = [
        "node.kubernetes.io/not-ready", "node.kubernetes.io/disk-pressure", "node.kubernetes.io/network-unavailable",
    ]

    /// Beginnings of taints that go when a node is set up (the peer's names).
    static let startupTaintPrefixes = [
        "startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/",
    ]

    /// Whether it is ready. A node registers with the taint `not-ready` and keeps it for a moment after its condition
    /// came true: taken as ready then, it would neither take pods nor count as coming, and one node too many would be
    /// asked for.
    var isWorking: Bool {
        readiness == .ready && !taints.contains { Self.notWorkingTaints.contains($0.key) }
    }
}

/// What the rules say of nodes that are ready by their condition and yet not set up, and of taints that a new node lacks.
struct NodeRules: Sendable, Equatable {
    /// Taints that go when the node is set up: until then it counts as coming. A name that ends in `*` is a beginning.
    var startupTaints: [String] = []
    /// Taints that come and go with a node's state. A name that ends in `*` is a beginning.
    var statusTaints: [String] = []
    /// A node with one of these labels will offer a GPU; before it does it counts as coming.
    var gpuLabels: [String] = []
    /// Names of GPU resources.
    var gpuResources: [String] = []

    /// Why a node that is ready by its condition does not do its work yet; nil: it does.
    func unfinished(_ node: Node) -> String? {
        for taint in node.taints
        where Node.startupTaintPrefixes.contains(where: { taint.key.hasPrefix($0) })
            || Self.names(startupTaints, taint.key)
        {
            return "the taint \(taint.key) has not gone yet"
        }
        guard let label = gpuLabels.first(where: { node.labels[$0] != nil }) else { return nil }
        let offers = gpuResources.contains { node.allocatable.extended[$0] ?? 0 > 0 }
        return offers ? nil : "the label \(label) promises a GPU, and none is offered yet"
    }

    /// Whether a taint is none of those that a new node keeps.
    func isPassing(_ taint: Taint) -> Bool {
        ClusterModel.isPassingTaint(taint) || Self.names(startupTaints, taint.key)
            || Self.names(statusTaints, taint.key)
    }

    private static func names(_ names: [String], _ key: String) -> Bool {
        names.contains { $0.hasSuffix("*") ? key.hasPrefix($0.dropLast()) : key == $0 }
    }
}

extension Taint {
    /// What the Actuator puts on a node under removal.
    static let underRemoval = Taint(key: RemovalNames.taint, effect: .noSchedule)
}
