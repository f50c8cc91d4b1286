import Support
import Testing

@Suite("Deadline queue")
struct DeadlineQueueTests {
    @Test("earliest first, and equal times in the order of adding")
    func order() {
        var queue = DeadlineQueue<String>()
        queue.add("late", due: Timestamp(seconds: 3))
        for name in ["a", "b", "c", "d", "e"] { queue.add(name, due: Timestamp(seconds: 2)) }
        queue.add("early", due: Timestamp(seconds: 1))
        #expect(queue.next == Timestamp(seconds: 1))
        #expect(queue.pop(due: Timestamp(seconds: 0)) == nil)
        #expect(queue.pop(due: Timestamp(seconds: 1)) == "early")
        var rest: [String] = []
        while let (_, element) = queue.popFirst() { rest.append(element) }
        #expect(rest == ["a", "b", "c", "d", "e", "late"])
        #expect(queue.isEmpty)
        #expect(queue.next == nil)
    }

    @Test("what is taken out of the middle leaves the order of the rest")
    func removal() {
        var queue = DeadlineQueue<Int>()
        var seed: UInt64 = 11
        var expected: [(time: Int64, element: Int)] = []
        for element in 0..<5_000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let time = Int64(seed >> 60)
            let number = queue.add(element, due: Timestamp(seconds: time))
            #expect(number == UInt64(element + 1))
            if element % 3 != 0 { expected.append((time, element)) }
        }
        queue.removeAll { number, element in
            #expect(number == UInt64(element + 1))
            return element % 3 == 0
        }
        // Swift's sort is stable.
        expected.sort { $0.time < $1.time }
        var found: [Int] = []
        while let (_, element) = queue.popFirst() { found.append(element) }
        #expect(found == expected.map(\.element))
        queue.add(1, due: Timestamp(seconds: 1))
        queue.removeAll()
        #expect(queue.isEmpty)
    }
}
