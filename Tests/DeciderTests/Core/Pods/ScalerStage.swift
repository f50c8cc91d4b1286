import Messages
import Support

@testable import Decider

/// A stage with a scaled workload: pods on nodes, their stats, and the target as the Collector would tell it.
struct ScalerStage {
    var stage: Stage
    var target = ScaleTarget(
        apiVersion: "apps/v1", kind: "Deployment", namespace: "default", name: "web", labels: ["app": "web"],
        selector: LabelSelector([Requirement("app", .in, ["web"])]), replicas: 2)
    var scaler = PodScaler(
        namespace: "default", name: "web",
        target: TargetReference(apiVersion: "apps/v1", kind: "Deployment", name: "web"),
        maximum: 10, intentions: [Intention(stat: "cpu", goal: .utilization(50))])
    private(set) var pods: [Pod] = []
    private(set) var shape = Stage.shape(cpu: 1_000)
    private var made = 0

    init(
        nodes: [String] = ["n1"], pods count: Int = 2, groups: [GroupRules] = [GroupRules(id: "w", min: 0, max: 9)],
        shape: PodShape? = nil, change: (inout ScalerStage) -> Void = { _ in }
    ) {
        self.init(nodes: nodes, pods: count, groups: groups, shape: shape, configure: { _ in }, change: change)
    }

    init(
        nodes: [String] = ["n1"], pods count: Int = 2, groups: [GroupRules] = [GroupRules(id: "w", min: 0, max: 9)],
        shape: PodShape? = nil, configure: (inout DeciderConfiguration) -> Void, change: (inout ScalerStage) -> Void
    ) {
        stage = Stage(groups: groups, configure: configure)
        if let shape { self.shape = shape }
        target.replicas = count
        change(&self)
        addPods(count, on: nodes.first)
        stage.snapshot(
            nodes: nodes.map { Stage.node($0) }, pods: pods,
            scaling: PodScaling(scalers: [scaler], targets: [target]))
        stage.group("w", nodes)
    }

    /// Makes pods, without telling it.
    mutating func addPods(_ count: Int, on node: String?) {
        guard count > 0 else { return }
        for var pod in stage.pods("web\(made)", count, shape, on: node) {
            pod.startedAt = stage.now - .minutes(60)
            pod.readyChangedAt = stage.now - .minutes(59)
            pods.append(pod)
        }
        made += 1
    }

    /// All pods use so much CPU, in thousandths of a core.
    mutating func load(_ cpu: Double, at time: Timestamp? = nil) {
        stage.receive(
            .podStats(
                PodStats(
                    cluster: "test",
                    samples: pods.map {
                        PodStats.Sample(
                            namespace: "default", pod: $0.name, podUID: $0.uid, node: $0.node ?? "",
                            at: time ?? stage.now, cpuMillis: cpu)
                    })))
    }

    /// All pods tell a stat of their own.
    mutating func tellOwn(_ stat: String, _ value: Double) {
        stage.receive(
            .podStats(
                PodStats(
                    cluster: "test",
                    samples: pods.map { pod in
                        var sample = PodStats.Sample(
                            namespace: "default", pod: pod.name, podUID: pod.uid, node: pod.node ?? "", at: stage.now)
                        sample.values = [stat: value]
                        return sample
                    })))
    }

    /// An external value.
    mutating func tell(_ stat: String, _ value: Double, at time: Timestamp? = nil, every interval: Interval? = nil) {
        stage.receive(
            .externalStats(
                ExternalStats(
                    cluster: "test", samples: [.init(stat: stat, value: value, at: time ?? stage.now)],
                    interval: interval)))
    }

    /// The Collector tells target and scaler as they are now, and pods that are new.
    mutating func tellTarget(pods: [Pod] = [], removedPods: [String] = []) {
        stage.delta(
            pods: pods, removedPods: removedPods,
            scaling: PodScalingChange(changed: PodScaling(scalers: [scaler], targets: [target])))
    }

    /// What was decided is carried out: the target has the replicas, their pods are not there yet.
    mutating func carryOut() {
        guard let decision = decided.last else { return }
        target.replicas = decision.to
        tellTarget()
    }

    /// Time passes with a load; what is decided is carried out.
    mutating func run(_ interval: Interval, load cpu: Double, step: Interval = .seconds(15)) {
        var rest = interval
        while rest > .zero {
            stage.now = stage.now + step
            load(cpu)
            stage.now = stage.now - step
            stage.evaluate(after: step)
            carryOut()
            rest = Interval(microseconds: rest.microseconds - step.microseconds)
        }
    }

    /// An evaluation after a while with fresh stats.
    mutating func evaluate(after interval: Interval = .seconds(15), load cpu: Double? = nil) {
        if let cpu {
            stage.now = stage.now + interval
            load(cpu)
            stage.now = stage.now - interval
        }
        stage.evaluate(after: interval)
    }

    var decided: [PodsDecided] {
        stage.decisions.compactMap { if case .podsDecided(let decision) = $0 { decision } else { nil } }
    }

    /// From and to of the last decision.
    var change: [Int] { decided.last.map { [$0.from, $0.to] } ?? [] }

    /// What is said of the scaler now: the whole record is asked for.
    mutating func entry(_ id: String = "default/web") -> Evaluation.ScalerEntry? {
        stage.entries(at: stage.now).first { $0.scaler == id }
    }
}

extension Stage {
    /// All scaler entries of a complete evaluation, on a copy.
    func entries(at now: Timestamp) -> [Evaluation.ScalerEntry] {
        var copy = core
        return copy.evaluate(at: now, complete: true).compactMap { action in
            if case .publish(.evaluation(let record)) = action { record.scalers } else { nil }
        }.flatMap { $0 }
    }
}
