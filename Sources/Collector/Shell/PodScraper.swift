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
    private static let tick = Interval.milliseconds(500)
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

    private enum Event: Sendable {
        case ticked
        case scraped(ScrapedPod, Result<PodPage, ScrapeError>, at: Timestamp)
    }

    /// Runs until the task is cancelled.
    func run() async {
        var meter = RateMeter()
        var schedule = ScrapeSchedule(interval: settings.interval, details: nil)
        var waiting = Fifo<String>()
        // Pods that wait or are being asked: none stands in line twice.
        var pending: Set<String> = []
        var busy = 0
        var known: [String: ScrapedPod] = [:]
        var samples: [PodStats.Sample] = []
        var report = PodScrapeReport(every: settings.interval)
        await withTaskGroup(of: Event.self) { group in
            func sleep() {
                group.addTask {
                    try? await Task.sleep(for: Self.tick.duration)
                    return .ticked
                }
            }
            func start() {
                while busy < settings.parallel, let uid = waiting.popFirst() {
                    guard let pod = known[uid] else {
                        pending.remove(uid)
                        continue
                    }
                    busy += 1
                    group.addTask { await scrape(pod) }
                }
            }
            sleep()
            while let event = await group.next(), !Task.isCancelled {
                switch event {
                case .ticked:
                    let now = Timestamp.now()
                    known = await mine(at: now)
                    let uids = Set(known.keys)
                    meter.keep(only: uids)
                    for turn in schedule.due(uids, at: now) where pending.insert(turn.node).inserted {
                        waiting.append(turn.node)
                    }
                    start()
                    await publish(&samples)
                    report.tell(at: now, log)
                    sleep()
                case .scraped(let pod, let result, let at):
                    busy -= 1
                    pending.remove(pod.uid)
                    start()
                    switch result {
                    case .success(let page):
                        let missing = pod.stats.subtracting(page.sums.keys)
                        outcomes.increment(missing.isEmpty ? "ok" : "stat_missing")
                        if let name = missing.min() { report.failed(pod, "its page has no usable \(name)") }
                        let values = meter.take(page.sums, of: pod.uid, at: at)
                        guard !values.isEmpty else { continue }
                        var sample = PodStats.Sample(
                            namespace: pod.namespace, pod: pod.name, podUID: pod.uid, node: pod.node, at: at)
                        sample.values = values
                        samples.append(sample)
                    case .failure(let error):
                        outcomes.increment(error.label)
                        report.failed(pod, error.what)
                    }
                    if samples.count >= Self.batch { await publish(&samples) }
                }
            }
            group.cancelAll()
        }
        await reader.close()
    }

    /// The pods that this replica asks now.
    private func mine(at now: Timestamp) async -> [String: ScrapedPod] {
        let all = await pods()
        guard !all.isEmpty else { return [:] }
        let nodes = Set(all.map(\.node)).sorted()
        let own = Set(share?.withLock { $0.mine(nodes, at: now) } ?? nodes)
        return Dictionary(
            all.lazy.filter { own.contains($0.node) }.map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private func scrape(_ pod: ScrapedPod) async -> Event {
        do throws(ScrapeError) {
            let body = try await reader.read(pod)
            return .scraped(pod, .success(PodPage(body, names: pod.stats)), at: .now())
        } catch {
            return .scraped(pod, .failure(error), at: .now())
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
            throw ScrapeError(
                label: error.code == .timedOut ? "timed_out" : error.code.rawValue, what: error.description)
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
