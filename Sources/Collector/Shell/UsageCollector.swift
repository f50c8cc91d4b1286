import Bus
import Messages
import ServiceRuntime
import Settings
import Support

/// What the measuring needs to know of the cluster.
struct UsageSource: Sendable {
    /// The nodes; nil until they are known.
    var nodes: @Sendable () async -> [Node]?
    /// What is known of the pods of a node.
    var pods: @Sendable (_ node: String) async -> UsageMeter.PodsOnNode?
    /// Pods in the whole cluster, as far as they are known now, if this replica is the one that speaks for it.
    var cluster: @Sendable () async -> (running: Int?, pending: Int?)?
    /// Containers whose use scalers look at, by namespace.
    var containers: @Sendable () async -> [String: Set<String>] = { [:] }
}

/// Asks each kubelet once an interval, and publishes what they say soon after.
struct UsageCollector: Sendable {
    let source: UsageSource
    let scraper: KubeletScraper
    let bus: Bus
    /// Which nodes are this replica's; nil: all, which is the one that this runs on.
    let share: Lock<ScrapeShare>?
    let cluster: String
    let settings: Settings.Collector.Stats
    let log: Logger
    /// Told of each node that was measured: for Ceilometer and Gnocchi.
    let onMeasured: @Sendable (UsageMeter.Measured) async -> Void
    private let meters: UsageMetrics

    init(
        _ source: UsageSource, _ scraper: KubeletScraper, _ bus: Bus, _ share: Lock<ScrapeShare>?, cluster: String,
        _ settings: Settings.Collector.Stats, log: Logger, metrics: Metrics,
        onMeasured: @escaping @Sendable (UsageMeter.Measured) async -> Void = { _ in }
    ) {
        self.source = source
        self.scraper = scraper
        self.bus = bus
        self.share = share
        self.cluster = cluster
        self.settings = settings
        self.log = log
        self.onMeasured = onMeasured
        meters = UsageMetrics(metrics)
    }

    /// Samples in one message: about 200 bytes each, quoted.
    private static let batch = 2_000
    /// Half of what `bus.max_message` lets through by default.
    private static let batchBytes = 2 << 20
    /// Messages that wait for the broker, at most: then the oldest are dropped.
    private static let maximumWaiting = 200

    private struct Answer: Sendable {
        var known: UsageMeter.PodsOnNode?
        var result: Result<KubeletReading, ScrapeError>
        var took: Interval
    }

    /// Runs until the task is cancelled.
    func run() async {
        let (messages, outbox) = AsyncStream.makeStream(
            of: UsageMessage.self, bufferingPolicy: .bufferingNewest(Self.maximumWaiting))
        await withTaskGroup { group in
            group.addTask { await publish(messages) }
            await measure(outbox)
            outbox.finish()
            group.cancelAll()
        }
    }

    private func measure(_ outbox: AsyncStream<UsageMessage>.Continuation) async {
        var meter = UsageMeter(interval: settings.interval, details: settings.detailsInterval)
        var nodes: [NodeStats.Sample] = []
        var pods: [PodStats.Sample] = []
        var report = ScrapeReport(every: settings.interval)
        var wanted: [String: Set<String>] = [:]
        let steady = SteadyClock()
        let loop = ScrapeLoop<UsageMeter.Target, Answer>(
            interval: settings.interval, details: settings.detailsInterval, places: settings.parallel,
            // Who shares with nobody is the Collector of one node.
            isSingle: share == nil)
        await loop.run(
            targets: {
                guard let known = await source.nodes() else { return nil }
                wanted = await source.containers()
                let (targets, all) = mine(known, at: .now())
                // Who has no share for the moment forgets nothing: it may have the same one again.
                let kept = targets.isEmpty ? all : Set(targets.keys)
                meter.keep(only: kept)
                scraper.keep(only: kept)
                return ScrapeLoop<UsageMeter.Target, Answer>.Targets(asked: targets, kept: kept)
            }, ask: { target, details in await scrape(target, details: details) },
            outcome: { $0.result.isRouteDown ? .unreachable : .answered },
            answered: { target, answer in
                meters.scrapeSeconds.observe(answer.took)
                switch answer.result {
                case .success(let reading):
                    let measured = meter.take(reading, of: target, pods: answer.known, at: .now())
                    report.took(target.node, measured.rejected)
                    meters.took(measured)
                    nodes.append(measured.node)
                    pods += measured.pods
                    await onMeasured(measured)
                case .failure(let error):
                    meters.failed(error)
                    report.failed(target.node, error)
                    if let stale = meter.missed(target, at: .now()) { nodes.append(stale) }
                }
                if pods.count >= Self.batch { give(&nodes, &pods, wanted, outbox) }
            },
            ticked: {
                give(&nodes, &pods, wanted, outbox)
                report.tell(at: steady.now, log)
            })
    }

