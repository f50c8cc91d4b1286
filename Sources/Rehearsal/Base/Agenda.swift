import Support

/// What happens next in simulated time: a heap by time, and in order of entry where times are equal.
struct Agenda {
    private struct Entry {
        var time: Timestamp
        var number: Int
        var act: () -> Void
    }

    private var heap: [Entry] = []
    private var counter = 0

    var isEmpty: Bool { heap.isEmpty }

    mutating func add(_ time: Timestamp, _ act: @escaping () -> Void) {
        counter += 1
        heap.append(Entry(time: time, number: counter, act: act))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard precedes(child, parent) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func next() -> (time: Timestamp, act: () -> Void)? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && precedes(child, least) {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(least, parent)
                parent = least
            }
        }
        return (first.time, first.act)
    }

    /// Forgets everything, and with it what the acts hold.
    mutating func clear() { heap = [] }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        heap[left].time < heap[right].time
            || (heap[left].time == heap[right].time && heap[left].number < heap[right].number)
    }
}
