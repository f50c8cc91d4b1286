import Messages
import Support

/// What a new node of a group is like in the simulation.
struct NodeTemplate: Sendable {
    /// Number of its node class.
    var nodeClass: Int
    /// Free for pods after DaemonSet and mirror pods.
    var free: [Int64]
    /// What pods may use.
    var allocatable: [Int64]
    /// What the machine has.
    var capacity: [Int64]
    /// Host ports that its DaemonSets use.
    var ports: [Int]
    /// Classes of the DaemonSet and mirror pods that it carries.
    var carried: [Int]
    /// Where it comes from, for a person.
    var origin: String
    var hasHost = true
    /// `PreferNoSchedule` taints: soft, for breaking ties only.
    var softTaints: [Taint] = []
}

extension ClusterModel {
    /// Taints that come and go with a node's condition, or that autoscalers put on nodes: no part of a template.
    static func isPassingTaint(_ taint: Taint) -> Bool {
        passingTaints.contains(taint.key) || passingPrefixes.contains { taint.key.hasPrefix($0) }
    }

    /// By name: other taints below `node.kubernetes.io/` (a cloud's `lifecycle` of spot machines) belong to the node for good.
    private static let passingTaints: Set<String> = [
        "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/unschedulable",
        "node.kubernetes.io/memory-pressure", "node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure",
        "node.kubernetes.io/network-unavailable", "node.kubernetes.io/out-of-service",
        "node.cloudprovider.kubernetes.io/uninitialized", "node.cloudprovider.kubernetes.io/shutdown",
        RemovalNames.taint, Node.peerDeletionTaint, "DeletionCandidateOfClusterAutoscaler",
    ]

    private static let passingPrefixes = [
        "startup-taint.cluster-autoscaler.kubernetes.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/",
        "status-taint.cluster-autoscaler.kubernetes.io/",
    ]

    /// Those of a node's taints that a new node like it will have as well.
    static func templateTaints(_ taints: [Taint], _ rules: NodeRules = NodeRules()) -> [Taint] {
        taints.filter { !rules.isPassing($0) }
    }

    /// Pods that a fresh node like this one would have as well: of DaemonSets and static ones, not about to end.
    func keptPods(on slot: Int) -> [Int32] {
        (nodes[slot]?.pods ?? []).filter { index in
            guard let pod = pods[Int(index)], !pod.isTerminating, holdsRoom(pod) else { return false }
            let podClass = catalog.classes[Int(pod.podClass)]
            return podClass.isDaemonSet || podClass.isMirror
        }
    }

    /// What the static pods on a node are like.
    func mirrorShapes(on slot: Int) -> [PodShape] {
        keptPods(on: slot).compactMap { index in
            guard let pod = pods[Int(index)], catalog.classes[Int(pod.podClass)].isMirror else { return nil }
            return catalog.classes[Int(pod.podClass)].shape
        }
    }

    /// A template made from a running node: its DaemonSet and mirror pods stay, other pods and passing taints go.
    mutating func template(from slot: Int, forceDaemonSets: Bool) -> NodeTemplate? {
        guard let record = nodes[slot] else { return nil }
        let node = record.node
        let kept = keptPods(on: slot)
        var owners: Set<String> = []
        for index in kept {
            guard let pod = pods[Int(index)] else { continue }
            let shape = catalog.classes[Int(pod.podClass)].shape
            if let owner = shape.owner { owners.insert("\(shape.namespace)/\(owner.name)") }
        }
        let carried = kept.compactMap { pods[Int($0)].map { Int($0.podClass) } }
        return template(
            labels: node.labels, taints: Self.templateTaints(node.taints, nodeRules), allocatable: node.allocatable,
            capacity: node.capacity, carried: carried, daemonSetsPresent: owners, addDaemonSets: forceDaemonSets,
            origin: "node \(node.name)")
    }

    /// A template made from a node that is gone, or from the configuration and the flavor.
    mutating func template(
        labels: [String: String], taints: [Taint], allocatable: ResourceList, capacity: ResourceList,
        carried: [Int] = [], daemonSetsPresent: Set<String> = [], addDaemonSets: Bool = true, origin: String
    ) -> NodeTemplate {
        let number = catalog.nodeClass(NodeClass(labels: labels, taints: taints, unschedulable: false))
        let offered = catalog.vector(allocatable)
        let whole = catalog.vector(capacity)
        var pods = carried
        if addDaemonSets {
            // One that an empty node has no room for never runs there: its pod waits, and takes nothing.
            pods += daemonSets(on: number, except: daemonSetsPresent).filter { podClass in
                catalog.classes[podClass].needs.allSatisfy { need in
                    need.amount <= (need.dimension < offered.count ? offered[need.dimension] : 0)
                }
            }
        }
        var free = offered
        while free.count < catalog.stride { free.append(0) }
        var ports: [Int] = []
        for podClass in pods {
            for need in catalog.classes[podClass].needs { free[need.dimension] -= need.amount }
            ports += catalog.classes[podClass].ports
        }
        return NodeTemplate(
            nodeClass: number, free: free, allocatable: offered, capacity: whole, ports: ports, carried: pods,
            origin: origin, softTaints: taints.filter { $0.effect == .preferNoSchedule })
    }

    /// Classes of DaemonSets that would run on a node of this class.
    private mutating func daemonSets(on nodeClass: Int, except present: Set<String>) -> [Int] {
        var found: [Int] = []
        for workload in workloads.values.sorted(by: { $0.id < $1.id })
        where workload.kind == "DaemonSet" && workload.deletedAt == nil
            && !present.contains("\(workload.namespace)/\(workload.name)")
        {
            guard let shape = workload.template, let number = classNumber(template: shape) else { continue }
            let predicate = catalog.classes[number].predicate
            if catalog.rows[predicate][nodeClass] == Verdict.fits.rawValue { found.append(number) }
        }
        return found
    }

    /// The template of a flavor: what the machine has, less what is kept for the system.
    static func allocatable(of flavor: GroupState.Flavor, reserved: ResourceList) -> (ResourceList, ResourceList) {
        let capacity = ResourceList(
            cpuMillis: flavor.vcpus * 1_000, memoryBytes: flavor.ramMiB * 1_048_576,
            ephemeralStorageBytes: flavor.diskGiB * 1_073_741_824, pods: 110)
        var allocatable = capacity
        allocatable.cpuMillis = max(0, capacity.cpuMillis - reserved.cpuMillis)
        allocatable.memoryBytes = max(0, capacity.memoryBytes - reserved.memoryBytes)
        allocatable.ephemeralStorageBytes = max(0, capacity.ephemeralStorageBytes - reserved.ephemeralStorageBytes)
        return (allocatable, capacity)
    }
}
