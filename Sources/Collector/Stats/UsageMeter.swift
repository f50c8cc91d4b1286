import Messages
import Support

/// Turns what kubelets say into use: a rate needs two readings of a counter. Pure.
struct UsageMeter {
    /// What is needed to know about a node beside its kubelet's word.
    struct Target: Sendable, Equatable {
        var node: String
        var serverID: String?
        var allocatable: ResourceList
        var address: String?
        var port: Int32

        init(_ node: Node) {
            self.node = node.name
            serverID = node.serverID
            allocatable = node.allocatable
            address = node.address
            port = node.kubeletPort ?? 10_250
        }
    }

    private struct Counter {
        var at: Timestamp
        var cpuSeconds: Double
        /// The rate that was known last.
        var cpuMillis: Double?
    }

    private struct NodeMemory {
        var counter: Counter?
        var pods: [KubeletReading.PodKey: Counter] = [:]
        var last: NodeStats.Sample?
    }

    private var nodes: [String: NodeMemory] = [:]
    /// Older measurements are stale.
    private let staleAfter: Interval

    init(interval: Interval) {
        staleAfter = interval * 2
    }

    /// Nodes that something is remembered of.
    var count: Int { nodes.count }

    /// Takes in a reading.
    mutating func take(
        _ reading: KubeletReading, of target: Target, at now: Timestamp
    ) -> (node: NodeStats.Sample, pods: [PodStats.Sample]) {
        let before = nodes[target.node]
        var memory = NodeMemory()
        let at = measured(reading.node, now)
        let cpu = rate(reading.node, at, before?.counter, &memory.counter)
        var sample = NodeStats.Sample(
            node: target.node, serverID: target.serverID, at: at, cpuMillis: cpu, memoryBytes: reading.node.memoryBytes,
            stale: now - at > staleAfter)
        sample.cpuUtilization = ratio(cpu, target.allocatable.cpuMillis)
        sample.memoryUtilization = ratio(sample.memoryBytes.map(Double.init), target.allocatable.memoryBytes)
        memory.last = sample
        var pods: [PodStats.Sample] = []
        pods.reserveCapacity(reading.pods.count)
        for (key, pod) in reading.pods {
            let at = measured(pod.use, now)
            var counter: Counter?
            let cpu = rate(pod.use, at, before?.pods[key], &counter)
            if let counter { memory.pods[key] = counter }
            guard cpu != nil || pod.use.memoryBytes != nil else { continue }
            pods.append(
                PodStats.Sample(
                    namespace: key.namespace, pod: key.name, podUID: pod.uid, node: target.node, at: at,
                    cpuMillis: cpu, memoryBytes: pod.use.memoryBytes))
        }
        nodes[target.node] = memory
        return (sample, pods)
    }

    /// The kubelet did not answer: the last measurement again, marked as stale once it is; nil if there is none.
    mutating func missed(_ target: Target, at now: Timestamp) -> NodeStats.Sample? {
        guard var sample = nodes[target.node]?.last else { return nil }
        sample.stale = now - sample.at > staleAfter
        nodes[target.node]?.last = sample
        return sample
    }

    /// Forgets nodes that are no more.
    mutating func keep(only names: Set<String>) {
        nodes = nodes.filter { names.contains($0.key) }
    }

    /// A kubelet whose clock runs ahead would make a measurement that never ages.
    private func measured(_ use: KubeletReading.Use, _ now: Timestamp) -> Timestamp {
        min(use.at ?? now, now)
    }

    private func ratio(_ used: Double?, _ allocatable: Int64) -> Double? {
        guard let used, allocatable > 0 else { return nil }
        return used / Double(allocatable)
    }

    /// CPU in thousandths of a core since the reading before; what the kubelet itself says if there is no such; nil if
    /// neither is known. A counter that fell was started anew: its rate is not known.
    private func rate(
        _ use: KubeletReading.Use, _ at: Timestamp, _ before: Counter?, _ counter: inout Counter?
    ) -> Double? {
        guard let seconds = use.cpuSeconds else { return use.cpuMillis }
        guard let before else {
            counter = Counter(at: at, cpuSeconds: seconds, cpuMillis: use.cpuMillis)
            return use.cpuMillis
        }
        // The kubelet renews its numbers every ten seconds or so: until then nothing new is known.
        if at <= before.at {
            counter = before
            return before.cpuMillis
        }
        let rate =
            seconds >= before.cpuSeconds
            ? (seconds - before.cpuSeconds) / (at - before.at).inSeconds * 1_000 : use.cpuMillis
        counter = Counter(at: at, cpuSeconds: seconds, cpuMillis: rate)
        return rate
    }
}
