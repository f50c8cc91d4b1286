import Messages
import Support

/// Where a pod's hook is: its annotation and its address made into a URL.
enum HookAddress {
    /// Why an annotation leads nowhere.
    struct Mistake: Error, Equatable {
        /// For the record of the notice.
        var what: String
        /// Whether it passes by itself.
        var isRetriable = false
    }

    /// The URL of `http(s)://:<port or port name>/path`, which is the pod's own address, or of a whole URL if hosts
    /// other than the pod are allowed: those that match one of `foreignHosts`.
    static func url(of pod: NodePod, foreignHosts: [Glob]) throws(Mistake) -> String {
        guard let text = pod.annotations[RemovalNames.shutdownHook] else { throw Mistake(what: "no hook") }
        guard let scheme = ["http://", "https://"].first(where: text.hasPrefix) else {
            throw Mistake(what: "'\(text.prefix(100))' does not begin with http:// or https://")
        }
        guard text.utf8.count <= 2_048, text.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw Mistake(what: "it is too long or has characters that no URL has")
        }
        let rest = text.dropFirst(scheme.count)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let path = rest.dropFirst(authority.count)
        guard authority.hasPrefix(":") else {
            try allow(authority, scheme, foreignHosts)
            return text
        }
        guard let ip = pod.ip else { throw Mistake(what: "the pod has no address yet", isRetriable: true) }
        let number = try port(authority.dropFirst(), of: pod)
        let host = ip.contains(":") ? "[\(ip)]" : ip
        return "\(scheme)\(host):\(number)\(path.hasPrefix("/") ? "" : "/")\(path)"
    }

    /// Whoever writes a pod's annotations chooses whom the Notifier calls, from where the Notifier stands.
    private static func allow(_ authority: Substring, _ scheme: String, _ foreignHosts: [Glob]) throws(Mistake) {
        var host = authority
        if let end = host.lastIndex(of: "]") {
            host = host[...end]
        } else if let colon = host.lastIndex(of: ":") {
            host = host[..<colon]
        }
        let name = host.lowercased()
        // A name before the host would be sent as a password; a backslash is a slash to some.
        guard !name.isEmpty, !authority.contains(where: { $0 == "@" || $0 == "\\" || $0 == "%" }) else {
            throw Mistake(what: "'\(authority.prefix(100))' is no host")
        }
        // A pattern never opens the Notifier's own machine, and what answers machines about themselves.
        let isAllowed = foreignHosts.contains { glob in
            glob.isPlain || !isOfTheMachine(name) ? glob.matches(name) : false
        }
        guard isAllowed else {
            throw Mistake(
                what: "'\(authority.prefix(100))' is another host, and not among notifier.hooks.foreign_hosts; "
                    + "allowed is \(scheme):<port>/path")
        }
    }

    /// Loopback, link-local (with the clouds' metadata service), and every other way to write an address as a number.
    private static func isOfTheMachine(_ name: String) -> Bool {
        // The dot of the root changes nothing for a resolver.
        let host = name.hasSuffix(".") ? String(name.dropLast()) : name
        if host == "localhost" || host.hasSuffix(".localhost") { return true }
        if host.hasPrefix("[") {
            // Of IPv6, all but global and unique local addresses; mapped IPv4 ones begin with "::".
            return !host.dropFirst().prefix(1).allSatisfy { "23fF".contains($0) } || host.hasPrefix("[fe")
        }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { UInt8($0) }
        let isPlainAddress =
            parts.count == 4 && numbers.count == 4 && numbers.map(String.init) == parts.map(String.init)
        if isPlainAddress { return numbers[0] == 0 || numbers[0] == 127 || numbers[0] == 169 && numbers[1] == 254 }
        // `2130706433`, `0x7f.1`, `127.1`: addresses to the system's resolver, and to nobody else.
        let last = parts.last { !$0.isEmpty } ?? ""
        return last.first?.isNumber == true
    }

    private static func port(_ text: Substring, of pod: NodePod) throws(Mistake) -> UInt16 {
        if let plain = UInt16(text), plain > 0 { return plain }
        if let named = pod.ports.first(where: { $0.name == text }), let plain = UInt16(exactly: named.number), plain > 0
        {
            return plain
        }
        throw Mistake(what: "port '\(text.prefix(63))' is neither a number nor a named port of a container")
    }
}
