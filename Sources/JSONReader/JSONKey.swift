import Glibc

/// A key of an object, or a string used as one of a set of words: bytes inside the document, not yet a `String`.
///
/// Valid only inside the closure that received it. `switch key { case "name": … }` compares bytes, so a key that
/// the document writes with escapes (`"n\u0061me"`) does not match; `text` reads it correctly.
public struct JSONKey {
    @usableFromInline let start: UnsafeRawPointer
    @usableFromInline let count: Int

    @inlinable
    init(start: UnsafeRawPointer, count: Int) {
        self.start = start
        self.count = count
    }

    /// The key as text, escapes resolved. Bytes that are no UTF-8 become replacement characters.
    public var text: String {
        let raw = UnsafeRawBufferPointer(start: start, count: count)
        if raw.contains(UInt8(ascii: "\\")), let plain = try? JSONReader.unescape(raw, offset: 0) {
            return String(decoding: plain, as: UTF8.self)
        }
        return String(decoding: raw, as: UTF8.self)
    }

    /// The bytes between the quotes, as the document writes them.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: count) }

    /// True if the document writes the key exactly as `pattern`.
    @inlinable
    public static func ~= (pattern: StaticString, key: JSONKey) -> Bool {
        pattern.utf8CodeUnitCount == key.count && memcmp(pattern.utf8Start, key.start, key.count) == 0
    }

    /// True if the document writes the key exactly as `pattern`.
    @inlinable
    public static func == (key: JSONKey, pattern: StaticString) -> Bool {
        pattern ~= key
    }
}
