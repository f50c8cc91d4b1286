import AMQP
import Messages
import Support

extension Bus {
    /// What came out of the queue of probes.
    public struct Probe: Sendable, Equatable {
        /// What `sendProbe` was given, by whichever replica.
        public let text: String
        /// Which connection it came by: grows with each one of this call of `probes`.
        public let connection: UInt64
    }

    /// A connection whose other end is silent for two to three of these is given up by the broker, which then hands the
    /// queue on. A killed process's connection ends at once.
    public static let probeHeartbeat = Interval.seconds(2)

    /// Puts a probe into the queue that the broker hands to one replica of the service and cluster at a time. Not
    /// kept if the broker restarts; nothing is said if nobody has declared the queue yet.
    public func sendProbe(_ text: String, within: Interval) async throws(BusError) {
        try await send(
            OutgoingMessage(
                exchange: "", routingKey: settings.probeQueueName, body: Array(text.utf8),
                properties: MessageProperties(
                    contentType: "text/plain", persistent: false, applicationID: settings.publisherID)),
            within: within)
    }

    /// Reads that queue until the bus is closed or the task is cancelled: gets something only while the broker has chosen
    /// this replica, and then all replicas' probes.
    public func probes(_ handler: @Sendable (Probe) async -> Void) async throws(BusError) {
        try await withReader(
            settings.probeQueueName, topology: settings.probeTopology, prefetch: 32, heartbeat: Self.probeHeartbeat
        ) { consumer in
            for await delivery in consumer.deliveries {
                // Longer ones are not ours.
                let text = String(decoding: delivery.body.prefix(200), as: UTF8.self)
                await handler(Probe(text: text, connection: delivery.generation))
                delivery.ack()
            }
        }
    }
}