    /// The nodes that this replica asks now, and all that there are.
    private func mine(
        _ nodes: [Node], at now: Timestamp
    ) -> (targets: [String: UsageMeter.Target], all: Set<String>) {
        let known = nodes.filter { $0.deletedAt == nil }
        let all = known.map(\.name)
        let names = Set(share?.withLock { $0.mine(all, at: now) } ?? all)
        meters.nodes.set(Double(names.count))
        let targets = known.reduce(into: [String: UsageMeter.Target](minimumCapacity: names.count)) { targets, node in
            if names.contains(node.name) { targets[node.name] = UsageMeter.Target(node) }
        }
        return (targets, Set(all))
    }

    private func scrape(_ target: UsageMeter.Target, details: Bool) async -> Answer {
        let started = Timestamp.now()
        let known = await source.pods(target.node)
        let result: Result<KubeletReading, ScrapeError>
        do throws(ScrapeError) {
            let keys = known.map { Array($0.facts.keys) } ?? []
            result = .success(try await scraper.read(target, details: details, pods: keys, at: started))
        } catch {
            result = .failure(error)
        }
        return Answer(known: known, result: result, took: .now() - started)
    }

    /// Hands over what has gathered.
    private func give(
        _ nodes: inout [NodeStats.Sample], _ pods: inout [PodStats.Sample], _ wanted: [String: Set<String>],
        _ outbox: AsyncStream<UsageMessage>.Continuation
    ) {
        for start in stride(from: 0, to: nodes.count, by: Self.batch) {
            let samples = Array(nodes[start..<min(start + Self.batch, nodes.count)])
            yield(.nodes(NodeStats(cluster: cluster, samples: samples)), outbox)
        }
        // By number, and by about what they take: a kubelet that tells of thousands of containers must not make a message
        // too large for the bus, and other nodes' samples with it.
        var (part, bytes): ([PodStats.Sample], Int) = ([], 0)
        for var sample in pods {
            if !settings.containers { sample.keepContainers(wanted[sample.namespace]) }
            let size = (sample.containers ?? []).reduce(1_200) { $0 + 230 + $1.name.utf8.count }
            if part.count == Self.batch || (bytes + size > Self.batchBytes && !part.isEmpty) {
                yield(.pods(PodStats(cluster: cluster, samples: part)), outbox)
                (part, bytes) = ([], 0)
            }
            part.append(sample)
            bytes += size
        }
        if !part.isEmpty { yield(.pods(PodStats(cluster: cluster, samples: part)), outbox) }
        nodes.removeAll(keepingCapacity: true)
        pods.removeAll(keepingCapacity: true)
    }

    private func yield(_ message: UsageMessage, _ outbox: AsyncStream<UsageMessage>.Continuation) {
        if case .dropped = outbox.yield(message) { meters.dropped.increment() }
    }

