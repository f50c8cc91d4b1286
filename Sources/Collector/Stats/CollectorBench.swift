import Support

/// Measures the parts of the Collector that only it can reach: for `updraft bench stats`.
public enum CollectorBench {
    /// Reads a page of `/metrics/resource` over and over for about `seconds`.
    /// - Returns: megabytes (10^6) a second, and how many pods were found in the last one.
    public static func readMetricsPage(_ page: [UInt8], seconds: Double) -> (megabytes: Double, pods: Int) {
        let clock = ContinuousClock()
        let end = clock.now + .seconds(seconds)
        let started = clock.now
        var bytes = 0
        var pods = 0
        while clock.now < end {
            for _ in 0..<50 {
                pods = KubeletReading.metricsResource(page)?.pods.count ?? 0
                bytes += page.count
            }
        }
        return (Double(bytes) / 1e6 / inSeconds(started.duration(to: clock.now)), pods)
    }

    private static func inSeconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }
}
