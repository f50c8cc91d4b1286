import Decider
import Glibc
import Messages
import Support

/// The workloads of docs/performance.md: whole evaluations on a cluster that is in memory already.
public enum DecideBench {
    /// Their names.
    public static let workloads = [
        "up-3000x1", "up-3000x50", "up-30000x50", "up-30000x50-no-owner", "up-3000x50-anti-affinity",
        "up-3000x50-spread", "up-30000x50-on-5000", "up-3000x50-4-groups", "down-700-300", "down-2000x40",
        "estimate-51000", "incremental-5000", "scalers-1000",
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
        case "scalers-1000": return scalers(workload, repetitions: 200)
        default: return nil
        }
    }

    static let now = Timestamp(seconds: 1_800_000_000)
    static let mebibyte: Int64 = 1 << 20

    private static func own(_ shape: PodShape) -> LabelSelector {
        LabelSelector([Requirement("app", .in, [shape.labels["app"] ?? ""])])
    }

    // MARK: Workloads

    static func core(
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
            // Nodes of larger groups have room for some.
            for case .publish(.evaluation(let record)) in actions {
                for entry in record.pods where entry.outcome.reason == .fitsExisting { served += entry.count }
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

    static func milliseconds(_ duration: Duration) -> Double {
        let parts = duration.components
        return Double(parts.seconds) * 1_000 + Double(parts.attoseconds) / 1e15
    }

    /// `VmHWM` of this process.
    static func peak() -> Double {
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
