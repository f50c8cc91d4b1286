/// When which key is due: thousands of timers at the cost of one wake-up, for cores that are given the time.
///
/// Each key has at most one time; setting it again moves it. Equal times come out in the order in which they were set. (Inlinable as
/// `DeadlineQueue` is, and for the same reason.)
public struct TimerQueue<Key: Hashable & Sendable>: Sendable {
    // A moved or cancelled timer stays in the queue until it surfaces, and is then recognised by its number.
    @usableFromInline var queue = DeadlineQueue<Key>()
    @usableFromInline var current: [Key: UInt64] = [:]
    @usableFromInline var times: [Key: Timestamp] = [:]

    /// Nothing is due.
    @inlinable
    public init() {}

    /// How many keys have a time.
    @inlinable
    public var count: Int { current.count }

    /// The earliest time, or nil when nothing is set.
    @inlinable
    public var next: Timestamp? {
        mutating get {
            dropStale()
            return queue.next
        }
    }

    /// Makes `key` due at `time`, whenever it was due before.
    @inlinable
    public mutating func set(_ key: Key, at time: Timestamp) {
        current[key] = queue.add(key, due: time)
        times[key] = time
        // Many moves of few keys must not grow the queue for ever.
        if queue.count > 64, queue.count > 4 * current.count {
            queue.removeAll { [current] number, key in current[key] != number }
        }
    }

    /// Makes `key` due at `time` unless it is due earlier already.
    @inlinable
    public mutating func setEarlier(_ key: Key, at time: Timestamp) {
        if let old = times[key], old <= time { return }
        set(key, at: time)
    }

    /// Forgets `key`.
    @inlinable
    public mutating func cancel(_ key: Key) {
        current[key] = nil
        times[key] = nil
    }

    /// Takes out all that is due at `now`, earliest first.
    @inlinable
    public mutating func due(at now: Timestamp) -> [Key] {
        var keys: [Key] = []
        while true {
            dropStale()
            guard let key = queue.pop(due: now) else { return keys }
            cancel(key)
            keys.append(key)
        }
    }

    @inlinable
    mutating func dropStale() {
        while let first = queue.first, current[first.element] != first.number { _ = queue.popFirst() }
    }
}
