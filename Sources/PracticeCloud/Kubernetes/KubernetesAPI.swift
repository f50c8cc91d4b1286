import JSONReader
import Messages
import Support

/// What the practice API server does with a request.
enum KubernetesReply: Sendable {
    case answer(PracticeAnswer)
    /// Streams until its time is over.
    case watch(WatchOpening)
}

/// A watch that begins.
struct WatchOpening: Sendable {
    var kind: KubernetesKind
    /// API version in which objects are sent.
    var version: String
    var selector: ListSelector
    /// Sent at once: changes since the version asked for, or all objects.
    var backlog: [[UInt8]]
    /// Changes up to here are in the backlog.
    var position: Int
    var wantsBookmarks: Bool
    /// Closed after this.
    var timeout: Interval
    /// Ends after the backlog (an ERROR event).
    var isOver = false
}

/// The API server's address space: discovery, resources, subresources.
extension PracticeModel {
    /// Answers a request to the API server.
    mutating func kubernetes(_ request: PracticeRequest, at now: Timestamp) -> KubernetesReply {
        do throws(KubernetesFailure) {
            return try route(request, at: now)
        } catch {
            return .answer(error.answer)
        }
    }

    private mutating func route(
        _ request: PracticeRequest, at now: Timestamp
    ) throws(KubernetesFailure) -> KubernetesReply {
        let segments = request.segments
        if ["healthz", "readyz", "livez"].contains(segments.first ?? "") { return .answer(.text(200, "ok")) }
        let isReader = try authorize(request)
        if let found = discovery(segments), request.method == "GET" { return .answer(.json(200, found)) }
        let path = try ResourcePath(segments, minor: settings.kubernetesMinor)
        if isReader, request.method != "GET" { throw forbidden(request.method, path) }
        if path.kind == .node, path.subresource == "proxy", let name = path.name {
            guard store.get(.node, name) != nil else { throw .notFound(.node, name) }
            return .answer(kubelets.answer(path.rest, node: name, store: store, index: index, at: now))
        }
        guard let name = path.name else { return try collectionCall(request, path, at: now) }
        let key = store.key(path.kind, path.namespace ?? "", name)
        if request.flag("watch"), path.subresource == nil {
            var query = request
            query.query.append(("fieldSelector", "metadata.name=\(name)"))
            return .watch(try openWatch(query, path))
        }
        let isObject = path.subresource == nil || (path.subresource == "status" && path.kind.hasStatus)
        switch (request.method, path.subresource) {
        case ("POST", "eviction") where path.kind == .pod:
            return .answer(try evict(request, path, at: now))
        case (_, "scale") where path.kind.isScalable:
            return .answer(try scale(request, path, at: now))
        case ("GET", _) where isObject:
            guard let object = store.get(path.kind, key) else { throw .notFound(path.kind, name) }
            return .answer(.json(200, bytes: object.bytes(path.kind, version: path.version)))
        case ("PUT", _) where isObject:
            return .answer(try put(request, path, at: now))
        case ("PATCH", _) where isObject:
            return .answer(try patch(request, path, at: now))
        case ("DELETE", nil):
            return .answer(try delete(request, path, at: now))
        case _ where isObject:
            throw KubernetesFailure(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                details: [:])
        default:
            throw .noSuchPath()
        }
    }

    /// True if the token may only read.
    private func authorize(_ request: PracticeRequest) throws(KubernetesFailure) -> Bool {
        guard let header = request.headers["authorization"], header.lowercased().hasPrefix("bearer "),
            let isReader = kubernetesTokens[String(header.dropFirst(7))]
        else { throw KubernetesFailure(401, "Unauthorized", "Unauthorized") }
        return isReader
    }

    private func forbidden(_ method: String, _ path: ResourcePath) -> KubernetesFailure {
        let verbs = ["POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"]
        let place = path.namespace.map { " in the namespace \"\($0)\"" } ?? " at the cluster scope"
        let resource = path.subresource.map { "\(path.kind.rawValue)/\($0)" } ?? path.kind.rawValue
        return KubernetesFailure(
            403, "Forbidden",
            "\(path.kind.qualifiedName) \"\(path.name ?? "")\" is forbidden: User \"practice-reader\" cannot "
                + "\(verbs[method] ?? "use") resource \"\(resource)\" in API group \"\(path.kind.group)\"\(place)",
            details: KubernetesFailure.details(path.kind, path.name ?? ""))
    }

