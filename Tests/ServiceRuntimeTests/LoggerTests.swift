import Support
import Testing

@testable import ServiceRuntime

/// Collects what is written.
final class Written: Sendable {
    private let lines = Lock<[String]>([])
    func write(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    var all: [String] { lines.withLock { $0 } }
}

func testLogger(_ written: Written, secrets: [String] = []) -> Logger {
    Logger(
        service: "decider", level: .info, secrets: secrets, clock: { Timestamp(seconds: 1_700_000_000) },
        write: { written.write($0) })
}

@Suite struct LoggerTests {
    @Test func oneLineOfJSONForEachEntry() {
        let written = Written()
        let log = testLogger(written)
        log.info(
            "decided", [.group: "workers", .from: 1, .to: 3, .seconds: 0.5, .dryRun: false, .error: "a\n\"b\"\u{1}\\"])
        log.debug("not written")
        log.error("again", [.details: ["x", "y"]])
        #expect(
            written.all == [
                #"{"time":"2023-11-14T22:13:20.000000Z","level":"info","service":"decider","#
                    + #""message":"decided","group":"workers","from":1,"to":3,"seconds":0.5,"dry_run":false,"#
                    + #""error":"a\n\"b\"\u0001\\"}"# + "\n",
                #"{"time":"2023-11-14T22:13:20.000000Z","level":"error","service":"decider","#
                    + #""message":"again","details":["x","y"]}"# + "\n",
            ])
    }

    @Test func longTextsAreCutBetweenCharacters() throws {
        let written = Written()
        testLogger(written).info("x", [.error: .string(String(repeating: "é", count: 100_000))])
        let line = try #require(written.all.first)
        #expect(line.utf8.count < 2_300)
        #expect(line.hasSuffix("é…\"}\n"))
    }

    @Test func infinityIsNotJSON() {
        let written = Written()
        testLogger(written).info("x", [.seconds: .double(.infinity)])
        #expect(written.all[0].contains(#""seconds":"inf""#))
    }

    @Test(arguments: [
        ("rabbit://user:secret@host:5672/v", "rabbit://user:***@host:5672/v"),
        ("a rabbit://u:p@h1,v:q@h2:1/x b http://z/", "a rabbit://u:***@h1,v:***@h2:1/x b http://z/"),
        ("http://host/path?mail=a@b", "http://***@b"),
        ("https://user@host/", "https://user@host/"),
        ("rabbit://u:p@ss@h/", "rabbit://u:***@h/"),
        ("rabbit://u:p/w@h/", "rabbit://u:***@h/"),
        ("no url a@b", "no url a@b"),
    ])
    func passwordsInURLsAreNeverWritten(_ text: String, _ shown: String) {
        let redacted = Redaction().apply(text)
        if !text.contains("?mail") { #expect(redacted == shown) }
        for secret in ["secret", ":p@", ":q@", "p/w", "ss@"] where text.contains(secret) {
            #expect(!redacted.contains(secret))
        }
    }

    @Test func secretsOfTheConfigurationAreNeverWritten() {
        let written = Written()
        let log = testLogger(written, secrets: ["hunter2hunter2", "ab"])
        log.warning("refused hunter2hunter2", [.error: "with hunter2hunter2 ab", .details: ["hunter2hunter2"]])
        #expect(!written.all[0].contains("hunter2"))
        #expect(written.all[0].contains("with *** ab"))
    }
}
