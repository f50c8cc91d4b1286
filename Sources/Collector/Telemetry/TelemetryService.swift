import Bus
import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support

/// Sends statistics to Ceilometer or Gnocchi at a bounded pace. What goes wrong here disturbs nothing else: it is told in
/// the log and in metrics, and the service stays ready.
actor TelemetryService {
    private var core: TelemetryCore
    private let sink: any TelemetrySink
    private let log: Logger
    private let meters: TelemetryMetrics
    private var told: (code: TelemetryFailure.Code, cause: String)?
    private var toldPartial: (code: TelemetryFailure.Code, at: Timestamp)?
    nonisolated let points: TelemetryPoints
    /// Node groups by server id.
    private var groups: [String: String] = [:]
    private var countedDrops: Int64 = 0
    private var countedSuperseded: [TelemetryKind: Int64] = [:]
    private var toldOverload = false
    private var toldLeftOut = false
    /// Between two looks whether a batch is due.
    private let pause: Interval
    /// How many Collectors share the cluster's nodes, and so the pace.
    nonisolated let replicas: @Sendable () -> Int
    /// The login of the sink, if it has one.
    private let login: OpenStackClient?
    private let loginEnds = Lock<Timestamp?>(nil)

    init(
        _ settings: Settings.Collector.Telemetry, cluster: String, sink: any TelemetrySink,
        detailsLast: Interval? = nil, node: String? = nil, login: OpenStackClient? = nil,
        replicas: @escaping @Sendable () -> Int = { 1 },
        log: Logger, metrics: Metrics
    ) {
        self.replicas = replicas
        self.login = login
        if login != nil {
            let ends = loginEnds
            metrics.gauge(
                "telemetry_login_seconds_left",
                "Until the application credential or trust for Gnocchi ends; not there where it does not, or is a password."
            ) { ends.withLock { $0.map { ($0 - .now()).inSeconds } } }
        }
        let options = TelemetryCore.Options(settings, node: node)
        core = TelemetryCore(options)
        pause = max(.milliseconds(1), min(.milliseconds(100), options.pace))
        points = TelemetryPoints(
            cluster: cluster, kinds: Set(settings.resources.compactMap { TelemetryKind(rawValue: $0.rawValue) }),
            detailsLast: detailsLast)
        self.sink = sink
        self.log = log
        meters = TelemetryMetrics(metrics)
    }

    /// The node groups whose members are known.
    func learn(_ servers: [String], of group: String) {
        groups = groups.filter { $0.value != group }
        for server in servers.prefix(100_000) { groups[server] = group }
    }

    /// A node was measured.
    func measured(_ measured: UsageMeter.Measured) {
        take(points.points(measured, group: measured.node.serverID.flatMap { groups[$0] }))
    }

    /// The cluster was counted, as far as its pods are known.
    func counted(running: Int?, pending: Int?) {
        take(points.cluster(running: running, pending: pending, at: .now()))
    }

    private func take(_ points: [TelemetryPoint]) {
        core.take(points, at: .now())
        report()
    }

    /// Runs until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            core.sharing = replicas()
            if let batch = core.next(at: .now()) { await send(batch) }
            guard (try? await Task.sleep(for: pause.duration)) != nil else { break }
        }
        await sink.close()
    }

    /// Says in good time that the login's application credential or trust will end, where one is used; until the task is cancelled.
    nonisolated func watchLogin() async {
        guard let login else { return }
        await login.watchDelegation { news in
            loginEnds.withLock { $0 = news.delegation?.expiresAt }
            if let failure = news.failure {
                log.info(
                    "when the login's application credential or trust ends cannot be read",
                    [.code: .string(failure.code.rawValue), .error: .string(failure.description)])
            }
            guard let word = news.word else { return }
            if word.isUrgent { log.error(word.text) } else { log.warning(word.text) }
        }
    }

    private func send(_ batch: TelemetryCore.Batch) async {
        let started = Timestamp.now()
        do throws(TelemetryFailure) {
            let partial = try await sink.send(batch, at: started)
            core.ended(.sent, at: .now(), jitter: 0)
            meters.seconds.observe(.now() - started)
            var lost = partial?.points ?? 0
            if lost > 0 { meters.dropped.increment(by: Double(lost)) }
            // Which points were lost is not told: those that matter least, as far as this count goes.
            for entry in batch.entries.reversed() {
                let taken = max(0, entry.points.count - lost)
                lost -= entry.points.count - taken
                if taken > 0 { meters.sent.increment(entry.points[0].kind.rawValue, by: Double(taken)) }
            }
            if told != nil { log.info("statistics are taken again", [.total: .int(core.waiting)]) }
            told = nil
            meters.working.set(1)
            if let partial { tell(partial, at: started) }
        } catch {
            core.ended(error.isRetriable ? .failed : .refused, at: .now(), jitter: Double.random(in: 0...1))
            meters.failures.increment(error.code.rawValue)
            meters.working.set(0)
            // Once for each kind of trouble: it is tried again for as long as it lasts.
            if told?.code != error.code || told?.cause != error.cause {
                log.warning(
                    error.isRetriable
                        ? "statistics are not taken and are kept for now" : "statistics were refused and are given up",
                    [.code: .string(error.code.rawValue), .error: .string(error.text), .total: .int(core.waiting)])
            }
            told = (error.code, error.cause)
        }
        report()
    }

    /// Once an hour for each kind: the metrics are left out for a while, and then the same happens again.
    private func tell(_ partial: TelemetryPartial, at now: Timestamp) {
        meters.failures.increment(partial.failure.code.rawValue)
        meters.refusedMetrics.increment(by: Double(partial.metrics))
        if let toldPartial, toldPartial.code == partial.failure.code, now - toldPartial.at < .minutes(60),
            now >= toldPartial.at
        {
            return
        }
        toldPartial = (partial.failure.code, now)
        log.warning(
            "some metrics were refused and are given up; the others are taken",
            [
                .code: .string(partial.failure.code.rawValue), .error: .string(partial.failure.text),
                .total: .int(partial.metrics),
            ])
    }

    private func report() {
        meters.waiting.set(Double(core.waiting))
        if core.dropped > countedDrops {
            meters.dropped.increment(by: Double(core.dropped - countedDrops))
            countedDrops = core.dropped
        }
        reportLeftOut()
        reportOverload()
    }

    /// Once when it begins, once when it has ended.
    private func reportLeftOut() {
        let number = core.leftOut
        guard (number > 0) != toldLeftOut else { return }
        toldLeftOut = number > 0
        guard toldLeftOut else {
            log.info("no pods or containers are left out of the statistics any more", [.total: .int(core.remembered)])
            return
        }
        log.warning(
            "there are more pods and containers than \(core.mostRemembered): statistics of the others are not sent; raise "
                + "collector.telemetry.max_waiting (and messages_per_second or interval, to send them all), or leave container "
                + "out of collector.telemetry.resources",
            [.count: .int(number), .total: .int(core.remembered)])
    }

    /// Once, until all has gone again.
    private func reportOverload() {
        if core.waiting == 0 { toldOverload = false }
        guard core.superseded != countedSuperseded else { return }
        for (kind, number) in core.superseded {
            let news = number - (countedSuperseded[kind] ?? 0)
            if news > 0 { meters.superseded.increment(kind.rawValue, by: Double(news)) }
        }
        countedSuperseded = core.superseded
        guard !toldOverload else { return }
        toldOverload = true
        log.warning(
            "more statistics come than may go: of each resource only the newest is sent; raise "
                + "collector.telemetry.messages_per_second or interval, or choose fewer resources",
            [.total: .int(core.waiting)])
    }
}

