/// Finds names like one that is not known: a person has mistyped it, or left something out.
public enum NearNames {
    /// So many candidates are compared letter by letter.
    private static let maximumCompared = 2_000

    /// The best few of `names`, best first. Names that have nothing in common with the wanted one are left out.
    public static func best(_ wanted: String, in names: some Sequence<String>, limit: Int = 5) -> [String] {
        guard !wanted.isEmpty else { return [] }
        let own = Array(lastPart(wanted).utf8)
        let prefix = own.prefix(max(2, own.count / 2))
        var candidates: [(name: String, distance: Int)] = []
        for name in names where !name.isEmpty && candidates.count < maximumCompared {
            let other = Array(lastPart(name).utf8)
            let alike =
                other == own || other.starts(with: prefix) || contains(other, own) || contains(own, other)
                || abs(other.count - own.count) <= 2 && other.first == own.first
            guard alike else { continue }
            let distance = distance(own, other)
            // Half of it other letters: another name, unless one holds the other.
            guard distance * 2 <= max(own.count, 2) || contains(other, own) || other.starts(with: prefix) else {
                continue
            }
            candidates.append((name, distance + (name == wanted ? 0 : 1)))
        }
        return candidates.sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.prefix(limit).map(\.name)
    }

    private static func lastPart(_ name: String) -> Substring {
        name.lastIndex(of: "/").map { name[name.index(after: $0)...] } ?? name[...]
    }

    private static func contains(_ whole: [UInt8], _ part: [UInt8]) -> Bool {
        guard part.count >= 3, part.count <= whole.count else { return false }
        return (0...(whole.count - part.count)).contains { whole[$0...].starts(with: part) }
    }

    /// Letters to change, add or drop.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        let right = right.prefix(300)
        var row = Array(0...right.count)
        for (number, letter) in left.prefix(300).enumerated() {
            var diagonal = row[0]
            row[0] = number + 1
            for (column, other) in right.enumerated() {
                let changed = diagonal + (letter == other ? 0 : 1)
                diagonal = row[column + 1]
                row[column + 1] = min(changed, row[column] + 1, diagonal + 1)
            }
        }
        return row[right.count]
    }
}
