import Messages
import Support
import Testing

@testable import Actuator

extension AlarmWatch {
    /// A word that is heard when it is said.
    fileprivate mutating func heard(_ alarm: CloudAlarm) { heard(alarm, at: alarm.at) }
}

@Suite("Alarms that nobody heard")
struct AlarmWatchTests {
    private static let id = "13c177ce-5a3f-4b69-9d52-7e2c35cd6a10"
    private static let start = Timestamp(seconds: 1_795_470_000)

    private static func watch(_ wanted: String...) -> AlarmWatch {
        AlarmWatch(cluster: "test", wanted: Set(wanted), interval: .minutes(2))
    }

    private static func seen(
        _ state: String, since: Timestamp?, id: String = Self.id, name: String = "group cpu"
    ) -> AlarmWatch.Seen {
        AlarmWatch.Seen(
            id: id, name: name, state: state, why: "1 sample outside", definition: "mean of cpu gt 0.8", since: since)
    }

    /// What the Collector says of a notification of Aodh's: without a name.
    private static func word(
        _ state: String, at: Timestamp, id: String = Self.id, name: String? = nil
    ) -> CloudAlarm {
        CloudAlarm(cluster: "test", alarmID: id, name: name, state: state, why: "", at: at)
    }

    @Test("asked at once, then every interval; after the broker was away soon; never while nobody could hear it")
    func times() {
        var watch = Self.watch(Self.id)
        var now = Self.start
        let away = watch.isDue(busWorks: false, at: now)
        #expect(!away)
        let first = watch.isDue(busWorks: true, at: now)
        #expect(first)
        watch.asked(at: now)
        now = now + .seconds(119)
        let early = watch.isDue(busWorks: true, at: now)
        #expect(!early)
        let due = watch.isDue(busWorks: true, at: now + .seconds(1))
        #expect(due)
        watch.asked(at: now)
        // The broker goes and comes back.
        let gone = watch.isDue(busWorks: false, at: now + .seconds(10))
        let back = watch.isDue(busWorks: true, at: now + .seconds(11))
        #expect(!gone && back)
        watch.asked(at: now + .seconds(11))
        // It flutters: no storm.
        _ = watch.isDue(busWorks: false, at: now + .seconds(12))
        let soon = watch.isDue(busWorks: true, at: now + .seconds(13))
        let later = watch.isDue(busWorks: true, at: now + .seconds(16))
        #expect(!soon && later)
        // Our clock is set back by a day.
        let past = watch.isDue(busWorks: true, at: now - .minutes(1_440))
        #expect(past)
    }

    @Test(
        "an alarm that a rule names by its id and that is not there is said once, also by a process that never saw it")
    func goneBefore() {
        var watch = Self.watch(Self.id, "by name")
        let answer = watch.answered([], askedAt: Self.start)
        #expect(answer.alarms.map(\.alarmID) == [Self.id] && answer.alarms.map(\.state) == ["insufficient data"])
        // Again at each look, as of when it was said first: the word may have been lost.
        #expect(watch.answered([], askedAt: Self.start + .minutes(2)).alarms == answer.alarms)
        // Made anew, with the same id: it counts again.
        let made = watch.answered(
            [Self.seen("alarm", since: Self.start + .minutes(3))], askedAt: Self.start + .minutes(4))
        #expect(made.alarms.map(\.state) == ["alarm"])
    }

    @Test("an alarm that this login cannot see is what others say of it, and is told to be unseen once")
    func notOurs() {
        var watch = Self.watch(Self.id)
        watch.heard(Self.word("alarm", at: Self.start))
        let first = watch.answered([], askedAt: Self.start + .minutes(1), seesAll: false)
        #expect(first.alarms.isEmpty && first.missed.isEmpty && first.unseen == [Self.id])
        let second = watch.answered([], askedAt: Self.start + .minutes(3), seesAll: false)
        #expect(second == AlarmWatch.Answer())
        // Also where only our project's are heard: a webhook may be anybody's.
        let third = watch.answered([], askedAt: Self.start + .minutes(5))
        #expect(third == AlarmWatch.Answer())
        // A process that has heard nothing yet says nothing either.
        var other = Self.watch(Self.id)
        #expect(other.answered([], askedAt: Self.start, seesAll: false).alarms.isEmpty)
    }

