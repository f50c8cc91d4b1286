extension Settings {
    /// Every secret in it, for taking them out of logs: the keys, addresses and headers of webhooks, and the passwords in
    /// the transport URLs, as written and decoded.
    public var secrets: [String] {
        var secrets = bus.keys.map(\.secret.revealed)
        secrets += notifier.webhooks.flatMap {
            [$0.url.revealed] + $0.headers.map(\.value.revealed).filter { $0.utf8.count >= 12 }
        }
        if let key = notifier.tokenKey { secrets.append(key.revealed) }
        secrets += collector.queues.map(\.password.revealed)
        if let secret = collector.telemetry.secret { secrets.append(secret.revealed) }
        for url in [bus.transportURL, collector.telemetry.transportURL].compactMap({ $0?.revealed }) {
            secrets.append(url)
            let authority = url.firstRange(of: "://").map { url[$0.upperBound...] } ?? url[...]
            for host in authority.split(separator: ",") {
                guard let at = host.lastIndex(of: "@"), let colon = host[..<at].firstIndex(of: ":") else { continue }
                let password = String(host[host.index(after: colon)..<at])
                secrets.append(password)
                secrets.append(Self.decoded(password))
            }
        }
        return secrets.filter { !$0.isEmpty && $0 != "guest" }
    }

    private static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
