import AMQP
import Bus
import Messages
import Settings
import Support

extension ServiceContext {
    /// The service's bus, connecting already. What happens on it is logged, counted, and shown as the condition `bus`
    /// of `/readyz`, which holds only once the queues of `standing` exist.
    public func openBus(standing: [Subscription] = []) throws -> Bus {
        let hooks = BusHooks(log: log, metrics: metrics)
        let bus = try Bus(
            try BusSettings(settings, service: name, host: host), standing: standing, observer: hooks.observer,
            onEvent: hooks.heard)
        readiness.probe("bus") { [weak bus] in
            guard let bus else { return "closed" }
            return bus.health.complaint
        }
        metrics.gauge("bus_backlog_messages", "Messages given to the bus and not confirmed yet.") { [weak bus] in
            bus.map { Double($0.backlog) }
        }
        return bus
    }
}

/// Log entries and metrics of a bus.
struct BusHooks: Sendable {
    private let log: Logger
    private let published: Histogram
    private let publishFailed: Counter
    private let consumed: Counter
    private let consumedForeign: Counter
    private let parked: Counter
    private let refused: Counter
    private let parkFailed: Counter
    private let connections: Counter

    init(log: Logger, metrics: Metrics) {
        self.log = log
        published = metrics.histogram(
            "bus_publish_seconds", "From giving a message to the bus to the broker's confirm.",
            .label("topic", Topic.self))
        publishFailed = metrics.counter(
            "bus_publish_failures", "Messages that could not be published.", .label("topic", Topic.self),
            .label("code", BusError.Code.allCases.map(\.rawValue)))
        consumed = metrics.counter(
            "bus_consumed", "Messages handled.", .label("event", EventType.self), .label("outcome", Self.outcomes))
        consumedForeign = metrics.counter(
            "bus_foreign_consumed", "Notifications of other services handled.", .label("exchange", atMost: 20),
            .label("outcome", Self.outcomes))
        let reasons =
            MessageError.Code.allCases.map(\.rawValue) + Refusal.allCases.map(\.rawValue)
            + ["routing_key", "handler", "laps_exhausted"]
        parked = metrics.counter("bus_parked", "Messages put into the dead-letter queue.", .label("reason", reasons))
        refused = metrics.counter(
            "bus_refused", "Commands refused for signature, age or repetition.", .label("reason", Refusal.self))
        parkFailed = metrics.counter(
            "bus_park_failures", "Messages that could not be put into the dead-letter queue, by why.",
            .label("code", BusError.Code.allCases.map(\.rawValue)))
        connections = metrics.counter(
            "bus_connection_events", "What happened to connections to the broker.",
            .label(
                "event",
                [
                    "connected", "disconnected", "awaiting", "blocked", "unblocked", "consumer_cancelled",
                    "topology_refused",
                ]))
    }

    private static let outcomes = ["done", "requeue", "retry_later", "park"]

    var observer: BusObserver {
        BusObserver(
            published: { published.observe($1, $0.rawValue) },
            publishFailed: { topic, error in
                publishFailed.increment(topic.rawValue, error.code.rawValue)
                log.warning(
                    "a message was not published",
                    [.topic: .string(topic.rawValue), .code: .string(error.code.rawValue), .error: .string(error.text)])
            },
            consumed: { consumed.increment($0.rawValue, outcome($1)) },
            consumedForeign: { consumedForeign.increment($0, outcome($1)) },
            parked: { reason, details in
                parked.increment(reason.description)
                log.warning(
                    "a message was parked", [.reason: .string(reason.description), .details: .string(details)])
            },
            refused: { reason, details in
                refused.increment(reason.rawValue)
                log.warning("a command was refused", [.reason: .string(reason.rawValue), .details: .string(details)])
            },
            ignored: { type in
                log.info("an event of another release is left alone", [.eventType: .string(type)])
            },
            parkFailed: { reason, error in
                parkFailed.increment(error.code.rawValue)
                log.warning(
                    "a message could not be parked",
                    [
                        .reason: .string(reason.description), .code: .string(error.code.rawValue),
                        .error: .string(error.text),
                    ])
            })
    }

    private func outcome(_ disposition: Disposition) -> String {
        switch disposition {
        case .done: "done"
        case .requeue: "requeue"
        case .retryLater: "retry_later"
        case .park: "park"
        }
    }

    /// What happened to a connection.
    func heard(_ connection: String, _ event: ConnectionEvent) {
        let name = LogValue.string(connection)
        switch event {
        case .connected(let host):
            connections.increment("connected")
            log.info("connected to the broker", [.connection: name, .broker: .string(host)])
        case .disconnected(let error, let retryIn):
            connections.increment("disconnected")
            log.warning(
                "not connected to the broker",
                [
                    .connection: name, .code: .string(error.code.rawValue), .error: .string(error.text),
                    .retryIn: .text(retryIn),
                ])
        case .awaiting(let error):
            connections.increment("awaiting")
            log.info(
                "an exchange of another service is not there yet", [.connection: name, .error: .string(error.text)])
        case .blocked(let reason):
            connections.increment("blocked")
            log.warning("the broker takes no messages", [.connection: name, .reason: .string(reason)])
        case .unblocked:
            connections.increment("unblocked")
            log.info("the broker takes messages again", [.connection: name])
        case .consumerCancelled(let queue):
            connections.increment("consumer_cancelled")
            log.warning("the broker ended a subscription", [.connection: name, .queue: .string(queue)])
        case .topologyRefused(let error):
            connections.increment("topology_refused")
            log.error(
                "the broker refuses a queue or exchange",
                [.connection: name, .code: .string(error.code.rawValue), .error: .string(error.text)])
        }
    }
}
