import Bus
import Messages
import ServiceRuntime
import Settings
import Support

/// Listens to Nova on its own exchange and says in few words what matters for this cluster's nodes.
///
/// A queue of our own, bounded, one replica reads it. No body ever gets into the log, a metric or another message.
struct CloudEars: Sendable {
    private let engine: CollectorEngine
    /// Where Nova is heard; the same as `bus` unless the cloud has a broker of its own.
    private let foreign: Bus
    private let bus: Bus
    private let cluster: String
    private let settings: Settings.Collector.Cloud
    private let context: ServiceContext
    private let heard: Counter

    /// What became of a notification, for the metric.
    private enum Outcome: String, CaseIterable {
        case published, notOurs = "not_ours", uninteresting, unreadable
    }

    init(
        _ engine: CollectorEngine, foreign: Bus, _ bus: Bus, cluster: String, _ settings: Settings.Collector.Cloud,
        _ context: ServiceContext
    ) {
        self.engine = engine
        self.foreign = foreign
        self.bus = bus
        self.cluster = cluster
        self.settings = settings
        self.context = context
        heard = context.metrics.counter(
            "collector_nova_notifications", "Notifications of Nova, by what became of them.",
            .label("outcome", Outcome.allCases.map(\.rawValue)))
    }

    /// Both of Nova's formats. Its exchange also carries its RPC, so never `#`.
    static func subscription(_ exchange: String) -> ForeignSubscription {
        ForeignSubscription(
            exchange: exchange, of: "nova",
            routingKeys: ["notifications", "versioned_notifications"].flatMap { ["\($0).info", "\($0).error"] })
    }

    /// Until cancelled.
    func run() async {
        await context.supervisor.run("nova notifications") { part in
            part.ready()
            try await foreign.subscribeForeign(Self.subscription(settings.novaExchange)) { notification in
                await take(notification)
                return .done
            }
        }
    }

    private func take(_ notification: ForeignNotification) async {
        let type = notification.envelope.eventType
        guard NovaReading.isOfInterest(type) else { return heard.increment(Outcome.uninteresting.rawValue) }
        let reading: NovaReading
        do throws(MessageError) {
            guard let found = try NovaReading.read(notification.received) else {
                return heard.increment(Outcome.uninteresting.rawValue)
            }
            reading = found
        } catch {
            // The path only: what stands there may be a secret.
            context.log.warning(
                "a notification of Nova cannot be read",
                [.eventType: .string(type.cut(utf8: 100)), .details: .string(error.path.cut(utf8: 100))])
            return heard.increment(Outcome.unreadable.rawValue)
        }
        guard await engine.isNode(serverID: reading.serverID) else {
            return heard.increment(Outcome.notOurs.rawValue)
        }
        // A hint: lost with the broker, it is found again when the Node stops being ready.
        _ = try? await bus.publish(reading.report(cluster: cluster, event: type.cut(utf8: 100), at: .now()))
        heard.increment(Outcome.published.rawValue)
    }
}
