import Messages
import OpenStack
import Support

/// To Gnocchi directly, under an application credential or a trust: for those who cannot reach the cloud's bus.
actor GnocchiSink: TelemetrySink {
    private let client: OpenStackClient
    private let projectID: String
    private let userID: String?
    private let archivePolicy: String
    /// Attributes as they were last written, by resource.
    private var written: [String: [String: String]] = [:]
    /// Metrics that Gnocchi lets us not write, by name within their resource, and until when they are left out.
    private var barred: [Barred: Timestamp] = [:]

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
    /// So long a metric that was refused is left out.
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
            for entry in batch.entries where entry.withAttributes { try await update(entry) }
            return try await store(batch.entries, at: now)
        } catch {
            throw Self.failure(error)
        }
    }

    func close() async {
        await client.close()
    }

    /// One unknown resource makes Gnocchi refuse all of a batch; then those that are missing are made, and it goes again.
    private func store(
        _ entries: [TelemetryCore.Entry], at now: Timestamp
    ) async throws(OpenStackError) -> TelemetryPartial? {
        barred = barred.filter { $0.value > now }
        let measures = entries.map(Self.measures)
        do throws(OpenStackError) {
            return try await separate(measures, at: now)
        } catch {
            guard Self.isUnknownResource(error) else { throw error }
        }
        var usable: [GnocchiMeasures] = []
        var refusal: OpenStackError?
        for (entry, measures) in zip(entries, measures) {
            let last = entry.points[entry.points.count - 1]
            do throws(OpenStackError) {
                _ = try await client.createResource(
                    type: last.kind.resourceType, id: last.id.description, attributes: last.attributes,
                    projectID: projectID, userID: userID)
                written[last.id.description] = last.attributes
                usable.append(measures)
            } catch {
                // A server that Ceilometer has not learnt of: its resource is not ours to make.
                guard error.code == .badRequest || error.code == .notFound || error.code == .forbidden else {
                    throw error
                }
                refusal = refusal ?? error
            }
        }
        if let refusal, usable.isEmpty { throw refusal }
        return usable.isEmpty ? nil : try await separate(usable, at: now)
    }

    private static func isUnknownResource(_ error: OpenStackError) -> Bool {
        error.code == .badRequest && error.message.contains("Unknown resources")
    }

    /// Stores all that Gnocchi takes. It refuses a request as a whole when one of its metrics is another project's (403), is
    /// gone (404) or is not wanted (400): then the halves go by themselves, down to the metric that is to blame, which is
    /// left out from then on.
    private func separate(
        _ measures: [GnocchiMeasures], at now: Timestamp
    ) async throws(OpenStackError) -> TelemetryPartial? {
        let pieces = measures.flatMap { resource in
            resource.metrics.map { Piece(resource: resource.resource, metric: $0) }
        }
        let wanted = pieces.filter { barred[$0.key] == nil }
        guard !wanted.isEmpty else { return nil }
        var rest: [[Piece]] = [wanted]
        var requests = 0
        var stored = 0
        var lost = 0
        var refusal: OpenStackError?
        while let part = rest.popLast() {
            do throws(OpenStackError) {
                requests += 1
                try await client.storeMeasures(Self.joined(part), archivePolicy: archivePolicy)
                stored += part.count
            } catch {
                let isOne = error.code == .forbidden || error.code == .notFound || error.code == .badRequest
                // What concerns all of them is not looked for in each.
                guard isOne, !Self.isUnknownResource(error), !error.message.contains("Archive policy") else {
                    throw error
                }
                refusal = error
                if part.count == 1 || requests >= Self.searches {
                    lost += part.count
                    if part.count == 1 { barred[part[0].key] = now + Self.barredFor }
                } else {
                    rest.append(Array(part[(part.count / 2)...]))
                    rest.append(Array(part[..<(part.count / 2)]))
                }
            }
        }
        guard let refusal else { return nil }
        if stored == 0 { throw refusal }
        return TelemetryPartial(metrics: lost, failure: Self.failure(refusal))
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

    /// Attributes that changed since they were written: a pod that came to another node.
    private func update(_ entry: TelemetryCore.Entry) async throws(OpenStackError) {
        let last = entry.points[entry.points.count - 1]
        let id = last.id.description
        guard let before = written[id], before != last.attributes else { return }
        do throws(OpenStackError) {
            try await client.updateResource(
                type: last.kind.resourceType, id: id,
                attributes: last.attributes.filter { before[$0.key] != $0.value })
            written[id] = last.attributes
        } catch {
            // Gone meanwhile: it is made again when its measures are refused.
            guard error.code == .notFound else { throw error }
            written[id] = nil
        }
        if written.count > 200_000 { written = [:] }
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
        return GnocchiMeasures(resource: entry.points[0].id.description, metrics: metrics)
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
