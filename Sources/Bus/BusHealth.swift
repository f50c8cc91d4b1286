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
        /// Whether all that is missing is an exchange of another service, which is waited for: that service may not run (yet), or
        /// never have told anybody anything.
        public let isAbsence: Bool

        /// Connection and text.
        public var description: String { "\(connection): \(text)" }
    }

    /// How many connections there are: the publisher's and one for each subscription.
    public let connections: Int
    /// Everything that does not work now.
    public let problems: [Problem]

    /// Whether the service can do its work, as far as the bus goes.
    public var isReady: Bool { complaint == nil }

    /// What keeps the service from being ready, for `/readyz`; nil if nothing does. Notifications of others count, too, unless their
    /// exchange does not exist.
    public var complaint: String? {
        let counting = problems.filter { !$0.isAbsence }
        return counting.isEmpty ? nil : counting.map(\.description).joined(separator: "; ")
    }
}

extension BusHealth.Problem {
    init?(_ connection: String, _ state: ConnectionState) {
        switch state {
        case .connected: return nil
        case .connecting(nil): self.init(connection, "connecting", isLasting: false)
        case .connecting(let error?): self.init(connection, error.description, isLasting: error.isLasting)
        case .awaiting(let error): self.init(connection, error.description, isLasting: false, isAbsence: true)
        case .blocked(let reason):
            self.init(connection, "the broker takes no messages: \(reason)", isLasting: false)
        case .closed: self.init(connection, "closed", isLasting: true)
        }
    }

    private init(_ connection: String, _ text: String, isLasting: Bool, isAbsence: Bool = false) {
        self.init(connection: connection, text: text, isLasting: isLasting, isAbsence: isAbsence)
    }
}
