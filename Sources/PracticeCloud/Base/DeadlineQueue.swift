import Support

/// What falls due when, earliest first; equal times in the order in which they were added. A binary heap: thousands
/// of pods starting at once cost logarithms, not scans.
struct DeadlineQueue<Element: Sendable>: Sendable {
    private struct Entry: Sendable {
        var due: Timestamp
        var sequence: UInt64
        var element: Element
    }

    private var heap: [Entry] = []
    private var sequence: UInt64 = 0

    /// The earliest time at which something is due.
    var next: Timestamp? { heap.first?.due }

    /// How many wait.
    var count: Int { heap.count }

    /// `element` falls due at `due`.
    mutating func add(_ element: Element, due: Timestamp) {
        sequence += 1
        heap.append(Entry(due: due, sequence: sequence, element: element))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the earliest element if it is due at `now`.
    mutating func pop(due now: Timestamp) -> Element? {
        guard let first = heap.first, first.due <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink()
        }
        return first.element
    }

    private mutating func sink() {
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, smallest) {
                smallest = child
            }
            if smallest == parent { return }
            heap.swapAt(smallest, parent)
            parent = smallest
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        (heap[left].due, heap[left].sequence) < (heap[right].due, heap[right].sequence)
    }
}
