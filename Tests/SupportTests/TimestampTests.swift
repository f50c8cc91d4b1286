import Support
import Testing

@Suite struct TimestampTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", Int64(0)),
        ("2026-11-23T21:02:49.141060Z", 1_795_467_769_141_060),
        ("2026-11-23 21:02:49.141060", 1_795_467_769_141_060),
        ("2026-11-23T22:02:49.14106+01:00", 1_795_467_769_141_060),
        ("2000-02-29T23:59:59Z", 951_868_799_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000),
    ])
    func parses(text: String, microseconds: Int64) {
        #expect(Timestamp(text)?.microseconds == microseconds)
    }

    @Test(arguments: [
        "", "2026", "2026-13-01T00:00:00Z", "2026-11-23T25:00:00Z", "2026-11-23T21:02:49.Z", "2026-11-23T21:02:49Zx",
        "2026-11-23T21:02:49+0100", "not a time", "2026-11-23T21:02:49.141060ZZ",
    ])
    func refuses(text: String) {
        #expect(Timestamp(text) == nil)
    }

    @Test func writesWhatItReads() {
        // Every 37th day and an odd microsecond over eight centuries, leap years and century rules included.
        for day in stride(from: Int64(-135_000), to: 160_000, by: 37) {
            let time = Timestamp(microseconds: day * 86_400_000_000 + 4_242_424_242)
            #expect(Timestamp(time.rfc3339) == time)
            #expect(Timestamp(time.oslo) == time)
        }
    }

    @Test func saturatesInsteadOfTrapping() {
        #expect(Timestamp(microseconds: .max) + .seconds(1) == Timestamp(microseconds: .max))
        #expect(Timestamp(microseconds: .min) - .seconds(1) == Timestamp(microseconds: .min))
        #expect(Interval.seconds(.infinity).microseconds == .max)
        #expect(Interval.seconds(.nan) == .zero)
    }

    @Test(arguments: [
        (0.0, "0s"), (0.25, "250ms"), (4.2, "4.2s"), (59, "59s"), (190, "3m10s"), (120, "2m"), (7_500, "2h5m"),
        (-30, "-30s"),
    ])
    func intervalsReadAsPeopleWriteThem(seconds: Double, text: String) {
        #expect(Interval.seconds(seconds).description == text)
    }
}

@Suite struct BackoffTests {
    @Test func doublesUpToTheCapAndStartsAnew() {
        var backoff = Backoff(first: .seconds(1), cap: .seconds(5))
        #expect(backoff.failed(jitter: 1) == .seconds(1))
        #expect(backoff.failed(jitter: 1) == .seconds(2))
        #expect(backoff.failed(jitter: 1) == .seconds(4))
        #expect(backoff.failed(jitter: 1) == .seconds(5))
        #expect(backoff.failed(jitter: 0) == .seconds(2.5))
        backoff.succeeded()
        #expect(backoff.failed(jitter: 1) == .seconds(1))
        for _ in 0..<200 { _ = backoff.failed(jitter: 0.5) }
        #expect(backoff.failed(jitter: 1) == .seconds(5))
    }
}
