import AMQP

/// How the bus stands: for `/readyz` and logs.
public struct BusHealth: Sendable, Equatable {
    /// One connection that does not work.
    public struct Problem: Sendable, Equatable, CustomStringConvertible {
        /// `publisher`, or the queue that is consumed.
        public let connection: String
        /// What is wrong; the broker's text where it gave one.
        public let text: String
        /// Whether it will not pass by itself.
        public let isLasting: Bool
        /// Whether only notifications of another service are missing: the service works without.
        public let isForeign: Bool

        /// Connection and text.
        public var description: String { "\(connection): \(text)" }
    }

    /// How many connections there are: the publisher's and one for each subscription.
    public let connections: Int
    /// Everything that does not work now.
    public let problems: [Problem]

    /// Whether the service can do its work.
    public var isReady: Bool { problems.allSatisfy(\.isForeign) }
}

extension BusHealth.Problem {
    init?(_ connection: String, _ state: ConnectionState, isForeign: Bool) {
        switch state {
        case .connected: return nil
        case .connecting(nil): self.init(connection, "connecting", isLasting: false, isForeign)
        case .connecting(let error?):
            self.init(connection, error.description, isLasting: error.isLasting, isForeign)
        case .blocked(let reason):
            self.init(connection, "the broker takes no messages: \(reason)", isLasting: false, isForeign)
        case .closed: self.init(connection, "closed", isLasting: true, isForeign)
        }
    }

    private init(_ connection: String, _ text: String, isLasting: Bool, _ isForeign: Bool) {
        self.init(connection: connection, text: text, isLasting: isLasting, isForeign: isForeign)
    }
}
