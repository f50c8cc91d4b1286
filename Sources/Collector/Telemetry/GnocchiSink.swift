import Messages
import OpenStack
import Support

/// To Gnocchi directly, under an application credential or a trust: for those who cannot reach the cloud's bus.
actor GnocchiSink: TelemetrySink {
    private let client: OpenStackClient
    private let projectID: String
    private let userID: String?
    private let archivePolicy: String
    private var written = WrittenAttributes()
    /// Metrics that Gnocchi lets us not write, by name within their resource, and until when they are left out.
    private var barred: [MetricKey: Timestamp] = [:]
    /// Resources that do not exist and that Gnocchi lets us not make, and until when they are left out.
    private var missing: [String: Timestamp] = [:]
    /// Resources of which none could be stored, and until when nobody looks why: it may well be no fault of theirs, so they
    /// are sent all the same.
    private var doubtful: [String: Timestamp] = [:]
    /// How often what is refused was looked for.
    private var searches = 0
    /// Why the last of these were refused.
    private var lastRefusal: OpenStackError?

    private struct MetricKey: Hashable {
        var resource: String
        var metric: String
    }

    /// What became of a batch.
    private struct Progress {
        var taken: Set<MetricKey> = []
        /// Why something was not taken, the last of it.
        var refusal: OpenStackError?
    }

    /// So long a metric or a resource that was refused is left out.
    private static let barredFor = Interval.minutes(10)

    init(_ client: OpenStackClient, projectID: String, userID: String?, archivePolicy: String) {
        self.client = client
        self.projectID = projectID
        self.userID = userID
        self.archivePolicy = archivePolicy
    }

    func send(
        _ batch: TelemetryCore.Batch, at now: Timestamp
    ) async throws(TelemetryFailure) -> TelemetryPartial? {
        do throws(OpenStackError) {
            var progress = Progress()
            try await store(batch.entries, at: now, &progress)
            lastRefusal = progress.refusal ?? lastRefusal
            let left = leftOut(batch.entries, progress)
            // Nothing of it was taken, or could be tried: then it is as refused as it was the first time.
            if left.points == batch.pointCount, let lastRefusal { throw lastRefusal }
            for entry in batch.entries where entry.withAttributes && missing[entry.id] == nil {
                try await update(entry, &progress)
            }
            guard let refusal = progress.refusal ?? (left.metrics > 0 ? lastRefusal : nil) else { return nil }
            return TelemetryPartial(metrics: left.metrics, points: left.points, failure: Self.failure(refusal))
        } catch {
            throw Self.failure(error)
        }
    }

    func close() async {
        await client.close()
    }

    /// What of a batch was not taken: metrics, and points of which nothing was.
    private func leftOut(_ entries: [TelemetryCore.Entry], _ progress: Progress) -> (metrics: Int, points: Int) {
        var (metrics, points) = (0, 0)
        for entry in entries {
            let all = Self.measures(entry).metrics
            let out = all.filter { !progress.taken.contains(MetricKey(resource: entry.id, metric: $0.name)) }.count
            metrics += out
            if out == all.count { points += entry.points.count }
        }
        return (metrics, points)
    }

    /// One unknown resource makes Gnocchi refuse all of a batch, and it names those that are. They are made, and it goes
    /// again.
    private func store(
        _ entries: [TelemetryCore.Entry], at now: Timestamp, _ progress: inout Progress
    ) async throws(OpenStackError) {
        // Longer than any is barred: our clock was set back.
        barred = barred.filter { $0.value > now && $0.value - now <= Self.barredFor }
        missing = missing.filter { $0.value > now && $0.value - now <= Self.barredFor }
        doubtful = doubtful.filter { $0.value > now && $0.value - now <= Self.barredFor }
        let usable = entries.filter { missing[$0.id] == nil }
        let unknown: Set<String>
        do throws(OpenStackError) {
            return try await separate(usable, at: now, &progress)
        } catch {
            guard Self.isUnknownResource(error) else { throw error }
            // A Gnocchi that does not name them is asked to make all of them; those that exist stay as they are.
            unknown = Set(error.unknownResources.isEmpty ? usable.map(\.id) : error.unknownResources)
        }
        for entry in usable where unknown.contains(entry.id) {
            let last = entry.points[entry.points.count - 1]
            do throws(OpenStackError) {
                let isNew = try await client.createResource(
                    type: last.kind.resourceType, id: entry.id, attributes: last.attributes,
                    projectID: projectID, userID: userID)
                // Of one that exists the attributes are not known.
                if isNew { written.wrote(last.attributes, entry.id) }
            } catch {
                // A server that Ceilometer has not learnt of: its resource is not ours to make.
                guard Self.isOwn(error) else { throw error }
                progress.refusal = error
                missing[entry.id] = now + Self.barredFor
            }
        }
        try await separate(usable.filter { missing[$0.id] == nil }, at: now, &progress)
    }

    private static func isUnknownResource(_ error: OpenStackError) -> Bool {
        error.code == .badRequest && error.message.contains("Unknown resources")
    }

    /// Whether the fault lies with the one resource or metric, and others may well be taken.
    private static func isOwn(_ error: OpenStackError) -> Bool {
        error.code == .badRequest || error.code == .notFound || error.code == .forbidden
    }

    /// Stores all that Gnocchi takes. It refuses a request as a whole when one of its metrics is another project's (403) or
    /// is not wanted (400): then the metric that is to blame is looked for and left out from then on.
    private func separate(
        _ entries: [TelemetryCore.Entry], at now: Timestamp, _ progress: inout Progress
    ) async throws(OpenStackError) {
        var (usual, inDoubt): ([RefusalSearch.Piece], [RefusalSearch.Piece]) = ([], [])
        // Each time from another one on: a search that ends early would else never come to the last.
        let first = entries.isEmpty ? 0 : searches * 7 % entries.count
        searches += 1
        for entry in entries[first...] + entries[..<first] {
            for metric in Self.measures(entry).metrics {
                let key = MetricKey(resource: entry.id, metric: metric.name)
                guard barred[key] == nil, !progress.taken.contains(key) else { continue }
                let piece = RefusalSearch.Piece(resource: entry.id, metric: metric)
                if doubtful[entry.id] == nil { usual.append(piece) } else { inDoubt.append(piece) }
            }
        }
        if !inDoubt.isEmpty, try await take(inDoubt, &progress) {
            for piece in inDoubt { doubtful[piece.resource] = nil }
        }
        var search = RefusalSearch(usual)
        while let part = search.next() {
            if try await take(part, &progress) { search.wasTaken() } else { search.wasRefused() }
        }
        guard search.taken.isEmpty else {
            for piece in search.guilty {
                barred[MetricKey(resource: piece.resource, metric: piece.metric.name)] = now + Self.barredFor
            }
            return
        }
        // Others in their place would have been refused as well, for all that is known: nobody is left out for it.
        for piece in usual { doubtful[piece.resource] = now + Self.barredFor }
    }

    /// Sends a part; whether it was taken. What concerns more than a metric is thrown.
    private func take(
        _ part: [RefusalSearch.Piece], _ progress: inout Progress
    ) async throws(OpenStackError) -> Bool {
        do throws(OpenStackError) {
            try await client.storeMeasures(Self.joined(part), archivePolicy: archivePolicy)
            for piece in part {
                progress.taken.insert(MetricKey(resource: piece.resource, metric: piece.metric.name))
            }
            return true
        } catch {
            guard error.code == .badRequest || error.code == .forbidden, !Self.isUnknownResource(error),
                !error.message.contains("Archive policy")
            else {
                // Gnocchi has no such answer to measures: something else is at its address, for a moment perhaps.
                guard error.code == .notFound else { throw error }
                throw OpenStackError(.server, call: error.call, status: error.status, message: error.message)
            }
            progress.refusal = error
            return false
        }
    }

    /// Pieces as Gnocchi takes them: by resource.
    private static func joined(_ pieces: [RefusalSearch.Piece]) -> [GnocchiMeasures] {
        var measures: [GnocchiMeasures] = []
        for piece in pieces {
            // Those of one resource stand together.
            if measures.last?.resource == piece.resource {
                measures[measures.count - 1].metrics.append(piece.metric)
            } else {
                measures.append(GnocchiMeasures(resource: piece.resource, metrics: [piece.metric]))
            }
        }
        return measures
    }

    /// Attributes that changed since they were written: a pod that came to another node. What was written before our start
    /// is not known, so it is written once.
    private func update(_ entry: TelemetryCore.Entry, _ progress: inout Progress) async throws(OpenStackError) {
        let last = entry.points[entry.points.count - 1]
        guard !last.attributes.isEmpty, !written.holds(last.attributes, entry.id) else { return }
        do throws(OpenStackError) {
            try await client.updateResource(
                type: last.kind.resourceType, id: entry.id, attributes: last.attributes)
            written.wrote(last.attributes, entry.id)
        } catch {
            // Gone meanwhile: it is made again when its measures are refused.
            if error.code == .notFound { return written.forget(entry.id) }
            // The measures are stored; they are worth more than the names.
            guard Self.isOwn(error) else { throw error }
            progress.refusal = error
        }
    }

    private static func measures(_ entry: TelemetryCore.Entry) -> GnocchiMeasures {
        var metrics: [GnocchiMeasures.Metric] = []
        for point in entry.points {
            for (gauge, value) in point.values {
                let name = gauge.meter(of: point.kind)
                if let index = metrics.firstIndex(where: { $0.name == name }) {
                    metrics[index].points.append((point.at, value))
                } else {
                    metrics.append(.init(name: name, unit: gauge.unit, points: [(point.at, value)]))
                }
            }
        }
        return GnocchiMeasures(resource: entry.id, metrics: metrics)
    }

    private static func failure(_ error: OpenStackError) -> TelemetryFailure {
        switch error.code {
        case .unauthorized:
            TelemetryFailure(
                code: .unauthorized,
                text: "the login is refused: the trust or application credential was revoked, has expired, or its "
                    + "project is disabled (\(error.description))",
                // It may be that somebody put another one into the file, with a slip.
                cause: error.message)
        case .forbidden:
            TelemetryFailure(
                code: .forbidden,
                text: "Gnocchi lets only the creator's project write: a metric or resource of the batch was made by "
                    + "another one, perhaps Ceilometer, or another tenant whose cluster has the same name: `cluster` must be unique "
                    + "in the cloud (\(error.description))", isRetriable: false)
        case .badRequest where isUnknownResource(error):
            // Each was made, or is there (409).
            TelemetryFailure(
                code: .refused,
                text:
                    "resources are there and yet unknown to this login: another tenant's cluster may have the same name, which "
                    + "must be unique in the cloud (\(error.description))", isRetriable: false)
        case .badRequest, .notFound, .conflict, .quota:
            TelemetryFailure(
                code: .refused,
                text: "\(error.description); deploy/telemetry/gnocchi-types.json holds the resource types and archive "
                    + "policies that are needed", isRetriable: error.code == .conflict)
        case .configuration: TelemetryFailure(code: .refused, text: error.description)
        case .server, .malformed: TelemetryFailure(code: .server, text: error.description)
        case .transport, .cancelled: TelemetryFailure(code: .unreachable, text: error.description)
        }
    }
}

extension TelemetryCore.Entry {
    /// The resource, as Gnocchi has it.
    fileprivate var id: String { points[0].id.description }
}
