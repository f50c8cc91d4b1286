import Messages

/// Where a pod's hook is: its annotation and its address made into a URL.
enum HookAddress {
    /// Why an annotation leads nowhere.
    struct Mistake: Error, Equatable {
        /// For the record of the notice.
        var what: String
    }

    /// The URL of `http(s)://:<port or name>/path`. The host must be left out: it is always the pod's own address.
    static func url(of pod: NodePod) throws(Mistake) -> String {
        guard let text = pod.annotations[RemovalNames.shutdownHook] else { throw Mistake(what: "no hook") }
        let scheme: String
        if text.hasPrefix("http://:") {
            scheme = "http://"
        } else if text.hasPrefix("https://:") {
            scheme = "https://"
        } else {
            throw Mistake(what: "'\(text.prefix(100))' is not http(s)://:<port>/path; the host is always the pod's")
        }
        let rest = text.dropFirst(scheme.count + 1)
        let port = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(port.count)
        guard text.utf8.count <= 2_048, path.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else {
            throw Mistake(what: "its path is too long or has characters that no URL has")
        }
        let number: UInt16
        if let plain = UInt16(port), plain > 0 {
            number = plain
        } else if let named = pod.ports.first(where: { $0.name == port }), let plain = UInt16(exactly: named.number) {
            number = plain
        } else {
            throw Mistake(what: "port '\(port.prefix(63))' is neither a number nor a named port of a container")
        }
        guard let ip = pod.ip else { throw Mistake(what: "the pod has no address") }
        let host = ip.contains(":") ? "[\(ip)]" : ip
        return "\(scheme)\(host):\(number)\(path.isEmpty ? "/" : String(path))"
    }
}
