import Messages

/// Shapes of pods by number, counted by use, so that 30,000 pods of 50 workloads hold 50 shapes.
struct ShapeTable: Sendable {
    private struct Entry: Sendable {
        var shape: PodShape
        var uses: Int
    }

    private var numbers: [PodShape: Int] = [:]
    private var entries: [Int: Entry] = [:]
    private var next = 1
    /// Numbers that no message has carried of this epoch.
    private var unsent: Set<Int> = []

    var count: Int { entries.count }

    subscript(number: Int) -> PodShape? { entries[number]?.shape }

    /// The number of a shape, which is now used once more.
    mutating func retain(_ shape: PodShape) -> Int {
        if let number = numbers[shape] {
            entries[number]?.uses += 1
            return number
        }
        let number = next
        next += 1
        numbers[shape] = number
        entries[number] = Entry(shape: shape, uses: 1)
        unsent.insert(number)
        return number
    }

    /// A use has ended. The last one frees the shape; its number is never given again.
    mutating func release(_ number: Int) {
        guard let entry = entries[number] else { return }
        if entry.uses > 1 {
            entries[number]?.uses -= 1
            return
        }
        entries[number] = nil
        numbers[entry.shape] = nil
        unsent.remove(number)
    }

    /// All shapes, in the order of their numbers; from now on they count as sent.
    mutating func takeAll() -> [NumberedShape] {
        unsent = []
        return entries.sorted { $0.key < $1.key }.map { NumberedShape(id: $0.key, shape: $0.value.shape) }
    }

    /// Whether no message has carried the shape yet.
    func isUnsent(_ number: Int) -> Bool { unsent.contains(number) }

    /// The shape, if no message has carried it yet; from now on it counts as sent.
    mutating func takeUnsent(_ number: Int) -> NumberedShape? {
        guard unsent.remove(number) != nil, let entry = entries[number] else { return nil }
        return NumberedShape(id: number, shape: entry.shape)
    }
}
