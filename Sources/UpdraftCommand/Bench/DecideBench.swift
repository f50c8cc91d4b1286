import Decider
import Glibc
import Messages
import Support

/// What a run of the decision bench measured.
public struct DecideBenchResult: Sendable {
    /// The workload.
    public var workload: String
    /// New nodes wanted, or nodes that could go.
    public var nodes: Int
    /// Pods that got no place.
    public var unserved: Int
    /// Each run in milliseconds.
    public var milliseconds: [Double]
    /// Highest resident memory of the process so far, in MiB.
    public var peakMebibytes: Double

    /// The run in the middle.
    public var median: Double { percentile(0.5) }

    /// The run that so large a part of all do not exceed.
    public func percentile(_ part: Double) -> Double {
        let sorted = milliseconds.sorted()
        guard !sorted.isEmpty else { return 0 }
        let rank = Int((Double(sorted.count) * part).rounded(.up)) - 1
        return sorted[min(max(rank, 0), sorted.count - 1)]
    }
}

/// The workloads of docs/performance.md: whole evaluations on a cluster that is in memory already.
public enum DecideBench {
    /// Their names.
    public static let workloads = [
        "up-3000x1", "up-3000x50", "up-30000x50", "up-30000x50-no-owner", "up-3000x50-anti-affinity",
        "up-3000x50-spread", "up-30000x50-on-5000", "up-3000x50-4-groups", "down-700-300", "down-2000x40",
        "estimate-51000", "incremental-5000",
    ]

    /// Runs one; nil when there is none of that name. `NAME-xN` is the workload with N times the nodes and the pods.
    public static func run(workload: String, repetitions: Int = 5) -> DecideBenchResult? {
        if workloads.contains(workload) { return run(workload, times: 1, workload, repetitions) }
        guard let mark = workload.lastIndex(of: "x"), let times = Int(workload[workload.index(after: mark)...]),
            (1...100).contains(times), workload[..<mark].hasSuffix("-")
        else { return nil }
        return run(String(workload[..<mark].dropLast()), times: times, workload, repetitions)
    }

    private static func run(
        _ base: String, times: Int, _ workload: String, _ repetitions: Int
    ) -> DecideBenchResult? {
        switch base {
        case "up-3000x1": return scaleUp(workload, nodes: 1_000 * times, pods: 3_000 * times, shapes: 1, repetitions)
        case "up-3000x50": return scaleUp(workload, nodes: 1_000 * times, pods: 3_000 * times, shapes: 50, repetitions)
        case "up-30000x50":
            return scaleUp(workload, nodes: 1_000 * times, pods: 30_000 * times, shapes: 50, repetitions)
        case "up-30000x50-no-owner":
            return scaleUp(workload, nodes: 1_000 * times, pods: 30_000 * times, shapes: 50, repetitions) {
                $0.owner = nil
            }
        case "up-3000x50-anti-affinity":
            return scaleUp(workload, nodes: 1_000 * times, pods: 3_000 * times, shapes: 50, repetitions) { shape in
                shape.podAntiAffinity = [
                    PodAffinityTerm(selector: own(shape), topologyKey: "kubernetes.io/hostname")
                ]
            }
        case "up-3000x50-spread":
            return scaleUp(workload, nodes: 1_000 * times, pods: 3_000 * times, shapes: 50, repetitions) { shape in
                shape.topologySpread = [
                    TopologySpreadConstraint(
                        maxSkew: 1, topologyKey: "kubernetes.io/hostname", selector: own(shape))
                ]
            }
        case "up-30000x50-on-5000":
            return scaleUp(workload, nodes: 5_000 * times, pods: 30_000 * times, shapes: 50, repetitions)
        case "up-3000x50-4-groups":
            return scaleUp(workload, nodes: 1_000 * times, pods: 3_000 * times, shapes: 50, repetitions, groups: 4)
        case "down-700-300":
            return scaleDown(workload, nodes: 1_000 * times, repetitions) { node in
                node % 3 == 0 && node / 3 < 300 * times ? (30, 66, 260) : (30, 200, 800)
            }
        case "down-2000x40": return scaleDown(workload, nodes: 2_000 * times, repetitions) { _ in (40, 80, 327) }
        case "estimate-51000": return estimate(workload, times, repetitions)
        case "incremental-5000": return incremental(workload, times, repetitions: 2_000)
        default: return nil
        }
    }

