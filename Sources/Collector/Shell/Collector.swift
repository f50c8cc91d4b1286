import Bus
import HTTPServer
import Kubernetes
import Messages
import OpenStack
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
            maximumInFlight: settings.kubernetes.maximumInFlight,
            requestTimeout: settings.kubernetes.requestTimeout)
        let bus = try context.openBus()
        let status = CollectorStatus(context)
        let replica = String(UInt64.random(in: 0 ... .max), radix: 36)
        var options = CollectorCore.Options(
            cluster: settings.cluster, replica: replica, batchWindow: settings.collector.batchWindow,
            snapshotInterval: settings.collector.snapshotInterval)
        options.wantsTargets = !settings.podScalers.isEmpty
        let engine = CollectorEngine(options, observer: status.observer)
        let node = settings.collector.node
        let watches = ClusterWatches(
            client, engine, pageSize: settings.kubernetes.pageSize, node: node, log: context.log,
            metrics: context.metrics)
        let scraper = KubeletScraper(
            client, settings.collector.stats, isOnNode: node != nil, log: context.log, metrics: context.metrics)
        let share = node == nil ? Lock(ScrapeShare(replica: replica)) : nil
        let telemetry = try TelemetryService.make(context, environment: ServiceMain.environmentVariables()) {
            share?.withLock { $0.replicas.count } ?? 1
        }
        let usage = UsageCollector(
            engine.usageSource(settings.podScalers), scraper, bus, share, cluster: settings.cluster,
            settings.collector.stats,
            log: context.log, metrics: context.metrics
        ) { measured in
            if let telemetry { await telemetry.measured(measured) }
        }
        let foreign = try openForeign(context)
        let nova = try openNova(context)
        let aodh = try openAodh(context)
        let openstack = openCloud(context)
        // Only whoever asks for it gets a port; one that cannot be had is a mistake to be told, not a service without it.
        let signals = try (node == nil ? settings.collector.signals.listen : nil).map { listen in
            try SignalServer(context, bus).listen(
                host: listen.host, port: listen.port,
                tls: settings.collector.signals.tls.map {
                    ServerTLS(certificateFile: $0.certificateFile, keyFile: $0.keyFile)
                })
        }
        await withTaskGroup { group in
            group.addTask { await watches.run() }
            if node == nil {
                let scales = ScaleReader(
                    client: client, engine: engine,
                    configured: settings.podScalers.compactMap { scaler in
                        guard let target = scaler.target, !target.isBuiltIn else { return nil }
                        return ScaleReader.Wanted(namespace: scaler.namespace, reference: target)
                    }, log: context.log)
                group.addTask { await scales.run() }
                group.addTask { await publish(engine, bus) }
                group.addTask {
                    await probe(bus, engine, cluster: settings.cluster, name: "\(context.host)/\(replica)")
                }
                group.addTask {
                    await context.supervisor.run("requests") { part in
                        part.ready()
                        try await serve(engine, bus)
                    }
                }
                let listener = CloudListener(
                    foreign: foreign ?? bus, aodh: aodh ?? foreign ?? bus, bus: bus, cluster: settings.cluster,
                    settings.collector,
                    log: context.log, metrics: context.metrics, nodes: engine.usageSource().nodes)
                group.addTask { await listen(listener, context) }
                if settings.collector.cloud.enabled {
                    let ears = CloudEars(
                        engine, foreign: nova ?? foreign ?? bus, bus, cluster: settings.cluster,
                        settings.collector.cloud,
                        context)
                    group.addTask { await ears.run() }
                }
            }
            if let telemetry {
                group.addTask { await telemetry.run() }
                group.addTask { await telemetry.watchLogin() }
                group.addTask { await count(engine, telemetry) }
                group.addTask {
                    await context.supervisor.run("groups") { part in
                        part.ready()
                        try await learnGroups(bus, replica, telemetry)
                    }
                }
            }
            if node == nil {
                let (isActive, tell) = (
                    { @Sendable in await engine.isActive },
                    { @Sendable (stats: ExternalStats) in _ = try? await bus.publish(stats) }
                )
                if !settings.collector.queues.isEmpty {
                    let queues = QueueReader(
                        publish: tell, cluster: settings.cluster, settings.collector, log: context.log,
                        metrics: context.metrics)
                    let rounds = Rounds(interval: settings.collector.stats.interval, isActive: isActive)
                    group.addTask { await queues.run(rounds) }
                }
                let configured = settings.podScalers
                let sources = SourceReader(
                    wanted: { await engine.sources(configured) }, publish: tell,
                    pods: SourcePods(
                        places: { await engine.podPlaces($0) }, publish: { _ = try? await bus.publish($0) }),
                    cluster: settings.cluster,
                    openstack.client, absence: openstack.absence,
                    clusterMetrics: ClusterMetricsReader(client: client), log: context.log, metrics: context.metrics)
                let rounds = Rounds(interval: settings.collector.openstackStats.interval, isActive: isActive)
                let own = Rounds(interval: settings.collector.stats.interval, isActive: isActive)
                group.addTask { await sources.run(rounds, cluster: own) }
            }
            if settings.collector.stats.enabled { group.addTask { await usage.run() } }
            // Also where kubelets are asked by one Collector on each node, which asks no pods.
            if let share {
                let configured = settings.podScalers
                let own = PodScraper(
                    pods: { await engine.scrapedPods(configured) }, bus, share, cluster: settings.cluster,
                    settings.collector.stats, log: context.log, metrics: context.metrics)
                group.addTask { await own.run() }
                group.addTask {
                    await context.supervisor.run("peers") { part in
                        part.ready()
                        try await hear(bus, replica, share)
                    }
                }
            }
            await context.shutdown.requested()
            group.cancelAll()
            await engine.stop()
            await group.waitForAll()
        }
        for other in [foreign, nova, aodh] { await other?.close(within: .seconds(5)) }
        signals?.stop()
        await bus.close(within: .seconds(5))
        await client.close()
        await scraper.close()
    }

    /// The login for sources of pod scalers. Without one that can be used the rest goes on, and scalers are told why.
    private static func openCloud(_ context: ServiceContext) -> (client: OpenStackClient?, absence: SourceTrouble) {
        let stats = context.settings.collector.openstackStats
        guard context.settings.collector.node == nil, stats.enabled else { return (nil, .switchedOff) }
        var openstack = context.settings.openstack
        openstack.cloud = stats.cloud ?? openstack.cloud
        openstack.cloudsFile = stats.cloudsFile ?? openstack.cloudsFile
        do {
            var cloud = try CloudConfiguration.chosen(openstack)
            // What takes longer holds up the next round; the value before serves meanwhile.
            cloud.timeout = min(cloud.timeout, .seconds(10))
            context.log.info("metrics and alarms are read for pod scalers", [.cloud: .string(cloud.summary)])
            let chosen = openstack
            return (
                OpenStackClient(cloud, reload: { () throws(OpenStackError) in try .chosen(chosen) }), .switchedOff
            )
        } catch {
            context.log.error("no metrics and alarms are read for pod scalers", [.error: .string("\(error)")])
            return (nil, SourceTrouble(label: "no_login", what: "collector.openstack_stats: \(error)"))
        }
    }

    /// Ceilometer's broker, if anything is heard there and it is another than ours.
    private static func openForeign(_ context: ServiceContext) throws -> Bus? {
        let collector = context.settings.collector
        return hearsTheCloud(collector) ? try context.openTelemetryBus() : nil
    }

    /// Nova's broker, if it is heard and has one of its own.
    private static func openNova(_ context: ServiceContext) throws -> Bus? {
        let settings = context.settings.collector
        guard settings.node == nil, settings.cloud.enabled else { return nil }
        return try context.openForeignBus(settings.cloud.transportURL, "collector.cloud.transport_url", name: "nova")
    }

    /// Aodh's broker, if it is heard and has one of its own.
    private static func openAodh(_ context: ServiceContext) throws -> Bus? {
        let settings = context.settings.collector
        guard settings.node == nil, settings.alarms.enabled else { return nil }
        return try context.openForeignBus(settings.alarms.transportURL, "collector.alarms.transport_url", name: "aodh")
    }

    /// Whether anything is heard at Ceilometer's broker: the hypervisors, and Nova and Aodh where they have none of their own.
    static func hearsTheCloud(_ settings: Settings.Collector) -> Bool {
        settings.node == nil
            && (settings.hypervisor.enabled || (settings.cloud.enabled && settings.cloud.transportURL == nil)
                || (settings.alarms.enabled && settings.alarms.transportURL == nil))
    }

    /// Hears the cloud's notifications that the settings want.
    private static func listen(_ listener: CloudListener, _ context: ServiceContext) async {
        await withTaskGroup { group in
            if listener.settings.alarms.enabled {
                group.addTask {
                    await context.supervisor.run("alarms") { part in
                        part.ready()
                        try await listener.alarms()
                    }
                }
            }
            if listener.settings.hypervisor.enabled {
                group.addTask {
                    await context.supervisor.run("hypervisors") { part in
                        part.ready()
                        try await listener.hypervisors()
                    }
                }
            }
        }
    }

    /// Publishes what the engine gives out, one after the other.
    private static func publish(_ engine: CollectorEngine, _ bus: Bus) async {
        for await publication in engine.publications {
            var ok = true
            do throws(BusError) {
                switch publication {
                case .snapshot(let parts): for part in parts { try await bus.publish(part) }
                case .delta(let delta): try await bus.publish(delta)
                }
            } catch {
                // Told in log and metrics by the bus. Parts that follow a lost one are of no use to anybody.
                ok = false
            }
            // A broker that refuses at once must not be asked in a loop.
            if !ok { try? await Task.sleep(for: .seconds(1)) }
            await engine.handle(.published(ok: ok))
        }
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

    /// Hears the other replicas, from a queue that is this one's alone.
    private static func hear(_ bus: Bus, _ replica: String, _ share: Lock<ScrapeShare>) async throws(BusError) {
        let subscription = Subscription(
            topics: [.requests], kind: .perishable(maximumLength: 1_000, ttl: .seconds(5)), suffix: "peers.\(replica)",
            exclusive: true, prefetch: 64, laps: [])
        try await bus.subscribe(subscription) { incoming in
            if case .snapshotRequested(let request) = incoming.event, request.requester.hasPrefix(probePrefix),
                let slash = request.requester.lastIndex(of: "/")
            {
                let word = request.requester[request.requester.index(after: slash)...]
                let isBlind = word.hasSuffix(blindness)
                let name = String(isBlind ? word.dropLast(blindness.count) : word)
                share.withLock { $0.heard(name, isBlind: isBlind, at: .now()) }
            }
            return .done
        }
    }

    /// Which servers belong to which group, as the Actuator says.
    private static func learnGroups(_ bus: Bus, _ replica: String, _ telemetry: TelemetryService) async throws(BusError)
    {
        let subscription = Subscription(
            topics: [.groups], kind: .perishable(maximumLength: 1_000, ttl: .minutes(10)),
            suffix: "telemetry.\(replica)", exclusive: true, prefetch: 16, laps: [])
        try await bus.subscribe(subscription) { incoming in
            if case .groupState(let state) = incoming.event {
                await telemetry.learn(state.members.compactMap(\.serverID), of: state.group)
            }
            return .done
        }
    }

    /// Counts the cluster's pods for telemetry, on the replica that speaks for the cluster.
    private static func count(_ engine: CollectorEngine, _ telemetry: TelemetryService) async {
        while (try? await Task.sleep(for: .seconds(5))) != nil {
            guard let counts = await engine.usageSource().cluster() else { continue }
            await telemetry.counted(running: counts.running, pending: counts.pending)
        }
    }

    private static let probePrefix = "updraft-collector."
    /// Behind the name of a replica that does not see the nodes.
    private static let blindness = "?blind"

    /// Asks into the same queue: whoever receives it is the active replica (see `CollectorCore`).
    private static func probe(_ bus: Bus, _ engine: CollectorEngine, cluster: String, name: String) async {
        while !Task.isCancelled {
            let question = SnapshotRequested(
                cluster: cluster, requester: probePrefix + name + (await engine.seesNodes ? "" : blindness),
                why: "which replica is active? (no snapshot is wanted)")
            _ = try? await bus.publish(question, priority: .debug)
            guard (try? await Task.sleep(for: probeInterval.duration)) != nil else { return }
        }
    }
}
