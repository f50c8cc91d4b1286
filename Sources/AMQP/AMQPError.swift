/// What went wrong on the way to or at the broker. The text is the broker's own wherever it gave one.
public struct AMQPError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of failure. AMQP 0-9-1 reply codes are given where one stands behind it.
    public enum Code: String, Sendable {
        /// 403: wrong user or password, or no permission on the resource.
        case accessRefused
        /// 404: no such exchange or queue.
        case notFound
        /// 405: the queue is held exclusively by another connection.
        case resourceLocked
        /// 406: the queue or exchange exists with other arguments, or the message breaks a limit of the broker.
        case preconditionFailed
        /// 530: usually a virtual host that does not exist.
        case notAllowed
        /// 503: the broker does not know what was asked for, for example an exchange type whose plugin is off.
        case commandInvalid
        /// Any other refusal by the broker.
        case refused
        /// The connection could not be made or was lost.
        case connection
        /// No answer, or no heartbeat, in time.
        case timedOut
        /// A certificate, key, CA or host name that does not fit.
        case tls
        /// A mandatory message that no queue took (312).
        case unroutable
        /// The broker took back responsibility for a message (`basic.nack`), for example because a queue is full.
        case nacked
        /// The publisher or consumer was closed.
        case closed
        /// The task was cancelled.
        case cancelled
        /// What waits or is in flight has reached its bound.
        case full
        /// A message beyond the size limit.
        case tooLarge
        /// A name or property that AMQP cannot carry.
        case invalid
        /// A transport URL that cannot be read.
        case invalidURL
        /// The broker cancelled the consumer, for example because its queue was deleted.
        case consumerCancelled
    }

    /// The kind of failure.
    public let code: Code
    /// What happened, for people; never contains a password.
    public let text: String

    /// An error of the given kind.
    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    /// Whether the same call may succeed later without anybody changing a configuration.
    public var isRetriable: Bool {
        switch code {
        case .connection, .timedOut, .nacked, .full, .resourceLocked, .consumerCancelled: true
        default: false
        }
    }

    /// Whether somebody has to change something before it can work: a reason not to be ready.
    public var isLasting: Bool {
        switch code {
        case .accessRefused, .notFound, .preconditionFailed, .notAllowed, .commandInvalid, .refused, .tls, .invalidURL:
            true
        default: false
        }
    }

    /// Kind and text.
    public var description: String { "\(code.rawValue): \(text)" }
}

extension AMQPError {
    /// From a reply code of AMQP 0-9-1.
    init(reply code: Int, text: String) {
        let kind: Code =
            switch code {
            case 403: .accessRefused
            case 404: .notFound
            case 405: .resourceLocked
            case 406: .preconditionFailed
            case 503: .commandInvalid
            case 530: .notAllowed
            case 312, 313: .unroutable
            case 320, 541: .connection
            default: .refused
            }
        self.init(kind, text)
    }
}
