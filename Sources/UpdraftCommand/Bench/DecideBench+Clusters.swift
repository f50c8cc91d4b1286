import Decider
import Messages
import Support

/// The clusters of the workloads.
extension DecideBench {
    /// A cluster in the making.
    struct Cluster {
        var nodes: [Node] = []
        var pods: [Pod] = []
        var shapes: [PodShape] = []
        var owners: [Workload] = []
        var members: [[String]]

        init(groups: Int) {
            members = Array(repeating: [], count: groups)
        }

        mutating func shape(_ shape: PodShape) -> Int {
            shapes.append(shape)
            return shapes.count - 1
        }
    }

    static func padded(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    static func add(node index: Int, group: Int, scale: Int64, to cluster: inout Cluster) {
        let name = "n-\(padded(index, 4))"
        cluster.nodes.append(
            Node(
                name: name, uid: "uid-\(name)", providerID: "openstack:///server-\(name)",
                labels: [
                    "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                    "topology.kubernetes.io/zone": "z1", "node.kubernetes.io/instance-type": "m1.large",
                    "pool": "ng\(group)",
                ],
                allocatable: ResourceList(
                    cpuMillis: 8_000 * scale, memoryBytes: 32_768 * mebibyte * scale, pods: 110),
                readinessChangedAt: now - .minutes(300), createdAt: now - .minutes(300)))
        cluster.members[group].append(name)
    }

    /// Nodes with running pods: how many, cpu in thousandths and memory in MiB of each, by node.
    static func fill(
        _ cluster: inout Cluster, nodes: Int, _ load: (Int) -> (count: Int, cpu: Int64, memory: Int64)
    ) {
        let groups = cluster.members.count
        var numbers: [String: Int] = [:]
        for index in 0..<nodes {
            let scale = Int64(1) << Int64(index % groups)
            add(node: index, group: index % groups, scale: scale, to: &cluster)
            let (count, cpu, memory) = load(index)
            for place in 0..<count {
                let owner = "rs-\(padded((index * count + place) % 100, 3))"
                let key = "\(owner) \(cpu * scale) \(memory * scale)"
                let number: Int
                if let known = numbers[key] {
                    number = known
                } else {
                    number = cluster.shape(
                        PodShape(
                            labels: ["app": owner], owner: PodShape.Owner(kind: "ReplicaSet", name: owner),
                            requests: ResourceList(
                                cpuMillis: cpu * scale, memoryBytes: memory * mebibyte * scale)))
                    numbers[key] = number
                }
                cluster.pods.append(
                    Pod(
                        uid: "uid-run-\(index)-\(place)", name: "\(owner)-\(index)-\(place)", shape: number,
                        node: "n-\(padded(index, 4))", phase: .running, scheduling: .scheduled, ready: true,
                        createdAt: now - .minutes(30)))
            }
        }
        cluster.owners = (0..<100).map {
            Workload(
                kind: "ReplicaSet", namespace: "default", name: "rs-\(padded($0, 3))", replicas: 300,
                currentReplicas: 300)
        }
    }

    /// Pods that wait, of so many shapes.
    static func addPending(
        _ cluster: inout Cluster, _ count: Int, shapes: Int, _ change: (inout PodShape) -> Void
    ) {
        let first = cluster.shapes.count
        for number in 0..<shapes {
            let cpu = shapes == 1 ? 500 : Int64(250 + 50 * number)
            let memory = shapes == 1 ? 1_024 : Int64(512 + 128 * ((7 * number) % 50))
            var shape = PodShape(
                labels: ["app": "pend-\(number)"], owner: PodShape.Owner(kind: "ReplicaSet", name: "pend-\(number)"),
                requests: ResourceList(cpuMillis: cpu, memoryBytes: memory * mebibyte))
            change(&shape)
            _ = cluster.shape(shape)
        }
        for index in 0..<count {
            cluster.pods.append(
                Pod(
                    uid: "uid-pend-\(padded(index, 6))", name: "pend-\(index % shapes)-\(index)",
                    shape: first + index % shapes, scheduling: .unschedulable, createdAt: now - .minutes(30),
                    unschedulableSince: now - .minutes(30)))
        }
    }
}
