import FoundationEssentials
import JSONReader
import Testing

/// Numbers that are the same in every run (SplitMix64).
private struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

@Suite("Robustness")
struct RobustnessTests {
    let document: [UInt8]

    init() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        document = Array(try Data(contentsOf: folder.appendingPathComponent("Fixtures/pod-running.json")))
    }

    /// Reads every part of the document that is passed, in a buffer of exactly its size, so that a read beyond the end
    /// is found by an address sanitizer. Half of the keys are read as values, half skipped.
    private func readAll(_ bytes: some Collection<UInt8>) throws(JSONError) {
        let exact = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { exact.deallocate() }
        exact.copyBytes(from: bytes)
        var reader = JSONReader(UnsafeRawBufferPointer(exact))
        try visit(&reader)
        try reader.end()
        var second = JSONReader(UnsafeRawBufferPointer(exact))
        _ = try second.value()
        var third = JSONReader(UnsafeRawBufferPointer(exact))
        try third.skip()
        try third.end()
    }

    private func visit(_ reader: inout JSONReader) throws(JSONError) {
        switch try reader.kind() {
        case .object:
            var index = 0
            try reader.object { (reader, key) throws(JSONError) in
                index += 1
                _ = key.text
                if index % 3 == 0 { try reader.skip() } else { try self.visit(&reader) }
            }
        case .array: try reader.array { (reader) throws(JSONError) in try self.visit(&reader) }
        case .string: _ = try reader.string()
        case .number: _ = try reader.double()
        case .bool: _ = try reader.bool()
        case .null: _ = try reader.isNull()
        }
    }

    @Test("the whole document reads")
    func whole() throws {
        try readAll(document)
    }

    @Test("cut off at any byte: an error, never more")
    func truncation() {
        let end = document.lastIndex(of: UInt8(ascii: "}")) ?? 0
        for length in 0...end {
            do throws(JSONError) {
                try readAll(document[..<length])
                Issue.record("a document of \(length) bytes was taken for whole")
            } catch {
                #expect(error.code == .truncated, "at \(length): \(error)")
            }
        }
    }

    @Test("20,000 random mutations: a value or an error, never more", arguments: [1, 2, 3, 4])
    func mutation(seed: UInt64) {
        var random = Seeded(state: seed)
        let small = document.prefix(1_500)
        let hostile = Array("\"\\{}[]:,0123456789eE+-.ntf\u{0}\u{1}\u{7f}".utf8) + [0x80, 0xC3, 0xFF, 0xED]
        var refused = 0
        for round in 0..<5_000 {
            // Short documents mostly: they end near what was changed.
            var bytes = round % 50 == 0 ? document : Array(#"{"x":[1,{"y":"#.utf8) + small.prefix(round % 700)
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[place] = hostile.randomElement(using: &random) ?? 0
                case 2: bytes.remove(at: place)
                default: bytes.insert(hostile.randomElement(using: &random) ?? 0, at: place)
                }
                if bytes.isEmpty { bytes = [0x7B] }
            }
            do throws(JSONError) {
                try readAll(bytes)
            } catch {
                refused += 1
                #expect(error.offset >= 0 && error.offset <= bytes.count)
            }
        }
        #expect(refused > 4_000)
    }

    /// Where the value that begins `bytes` ends, by stepping over it.
    private func skipped(_ bytes: [UInt8]) -> Result<Int, JSONError> {
        bytes.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            do throws(JSONError) { try reader.skip() } catch { return .failure(error) }
            return .success(reader.offset)
        }
    }

    /// The same by reading it.
    private func read(_ bytes: [UInt8]) -> Result<Int, JSONError> {
        bytes.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            do throws(JSONError) { _ = try reader.value() } catch { return .failure(error) }
            return .success(reader.offset)
        }
    }

    @Test("stepping over a value ends where reading it ends, wherever its strings, escapes and brackets fall")
    func skipsWhatItReads() {
        var random = SplitMix(seed: 7)
        func text(_ depth: Int) -> String {
            switch random.next() % (depth > 6 ? 3 : 5) {
            case 0: return "\(Int64(bitPattern: random.next()) / 1_000)"
            case 1, 2:
                let pieces = [#"\\"#, #"\""#, "{", "}", "[", "]", ":", ",", "a", "bc", #"\\\\"#, "é", #"\u0022"#]
                let size = Int(random.next() % 40)
                return "\"" + (0..<size).map { _ in pieces[Int(random.next() % UInt64(pieces.count))] }.joined() + "\""
            case 3: return "[" + (0..<Int(random.next() % 5)).map { _ in text(depth + 1) }.joined(separator: ", ") + "]"
            default:
                return "{"
                    + (0..<Int(random.next() % 5)).map { "\"k\($0)\\\"{\": " + text(depth + 1) }.joined(separator: ",")
                    + "}"
            }
        }
        var longest = 0
        for _ in 0..<3_000 {
            let value = "[" + text(0) + "," + text(0) + "]"
            // What follows must not matter, nor that nothing does.
            for tail in ["", "]", String(repeating: "}]\"", count: 30)] {
                let bytes = Array((value + tail).utf8)
                longest = max(longest, bytes.count)
                #expect(
                    skipped(bytes) == .success(value.utf8.count) && read(bytes) == .success(value.utf8.count),
                    "\(value)")
            }
        }
        #expect(longest > 1_000)
    }

    @Test("too deep is too deep, wherever it begins")
    func depthInBlocks() {
        for padding in 0..<130 {
            for (depth, fits) in [(128, true), (129, false)] {
                let spaces = String(repeating: " ", count: padding)
                let text =
                    "[" + spaces + String(repeating: "[", count: depth - 1) + String(repeating: "]", count: depth)
                let bytes = Array((text + spaces).utf8)
                switch skipped(bytes) {
                case .success(let end): #expect(fits && end == text.utf8.count, "\(padding)")
                case .failure(let error): #expect(!fits && error.code == .tooDeep, "\(padding): \(error)")
                }
            }
        }
    }

    @Test("a container that never ends is cut short, wherever that is")
    func truncatedInBlocks() {
        let text = #"{"a": ["b", "c\\", {"d": "\""}], "e": "f"}"#
        let whole = "[" + String(repeating: text + ",", count: 8) + "1]"
        for length in 1..<whole.utf8.count {
            let bytes = Array(whole.utf8.prefix(length))
            switch skipped(bytes) {
            case .success: Issue.record("\(length) bytes were taken for a whole value")
            case .failure(let error): #expect(error.code == .truncated, "\(length): \(error)")
            }
        }
    }
}

/// Steele, Lea and Flood's generator: small, and the same everywhere.
private struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
