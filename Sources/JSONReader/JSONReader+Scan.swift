import CScan
import Glibc

// Looking for the next interesting byte, eight at a time. The words are taken as little-endian, whatever the machine,
// so that the lowest marked byte is the first one.
extension JSONReader {
    @inlinable @inline(__always)
    func word(_ index: Int) -> UInt64 {
        UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
    }

    /// The high bit of each byte of `word` that is zero; bits above the first such byte may be wrong.
    @inlinable @inline(__always)
    static func zeros(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
    }

    /// The index of the quote that ends the string whose first byte is at `start`. Escapes are stepped over, nothing
    /// else is checked.
    @inlinable
    func endOfString(from start: Int) throws(JSONError) -> Int {
        var index = start
        while true {
            while index &+ 8 <= count {
                let bytes = word(index)
                let marks =
                    Self.zeros(bytes ^ 0x2222_2222_2222_2222) | Self.zeros(bytes ^ 0x5C5C_5C5C_5C5C_5C5C)
                if marks != 0 {
                    index &+= marks.trailingZeroBitCount &>> 3
                    break
                }
                index &+= 8
            }
            guard index < count else { throw truncated() }
            switch byte(index) {
            case 0x22: return index
            case 0x5C: index &+= 2
            default: index &+= 1
            }
        }
    }

    /// Steps over the next value. Of what it steps over only strings and the depth of brackets are followed.
    @inlinable
    public mutating func skip() throws(JSONError) {
        switch try nextByte() {
        case 0x22: position = try endOfString(from: position + 1) + 1
        case 0x7B, 0x5B: try skipContainer()
        case 0x2C, 0x3A, 0x5D, 0x7D: throw unexpected("value expected")
        default:
            while position < count {
                let value = byte(position)
                if value <= 0x20 || value == 0x2C || value == 0x7D || value == 0x5D { break }
                position += 1
            }
        }
    }

    /// From the opening bracket at `position` to behind the one that closes it.
    @usableFromInline
    mutating func skipContainer() throws(JSONError) {
        var nested = 0
        var index = position
        if count - position >= 64, updraft_scan_is_fast() == 1 {
            var scan = updraft_scan(
                position: position, depth: 0, maximum: max(0, maximumDepth - depth), in_string: 0, escaped: 0)
            let found = updraft_scan_containers(base.assumingMemoryBound(to: UInt8.self), count, &scan)
            index = scan.position
            if found != 0 {
                position = index
                if found == 2 { throw tooDeep() }
                return
            }
            // What is left is shorter than a block.
            nested = scan.depth
            if scan.in_string != 0 { index = try endOfString(from: index + Int(scan.escaped)) + 1 }
        }
        while true {
            while index &+ 8 <= count {
                let bytes = word(index)
                // '{' '[' become 0x7F with the bits 0x26, and so do '}' ']'; what else does is sorted out below.
                let brackets = Self.zeros((bytes | 0x2626_2626_2626_2626) ^ 0x7F7F_7F7F_7F7F_7F7F)
                let marks = brackets | Self.zeros(bytes ^ 0x2222_2222_2222_2222)
                if marks != 0 {
                    index &+= marks.trailingZeroBitCount &>> 3
                    break
                }
                index &+= 8
            }
            guard index < count else { throw truncated() }
            switch byte(index) {
            case 0x22: index = try endOfString(from: index &+ 1) &+ 1
            case 0x7B, 0x5B:
                nested += 1
                index &+= 1
                if depth &+ nested > maximumDepth {
                    position = index
                    throw tooDeep()
                }
            case 0x7D, 0x5D:
                nested -= 1
                index &+= 1
                if nested == 0 {
                    position = index
                    return
                }
            default: index &+= 1
            }
        }
    }

    /// The bytes of the next value, from its first to its last, stepped over as `skip` does. They point into the
    /// document.
    public mutating func rawValue() throws(JSONError) -> UnsafeRawBufferPointer {
        _ = try nextByte()
        let start = position
        try skip()
        return UnsafeRawBufferPointer(start: base + start, count: position - start)
    }
}
