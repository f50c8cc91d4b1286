import AMQP
import Crypto
import FoundationEssentials
import Messages
import Support

/// A message of the history.
public struct HistoryEntry: Sendable, Equatable {
    /// When it was published, as it says itself.
    public var at: Timestamp
    /// What it said.
    public var event: Event
    /// Whether its signature holds; true also where no keys are configured.
    public var isTrusted: Bool
}

/// The history of a cluster: a RabbitMQ stream `updraft.<cluster>.history` that keeps what was decided and what became of it
/// for a while. Reading takes nothing away, and any number of readers may read at once.
///
/// What became of decisions comes by a binding to `lifecycle`. Decisions are put in by who made them (`remember`): a binding
/// would make each decision routable even where no Actuator has ever run, and its publisher must learn of that.
extension Bus {
    /// Declares the stream. The Decider does at its start; who reads only needs no right to.
    public func declareHistory() async throws(BusError) {
        do throws(AMQPError) {
            try await OneShot.check(settings.connection("history"), topology: settings.historyTopology(.declare))
        } catch {
            throw BusError(error)
        }
    }

    /// Puts a copy of a message that was published into the history. It is lost where there is none.
    public func remember<P: Payload>(_ payload: P, id: String, priority: Priority = .info) async throws(BusError) {
        var (message, _) = try message(payload, priority: priority, topic: P.eventType.topic, id: id)
        message.properties.headers[BusSettings.Header.routingKey] = .string(message.routingKey)
        message.exchange = ""
        message.routingKey = settings.historyQueueName
        message.mandatory = false
        try await send(message, within: settings.perishableWait)
    }

    /// Reads the history from `since` (nil: all of it), oldest first. A message of our own marks the end.
    ///
    /// - Throws: `.unroutable` when there is no history; `.broker` when its end was not reached within `within`.
    public func history(
        since: Timestamp? = nil, within: Interval = .seconds(30), _ body: (HistoryEntry) -> Void
    ) async throws(BusError) {
        let queue = settings.historyQueueName
        let marker = UUID().uuidString.lowercased()
        do throws(AMQPError) {
            do throws(AMQPError) {
                try await OneShot.check(settings.connection("history"), topology: settings.historyTopology(.passive))
            } catch {
                guard error.code == .notFound else { throw error }
                throw AMQPError(.unroutable, "there is no queue \(queue): a Decider declares it at its start")
            }
            try await publisher.publish(
                OutgoingMessage(
                    exchange: "", routingKey: queue, body: Array("{}".utf8),
                    properties: MessageProperties(
                        contentType: "application/json", persistent: true, messageID: marker,
                        applicationID: settings.publisherID), mandatory: true), within: .seconds(10))
            // Offsets in time are of a chunk: it may begin earlier. Well before the marker, whatever was asked for: from an offset
            // that is still to come nothing would come.
            let latest = Timestamp.now() - .seconds(60)
            let offset = since.map { AMQPValue.timestamp(UInt64(max(0, min($0, latest).seconds))) } ?? .string("first")
            let consumer = try Consumer(
                settings: settings.connection("history"), topology: settings.historyTopology(.passive), queue: queue,
                prefetch: 500, arguments: ["x-stream-offset": offset])
            let deadline = Task { [within] in
                guard (try? await Task.sleep(for: within.duration)) != nil else { return }
                await consumer.close(within: .zero)
            }
            defer { deadline.cancel() }
            var isWhole = false
            for await delivery in consumer.deliveries {
                delivery.ack()
                if delivery.properties.messageID == marker {
                    isWhole = true
                    break
                }
                if let entry = remembered(delivery), since.map({ entry.at >= $0 }) ?? true { body(entry) }
            }
            await consumer.close(within: .seconds(1))
            guard isWhole else { throw AMQPError(.timedOut, "the end of \(queue) was not reached within \(within)") }
        } catch {
            throw BusError(error)
        }
    }

    /// What is not ours, of another cluster or broken is passed over: this is for looking only.
    private func remembered(_ delivery: Delivery) -> HistoryEntry? {
        guard !delivery.isOversize,
            let received = try? MessageCoder.open(delivery.body, maximumBytes: settings.maximumMessageBytes),
            let at = received.envelope.time, let event = try? Event(received), event.cluster == settings.cluster
        else { return nil }
        let headers = delivery.properties.headers
        var isTrusted = true
        if let keys = settings.keys {
            let id = headers[SigningKeys.keyHeader]?.string
            let code = headers[SigningKeys.signatureHeader]?.string.flatMap { [UInt8](base64: $0) }
            let routingKey = headers[BusSettings.Header.routingKey]?.string ?? delivery.routingKey
            let key = keys.keys.first { $0.id == id }
            isTrusted =
                if let key, let code {
                    constantTimeEquals(code, SigningKeys.code(key, routingKey, received.text))
                } else {
                    false
                }
        }
        return HistoryEntry(at: at, event: event, isTrusted: isTrusted)
    }
}

extension BusSettings {
    /// `updraft.<cluster>.history`.
    var historyQueueName: String { "updraft.\(cluster).history" }

    /// A stream, bounded in age and size. Segments are small, because only whole ones are dropped.
    func historyTopology(_ mode: Topology.Mode) -> Topology {
        let arguments: [String: AMQPValue] = [
            "x-queue-type": "stream", "x-max-age": "14D", "x-max-length-bytes": .int(64 << 20),
            "x-stream-max-segment-size-bytes": .int(4 << 20),
        ]
        let queue = Topology.Queue(historyQueueName, arguments: arguments, mode: mode)
        guard mode != .passive else { return Topology(queues: [queue]) }
        return Topology(
            exchanges: [.init(exchange)], queues: [queue],
            bindings: [
                .init(
                    queue: historyQueueName, exchange: exchange,
                    routingKey: "updraft.\(cluster).\(Topic.lifecycle.rawValue).*")
            ])
    }
}
