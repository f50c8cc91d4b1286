import Decider
import Messages
import Support

extension DecideBench {
    /// 1,000 pod scalers over 20,000 pods on 1,000 nodes: fresh stats of every pod, then one evaluation that looks at all
    /// scalers. `nodes` is how many targets were changed in the last one.
    static func scalers(_ workload: String, repetitions: Int) -> DecideBenchResult {
        let (scalers, replicas) = (1_000, 20)
        var cluster = Cluster(groups: 1)
        fill(&cluster, nodes: 1_000) { _ in (0, 0, 0) }
        var scaling = PodScaling()
        for number in 0..<scalers {
            let app = "app-\(padded(number, 4))"
            let shape = cluster.shape(
                PodShape(
                    labels: ["app": app], owner: PodShape.Owner(kind: "ReplicaSet", name: app),
                    requests: ResourceList(cpuMillis: 200, memoryBytes: 256 * mebibyte)))
            for place in 0..<replicas {
                cluster.pods.append(
                    Pod(
                        uid: "uid-\(app)-\(place)", name: "\(app)-\(place)", shape: shape,
                        node: "n-\(padded((number * replicas + place) % 1_000, 4))", phase: .running,
                        scheduling: .scheduled, ready: true, createdAt: now - .minutes(60),
                        startedAt: now - .minutes(60), readyChangedAt: now - .minutes(59)))
            }
            let reference = TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: app)
            scaling.targets.append(
                ScaleTarget(
                    apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: app,
                    selector: LabelSelector([Requirement("app", .in, [app])]), replicas: replicas))
            scaling.scalers.append(
                PodScaler(
                    namespace: "default", name: app, target: reference, maximum: 100,
                    intentions: [
                        Intention(stat: "cpu", goal: .utilization(60)),
                        Intention(stat: "memory", goal: .utilization(80)),
                    ]))
        }
        var core = core(cluster)
        _ = core.receive(
            .clusterDelta(
                ClusterDelta(
                    cluster: "bench", epoch: "e", sequence: 2, takenAt: now,
                    scaling: PodScalingChange(changed: scaling))), at: now)
        var result = DecideBenchResult(
            workload: workload, nodes: 0, unserved: 0, milliseconds: [], peakMebibytes: 0)
        let clock = ContinuousClock()
        var time = now
        for round in 0..<repetitions {
            time = time + .seconds(5)
            _ = core.receive(
                .clusterDelta(ClusterDelta(cluster: "bench", epoch: "e", sequence: 2, takenAt: time)), at: time)
            let samples = cluster.pods.enumerated().map { index, pod in
                var sample = PodStats.Sample(
                    namespace: "default", pod: pod.name, podUID: pod.uid, node: pod.node ?? "", at: time,
                    cpuMillis: Double(100 + (index + round) % 40), memoryBytes: 200 * mebibyte)
                sample.podUID = pod.uid
                return sample
            }
            _ = core.receive(.podStats(PodStats(cluster: "bench", samples: samples)), at: time)
            let started = clock.now
            let actions = core.evaluate(at: time)
            result.milliseconds.append(milliseconds(started.duration(to: clock.now)))
            result.nodes = actions.count { action in
                if case .publish(.podsDecided) = action { true } else { false }
            }
        }
        result.peakMebibytes = peak()
        return result
    }
}