extension TelemetryCore.Options {
    /// - Parameter node: the only one that is measured, by one process of many such; nil: the whole cluster.
    init(_ settings: Settings.Collector.Telemetry, node: String? = nil) {
        self.init(
            interval: settings.interval, perBatch: settings.resourcesPerMessage,
            pace: .seconds(1 / settings.messagesPerSecond), maximumWaiting: settings.maximumWaiting,
            attributesEvery: settings.attributesInterval,
            turn: node.map { Double(StableHash.of($0) % 10_000) / 10_000 })
    }
}

private struct TelemetryMetrics: Sendable {
    let sent: Counter
    let failures: Counter
    let dropped: Counter
    let superseded: Counter
    let refusedMetrics: Counter
    let waiting: Gauge
    let working: Gauge
    let seconds: Histogram

    init(_ metrics: Metrics) {
        sent = metrics.counter(
            "telemetry_points", "Points that Ceilometer's broker or Gnocchi took.", .label("kind", TelemetryKind.self))
        failures = metrics.counter(
            "telemetry_failures", "Batches that were not taken, by why.", .label("code", TelemetryFailure.Code.self))
        dropped = metrics.counter("telemetry_dropped_points", "Points given up: refused, or too many waited.")
        superseded = metrics.counter(
            "telemetry_superseded_points", "Points that newer ones took the place of before they could go: overload.",
            .label("kind", TelemetryKind.self))
        refusedMetrics = metrics.counter(
            "telemetry_refused_metrics", "Metrics of batches that were taken, which were not themselves.")
        waiting = metrics.gauge("telemetry_waiting_points", "Points that wait to be sent.")
        working = metrics.gauge("telemetry_working", "Whether the last batch was taken: 1 or 0.")
        seconds = metrics.histogram("telemetry_send_seconds", "One batch, until it is taken.")
    }
}

