import AMQP
import Bus
import Settings
import Support

extension BusSettings {
    /// What the configuration means for the bus. Throws for what only the bus' own modules can judge: the URL.
    public init(_ settings: Settings, service: String, host: String) throws(SettingsErrors) {
        let url: TransportURL
        do throws(AMQPError) {
            url = try TransportURL(settings.bus.transportURL.revealed)
        } catch {
            throw SettingsErrors([
                SettingsMistake(
                    origin: "configuration", path: "bus.transport_url", what: error.text,
                    allowed: "rabbit://user:password@host:5672/vhost")
            ])
        }
        let bus = settings.bus
        let tls = AMQPTLS(
            caFile: bus.tls.caFile, certificateFile: bus.tls.certificateFile, keyFile: bus.tls.keyFile,
            verifyHost: bus.tls.verifyHost)
        let amqp = AMQPSettings(url: url, tls: tls, heartbeat: bus.heartbeat, connectTimeout: bus.connectTimeout)
        // The configuration has checked names and lengths, so no key is dropped here.
        let keys = bus.keys.compactMap { SigningKeys.Key(id: $0.id, secret: Array($0.secret.revealed.utf8)) }
        self.init(
            amqp: amqp, exchange: bus.exchange, cluster: settings.cluster, service: service, host: host,
            keys: SigningKeys(keys, maximumAge: bus.maximumAge),
            queueType: bus.queueType == .quorum ? .quorum : .classic, maximumMessageBytes: bus.maximumMessageBytes,
            deliveryLimit: bus.deliveryLimit)
    }
}
