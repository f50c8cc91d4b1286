import Bus
import Messages
import ServiceRuntime
import Settings
import Support

/// Asks all kubelets once an interval, and publishes what they say.
struct UsageRounds: Sendable {
    let engine: CollectorEngine
    let scraper: KubeletScraper
    let bus: Bus
    let cluster: String
    let settings: Settings.Collector.Stats
    let log: Logger
    let outcomes: Counter
    let duration: Histogram

    init(
        _ engine: CollectorEngine, _ scraper: KubeletScraper, _ bus: Bus, cluster: String,
        _ settings: Settings.Collector.Stats, log: Logger, metrics: Metrics
    ) {
        self.engine = engine
        self.scraper = scraper
        self.bus = bus
        self.cluster = cluster
        self.settings = settings
        self.log = log
        outcomes = metrics.counter(
            "stats_scrapes", "Kubelets asked, by what came of it.", .label("outcome", atMost: 30))
        duration = metrics.histogram("stats_round_seconds", "One round over all kubelets.")
    }

    /// Samples in one message: about 200 bytes each, quoted.
    private static let batch = 2_000

    /// Runs until the task is cancelled.
    func run() async {
        var meter = UsageMeter(interval: settings.interval)
        var next = ContinuousClock.now
        while !Task.isCancelled {
            next += settings.interval.duration
            if let nodes = await engine.nodesToMeasure {
                let started = Timestamp.now()
                await round(&meter, nodes.filter { $0.deletedAt == nil }.map { UsageMeter.Target($0) })
                duration.observe(Timestamp.now() - started)
            }
            // A round that took longer than the interval does not make the next ones follow without a pause.
            next = max(next, .now)
            guard (try? await Task.sleep(until: next, clock: .continuous)) != nil else { return }
        }
    }

    private func round(_ meter: inout UsageMeter, _ targets: [UsageMeter.Target]) async {
        let names = Set(targets.map(\.node))
        meter.keep(only: names)
        scraper.keep(only: names)
        var nodes: [NodeStats.Sample] = []
        var pods: [PodStats.Sample] = []
        var failures: [String: Int] = [:]
        var example: String?
        await withTaskGroup(of: (UsageMeter.Target, Result<KubeletReading, ScrapeError>).self) { group in
            var waiting = targets[...]
            func start() {
                guard let target = waiting.popFirst() else { return }
                group.addTask { [scraper] in
                    do throws(ScrapeError) {
                        return (target, .success(try await scraper.read(target, at: .now())))
                    } catch {
                        return (target, .failure(error))
                    }
                }
            }
            for _ in 0..<settings.parallel { start() }
            while let (target, result) = await group.next() {
                start()
                switch result {
                case .success(let reading):
                    outcomes.increment("ok")
                    let (node, readings) = meter.take(reading, of: target, at: .now())
                    nodes.append(node)
                    pods += readings
                case .failure(let error):
                    outcomes.increment(error.label)
                    failures[error.label, default: 0] += 1
                    example = example ?? "\(target.node): \(error.what)"
                    if let stale = meter.missed(target, at: .now()) { nodes.append(stale) }
                }
            }
        }
        if Task.isCancelled { return }
        if let example {
            let counts = failures.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
            log.warning(
                "kubelets gave no numbers",
                [.outcome: .string(counts), .total: .int(targets.count), .error: .string(example)])
        }
        await publish(nodes, pods)
    }

    private func publish(_ nodes: [NodeStats.Sample], _ pods: [PodStats.Sample]) async {
        for start in stride(from: 0, to: nodes.count, by: Self.batch) {
            let samples = Array(nodes[start..<min(start + Self.batch, nodes.count)])
            // Told in log and metrics by the bus; the next round brings new numbers.
            _ = try? await bus.publish(NodeStats(cluster: cluster, samples: samples))
        }
        for start in stride(from: 0, to: pods.count, by: Self.batch) {
            let samples = Array(pods[start..<min(start + Self.batch, pods.count)])
            _ = try? await bus.publish(PodStats(cluster: cluster, samples: samples))
        }
    }
}
