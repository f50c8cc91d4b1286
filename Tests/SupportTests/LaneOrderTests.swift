import Support
import Testing

@Suite("Order of what is under way at once")
struct LaneOrderTests {
    private var order = LaneOrder<String>()

    /// Begins all that may be begun.
    private mutating func begin() -> [LaneOrder<String>.Turn] {
        var turns: [LaneOrder<String>.Turn] = []
        while let turn = order.next() { turns.append(turn) }
        return turns
    }

    @Test("a lane's things go one after the other, those of other lanes beside them")
    mutating func lanes() throws {
        for (item, lane) in [("a1", "a"), ("a2", "a"), ("b1", "b")] { order.add(item, .lane(lane)) }
        let first = begin()
        #expect(first.map(\.item) == ["a1", "b1"])
        order.finished(first[1])
        #expect(begin().isEmpty)
        order.finished(first[0])
        let second = begin()
        #expect(second.map(\.item) == ["a2"])
        order.add("a3", .lane("a"))
        #expect(begin().isEmpty)
        order.finished(second[0])
        let third = begin()
        #expect(third.map(\.item) == ["a3"])
        #expect(!order.isEmpty)
        order.finished(third[0])
        #expect(order.isEmpty)
    }

    @Test("one that stands alone waits for all before it, and all after it wait")
    mutating func alone() throws {
        order.add("a", .lane("a"))
        order.add("b", .lane("b"))
        order.add("alone", .alone)
        order.add("c", .lane("c"))
        order.add("alone too", .alone)
        let before = begin()
        #expect(before.map(\.item) == ["a", "b"])
        order.finished(before[1])
        #expect(begin().isEmpty)
        order.finished(before[0])
        for expected in ["alone", "c", "alone too"] {
            let turns = begin()
            #expect(turns.map(\.item) == [expected])
            for turn in turns { order.finished(turn) }
        }
        #expect(order.isEmpty)
    }

    @Test("what follows waits for all before it and keeps nothing waiting but others of its kind")
    mutating func after() throws {
        order.add("first", .after)
        order.add("a", .lane("a"))
        order.add("b", .lane("b"))
        order.add("act", .after)
        order.add("act too", .after)
        order.add("c", .lane("c"))
        let turns = begin()
        #expect(turns.map(\.item) == ["first", "a", "b", "c"])
        order.finished(turns[0])
        order.finished(turns[3])
        order.finished(turns[1])
        #expect(begin().isEmpty)
        order.finished(turns[2])
        let act = begin()
        #expect(act.map(\.item) == ["act"])
        order.finished(act[0])
        let last = begin()
        #expect(last.map(\.item) == ["act too"])
        order.finished(last[0])
        #expect(order.isEmpty)
    }
}
