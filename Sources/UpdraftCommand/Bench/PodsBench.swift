import Bus
import FoundationEssentials
import HTTPClient
import JSONReader
import Messages
import Support

/// How long load waits for its pods.
public struct PodsBenchResult: Sendable, Equatable, Codable {
    /// Pods that the load asks for.
    public var pods: Int
    /// Seconds from the load to the last pod that runs, replicas and nodes in one decision.
    public var together: Double
    /// The same with HorizontalPodAutoscaler's rule, and nodes for pods that the scheduler could not place.
    public var apart: Double
}

/// From load to the last pod that runs, on the practice cloud with machines that take 60 s to start: by a pod scaler, and by
/// HorizontalPodAutoscaler v2's rule (average of an external stat, default behavior, each 15 s) with the same services for the
/// nodes. The clock is the practice cloud's for both.
enum PodsBench {
    private static let (pods, perNode, average) = (40, 4, 10)
    private static let workload = "web"
    private static let stat = "load"
    private static let limit = Interval.minutes(10)

    static func run(state: String, transportURL: String) async throws -> PodsBenchResult {
        var seconds: [Double] = []
        for isTogether in [true, false] {
            var options = DemoOptions()
            options.state = "\(state)/\(isTogether ? "together" : "apart")"
            options.transportURL = transportURL
            try FileManager.default.createDirectory(atPath: options.state, withIntermediateDirectories: true)
            let suite = DemoSuite(options, programs: DemoFiles.programFolder())
            let run = DemoRun(options: options, suite: suite, http: HTTPClient(userAgent: "updraft-bench"))
            do {
                let control = try await run.start(
                    minimum: 1, maximum: pods / perNode + 2, pace: 1, boot: 60, more: isTogether ? scaler : "")
                let bus = try run.openBus()
                seconds.append(try await measure(control, bus, isTogether))
                await bus.close(within: .seconds(2))
                await suite.stop()
            } catch {
                await suite.stop()
                throw error
            }
        }
        return PodsBenchResult(pods: pods, together: seconds[0], apart: seconds[1])
    }

    private static let scaler = """
        pod_scalers:
        - name: \(workload)
          target: {kind: Deployment, name: \(workload)}
          max: \(pods)
          intentions:
          - {stat: \(stat), external: true, average: \(average)}

        """

    /// Two pods run on one node; then there is load for forty.
    private static func measure(_ control: PracticeControl, _ bus: Bus, _ isTogether: Bool) async throws -> Double {
        // A little less than a quarter of a machine of 4 cores.
        try await control.makeWorkload(
            ["name": .string(workload), "replicas": 2, "cpu": "900m", "memory": "64Mi"])
        try await wait("two pods", control, bus, load: 2) { $0.running == 2 }
        // Nothing of the start is under way any more, and the scaler has seen the stat.
        for _ in 0..<20 { try await second(bus, load: 2) }
        let start = Timestamp.now()
        var replicas = 2
        var lookedAt: Timestamp?
        try await wait("\(pods) pods", control, bus, load: pods) { state in
            if !isTogether, lookedAt.map({ .now() - $0 >= .seconds(15) }) ?? true, replicas < pods {
                lookedAt = .now()
                // Default behavior: in 15 s doubled, or four more.
                replicas = min(pods, max(replicas * 2, replicas + 4))
                try await control.scale(workload, to: replicas)
            }
            return state.running >= pods
        }
        return (Timestamp.now() - start).inSeconds
    }

    /// Tells the load once a second until the condition holds.
    private static func wait(
        _ what: String, _ control: PracticeControl, _ bus: Bus, load: Int,
        until condition: (PracticeControl.State) async throws -> Bool
    ) async throws {
        let deadline = Timestamp.now() + limit
        while Timestamp.now() < deadline {
            if let state = await control.state(), try await condition(state) { return }
            try await second(bus, load: load)
        }
        throw DemoRun.Failure(description: "not \(what) after \(limit)")
    }

    private static func second(_ bus: Bus, load: Int) async throws {
        let value = Double(load * average)
        try await bus.publish(
            ExternalStats(
                cluster: "demo", samples: [ExternalStats.Sample(stat: stat, value: value, at: .now())]))
        try await Task.sleep(for: .seconds(1))
    }
}
