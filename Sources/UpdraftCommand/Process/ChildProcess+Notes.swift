import FoundationEssentials
import Glibc

/// Processes written down in a file, for whoever cleans up should this one be killed: a line for each, with its id and its
/// start time, since an id alone may become a stranger's. scripts/lib/processes.sh reads the same.
extension ChildProcess {
    /// When a process started, in the kernel's ticks; nil if there is none.
    static func birth(of pid: pid_t) -> String? {
        // The name before it stands in parentheses and may hold anything.
        guard let stat = DemoFiles.read("/proc/\(pid)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? String(fields[19]) : nil
    }

    /// Writes it down.
    func note(in file: String) {
        // One that has ended already (and is a zombie still) has a start time too.
        DemoFiles.append("\(pid) \(Self.birth(of: pid) ?? "")\n", to: file)
    }

    /// Ends what an earlier run wrote down and left behind, and forgets it. A line that is no longer the same process is passed over.
    static func endNoted(in file: String) {
        for line in (DemoFiles.read(file) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 2, let pid = pid_t(words[0]), pid > 1, birth(of: pid) == String(words[1]) else {
                continue
            }
            kill(-pid, SIGKILL)
        }
        unlink(file)
    }
}
