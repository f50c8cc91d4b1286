/// What falls due when, earliest first; equal times in the order in which they were added. A binary heap: thousands that
/// start at once cost logarithms, not scans.
///
/// Every step of a rehearsal comes from one of these. Inlinable, so that a module that uses it has it made for its own elements: made
/// for any element it took a quarter of the time of the whole.
public struct DeadlineQueue<Element> {
    @usableFromInline
    struct Entry {
        @usableFromInline var due: Timestamp
        @usableFromInline var number: UInt64
        @usableFromInline var element: Element

        @inlinable
        init(due: Timestamp, number: UInt64, element: Element) {
            self.due = due
            self.number = number
            self.element = element
        }
    }

    @usableFromInline var heap: [Entry] = []
    @usableFromInline var counter: UInt64 = 0

    /// Nothing is due.
    @inlinable
    public init() {}

    /// The earliest time at which something is due; nil when nothing waits.
    @inlinable
    public var next: Timestamp? { heap.first?.due }

    /// What is due first, with the number that `add` gave it; nil when nothing waits.
    @inlinable
    public var first: (due: Timestamp, number: UInt64, element: Element)? {
        heap.first.map { ($0.due, $0.number, $0.element) }
    }

    /// How many wait.
    @inlinable
    public var count: Int { heap.count }

    /// Whether nothing waits.
    @inlinable
    public var isEmpty: Bool { heap.isEmpty }

    /// `element` falls due at `due`.
    /// - Returns: its number: higher than that of any added before.
    @inlinable
    @discardableResult
    public mutating func add(_ element: Element, due: Timestamp) -> UInt64 {
        counter += 1
        heap.append(Entry(due: due, number: counter, element: element))
        rise(heap.count - 1)
        return counter
    }

    /// Takes the earliest element, whenever it is due.
    @inlinable
    public mutating func popFirst() -> (due: Timestamp, element: Element)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            sink(0)
        }
        return (first.due, first.element)
    }

    /// Takes the earliest element if it is due at `now`.
    @inlinable
    public mutating func pop(due now: Timestamp) -> Element? {
        guard let next, next <= now else { return nil }
        return popFirst()?.element
    }

    /// Forgets those for which `isStale` says so. The others keep their order.
    @inlinable
    public mutating func removeAll(where isStale: (_ number: UInt64, Element) -> Bool) {
        heap.removeAll { isStale($0.number, $0.element) }
        for index in (0..<heap.count / 2).reversed() { sink(index) }
    }

    /// Forgets everything, and with it what the elements hold.
    @inlinable
    public mutating func removeAll() { heap = [] }

    @inlinable
    mutating func rise(_ index: Int) {
        var child = index
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    @inlinable
    mutating func sink(_ index: Int) {
        var parent = index
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            if least == parent { return }
            heap.swapAt(least, parent)
            parent = least
        }
    }

    @inlinable
    func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].due, heap[left].number) < (heap[right].due, heap[right].number)
    }
}

extension DeadlineQueue: Sendable where Element: Sendable {}
extension DeadlineQueue.Entry: Sendable where Element: Sendable {}
