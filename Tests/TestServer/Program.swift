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
        let command = (["\(folder)/\(name)"] + arguments).map { "'\($0)'" }.joined(separator: " ")
        guard let pipe = popen(command, "r") else { throw Failure(what: "\(command) cannot be started") }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&piece, 1, piece.count, pipe)
            if count == 0 { break }
            bytes += piece[..<count]
        }
        guard pclose(pipe) >= 0 else { throw Failure(what: "\(command) cannot be waited for") }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }
}
