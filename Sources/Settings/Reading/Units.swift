import Support

/// Values with units, as people write them.
public enum Units {
    /// `30s`, `1h30m`, `250ms`, `2d`; a bare `0` too. Nil for anything else.
    public static func interval(_ text: String) -> Interval? {
        if text == "0" { return .zero }
        var rest = Substring(text)
        var total: Double = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let value = Double(number) else { return nil }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            switch unit {
            case "us": total += value / 1_000_000
            case "ms": total += value / 1_000
            case "s": total += value
            case "m": total += value * 60
            case "h": total += value * 3_600
            case "d": total += value * 86_400
            default: return nil
            }
        }
        // A thousand years: beyond it somebody has mistyped, and sums would saturate.
        guard total <= 86_400 * 365_000 else { return nil }
        return .seconds(total)
    }

    /// An interval as it is written: exact where `description` rounds.
    static func text(_ interval: Interval) -> String {
        let micros = interval.microseconds
        for (unit, size) in [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)]
            as [(String, Int64)]
        where micros != 0 && micros % size == 0 {
            return "\(micros / size)\(unit)"
        }
        return micros == 0 ? "0s" : "\(micros)us"
    }

    /// `4MiB`, `4Mi`, `4MB`, `4M`, `4096`. Nil for anything else, and out of range.
    public static func bytes(_ text: String) -> Int? {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        guard let value = Int(number), let factor = factor(text.dropFirst(number.count)) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    private static func factor(_ unit: Substring) -> Int? {
        switch unit {
        case "", "B": 1
        case "k", "kB", "KB": 1_000
        case "M", "MB": 1_000_000
        case "G", "GB": 1_000_000_000
        case "T", "TB": 1_000_000_000_000
        case "Ki", "KiB": 1 << 10
        case "Mi", "MiB": 1 << 20
        case "Gi", "GiB": 1 << 30
        case "Ti", "TiB": 1 << 40
        default: nil
        }
    }

    /// Bytes as they are written.
    static func text(bytes: Int) -> String {
        for (unit, size) in [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes != 0 && bytes % size == 0 {
            return "\(bytes / size)\(unit)"
        }
        return String(bytes)
    }
}

/// The nearest of some names: for "did you mean".
enum Suggestion {
    /// The name at the smallest edit distance from `text`, if that is small enough to be a slip.
    static func nearest(_ text: String, among names: [String]) -> String? {
        let wanted = Array(text.lowercased().prefix(64))
        var best: (name: String, distance: Int)?
        for name in names {
            let distance = distance(wanted, Array(name.lowercased().prefix(64)))
            if distance < best?.distance ?? Int.max { best = (name, distance) }
        }
        guard let best, best.distance <= max(1, min(3, best.name.count / 3)) else { return nil }
        return best.name
    }

    /// Levenshtein's distance, an exchange of neighbours counted as one.
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
        var before: [Int] = []
        var previous = Array(0...right.count)
        for row in 1...left.count {
            var current = [row]
            for column in 1...right.count {
                let same = left[row - 1] == right[column - 1]
                var cost = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (same ? 0 : 1))
                if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                    cost = min(cost, before[column - 2] + 1)
                }
                current.append(cost)
            }
            (before, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