    private mutating func collectionCall(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> KubernetesReply {
        switch request.method {
        case "GET" where request.flag("watch"):
            return .watch(try openWatch(request, path))
        case "GET":
            return .answer(try list(request, path, at: now))
        case "POST":
            return .answer(try create(request, path, at: now))
        default:
            throw KubernetesFailure(
                405, "MethodNotAllowed", "the server does not allow this method on the requested resource",
                details: [:])
        }
    }

    // MARK: Watching

    private func openWatch(
        _ request: PracticeRequest, _ path: ResourcePath
    ) throws(KubernetesFailure) -> WatchOpening {
        let selector = try ListSelector(
            namespace: path.namespace, labelSelector: request.parameter("labelSelector"),
            fieldSelector: request.parameter("fieldSelector"))
        let seconds = request.parameter("timeoutSeconds").flatMap { Double($0) } ?? 1_800
        var opening = WatchOpening(
            kind: path.kind, version: path.version, selector: selector, backlog: [], position: store.version,
            wantsBookmarks: request.flag("allowWatchBookmarks"),
            timeout: .seconds(min(max(seconds, 1), 86_400)))
        let text = request.parameter("resourceVersion") ?? ""
        if text.isEmpty || text == "0" {
            for object in store.all(path.kind) where selector.matches(object) {
                opening.backlog.append(
                    WatchLines.line("ADDED", object.bytes(path.kind, version: path.version)))
            }
            return opening
        }
        guard let from = Int(text) else {
            throw .badRequest("Invalid value: \"\(text)\": strconv.ParseUint: parsing \"\(text)\": invalid syntax")
        }
        guard let changes = store.history(path.kind, after: from) else {
            let expired = KubernetesFailure(
                410, "Expired", "too old resource version: \(from) (\(store.oldestVersion(path.kind)))")
            opening.backlog = [WatchLines.line("ERROR", expired.value.bytes)]
            opening.isOver = true
            return opening
        }
        for change in changes {
            if let line = WatchLines.line(for: change, selector, version: path.version) { opening.backlog.append(line) }
        }
        return opening
    }
}

/// Lines of a watch.
enum WatchLines {
    /// `{"type":…,"object":…}` and a newline.
    static func line(_ type: String, _ object: [UInt8]) -> [UInt8] {
        Array("{\"type\":\"\(type)\",\"object\":".utf8) + object + [0x7D, 0x0A]
    }

    /// A change as a watch with `selector` sees it: an object that comes to fit is ADDED, one that ceases to, DELETED.
    static func line(for change: StoreChange, _ selector: ListSelector, version: String) -> [UInt8]? {
        guard let type = type(of: change, selector) else { return nil }
        return line(type, change.new.bytes(change.kind, version: version))
    }

    /// The event's type, nil if the watch does not see the change.
    static func type(of change: StoreChange, _ selector: ListSelector) -> String? {
        if selector.isEmpty { return change.action.rawValue }
        let now = change.action != .deleted && selector.matches(change.new)
        let before = change.old.map(selector.matches) ?? false
        switch (before, now) {
        case (false, true): return "ADDED"
        case (true, true): return "MODIFIED"
        case (true, false): return "DELETED"
        case (false, false): return nil
        }
    }

    /// A bookmark.
    static func bookmark(_ kind: KubernetesKind, version: String, at position: Int) -> [UInt8] {
        let object =
            "{\"kind\":\"\(kind.kind)\",\"apiVersion\":\"\(kind.apiVersion(version))\",\"metadata\":"
            + "{\"resourceVersion\":\"\(position)\",\"creationTimestamp\":null},\"spec\":{},\"status\":{}}"
        return line("BOOKMARK", Array(object.utf8))
    }
}
