extension DecideBench {
    /// What was promised of a workload, for a release build on two cores (docs/performance.md).
    struct Aim: Sendable {
        /// The most milliseconds of the run in the middle.
        var median: Double?
        /// The most milliseconds that 99 of 100 runs take.
        var p99: Double?
        /// The most memory of a process that runs this workload alone, in MiB.
        var peak: Double?
        /// What cluster-autoscaler 1.30.0 took for it on a machine of the same class.
        var peer: String?

        /// What a result is above; empty where it keeps to all.
        func missed(by result: DecideBenchResult) -> [String] {
            var missed: [String] = []
            func compare(_ name: String, _ value: Double, _ most: Double?) {
                if let most, value > most { missed.append(name) }
            }
            compare("median", result.median, median)
            compare("p99", result.percentile(0.99), p99)
            compare("peak", result.peakMebibytes, peak)
            return missed
        }

        /// In a line for a person.
        var text: String {
            var parts: [String] = []
            if let median { parts.append("median ≤ \(Int(median)) ms") }
            if let p99 { parts.append("p99 ≤ \(Int(p99)) ms") }
            if let peak { parts.append("peak ≤ \(Int(peak)) MiB") }
            return parts.joined(separator: ", ")
        }
    }

    /// By workload; those with three or ten times the nodes have none.
    static let aims: [String: Aim] = [
        "up-30000x50": Aim(median: 70, peer: "7.0–7.7 s"),
        "up-30000x50-no-owner": Aim(median: 100, peer: "49–67 s"),
        "up-3000x50-anti-affinity": Aim(median: 100, peer: "12.6–16.5 s"),
        "up-3000x50-spread": Aim(median: 100, peer: "29 s"),
        "down-700-300": Aim(median: 50, peer: "0.8–1.3 s"),
        "down-2000x40": Aim(median: 200, peer: "9–19 s"),
        // 250 MB.
        "up-30000x50-on-5000": Aim(median: 100, peak: 238, peer: "2.4–3.2 s"),
        "estimate-51000": Aim(peer: "4.1–4.6 s"),
        "incremental-5000": Aim(p99: 2),
        "scalers-1000": Aim(median: 20),
    ]
}
