import Bus
import Kubernetes
import Messages
import ServiceRuntime
import Settings
import Support

/// The Collector: watches a cluster and tells the others over the bus. Reads only.
public enum Collector {
    /// Probes are sent this often: a fifth of the lease.
    private static let probeInterval = Interval.seconds(1)

    /// Runs the service until its end is wanted.
    public static func run(_ context: ServiceContext) async throws {
        let settings = context.settings
        let configuration = try KubernetesConfiguration.chosen(
            kubeconfig: settings.kubernetes.kubeconfig, context: settings.kubernetes.context,
            inCluster: settings.kubernetes.inCluster, environment: ServiceMain.environmentVariables())
        context.log.info(
            "watching", [.cluster: .string(settings.cluster), .address: .string(configuration.description)])
        let client = KubernetesClient(
            configuration, userAgent: "updraft-collector/\(UpdraftVersion.text)",
            maximumInFlight: settings.kubernetes.maximumInFlight)
        let bus = try context.openBus()
        let status = CollectorStatus(context)
        let replica = String(UInt64.random(in: 0 ... .max), radix: 36)
        let engine = CollectorEngine(
            CollectorCore.Options(
                cluster: settings.cluster, replica: replica, batchWindow: settings.collector.batchWindow,
                snapshotInterval: settings.collector.snapshotInterval),
            observer: status.observer)
        let watches = ClusterWatches(
            client, engine, pageSize: settings.kubernetes.pageSize, log: context.log, metrics: context.metrics)
        let scraper = KubeletScraper(client, settings.collector.stats, log: context.log, metrics: context.metrics)
        let rounds = UsageRounds(
            engine, scraper, bus, cluster: settings.cluster, settings.collector.stats, log: context.log,
            metrics: context.metrics)
        await withTaskGroup { group in
            group.addTask { await watches.run() }
            group.addTask { await publish(engine, bus) }
            group.addTask { await probe(bus, cluster: settings.cluster, host: context.host) }
            group.addTask {
                await context.supervisor.run("requests") { part in
                    part.ready()
                    try await serve(engine, bus)
                }
            }
            if settings.collector.stats.enabled { group.addTask { await rounds.run() } }
            await context.shutdown.requested()
            group.cancelAll()
            await engine.stop()
            await group.waitForAll()
        }
        await bus.close(within: .seconds(5))
        await client.close()
        await scraper.close()
    }

    /// Publishes what the engine gives out, one after the other.
    private static func publish(_ engine: CollectorEngine, _ bus: Bus) async {
        for await messages in engine.publications {
            var ok = true
            for message in messages {
                do throws(BusError) {
                    try await publish(message, bus)
                } catch {
                    // Told in log and metrics by the bus. Parts that follow a lost one are of no use to anybody.
                    ok = false
                    break
                }
            }
            // A broker that refuses at once must not be asked in a loop.
            if !ok { try? await Task.sleep(for: .seconds(1)) }
            await engine.handle(.published(ok: ok))
        }
    }

    private static func publish<Message: Payload>(_ message: Message, _ bus: Bus) async throws(BusError) {
        try await bus.publish(message)
    }

    /// Reads the queue of requests, which one replica of each cluster gets.
    private static func serve(_ engine: CollectorEngine, _ bus: Bus) async throws(BusError) {
        let subscription = Subscription(
            topics: [.requests], kind: .perishable(maximumLength: 1_000, ttl: .seconds(60)), prefetch: 16, laps: [])
        try await bus.subscribe(subscription) { incoming in
            guard case .snapshotRequested(let request) = incoming.event else { return .done }
            if request.requester.hasPrefix(probePrefix) {
                await engine.handle(.probed)
            } else {
                await engine.handle(.snapshotRequested(why: "\(request.requester): \(request.why)"))
            }
            return .done
        }
    }

    private static let probePrefix = "updraft-collector."

    /// Asks into the same queue: whoever receives it is the active replica (see `CollectorCore`).
    private static func probe(_ bus: Bus, cluster: String, host: String) async {
        let question = SnapshotRequested(
            cluster: cluster, requester: probePrefix + host, why: "which replica is active? (no snapshot is wanted)")
        while !Task.isCancelled {
            _ = try? await bus.publish(question, priority: .debug)
            guard (try? await Task.sleep(for: probeInterval.duration)) != nil else { return }
        }
    }
}
