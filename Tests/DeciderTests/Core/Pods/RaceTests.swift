import Messages
import Support
import Testing

@testable import Decider

/// A small cluster under a stepped clock: a controller that makes pods, a scheduler, machines that start in 60 s.
private struct Race {
    enum Kind {
        /// Pod scaler and nodes in one decision.
        case ours
        /// HorizontalPodAutoscaler's rule every 15 s, nodes for pods that the scheduler could not place.
        case apart
    }

    private struct RunningPod {
        var uid: String
        var node: String?
        var runsAt: Timestamp?
        var isMarked = false
    }

    static let perNode = 4
    let kind: Kind
    var stage: ScalerStage
    var queue = 20.0
    private var pods: [RunningPod] = []
    private var nodes: [String: Timestamp] = [:]
    private var made = 0
    private var judge = ScalerRuntime()
    private var judgedAt: Timestamp?
    /// Nodes whose removal was decided.
    var removed: [String] = []

    init(_ kind: Kind) {
        self.kind = kind
        stage = ScalerStage(
            pods: 0, groups: [GroupRules(id: "w", min: 0, max: 40)],
            configure: {
                $0.scaleDown.delayAfterAdd = .zero
                $0.scaleDown.oneRemovalPerGroup = false
            },
            change: {
                $0.scaler.maximum = 40
                $0.scaler.intentions = [Intention(stat: "queue", isExternal: true, goal: .average(10))]
                if kind == .apart { $0.scaler.enabled = false }
                $0.target.replicas = 2
            })
        nodes["n1"] = stage.stage.now
    }

    var now: Timestamp { stage.stage.now }
    var running: Int { pods.count { $0.runsAt.map { $0 <= now } ?? false } }

    /// One second.
    mutating func step() {
        stage.stage.now = now + .seconds(1)
        // Machines that have started.
        let ready = nodes.filter { $0.value == now }.keys.sorted()
        if !ready.isEmpty { stage.stage.delta(nodes: ready.map { Stage.node($0, createdAt: now) }) }
        schedule()
        control()
        stage.tell("queue", queue)
        stage.stage.now = now - .seconds(1)
        stage.stage.evaluate(after: .seconds(1))
        if let decision = stage.decided.last { stage.target.replicas = decision.to }
        if kind == .apart { autoscale() }
        for scale in stage.stage.scaled {
            for number in nodes.count..<scale.to { nodes["n\(number + 1)"] = now + .seconds(60) }
            stage.stage.group("w", nodes.keys.sorted(), max: 40)
        }
        removed += stage.stage.removed.flatMap { $0.nodes.map(\.node) }
        if !stage.decided.isEmpty || kind == .apart { stage.tellTarget() }
    }

    /// The owner makes and ends pods.
    private mutating func control() {
        while pods.count < stage.target.replicas {
            made += 1
            pods.append(RunningPod(uid: "p\(made)"))
            tell([pods.count - 1])
        }
        if pods.count > stage.target.replicas {
            let gone = pods[stage.target.replicas...].map(\.uid)
            pods.removeLast(gone.count)
            stage.stage.delta(removedPods: gone)
        }
    }

    /// The scheduler looks at each pod a second after it was made, and again when a node is ready.
    private mutating func schedule() {
        var changed: [Int] = []
        for index in pods.indices where pods[index].node == nil {
            let free = nodes.filter { $0.value <= now }.keys.sorted().first { node in
                pods.count { $0.node == node } < Self.perNode
            }
            if let free {
                pods[index].node = free
                pods[index].runsAt = now + .seconds(2)
                changed.append(index)
            } else if !pods[index].isMarked {
                pods[index].isMarked = true
                changed.append(index)
            }
        }
        tell(changed)
    }

    private mutating func tell(_ indices: [Int]) {
        guard !indices.isEmpty else { return }
        let number = stage.stage.number(stage.shape)
        let told = indices.map { index -> Pod in
            let pod = pods[index]
            return Pod(
                uid: pod.uid, name: pod.uid, shape: number, node: pod.node,
                phase: pod.node == nil ? .pending : .running,
                scheduling: pod.node != nil ? .scheduled : pod.isMarked ? .unschedulable : .unseen,
                ready: pod.node != nil, createdAt: now - .seconds(30), startedAt: now, readyChangedAt: now)
        }
        stage.stage.delta(pods: told)
    }

    private mutating func autoscale() {
        guard judgedAt.map({ now - $0 >= .seconds(15) }) ?? true else { return }
        judgedAt = now
        let (current, value) = (stage.target.replicas, queue)
        let scene = ScalerScene(
            current: current, ready: running, pods: { _ in [] }, external: { _ in .success(value) })
        let verdict = ScalerJudge(scaler: stage.scaler, now: now).judge(scene, &judge)
        guard verdict.desired != current else { return }
        judge.history.changed(from: current, to: verdict.desired, stage.scaler, at: now)
        stage.target.replicas = verdict.desired
    }

    /// Seconds until the condition holds; nil: not within the limit.
    mutating func seconds(limit: Int, until condition: (Race) -> Bool) -> Int? {
        for second in 0...limit {
            if condition(self) { return second }
            step()
        }
        return nil
    }
}

@Suite("Pods and nodes grow and shrink together, measured against one after the other")
struct RaceTests {
    @Test("Load comes: forty pods run sooner, with machines that take 60 s to start")
    func growth() throws {
        var times: [Int] = []
        for kind in [Race.Kind.ours, .apart] {
            var race = Race(kind)
            _ = race.seconds(limit: 30) { _ in false }
            #expect(race.running == 2)
            race.queue = 400
            let seconds = race.seconds(limit: 600) { $0.running == 40 }
            times.append(try #require(seconds, "\(kind): \(race.running) run, \(race.stage.target.replicas) wanted"))
        }
        #expect(
            times[0] <= 80 && times[1] - times[0] >= 30,
            "one decision: \(times[0]) s, one after the other: \(times[1]) s")
    }

    @Test("Load goes: pods go after the window, and the freed nodes without a time of their own")
    func shrinking() throws {
        var times: [Int] = []
        for kind in [Race.Kind.ours, .apart] {
            var race = Race(kind)
            _ = race.seconds(limit: 30) { _ in false }
            race.queue = 400
            _ = race.seconds(limit: 600) { $0.running == 40 }
            race.queue = 20
            let seconds = race.seconds(limit: 1_500) { !$0.removed.isEmpty }
            times.append(try #require(seconds, "\(kind): \(race.stage.target.replicas) replicas"))
            #expect(race.stage.target.replicas == 2)
        }
        #expect(
            times[0] <= 360 && times[1] >= times[0] + 540,
            "one decision: \(times[0]) s, one after the other: \(times[1]) s")
    }
}