    @Test("what was not read is not gone")
    func notWhole() {
        var watch = Self.watch("group cpu")
        _ = watch.answered([Self.seen("alarm", since: Self.start)], askedAt: Self.start)
        let cut = watch.answered([], askedAt: Self.start + .minutes(2), isWhole: false)
        #expect(cut == AlarmWatch.Answer())
        let whole = watch.answered([], askedAt: Self.start + .minutes(4))
        #expect(whole.alarms.map(\.state) == ["insufficient data"])
    }

    @Test("a look that failed is made again, later and later; a process that begins again looks soon")
    func failing() {
        var watch = Self.watch(Self.id)
        var now = Self.start
        var looks: [Double] = []
        for second in 0..<400 where watch.isDue(busWorks: true, at: Self.start + .seconds(Double(second))) {
            now = Self.start + .seconds(Double(second))
            looks.append(Double(second))
            watch.asked(at: now)
            watch.failed()
        }
        #expect(looks == [0, 10, 30, 70, 150, 270, 390])
        _ = watch.answered([], askedAt: now)
        watch.asked(at: now)
        watch.begin()
        let soon = watch.isDue(busWorks: true, at: now + .seconds(5))
        #expect(soon)
    }

    @Test("no rule is for an alarm: Aodh is never asked")
    func nothingWanted() {
        var watch = Self.watch()
        let due = watch.isDue(busWorks: true, at: Self.start)
        #expect(!due)
    }

