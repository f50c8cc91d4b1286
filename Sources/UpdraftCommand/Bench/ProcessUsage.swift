import FoundationEssentials
import Glibc
import Support

/// What a process has used.
struct ProcessUsage: Sendable {
    /// Why `/proc` could not be read.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// User and system time, in seconds.
    var cpu: Double
    /// Peak resident memory, in MB (10^6).
    var memory: Double

    /// From its parts.
    init(cpu: Double, memory: Double) {
        self.cpu = cpu
        self.memory = memory
    }

    init(of pid: pid_t) throws {
        cpu = try Self.cpuSeconds(pid)
        memory = try Self.peakMemory(pid)
    }

    /// The CPU time since then; the peak is that of the whole life.
    func since(_ before: ProcessUsage) -> ProcessUsage {
        var usage = self
        usage.cpu -= before.cpu
        return usage
    }

    private static func cpuSeconds(_ pid: pid_t) throws -> Double {
        let text = try String(contentsOf: URL(filePath: "/proc/\(pid)/stat"), encoding: .utf8)
        // The name in parentheses may hold anything; the fields behind it are numbered from 3.
        guard let end = text.lastIndex(of: ")") else { throw Failure(description: "/proc/\(pid)/stat") }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
            throw Failure(description: "/proc/\(pid)/stat")
        }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    private static func peakMemory(_ pid: pid_t) throws -> Double {
        let text = try String(contentsOf: URL(filePath: "/proc/\(pid)/status"), encoding: .utf8)
        for line in text.split(separator: "\n") where line.hasPrefix("VmHWM:") {
            let words = line.split(whereSeparator: \.isWhitespace)
            if words.count > 1, let kilobytes = Double(words[1]) { return kilobytes * 1_024 / 1e6 }
        }
        throw Failure(description: "/proc/\(pid)/status has no VmHWM")
    }
}
