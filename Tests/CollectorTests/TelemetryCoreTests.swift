import Crypto
import Messages
import Settings
import Support
import Testing

@testable import Collector

@Suite("What goes to Ceilometer, and when")
struct TelemetryCoreTests {
    private func time(_ seconds: Double) -> Timestamp { Timestamp(seconds: 1_000_000) + .seconds(seconds) }

    private func core(perBatch: Int = 2, maximum: Int = 100) -> TelemetryCore {
        TelemetryCore(
            .init(
                interval: .seconds(60), perBatch: perBatch, pace: .seconds(1), maximumWaiting: maximum,
                attributesEvery: .minutes(10)))
    }

    private func point(
        _ name: String, _ seconds: Double, _ value: Double = 1, kind: TelemetryKind = .pod, node: String = "n1"
    ) throws -> TelemetryPoint {
        try #require(
            TelemetryPoint(
                kind, id: UUID5(namespace: .dns, name: name), at: time(seconds),
                attributes: ["name": name, "node": node],
                [(.cpuUsage, value)]))
    }

    private func values(_ batch: TelemetryCore.Batch?) -> [Double] {
        (batch?.entries ?? []).flatMap { $0.points.flatMap { $0.values.map(\.value) } }
    }

    @Test("few resources at once, at a pace, one batch on its way, nodes before pods before containers")
    func pace() throws {
        var core = core()
        core.take(
            [
                try point("c", 0, 1, kind: .container), try point("p", 0, 2), try point("q", 0, 3),
                try point("n", 0, 4, kind: .node),
            ], at: time(0))
        let first = core.next(at: time(0))
        #expect(values(first) == [4, 2])
        let tooSoon = core.next(at: time(5))
        #expect(tooSoon == nil)
        core.ended(.sent, at: time(0.2), jitter: 0)
        let early = core.next(at: time(0.9))
        #expect(early == nil)
        let second = core.next(at: time(1))
        #expect(values(second) == [3, 1])
        core.ended(.sent, at: time(1.1), jitter: 0)
        let nothing = core.next(at: time(9))
        #expect(nothing == nil)
        #expect(core.waiting == 0)
    }

    @Test("a flood of invented pods costs no more memory than so many, and keeps no node out")
    func flood() throws {
        var core = core()
        for page in 0..<60 {
            let pods = try (0..<1_000).map { try point("p\(page)-\($0)", 0) }
            core.take(pods, at: time(0))
        }
        #expect(core.remembered == 50_000)
        #expect(core.dropped == 60_000 - 100)
        core.take([try point("n", 0, 7, kind: .node)], at: time(0))
        #expect(core.remembered == 50_001)
        let batch = core.next(at: time(0))
        #expect(values(batch).first == 7)
        // Each that is left out counts once an interval, however often it is read.
        #expect(core.leftOut == 10_000)
        let dropped = core.dropped
        let again = try (0..<1_000).map { try point("p55-\($0)", 15) }
        core.take(again, at: time(15))
        core.take(again, at: time(30))
        #expect(core.dropped == dropped && core.leftOut == 10_000)
        core.take(again, at: time(61))
        core.take(again, at: time(76))
        #expect(core.dropped == dropped + 1_000 && core.leftOut == 10_000)
        core.take([], at: time(122))
        #expect(core.leftOut == 1_000)
        core.take([], at: time(183))
        #expect(core.leftOut == 0)
        // Those that are gone leave their places.
        core.take([], at: time(700))
        #expect(core.remembered == 0)
    }

    @Test("where the pace carries more in an interval than the usual bound, none of them is left out")
    func wideInterval() throws {
        var core = TelemetryCore(
            .init(
                interval: .minutes(30), perBatch: 50, pace: .seconds(0.5), maximumWaiting: 70_000,
                attributesEvery: .minutes(10)))
        #expect(core.mostRemembered == 180_000)
        for page in 0..<80 {
            let pods = try (0..<1_000).map { try point("p\(page)-\($0)", 0) }
            core.take(pods, at: time(0))
        }
        #expect(core.remembered == 80_000 && core.leftOut == 0)
        // Only those that waited too long are given up.
        #expect(core.dropped == 10_000)
    }

    @Test("three replicas together keep the pace of one; when two are gone the third has it alone")
    func sharedPace() throws {
        var cores = (0..<3).map { _ in core(perBatch: 1) }
        for index in cores.indices {
            cores[index].take(try (0..<60).map { try point("\(index)/\($0)", 0) }, at: time(0))
        }
        /// Batches that they send within a time, looking every tenth of a second.
        func sent(_ seconds: Range<Int>, _ living: Range<Int>) -> Int {
            var count = 0
            for tenth in seconds.lowerBound * 10..<seconds.upperBound * 10 {
                let now = time(Double(tenth) / 10)
                for index in living {
                    cores[index].sharing = living.count
                    guard cores[index].next(at: now) != nil else { continue }
                    cores[index].ended(.sent, at: now, jitter: 0)
                    count += 1
                }
            }
            return count
        }
        #expect(sent(0..<30, 0..<3) == 30)
        // What was waited for before it was known that they are gone is not long.
        #expect((28...30).contains(sent(30..<60, 0..<1)))
    }

    @Test("one Collector on each node: all begin at once, and neither send nor write attributes in step")
    func inTurn() throws {
        let nodes = (0..<200).map { "worker-\($0)" }
        var sent: [Int: Int] = [:]
        var attributes: [Int: Int] = [:]
        for node in nodes {
            let settings = try Settings.load(
                file: nil, environment: [:],
                flags: [
                    "cluster=test", "bus.transport_url=rabbit://x/", "collector.telemetry.to=ceilometer",
                    "collector.telemetry.project_id=p",
                ])
            var core = TelemetryCore(.init(settings.collector.telemetry, node: node))
            var mine: [Double] = []
            for second in stride(from: 0.0, to: 1_500, by: 15) {
                core.take([try point("p", second)], at: time(second))
                guard let batch = core.next(at: time(second)) else { continue }
                core.ended(.sent, at: time(second), jitter: 0)
                mine.append(second)
                if second < 60 { sent[Int(second), default: 0] += 1 }
                // Those of the beginning are needed at once.
                if batch.entries[0].withAttributes, mine.count > 1 { attributes[Int(second) / 60, default: 0] += 1 }
            }
            #expect(mine.count >= 23, "\(node): \(mine)")
        }
        // Readings come every 15 s: four moments in a minute, which the nodes share.
        #expect(sent.values.reduce(0, +) >= 120 && (sent.values.max() ?? 0) < 90, "\(sent)")
        #expect((attributes.values.max() ?? 0) < 50, "\(attributes)")
    }

    @Test("each resource once an interval; attributes at first, when they change, and now and then")
    func interval() throws {
        var core = core()
        func send(_ seconds: Double, node: String = "n1") throws -> Bool? {
            core.take([try point("p", seconds, node: node)], at: time(seconds))
            let batch = core.next(at: time(seconds))
            core.ended(.sent, at: time(seconds), jitter: 0)
            return batch?.entries.first?.withAttributes
        }
        #expect(try send(0) == true)
        #expect(try send(15) == nil)
        #expect(try send(59) == false)
        #expect(try send(120) == false)
        #expect(try send(180, node: "n2") == true)
        #expect(try send(240, node: "n2") == false)
        #expect(try send(781, node: "n2") == true)
    }

    @Test("while it works a newer point takes the place of one that waits; while it does not, both are kept in order")
    func waiting() throws {
        var core = core()
        core.take([try point("p", 0, 1)], at: time(0))
        core.take([try point("p", 60, 2)], at: time(60))
        #expect(core.waiting == 1)
        let newest = core.next(at: time(60))
        #expect(values(newest) == [2])
        core.ended(.failed, at: time(61), jitter: 0)
        #expect(core.waiting == 1)
        core.take([try point("p", 120, 3), try point("q", 120, 4)], at: time(120))
        #expect(core.waiting == 3)
        let again = core.next(at: time(200))
        #expect(values(again) == [2, 3, 4])
        // What was not taken had its attributes with it: they are sent again.
        #expect(again?.entries.map(\.withAttributes) == [true, true])
        core.ended(.sent, at: time(200), jitter: 0)
        #expect(core.waiting == 0)
        #expect(core.dropped == 0)
    }

    @Test("what gathered in a silence is sent, all of it, though new points come once the first batch went")
    func backlog() throws {
        var core = core(perBatch: 1)
        var sent: [Double] = []
        core.take([try point("p", 0, 0), try point("q", 0, 100)], at: time(0))
        _ = core.next(at: time(0))
        core.ended(.failed, at: time(0), jitter: 0)
        for minute in 1...5 {
            let at = Double(minute) * 60
            core.take([try point("p", at, Double(minute)), try point("q", at, Double(100 + minute))], at: time(at))
        }
        #expect(core.waiting == 12)
        var now = 301.0
        func step(_ outcome: TelemetryCore.Outcome = .sent) {
            while true {
                now += 0.5
                if let batch = core.next(at: time(now)) {
                    sent += values(batch)
                    core.ended(outcome, at: time(now), jitter: 0)
                    return
                }
            }
        }
        step()
        #expect(sent.count == 4, "a batch for one resource holds at most four points")
        core.take([try point("p", 360, 6), try point("q", 360, 106)], at: time(360))
        now = 360
        while core.waiting > 0 { step() }
        #expect(sent.filter { $0 < 100 } == [0, 1, 2, 3, 4, 5, 6])
        #expect(sent.filter { $0 >= 100 } == [100, 101, 102, 103, 104, 105, 106])
        #expect(core.superseded.isEmpty && core.dropped == 0)
        // From then on the newest is enough again, and what it takes the place of is counted.
        core.take([try point("p", 420, 7), try point("q", 420, 107)], at: time(420))
        core.take([try point("p", 480, 8)], at: time(480))
        #expect(core.waiting == 2 && core.superseded == [.pod: 1])
    }

    @Test("a resource with a long silence behind it fills no more of a batch than others would, in order")
    func longSilence() throws {
        var core = core(perBatch: 5, maximum: 2_000)
        core.take([try point("p", 0, 0)], at: time(0))
        _ = core.next(at: time(0))
        core.ended(.failed, at: time(0), jitter: 0)
        for minute in 1..<1_440 {
            core.take([try point("p", Double(minute) * 60, Double(minute))], at: time(Double(minute) * 60))
        }
        #expect(core.waiting == 1_440)
        var sent: [Double] = []
        var now = 1_440.0 * 60
        while let batch = core.next(at: time(now)) {
            #expect(batch.pointCount <= 20)
            sent += values(batch)
            core.ended(.sent, at: time(now), jitter: 0)
            now += 1
        }
        #expect(sent == (0..<1_440).map(Double.init))
        #expect(core.waiting == 0)
    }

    @Test("our clock is set back by a day: sending and taking go on")
    func clockSetBack() throws {
        var core = core()
        core.take([try point("p", 100_000, 1)], at: time(100_000))
        _ = core.next(at: time(100_000))
        core.ended(.sent, at: time(100_000), jitter: 0)
        core.take([try point("p", 13_600, 2)], at: time(13_600))
        #expect(core.waiting == 1)
        let batch = core.next(at: time(13_600))
        #expect(values(batch) == [2])
        core.ended(.sent, at: time(13_600), jitter: 0)
        // From here on the usual order holds.
        core.take([try point("p", 13_630, 3), try point("p", 13_660, 4)], at: time(13_660))
        let next = core.next(at: time(13_661))
        #expect(values(next) == [4])
    }

    @Test("failures are repeated after a growing pause; a refusal gives the batch up and goes on")
    func failures() throws {
        var core = core(perBatch: 1)
        core.take([try point("p", 0, 1), try point("q", 0, 2)], at: time(0))
        var now = 0.0
        var pauses: [Double] = []
        for _ in 0..<10 {
            let from = now
            while core.next(at: time(now)) == nil { now += 0.5 }
            pauses.append(now - from)
            core.ended(.failed, at: time(now), jitter: 1)
        }
        #expect(pauses.last ?? 0 > 10)
        #expect(pauses.max() ?? 0 <= 61)
        now += 120
        let first = core.next(at: time(now))
        #expect(values(first) == [1])
        core.ended(.refused, at: time(now), jitter: 0)
        #expect(core.dropped == 1)
        let second = core.next(at: time(now + 1))
        #expect(values(second) == [2])
    }

    @Test("a long silence: no more than the bound is kept, containers go first, then the oldest of the pods")
    func bound() throws {
        var core = core(perBatch: 10, maximum: 20)
        core.take([try point("n", 0, 0, kind: .node)], at: time(0))
        _ = core.next(at: time(0))
        core.ended(.failed, at: time(0), jitter: 0)
        for minute in 1...20 {
            let at = Double(minute) * 60
            core.take(
                [
                    try point("n", at, Double(minute), kind: .node), try point("p", at, Double(minute)),
                    try point("c", at, Double(minute), kind: .container),
                ], at: time(at))
            #expect(core.waiting <= 20)
        }
        #expect(core.dropped == 61 - 20)
        let next = core.next(at: time(2_000))
        let batch = try #require(next)
        let kinds = batch.entries.flatMap { $0.points.map(\.kind) }
        #expect(!kinds.contains(.container))
        // The node lost nothing until all containers and pods were gone.
        #expect(kinds.filter { $0 == .node }.count == 20)
        let times = batch.entries[0].points.map(\.at)
        #expect(times == times.sorted())
    }

    @Test("resources that are gone are forgotten")
    func forgetting() throws {
        var core = core(maximum: 10_000)
        for minute in 0..<200 {
            core.take([try point("p\(minute)", Double(minute) * 60)], at: time(Double(minute) * 60))
            while core.next(at: time(Double(minute) * 60 + 30)) != nil {
                core.ended(.sent, at: time(Double(minute) * 60 + 30), jitter: 0)
            }
        }
        #expect(core.remembered < 30)
    }

    @Test("a time before 1970 makes no point: Ceilometer would refuse the whole notification")
    func beforeAllTime() {
        let year1 = Timestamp(seconds: -62_135_596_800)
        #expect(TelemetryPoint(.node, id: .dns, at: year1, attributes: [:], [(.memory, 1)]) == nil)
        #expect(TelemetryPoint(.node, id: .dns, at: time(0), attributes: [:], [(.memory, 1)]) != nil)
    }

    @Test("NaN and infinities are no values, and a point without values is none")
    func finite() {
        let point = TelemetryPoint(
            .node, id: .dns, at: time(0), attributes: [:], [(.cpuUsage, .nan), (.memory, 1), (.disk, nil)])
        #expect(point?.values.map(\.gauge) == [.memory])
        #expect(
            TelemetryPoint(.node, id: .dns, at: time(0), attributes: [:], [(.cpuUsage, .infinity), (.disk, nil)]) == nil
        )
    }
}
