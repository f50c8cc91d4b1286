import AMQP
import Messages

/// Why something could not be sent or subscribed to.
public struct BusError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of failure.
    public enum Code: String, Sendable, CaseIterable {
        /// The broker said no, or could not be reached in time; see the text.
        case broker
        /// Nobody has declared a queue for this message yet: the service that should act on it has never run.
        case unroutable
        /// Too much is waiting to be sent.
        case full
        /// The message itself cannot be sent (a field out of range, too large).
        case message
        /// The bus was closed, or the task cancelled.
        case closed
    }

    /// The kind of failure.
    public let code: Code
    /// What happened, for people.
    public let text: String
    /// Whether the same call may succeed later.
    public let isRetriable: Bool

    /// An error of the given kind.
    public init(_ code: Code, _ text: String, isRetriable: Bool) {
        self.code = code
        self.text = text
        self.isRetriable = isRetriable
    }

    init(_ error: AMQPError) {
        let code: Code =
            switch error.code {
            case .unroutable: .unroutable
            case .full: .full
            case .closed, .cancelled: .closed
            case .tooLarge, .invalid: .message
            default: .broker
            }
        self.init(code, error.description, isRetriable: error.isRetriable || error.code == .unroutable)
    }

    init(_ error: MessageError) {
        self.init(.message, error.description, isRetriable: false)
    }

    /// Kind and text.
    public var description: String { "\(code.rawValue): \(text)" }
}
