import AMQP

/// A look at Ceilometer's broker, and at Aodh's: what must be there for samples to arrive and alarms to be heard.
public struct TelemetryBroker: Sendable, Equatable {
    /// Why it cannot be reached.
    public var failure: String?
    /// Whether Ceilometer's exchange exists.
    public var exchangeExists: Bool
    /// Messages and consumers of `notifications.sample`; nil: there is no such queue.
    public var samples: Queue?
    /// Whether Aodh's exchange exists.
    public var alarmExchangeExists: Bool
    /// Why Aodh's broker cannot be reached, where it is another.
    public var alarmFailure: String?

    /// A queue.
    public struct Queue: Sendable, Equatable {
        /// Messages that wait.
        public var messages: Int
        /// Who reads it.
        public var consumers: Int

        /// From its parts.
        public init(messages: Int, consumers: Int) {
            self.messages = messages
            self.consumers = consumers
        }
    }

    /// From its parts.
    public init(
        failure: String? = nil, exchangeExists: Bool = false, samples: Queue? = nil, alarmExchangeExists: Bool = false
    ) {
        self.failure = failure
        self.exchangeExists = exchangeExists
        self.samples = samples
        self.alarmExchangeExists = alarmExchangeExists
    }
}

extension ServiceContext {
    /// Looks at Ceilometer's broker, and at Aodh's where alarms are heard, over connections of their own; changes nothing.
    public func lookAtTelemetryBroker() async -> TelemetryBroker {
        var seen = TelemetryBroker()
        do {
            let connection = try telemetryConnection()
            seen.exchangeExists = try await exists(settings.collector.telemetry.exchange, connection)
            seen.samples = try await OneShot.look(connection, queue: "notifications.sample").map {
                .init(messages: $0.messages, consumers: $0.consumers)
            }
        } catch {
            seen.failure = "\(error)"
        }
        guard settings.collector.alarms.enabled else { return seen }
        do {
            seen.alarmExchangeExists = try await exists(settings.collector.alarms.exchange, alarmConnection())
        } catch {
            seen.alarmFailure = "\(error)"
        }
        return seen
    }

    private func exists(_ exchange: String, _ connection: AMQPSettings) async throws(AMQPError) -> Bool {
        do throws(AMQPError) {
            try await OneShot.check(connection, topology: Topology(exchanges: [.init(exchange, mode: .passive)]))
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
    }
}
