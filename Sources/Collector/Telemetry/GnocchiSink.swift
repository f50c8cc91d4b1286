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

    init(_ client: OpenStackClient, projectID: String, userID: String?, archivePolicy: String) {
        self.client = client
        self.projectID = projectID
        self.userID = userID
        self.archivePolicy = archivePolicy
    }

    func send(_ batch: TelemetryCore.Batch, at now: Timestamp) async throws(TelemetryFailure) {
        do throws(OpenStackError) {
            for entry in batch.entries where entry.withAttributes { try await update(entry) }
            try await store(batch.entries)
        } catch {
            throw Self.failure(error)
        }
    }

    func close() async {
        await client.close()
    }

    /// One unknown resource makes Gnocchi refuse all of a batch; then those that are missing are made, and it goes again.
    private func store(_ entries: [TelemetryCore.Entry]) async throws(OpenStackError) {
        let measures = entries.map(Self.measures)
        do throws(OpenStackError) {
            return try await client.storeMeasures(measures, archivePolicy: archivePolicy)
        } catch {
            guard error.code == .badRequest, error.message.contains("Unknown resources") else { throw error }
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
        if !usable.isEmpty { try await client.storeMeasures(usable, archivePolicy: archivePolicy) }
        if let refusal, usable.isEmpty { throw refusal }
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
