import Glibc
import Testing

/// A file that lives as long as its owner.
final class TemporaryFile {
    let path: String

    init(_ text: String) throws {
        var template = Array("/tmp/updraft-notifier-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        let bytes = Array(text.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
        close(descriptor)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { unlink(path) }
}
