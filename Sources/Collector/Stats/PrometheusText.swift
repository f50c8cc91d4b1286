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
        /// The labels as they stand in the page, with their braces; empty where the line has none.
        let labelBlock: Span
        /// Whether the labels are those that were expected: byte by byte the same. Then they were not read again, and `label`
        /// knows none of them.
        let isExpected: Bool
        fileprivate let labels: UnsafeBufferPointer<Label>
        fileprivate let number: Number
        /// When it was measured, if the line says so.
        let time: Timestamp?

        /// The value; may be NaN or infinite.
        var value: Double {
            switch number {
            case .known(let value): value
            case .long(let span): Double(String(decoding: page[span], as: UTF8.self)) ?? .nan
            }
        }

        /// The value of a label as it stands in the page; nil if there is none.
        func label(_ wanted: StaticString) -> Span? {
            for label in labels where PrometheusText.equal(page, label.name, wanted) { return label.value }
            return nil
        }
    }

    /// A value of a line. The library that reads what needs more than two exact numbers takes its time, so that is left until
    /// somebody asks.
    fileprivate enum Number {
        case known(Double)
        /// Checked to be a decimal number.
        case long(Span)
    }

    /// Lines longer than this are passed over. Real ones are below 1 KiB.
    static let longestLine = 16_384
    /// More labels than this make a line malformed. Real ones have fewer than ten.
    static let mostLabels = 64

    /// Calls `body` for each line that holds a value. A last line without an end is not used: a body that was cut off
    /// may end within a number.
    /// - Returns: what was passed over.
    static func forEachSample(_ page: UnsafeRawBufferPointer, _ body: (Sample) -> Void) -> Rejections {
        forEachSample(in: page) { sample in
            body(sample)
            return 0..<0
        }
    }

    /// The same for pages that repeat their labels in each family: `body` answers with the `labelBlock` of an earlier line that
    /// the next one is likely to bear. Where it does nothing of it is read again.
    static func forEachSample(in page: UnsafeRawBufferPointer, body: (Sample) -> Span) -> Rejections {
        guard let base = page.baseAddress else { return Rejections() }
        return withUnsafeTemporaryAllocation(of: Label.self, capacity: mostLabels) { labels in
            var rejected = Rejections()
            var start = 0
            var name = 0..<0
            var expected = 0..<0
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
                        var line = Line(base: base, page: page, position: start, end: end, labels: labels)
                        switch line.sample(likelyName: name, expected: expected) {
                        case .sample(let sample):
                            name = sample.name
                            expected = body(sample)
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

/// Reads one line. The byte at `end` is the line's end, at which everything stops that reads on while bytes are of a kind;
/// so no index passes it.
private struct Line {
    let base: UnsafeRawPointer
    let page: UnsafeRawBufferPointer
    var position: Int
    let end: Int
    let labels: UnsafeMutableBufferPointer<PrometheusText.Label>

    enum Outcome {
        case sample(PrometheusText.Sample)
        case blank, malformed
    }

    private var here: UInt8 { byte(position) }

    @inline(__always)
    private func byte(_ place: Int) -> UInt8 { base.load(fromByteOffset: place, as: UInt8.self) }

    private mutating func skipBlanks() {
        while here == 0x20 || here == 0x09 || here == 0x0D { position += 1 }
    }

    /// Steps over the bytes of `span`, if they stand here too.
    @inline(__always)
    private mutating func skip(_ span: PrometheusText.Span) -> Bool {
        guard !span.isEmpty, span.count <= end - position,
            memcmp(base + position, base + span.lowerBound, span.count) == 0
        else { return false }
        position += span.count
        return true
    }

    /// - Parameter likelyName: of a line before, which most lines have in common with it.
    mutating func sample(likelyName: PrometheusText.Span, expected: PrometheusText.Span) -> Outcome {
        let start = position
        _ = skip(likelyName)
        while Self.isNameByte(here) { position += 1 }
        let name = start..<position
        guard !name.isEmpty, !(0x30...0x39).contains(page[start]) else {
            skipBlanks()
            return position == end ? .blank : .malformed
        }
        var count = 0
        var isExpected = false
        let block = position
        if here == 0x7B {
            isExpected = skip(expected)
            if !isExpected {
                position += 1
                guard readLabels(&count) else { return .malformed }
            }
        } else if here != 0x20, here != 0x09 {
            return .malformed
        }
        let labelBlock = block..<position
        skipBlanks()
        guard let number = number() else { return .malformed }
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
                page: page, name: name, labelBlock: labelBlock, isExpected: isExpected,
                labels: UnsafeBufferPointer(rebasing: labels[..<count]), number: number, time: time))
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
            skipToQuote()
            guard position < end else { return false }
            labels[count] = PrometheusText.Label(name: name, value: valueStart..<position)
            count += 1
            position += 1
        }
    }

    /// Stands at the quote that ends a value, or at or behind the line's end. Eight bytes at a time as long as none of them is a
    /// quote or a backslash.
    private mutating func skipToQuote() {
        while position + 8 <= end {
            let word = base.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            if Self.hasZero(word ^ Self.quotes) | Self.hasZero(word ^ Self.backslashes) != 0 { break }
            position += 8
        }
        while position < end, here != 0x22 { position += here == 0x5C ? 2 : 1 }
    }

    private static var quotes: UInt64 { 0x2222_2222_2222_2222 }
    private static var backslashes: UInt64 { 0x5C5C_5C5C_5C5C_5C5C }

    /// Not zero exactly when a byte of the word is zero.
    @inline(__always)
    private static func hasZero(_ word: UInt64) -> UInt64 {
        (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
    }

    @inline(__always)
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
    private mutating func number() -> PrometheusText.Number? {
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
        guard digits > 0 else { return special(start).map(PrometheusText.Number.known) }
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
        guard digits <= 19, mantissa < 1 << 53, exponent.magnitude <= 22 else {
            return position - start <= Self.longestNumber ? .long(start..<position) : nil
        }
        let power = Self.powersOfTen[Int(exponent.magnitude)]
        let value = exponent < 0 ? Double(mantissa) / power : Double(mantissa) * power
        return .known(isNegative ? -value : value)
    }

    private static let longestNumber = 400

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
