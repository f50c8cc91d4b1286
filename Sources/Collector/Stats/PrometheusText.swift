import Support

/// Samples of the Prometheus text format (and of OpenMetrics as far as it is the same), line by line over the bytes.
///
/// Hostile input costs nothing but its length: a line that is malformed or overlong is counted and passed over.
struct PrometheusText {
    /// One line with a value.
    struct Sample {
        fileprivate let bytes: UnsafeRawBufferPointer
        fileprivate let nameEnd: Int
        /// Inside of the braces; empty without.
        fileprivate let labels: Range<Int>
        /// The value; may be NaN or infinite.
        let value: Double
        /// When it was measured, if the line says so.
        let time: Timestamp?

        /// Whether the metric has this name.
        func isNamed(_ name: StaticString) -> Bool {
            nameEnd == name.utf8CodeUnitCount
                && bytes[..<nameEnd].elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: nameEnd))
        }

        /// The value of a label, escapes resolved; nil if there is none, or if it is no UTF-8.
        func label(_ wanted: StaticString) -> String? {
            var scanner = LabelScanner(bytes: bytes, position: labels.lowerBound, end: labels.upperBound)
            while let (name, value) = scanner.next() {
                let pattern = UnsafeBufferPointer(start: wanted.utf8Start, count: wanted.utf8CodeUnitCount)
                if bytes[name].elementsEqual(pattern) { return LabelScanner.text(bytes[value]) }
            }
            return nil
        }
    }

    /// Lines longer than this are passed over. Real ones are below 1 KiB.
    static let longestLine = 16_384

    /// Calls `body` for each line that holds a value.
    /// - Returns: how many lines were passed over because they are malformed.
    static func forEachSample(_ text: [UInt8], _ body: (Sample) -> Void) -> Int {
        var malformed = 0
        text.withUnsafeBytes { all in
            var start = 0
            while start < all.count {
                let end = all[start...].firstIndex(of: 10) ?? all.count
                let line = UnsafeRawBufferPointer(rebasing: all[start..<end])
                start = end + 1
                if line.isEmpty || line[0] == 0x23 || line.allSatisfy({ isBlank($0) }) { continue }
                if line.count <= longestLine, let sample = sample(line) { body(sample) } else { malformed += 1 }
            }
        }
        return malformed
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    private static func sample(_ line: UnsafeRawBufferPointer) -> Sample? {
        let nameEnd = line.firstIndex { !isNameByte($0) } ?? line.count
        guard nameEnd > 0, !(0x30...0x39).contains(line[0]) else { return nil }
        var position = nameEnd
        var labels = nameEnd..<nameEnd
        if position < line.count, line[position] == 0x7B {
            var scanner = LabelScanner(bytes: line, position: position + 1, end: line.count)
            while scanner.next() != nil {}
            guard let end = scanner.closed else { return nil }
            labels = position + 1..<end
            position = end + 1
        } else if position < line.count, !isBlank(line[position]) {
            return nil
        }
        let words = line[position...].split(whereSeparator: isBlank)
        guard let first = words.first, let value = number(first) else { return nil }
        var time: Timestamp?
        if words.count > 1, words[1].first != 0x23 {
            guard let millis = Int64(String(decoding: words[1], as: UTF8.self)) else { return nil }
            let (micros, overflow) = millis.multipliedReportingOverflow(by: 1_000)
            guard !overflow else { return nil }
            time = Timestamp(microseconds: micros)
        }
        return Sample(bytes: line, nameEnd: nameEnd, labels: labels, value: value, time: time)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F, 0x3A: true
        default: false
        }
    }

    private static func number(_ bytes: Slice<UnsafeRawBufferPointer>) -> Double? {
        guard bytes.count <= 40 else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        switch text {
        case "NaN": return .nan
        case "+Inf", "Inf": return .infinity
        case "-Inf": return -.infinity
        default:
            // Swift's own parser also knows hexadecimal and "nan(0x1)", which the format does not.
            guard bytes.allSatisfy({ (0x30...0x39).contains($0) || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains($0) }) else {
                return nil
            }
            return Double(text)
        }
    }
}

/// Walks `name="value",…` up to the closing brace.
private struct LabelScanner {
    let bytes: UnsafeRawBufferPointer
    var position: Int
    let end: Int
    /// Where the closing brace stands, once it was reached in good order.
    private(set) var closed: Int?

    init(bytes: UnsafeRawBufferPointer, position: Int, end: Int) {
        self.bytes = bytes
        self.position = position
        self.end = end
    }

    mutating func next() -> (name: Range<Int>, value: Range<Int>)? {
        skip { $0 == 0x20 || $0 == 0x2C }
        guard position < end else { return nil }
        if bytes[position] == 0x7D {
            closed = position
            return nil
        }
        let nameStart = position
        skip { $0 != 0x3D && $0 != 0x22 && $0 != 0x7D && $0 != 0x20 }
        let name = nameStart..<position
        skip { $0 == 0x20 }
        guard !name.isEmpty, position + 1 < end, bytes[position] == 0x3D else { return nil }
        position += 1
        skip { $0 == 0x20 }
        guard position < end, bytes[position] == 0x22 else { return nil }
        position += 1
        let valueStart = position
        while position < end, bytes[position] != 0x22 {
            position += bytes[position] == 0x5C ? 2 : 1
        }
        guard position < end else { return nil }
        let value = valueStart..<position
        position += 1
        return (name, value)
    }

    private mutating func skip(while condition: (UInt8) -> Bool) {
        while position < end, condition(bytes[position]) { position += 1 }
    }

    static func text(_ raw: Slice<UnsafeRawBufferPointer>) -> String? {
        guard raw.contains(0x5C) else { return String(validating: raw, as: UTF8.self) }
        var plain: [UInt8] = []
        var isEscaped = false
        for byte in raw {
            if isEscaped {
                plain.append(byte == 0x6E ? 0x0A : byte)
                isEscaped = false
            } else if byte == 0x5C {
                isEscaped = true
            } else {
                plain.append(byte)
            }
        }
        return String(validating: plain, as: UTF8.self)
    }
}
