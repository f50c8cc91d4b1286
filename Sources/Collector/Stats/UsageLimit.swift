import Messages

/// What a node can have at all: more is a mistake of units.
struct UsageLimit {
    private let cpuMillis: Double
    private let memoryBytes: Int64

    init(_ target: UsageMeter.Target) {
        let cpu = max(target.capacity.cpuMillis, target.allocatable.cpuMillis)
        let memory = max(target.capacity.memoryBytes, target.allocatable.memoryBytes)
        cpuMillis = cpu > 0 ? Double(cpu) * 4 : .infinity
        let most = Int64(KubeletReading.largestBytes)
        memoryBytes = memory > 0 && memory < most / 4 ? memory * 4 : most
    }

    /// An amount of memory if it can be one; else it is counted.
    func memory(_ bytes: Int64?, _ rejected: inout Rejections) -> Int64? {
        guard let bytes else { return nil }
        guard bytes <= memoryBytes else {
            rejected.count(.wrongUnit)
            return nil
        }
        return bytes
    }

    /// Above what any machine's network carries: eight terabits a second.
    private static let bytesPerSecond = 1e12

    /// Bytes a second through a network, the same.
    func network(_ rate: Double?, _ rejected: inout Rejections) -> Double? {
        guard let rate else { return nil }
        guard rate <= Self.bytesPerSecond else {
            rejected.count(.wrongUnit)
            return nil
        }
        return rate
    }

    /// CPU in thousandths of a core, the same.
    func cpu(_ millis: Double?, _ rejected: inout Rejections) -> Double? {
        guard let millis else { return nil }
        guard millis <= cpuMillis else {
            rejected.count(.wrongUnit)
            return nil
        }
        return millis
    }
}
