import Glibc
import Support
import Testing

@Suite("Schedules")
struct ScheduleTests {
    private func zone(_ name: String) throws -> TimeZoneRules {
        let file = try #require(fopen("/usr/share/zoneinfo/\(name)", "re"), "the time zone database is needed: \(name)")
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 100_000)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        return try #require(TimeZoneRules(name: name, tzif: bytes))
    }

    private func time(_ text: String) throws -> Timestamp { try #require(Timestamp(text)) }

    private func text(_ time: Timestamp) -> String { time.rfc3339.prefix(19) + "Z" }

    /// The instants, a minute apart, at which the answer changes.
    private func changes(_ schedule: Schedule, from first: String, to last: String) throws -> [String] {
        var now = try time(first)
        let end = try time(last)
        var holds = schedule.holds(at: now)
        var found: [String] = holds ? ["holds"] : []
        while now < end {
            now = now + .minutes(1)
            if schedule.holds(at: now) != holds {
                holds.toggle()
                found.append("\(holds ? "+" : "-")\(text(now))")
            }
        }
        return found
    }

    @Test("It holds from each start for its duration, past midnight too")
    func plain() throws {
        let nights = try #require(Schedule("30 22 * * mon-fri", duration: .minutes(180)))
        #expect(
            try changes(nights, from: "2026-03-05T12:00:00Z", to: "2026-03-10T12:00:00Z") == [
                "+2026-03-05T22:30:00Z", "-2026-03-06T01:30:00Z", "+2026-03-06T22:30:00Z", "-2026-03-07T01:30:00Z",
                "+2026-03-09T22:30:00Z", "-2026-03-10T01:30:00Z",
            ])
        #expect(nights.end(at: try time("2026-03-05T23:00:00Z")).map(text) == "2026-03-06T01:30:00Z")
        #expect(nights.end(at: try time("2026-03-05T12:00:00Z")) == nil)
    }

    @Test("Day of month or day of week: either suffices when both are given; lists and steps")
    func fields() throws {
        let schedule = try #require(Schedule("0,30 */12 13 2,3 5", duration: .minutes(1)))
        // Fridays of February and March, and the 13th of each.
        #expect(schedule.holds(at: try time("2026-02-06T12:30:00Z")))
        #expect(schedule.holds(at: try time("2026-03-13T00:00:00Z")))
        #expect(!schedule.holds(at: try time("2026-03-12T00:00:00Z")))
        #expect(!schedule.holds(at: try time("2026-04-13T00:00:00Z")))
        #expect(!schedule.holds(at: try time("2026-03-13T06:00:00Z")))
    }

    @Test("Summer time: the hour of the wall clock counts, on both sides of the change")
    func summerTime() throws {
        let office = try #require(Schedule("0 8 * * *", duration: .minutes(60), zone: try zone("Europe/Berlin")))
        #expect(
            try changes(office, from: "2026-03-28T00:00:00Z", to: "2026-03-30T00:00:00Z") == [
                "+2026-03-28T07:00:00Z", "-2026-03-28T08:00:00Z", "+2026-03-29T06:00:00Z", "-2026-03-29T07:00:00Z",
            ])
    }

    @Test("A start that the clocks skip is at the change; one that they show twice is the first")
    func gaps() throws {
        let berlin = try zone("Europe/Berlin")
        // 02:00 CET becomes 03:00 CEST on 29 March 2026 at 01:00 UTC.
        let skipped = try #require(Schedule("30 2 * * *", duration: .minutes(30), zone: berlin))
        #expect(
            try changes(skipped, from: "2026-03-29T00:00:00Z", to: "2026-03-29T12:00:00Z") == [
                "+2026-03-29T01:00:00Z", "-2026-03-29T01:30:00Z",
            ])
        // 03:00 CEST becomes 02:00 CET on 25 October 2026 at 01:00 UTC.
        #expect(
            try changes(skipped, from: "2026-10-24T22:00:00Z", to: "2026-10-25T12:00:00Z") == [
                "+2026-10-25T00:30:00Z", "-2026-10-25T01:00:00Z",
            ])
    }

    @Test("Later years follow the rule at the end of the file, also in the south and with offsets of half an hour")
    func laterYears() throws {
        for (name, start) in [
            ("Europe/Berlin", "2090-07-01T06:00:00Z"), ("Europe/Berlin", "2090-12-01T07:00:00Z"),
            ("America/New_York", "2090-07-01T12:00:00Z"), ("Australia/Lord_Howe", "2090-01-15T21:00:00Z"),
            ("Australia/Lord_Howe", "2090-07-15T21:30:00Z"), ("Europe/Dublin", "2090-12-01T08:00:00Z"),
            ("Europe/Dublin", "2090-07-01T07:00:00Z"), ("Asia/Kolkata", "2026-07-01T02:30:00Z"),
            ("UTC", "2026-07-01T08:00:00Z"),
        ] {
            let schedule = try #require(Schedule("0 8 * * *", duration: .minutes(1), zone: try zone(name)))
            #expect(schedule.holds(at: try time(start)), "\(name) \(start)")
            #expect(!schedule.holds(at: try time(start) - .minutes(60)), "\(name) \(start)")
            #expect(!schedule.holds(at: try time(start) + .minutes(60)), "\(name) \(start)")
        }
    }

    @Test(
        "What is no schedule is none",
        arguments: [
            "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8",
            "a * * * *",
            "*/0 * * * *", "5-1 * * * *", "1,,2 * * * *", "-1 * * * *", "1-2-3 * * * *", "*/1/2 * * * *", "+1 * * * *",
        ])
    func refused(text: String) {
        #expect(Schedule(text, duration: .minutes(1)) == nil)
    }

    @Test("A duration of nothing, or longer than a month, is refused")
    func durations() {
        #expect(Schedule("* * * * *", duration: .zero) == nil)
        #expect(Schedule("* * * * *", duration: Schedule.longest + .minutes(1)) == nil)
        #expect(Schedule("0 0 1 * *", duration: Schedule.longest) != nil)
    }

    @Test("Damaged time zone files are refused, never read past their end")
    func damaged() throws {
        let file = try #require(fopen("/usr/share/zoneinfo/Europe/Berlin", "re"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 100_000)
        bytes.removeLast(bytes.count - fread(&bytes, 1, bytes.count, file))
        #expect(TimeZoneRules(name: "x", tzif: []) == nil)
        #expect(TimeZoneRules(name: "x", tzif: Array("TZif2".utf8)) == nil)
        for length in stride(from: 0, to: 1_000, by: 7) {
            #expect(TimeZoneRules(name: "x", tzif: Array(bytes.prefix(length))) == nil, "\(length) bytes")
        }
        for place in stride(from: 0, to: bytes.count, by: 5) {
            var changed = bytes
            changed[place] = 0xFF
            // It may be a zone by chance; it must not end the program.
            if let zone = TimeZoneRules(name: "x", tzif: changed) {
                _ = Schedule("0 0 * * *", duration: .minutes(1), zone: zone)?.holds(
                    at: Timestamp(seconds: 1_800_000_000))
            }
        }
    }
}
