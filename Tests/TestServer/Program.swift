import Glibc

/// A program of this build, run to its end.
public enum Program {
    /// It could not be run.
    public struct Failure: Error {
        /// Why.
        public var what: String
    }

    /// Where the programs are: beside the test bundle, which is this process.
    private static let folder: String = {
        var path = [CChar](repeating: 0, count: 4_096)
        let count = readlink("/proc/self/exe", &path, path.count)
        let text = String(decoding: path.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.lastIndex(of: "/").map { String(text[..<$0]) } ?? "."
    }()

    /// Lines of its standard output.
    public static func output(_ name: String, _ arguments: [String]) throws -> [String] {
        try run(name, arguments).lines
    }

    /// Lines of its standard output, and its exit code (-1 for a signal). What the tests are told by variables would look to it like
    /// slips in its configuration.
    public static func run(_ name: String, _ arguments: [String]) throws -> (lines: [String], code: Int32) {
        let environment = ["env", "-u", "UPDRAFT_TEST_TRANSPORT_URL", "-u", "UPDRAFT_TEST_BROKER_DIR"]
        let command = (environment + ["\(folder)/\(name)"] + arguments).map { "'\($0)'" }.joined(separator: " ")
        guard let pipe = popen(command, "r") else { throw Failure(what: "\(command) cannot be started") }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&piece, 1, piece.count, pipe)
            if count == 0 { break }
            bytes += piece[..<count]
        }
        let status = pclose(pipe)
        guard status >= 0 else { throw Failure(what: "\(command) cannot be waited for") }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        return (lines, status & 0x7f == 0 ? status >> 8 & 0xff : -1)
    }
}
