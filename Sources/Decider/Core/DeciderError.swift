/// What goes wrong in the Decider.
public struct DeciderError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of problem.
    public enum Code: String, Sendable {
        /// The saved state cannot be used.
        case invalidCheckpoint
        /// A scenario or recording cannot be read.
        case invalidInput
    }

    /// The kind of problem.
    public let code: Code
    /// What is wrong and where.
    public let text: String

    /// From its parts.
    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    /// Whether the same input may work later: never, these are all about content.
    public var isRetriable: Bool { false }

    /// The text.
    public var description: String { text }
}
