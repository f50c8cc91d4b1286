import Messages
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
        // The broker is away: what it had is kept for a while.
        ask(9)
        ask(300)
        // Without a broker nobody could be told.
        ask(304)
        #expect(asked == [0, 0, 1_000, 1_000, 1_000, 0])
    }

    @Test("the broker is away for a minute: each replica keeps its own nodes, and no node changes hands after it")
    func brokerAway() {
        let names = ["a", "b", "c"]
        var fleet = Fleet(names)
        for second in 0..<4 { fleet.pass(names, at: time(Double(second))) }
        let before = fleet.split(nodes, names, at: time(3))
        for second in 4..<60 {
            let now = fleet.split(nodes, names, at: time(Double(second)))
            #expect(now == before, "after \(second) s")
        }
        // Each hears itself first, the others a little later.
        for name in names { fleet.shares[name]?.heard(name, at: time(60)) }
        let first = fleet.split(nodes, names, at: time(60))
        #expect(first == before)
        fleet.pass(names, at: time(61))
        let second = fleet.split(nodes, names, at: time(61))
        #expect(second == before)
        // One that does not come back is missed after a lease.
        for second in 62..<70 { fleet.pass(["a", "b"], at: time(Double(second))) }
        let after = fleet.split(nodes, ["a", "b"], at: time(69))
        #expect(after.values.flatMap { $0 }.sorted() == nodes.sorted())
    }

    @Test("how many pods there are is not said while their watch is lost; which there were still is")
    func podsUnseen() {
        var core = CollectorCore(.init(cluster: "test", replica: "r1"))
        func say(_ seconds: Double, _ events: CollectorEvent...) {
            for event in events { _ = core.handle(event, at: time(seconds)) }
        }
        func counts(_ seconds: Double) -> [Int?] {
            say(seconds, .probed)
            let (node, all) = (core.podsOnNode("n1", at: time(seconds)), core.podCounts(at: time(seconds)))
            return [node?.running, node?.facts.count, all?.running]
        }
        say(0, .probed)
        #expect(counts(0) == [nil, nil, nil] && core.podCounts(at: time(0)) != nil, "the canary is sent")
        let pod = ObservedObject.pod(Pod(uid: "u", name: "p", shape: 0, node: "n1", phase: .running), PodShape())
        say(1, .listing(.pods), .observed(.pods, [pod]), .listed(.pods))
        #expect(counts(1) == [1, 1, 1])
        say(2, .failed(.pods, reason: "refused"))
        #expect(counts(3) == [1, 1, 1])
        #expect(counts(60) == [nil, 1, nil])
        say(61, .watching(.pods))
        #expect(counts(61) == [1, 1, 1])
        #expect(!core.isCurrent(.nodes, at: time(61)))
    }

    @Test(
        "whether what is known is of now is asked of the clock that it was remembered by, wherever the wall clock stands",
        // Set forward by years since the Collector began, and back.
        arguments: [Timestamp(seconds: 1_000_000), Timestamp(seconds: 10_000_000_000)])
    func clockWasSet(start: Timestamp) async throws {
        let time = Lock(start)
        let engine = CollectorEngine(.init(cluster: "test", replica: "r1"), observer: CollectorObserver()) {
            time.withLock { $0 }
        }
        let source = engine.usageSource()
        func counts() async -> [Int?] {
            await engine.handle(.probed)
            return [await source.pods("n1")?.running, await source.cluster()?.running]
        }
        let pod = ObservedObject.pod(Pod(uid: "u", name: "p", shape: 0, node: "n1", phase: .running), PodShape())
        for event: CollectorEvent in [
            .listing(.pods), .observed(.pods, [pod]), .listed(.pods), .listing(.nodes), .listed(.nodes),
            .failed(.pods, reason: "refused"), .failed(.nodes, reason: "refused"),
        ] { await engine.handle(event) }
        time.withLock { $0 = start + .seconds(3) }
        #expect(await counts() == [1, 1], "lost just now")
        #expect(await engine.seesNodes)
        time.withLock { $0 = start + .seconds(60) }
        #expect(await counts() == [nil, nil], "numbers of a minute ago are not those of now")
        #expect(await !engine.seesNodes)
        await engine.stop()
    }

    @Test("one that does not see the nodes has no part while another does; where none does they share as before")
    func blind() {
        var fleet = Fleet(["a", "b"])
        func pass(_ seconds: ClosedRange<Int>, blind: Set<String>) -> [String: [String]] {
            for second in seconds {
                for name in ["a", "b"] {
                    for other in ["a", "b"] {
                        fleet.shares[name]?.heard(other, isBlind: blind.contains(other), at: time(Double(second)))
                    }
                }
            }
            return fleet.split(nodes, ["a", "b"], at: time(Double(seconds.upperBound)))
        }
        let both = pass(0...4, blind: [])
        #expect(both["a"]?.isEmpty == false && both["b"]?.isEmpty == false)
        let one = pass(5...6, blind: ["b"])
        #expect(one["a"] == nodes && one["b"] == [])
        #expect(fleet.shares["a"]?.replicas == ["a"])
        #expect(pass(7...8, blind: ["a", "b"]) == both)
        #expect(pass(9...10, blind: []) == both)
    }

    @Test("our clock is set back by an hour: nodes are asked on, and one that died is not taken for alive")
    func clockSetBack() {
        var fleet = Fleet(["a", "b"])
        for second in 3_600..<3_605 { fleet.pass(["a", "b"], at: time(Double(second))) }
        let before = fleet.split(nodes, ["a"], at: time(3_604))
        let after = fleet.split(nodes, ["a"], at: time(4))
        #expect(before["a"]?.isEmpty == false && before == after)
        for second in 5..<15 {
            fleet.pass(["a"], at: time(Double(second)))
            _ = fleet.split(nodes, ["a"], at: time(Double(second)))
        }
        let alone = fleet.split(nodes, ["a"], at: time(15))
        #expect(alone["a"]?.count == nodes.count)
        var schedule = ScrapeSchedule(interval: .seconds(15), details: nil)
        _ = schedule.due(Set(nodes), at: time(3_600))
        var asked: [String: Int] = [:]
        for second in 0..<30 {
            for turn in schedule.due(Set(nodes), at: time(Double(second))) { asked[turn.node, default: 0] += 1 }
        }
        #expect(asked.count == nodes.count)
        #expect(asked.values.allSatisfy { (2...3).contains($0) })
    }

    /// Plays the asking: how often each node was asked, by name. Those that `hangs` names answer never, which takes 10 s.
    private func play(
        _ all: Set<String>, seconds: Int, isSingle: Bool = false, hangs: (String, Int) -> Bool
    ) -> [String: [Int]] {
        var schedule = ScrapeSchedule(interval: .seconds(15), details: nil)
        var queue = ScrapeQueue(places: 8, interval: .seconds(15), isSingle: isSingle)
        var asked: [String: [Int]] = [:]
        var ends: [(node: String, at: Int, outcome: ScrapeQueue.Outcome)] = []
        for tick in 0..<(seconds * 10) {
            let now = time(Double(tick) / 10)
            for end in ends where end.at <= tick { queue.ended(end.node, end.outcome, at: now) }
            ends.removeAll { $0.at <= tick }
            queue.keep(only: all)
            queue.add(schedule.due(all, at: now), at: now)
            while let turn = queue.next() {
                asked[turn.node, default: []].append(tick / 10)
                let isDown = hangs(turn.node, tick / 10)
                ends.append((turn.node, tick + (isDown ? 100 : 1), isDown ? .unreachable : .answered))
            }
        }
        return asked
    }

    @Test("kubelets that hang keep those that live from nothing, and are found again when they answer")
    func hanging() {
        let live = Set((0..<60).map { "live-\($0)" })
        let dead = Set((0..<24).map { "dead-\($0)" })
        let asked = play(live.union(dead), seconds: 1_800) { node, second in dead.contains(node) && second < 1_200 }
        for node in live {
            let times = (asked[node] ?? []).filter { $0 >= 120 }
            let gap = zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? .max
            #expect(gap <= 17, "\(node) was not asked for \(gap) s")
        }
        for node in dead {
            let times = asked[node] ?? []
            #expect(times.filter { (300..<1_200).contains($0) }.count <= 5, "\(node) was asked at \(times)")
            let back = times.first { $0 >= 1_200 } ?? .max
            #expect(back <= 1_200 + 350, "\(node) was asked again at \(back)")
            #expect(times.filter { $0 >= 1_600 }.count >= 12, "\(node) is asked as often as others again")
        }
    }

    @Test("no node can be reached, since the API server is away: soon after it is back all are asked again")
    func allAway() {
        let all = Set((0..<12).map { "n\($0)" })
        let asked = play(all, seconds: 1_000) { _, second in (60..<900).contains(second) }
        for node in all {
            let back = (asked[node] ?? []).first { $0 >= 900 } ?? .max
            #expect(back <= 970, "\(node) was asked at \(back)")
        }
    }

    @Test(
        "a Collector's own node cannot be reached: its pause doubles as well, up to five minutes; then it is asked as before"
    )
    func ownNode() throws {
        let asked = try #require(play(["n"], seconds: 3_000, isSingle: true) { _, second in second < 1_500 }["n"])
        let gaps = zip(asked, asked.dropFirst()).filter { $1 <= 1_500 }.map { $1 - $0 }
        #expect(gaps == gaps.sorted() && (gaps.last ?? 0) >= 300 && gaps.allSatisfy { $0 <= 330 }, "\(asked)")
        #expect(gaps.count < 10, "\(asked)")
        #expect(asked.filter { $0 >= 1_900 }.count >= 70, "\(asked)")
    }

    @Test("a pause that was made before our clock was set back does not last for ever; a node that is gone has none")
    func queueEdges() {
        var queue = ScrapeQueue(places: 1, interval: .seconds(15))
        let turn = ScrapeSchedule.Turn(node: "n", details: false)
        queue.keep(only: ["n", "m", "o"])
        func ask(_ seconds: Double, _ outcome: ScrapeQueue.Outcome) -> Bool {
            queue.add([turn, turn], at: time(seconds))
            guard queue.next() == turn else { return false }
            let second = queue.next()
            #expect(second == nil, "one at a time, and none twice")
            queue.ended("n", outcome, at: time(seconds))
            return true
        }
        let asked = [
            ask(3_600, .unreachable), ask(3_615, .unreachable), ask(3_630, .unreachable), ask(0, .unreachable),
        ]
        #expect(asked == [true, false, true, true])
        queue.keep(only: ["m", "o"])
        let afresh = ask(1, .answered)
        #expect(afresh && queue.count == 0)
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
