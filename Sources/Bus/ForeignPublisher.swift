import AMQP
import Support

/// Publishes notifications for a service of somebody else, at its broker and exchange, over a connection of its own.
///
/// A guest: the exchange is looked for and never made. Until it exists this waits and says so; a message that no queue
/// takes is an error, for then nobody has ever listened.
public final class ForeignPublisher: Sendable {
    /// Why a message was not taken.
    public struct Failure: Error, Sendable, Equatable {
        /// The kinds.
        public enum Code: String, Sendable, CaseIterable {
            /// The broker cannot be reached, or does not take the message now.
            case unreachable
            /// The exchange does not exist.
            case noExchange
            /// No queue takes the message.
            case noQueue
            /// The broker does not let us.
            case accessRefused
            /// The message cannot be sent at all.
            case invalid
        }

        /// The kind.
        public let code: Code
        /// The broker's words.
        public let text: String
        /// Whether the same message may go later.
        public var isRetriable: Bool { code != .invalid }
    }

    private let publisher: Publisher
    private let exchange: String
    /// So long a message waits for its reader.
    public static let lifetime = Interval.minutes(60)

    /// Starts connecting.
    /// - Parameters:
    ///   - exchange: theirs.
    ///   - onConnected: told of the broker's name, at each connect.
    public init(
        _ settings: AMQPSettings, exchange: String, onConnected: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        self.exchange = exchange
        publisher = try Publisher(settings: settings, topology: Topology(exchanges: [.init(exchange, mode: .passive)]))
        {
            if case .connected(let host) = $0 { onConnected(host) }
        }
    }

    /// Returns when the broker has the body in a queue. `application/json`, persistent; gone after an hour if nobody reads
    /// it: the queue is theirs and has no bound, and a broker whose disk is full stops the whole cloud.
    public func publish(_ body: [UInt8], routingKey: String, within: Interval) async throws(Failure) {
        let message = OutgoingMessage(
            exchange: exchange, routingKey: routingKey, body: body,
            // oslo's listeners skip what has no content type.
            properties: MessageProperties(
                contentType: "application/json", contentEncoding: "utf-8", persistent: true, expiration: Self.lifetime),
            mandatory: true)
        do throws(AMQPError) {
            try await publisher.publish(message, within: within)
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ given: AMQPError) -> Failure {
        var error = given
        // One that waited for its connection ends with "timed out": why there is no connection is what helps.
        if given.code == .timedOut {
            switch publisher.state {
            case .connecting(let why?), .awaiting(let why): error = why
            default: break
            }
        }
        let code: Failure.Code =
            switch error.code {
            case .notFound: .noExchange
            case .unroutable: .noQueue
            case .accessRefused, .notAllowed: .accessRefused
            case .tooLarge, .invalid: .invalid
            default: .unreachable
            }
        return Failure(code: code, text: error.description)
    }

    /// Gives what is in hand a moment to be confirmed, and closes the connection.
    public func close() async {
        await publisher.close()
    }
}
