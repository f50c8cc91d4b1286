import Bus
import Kubernetes
import Messages
import OpenStack
import ServiceRuntime
import Settings
import Support

/// The Actuator as a service: reads decisions, drives Heat and Kubernetes, says what became of it.
public enum ActuatorService {
    /// One sentence for `--help`.
    public static let about =
        "Carries out decisions: resizes Heat groups, drains nodes with notice, removes chosen members."

    /// Runs until the context's shutdown.
    public static func run(_ context: ServiceContext) async throws {
        let environment = ServiceMain.environmentVariables()
        let settings = context.settings
        let cluster = KubernetesClient(
            try KubernetesConfiguration.chosen(
                kubeconfig: settings.kubernetes.kubeconfig, context: settings.kubernetes.context,
                inCluster: settings.kubernetes.inCluster, environment: environment),
            userAgent: "updraft-actuator/\(UpdraftVersion.text)",
            maximumInFlight: settings.kubernetes.maximumInFlight,
            requestTimeout: settings.kubernetes.requestTimeout)
        var cloud = try CloudConfiguration.load(
            cloud: settings.openstack.cloud, file: settings.openstack.cloudsFile, region: settings.openstack.region,
            environment: environment)
        cloud.timeout = settings.openstack.requestTimeout
        if let interface = settings.openstack.interface { cloud.interface = interface.rawValue }
        let openstack = OpenStackClient(
            cloud,
            reload: { () throws(OpenStackError) in
                try .load(
                    cloud: settings.openstack.cloud, file: settings.openstack.cloudsFile,
                    region: settings.openstack.region, environment: environment)
            })
        let bus = try context.openBus(standing: [Self.decisions, Self.lifecycle, Self.cloudReports])
        let heat = try context.openForeignBus(
            settings.actuator.heat.transportURL, "actuator.heat.transport_url", name: "heat")
        let isDryRun = settings.actuator.dryRun
        let cloudDoor = HeatDoor(openstack, groups: settings.groups, isDryRun: isDryRun)
        let clusterDoor = ClusterDoor(cluster, host: context.host, isDryRun: isDryRun)
        let observer = ActuatorObserver(log: context.log, metrics: context.metrics, readiness: context.readiness)
        let nodes = WarmTable<NodeView> { $0.name }
        let alarms = AlarmReader(openstack, context)
        let canary = CanaryReader(openstack, context)
        let login = LoginWatch(openstack, context)
        if isDryRun { context.log.warning("dry run: neither Heat nor Kubernetes is changed", [.dryRun: true]) }
        await withTaskGroup { group in
            group.addTask {
                await clusterDoor.watchNodes(into: nodes) { trouble in
                    context.readiness.set("kubernetes", ok: trouble == nil, reason: trouble ?? "")
                }
            }
            group.addTask { await login.run() }
            await context.whileActive(bus) { lease in
                let engine = ActuatorEngine(
                    policy: ActuatorPolicy(settings), cloud: cloudDoor, cluster: clusterDoor, nodes: nodes,
                    lease: lease, observer: observer)
                let scalers = ScalerDoor(
                    client: cluster, recorder: clusterDoor.recorder, isDryRun: isDryRun, log: context.log,
                    lease: lease)
                await withTaskGroup { group in
                    group.addTask { await serve(engine, bus, heat: heat ?? bus, context, lease) }
                    group.addTask { await hearScalers(scalers, bus, context) }
                    if let canary { group.addTask { await canary.run() } }
                    if let alarms { group.addTask { await alarms.run(bus, context, lease) } }
                }
                observer.ended()
            }
            group.cancelAll()
        }
        await heat?.close(within: .seconds(5))
        await bus.close(within: .seconds(5))
        await cluster.close()
        await openstack.close()
    }

    /// The engine with its subscriptions, until the task is cancelled. Only the active replica reads them.
    /// - Parameter heat: where Heat is heard.
    static func serve(
        _ engine: ActuatorEngine, _ bus: Bus, heat: Bus, _ context: ServiceContext, _ lease: Lease
    ) async {
        let supervisor = context.supervisor
        let log = context.log
        await withTaskGroup { group in
            group.addTask {
                await engine.run { event in
                    // How a group stands is told anew soon.
                    let again = !event.type.topic.isPerishable
                    return await lease.publish(event, on: bus, log: log, again: again) != .ended
                }
            }
            group.addTask {
                await supervisor.run("decisions") { part in
                    part.ready()
                    try await bus.subscribe(Self.decisions) { incoming in await Self.take(incoming, engine) }
                }
            }
            group.addTask {
                await supervisor.run("lifecycle") { part in
                    part.ready()
                    try await bus.subscribe(Self.lifecycle) { incoming in
                        Self.hear(incoming, engine)
                    }
                }
            }
            group.addTask {
                await supervisor.run("heat notifications") { part in
                    part.ready()
                    let spacing = Spacing(.milliseconds(500))
                    try await heat.subscribeForeign(Self.heat) { notification in
                        Self.hear(notification, engine, spacing)
                        return .done
                    }
                }
            }
            group.addTask {
                await supervisor.run("cloud") { part in
                    part.ready()
                    try await bus.subscribe(Self.cloudReports) { incoming in
                        if case .cloudServer(let report) = incoming.event { engine.tell(.serverReported(report)) }
                        return .done
                    }
                }
            }
        }
    }

