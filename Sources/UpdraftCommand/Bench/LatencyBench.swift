import Bus
import FoundationEssentials
import HTTPClient
import JSONReader
import Messages
import Support

/// What the way from a pod to a decision and to Heat's request took.
public struct LatencyBenchResult: Sendable, Equatable, Codable {
    /// Scale-ups measured.
    public var rounds: Int
    /// Milliseconds from the API server's creation of a pod to the PATCH arriving at Heat: the median.
    public var p50: Double
    /// The 99th percentile (the largest below 100 rounds).
    public var p99: Double
    /// The largest.
    public var worst: Double
    /// Milliseconds from the API server's creation of a pod to this process's reading the decision from the bus: the median.
    public var decidedP50: Double
    /// The 99th percentile of that (the largest below 100 rounds).
    public var decidedP99: Double
}

/// From a pod that no node can take to the PATCH at Heat, through all four services as processes, on the practice cloud.
/// No clock of two machines is involved: the practice cloud sees both ends, and who reads the bus runs on the same machine.
enum LatencyBench {
    /// Measures `rounds` scale-ups with a suite in `state`, on the broker at `transportURL`.
    static func run(rounds: Int, state: String, transportURL: String) async throws -> LatencyBenchResult {
        var options = DemoOptions()
        options.state = state
        options.transportURL = transportURL
        let suite = DemoSuite(options, programs: DemoFiles.programFolder())
        let run = DemoRun(options: options, suite: suite, http: HTTPClient(userAgent: "updraft-bench"))
        do {
            // Machines appear at once and the stack is idle again in milliseconds: only the way to Heat is measured.
            let control = try await run.start(minimum: 1, maximum: rounds + 1, pace: 0.01)
            let bus = try run.openBus()
            let decisions = Lock<[Timestamp]>([])
            let reader = Task {
                let subscription = Subscription(
                    topics: [.decisions], kind: .perishable(maximumLength: 10_000, ttl: .seconds(60)), exclusive: true)
                try? await bus.subscribe(subscription) { incoming in
                    if case .scaleDecided = incoming.event { decisions.withLock { $0.append(.now()) } }
                    return .done
                }
            }
            defer { reader.cancel() }
            let result = try await measure(rounds, control) { decisions.withLock { $0 } }
            await suite.stop()
            await bus.close(within: .seconds(2))
            return result
        } catch {
            await suite.stop()
            throw error
        }
    }

    /// `decisions`: when each decision so far was heard on the bus.
    private static func measure(
        _ rounds: Int, _ control: PracticeControl, decisions: () -> [Timestamp]
    ) async throws -> LatencyBenchResult {
        var milliseconds: [Double] = []
        var decided: [Double] = []
        for round in 0..<rounds {
            try await settled(control, nodes: max(1, round))
            // The Actuator reads a group back at intervals; a decision while the last change still counts as under way
            // would wait for that, which is not what is measured.
            try await Task.sleep(for: .milliseconds(1_200))
            let name = "pod-\(round)"
            // More than half of a machine of 4 cores, so that each needs one of its own.
            try await control.makeWorkload(["name": .string(name), "replicas": 1, "cpu": "2500m", "memory": "64Mi"])
            // The first takes the node that is there.
            if round == 0 { continue }
            try await settled(control, nodes: round + 1)
            let created = await control.times("pod.created", containing: "default/\(name)-").last
            let patches = await control.times("heat.request", containing: "PATCH")
            guard let created, let patch = patches.first(where: { $0 >= created }) else {
                throw DemoRun.Failure(description: "round \(round): no PATCH at Heat in the journal")
            }
            guard let decision = decisions().first(where: { $0 >= created }) else {
                throw DemoRun.Failure(description: "round \(round): no decision was heard on the bus")
            }
            milliseconds.append((patch - created).inSeconds * 1_000)
            decided.append((decision - created).inSeconds * 1_000)
        }
        milliseconds.sort()
        decided.sort()
        guard let worst = milliseconds.last else {
            throw DemoRun.Failure(description: "nothing was measured: two rounds are the least")
        }
        func at(_ share: Double, _ sorted: [Double]) -> Double {
            sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]
        }
        return LatencyBenchResult(
            rounds: milliseconds.count, p50: at(0.5, milliseconds), p99: at(0.99, milliseconds), worst: worst,
            decidedP50: at(0.5, decided), decidedP99: at(0.99, decided))
    }

    /// Waits until every pod runs, the group has so many nodes and Heat is idle.
    private static func settled(_ control: PracticeControl, nodes: Int) async throws {
        let deadline = Timestamp.now() + .seconds(60)
        while Timestamp.now() < deadline {
            if let state = await control.state(), !state.isBusy, state.unschedulable == 0, state.readyNodes >= nodes,
                state.running >= nodes - 1
            {
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw DemoRun.Failure(description: "not \(nodes) nodes after 60s")
    }
}
