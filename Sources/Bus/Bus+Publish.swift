import AMQP
import FoundationEssentials
import Messages
import Support

extension Bus {
    /// Publishes one of our messages and returns its id when the broker has confirmed it.
    ///
    /// The topic decides the rest: commands are persistent, signed if there are keys, and sent again until they are confirmed;
    /// decisions, signals and answers must have a reader's queue (else `.unroutable`). Perishable messages are transient and
    /// given up after the settings' `perishableWait`.
    @discardableResult
    public func publish<P: Payload>(_ payload: P, priority: Priority = .info) async throws(BusError) -> String {
        let topic = P.eventType.topic
        let started = ContinuousClock.now
        do throws(BusError) {
            let (message, id) = try message(payload, priority: priority, topic: topic)
            try await send(message, within: topic.isPerishable ? settings.perishableWait : nil)
            let took = started.duration(to: .now).components
            observer.published(
                topic, Interval(microseconds: took.seconds * 1_000_000 + took.attoseconds / 1_000_000_000_000))
            return id
        } catch {
            observer.publishFailed(topic, error)
            throw error
        }
    }

    /// The message for a payload; `id` nil for a new one.
    func message<P: Payload>(
        _ payload: P, priority: Priority, topic: Topic, id: String? = nil
    ) throws(BusError) -> (OutgoingMessage, id: String) {
        let id = id ?? UUID().uuidString.lowercased()
        let routingKey = RoutingKey(cluster: payload.cluster, topic: topic, priority: priority).description
        let encoded: (body: [UInt8], text: String)
        do throws(MessageError) {
            guard RoutingKey.isClusterName(payload.cluster) else {
                throw MessageError(.invalidField, path: "payload.cluster", what: "not a cluster name")
            }
            encoded = try MessageCoder.encode(
                payload, messageID: id, publisherID: settings.publisherID, priority: priority, timestamp: .now(),
                maximumBytes: settings.maximumMessageBytes)
        } catch {
            throw BusError(error)
        }
        let signature = topic.isCommand ? settings.keys?.headers(routingKey: routingKey, text: encoded.text) : nil
        let message = OutgoingMessage(
            exchange: settings.exchange, routingKey: routingKey, body: encoded.body,
            properties: MessageProperties(
                contentType: "application/json", contentEncoding: "utf-8", persistent: !topic.isPerishable,
                messageID: id, applicationID: settings.publisherID, headers: signature ?? [:]),
            mandatory: topic == .decisions || topic == .signals || topic == .answers)
        return (message, id)
    }

    /// Publishes bytes as they are, for readers that are not ours (samples for Ceilometer). Returns when confirmed;
    /// gives up after `within`.
    public func publishRaw(
        exchange: String, routingKey: String, body: [UInt8], persistent: Bool = true, mandatory: Bool = false,
        headers: [String: AMQPValue] = [:], messageID: String? = nil, within: Interval? = .seconds(30)
    ) async throws(BusError) {
        let message = OutgoingMessage(
            exchange: exchange, routingKey: routingKey, body: body,
            properties: MessageProperties(
                contentType: "application/json", contentEncoding: "utf-8", persistent: persistent,
                messageID: messageID, headers: headers),
            mandatory: mandatory)
        try await send(message, within: within)
    }

    /// Sends and waits for the confirm. What the broker refuses for the moment (a queue at its bound) is tried again
    /// a few times.
    func send(_ message: OutgoingMessage, within: Interval?) async throws(BusError) {
        var backoff = Backoff(first: .milliseconds(100), cap: .seconds(2))
        while true {
            do throws(AMQPError) {
                return try await publisher.publish(message, within: within)
            } catch {
                guard error.code == .nacked, backoff.failures < 5, !Task.isCancelled else { throw BusError(error) }
            }
            let pause = backoff.failed(jitter: .random(in: 0...1))
            // Only a cancelled task ends the sleep early; the next attempt then ends at once.
            try? await Task.sleep(for: pause.duration)
        }
    }
}
