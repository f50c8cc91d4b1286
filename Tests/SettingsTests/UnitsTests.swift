import Support
import Testing

@testable import Settings

@Suite struct UnitsTests {
    @Test func intervals() {
        #expect(Units.interval("30s") == .seconds(30))
        #expect(Units.interval("1h30m") == .seconds(5_400))
        #expect(Units.interval("250ms") == .milliseconds(250))
        #expect(Units.interval("1.5s") == .milliseconds(1_500))
        #expect(Units.interval("2d") == .seconds(172_800))
        #expect(Units.interval("0") == .zero)
        for text in ["", "s", "30", "30 s", "-1s", "1y", "1s1", "१s", "99999999999999d", "1e9s", "nans"] {
            #expect(Units.interval(text) == nil, "\(text)")
        }
    }

    @Test func intervalsAsTheyAreWritten() {
        for text in ["0s", "30s", "10m", "1h", "250ms", "90s", "7us"] {
            let interval = Units.interval(text) ?? .seconds(-1)
            #expect(Units.interval(Units.text(interval)) == interval)
        }
        #expect(Units.text(.seconds(600)) == "10m")
    }

    @Test func bytes() {
        #expect(Units.bytes("4MiB") == 4 << 20)
        #expect(Units.bytes("4Mi") == 4 << 20)
        #expect(Units.bytes("4MB") == 4_000_000)
        #expect(Units.bytes("17") == 17)
        for text in ["", "MiB", "-1", "1.5MiB", "99999999999TiB", "1 KiB"] {
            #expect(Units.bytes(text) == nil, "\(text)")
        }
        #expect(Units.text(bytes: 4 << 20) == "4MiB")
        #expect(Units.text(bytes: 1_000) == "1000")
    }

    @Test func suggestions() {
        let names = ["heartbeat", "exchange", "tls", "keys"]
        #expect(Suggestion.nearest("hartbeat", among: names) == "heartbeat")
        #expect(Suggestion.nearest("heartbaet", among: names) == "heartbeat")
        #expect(Suggestion.nearest("key", among: names) == "keys")
        #expect(Suggestion.nearest("TLS", among: names) == "tls")
        #expect(Suggestion.nearest("password", among: names) == nil)
        #expect(Suggestion.nearest("", among: names) == nil)
    }

    @Test func addresses() {
        #expect(ListenAddress("127.0.0.1:80") == ListenAddress(host: "127.0.0.1", port: 80))
        #expect(ListenAddress("[::1]:0")?.description == "[::1]:0")
        for text in ["", ":80", "::1:80", "127.0.0.1", "127.0.0.1:70000", "[]:1", "a:b"] {
            #expect(ListenAddress(text) == nil, "\(text)")
        }
    }
}
