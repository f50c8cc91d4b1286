import Glibc

/// A pull reader over the bytes of one JSON document: the caller walks the document and makes its own values, so
/// nothing is built that is not wanted.
///
/// ```swift
/// try reader.object { (reader, key) throws(JSONError) in
///     switch key {
///     case "name": name = try reader.string()
///     case "labels": labels = try reader.strings()
///     default: try reader.skip()
///     }
/// }
/// ```
///
/// Made for answers of an API server: a value that is read is checked fully, a value that is skipped is followed by
/// its strings and brackets only (its numbers and the kinds of its brackets are not checked). The bytes must stay
/// valid while the reader lives. Every mistake in them is a thrown `JSONError`, never a trap.
public struct JSONReader: ~Copyable {
    @usableFromInline let base: UnsafeRawPointer
    @usableFromInline let count: Int
    @usableFromInline var position = 0
    @usableFromInline var depth = 0
    @usableFromInline let maximumDepth: Int

    /// A reader at the start of `bytes`. Objects and arrays may nest `maximumDepth` deep.
    public init(_ bytes: UnsafeRawBufferPointer, maximumDepth: Int = 128) {
        if let start = bytes.baseAddress {
            base = start
            count = bytes.count
        } else {
            // An empty buffer has no address; with a count of zero this one is never read.
            base = UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped
            count = 0
        }
        self.maximumDepth = maximumDepth
    }

    /// Reads one whole document: runs `body`, then checks that nothing but white space is left.
    @inlinable
    public static func read<Value>(
        _ bytes: [UInt8], maximumDepth: Int = 128,
        _ body: (inout JSONReader) throws(JSONError) -> Value
    ) throws(JSONError) -> Value {
        try bytes.withUnsafeBufferPointer { (buffer) throws(JSONError) -> Value in
            var reader = JSONReader(UnsafeRawBufferPointer(buffer), maximumDepth: maximumDepth)
            let value = try body(&reader)
            try reader.end()
            return value
        }
    }

    /// Bytes read so far.
    public var offset: Int { position }

    /// The error that a decoder throws when a well-formed value makes no sense to it.
    public func invalid(_ what: String) -> JSONError {
        JSONError(.invalid, offset: position, what: what)
    }

    // MARK: Structure

    /// Walks an object: `body` gets each key in turn and reads its value. A value that it leaves alone is skipped.
    @inlinable
    public mutating func object(
        _ body: (inout JSONReader, JSONKey) throws(JSONError) -> Void
    ) throws(JSONError) {
        try open(0x7B, "object expected")
        if try nextByte() == 0x7D {
            close()
            return
        }
        while true {
            guard try nextByte() == 0x22 else { throw unexpected("key expected") }
            let start = position + 1
            let end = try endOfString(from: start)
            position = end + 1
            guard try nextByte() == 0x3A else { throw unexpected("':' expected") }
            position += 1
            let before = position
            try body(&self, JSONKey(start: base + start, count: end - start))
            if position == before { try skip() }
            switch try nextByte() {
            case 0x2C: position += 1
            case 0x7D:
                close()
                return
            default: throw unexpected("',' or '}' expected")
            }
        }
    }

    /// Walks an array: `body` reads one element each time. An element that it leaves alone is skipped.
    @inlinable
    public mutating func array(_ body: (inout JSONReader) throws(JSONError) -> Void) throws(JSONError) {
        try open(0x5B, "array expected")
        if try nextByte() == 0x5D {
            close()
            return
        }
        while true {
            let before = position
            try body(&self)
            if position == before { try skip() }
            switch try nextByte() {
            case 0x2C: position += 1
            case 0x5D:
                close()
                return
            default: throw unexpected("',' or ']' expected")
            }
        }
    }

    /// Only white space may be left.
    public mutating func end() throws(JSONError) {
        while position < count, Self.isSpace(byte(position)) { position += 1 }
        guard position == count else { throw unexpected("end of document expected") }
    }

    @inlinable
    mutating func open(_ bracket: UInt8, _ what: StaticString) throws(JSONError) {
        guard try nextByte() == bracket else { throw unexpected(what) }
        position += 1
        depth += 1
        guard depth <= maximumDepth else { throw tooDeep() }
    }

    @inlinable
    mutating func close() {
        position += 1
        depth -= 1
    }

    // MARK: Bytes

    /// The next byte that is no white space, not consumed.
    @inlinable @inline(__always)
    mutating func nextByte() throws(JSONError) -> UInt8 {
        while position < count {
            let value = byte(position)
            if value > 0x20 { return value }
            guard Self.isSpace(value) else { throw unexpected("control byte") }
            position += 1
        }
        throw truncated()
    }

    @inlinable @inline(__always)
    func byte(_ index: Int) -> UInt8 {
        base.load(fromByteOffset: index, as: UInt8.self)
    }

    @inlinable @inline(__always)
    static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    @usableFromInline
    func truncated() -> JSONError {
        JSONError(.truncated, offset: count, what: "the document ends inside a value")
    }

    @usableFromInline
    func unexpected(_ what: StaticString) -> JSONError {
        position >= count ? truncated() : JSONError(.unexpected, offset: position, what: "\(what)")
    }

    @usableFromInline
    func tooDeep() -> JSONError {
        JSONError(.tooDeep, offset: position, what: "nested deeper than \(maximumDepth)")
    }
}

extension JSONReader {
    /// Reads one value by `body`; when it throws, steps over the value instead and gives the error back, so that one
    /// bad element does not spoil its list.
    ///
    /// - Throws: only when the value cannot be stepped over either (the document is cut off).
    @inlinable
    public mutating func attempt<Value>(
        _ body: (inout JSONReader) throws(JSONError) -> Value
    ) throws(JSONError) -> Result<Value, JSONError> {
        let start = position
        let level = depth
        do throws(JSONError) {
            return .success(try body(&self))
        } catch {
            position = start
            depth = level
            try skip()
            return .failure(error)
        }
    }

    /// As `attempt`, and the error begins with what `name` says of a value that could not be read by `body`.
    public mutating func attempt<Value>(
        _ body: (inout JSONReader) throws(JSONError) -> Value, name: (JSONValue) -> String?
    ) throws(JSONError) -> Result<Value, JSONError> {
        let start = position
        let level = depth
        let result = try attempt(body)
        guard case .failure(var error) = result else { return result }
        let end = position
        position = start
        depth = level
        if let whole = try? value(), let name = name(whole) { error.what = "\(name): \(error.what)" }
        position = end
        depth = level
        return .failure(error)
    }
}
