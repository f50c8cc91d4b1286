import Glibc

/// Why a document was refused.
public struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The name given to `parse`.
    public let file: String
    /// Where; nil when the file itself is at fault.
    public let position: YAMLPosition?
    /// What, for people.
    public let what: String

    /// The same text fails again.
    public var isRetriable: Bool { false }

    /// `file:line:column: what`.
    public var description: String {
        position.map { "\(file):\($0.line):\($0.column): \(what)" } ?? "\(file): \(what)"
    }
}

/// The part of YAML that configuration files need: a tree with positions. Refused are duplicate keys, aliases, keys that
/// are not scalars, unknown tags, more than one document, and what is nested deeper or larger than the limits.
public enum YAML {
    /// How deep a document may be nested.
    public static let maximumDepth = 64
    /// How large a document may be, in bytes.
    public static let maximumBytes = 4 << 20

    /// Parses one document; an empty one is null. `file` is the name used in errors.
    public static func parse(_ bytes: [UInt8], file: String = "<text>") throws(YAMLError) -> YAMLNode {
        guard bytes.count <= maximumBytes else {
            throw YAMLError(file: file, position: nil, what: "larger than \(maximumBytes) bytes")
        }
        return try YAMLBuilder.build(bytes, file: file)
    }

    /// Parses one document; an empty one is null. `file` is the name used in errors.
    public static func parse(_ text: String, file: String = "<text>") throws(YAMLError) -> YAMLNode {
        try parse(Array(text.utf8), file: file)
    }

    /// Reads and parses a file. For the start of a program and other threads that may wait for a disk.
    public static func load(file: String) throws(YAMLError) -> YAMLNode {
        guard let handle = fopen(file, "re") else {
            throw YAMLError(file: file, position: nil, what: "cannot be read: \(String(cString: strerror(errno)))")
        }
        defer { fclose(handle) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= maximumBytes {
            let count = fread(&piece, 1, piece.count, handle)
            if count == 0 { break }
            bytes += piece[..<count]
        }
        guard ferror(handle) == 0 else {
            throw YAMLError(file: file, position: nil, what: "cannot be read: \(String(cString: strerror(errno)))")
        }
        return try parse(bytes, file: file)
    }
}
