import AMQP
import Bus
import Settings
import Support

extension ServiceContext {
    /// How Ceilometer's broker is reached: as the suite's own one, unless `collector.telemetry.transport_url` names
    /// another. Throws for a URL that cannot be used.
    public func telemetryConnection() throws(SettingsErrors) -> AMQPSettings {
        var connection = try BusSettings(settings, service: name, host: host).amqp
        if let own = settings.collector.telemetry.transportURL {
            do throws(AMQPError) {
                connection.url = try TransportURL(own.revealed)
            } catch {
                throw SettingsErrors([
                    SettingsMistake(
                        origin: "configuration", path: "collector.telemetry.transport_url", what: error.text,
                        allowed: "rabbit://user:password@host:5672/vhost")
                ])
            }
        }
        connection.name = "updraft-\(name) \(settings.cluster) \(host) telemetry"
        return connection
    }

    /// Publishes to Ceilometer's exchange.
    /// - Parameter onConnected: told of the broker's name.
    public func openTelemetryPublisher(
        onConnected: @escaping @Sendable (String) -> Void
    ) throws -> ForeignPublisher {
        try ForeignPublisher(
            try telemetryConnection(), exchange: settings.collector.telemetry.exchange, onConnected: onConnected)
    }
}

extension ServiceContext {
    /// A bus at Ceilometer's broker, for hearing the cloud's notifications; nil when that is the suite's own broker. How it stands is the
    /// condition `bus/telemetry` of `/readyz`.
    public func openTelemetryBus() throws -> Bus? {
        guard settings.collector.telemetry.transportURL != nil else { return nil }
        var own = try BusSettings(settings, service: name, host: host)
        own.amqp = try telemetryConnection()
        let hooks = BusHooks(log: log, metrics: metrics)
        let bus = try Bus(own, observer: hooks.observer, onEvent: hooks.heard)
        readiness.probe("bus/telemetry") { [weak bus] in
            guard let bus else { return "closed" }
            return bus.health.complaint.map { "collector.telemetry.transport_url: \($0)" }
        }
        return bus
    }
}
