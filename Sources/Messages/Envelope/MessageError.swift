/// Why a message was not understood. Never retriable: the same bytes fail the same way again.
public struct MessageError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kinds of failure; also the bounded label of the metric and the reason in `updraft.dead`.
    public enum Code: String, Sendable, CaseIterable {
        /// Longer than the receiver's limit.
        case tooLarge = "too_large"
        /// Not JSON, or not an oslo envelope 2.0.
        case malformed
        /// A field is missing or holds something else than it should.
        case invalidField = "invalid_field"
        /// The event type is none that the receiver knows.
        case unknownEvent = "unknown_event"
        /// Written by a newer release.
        case unsupportedSchema = "unsupported_schema"
        /// About another cluster than the receiver serves.
        case otherCluster = "other_cluster"
        /// A value that could not be encoded (a number that is not finite).
        case unencodable
    }

    /// What kind of failure.
    public var code: Code
    /// Where: the path in the message, as `payload.groups[0].id`; empty for the message as a whole.
    public var path: String
    /// What was wrong and what is allowed, for a person.
    public var what: String

    /// From its parts.
    public init(_ code: Code, path: String = "", what: String) {
        self.code = code
        self.path = path
        self.what = what
    }

    /// Always false.
    public var isRetriable: Bool { false }

    /// Code, path and what was wrong.
    public var description: String {
        path.isEmpty ? "\(code.rawValue): \(what)" : "\(code.rawValue) at \(path): \(what)"
    }
}
