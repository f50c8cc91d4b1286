/// A value that no log, error or description shows.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The value itself. Whoever asks for it must not print it.
    public let revealed: String

    /// Hides `value`.
    public init(_ value: String) {
        revealed = value
    }

    /// Three stars.
    public var description: String { "***" }

    /// Three stars.
    public var debugDescription: String { "***" }

    /// Keeps `dump` and descriptions of enclosing types from showing it.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