    private static let now = Timestamp(seconds: 1_800_000_000)
    private static let mebibyte: Int64 = 1 << 20

    private static func own(_ shape: PodShape) -> LabelSelector {
        LabelSelector([Requirement("app", .in, [shape.labels["app"] ?? ""])])
    }

    // MARK: Clusters

    private struct Cluster {
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

    private static func padded(_ number: Int, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private static func add(node index: Int, group: Int, scale: Int64, to cluster: inout Cluster) {
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
    private static func fill(
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

    private static func addPending(
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

    private static func core(
        _ cluster: Cluster, _ change: (inout DeciderConfiguration) -> Void = { _ in }
    ) -> DeciderCore {
        let groups = cluster.members.indices.map { GroupRules(id: "ng\($0)", min: 0, max: 100_000) }
        var configuration = DeciderConfiguration(cluster: "bench", groups: groups)
        configuration.scaleDown.interval = .zero
        change(&configuration)
        var core = DeciderCore(configuration, term: "bench")
        _ = core.receive(
            .clusterSnapshot(
                ClusterSnapshot(
                    cluster: "bench", epoch: "e", sequence: 1, takenAt: now,
                    shapes: cluster.shapes.enumerated().map { NumberedShape(id: $0.offset, shape: $0.element) },
                    nodes: cluster.nodes, pods: cluster.pods, workloads: cluster.owners)), at: now)
        for (group, members) in cluster.members.enumerated() {
            _ = core.receive(
                .groupState(
                    GroupState(
                        cluster: "bench", group: "ng\(group)", min: 0, max: 100_000, desired: members.count,
                        size: members.count,
                        members: members.map {
                            GroupState.Member(
                                name: $0, physicalID: $0, serverID: "server-\($0)", status: "CREATE_COMPLETE")
                        }, observedAt: now)), at: now)
        }
        return core
    }

    // MARK: Workloads

    private static func measure(
        _ workload: String, _ core: DeciderCore, _ repetitions: Int,
        count: (DeciderCore, [DeciderAction]) -> (nodes: Int, unserved: Int)
    ) -> DecideBenchResult {
        var result = DecideBenchResult(
            workload: workload, nodes: 0, unserved: 0, milliseconds: [], peakMebibytes: 0)
        let clock = ContinuousClock()
        for _ in 0..<repetitions {
            // Each run begins with the same state; the copy shares it until it is changed.
            var fresh = core
            let started = clock.now
            let actions = fresh.evaluate(at: now)
            result.milliseconds.append(milliseconds(started.duration(to: clock.now)))
            (result.nodes, result.unserved) = count(fresh, actions)
        }
        result.peakMebibytes = peak()
        return result
    }

    private static func scaleUp(
        _ workload: String, nodes: Int, pods: Int, shapes: Int, _ repetitions: Int, groups: Int = 1,
        _ change: (inout PodShape) -> Void = { _ in }
    ) -> DecideBenchResult {
        var cluster = Cluster(groups: groups)
        fill(&cluster, nodes: nodes) { _ in (30, 260, 1_050) }
        addPending(&cluster, pods, shapes: shapes, change)
        return measure(workload, core(cluster), repetitions) { _, actions in
            var added = 0
            var served = 0
            for case .publish(.scaleDecided(let decision)) in actions {
                added += decision.to - decision.from
                served += decision.podCount
            }
            return (added, pods - served)
        }
    }

    private static func scaleDown(
        _ workload: String, nodes: Int, _ repetitions: Int, _ load: (Int) -> (count: Int, cpu: Int64, memory: Int64)
    ) -> DecideBenchResult {
        var cluster = Cluster(groups: 1)
        fill(&cluster, nodes: nodes, load)
        return measure(workload, core(cluster), repetitions) { core, _ in
            (core.engine.standing(at: now).unneeded, 0)
        }
    }

    private static func estimate(_ workload: String, _ times: Int, _ repetitions: Int) -> DecideBenchResult {
        var cluster = Cluster(groups: 1)
        for (name, count, cpu, memory) in [("small", 50_000, 50, 100), ("medium", 1_000, 95, 190)] {
            let number = cluster.shape(
                PodShape(
                    labels: ["app": name], owner: PodShape.Owner(kind: "ReplicaSet", name: name),
                    requests: ResourceList(cpuMillis: Int64(cpu), memoryBytes: Int64(memory) * mebibyte)))
            for index in 0..<(count * times) {
                cluster.pods.append(
                    Pod(
                        uid: "\(name)-\(padded(index, 6))", name: "\(name)-\(index)", shape: number,
                        scheduling: .unschedulable, createdAt: now - .minutes(30)))
            }
        }
        let core = core(cluster) { configuration in
            configuration.groups[0].template = GroupRules.Template(
                allocatable: ResourceList(cpuMillis: 1_000, memoryBytes: 5_000 * mebibyte, pods: 100))
        }
        return measure(workload, core, repetitions) { _, actions in
            var added = 0
            var served = 0
            for case .publish(.scaleDecided(let decision)) in actions {
                added += decision.to - decision.from
                served += decision.podCount
            }
            return (added, 51_000 * times - served)
        }
    }

    /// One pod comes or goes, over and over, on 5,000 full nodes: message taken in and evaluated.
    private static func incremental(_ workload: String, _ times: Int, repetitions: Int) -> DecideBenchResult {
        var cluster = Cluster(groups: 1)
        fill(&cluster, nodes: 5_000 * times) { _ in (30, 260, 1_050) }
        addPending(&cluster, 0, shapes: 1) { $0.requests.cpuMillis = 10 }
        let shape = cluster.shapes.count - 1
        var core = core(cluster)
        _ = core.evaluate(at: now)
        var result = DecideBenchResult(
            workload: workload, nodes: 5_000 * times, unserved: 0, milliseconds: [], peakMebibytes: 0)
        let clock = ContinuousClock()
        var time = now
        for index in 0..<repetitions {
            time = time + .milliseconds(20)
            var delta = ClusterDelta(cluster: "bench", epoch: "e", sequence: Int64(index) + 2, takenAt: time)
            if index % 2 == 0 {
                delta.pods = [
                    Pod(
                        uid: "one-\(index)", name: "one-\(index)", shape: shape, scheduling: .unschedulable,
                        createdAt: time)
                ]
            } else {
                delta.removedPods = ["one-\(index - 1)"]
            }
            let started = clock.now
            _ = core.receive(.clusterDelta(delta), at: time)
            _ = core.evaluate(at: time)
            result.milliseconds.append(milliseconds(started.duration(to: clock.now)))
        }
        result.peakMebibytes = peak()
        return result
    }

    private static func milliseconds(_ duration: Duration) -> Double {
        let parts = duration.components
        return Double(parts.seconds) * 1_000 + Double(parts.attoseconds) / 1e15
    }

    /// `VmHWM` of this process.
    private static func peak() -> Double {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 8_192)
        let count = fread(&bytes, 1, bytes.count, file)
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        for line in text.split(separator: "\n") where line.hasPrefix("VmHWM:") {
            let number = line.drop { !$0.isNumber }.prefix { $0.isNumber }
            return (Double(number) ?? 0) / 1_024
        }
        return 0
    }
}
