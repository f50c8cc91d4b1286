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
    var podClass: Int32 = -1
    var holds: Int32 = -1
    var phase = Pod.Phase.pending
    var scheduling = Pod.Scheduling.unseen
    var isTerminating = false
    var createdAt = Timestamp(seconds: 0)
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

extension Node {
    /// The taint with which cluster-autoscaler marks a node that it deletes.
    static let peerDeletionTaint = "ToBeDeletedByClusterAutoscaler"

    /// Taints that say that a node does not work, whatever its condition says (the peer's list).
    static let notWorkingTaints: Set<String> = [
        "node.kubernetes.io/not-ready", "node.kubernetes.io/disk-pressure", "node.kubernetes.io/network-unavailable",
    ]

    /// Whether it is ready. A node registers with the taint `not-ready` and keeps it for a moment after its condition
    /// came true: taken as ready then, it would neither take pods nor count as coming, and one node too many would be
    /// asked for.
    var isWorking: Bool {
        readiness == .ready && !taints.contains { Self.notWorkingTaints.contains($0.key) }
    }

    /// Whether it works and nobody is removing it. Cordons and other taints are left to the predicates.
    var takesPods: Bool {
        isWorking && deletedAt == nil && !isUnderRemoval
            && !taints.contains { $0.key == Self.peerDeletionTaint }
    }

    /// Whether the Actuator has it under removal.
    var isUnderRemoval: Bool {
        annotations[RemovalMarks.annotation] != nil || taints.contains { $0.key == RemovalMarks.taint.key }
    }
}
