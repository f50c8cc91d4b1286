/// What a run of the decision bench measured.
public struct DecideBenchResult: Sendable {
    /// The workload.
    public var workload: String
    /// New nodes wanted, or nodes that could go.
    public var nodes: Int
    /// Pods that got no place.
    public var unserved: Int
    /// Each run in milliseconds.
    public var milliseconds: [Double]
    /// Highest resident memory of the process so far, in MiB.
    public var peakMebibytes: Double

    /// The run in the middle.
    public var median: Double { percentile(0.5) }

    /// The run that so large a part of all do not exceed.
    public func percentile(_ part: Double) -> Double {
        let sorted = milliseconds.sorted()
        guard !sorted.isEmpty else { return 0 }
        let rank = Int((Double(sorted.count) * part).rounded(.up)) - 1
        return sorted[min(max(rank, 0), sorted.count - 1)]
    }
}
