import Support

/// Where the brokers are, written as oslo.messaging's `transport_url`:
/// `rabbit://user:password@host1:5672,user:password@host2:5672/vhost`, also `rabbits://`, `amqp://`, `amqps://`.
///
/// Rules, oslo's unless said otherwise:
/// - User, password and virtual host are percent-decoded. An `@`, `,`, `/` or `:` in them has to be encoded.
/// - A host without user takes the first user named in the URL; no user at all is `guest`, as kombu does.
/// - No path, `/` and `//` all mean the virtual host `/`, as does `/%2f`. (RabbitMQ's own rule for URLs would read `/` as
///   the virtual host with the empty name, which nobody has.)
/// - `rabbits`, `amqps` and `?ssl=true` (or `1`) turn TLS on. Other query fields are options of oslo's driver; ignored.
/// - Default ports: 5672, with TLS 5671. IPv6 addresses stand in brackets.
public struct TransportURL: Sendable, Equatable {
    /// One broker.
    public struct Host: Sendable, Equatable {
        /// Name or address, without brackets.
        public let host: String
        /// TCP port.
        public let port: UInt16
        /// User.
        public let user: String
        /// Password. Never shown by any description.
        public let password: String
    }

    /// The brokers in the order given; tried in turn.
    public let hosts: [Host]
    /// The virtual host.
    public let virtualHost: String
    /// Whether the connection is encrypted.
    public let tls: Bool

    /// Parses `text`. Errors (`.invalidURL`) say what is wrong without showing a password.
    public init(_ text: String) throws(AMQPError) {
        guard let separator = text.firstRange(of: "://") else {
            throw Self.wrong("has no scheme; expected rabbit://user:password@host:5672/vhost")
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        var tls: Bool
        switch scheme {
        case "rabbit", "amqp", "kombu+amqp": tls = false
        case "rabbits", "amqps": tls = true
        default: throw Self.wrong("has the scheme '\(scheme.prefix(20))'; allowed: rabbit, rabbits, amqp, amqps")
        }
        var rest = text[separator.upperBound...]
        if let fragment = rest.firstIndex(of: "#") { rest = rest[..<fragment] }
        if let question = rest.firstIndex(of: "?") {
            for pair in rest[rest.index(after: question)...].split(separator: "&") {
                let parts = pair.split(separator: "=", maxSplits: 1)
                guard parts.first?.lowercased() == "ssl" else { continue }
                let value = parts.count > 1 ? parts[1].lowercased() : ""
                if ["1", "true", "yes", "on"].contains(value) { tls = true }
            }
            rest = rest[..<question]
        }
        var path = Substring("")
        if let slash = rest.firstIndex(of: "/") {
            path = rest[rest.index(after: slash)...]
            rest = rest[..<slash]
        }
        let virtualHost = try Self.decoded(path, "virtual host")
        self.virtualHost = virtualHost.isEmpty ? "/" : virtualHost
        self.tls = tls
        hosts = try Self.hosts(rest, defaultPort: tls ? 5671 : 5672)
        guard self.virtualHost.utf8.count <= 255 else { throw Self.wrong("has a virtual host above 255 bytes") }
    }

    private static func hosts(_ text: Substring, defaultPort: UInt16) throws(AMQPError) -> [Host] {
        var parsed: [(host: String, port: UInt16, login: (user: String, password: String)?)] = []
        for (number, part) in text.split(separator: ",", omittingEmptySubsequences: false).enumerated() {
            let position = "host \(number + 1)"
            var address = part
            var login: (user: String, password: String)?
            if let at = part.lastIndex(of: "@") {
                address = part[part.index(after: at)...]
                let userInfo = part[..<at]
                guard !userInfo.contains("@") else {
                    throw wrong("has more than one '@' in \(position); write an '@' in a password as %40")
                }
                let colon = userInfo.firstIndex(of: ":") ?? userInfo.endIndex
                let password = colon < userInfo.endIndex ? userInfo[userInfo.index(after: colon)...] : ""
                let user = try decoded(userInfo[..<colon], "user of \(position)")
                if !user.isEmpty { login = (user, try decoded(password, "password of \(position)")) }
            }
            let (host, port) = try split(address, position, defaultPort: defaultPort)
            parsed.append((host, port, login))
        }
        let fallback = parsed.lazy.compactMap(\.login).first ?? (user: "guest", password: "guest")
        return parsed.map {
            let login = $0.login ?? fallback
            return Host(host: $0.host, port: $0.port, user: login.user, password: login.password)
        }
    }

    private static func split(
        _ address: Substring, _ position: String, defaultPort: UInt16
    ) throws(AMQPError) -> (String, UInt16) {
        var host = address
        var portText: Substring?
        if address.first == "[" {
            guard let end = address.firstIndex(of: "]") else { throw wrong("has an unclosed '[' in \(position)") }
            host = address[address.index(after: address.startIndex)..<end]
            let after = address[address.index(after: end)...]
            if after.first == ":" {
                portText = after.dropFirst()
            } else if !after.isEmpty {
                throw wrong("has text after ']' in \(position)")
            }
        } else if let colon = address.firstIndex(of: ":") {
            host = address[..<colon]
            portText = address[address.index(after: colon)...]
        }
        guard !host.isEmpty else { throw wrong("names no address in \(position)") }
        guard host.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "%") }) else {
            throw wrong("has a character that no host name has in \(position)")
        }
        guard let portText, !portText.isEmpty else { return (String(host), defaultPort) }
        guard let port = UInt16(portText), port > 0 else {
            // Not quoted: a ':' or '/' left unencoded in a password ends up here.
            throw wrong("has a port that is no number from 1 to 65535 in \(position)")
        }
        return (String(host), port)
    }

    private static func decoded(_ text: Substring, _ what: String) throws(AMQPError) -> String {
        do throws(PercentEncoding.Mistake) {
            return try PercentEncoding.decode(text)
        } catch {
            switch error {
            case .brokenEscape: throw wrong("has a '%' without two hexadecimal digits in the \(what)")
            case .notText: throw wrong("has bytes that are no text in the \(what)")
            }
        }
    }

    private static func wrong(_ what: String) -> AMQPError {
        AMQPError(.invalidURL, "the transport URL \(what)")
    }
}

extension TransportURL: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The URL with `***` for the passwords.
    public var description: String {
        let list = hosts.map { host in
            let address = host.host.contains(":") ? "[\(host.host)]" : host.host
            return "\(host.user):***@\(address):\(host.port)"
        }
        let path = virtualHost == "/" ? "" : virtualHost
        return "\(tls ? "rabbits" : "rabbit")://\(list.joined(separator: ","))/\(path)"
    }

    /// The same: no description shows a password.
    public var debugDescription: String { description }

    /// Hides the fields from `dump` and string interpolation of enclosing types.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
extension TransportURL.Host: CustomStringConvertible, CustomReflectable {
    /// Address and port only.
    public var description: String { "\(host):\(port)" }

    /// Hides the password from `dump` and string interpolation of enclosing types.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
