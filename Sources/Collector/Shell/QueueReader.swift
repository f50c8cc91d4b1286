import Bus
import Crypto
import HTTPClient
import JSONReader
import Messages
import ServiceRuntime
import Settings
import Support

/// Reads the depth and the rates of the queues that the settings name, once an interval, and publishes them as external stats:
/// the replica that speaks for the cluster, and only it.
struct QueueReader: Sendable {
    private static let maximumBytes = 1 << 20

    let publish: @Sendable (ExternalStats) async -> Void
    let cluster: String
    let queues: [Settings.Collector.Queue]
    let timeout: Interval
    let log: Logger
    private let http = HTTPClient(maximumInFlight: 8, userAgent: "updraft-collector")
    private let outcomes: Counter

    init(
        publish: @escaping @Sendable (ExternalStats) async -> Void, cluster: String, _ settings: Settings.Collector,
        log: Logger, metrics: Metrics
    ) {
        self.publish = publish
        self.cluster = cluster
        queues = settings.queues
        timeout = settings.stats.timeout
        self.log = log
        outcomes = metrics.counter(
            "stats_queue_reads", "Queues asked for (`collector.queues`), by what came of it.",
            .label("outcome", atMost: 30))
    }

    /// Runs until the task is cancelled.
    func run(_ rounds: Rounds) async {
        var failures: [String: String] = [:]
        var meter = RateMeter()
        await rounds.run { now in
            var stats = await readAll(&failures, &meter, at: now)
            stats.interval = rounds.interval
            if !stats.samples.isEmpty || stats.failures != nil { await publish(stats) }
        }
        await http.close()
    }

    /// One reading of each queue. A failure is told when it begins, changes or ends.
    func readAll(_ failures: inout [String: String], _ meter: inout RateMeter, at now: Timestamp) async
        -> ExternalStats
    {
        var samples: [ExternalStats.Sample] = []
        var missing: [ExternalStats.Failure] = []
        await withTaskGroup(of: (Settings.Collector.Queue, Result<QueueReading, ScrapeError>).self) { group in
            for queue in queues { group.addTask { (queue, await result(of: queue)) } }
            for await (queue, result) in group {
                switch result {
                case .success(let reading):
                    outcomes.increment("ok")
                    if failures.removeValue(forKey: queue.id) != nil {
                        log.info("a queue is read again", [.queue: .string(queue.queue), .resource: .string(queue.id)])
                    }
                    for (name, value) in meter.take(reading.numbers, of: queue.id, at: now) {
                        samples.append(
                            ExternalStats.Sample(
                                stat: "\(queue.id).\(QueueReading.stat(name))", namespace: queue.namespace,
                                value: value, at: now))
                    }
                case .failure(let error):
                    outcomes.increment(error.label)
                    missing += QueueReading.stats.map {
                        ExternalStats.Failure(
                            stat: "\(queue.id).\($0)", namespace: queue.namespace,
                            why: "queue \(queue.queue): \(error.what)", at: now)
                    }
                    if failures.updateValue(error.label, forKey: queue.id) != error.label {
                        log.warning(
                            "a queue cannot be read",
                            [
                                .queue: .string(queue.queue), .resource: .string(queue.id),
                                .error: .string(error.what),
                            ])
                    }
                }
            }
        }
        return ExternalStats(
            cluster: cluster, samples: samples.sorted { $0.stat < $1.stat },
            failures: missing.isEmpty ? nil : missing.sorted { $0.stat < $1.stat })
    }

    private func result(of queue: Settings.Collector.Queue) async -> Result<QueueReading, ScrapeError> {
        do throws(ScrapeError) {
            return .success(try await read(queue))
        } catch {
            return .failure(error)
        }
    }

    private func read(_ queue: Settings.Collector.Queue) async throws(ScrapeError) -> QueueReading {
        let base = queue.url.hasSuffix("/") ? String(queue.url.dropLast()) : queue.url
        let credentials = Array("\(queue.user):\(queue.password.revealed)".utf8)
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try await http.send(
                HTTPRequest(
                    .get,
                    "\(base)/api/queues/\(PercentEncoding.segment(queue.vhost))/\(PercentEncoding.segment(queue.queue))",
                    headers: [
                        "Accept": "application/json", "Authorization": "Basic \(credentials.base64)",
                    ],
                    timeouts: HTTPTimeouts(connect: min(timeout, .seconds(5)), total: timeout),
                    maximumResponseBytes: Self.maximumBytes, retry: .none))
        } catch {
            throw ScrapeError(
                label: error.code == .timedOut ? "timed_out" : error.code.rawValue, what: error.description)
        }
        guard response.status == 200 else {
            let text = String(decoding: response.body.prefix(200), as: UTF8.self)
            throw ScrapeError(
                label: "status_\(response.status)",
                what: "queue \(queue.queue) in \(queue.vhost) at \(base): \(response.status) \(text)")
        }
        let reading: QueueReading
        do throws(JSONError) {
            reading = try QueueReading(response.body)
        } catch {
            throw ScrapeError(label: "malformed", what: "queue \(queue.queue) at \(base): \(error)")
        }
        guard !reading.numbers.isEmpty else {
            throw ScrapeError(
                label: "no_numbers",
                what:
                    "queue \(queue.queue) at \(base): the answer holds no numbers (yet, or statistics are switched off)"
            )
        }
        return reading
    }
}
