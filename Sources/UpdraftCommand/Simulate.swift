import Decider
import Glibc
import JSONReader

/// `updraft simulate`: what the engine answers to scenario files, or to a recording under changed rules.
enum Simulate {
    static let usage = Usage(
        name: "simulate", words: "FILE… | RECORDING --config CHANGED.yaml", count: 1...100_000,
        about: """
            Without --config, FILEs are scenario files (docs/scenarios.md): they go through the decision engine, and one JSON
            line a file is printed: {"name": …, "result": {…}}, or {"name": …, "unsupported": "why"}. The files are in
            cluster-autoscaler's terms; where the engine is deliberately different, its settings for the peer's
            behaviour are used (one group a decision, no soft constraints). Nothing outside is touched.

            \(ReplayCommand.about)
            """,
        flags: ReplayCommand.flags,
        exitCodes: "0 if every file was answered, 1 if not, 2 for wrong usage or configuration.")

    static func run(_ arguments: [String]) async -> Int32 {
        await usage.run(arguments) { (read) async throws(CommandError) in
            if read.value("--config") != nil { return try await ReplayCommand.run(read) }
            guard read.values.isEmpty, read.switches.isEmpty else {
                throw CommandError("these flags need --config, and a recording", exitCode: 2)
            }
            return await scenarios(read.words)
        }
    }

    private static func scenarios(_ paths: [String]) async -> Int32 {
        var code: Int32 = 0
        for path in paths {
            let answer = answer(path)
            if answer["result"] == nil { code = 1 }
            Terminal.line(answer.text)
        }
        return code
    }

    private static func answer(_ path: String) -> JSONValue {
        let name = path.split(separator: "/").last.map { $0.hasSuffix(".json") ? String($0.dropLast(5)) : String($0) }
        guard let bytes = read(path) else {
            return [
                "name": .string(name ?? path),
                "unsupported": .string("cannot be read: \(String(cString: strerror(errno)))"),
            ]
        }
        do throws(DeciderError) {
            return try Scenario(bytes).answer()
        } catch {
            return ["name": .string(name ?? path), "unsupported": .string(error.text)]
        }
    }

    private static func read(_ path: String) -> [UInt8]? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 64 << 20 {
            let count = fread(&piece, 1, piece.count, file)
            if count == 0 { return ferror(file) == 0 ? bytes : nil }
            bytes += piece[..<count]
        }
        errno = EFBIG
        return nil
    }
}
