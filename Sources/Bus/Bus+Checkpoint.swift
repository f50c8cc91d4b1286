import AMQP
import Crypto
import Messages
import Support

extension Bus {
    /// Reads the last checkpoint saved under `name`, by whichever replica; nil if there is none. It stays where it is.
    ///
    /// A queue can hold the message and yet give none: a reader that died a moment ago may hold it until the broker
    /// notices. So "there is none" is believed only of a queue made just now (which gets an empty checkpoint as its first
    /// message) or after the settings' `checkpointPatience`. With keys, a checkpoint that is not signed by one of them is
    /// refused and counts as none.
    public func checkpoint(_ name: String = "checkpoint") async throws(BusError) -> [UInt8]? {
        let queue = settings.checkpointQueueName(name)
        var connection = settings.connection("checkpoint")
        connection.heartbeat = .seconds(5)
        connection.maximumMessageBytes = settings.amqp.maximumMessageBytes
        do throws(AMQPError) {
            do throws(AMQPError) {
                try await OneShot.check(connection, topology: settings.checkpointTopology(name, mode: .passive))
            } catch {
                guard error.code == .notFound else { throw error }
                try await OneShot.check(connection, topology: settings.checkpointTopology(name, mode: .declare))
                try await publisher.publish(checkpointMessage([], queue))
                return nil
            }
            let deadline = ContinuousClock.now + settings.checkpointPatience.duration
            while true {
                let found = try await OneShot.peek(
                    connection, topology: settings.checkpointTopology(name, mode: .declare), queue: queue)
                if let found { return trusted(found, queue) }
                guard ContinuousClock.now < deadline, !Task.isCancelled else { return nil }
                try? await Task.sleep(for: .milliseconds(250))
            }
        } catch {
            throw BusError(error)
        }
    }

    /// Replaces the checkpoint `name`; returns when the broker has it.
    public func saveCheckpoint(_ bytes: [UInt8], name: String = "checkpoint") async throws(BusError) {
        let queue = settings.checkpointQueueName(name)
        let message = checkpointMessage(bytes, queue)
        do throws(BusError) {
            try await send(message, within: nil)
        } catch {
            guard error.code == .unroutable else { throw error }
            // Saved before it was ever read: there is no queue yet.
            do throws(AMQPError) {
                try await OneShot.check(
                    settings.connection("checkpoint"), topology: settings.checkpointTopology(name, mode: .declare))
            } catch {
                throw BusError(error)
            }
            try await send(message, within: nil)
        }
    }

    private func checkpointMessage(_ bytes: [UInt8], _ queue: String) -> OutgoingMessage {
        let headers = settings.keys?.headers(routingKey: queue, text: sha256(bytes).hex) ?? [:]
        return OutgoingMessage(
            exchange: "", routingKey: queue, body: bytes,
            properties: MessageProperties(
                contentType: "application/octet-stream", persistent: true, applicationID: settings.publisherID,
                headers: headers),
            mandatory: true)
    }

    private func trusted(_ found: OneShot.Peeked, _ queue: String) -> [UInt8]? {
        guard found.bodySize == UInt64(found.body.count) else {
            observer.refused(.altered, "checkpoint of \(found.bodySize) bytes, above the size limit")
            return nil
        }
        if let keys = settings.keys, !found.body.isEmpty {
            let id = found.properties.headers[SigningKeys.keyHeader]?.string
            let code = found.properties.headers[SigningKeys.signatureHeader]?.string.flatMap { [UInt8](base64: $0) }
            guard let key = keys.keys.first(where: { $0.id == id }), let code,
                constantTimeEquals(code, SigningKeys.code(key, queue, sha256(found.body).hex))
            else {
                observer.refused(id == nil ? .unsigned : .altered, "checkpoint")
                return nil
            }
        }
        return found.body.isEmpty ? nil : found.body
    }
}