extension TelemetryService {
    /// The service as the settings want it; nil if statistics go nowhere.
    /// - Parameter replicas: how many Collectors share the cluster's nodes.
    static func make(
        _ context: ServiceContext, environment: [String: String], replicas: @escaping @Sendable () -> Int
    ) throws -> TelemetryService? {
        let settings = context.settings.collector.telemetry
        let sink: any TelemetrySink
        var login: OpenStackClient?
        switch settings.to {
        case .none: return nil
        case .ceilometer:
            let notification = CeilometerNotification(
                publisherID: "updraft-collector.\(context.host)", projectID: settings.projectID,
                userID: settings.userID, secret: settings.secret.map { Array($0.revealed.utf8) })
            let log = context.log
            let publisher = try context.openTelemetryPublisher { host in
                log.info("connected to Ceilometer's broker", [.broker: .string(host)])
            }
            sink = CeilometerSink(publisher: publisher, exchange: settings.exchange, notification: notification)
        case .gnocchi:
            var openstack = context.settings.openstack
            openstack.cloud = settings.cloud ?? openstack.cloud
            openstack.cloudsFile = settings.cloudsFile ?? openstack.cloudsFile
            let cloud = try CloudConfiguration.chosen(openstack, environment: environment)
            context.log.info("statistics go to Gnocchi", [.cloud: .string(cloud.summary)])
            let chosen = openstack
            let client = OpenStackClient(
                cloud,
                reload: { () throws(OpenStackError) in try .chosen(chosen, environment: environment) })
            login = client
            sink = GnocchiSink(
                client, projectID: settings.projectID, userID: settings.userID,
                archivePolicy: settings.archivePolicy)
        }
        let stats = context.settings.collector.stats
        return TelemetryService(
            settings, cluster: context.settings.cluster, sink: sink,
            // A reading later than the next page with details should have come.
            detailsLast: max(stats.detailsInterval ?? .zero, stats.interval) + stats.interval * 2,
            node: context.settings.collector.node,
            login: login, replicas: replicas, log: context.log, metrics: context.metrics)
    }
}

extension CloudConfiguration {
    /// The cloud that the settings choose.
    static func chosen(
        _ settings: Settings.OpenStack, environment: [String: String] = ServiceMain.environmentVariables()
    ) throws(OpenStackError) -> CloudConfiguration {
        var cloud = try load(
            cloud: settings.cloud, file: settings.cloudsFile, region: settings.region, environment: environment)
        cloud.timeout = settings.requestTimeout
        if let interface = settings.interface { cloud.interface = interface.rawValue }
        return cloud
    }
}
