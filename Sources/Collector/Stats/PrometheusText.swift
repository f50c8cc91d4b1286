import Support

#if canImport(Glibc)
    import Glibc
#endif

/// Samples of the Prometheus text format (and of OpenMetrics as far as it is the same), line by line over the bytes and
/// without a copy.
///
/// Hostile input costs nothing but its length: a line that is malformed or overlong is counted and passed over.
struct PrometheusText {
    /// A part of the page.
    typealias Span = Range<Int>

    /// A label: name and value as they stand in the page, escapes unresolved.
    struct Label {
        var name: Span
        var value: Span
    }

    /// One line with a value. Its spans are into the page that the scan was given.
    struct Sample {
        let page: UnsafeRawBufferPointer
        /// Name of the metric.
        let name: Span
        fileprivate let labels: UnsafeBufferPointer<Label>
        /// The value; may be NaN or infinite.
        let value: Double
        /// When it was measured, if the line says so.
        let time: Timestamp?

        /// The value of a label as it stands in the page; nil if there is none.
        func label(_ wanted: StaticString) -> Span? {
            for label in labels where PrometheusText.equal(page, label.name, wanted) { return label.value }
            return nil
        }
    }

    /// Lines longer than this are passed over. Real ones are below 1 KiB.
    static let longestLine = 16_384
    /// More labels than this make a line malformed. Real ones have fewer than ten.
    static let mostLabels = 64

    /// Calls `body` for each line that holds a value. A last line without an end is not used: a body that was cut off
    /// may end within a number.
    /// - Returns: what was passed over.
    static func forEachSample(_ page: UnsafeRawBufferPointer, _ body: (Sample) -> Void) -> Rejections {
        guard let base = page.baseAddress else { return Rejections() }
        return withUnsafeTemporaryAllocation(of: Label.self, capacity: mostLabels) { labels in
            var rejected = Rejections()
            var start = 0
            while start < page.count {
                guard let found = memchr(base + start, 10, page.count - start) else {
                    if page[start] != 0x23 { rejected.count(page.count - start > longestLine ? .longLine : .truncated) }
                    break
                }
                let end = base.distance(to: UnsafeRawPointer(found))
                if end > start, page[start] != 0x23 {
                    if end - start > longestLine {
                        rejected.count(.longLine)
                    } else {
                        var line = Line(page: page, position: start, end: end, labels: labels)
                        switch line.sample() {
                        case .sample(let sample): body(sample)
                        case .blank: break
                        case .malformed: rejected.count(.malformedLine)
                        }
                    }
                }
                start = end + 1
            }
            return rejected
        }
    }

    /// Whether the bytes of `span` are `text`.
    @inline(__always)
    static func equal(_ page: UnsafeRawBufferPointer, _ span: Span, _ text: StaticString) -> Bool {
        span.count == text.utf8CodeUnitCount
            && memcmp(page.baseAddress.unsafelyUnwrapped + span.lowerBound, text.utf8Start, span.count) == 0
    }

    /// Whether two spans hold the same bytes.
    @inline(__always)
    static func equal(_ page: UnsafeRawBufferPointer, _ left: Span, _ right: Span) -> Bool {
        left.count == right.count
            && memcmp(
                page.baseAddress.unsafelyUnwrapped + left.lowerBound,
                page.baseAddress.unsafelyUnwrapped + right.lowerBound, left.count) == 0
    }
}

/// Reads one line. Every index is checked against `end`, which is inside of the page.
private struct Line {
    let page: UnsafeRawBufferPointer
    var position: Int
    let end: Int
    let labels: UnsafeMutableBufferPointer<PrometheusText.Label>

    enum Outcome {
        case sample(PrometheusText.Sample)
        case blank, malformed
    }

    private var here: UInt8 { position < end ? page[position] : 10 }

    private mutating func skipBlanks() {
        while here == 0x20 || here == 0x09 || here == 0x0D { position += 1 }
    }

