import Decider
import FoundationEssentials
import Messages
import Settings
import Support
import Testing

@testable import UpdraftCommand

/// Replays of a stream that was recorded of the practice cloud (Recordings/README.md).
@Suite("Replays of a recorded stream")
struct ReplayTests {
    private static let folder = #filePath.replacing("ReplayTests.swift", with: "Recordings")

    private func rules(_ name: String, _ flags: [String] = []) throws -> (name: String, settings: Settings) {
        (name, try Settings.load(file: "\(Self.folder)/\(name)", flags: flags))
    }

    @Test("The recorded rules do in the replay what was recorded")
    func asRecorded() async throws {
        let result = try await ReplayCommand.replay(
            "\(Self.folder)/practice.jsonl", changed: try rules("usual.yaml"), base: nil)
        #expect(result.provisionMeasured)
        #expect(result.removalMeasured)
        #expect(result.base.report.peak == 4)
        #expect(result.base.report.nodesRemoved == 2)
        let changed = result.changed.report
        #expect(changed.peak == 4, "\(changed.decisions)")
        #expect(changed.nodesAdded == 2)
        #expect(changed.podsWaited == result.base.report.podsWaited)
        #expect(changed.waitingAtEnd == 0)
    }

    @Test("A smaller maximum: a node less, and pods that wait until the load goes")
    func smaller() async throws {
        let result = try await ReplayCommand.replay(
            "\(Self.folder)/practice.jsonl", changed: try rules("small.yaml"), base: try rules("usual.yaml"))
        #expect(result.base.report.peak == 4)
        #expect(result.changed.report.peak == 3)
        #expect(result.changed.report.nodeHours < result.base.report.nodeHours)
        #expect(result.changed.report.waited > result.base.report.waited)
        var text = ReplayText.text(result, steps: 5)
        #expect(result.podScalersNotPlayed == 0 && !text.contains("not played"))
        for expected in ["peak nodes            4             3             -1", "(measured)", "decisions, changed:"] {
            #expect(text.contains(expected), "'\(expected)' is missing in:\n\(text)")
        }
        #expect(ReplayText.json(result).contains("\"nodeHours\""))
        var scaled = result
        scaled.podScalersNotPlayed = 2
        text = ReplayText.text(scaled, steps: 5)
        #expect(text.contains("not played 2 pod scalers"), "\(text)")
    }

    @Test("A recording of another cluster is refused, and says how it can be replayed all the same")
    func otherCluster() async throws {
        let error = await #expect(throws: CommandError.self) {
            _ = try await ReplayCommand.replay(
                "\(Self.folder)/practice.jsonl", changed: try rules("usual.yaml", ["cluster=prod"]), base: nil)
        }
        #expect(error?.text.contains("--set cluster=demo") ?? false)
        #expect(error?.exitCode == 2)
    }

    @Test("A line cut off at the end is left out; one in the middle is named")
    func cut() async throws {
        let text = try String(contentsOfFile: "\(Self.folder)/practice.jsonl", encoding: .utf8)
        let path = "\(FileManager.default.temporaryDirectory.path)/updraft-cut-\(UInt32.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        func count() async throws -> Int {
            var entries = 0
            try await RecordingFile.read(path) { (_) throws(CommandError) in
            } _: { (_) throws(CommandError) in
                entries += 1
            }
            return entries
        }
        let whole = text.split(separator: "\n").count - 1
        try String(text.dropLast(20)).write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try await count() == whole - 1)
        var lines = text.split(separator: "\n").map(String.init)
        lines[4] = String(lines[4].prefix(40))
        try (lines.joined(separator: "\n") + "\n").write(toFile: path, atomically: true, encoding: .utf8)
        let error = await #expect(throws: CommandError.self) { _ = try await count() }
        #expect(error?.text.contains("line 5") ?? false, "\(error?.text ?? "")")
    }
}
