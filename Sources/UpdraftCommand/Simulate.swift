import Decider
import Glibc
import JSONReader

/// `updraft simulate FILE…`: what the engine answers to scenario files, a JSON line each.
enum Simulate {
    static let help = """
        usage: updraft simulate FILE…

        Runs scenario files (docs/scenarios.md) through the decision engine and prints one JSON line a file:
        {"name": …, "result": {…}}, or {"name": …, "unsupported": "why"}. Nothing outside is touched.

        The files are in cluster-autoscaler's terms; where the engine is deliberately different, its settings for the peer's
        behaviour are used (one group a decision, no soft constraints).

        Exit code: 0 if every file was answered, 1 if not, 2 for wrong usage.
        """

    static func run(_ arguments: [String]) async -> Int32 {
        if arguments.contains("--help") || arguments.contains("-h") {
            Terminal.line(help)
            return 0
        }
        guard !arguments.isEmpty, !arguments.contains(where: { $0.hasPrefix("-") }) else {
            Terminal.complaint(help)
            return 2
        }
        var code: Int32 = 0
        for path in arguments {
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
