import JSONReader
import Support

/// What anybody could have observed, in order. The demo's verdict and the tests read it.
struct Journal: Sendable {
    /// One fact.
    struct Entry: Sendable {
        /// Counts from 1 without gaps.
        var sequence: Int
        var time: Timestamp
        /// `pod.told`, `member.removed`, … (docs/practice-cloud.md lists them).
        var kind: String
        var facts: [String: JSONValue]

        /// As the control API writes it.
        var json: JSONValue {
            var value = facts
            value["sequence"] = .int(Int64(sequence))
            value["time"] = .string(time.rfc3339)
            value["kind"] = .string(kind)
            return .object(value)
        }
    }

    /// Older entries are dropped beyond this many.
    private let capacity: Int
    private(set) var entries: [Entry] = []
    private(set) var lastSequence = 0

    init(capacity: Int = 200_000) {
        self.capacity = capacity
    }

    /// Writes down a fact.
    mutating func record(_ kind: String, at time: Timestamp, _ facts: [String: JSONValue]) {
        lastSequence += 1
        entries.append(Entry(sequence: lastSequence, time: time, kind: kind, facts: facts))
        // In one go now and then, not at each entry.
        if entries.count > capacity + capacity / 4 { entries.removeFirst(entries.count - capacity) }
    }

    /// Entries after `sequence`, of the kinds with one of `prefixes` (none: all), at most `limit`.
    func entries(after sequence: Int, prefixes: [String] = [], limit: Int = .max) -> [Entry] {
        let first = entries.first?.sequence ?? 1
        let start = min(max(0, sequence + 1 - first), entries.count)
        var found: [Entry] = []
        for entry in entries[start...] {
            guard found.count < limit else { break }
            if prefixes.isEmpty || prefixes.contains(where: { entry.kind.hasPrefix($0) }) { found.append(entry) }
        }
        return found
    }
}