    mutating func sample() -> Outcome {
        let start = position
        while Self.isNameByte(here) { position += 1 }
        let name = start..<position
        guard !name.isEmpty, !(0x30...0x39).contains(page[start]) else {
            skipBlanks()
            return position == end ? .blank : .malformed
        }
        var count = 0
        if here == 0x7B {
            position += 1
            guard readLabels(&count) else { return .malformed }
        } else if here != 0x20, here != 0x09 {
            return .malformed
        }
        skipBlanks()
        guard let value = number() else { return .malformed }
        skipBlanks()
        var time: Timestamp?
        if position < end, here != 0x23 {
            guard let millis = wholeNumber() else { return .malformed }
            let (micros, overflow) = millis.multipliedReportingOverflow(by: 1_000)
            guard !overflow else { return .malformed }
            time = Timestamp(microseconds: micros)
        }
        return .sample(
            PrometheusText.Sample(
                page: page, name: name, labels: UnsafeBufferPointer(rebasing: labels[..<count]), value: value,
                time: time))
    }

    /// `name="value",…}`; stands behind the brace afterwards.
    private mutating func readLabels(_ count: inout Int) -> Bool {
        while true {
            while here == 0x20 || here == 0x2C { position += 1 }
            if here == 0x7D {
                position += 1
                return true
            }
            let nameStart = position
            while Self.isNameByte(here) { position += 1 }
            let name = nameStart..<position
            while here == 0x20 { position += 1 }
            guard !name.isEmpty, here == 0x3D, count < labels.count else { return false }
            position += 1
            while here == 0x20 { position += 1 }
            guard here == 0x22 else { return false }
            position += 1
            let valueStart = position
            while position < end, page[position] != 0x22 { position += page[position] == 0x5C ? 2 : 1 }
            guard position < end else { return false }
            labels[count] = PrometheusText.Label(name: name, value: valueStart..<position)
            count += 1
            position += 1
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        // Letters of both cases differ in one bit.
        (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x5F || byte == 0x3A
    }

    private var isAtEndOfWord: Bool { position == end || here == 0x20 || here == 0x09 || here == 0x0D }

    private mutating func wholeNumber() -> Int64? {
        let isNegative = here == 0x2D
        if isNegative { position += 1 }
        var value: Int64 = 0
        let start = position
        while here &- 0x30 < 10 {
            value = value &* 10 &+ Int64(here &- 0x30)
            position += 1
        }
        guard position > start, position - start <= 18, isAtEndOfWord else { return nil }
        return isNegative ? -value : value
    }

    private static let powersOfTen: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]

    /// A decimal number, `NaN` or an infinity. Up to 2^53 and 22 places the product or quotient of two exact numbers is
    /// the right answer; what is beyond goes to the library.
    private mutating func number() -> Double? {
        let start = position
        let isNegative = here == 0x2D
        if isNegative || here == 0x2B { position += 1 }
        var mantissa: UInt64 = 0
        var digits = 0
        var exponent = 0
        while here &- 0x30 < 10 {
            mantissa = mantissa &* 10 &+ UInt64(here &- 0x30)
            digits += 1
            position += 1
        }
        if here == 0x2E {
            position += 1
            let fraction = position
            while here &- 0x30 < 10 {
                mantissa = mantissa &* 10 &+ UInt64(here &- 0x30)
                digits += 1
                position += 1
            }
            exponent = fraction - position
        }
        guard digits > 0 else { return special(start) }
        if here | 0x20 == 0x65 {
            position += 1
            let isDown = here == 0x2D
            if isDown || here == 0x2B { position += 1 }
            var power = 0
            let first = position
            while here &- 0x30 < 10 {
                power = min(power * 10 + Int(here &- 0x30), 100_000)
                position += 1
            }
            guard position > first else { return nil }
            exponent += isDown ? -power : power
        }
        guard isAtEndOfWord else { return nil }
        guard digits <= 19, mantissa < 1 << 53, exponent.magnitude <= 22 else { return slowNumber(start) }
        let power = Self.powersOfTen[Int(exponent.magnitude)]
        let value = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
        return isNegative ? -value : value
    }

    /// Form is checked already: neither hexadecimal nor `nan(0x1)`.
    private func slowNumber(_ start: Int) -> Double? {
        guard position - start <= 400 else { return nil }
        return Double(String(decoding: page[start..<position], as: UTF8.self))
    }

    private mutating func special(_ start: Int) -> Double? {
        position = start
        while !isAtEndOfWord { position += 1 }
        let word = start..<position
        if PrometheusText.equal(page, word, "NaN") { return .nan }
        if PrometheusText.equal(page, word, "+Inf") || PrometheusText.equal(page, word, "Inf") { return .infinity }
        if PrometheusText.equal(page, word, "-Inf") { return -.infinity }
        return nil
    }
}
