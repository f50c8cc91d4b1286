/// Kubernetes quantities (`350m`, `8Gi`, `1e3`) as whole numbers.
public enum Quantity {
    /// The value in thousandths, rounded up as Kubernetes does; nil when `text` is no quantity or out of range.
    public static func millis(_ text: String) -> Int64? {
        scaled(text, by: 1_000)
    }

    /// The value in whole units, rounded up; nil when `text` is no quantity or out of range.
    public static func units(_ text: String) -> Int64? {
        scaled(text, by: 1)
    }

    private static func scaled(_ text: String, by scale: Int64) -> Int64? {
        if let fast = wholeNumber(text) {
            let (value, overflow) = fast.multipliedReportingOverflow(by: scale)
            return overflow ? nil : value
        }
        var bytes = Array(text.utf8)[...]
        var negative = false
        if let sign = bytes.first, sign == 43 || sign == 45 {
            negative = sign == 45
            bytes.removeFirst()
        }
        var mantissa: Double = 0
        var digits = 0
        var fraction: Double = 1
        var afterPoint = false
        while let byte = bytes.first {
            if byte >= 48, byte <= 57 {
                digits += 1
                if afterPoint {
                    fraction /= 10
                    mantissa += Double(byte - 48) * fraction
                } else {
                    mantissa = mantissa * 10 + Double(byte - 48)
                }
            } else if byte == 46, !afterPoint {
                afterPoint = true
            } else {
                break
            }
            bytes.removeFirst()
        }
        guard digits > 0, digits <= 40, let factor = factor(String(decoding: bytes, as: UTF8.self)) else { return nil }
        let value = mantissa * factor * Double(scale)
        guard value < 9.2e18 else { return nil }
        // Decimal fractions are not exact in binary: 0.1 × 1000 must stay 100 when rounding up.
        let whole = Int64((value - value.ulp * 8).rounded(.up))
        return negative ? -whole : whole
    }

    private static func wholeNumber(_ text: String) -> Int64? {
        guard (1...18).contains(text.utf8.count) else { return nil }
        var value: Int64 = 0
        for byte in text.utf8 {
            guard byte >= 48, byte <= 57 else { return nil }
            value = value * 10 + Int64(byte - 48)
        }
        return value
    }

    private static func factor(_ suffix: String) -> Double? {
        switch suffix {
        case "": return 1
        case "n": return 1e-9
        case "u": return 1e-6
        case "m": return 1e-3
        case "k": return 1e3
        case "M": return 1e6
        case "G": return 1e9
        case "T": return 1e12
        case "P": return 1e15
        case "E": return 1e18
        case "Ki": return 1_024
        case "Mi": return 1_048_576
        case "Gi": return 1_073_741_824
        case "Ti": return 1_099_511_627_776
        case "Pi": return 1_125_899_906_842_624
        case "Ei": return 1_152_921_504_606_846_976
        default:
            guard let mark = suffix.first, mark == "e" || mark == "E", let exponent = Int(suffix.dropFirst()),
                (-18...18).contains(exponent)
            else { return nil }
            var factor = 1.0
            for _ in 0..<abs(exponent) { factor *= 10 }
            return exponent < 0 ? 1 / factor : factor
        }
    }
}
