import Messages
import ServiceRuntime
import Settings
import Support
import Testing

@testable import Collector

@Suite("Sending statistics, and what is told of it")
struct TelemetryServiceTests {
    /// Refuses the login, with the cause that it is told to give.
    private struct RefusingSink: TelemetrySink {
        let cause: @Sendable () -> String
        let sent: @Sendable () -> Void

        func send(_ batch: TelemetryCore.Batch, at now: Timestamp) async throws(TelemetryFailure) -> TelemetryPartial? {
            let cause = cause()
            sent()
            throw TelemetryFailure(code: .unauthorized, text: "refused: \(cause)", cause: cause)
        }

        func close() async {}
    }

    @Test("a refusal is told once, and again when there is something else to mend")
    func causes() async throws {
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x/", "collector.telemetry.to=gnocchi",
                "collector.telemetry.project_id=p", "collector.telemetry.messages_per_second=100",
            ])
        let (cause, lines, sent) = (Lock("revoked"), Lock<[String]>([]), Lock(0))
        let service = TelemetryService(
            settings.collector.telemetry, cluster: "test",
            sink: RefusingSink(cause: { cause.withLock { $0 } }, sent: { sent.withLock { $0 += 1 } }),
            log: Logger(
                service: "collector",
                write: { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }),
            metrics: Metrics())
        await service.counted(running: 1, pending: 0)
        let run = Task { await service.run() }
        /// Until so many batches were refused after now.
        func refused(_ times: Int) async throws -> Bool {
            let goal = sent.withLock { $0 } + times
            for _ in 0..<3_000 where sent.withLock({ $0 }) < goal { try await Task.sleep(for: .milliseconds(20)) }
            return sent.withLock { $0 } >= goal
        }
        #expect(try await refused(2))
        #expect(lines.withLock { $0.filter { $0.contains("refused: revoked") } }.count == 1)
        cause.withLock { $0 = "the file has a slip" }
        #expect(try await refused(1))
        run.cancel()
        await run.value
        let told = lines.withLock { $0 }
        #expect(told.filter { $0.contains("are not taken") }.count == 2, "\(told)")
        #expect(told.last?.contains("refused: the file has a slip") == true, "\(told)")
    }

    @Test("more pods than are remembered: it is told once, with how many and what to set")
    func leftOut() async throws {
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x/", "collector.telemetry.to=gnocchi",
                "collector.telemetry.project_id=p", "collector.telemetry.resources=pod",
            ])
        let lines = Lock<[String]>([])
        let service = TelemetryService(
            settings.collector.telemetry, cluster: "test", sink: RefusingSink(cause: { "" }, sent: {}),
            log: Logger(
                service: "collector",
                write: { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }),
            metrics: Metrics())
        let now = Timestamp.now()
        let pods = (0..<50_010).map { number in
            PodStats.Sample(namespace: "default", pod: "p\(number)", node: "n1", at: now, cpuMillis: 1)
        }
        for _ in 0..<2 {
            await service.measured(
                UsageMeter.Measured(node: NodeStats.Sample(node: "n1", at: now), pods: pods, rejected: [:]))
        }
        let told = lines.withLock { $0 }.filter { $0.contains("more pods and containers than 50000") }
        #expect(told.count == 1, "\(told)")
        #expect(told.first?.contains("\"count\":10,") == true, "\(told)")
        #expect(told.first?.contains("collector.telemetry.max_waiting") == true, "\(told)")
    }

    @Test(
        "from the settings: how long network and file systems are sent again, and who says how many share the pace",
        arguments: [("0s", 45), ("5s", 45), ("1m", 90), ("1h", 3_630)] as [(String, Double)])
    func made(_ details: String, _ seconds: Double) throws {
        let settings = try Settings.load(
            file: nil, environment: [:],
            flags: [
                "cluster=test", "bus.transport_url=rabbit://x:x@127.0.0.1:1/", "collector.telemetry.to=ceilometer",
                "collector.telemetry.project_id=p", "collector.stats.interval=15s",
                "collector.stats.details_interval=\(details)",
            ])
        let context = ServiceContext(
            name: "collector", settings: settings, log: Logger(service: "collector", write: { _ in }))
        let made = try TelemetryService.make(context, environment: [:], replicas: { 3 })
        let service = try #require(made)
        #expect(service.points.detailsLast == .seconds(seconds))
        #expect(service.replicas() == 3)
    }
}
