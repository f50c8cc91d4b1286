import Support
import Testing

@Suite("Timer queue")
struct TimerQueueTests {
    @Test("earliest first, moved and cancelled ones where they belong")
    func order() {
        var queue = TimerQueue<String>()
        queue.set("c", at: Timestamp(seconds: 3))
        queue.set("a", at: Timestamp(seconds: 1))
        queue.set("b", at: Timestamp(seconds: 2))
        queue.set("a", at: Timestamp(seconds: 4))
        queue.cancel("b")
        queue.setEarlier("c", at: Timestamp(seconds: 5))
        #expect(queue.next == Timestamp(seconds: 3))
        #expect(queue.due(at: Timestamp(seconds: 2)).isEmpty)
        #expect(queue.due(at: Timestamp(seconds: 4)) == ["c", "a"])
        #expect(queue.next == nil)
        #expect(queue.count == 0)
    }

    @Test("thousands, moved many times, come out in order")
    func many() {
        var queue = TimerQueue<Int>()
        var expected: [Int: Int64] = [:]
        var seed: UInt64 = 7
        for _ in 0..<50_000 {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let key = Int(seed >> 33) % 5_000
            let time = Int64(seed >> 40) % 1_000
            queue.set(key, at: Timestamp(seconds: time))
            expected[key] = time
        }
        let order = queue.due(at: Timestamp(seconds: 2_000))
        #expect(order.count == expected.count)
        let times = order.compactMap { expected[$0] }
        #expect(times == times.sorted())
    }

    @Test("equal times come out in the order in which they were set, also after many moves")
    func equals() {
        var queue = TimerQueue<Int>()
        let time = Timestamp(seconds: 9)
        // Far more moves than keys: the queue is swept in between.
        for round in 0..<200 {
            for key in 0..<40 { queue.set(key, at: Timestamp(seconds: Int64(round % 7))) }
        }
        for key in (0..<40).reversed() { queue.set(key, at: time) }
        for round in 0..<500 { queue.set(99, at: Timestamp(seconds: Int64(20 + round))) }
        #expect(queue.due(at: time) == Array((0..<40).reversed()))
        #expect(queue.count == 1)
    }
}
