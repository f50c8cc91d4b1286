import Bus
import HTTPClient
import Messages
import ServiceRuntime
import Settings
import Support

/// A pod that tells stats of its own which a scaler names.
struct ScrapedPod: Sendable, Hashable {
    var uid: String
    var namespace: String
    var name: String
    var node: String
    /// IP address.
    var address: String
    var endpoint: PodEndpoint
    /// The stats that are wanted of it.
    var stats: Set<String>
}

/// Asks pods with the annotation `updraft.io/scrape` for the stats that scalers of their namespace name, once an interval, and
/// publishes them. Replicas share the pods as they share the nodes: by the node that each runs on.
struct PodScraper: Sendable {
    /// Samples in one message.
    private static let batch = 1_000

    let pods: @Sendable () async -> [ScrapedPod]
    let bus: Bus
    /// Which nodes are this replica's; nil: all.
    let share: Lock<ScrapeShare>?
    let cluster: String
    let settings: Settings.Collector.Stats
    let log: Logger
    private let reader: PodReader
    private let outcomes: Counter

    init(
        pods: @escaping @Sendable () async -> [ScrapedPod], _ bus: Bus, _ share: Lock<ScrapeShare>?, cluster: String,
        _ settings: Settings.Collector.Stats, log: Logger, metrics: Metrics
    ) {
        self.pods = pods
        self.bus = bus
        self.share = share
        self.cluster = cluster
        self.settings = settings
        self.log = log
        reader = PodReader(timeout: settings.timeout, parallel: settings.parallel)
        outcomes = metrics.counter(
            "stats_pod_scrapes", "Pods asked for stats of their own, by what came of it.",
            .label("outcome", atMost: 30))
    }

    private struct Answer: Sendable {
        var result: Result<PodPage, ScrapeError>
        var at: Timestamp
    }

    /// Runs until the task is cancelled.
    func run() async {
        var meter = RateMeter()
        var samples: [PodStats.Sample] = []
        var report = PodScrapeReport(every: settings.interval)
        let steady = SteadyClock()
        let loop = ScrapeLoop<ScrapedPod, Answer>(
            interval: settings.interval, details: nil, places: settings.parallel)
        await loop.run(
            targets: {
                let pods = await mine(at: .now())
                let uids = Set(pods.keys)
                meter.keep(only: uids)
                return ScrapeLoop<ScrapedPod, Answer>.Targets(asked: pods, kept: uids)
            }, ask: { pod, _ in await scrape(pod) },
            outcome: { answer in
                if case .failure(let error) = answer.result, error.isRouteDown { .unreachable } else { .answered }
            },
            answered: { pod, answer in
                switch answer.result {
                case .success(let page):
                    let missing = pod.stats.subtracting(page.sums.keys)
                    outcomes.increment(missing.isEmpty ? "ok" : "stat_missing")
                    if let name = missing.min() { report.failed(pod, "its page has no usable \(name)") }
                    let values = meter.take(page.sums, of: pod.uid, at: answer.at)
                    guard !values.isEmpty else { return }
                    var sample = PodStats.Sample(
                        namespace: pod.namespace, pod: pod.name, podUID: pod.uid, node: pod.node, at: answer.at)
                    sample.values = values
                    samples.append(sample)
                case .failure(let error):
                    outcomes.increment(error.label)
                    report.failed(pod, error.what)
                }
                if samples.count >= Self.batch { await publish(&samples) }
            },
            ticked: {
                await publish(&samples)
                report.tell(at: steady.now, log)
            })
        await reader.close()
    }

    /// The pods that this replica asks now.
    private func mine(at now: Timestamp) async -> [String: ScrapedPod] {
        let all = await pods()
        let nodes = Set(all.map(\.node)).sorted()
        // Also where no pod is asked and where no kubelet is: it is here that replicas that fell silent are left out, which the pace
        // of telemetry counts too.
        let own = Set(share?.withLock { $0.mine(nodes, at: now) } ?? nodes)
        return Dictionary(
            all.lazy.filter { own.contains($0.node) }.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private func scrape(_ pod: ScrapedPod) async -> Answer {
        do throws(ScrapeError) {
            let body = try await reader.read(pod)
            return Answer(result: .success(PodPage(body, names: pod.stats)), at: .now())
        } catch {
            return Answer(result: .failure(error), at: .now())
        }
    }

    private func publish(_ samples: inout [PodStats.Sample]) async {
        for start in stride(from: 0, to: samples.count, by: Self.batch) {
            let part = Array(samples[start..<min(start + Self.batch, samples.count)])
            // What fails is told in log and metrics by the bus; the next reading brings new numbers.
            _ = try? await bus.publish(PodStats(cluster: cluster, samples: part))
        }
        samples.removeAll(keepingCapacity: true)
    }
}

/// Fetches pages of pods: without credentials, without following redirects, bounded in time and size.
struct PodReader: Sendable {
    private static let longestTimeout = Interval.seconds(5)

    private let http: HTTPClient
    private let timeout: Interval
    private let maximumBytes: Int

    init(timeout: Interval, parallel: Int, maximumBytes: Int = 8 << 20) {
        http = HTTPClient(maximumInFlight: parallel, userAgent: "updraft-collector")
        self.timeout = min(timeout, Self.longestTimeout)
        self.maximumBytes = maximumBytes
    }

    func close() async {
        await http.close()
    }

    /// The page of a pod.
    func read(_ pod: ScrapedPod) async throws(ScrapeError) -> [UInt8] {
        let response: HTTPResponse
        do throws(HTTPError) {
            response = try await http.send(
                HTTPRequest(
                    .get, pod.endpoint.url(pod.address), headers: ["Accept": "text/plain;version=0.0.4"],
                    timeouts: HTTPTimeouts(connect: timeout, total: timeout), maximumResponseBytes: maximumBytes,
                    retry: .none))
        } catch {
            // A pod that is just starting refuses at once and costs nothing: only who keeps us waiting has to wait in turn.
            throw ScrapeError(
                label: error.code == .timedOut ? "timed_out" : error.code.rawValue, what: error.description,
                isRouteDown: error.code == .timedOut)
        }
        guard response.status == 200 else {
            throw ScrapeError(label: "status_\(response.status)", what: "it answered \(response.status)")
        }
        return response.body
    }
}

/// Says what went wrong, once an interval and not once a pod.
private struct PodScrapeReport {
    private let every: Interval
    private var next: Timestamp?
    private var count = 0
    private var first: String?

    init(every: Interval) {
        self.every = every
    }

    mutating func failed(_ pod: ScrapedPod, _ why: String) {
        count += 1
        first = first ?? "\(pod.namespace)/\(pod.name) (\(pod.endpoint.url(pod.address))): \(why)"
    }

    mutating func tell(at now: Timestamp, _ log: Logger) {
        if let next, now < next { return }
        next = now + every
        if let first {
            log.warning("pods gave no stats of their own", [.count: .int(count), .error: .string(first)])
        }
        count = 0
        first = nil
    }
}
