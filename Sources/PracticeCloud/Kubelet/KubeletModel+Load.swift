import Support

/// What machines and pods use.
extension KubeletModel {
    /// Sets the load; what was used until now is counted at the old one.
    mutating func setLoad(_ new: PodLoad, index: ClusterIndex, at now: Timestamp) {
        for machine in machines.values where machine.isRegistered {
            _ = countNode(machine, index, at: now)
            for key in index.podsByNode[machine.node] ?? [] {
                if let pod = index.pods[key], pod.phase == "Running" { _ = countPod(pod, at: now) }
            }
        }
        load = new
    }

    /// What a machine's system uses beyond the pods.
    mutating func setSystemLoad(
        _ server: String, cpuMillis: Double?, memoryBytes: Double?, index: ClusterIndex, at now: Timestamp
    ) {
        guard let machine = machines[server] else { return }
        _ = countNode(machine, index, at: now)
        if let cpuMillis { machines[server]?.systemCPUMillis = cpuMillis }
        if let memoryBytes { machines[server]?.systemMemoryBytes = memoryBytes }
    }

    /// Core-nanoseconds that a pod has used.
    mutating func countPod(_ pod: PodFacts, at now: Timestamp) -> Double {
        count(pod.uid, millis: load.usage(of: pod).cpuMillis, at: now)
    }

    /// Core-nanoseconds that a node has used.
    mutating func countNode(_ machine: Machine, _ index: ClusterIndex, at now: Timestamp) -> Double {
        count(machine.node, millis: machine.usage(load, index).cpuMillis, at: now)
    }

    private mutating func count(_ key: String, millis: Double, at now: Timestamp) -> Double {
        var counter = counters[key] ?? (0, now)
        counter.nanoseconds += millis * 1e6 * max(0, (now - counter.until).inSeconds)
        counter.until = now
        counters[key] = counter
        return counter.nanoseconds
    }
}
