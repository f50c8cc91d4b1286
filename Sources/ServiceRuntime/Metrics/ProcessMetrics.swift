import Glibc

/// Memory, CPU time and files of this process, under the names that all Prometheus clients use.
enum ProcessMetrics {
    static func write(to text: inout String) {
        if let (seconds, resident) = usage() {
            MetricText.head("process_cpu_seconds_total", "CPU time used, in seconds.", "counter", to: &text)
            text += "process_cpu_seconds_total \(MetricText.number(seconds))\n"
            MetricText.head("process_resident_memory_bytes", "Memory in use, in bytes.", "gauge", to: &text)
            text += "process_resident_memory_bytes \(MetricText.number(resident))\n"
        }
        if let files = openFiles() {
            MetricText.head("process_open_fds", "Open files.", "gauge", to: &text)
            text += "process_open_fds \(files)\n"
        }
    }

    private static func usage() -> (seconds: Double, resident: Double)? {
        guard let file = fopen("/proc/self/stat", "re") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 2_048)
        let count = fread(&bytes, 1, bytes.count, file)
        // The name in the second field may hold anything, also blanks and brackets: fields are counted after it.
        let text = String(decoding: bytes[..<count], as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 21, let user = Double(fields[11]), let system = Double(fields[12]),
            let pages = Double(fields[21])
        else { return nil }
        return ((user + system) / Double(sysconf(Int32(_SC_CLK_TCK))), pages * Double(sysconf(Int32(_SC_PAGESIZE))))
    }

    private static func openFiles() -> Int? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        // Without `.`, `..` and the folder itself.
        return max(0, count - 3)
    }
}
