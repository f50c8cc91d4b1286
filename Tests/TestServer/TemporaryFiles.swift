import FoundationEssentials

/// A folder of one test's own. It goes, with all that is in it, with its last owner.
public final class TemporaryFolder: Sendable {
    /// Where it is.
    public let path: String

    /// Empty. Its name begins with `updraft-test-`.
    public init() throws {
        let parent = FileManager.default.temporaryDirectory.path
        path = "\(parent.hasSuffix("/") ? String(parent.dropLast()) : parent)/updraft-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file in it.
    /// - Returns: the file's path.
    @discardableResult
    public func write(_ name: String, _ text: String, executable: Bool = false) throws -> String {
        let file = "\(path)/\(name)"
        try Data(text.utf8).write(to: URL(filePath: file), options: .atomic)
        if executable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file) }
        return file
    }
}

/// A file of one test's own. It goes with its last owner.
public final class TemporaryFile: Sendable {
    private let folder: TemporaryFolder
    /// Where it is.
    public let path: String

    /// With this text in it.
    public init(_ text: String = "") throws {
        folder = try TemporaryFolder()
        path = try folder.write("file", text)
    }

    /// What is in it now; empty when it cannot be read.
    public var text: String {
        (try? Data(contentsOf: URL(filePath: path))).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}
