import Support
import Testing

@testable import Actuator

@Suite("The canary, read back")
struct CanaryWatchTests {
    private static let start = Timestamp(seconds: 1_795_470_000)

    @Test("one that stays away is told once, with its age; one that comes again is told once")
    func away() {
        var watch = CanaryWatch(interval: .minutes(1), began: Self.start)
        var turns: [CanaryWatch.Turn?] = []
        // Sent each minute, in Gnocchi half a minute later.
        for minute in 1...10 {
            let now = Self.start + .minutes(Double(minute))
            turns.append(watch.read(now - .seconds(30), at: now))
        }
        #expect(turns.allSatisfy { $0 == nil } && !watch.isMissing)
        // The agent stops: three are missed, and Gnocchi gets two minutes.
        let last = Self.start + .seconds(570)
        for minute in 11...14 {
            turns.append(watch.read(last, at: Self.start + .minutes(Double(minute))))
        }
        #expect(turns.allSatisfy { $0 == nil })
        #expect(watch.read(last, at: Self.start + .minutes(15)) == .missing(age: .seconds(330)))
        #expect(watch.isMissing)
        #expect(watch.read(last, at: Self.start + .minutes(16)) == nil)
        #expect(watch.read(Self.start + .minutes(16), at: Self.start + .minutes(17)) == .arrives)
        #expect(!watch.isMissing && watch.age(at: Self.start + .minutes(17)) == .minutes(1))
    }

    @Test("whoever begins to look gives the Collector time to send the first")
    func first() {
        var watch = CanaryWatch(interval: .minutes(1), began: Self.start)
        // The last one is of yesterday: nothing ran meanwhile.
        let old = Self.start - .minutes(1_440)
        #expect(watch.read(old, at: Self.start) == nil)
        #expect(watch.read(old, at: Self.start + .minutes(5)) == nil)
        #expect(watch.read(old, at: Self.start + .seconds(301)) == .missing(age: .seconds(86_701)))
        var none = CanaryWatch(interval: .minutes(1), began: Self.start)
        #expect(none.read(nil, at: Self.start + .seconds(301)) == .missing(age: nil))
        #expect(none.age(at: Self.start) == nil)
    }

    @Test("one from the future is wrong from the first look on, and not fresh; a minute is nothing")
    func future() {
        var watch = CanaryWatch(interval: .minutes(1), began: Self.start)
        #expect(watch.read(Self.start + .minutes(1), at: Self.start) == nil)
        #expect(watch.age(at: Self.start) == .zero && watch.ahead(at: Self.start) == nil)
        let sent = Self.start + .minutes(120)
        #expect(watch.read(sent, at: Self.start + .minutes(1)) == .ahead(by: .minutes(119)))
        #expect(watch.isMissing && watch.verdict(at: Self.start + .minutes(1)) == true)
        #expect(watch.age(at: Self.start + .minutes(1)) == .minutes(-119))
        #expect(watch.read(sent, at: Self.start + .minutes(60)) == nil)
        // Its time has come, and others arrive.
        #expect(watch.read(Self.start + .minutes(121), at: Self.start + .minutes(121)) == .arrives)
    }

    @Test("a Gnocchi that does not answer tells nothing: neither that it is missing nor that it arrives")
    func failing() {
        var watch = CanaryWatch(interval: .minutes(1), began: Self.start)
        #expect(watch.isDue(at: Self.start))
        watch.failed(at: Self.start)
        #expect(!watch.isDue(at: Self.start + .seconds(59)))
        #expect(watch.isDue(at: Self.start + .minutes(1)))
        watch.failed(at: Self.start + .minutes(60))
        #expect(!watch.isMissing)
        // Our clock is set back.
        #expect(watch.isDue(at: Self.start + .minutes(30)))
    }

    @Test("while Gnocchi does not answer nothing is known, and it is not said to be well")
    func unknown() {
        let start = Timestamp(seconds: 1_795_470_000)
        var watch = CanaryWatch(interval: .minutes(1), began: start)
        #expect(watch.verdict(at: start) == nil)
        _ = watch.read(start, at: start + .seconds(10))
        #expect(watch.verdict(at: start + .seconds(10)) == false)
        watch.failed(at: start + .minutes(3))
        #expect(watch.verdict(at: start + .minutes(3)) == false)
        watch.failed(at: start + .minutes(6))
        #expect(watch.verdict(at: start + .minutes(6)) == nil)
        _ = watch.read(start, at: start + .minutes(7))
        #expect(watch.verdict(at: start + .minutes(7)) == true)
    }
}
