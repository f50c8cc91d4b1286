import Testing

@testable import UpdraftCommand

@Suite("updraft signal-url")
struct SignalURLTests {
    private static let file = #filePath.replacing("SignalURLTests.swift", with: "Recordings/usual.yaml")

    /// The exit code for a configuration in which the Collector takes signals.
    private func code(_ words: [String], _ fields: [String]) -> Int32 {
        let own = [
            "collector.signals.listen=127.0.0.1:8080",
            "collector.signals.token_key=0123456789abcdef0123456789abcdef",
        ]
        let flags = (own + fields).flatMap { ["--set", $0] }
        return SignalURLCommand.run(words + ["--config", Self.file] + flags, environment: [:])
    }

    @Test("A rule on what only the Collector's environment may say is no reason to refuse; a mistake is")
    func deafRule() {
        let deaf = "{name: hot, group: workers, metric: cpu, source: hypervisor, threshold: 3}"
        #expect(code(["workers", "up"], []) == 0)
        #expect(code(["workers", "up"], ["decider.rules=[\(deaf)]"]) == 0)
        #expect(code(["--alarms"], ["decider.rules=[\(deaf)]"]) == 0)
        #expect(code(["workers", "up"], ["decider.rules=[{name: hot, group: others, alarm: a}]"]) == 2)
    }
}
