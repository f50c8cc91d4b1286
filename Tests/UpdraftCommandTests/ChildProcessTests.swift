import FoundationEssentials
import Glibc
import Support
import Testing

@testable import UpdraftCommand

/// Processes that are written down for whoever cleans up.
@Suite struct ChildProcessTests {
    /// It sleeps for longer than a test may starve beside others.
    private func sleeper(_ folder: String) throws -> ChildProcess {
        try ChildProcess.start(
            name: "sleeper", executable: "/bin/sleep", arguments: ["86400"], environment: [:],
            logFile: "\(folder)/log")
    }

    @Test func `What an earlier run left is ended, and nobody who got its number`() async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/updraft-notes-\(UInt64.random(in: 0 ... .max))"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = "\(folder)/pids"
        let (left, stranger, old) = (try sleeper(folder), try sleeper(folder), try sleeper(folder))
        left.note(in: file)
        // Another process has this number by now; a line of a release that wrote no start time; lines of nobody.
        DemoFiles.append("\(stranger.pid) 1\n\(old.pid)\nnonsense 5\n-1 7\n0 0\n\n", to: file)
        #expect(DemoFiles.read(file)?.hasPrefix("\(left.pid) \(ChildProcess.birth(of: left.pid) ?? "?")\n") == true)
        ChildProcess.endNoted(in: file)
        let deadline = Timestamp.now() + .seconds(60)
        while left.isRunning, Timestamp.now() < deadline { try await Task.sleep(for: .milliseconds(5)) }
        #expect(!left.isRunning)
        #expect(stranger.isRunning && old.isRunning)
        // It is forgotten: a second run begins clean.
        #expect(DemoFiles.read(file) == nil)
        ChildProcess.endNoted(in: file)
        for process in [stranger, old] { await process.stop(grace: .zero) }
    }
}
