import Support
import Testing

@testable import Collector

@Suite("Who asks which kubelet, and when")
struct SharingTests {
    private let nodes = (0..<1_000).map { "node-\($0)" }
    private func time(_ seconds: Double) -> Timestamp { Timestamp(seconds: 1_000_000) + .seconds(seconds) }

    /// Three replicas, each hearing those that `alive` names once a second.
    private struct Fleet {
        var shares: [String: ScrapeShare]

        init(_ names: [String]) {
            shares = Dictionary(uniqueKeysWithValues: names.map { ($0, ScrapeShare(replica: $0)) })
        }

        mutating func pass(_ alive: [String], at now: Timestamp) {
            for name in alive {
                for other in alive { shares[name]?.heard(other, at: now) }
            }
        }

        mutating func split(_ nodes: [String], _ alive: [String], at now: Timestamp) -> [String: [String]] {
            var split: [String: [String]] = [:]
            for name in alive { split[name] = shares[name]?.mine(nodes, at: now) }
            return split
        }
    }

    @Test("one replica listens first, then asks all")
    func alone() {
        var share = ScrapeShare(replica: "a")
        var asked: [Int] = []
        func ask(_ seconds: Double) { asked.append(share.mine(nodes, at: time(seconds)).count) }
        ask(0)
        share.heard("a", at: time(1))
        ask(2)
        share.heard("a", at: time(3))
        ask(3)
        // Without a broker nobody could be told.
        ask(9)
        #expect(asked == [0, 0, 1_000, 0])
    }

    @Test("three replicas split the nodes about evenly, each node asked once; one that dies leaves only its own")
    func split() throws {
        let names = ["a", "b", "c"]
        var fleet = Fleet(names)
        for second in 0..<4 { fleet.pass(names, at: time(Double(second))) }
        let before = fleet.split(nodes, names, at: time(3))
        #expect(before.values.flatMap { $0 }.sorted() == nodes.sorted())
        for (name, part) in before { #expect((250...420).contains(part.count), "\(name) has \(part.count)") }
        for second in 4..<12 { fleet.pass(["a", "b"], at: time(Double(second))) }
        let after = fleet.split(nodes, ["a", "b"], at: time(11))
        #expect(after.values.flatMap { $0 }.sorted() == nodes.sorted())
        for name in ["a", "b"] {
            let old = Set(try #require(before[name]))
            #expect(old.isSubset(of: Set(try #require(after[name]))), "\(name) gave nodes away")
        }
    }

    @Test("a flood of invented names costs no memory")
    func flood() {
        var share = ScrapeShare(replica: "a")
        share.heard("a", at: time(0))
        for number in 0..<10_000 { share.heard("x\(number)", at: time(0)) }
        #expect(share.replicas.count == 256)
        share.heard("a", at: time(6))
        let mine = share.mine(nodes, at: time(6))
        #expect(mine == nodes)
    }

    @Test("a new node is asked at once, then every interval at its own moment, spread over it")
    func schedule() {
        var schedule = ScrapeSchedule(interval: .seconds(15), details: .minutes(1))
        let all = Set(nodes)
        let first = schedule.due(all, at: time(0))
        #expect(first.count == 1_000)
        let next = schedule.due(all, at: time(0.1))
        #expect(next.count < 20)
        var asked: [String: [Double]] = [:]
        var details: [String: Int] = [:]
        var most = 0
        for step in 1...1_200 {
            let now = Double(step) * 0.1
            let due = schedule.due(all, at: time(now))
            if now > 20 { most = max(most, due.count) }
            for turn in due {
                asked[turn.node, default: []].append(now)
                if turn.details { details[turn.node, default: 0] += 1 }
            }
        }
        // 1,000 nodes over 150 steps of 0.1 s.
        #expect(most < 25)
        for (node, times) in asked {
            #expect((7...8).contains(times.count), "\(node): \(times)")
            for (earlier, later) in zip(times, times.dropFirst()) {
                #expect((14.8...15.2).contains(later - earlier), "\(node): \(times)")
            }
            #expect((1...3).contains(details[node] ?? 0), "\(node): \(details[node] ?? 0)")
        }
        #expect(asked.count == 1_000)
    }

    @Test("no details when none are wanted; a node that is gone and comes again is new")
    func scheduleEnds() {
        var schedule = ScrapeSchedule(interval: .seconds(15), details: nil)
        let first = schedule.due(["a"], at: time(0))
        #expect(first == [.init(node: "a", details: false)])
        let none = schedule.due([], at: time(1))
        #expect(none.isEmpty)
        let again = schedule.due(["a"], at: time(2))
        #expect(again == [.init(node: "a", details: false)])
    }
}