    private func publish(_ messages: AsyncStream<UsageMessage>) async {
        for await message in messages {
            // What fails is told in log and metrics by the bus; the next reading brings new numbers.
            switch message {
            case .nodes(let stats):
                guard (try? await bus.publish(stats)) != nil else { continue }
                let now = Timestamp.now()
                for sample in stats.samples where !sample.stale { meters.age.observe(now - sample.at) }
            case .pods(let stats): _ = try? await bus.publish(stats)
            }
        }
    }
}

extension PodStats.Sample {
    /// Leaves out the containers that nobody looks at.
    mutating func keepContainers(_ wanted: Set<String>?) {
        guard let wanted, let all = containers else {
            containers = nil
            return
        }
        let kept = all.filter { wanted.contains($0.name) }
        containers = kept.isEmpty ? nil : kept
    }
}

extension Result<KubeletReading, ScrapeError> {
    /// Whether the node could not be reached, by no way.
    fileprivate var isRouteDown: Bool {
        if case .failure(let error) = self { error.isRouteDown } else { false }
    }
}

private enum UsageMessage: Sendable {
    case nodes(NodeStats)
    case pods(PodStats)
}

/// The metrics of measuring.
private struct UsageMetrics: Sendable {
    let outcomes: Counter
    let rejected: Counter
    let clocks: Counter
    let dropped: Counter
    let nodes: Gauge
    let scrapeSeconds: Histogram
    let age: Histogram

    init(_ metrics: Metrics) {
        outcomes = metrics.counter(
            "stats_scrapes", "Kubelets asked, by what came of it.", .label("outcome", atMost: 30))
        rejected = metrics.counter(
            "stats_rejected", "Lines and values of kubelets that were not used, by why.",
            .label("why", Rejections.Why.self))
        clocks = metrics.counter(
            "stats_clock_off", "Readings of kubelets whose clock differs from ours by more than two intervals.")
        dropped = metrics.counter("stats_dropped", "Messages with statistics dropped because the broker is too slow.")
        nodes = metrics.gauge("stats_nodes", "Nodes that this replica asks.")
        scrapeSeconds = metrics.histogram("stats_scrape_seconds", "One node, with all ways that were tried.")
        age = metrics.histogram(
            "stats_age_seconds", "From the kubelet's measuring of a node to the broker's confirm.")
    }

    func took(_ measured: UsageMeter.Measured) {
        outcomes.increment("ok")
        if measured.clockIsOff { clocks.increment() }
        count(measured.rejected)
    }

    func failed(_ error: ScrapeError) {
        outcomes.increment(error.label)
        count(error.rejected)
    }

    private func count(_ rejections: Rejections) {
        for (why, number) in rejections.counts { rejected.increment(why.rawValue, by: Double(number)) }
    }
}

/// Says what went wrong, once an interval and not once a node.
private struct ScrapeReport {
    private let every: Interval
    private var next: Timestamp?
    private var failures: [String: Int] = [:]
    private var failure: String?
    private var rejected = Rejections()
    private var rejecting: String?

    init(every: Interval) {
        self.every = every
    }

    mutating func failed(_ node: String, _ error: ScrapeError) {
        failures[error.label, default: 0] += 1
        failure = failure ?? "\(node): \(error.what)"
        took(node, error.rejected)
    }

    mutating func took(_ node: String, _ rejections: Rejections) {
        guard !rejections.isEmpty else { return }
        rejected.add(rejections)
        rejecting = rejecting ?? "\(node): \(rejections.summary)"
    }

    mutating func tell(at now: Timestamp, _ log: Logger) {
        if let next, now < next { return }
        next = now + every
        if let failure {
            let counts = failures.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            log.warning("kubelets gave no numbers", [.outcome: .string(counts), .error: .string(failure)])
        }
        if let rejecting {
            log.warning(
                "kubelets gave numbers that are not used",
                [.outcome: .string(rejected.summary), .error: .string(rejecting)])
        }
        self = ScrapeReport(every: every)
        next = now + every
    }
}
