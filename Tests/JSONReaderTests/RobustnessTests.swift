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
}
