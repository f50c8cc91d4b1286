/// A queue over an array: append at the end, remove at the front, both in amortised constant time.
public struct Fifo<Element> {
    private var storage: [Element] = []
    private var head = 0

    /// An empty one.
    public init() {}

    /// With these waiting, the first one first.
    public init(_ elements: [Element]) {
        storage = elements
    }

    /// How many wait.
    public var count: Int { storage.count - head }
    /// Whether none waits.
    public var isEmpty: Bool { head == storage.count }
    /// The next one.
    public var first: Element? { isEmpty ? nil : storage[head] }
    /// All, the next one first.
    public var elements: ArraySlice<Element> { storage[head...] }

    /// The one at this place; 0 is the next one. It must exist.
    public subscript(index: Int) -> Element {
        get { storage[head + index] }
        set { storage[head + index] = newValue }
    }

    /// Adds one at the end.
    public mutating func append(_ element: Element) {
        storage.append(element)
    }

    /// Adds several at the end, in their order.
    public mutating func append(contentsOf elements: some Sequence<Element>) {
        storage.append(contentsOf: elements)
    }

    /// Takes the next one.
    public mutating func popFirst() -> Element? {
        guard head < storage.count else { return nil }
        let element = storage[head]
        head += 1
        compact()
        return element
    }

    /// Drops the next ones, as many as there are.
    public mutating func removeFirst(_ number: Int) {
        head += min(number, count)
        compact()
    }

    /// Drops all.
    public mutating func removeAll() {
        storage.removeAll()
        head = 0
    }

    private mutating func compact() {
        if head == storage.count {
            storage.removeAll(keepingCapacity: storage.capacity <= 4_096)
            head = 0
        } else if head >= 64, head * 2 >= storage.count {
            storage.removeFirst(head)
            head = 0
        }
    }
}

extension Fifo: Sendable where Element: Sendable {}
