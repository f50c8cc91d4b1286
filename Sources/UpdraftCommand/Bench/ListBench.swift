import Glibc
import JSONReader
import Kubernetes
import Messages

/// What decoding a list cost.
public struct ListBenchResult: Sendable, Equatable, Codable {
    /// Pods in the list.
    public var pods: Int
    /// Bytes of the list.
    public var bytes: Int
    /// Seconds for decoding one pod after the other, each let go of at once; the best of three runs.
    public var streamedSeconds: Double
    /// Seconds for decoding all of them into structs that are kept; the best of three runs.
    public var keptSeconds: Double
    /// Memory that the kept structs added to the process at its peak, in bytes.
    public var keptBytes: Int
    /// Resident memory of the process at its peak, the list itself in it, in bytes; 0 where that is not to be had.
    public var peakBytes: Int

    /// 10^6 bytes a second, one pod after the other.
    public var streamedRate: Double { streamedSeconds > 0 ? Double(bytes) / streamedSeconds / 1e6 : 0 }
    /// 10^6 bytes a second, all kept.
    public var keptRate: Double { keptSeconds > 0 ? Double(bytes) / keptSeconds / 1e6 : 0 }
}

/// Decodes a LIST of pods of the form that a real API server gives (recorded from Kubernetes 1.20.2, managedFields
/// included), as the Collector does.
public enum ListBench {
    /// Makes a list of so many pods, decodes it, and says what that took.
    public static func run(pods: Int) -> ListBenchResult {
        let list = makeList(pods: pods)
        var result = ListBenchResult(
            pods: pods, bytes: list.count, streamedSeconds: .infinity, keptSeconds: .infinity, keptBytes: 0,
            peakBytes: 0)
        let before = residentBytes()
        for round in 0..<3 {
            var kept: [PodObject] = []
            kept.reserveCapacity(pods)
            result.keptSeconds = min(result.keptSeconds, seconds { decode(list) { kept.append($0) } })
            if round == 0 { result.keptBytes = max(0, residentBytes() - before) }
            withExtendedLifetime(kept) {}
        }
        for _ in 0..<3 {
            var count = 0
            result.streamedSeconds = min(result.streamedSeconds, seconds { decode(list) { _ in count += 1 } })
            precondition(count == pods, "the list that was made here holds another number of pods")
        }
        result.peakBytes = (try? ProcessUsage(of: getpid())).map { Int($0.memory * 1e6) } ?? 0
        return result
    }

    private static func decode(_ list: [UInt8], _ take: (PodObject) -> Void) {
        try? JSONReader.read(list) { (reader) throws(JSONError) in
            try reader.object { (reader, key) throws(JSONError) in
                guard key == "items" else { return }
                try reader.array { (reader) throws(JSONError) in take(try PodObject.read(&reader, version: "v1")) }
            }
        }
    }

    private static func makeList(pods: Int) -> [UInt8] {
        var list = Array(#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#.utf8)
        // At once: memory let go of while growing would be used again for the structs, and not be counted.
        list.reserveCapacity(pods * (SamplePod.json(pods).utf8.count + 1) + 256)
        for index in 0..<pods {
            if index > 0 { list.append(0x2C) }
            list += SamplePod.json(index).utf8
        }
        list += "]}".utf8
        return list
    }

    private static func seconds(_ body: () -> Void) -> Double {
        let duration = ContinuousClock().measure(body).components
        return Double(duration.seconds) + Double(duration.attoseconds) / 1e18
    }

    /// Resident memory of this process, out of `/proc`; 0 where that is not to be had.
    private static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "re") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }
}
