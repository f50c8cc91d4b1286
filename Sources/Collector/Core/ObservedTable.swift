/// All objects of a kind, and which of them changed since the last message.
///
/// A new list does not empty the table: what it names is marked, and what is unmarked at its end is swept. So a relist
/// after a lost watch yields only the true differences.
struct ObservedTable<Value: Equatable & Sendable>: Sendable {
    private struct Entry: Sendable {
        var value: Value
        var mark: UInt32
    }

    private var entries: [String: Entry] = [:]
    private var mark: UInt32 = 0
    /// Keys of objects that are new or different since `forgetChanges`.
    private(set) var changed: Set<String> = []
    /// Keys of objects that have gone since then.
    private(set) var removed: Set<String> = []

    var count: Int { entries.count }
    var values: some Sequence<Value> { entries.values.lazy.map(\.value) }
    var isUnchanged: Bool { changed.isEmpty && removed.isEmpty }

    subscript(key: String) -> Value? { entries[key]?.value }

    /// A list begins.
    mutating func beginList() {
        mark &+= 1
    }

    /// The list is complete: takes out what it did not name.
    /// - Returns: what was taken out.
    mutating func endList() -> [Value] {
        let gone = entries.filter { $0.value.mark != mark }
        for key in gone.keys { _ = remove(key) }
        return gone.values.map(\.value)
    }

    /// Takes in an object.
    /// - Returns: the object before, if there was one.
    mutating func upsert(_ key: String, _ value: Value) -> Value? {
        let before = entries.updateValue(Entry(value: value, mark: mark), forKey: key)?.value
        if before != value {
            changed.insert(key)
            removed.remove(key)
        }
        return before
    }

    /// Takes an object out.
    mutating func remove(_ key: String) -> Value? {
        guard let before = entries.removeValue(forKey: key)?.value else { return nil }
        changed.remove(key)
        removed.insert(key)
        return before
    }

    /// Says that an object has changed although its value has not (something that it is joined with did).
    mutating func touch(_ key: String) {
        if entries[key] != nil { changed.insert(key) }
    }

    /// A message with all changes has been made.
    mutating func forgetChanges() {
        changed.removeAll(keepingCapacity: changed.count < 10_000)
        removed.removeAll(keepingCapacity: removed.count < 10_000)
    }

    /// Takes changes out, up to the given number of bytes as `size` estimates them.
    mutating func takeChanged(_ budget: inout Int, _ size: (Value) -> Int) -> [Value] {
        var taken: [Value] = []
        while budget > 0, let key = changed.popFirst() {
            guard let value = entries[key]?.value else { continue }
            budget -= size(value)
            taken.append(value)
        }
        return taken
    }

    /// Takes removals out, up to the given number of bytes.
    mutating func takeRemoved(_ budget: inout Int) -> [String] {
        var taken: [String] = []
        while budget > 0, let key = removed.popFirst() {
            budget -= key.utf8.count + 8
            taken.append(key)
        }
        return taken
    }
}
