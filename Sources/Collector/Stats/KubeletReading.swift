import JSONReader
import Support

/// What a kubelet says of the use of its node and pods at one moment.
struct KubeletReading: Sendable, Equatable {
    /// CPU and memory of a node or a pod.
    struct Use: Sendable, Equatable {
        /// When it was measured; nil where the page does not say.
        var at: Timestamp?
        /// CPU time since the start, in core-seconds.
        var cpuSeconds: Double?
        /// CPU in use at the moment, in thousandths of a core, where the kubelet tells it itself.
        var cpuMillis: Double?
        /// Working set in bytes.
        var memoryBytes: Int64?

        var isEmpty: Bool { cpuSeconds == nil && cpuMillis == nil && memoryBytes == nil }
    }

    /// A pod by namespace and name.
    struct PodKey: Sendable, Hashable {
        var namespace: String
        var name: String
    }

    /// A pod's use.
    struct Pod: Sendable, Equatable {
        var uid: String?
        var use = Use()
    }

    var node = Use()
    var pods: [PodKey: Pod] = [:]
    /// Lines that could not be read.
    var malformed = 0

    /// Most pods taken from one kubelet: far above what any runs.
    static let maximumPods = 5_000
}

// MARK: - /metrics/resource

extension KubeletReading {
    /// Reads `/metrics/resource`. Older kubelets name containers only; those are added up.
    /// - Returns: nil when it holds nothing about the node (a kubelet without statistics answers `scrape_error 1`).
    static func metricsResource(_ text: [UInt8]) -> KubeletReading? {
        var reading = KubeletReading()
        var containers: [PodKey: Pod] = [:]
        reading.malformed = PrometheusText.forEachSample(text) { sample in
            guard sample.value.isFinite, sample.value >= 0 else { return }
            if sample.isNamed("node_cpu_usage_seconds_total") {
                reading.node.cpuSeconds = sample.value
                reading.node.at = sample.time ?? reading.node.at
            } else if sample.isNamed("node_memory_working_set_bytes") {
                reading.node.memoryBytes = bytes(sample.value)
                reading.node.at = reading.node.at ?? sample.time
            } else if sample.isNamed("pod_cpu_usage_seconds_total") {
                reading.pods.change(sample) { $0.cpuSeconds = sample.value }
            } else if sample.isNamed("pod_memory_working_set_bytes") {
                reading.pods.change(sample) { $0.memoryBytes = bytes(sample.value) }
            } else if sample.isNamed("container_cpu_usage_seconds_total") {
                containers.change(sample) { $0.cpuSeconds = ($0.cpuSeconds ?? 0) + sample.value }
            } else if sample.isNamed("container_memory_working_set_bytes") {
                containers.change(sample) { $0.memoryBytes = ($0.memoryBytes ?? 0) &+ bytes(sample.value) }
            }
        }
        if reading.pods.isEmpty { reading.pods = containers }
        return reading.node.isEmpty ? nil : reading
    }

    private static func bytes(_ value: Double) -> Int64 {
        // 2^62 is above any memory and leaves room for sums.
        Int64(min(value, 4.6e18))
    }
}

extension [KubeletReading.PodKey: KubeletReading.Pod] {
    fileprivate mutating func change(_ sample: PrometheusText.Sample, _ body: (inout KubeletReading.Use) -> Void) {
        guard let namespace = sample.label("namespace"), let name = sample.label("pod"), !name.isEmpty else { return }
        let key = KubeletReading.PodKey(namespace: namespace, name: name)
        guard self[key] != nil || count < KubeletReading.maximumPods else { return }
        self[key, default: KubeletReading.Pod()].use.at = sample.time ?? self[key]?.use.at
        body(&self[key, default: KubeletReading.Pod()].use)
    }
}

// MARK: - /stats/summary

extension KubeletReading {
    /// Reads `/stats/summary`.
    /// - Returns: nil when it holds nothing about the node.
    static func statsSummary(_ body: [UInt8]) throws(JSONError) -> KubeletReading? {
        var reading = KubeletReading()
        try JSONReader.read(body) { (reader) throws(JSONError) in
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "node": reading.node = try use(&reader).use
                case "pods":
                    if try reader.isNull() { return }
                    try reader.array { (reader) throws(JSONError) in
                        let pod = try use(&reader)
                        guard let key = pod.key, reading.pods.count < maximumPods else { return }
                        reading.pods[key] = Pod(uid: pod.uid, use: pod.use)
                    }
                default: try reader.skip()
                }
            }
        }
        return reading.node.isEmpty ? nil : reading
    }

    private struct Entry {
        var key: PodKey?
        var uid: String?
        var use = Use()
    }

    /// An object with `cpu` and `memory`; a pod's `podRef` beside them. A pod without them has its containers' sums.
    private static func use(_ reader: inout JSONReader) throws(JSONError) -> Entry {
        var entry = Entry()
        var sums = Use()
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "podRef":
                var (namespace, name) = ("", "")
                try reader.object { (reader, key) throws(JSONError) in
                    switch key {
                    case "namespace": namespace = try reader.string()
                    case "name": name = try reader.string()
                    case "uid": entry.uid = try reader.string()
                    default: try reader.skip()
                    }
                }
                if !name.isEmpty { entry.key = PodKey(namespace: namespace, name: name) }
            case "cpu": try readCPU(&reader, &entry.use)
            case "memory": try readMemory(&reader, &entry.use)
            case "containers":
                if try reader.isNull() { return }
                try reader.array { (reader) throws(JSONError) in
                    let container = try use(&reader).use
                    sums.at = container.at ?? sums.at
                    sums.cpuSeconds = container.cpuSeconds.map { (sums.cpuSeconds ?? 0) + $0 } ?? sums.cpuSeconds
                    sums.cpuMillis = container.cpuMillis.map { (sums.cpuMillis ?? 0) + $0 } ?? sums.cpuMillis
                    sums.memoryBytes = container.memoryBytes.map { (sums.memoryBytes ?? 0) &+ $0 } ?? sums.memoryBytes
                }
            default: try reader.skip()
            }
        }
        if entry.use.isEmpty { entry.use = sums }
        return entry
    }

    private static func readCPU(_ reader: inout JSONReader, _ use: inout Use) throws(JSONError) {
        if try reader.isNull() { return }
        var read = use
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "time": read.at = Timestamp(try reader.string()) ?? read.at
            case "usageNanoCores": read.cpuMillis = try amount(&reader).map { $0 / 1e6 }
            case "usageCoreNanoSeconds": read.cpuSeconds = try amount(&reader).map { $0 / 1e9 }
            default: try reader.skip()
            }
        }
        use = read
    }

    private static func readMemory(_ reader: inout JSONReader, _ use: inout Use) throws(JSONError) {
        if try reader.isNull() { return }
        var read = use
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "time":
                let text = try reader.string()
                read.at = read.at ?? Timestamp(text)
            case "workingSetBytes": read.memoryBytes = try amount(&reader).map { bytes($0) }
            default: try reader.skip()
            }
        }
        use = read
    }

    /// The kubelet's numbers are unsigned and may exceed a signed 64-bit integer.
    private static func amount(_ reader: inout JSONReader) throws(JSONError) -> Double? {
        if try reader.isNull() { return nil }
        let value = try reader.double()
        return value >= 0 ? value : nil
    }
}
