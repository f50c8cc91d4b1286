import Bus
import Support

/// Why a batch did not go.
struct TelemetryFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds, which are labels of the metric `updraft_telemetry_failures_total`.
    enum Code: String, Sendable, CaseIterable {
        /// The other side cannot be reached.
        case unreachable
        /// The exchange does not exist: no service of the cloud has made it yet.
        case noExchange = "no_exchange"
        /// No queue takes the samples: no ceilometer-agent-notification has ever run here.
        case noQueue = "no_queue"
        /// The broker does not let us.
        case accessRefused = "access_refused"
        /// The login is refused: revoked, expired or deleted.
        case unauthorized
        /// Gnocchi does not let us write this.
        case forbidden
        /// What Gnocchi lacks or does not take: an archive policy, a resource type, a value.
        case refused
        /// Something is wrong in between; it is tried again.
        case server
    }

    var code: Code
    /// For people, with how to mend it where that is known.
    var text: String
    /// What is told anew when it changes while the code stays the same.
    var cause = ""
    /// Whether the same batch may go later; else it is given up.
    var isRetriable = true

    var description: String { "\(code.rawValue): \(text)" }
}

/// A batch that was taken but for some of its metrics.
struct TelemetryPartial: Sendable, Equatable {
    /// How many metrics were not: refused now, or left out since they were refused before.
    var metrics: Int
    /// Points of which nothing was taken.
    var points = 0
    /// Why not, the last of them.
    var failure: TelemetryFailure
}

/// Where batches go.
protocol TelemetrySink: Sendable {
    /// Returns when the other side has taken the batch; what it did not take of it, if anything.
    func send(_ batch: TelemetryCore.Batch, at now: Timestamp) async throws(TelemetryFailure) -> TelemetryPartial?
    /// Ends what is open.
    func close() async
}

/// To Ceilometer, over its bus. The exchange and the queue are Ceilometer's: looked for, never made.
struct CeilometerSink: TelemetrySink {
    let publisher: ForeignPublisher
    let exchange: String
    let notification: CeilometerNotification

    func send(
        _ batch: TelemetryCore.Batch, at now: Timestamp
    ) async throws(TelemetryFailure) -> TelemetryPartial? {
        do throws(ForeignPublisher.Failure) {
            try await publisher.publish(
                notification.body(batch, at: now), routingKey: CeilometerNotification.routingKey, within: .seconds(20))
            return nil
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ failure: ForeignPublisher.Failure) -> TelemetryFailure {
        switch failure.code {
        case .noExchange:
            TelemetryFailure(
                code: .noExchange,
                text:
                    "the exchange '\(exchange)' does not exist at the broker: start ceilometer-agent-notification, or "
                    + "check collector.telemetry.transport_url (\(failure.text))")
        case .noQueue:
            TelemetryFailure(
                code: .noQueue,
                text: "no queue is bound to '\(exchange)' with \(CeilometerNotification.routingKey): "
                    + "ceilometer-agent-notification has not run at this broker")
        case .accessRefused: TelemetryFailure(code: .accessRefused, text: failure.text)
        case .invalid: TelemetryFailure(code: .refused, text: failure.text, isRetriable: false)
        case .unreachable: TelemetryFailure(code: .unreachable, text: failure.text)
        }
    }

    func close() async {
        await publisher.close()
    }
}
