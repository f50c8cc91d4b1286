/// All objects of a kind, and which of them changed since the last message.
///
/// A new list does not empty the table: what it names is marked, and what is unmarked at its end is swept. So a relist
/// after a lost watch yields only the true differences.
///
/// Equal histories give equal messages, in every process: nothing is given out in the order of a `Dictionary`.
struct ObservedTable<Value: Equatable & Sendable>: Sendable {
    struct Entry: Sendable {
        fileprivate var key: String
        let value: Value
        fileprivate var mark: UInt32
    }

    /// Places of the objects.
    private var places: [String: Int] = [:]
    /// By place, gaps included: whoever keeps a copy keeps what there was, at the price of what changes meanwhile.
    private(set) var entries = PiecedArray<Entry?>()
    private var free: [Int] = []
    private var mark: UInt32 = 0
    /// Keys of objects that are new or different since `forgetChanges`.
    private var changed = KeyQueue()
    /// Keys of objects that have gone since then.
    private var removed = KeyQueue()

    var count: Int { places.count }
    /// In an order that depends on what was told before, and on nothing else.
    var values: some Sequence<Value> { entries.lazy.compactMap { $0?.value } }
    var isUnchanged: Bool { changed.isEmpty && removed.isEmpty }

    subscript(key: String) -> Value? { places[key].flatMap { entries[$0]?.value } }

    /// A list begins.
    mutating func beginList() {
        mark &+= 1
    }

    /// The list is complete: takes out what it did not name.
    /// - Returns: what was taken out.
    mutating func endList() -> [Value] {
        let gone = entries.compactMap { entry in entry.flatMap { $0.mark != mark ? $0 : nil } }
        for entry in gone { _ = remove(entry.key) }
        return gone.map(\.value)
    }

    /// Takes in an object.
    /// - Returns: the object before, if there was one.
    mutating func upsert(_ key: String, _ value: Value) -> Value? {
        let entry = Entry(key: key, value: value, mark: mark)
        var before: Value?
        if let place = places[key] {
            before = entries[place]?.value
            entries[place] = entry
        } else if let place = free.popLast() {
            places[key] = place
            entries[place] = entry
        } else {
            places[key] = entries.count
            entries.append(entry)
        }
        if before != value {
            changed.insert(key)
            removed.remove(key)
        }
        return before
    }

    /// Takes an object out.
    mutating func remove(_ key: String) -> Value? {
        guard let place = places.removeValue(forKey: key) else { return nil }
        let before = entries[place]?.value
        entries[place] = nil
        free.append(place)
        changed.remove(key)
        removed.insert(key)
        return before
    }

    /// Says that an object has changed although its value has not (something that it is joined with did).
    mutating func touch(_ key: String) {
        if places[key] != nil { changed.insert(key) }
    }

    /// A message with all changes has been made.
    mutating func forgetChanges() {
        changed.removeAll()
        removed.removeAll()
    }

    /// Takes changes out, up to the given number of bytes as `size` estimates them.
    mutating func takeChanged(_ budget: inout Int, _ size: (Value) -> Int) -> [Value] {
        var taken: [Value] = []
        while budget > 0, let key = changed.popFirst() {
            guard let value = self[key] else { continue }
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

/// Keys without repetition, given out in the order in which they came.
private struct KeyQueue: Sendable {
    private var numbers: [String: Int] = [:]
    private var order: [(key: String, number: Int)] = []
    private var first = 0
    private var counter = 0

    var isEmpty: Bool { numbers.isEmpty }

    mutating func insert(_ key: String) {
        guard numbers[key] == nil else { return }
        counter += 1
        numbers[key] = counter
        order.append((key, counter))
        // What was taken back leaves its place behind.
        if order.count - first > 64, order.count - first > 4 * numbers.count { compact() }
    }

    mutating func remove(_ key: String) {
        numbers[key] = nil
    }

    mutating func popFirst() -> String? {
        while first < order.count {
            let item = order[first]
            first += 1
            if numbers[item.key] == item.number {
                numbers[item.key] = nil
                if numbers.isEmpty { removeAll() }
                return item.key
            }
        }
        removeAll()
        return nil
    }

    mutating func removeAll() {
        let keepsCapacity = order.count < 10_000
        numbers.removeAll(keepingCapacity: keepsCapacity)
        order.removeAll(keepingCapacity: keepsCapacity)
        first = 0
    }

    private mutating func compact() {
        order = order[first...].filter { numbers[$0.key] == $0.number }
        first = 0
    }
}