    /// A decision may wait in laps for as long as a stack change takes.
    private static let decisions = Subscription(
        topics: [.decisions], maximumLaps: 2_000, heartbeat: Bus.probeHeartbeat)
    private static let lifecycle = Subscription(topics: [.lifecycle], heartbeat: Bus.probeHeartbeat)
    private static let cloudReports = Subscription(topics: [.cloud], heartbeat: Bus.probeHeartbeat)
    private static let heat = ForeignSubscription(exchange: "heat", heartbeat: Bus.probeHeartbeat)

    /// The standing of pod scalers, as the ledger tells it. What is dropped is told again.
    private static let ledger = Subscription(
        topics: [.ledger], kind: .perishable(maximumLength: 500, ttl: .seconds(300)), prefetch: 4, laps: [])

    /// Until a complete record has come one is asked for this often: what was said before this process listened stands in no
    /// status, and the Decider repeats only news.
    private static let askingInterval = Interval.seconds(5)

    private static func hearScalers(_ door: ScalerDoor, _ bus: Bus, _ context: ServiceContext) async {
        let isHeard = Lock(false)
        await withTaskGroup { group in
            group.addTask {
                await context.supervisor.run("ledger") { part in
                    part.ready()
                    try await bus.subscribe(ledger) { incoming in
                        guard case .evaluation(let evaluation) = incoming.event else { return .done }
                        if let scalers = evaluation.scalers { await door.tell(scalers, at: .now()) }
                        if evaluation.isComplete { isHeard.withLock { $0 = true } }
                        return .done
                    }
                }
            }
            group.addTask {
                let asker = "actuator-\(String(UInt64.random(in: 0 ... .max), radix: 36))"
                while true {
                    try? await Task.sleep(for: askingInterval.duration)
                    guard !Task.isCancelled, !isHeard.withLock({ $0 }) else { return }
                    _ = try? await bus.publish(
                        EvaluationRequested(
                            cluster: context.settings.cluster, id: asker, requester: "updraft-actuator.\(context.host)")
                    )
                }
            }
        }
    }

    private static func take(_ incoming: Incoming, _ engine: ActuatorEngine) async -> Disposition {
        let settlement: Settlement?
        switch incoming.event {
        case .scaleDecided(let decision):
            settlement = await engine.handle { .scaleDecided(decision, ticket: $0) }
        case .removalDecided(let decision):
            settlement = await engine.handle { .removalDecided(decision, ticket: $0) }
        case .removalCancelled(let decision):
            settlement = await engine.handle { .removalCancelled(decision, ticket: $0) }
        case .podsDecided(let decision):
            settlement = await engine.handle { .podsDecided(decision, ticket: $0) }
        default: settlement = .done
        }
        switch settlement {
        case nil: return .requeue
        case .done: return .done
        case .retryLater: return .retryLater(incoming.laps < 10 ? .seconds(1) : .seconds(5))
        }
    }

    /// What of Heat's payloads is read.
    private struct StackNotification: Decodable {
        var stack_identity: String
    }

    /// Heat's words are hints to look, and each look is five calls: one in a while, but at once where a member leaves.
    static func hear(_ notification: ForeignNotification, _ engine: ActuatorEngine, _ spacing: Spacing) {
        guard notification.envelope.eventType.hasPrefix("orchestration.") else { return }
        if notification.envelope.eventType == "orchestration.stack.delete.start",
            let payload = try? MessageCoder.payload(StackNotification.self, of: notification.received)
        {
            engine.tell(.stackLeaving(stackID: payload.stack_identity))
        }
        if spacing.isDue(at: .now()) { engine.tell(.stackHint) }
    }

    private static func hear(_ incoming: Incoming, _ engine: ActuatorEngine) -> Disposition {
        switch incoming.event {
        case .removalNoticed(let event): engine.tell(.removalNoticed(event.removal))
        case .removalQuiesced(let event): engine.tell(.removalQuiesced(event.removal))
        default: break
        }
        return .done
    }
}

/// Lets one through in a while.
final class Spacing: Sendable {
    private let interval: Interval
    private let last = Lock(Timestamp(seconds: 0))

    init(_ interval: Interval) {
        self.interval = interval
    }

    func isDue(at now: Timestamp) -> Bool {
        last.withLock { last in
            guard now - last >= interval else { return false }
            last = now
            return true
        }
    }
}
