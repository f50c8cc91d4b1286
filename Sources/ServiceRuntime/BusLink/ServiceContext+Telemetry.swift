import AMQP
import Bus
import Settings
import Support

extension ServiceContext {
    /// How Ceilometer's broker is reached: as the suite's own one, unless `collector.telemetry.transport_url` names
    /// another. Throws for a URL that cannot be used.
    public func telemetryConnection() throws(SettingsErrors) -> AMQPSettings {
        try foreignConnection(
            settings.collector.telemetry.transportURL, "collector.telemetry.transport_url", name: "telemetry")
    }

    /// How Aodh's broker is reached: that of `collector.alarms.transport_url`, without it Ceilometer's. Throws for a URL that
    /// cannot be used.
    public func alarmConnection() throws(SettingsErrors) -> AMQPSettings {
        guard let url = settings.collector.alarms.transportURL else { return try telemetryConnection() }
        return try foreignConnection(url, "collector.alarms.transport_url", name: "aodh")
    }

    /// How another broker is reached; as the suite's own one where none is named.
    private func foreignConnection(
        _ url: Secret?, _ path: String, name purpose: String
    ) throws(SettingsErrors) -> AMQPSettings {
        var connection = try BusSettings(settings, service: name, host: host).amqp
        if let url {
            do throws(AMQPError) {
                connection.url = try TransportURL(url.revealed)
            } catch {
                throw SettingsErrors([
                    SettingsMistake(
                        origin: "configuration", path: path, what: error.text,
                        allowed: "rabbit://user:password@host:5672/vhost")
                ])
            }
        }
        connection.name = "updraft-\(name) \(settings.cluster) \(host) \(purpose)"
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
        try openForeignBus(
            settings.collector.telemetry.transportURL, "collector.telemetry.transport_url", name: "telemetry")
    }

    /// A bus at another broker, for hearing notifications there; nil where no other is named.
    /// - Parameters:
    ///   - url: of the broker.
    ///   - path: the setting that names it.
    ///   - purpose: how it stands is the condition `bus/PURPOSE` of `/readyz`.
    /// - Throws: `SettingsErrors` for a URL that cannot be used, or what making a bus throws.
    public func openForeignBus(_ url: Secret?, _ path: String, name purpose: String) throws -> Bus? {
        guard let url else { return nil }
        var own = try BusSettings(settings, service: name, host: host)
        own.amqp = try foreignConnection(url, path, name: purpose)
        let hooks = BusHooks(log: log, metrics: metrics)
        let bus = try Bus(own, observer: hooks.observer, onEvent: hooks.heard)
        readiness.probe("bus/\(purpose)") { [weak bus] in
            guard let bus else { return "closed" }
            return bus.health.complaint.map { "\(path): \($0)" }
        }
        return bus
    }
}
