import Glibc

/// This process's memory, for tests that show that something stays bounded.
public enum Memory {
    /// Megabytes of memory in use now (resident). Other tests of the process count as well, so bounds must be generous.
    public static var megabytes: Int {
        guard let file = fopen("/proc/self/statm", "re") else { return 0 }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 200)
        guard fgets(&text, Int32(text.count), file) != nil else { return 0 }
        let words = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: " ")
        return (words.dropFirst().first.flatMap { Int($0) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) >> 20
    }
}
