import Support

extension Settings {
    /// Every secret in it, for taking them out of logs: the keys, addresses and headers of webhooks, and the passwords in
    /// the transport URLs, as written and decoded.
    public var secrets: [String] {
        var secrets = bus.keys.map(\.secret.revealed)
        secrets += notifier.webhooks.flatMap {
            [$0.url.revealed] + $0.headers.map(\.value.revealed).filter { $0.utf8.count >= 12 }
        }
        for key in [notifier.tokenKey, collector.signals.tokenKey].compactMap({ $0 }) { secrets.append(key.revealed) }
        secrets += collector.queues.map(\.password.revealed)
        if let secret = collector.telemetry.secret { secrets.append(secret.revealed) }
        let brokers = [
            bus.transportURL, collector.telemetry.transportURL, collector.cloud.transportURL,
            collector.alarms.transportURL, actuator.heat.transportURL,
        ]
        for url in brokers.compactMap({ $0?.revealed }) {
            secrets.append(url)
            let authority = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
            for host in authority.split(separator: ",") {
                guard let at = host.lastIndex(of: "@"), let colon = host[..<at].firstIndex(of: ":") else { continue }
                let password = String(host[host.index(after: colon)..<at])
                secrets.append(password)
                if let decoded = try? PercentEncoding.decode(password) { secrets.append(decoded) }
            }
        }
        return secrets.filter { !$0.isEmpty && $0 != "guest" }
    }
}
