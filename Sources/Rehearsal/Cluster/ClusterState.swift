import JSONReader
import Messages
import Support

/// What the model of Kubernetes holds.
struct ClusterState {
    struct Node {
        var name: String
        var uid: String
        var server: String
        var createdAt: Timestamp
        var version: Int
        var isReady: Bool
        var readinessChangedAt: Timestamp
        var kubeletWorks = true
        var unschedulable = false
        var isTainted = false
        /// Value of the label for load balancers.
        var label: String?
        var recordText: String?
        var record: RemovalRecord?
        /// The annotation that tells of an incident.
        var pausedGroup: String?
        /// Whether it has our finalizer, and whether somebody has deleted it.
        var isHeld = false
        var isBeingDeleted = false
    }

    struct Pod {
        var workload: Int
        var name: String
        var uid: String
        var node: String?
        /// The scheduler has chosen, and its binding is on its way.
        var assumed: String?
        var phase = Messages.Pod.Phase.pending
        var isReady = false
        var createdAt: Timestamp
        var unschedulableSince: Timestamp?
        var boundAt: Timestamp?
        var deletedAt: Timestamp?
        var gate: NodePod.Gate
        var annotations: [String: String] = [:]
        var hookCalls = 0
    }

    struct Workload {
        var plan: WorkloadPlan
        var replicas: Int
        /// What people asked for last. A drain may raise the replicas for a while.
        var wanted: Int
        /// People asked for the number that a drain had raised it to: nobody can tell whose that number is.
        var isClaimed = false
        var uid: String
        var made = 0

        init(plan: WorkloadPlan, replicas: Int, uid: String) {
            self.plan = plan
            self.replicas = replicas
            self.uid = uid
            wanted = replicas
        }
    }

    /// A volume that is still attached to a node after its pod has gone.
    struct Attachment {
        var node: String
        var name: String
        var until: Timestamp
    }

    /// In the order in which they came.
    var nodes: [Node] = []
    var pods: [Pod] = []
    var workloads: [Workload] = []
    var version = 1
    var isSchedulingPlanned = false
    var areControllersPlanned = false
    /// Disruptions that each budget allowed when it was told last, by workload.
    var allowed: [Int?] = []
    var watches: [Watch] = []
    var attachments: [Attachment] = []

    func node(_ name: String) -> Int? { nodes.firstIndex { $0.name == name } }
    func pod(uid: String) -> Int? { pods.firstIndex { $0.uid == uid } }
}

extension ClusterState.Pod {
    /// Kubernetes reports it as running and nobody has asked it to go.
    var isActive: Bool { deletedAt == nil }
}
