/// When which key is due: thousands of timers at the cost of one wake-up, for cores that are given the time.
///
/// Each key has at most one time; setting it again moves it. Equal times come out in the order in which they were set.
public struct TimerQueue<Key: Hashable & Sendable>: Sendable {
    private struct Entry: Sendable {
        var time: Timestamp
        var number: UInt64
        var key: Key
    }

    // A binary heap with stale entries: a moved or cancelled timer stays in the heap until it surfaces, and is then
    // recognised by its number.
    private var heap: [Entry] = []
    private var current: [Key: UInt64] = [:]
    private var times: [Key: Timestamp] = [:]
    private var counter: UInt64 = 0

    /// Nothing is due.
    public init() {}

    /// How many keys have a time.
    public var count: Int { current.count }

    /// The earliest time, or nil when nothing is set.
    public var next: Timestamp? {
        mutating get {
            dropStale()
            return heap.first?.time
        }
    }

    /// When `key` is due, if it is set.
    public func time(of key: Key) -> Timestamp? { times[key] }

    /// Makes `key` due at `time`, whenever it was due before.
    public mutating func set(_ key: Key, at time: Timestamp) {
        counter += 1
        current[key] = counter
        times[key] = time
        push(Entry(time: time, number: counter, key: key))
        // Many moves of few keys must not grow the heap for ever.
        if heap.count > 64, heap.count > 4 * current.count { rebuild() }
    }

    /// Makes `key` due at `time` unless it is due earlier already.
    public mutating func setEarlier(_ key: Key, at time: Timestamp) {
        if let old = times[key], old <= time { return }
        set(key, at: time)
    }

    /// Forgets `key`.
    public mutating func cancel(_ key: Key) {
        current[key] = nil
        times[key] = nil
    }

    /// Takes out all that is due at `now`, earliest first.
    public mutating func due(at now: Timestamp) -> [Key] {
        var keys: [Key] = []
        while true {
            dropStale()
            guard let first = heap.first, first.time <= now else { return keys }
            pop()
            cancel(first.key)
            keys.append(first.key)
        }
    }

    private mutating func dropStale() {
        while let first = heap.first, current[first.key] != first.number { pop() }
    }

    private mutating func rebuild() {
        let live = heap.filter { current[$0.key] == $0.number }
        heap = []
        for entry in live { push(entry) }
    }

    private static func precedes(_ left: Entry, _ right: Entry) -> Bool {
        left.time < right.time || (left.time == right.time && left.number < right.number)
    }

    private mutating func push(_ entry: Entry) {
        heap.append(entry)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard Self.precedes(heap[child], heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func pop() {
        guard let last = heap.popLast(), !heap.isEmpty else { return }
        heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && Self.precedes(heap[child], heap[least]) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(least, parent)
            parent = least
        }
    }
}
