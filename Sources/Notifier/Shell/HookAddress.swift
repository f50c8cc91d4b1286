import Messages

/// Where a pod's hook is: its annotation and its address made into a URL.
enum HookAddress {
    /// Why an annotation leads nowhere.
    struct Mistake: Error, Equatable {
        /// For the record of the notice.
        var what: String
    }

    /// The URL of `http(s)://:<port or port name>/path`, which is the pod's own address, or of a whole URL if hosts
    /// other than the pod are allowed.
    static func url(of pod: NodePod, foreignHosts: Bool) throws(Mistake) -> String {
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
            // A name before the host would be sent as a password.
            guard foreignHosts, !authority.isEmpty, !authority.contains("@") else {
                throw Mistake(what: "'\(authority.prefix(100))' is another host; allowed is \(scheme):<port>/path")
            }
            return text
        }
        guard let ip = pod.ip else { throw Mistake(what: "the pod has no address") }
        let number = try port(authority.dropFirst(), of: pod)
        let host = ip.contains(":") ? "[\(ip)]" : ip
        return "\(scheme)\(host):\(number)\(path.hasPrefix("/") ? "" : "/")\(path)"
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