    @Test("a transition while nobody listened is said with its own time, once as missed, then as it stands")
    func missed() {
        var watch = Self.watch(Self.id)
        let (heardAt, changedAt) = (Self.start, Self.start + .minutes(20))
        watch.heard(Self.word("ok", at: heardAt))
        let answer = watch.answered(
            [Self.seen("alarm", since: changedAt)], askedAt: Self.start + .minutes(30))
        #expect(
            answer.alarms == [
                CloudAlarm(
                    cluster: "test", alarmID: Self.id, name: "group cpu", state: "alarm", why: "1 sample outside",
                    at: changedAt, definition: "mean of cpu gt 0.8")
            ])
        #expect(answer.missed.map(\.before) == ["ok"])
        // Nothing changed since: the same word with the same time.
        let again = watch.answered([Self.seen("alarm", since: changedAt)], askedAt: Self.start + .minutes(32))
        #expect(again.alarms == answer.alarms && again.missed.isEmpty)
    }

    @Test("a webhook's word that comes late is set right by what Aodh answers to a question after it")
    func lateWord() {
        var watch = Self.watch(Self.id)
        watch.heard(Self.word("ok", at: Self.start + .minutes(2)))
        // Of the transition before; as of when it came.
        watch.heard(Self.word("alarm", at: Self.start + .minutes(5), name: "group cpu"))
        let ok = Self.seen("ok", since: Self.start + .minutes(2))
        // Asked before it came: the answer may be older than it.
        #expect(watch.answered([ok], askedAt: Self.start + .minutes(4)).alarms.isEmpty)
        let answer = watch.answered([ok], askedAt: Self.start + .minutes(6))
        #expect(answer.alarms.map(\.state) == ["ok"] && answer.alarms.map(\.at) == [Self.start + .minutes(6)])
        #expect(answer.missed.map(\.before) == ["alarm"])
        let again = watch.answered([ok], askedAt: Self.start + .minutes(8))
        #expect(again.alarms == answer.alarms && again.missed.isEmpty)
    }

    @Test("a word of a time that has not come does not keep later ones out")
    func future() {
        var watch = Self.watch(Self.id)
        watch.heard(Self.word("alarm", at: Self.start + .minutes(1_000_000)), at: Self.start)
        watch.heard(Self.word("ok", at: Self.start + .seconds(1)))
        let answer = watch.answered(
            [Self.seen("ok", since: Self.start + .seconds(1))], askedAt: Self.start + .minutes(1))
        #expect(answer.alarms.map(\.state) == ["ok"] && answer.missed.isEmpty)
    }

    @Test("without a history the state stands as of the first look, and as of a word that said the same")
    func noHistory() {
        var watch = Self.watch(Self.id)
        let first = watch.answered([Self.seen("ok", since: nil)], askedAt: Self.start)
        let second = watch.answered([Self.seen("ok", since: nil)], askedAt: Self.start + .minutes(2))
        let third = watch.answered([Self.seen("alarm", since: nil)], askedAt: Self.start + .minutes(4))
        #expect(first.alarms.map(\.at) == [Self.start] && second.alarms.map(\.at) == [Self.start])
        #expect(third.alarms.map(\.at) == [Self.start + .minutes(4)] && third.missed.count == 1)
    }

    @Test("what the bus said after the question counts more than the answer")
    func busIsNewer() {
        var watch = Self.watch(Self.id)
        watch.heard(Self.word("alarm", at: Self.start + .seconds(2)))
        let answer = watch.answered([Self.seen("ok", since: Self.start)], askedAt: Self.start + .seconds(1))
        #expect(answer == AlarmWatch.Answer())
    }

    @Test("a webhook's word is as of when it came: the same state is not said as older")
    func webhook() {
        var watch = Self.watch(Self.id)
        watch.heard(Self.word("alarm", at: Self.start + .seconds(1), name: "group cpu"))
        let answer = watch.answered([Self.seen("alarm", since: Self.start)], askedAt: Self.start + .minutes(1))
        #expect(answer.alarms.map(\.at) == [Self.start + .seconds(1)] && answer.missed.isEmpty)
    }

    @Test("an alarm without a name is looked up soon, each once; one that a rule names by its id is not")
    func names() {
        var watch = Self.watch("group cpu")
        watch.asked(at: Self.start)
        watch.heard(Self.word("alarm", at: Self.start + .seconds(10)))
        let due = watch.isDue(busWorks: true, at: Self.start + .seconds(10))
        #expect(due)
        watch.asked(at: Self.start + .seconds(10))
        watch.heard(Self.word("ok", at: Self.start + .seconds(20)))
        let again = watch.isDue(busWorks: true, at: Self.start + .seconds(20))
        #expect(!again)
        var byID = Self.watch(Self.id)
        byID.asked(at: Self.start)
        byID.heard(Self.word("alarm", at: Self.start + .seconds(10)))
        let needless = byID.isDue(busWorks: true, at: Self.start + .seconds(10))
        #expect(!needless)
    }

    @Test("an alarm that was deleted in Aodh is unknown from then on, said once; one of others is theirs to end")
    func gone() {
        var watch = Self.watch(Self.id, "CheckoutSlow")
        watch.heard(Self.word("alarm", at: Self.start, id: "f00d", name: "CheckoutSlow"))
        _ = watch.answered([Self.seen("alarm", since: Self.start)], askedAt: Self.start)
        let answer = watch.answered([], askedAt: Self.start + .minutes(2))
        #expect(answer.alarms.map(\.alarmID) == [Self.id])
        #expect(answer.alarms.map(\.state) == ["insufficient data"])
        #expect(answer.alarms.map(\.at) == [Self.start + .minutes(2)])
        let again = watch.answered([], askedAt: Self.start + .minutes(4))
        // The same word, for one who missed it.
        #expect(again.alarms == answer.alarms && again.missed.isEmpty)
        #expect(watch.answered([], askedAt: Self.start + .minutes(70)).alarms.isEmpty, "not for ever")
    }
}
