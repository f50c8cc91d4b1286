/// Why a document could not be read: what was found and at which byte.
///
/// Text from the document never goes into the message, since it may be a secret.
public struct JSONError: Error, Hashable, Sendable {
    /// The kind of mistake, for callers that tell a cut-off body from a wrong one.
    public enum Code: Hashable, Sendable {
        /// The bytes ended inside a value.
        case truncated
        /// Another byte than the grammar asks for, or another type than the caller asked for.
        case unexpected
        /// Objects and arrays nested deeper than the reader's limit.
        case tooDeep
        /// A string that is no UTF-8, holds a control byte, a bad escape or half a surrogate pair.
        case badString
        /// A number outside its type or against the grammar.
        case badNumber
        /// A well-formed value that the caller has no use for; thrown by decoders, never by the reader.
        case invalid
    }

    /// The kind of mistake.
    public var code: Code
    /// Bytes from the start of the document.
    public var offset: Int
    /// What is wrong, for people.
    public var what: String

    /// An error of `code` at byte `offset`.
    public init(_ code: Code, offset: Int, what: String) {
        self.code = code
        self.offset = offset
        self.what = what
    }

    /// Never: the same bytes give the same error.
    public var isRetriable: Bool { false }
}

extension JSONError: CustomStringConvertible {
    /// `byte 17: string expected`.
    public var description: String { "byte \(offset): \(what)" }
}
