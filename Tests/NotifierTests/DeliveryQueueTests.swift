import Support
import TestServer
import Testing

@testable import Notifier

@Suite("Whose turn it is")
struct DeliveryQueueTests {
    @Test("nodes take turns, however much one of them has")
    func fair() {
        var queue = DeliveryQueue<String>(limit: 100)
        for index in 0..<50 { queue.add("big-\(index)", lane: "big-\(index)", node: "big", isFirst: true) }
        for index in 0..<3 { queue.add("small-\(index)", lane: "small-\(index)", node: "small", isFirst: true) }
        let order = (0..<6).compactMap { _ in queue.next()?.job }
        #expect(order == ["big-0", "small-0", "big-1", "small-1", "big-2", "small-2"])
    }

    @Test("no more than the limit at once; the next when one ends")
    func bounded() {
        var queue = DeliveryQueue<Int>(limit: 2)
        for index in 0..<5 { queue.add(index, lane: "\(index)", node: "n", isFirst: true) }
        #expect(queue.next()?.job == 0)
        let second = queue.next()
        #expect(second?.job == 1)
        #expect(queue.next() == nil)
        #expect(queue.running == 2 && queue.waiting == 3)
        queue.finished(second?.lane ?? "")
        #expect(queue.next()?.job == 2)
        queue.finished("nobody's")
        queue.finished("4")
        #expect(queue.next() == nil)
    }

    @Test("of one lane one after the other, in order")
    func lanes() {
        var queue = DeliveryQueue<Int>(limit: 10)
        for index in 0..<3 { queue.add(index, lane: "pod", node: "n", isFirst: true) }
        #expect(queue.next()?.job == 0)
        #expect(queue.next() == nil)
        queue.finished("pod")
        #expect(queue.next()?.job == 1)
        queue.add(3, lane: "pod", node: "n", isFirst: true)
        #expect(queue.next() == nil)
        queue.finished("pod")
        #expect(queue.next()?.job == 2)
        queue.finished("pod")
        #expect(queue.next()?.job == 3)
        queue.finished("pod")
        #expect(queue.running == 0 && queue.waiting == 0)
    }

    @Test("first tries go before further ones, which get every eighth place")
    func further() {
        var queue = DeliveryQueue<Int>(limit: 100)
        for index in 0..<20 { queue.add(-index - 1, lane: "old-\(index)", node: "n", isFirst: false) }
        for index in 0..<14 { queue.add(index, lane: "new-\(index)", node: "n", isFirst: true) }
        let order = (0..<16).compactMap { _ in queue.next()?.job }
        #expect(order.filter { $0 < 0 } == [-1, -2])
        #expect(order.filter { $0 >= 0 } == Array(0..<14))
        #expect(queue.next()?.job == -3)
    }

    @Test("ten thousand jobs in any order all get their turn, none twice")
    func all() {
        var queue = DeliveryQueue<Int>(limit: 7)
        var seed = UInt64(1)
        func random(_ bound: Int) -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(seed >> 33) % bound
        }
        var running: [String] = []
        var seen: [Int] = []
        var added = 0
        while seen.count < 10_000 {
            if added < 10_000, random(2) == 0 {
                queue.add(added, lane: "\(random(100))", node: "\(random(10))", isFirst: random(3) > 0)
                added += 1
            }
            if let (job, lane) = queue.next() {
                #expect(!running.contains(lane))
                running.append(lane)
                seen.append(job)
            } else if !running.isEmpty {
                queue.finished(running.remove(at: random(running.count)))
            }
            #expect(running.count <= 7)
        }
        #expect(Set(seen).count == 10_000)
    }

    @Test("hooks that hang hold neither the API's place nor each other's beyond the bound")
    func hanging() async throws {
        let deliverer = Deliverer(hooks: 3)
        let started = Lock(0)
        let reached = Lock(false)
        let (gate, open) = AsyncStream<Void>.makeStream()
        let task = Task { await deliverer.run() }
        for index in 0..<10 {
            deliverer.submit(.hooks, lane: "\(index)", node: "n") {
                started.withLock { $0 += 1 }
                for await _ in gate {}
            }
        }
        deliverer.submit(.api, lane: "0", node: "n") { reached.withLock { $0 = true } }
        try await eventually("the API is called, three hooks hang") {
            reached.withLock { $0 } && started.withLock { $0 } == 3
        }
        #expect(deliverer.load(.hooks) == (3, 7))
        open.finish()
        try await eventually("all had their turn") { started.withLock { $0 } == 10 }
        task.cancel()
        await task.value
    }
}
