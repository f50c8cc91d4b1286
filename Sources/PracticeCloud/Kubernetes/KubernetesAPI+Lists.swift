import JSONReader
import Support

/// The rest of a list whose first page was given out: a snapshot, as pages of one list are consistent.
struct ListSnapshot: Sendable {
    var version: Int
    var remaining: ArraySlice<StoredObject>
    var made: Timestamp
}

extension PracticeModel {
    /// Snapshots live this long (etcd's compaction interval).
    private static let snapshotLifetime = Interval.minutes(5)

    /// LIST, whole or in pages.
    mutating func list(
        _ request: PracticeRequest, _ path: ResourcePath, at now: Timestamp
    ) throws(KubernetesFailure) -> PracticeAnswer {
        let selector = try ListSelector(
            namespace: path.namespace, labelSelector: request.parameter("labelSelector"),
            fieldSelector: request.parameter("fieldSelector"))
        var limit = request.parameter("limit").flatMap { Int($0) } ?? 0
        // The watch cache answers with everything (recorded).
        if request.parameter("resourceVersion") == "0" { limit = 0 }
        if request.parameter("resourceVersionMatch") == "Exact",
            let wanted = request.parameter("resourceVersion").flatMap({ Int($0) }), wanted < store.version
        {
            throw KubernetesFailure(410, "Expired", "The resourceVersion for the provided list is too old.")
        }
        snapshots = snapshots.filter { now < $0.value.made + Self.snapshotLifetime }
        if let token = request.parameter("continue"), !token.isEmpty {
            guard let snapshot = snapshots.removeValue(forKey: token) else { throw expiredContinue() }
            return page(path, snapshot.remaining, version: snapshot.version, limit: limit, at: now)
        }
        let all = store.sorted(path.kind)
        let selected = selector.isEmpty ? all : all.filter(selector.matches)
        return page(path, selected[...], version: store.version, limit: limit, at: now)
    }

    private func expiredContinue() -> KubernetesFailure {
        var failure = KubernetesFailure(
            410, "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list "
                + "without the continue parameter, or use the continue token in this response to retrieve the "
                + "remainder of the results. Continuing with the provided token results in an inconsistent list - "
                + "objects that were created, modified, or deleted between the time the first chunk was returned and "
                + "now may show up in the list.")
        failure.continueToken = "expired"
        return failure
    }

    private mutating func page(
        _ path: ResourcePath, _ objects: ArraySlice<StoredObject>, version: Int, limit: Int, at now: Timestamp
    ) -> PracticeAnswer {
        let shown = limit > 0 ? objects.prefix(limit) : objects
        let rest = objects.dropFirst(shown.count)
        var metadata: JSONValue = ["resourceVersion": .string(String(version))]
        if !rest.isEmpty {
            // A client that never comes back must not fill the memory: the oldest snapshot makes room.
            if snapshots.count >= 32, let oldest = snapshots.min(by: { $0.value.made < $1.value.made }) {
                snapshots[oldest.key] = nil
            }
            let token = random.hexadecimal(48)
            snapshots[token] = ListSnapshot(version: version, remaining: rest, made: now)
            metadata["continue"] = .string(token)
            metadata["remainingItemCount"] = .int(Int64(rest.count))
        }
        let head =
            "{\"kind\":\"\(path.kind.kind)List\",\"apiVersion\":\"\(path.kind.apiVersion(path.version))\","
            + "\"metadata\":\(metadata.text),\"items\":["
        var bytes = Array(head.utf8)
        bytes.reserveCapacity(bytes.count + shown.reduce(2) { $0 + $1.bytes.count + 1 })
        for (number, object) in shown.enumerated() {
            if number > 0 { bytes.append(0x2C) }
            bytes += object.bytes
        }
        bytes += [0x5D, 0x7D]
        return .json(200, bytes: bytes)
    }
}
