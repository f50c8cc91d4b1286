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
    private var barred: [Barred: Timestamp] = [:]
    /// Resources that do not exist and that Gnocchi lets us not make, and until when they are left out.
    private var missing: [String: Timestamp] = [:]
    /// Why the last of these are left out.
    private var lastRefusal: OpenStackError?

    private struct Barred: Hashable {
        var resource: String
        var metric: String
    }

    /// One metric in a request.
    private struct Piece {
        var resource: String
        var metric: GnocchiMeasures.Metric
        var key: Barred { Barred(resource: resource, metric: metric.name) }
    }

    /// Gnocchi refuses a whole request for one metric; in so many requests the culprits of a batch are looked for.
    private static let searches = 64
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
            var lost = Loss()
            do throws(OpenStackError) {
                try await store(batch.entries, at: now, &lost)
            } catch {
                if Self.isOwn(error) { lastRefusal = error }
                throw error
            }
            for entry in batch.entries where entry.withAttributes && missing[entry.id] == nil {
                try await update(entry, &lost)
            }
            lastRefusal = lost.refusal ?? lastRefusal
            let left = leftOut(batch.entries)
            // Nothing of it could be tried: it is as refused as it was the first time.
            if left.points == batch.pointCount, let lastRefusal { throw lastRefusal }
            guard let refusal = lost.refusal ?? (left.metrics > 0 ? lastRefusal : nil) else { return nil }
            return TelemetryPartial(
                metrics: max(lost.metrics, left.metrics), points: left.points, failure: Self.failure(refusal))
        } catch {
            throw Self.failure(error)
        }
    }

    func close() async {
        await client.close()
    }

    /// What of a batch is left out, since it was refused before or just now: metrics, and points of which nothing is left.
    private func leftOut(_ entries: [TelemetryCore.Entry]) -> (metrics: Int, points: Int) {
        guard !missing.isEmpty || !barred.isEmpty else { return (0, 0) }
        var (metrics, points) = (0, 0)
        for entry in entries {
            let all = Self.measures(entry).metrics
            let out =
                missing[entry.id] != nil
                ? all.count : all.filter { barred[Barred(resource: entry.id, metric: $0.name)] != nil }.count
            metrics += out
            if out == all.count { points += entry.points.count }
        }
        return (metrics, points)
    }

    /// What of a batch was not taken.
    private struct Loss {
        var metrics = 0
        /// Why, the last of them.
        var refusal: OpenStackError?
    }

    /// One unknown resource makes Gnocchi refuse all of a batch, and it names those that are. They are made, and it goes
    /// again.
    private func store(
        _ entries: [TelemetryCore.Entry], at now: Timestamp, _ lost: inout Loss
    ) async throws(OpenStackError) {
        // Longer than any is barred: our clock was set back.
        barred = barred.filter { $0.value > now && $0.value - now <= Self.barredFor }
        missing = missing.filter { $0.value > now && $0.value - now <= Self.barredFor }
        let usable = entries.filter { missing[$0.id] == nil }
        let unknown: Set<String>
        do throws(OpenStackError) {
            return try await separate(usable.map(Self.measures), at: now, &lost)
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
                lost.refusal = error
                lost.metrics += Self.measures(entry).metrics.count
                missing[entry.id] = now + Self.barredFor
            }
        }
        let rest = usable.filter { missing[$0.id] == nil }
        if rest.isEmpty, let refusal = lost.refusal { throw refusal }
        try await separate(rest.map(Self.measures), at: now, &lost)
    }

    private static func isUnknownResource(_ error: OpenStackError) -> Bool {
        error.code == .badRequest && error.message.contains("Unknown resources")
    }

    /// Whether the fault lies with the one resource or metric, and others may well be taken.
    private static func isOwn(_ error: OpenStackError) -> Bool {
        error.code == .badRequest || error.code == .notFound || error.code == .forbidden
    }

    /// Stores all that Gnocchi takes. It refuses a request as a whole when one of its metrics is another project's (403), is
    /// gone (404) or is not wanted (400): then the halves go by themselves, down to the metric that is to blame, which is
    /// left out from then on.
    private func separate(
        _ measures: [GnocchiMeasures], at now: Timestamp, _ lost: inout Loss
    ) async throws(OpenStackError) {
        let pieces = measures.flatMap { resource in
            resource.metrics.map { Piece(resource: resource.resource, metric: $0) }
        }
        let wanted = pieces.filter { barred[$0.key] == nil }
        guard !wanted.isEmpty else { return }
        var rest: [[Piece]] = [wanted]
        var requests = 0
        var stored = 0
        var refusal: OpenStackError?
        while let part = rest.popLast() {
            do throws(OpenStackError) {
                requests += 1
                try await client.storeMeasures(Self.joined(part), archivePolicy: archivePolicy)
                stored += part.count
            } catch {
                // What concerns all of them is not looked for in each.
                guard Self.isOwn(error), !Self.isUnknownResource(error), !error.message.contains("Archive policy")
                else {
                    throw error
                }
                refusal = error
                if part.count == 1 || requests >= Self.searches {
                    lost.metrics += part.count
                    if part.count == 1 { barred[part[0].key] = now + Self.barredFor }
                } else {
                    rest.append(Array(part[(part.count / 2)...]))
                    rest.append(Array(part[..<(part.count / 2)]))
                }
            }
        }
        guard let refusal else { return }
        guard stored > 0 else {
            // All of it is another's, it seems: searched for once, not in every batch.
            for piece in wanted { missing[piece.resource] = now + Self.barredFor }
            throw refusal
        }
        lost.refusal = refusal
    }

    /// Pieces as Gnocchi takes them: by resource.
    private static func joined(_ pieces: [Piece]) -> [GnocchiMeasures] {
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
    private func update(_ entry: TelemetryCore.Entry, _ lost: inout Loss) async throws(OpenStackError) {
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
            lost.refusal = error
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
                    + "project is disabled (\(error.description))")
        case .forbidden:
            TelemetryFailure(
                code: .forbidden,
                text: "Gnocchi lets only the creator's project write: a metric or resource of the batch was made by "
                    + "another one, perhaps Ceilometer (\(error.description))", isRetriable: false)
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
