import Messages
import Support

/// Tells the metrics of pods that were read of the cluster's metrics APIs as stats of the pods' own, under a name that is one scaler's.
struct SourcePods: Sendable {
    /// A pod, as its stats name it.
    struct Place: Sendable, Hashable {
        var uid: String
        var node: String
    }

    /// What was read for one scaler.
    struct Reading: Sendable, Equatable {
        /// Under which name it is told.
        var stat: String
        var namespace: String
        var values: [PodValue]
    }

    /// Samples in one message.
    private static let batch = 1_000

    /// Pods by name, of each of the namespaces.
    let places: @Sendable (_ namespaces: Set<String>) async -> [String: [String: Place]]
    let publish: @Sendable (PodStats) async -> Void
    var clock: @Sendable () -> Timestamp = { .now() }

    /// Tells them. What is said of pods that nobody knows is left out.
    func tell(_ readings: [Reading], cluster: String) async {
        let places = await places(Set(readings.map(\.namespace)))
        let now = clock()
        var samples: [PodStats.Sample] = []
        for reading in readings {
            let known = places[reading.namespace] ?? [:]
            for value in reading.values {
                guard let place = known[value.pod] else { continue }
                var sample = PodStats.Sample(
                    namespace: reading.namespace, pod: value.pod, podUID: place.uid, node: place.node,
                    at: min(value.at, now))
                sample.values = [reading.stat: value.value]
                samples.append(sample)
            }
        }
        for start in stride(from: 0, to: samples.count, by: Self.batch) {
            let part = Array(samples[start..<min(start + Self.batch, samples.count)])
            await publish(PodStats(cluster: cluster, samples: part))
        }
    }
}
