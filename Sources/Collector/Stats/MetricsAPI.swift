import JSONReader
import Messages
import Support

/// What `metrics.k8s.io` (metrics-server) says of all nodes and pods of a cluster. Pure.
struct MetricsAPI: Sendable, Equatable {
    /// Path of the list of nodes.
    static let nodesPath = "/apis/metrics.k8s.io/v1beta1/nodes"
    /// Path of the list of all pods.
    static let podsPath = "/apis/metrics.k8s.io/v1beta1/pods"

    private(set) var nodes: [String: KubeletReading.Use] = [:]
    private(set) var pods: [KubeletReading.PodKey: KubeletReading.Pod] = [:]
    private(set) var rejected = Rejections()

    /// Most pods taken from one answer.
    static let maximumPods = 500_000
    /// Most containers taken from one answer.
    static let maximumContainers = 2_000_000

    /// Reads both lists.
    static func read(nodes: [UInt8], pods: [UInt8]) throws(JSONError) -> MetricsAPI {
        var result = MetricsAPI()
        for item in try Item.list(nodes, &result.rejected) {
            guard KubeletReading.isName(item.name.utf8) else {
                result.rejected.count(.badName)
                continue
            }
            result.nodes[item.name] = item.use
        }
        for item in try Item.list(pods, &result.rejected) {
            guard KubeletReading.isName(item.name.utf8), KubeletReading.isName(item.namespace.utf8) else {
                result.rejected.count(.badName)
                continue
            }
            let key = KubeletReading.PodKey(namespace: item.namespace, name: item.name)
            var pod = KubeletReading.Pod(key: key, containers: item.containers)
            if !item.lacksPart { pod.addUp() }
            result.pods[key] = pod
        }
        return result
    }

    /// What it says of one node and the pods that are known to be on it; nil if it does not know the node.
    func reading(of node: String, pods keys: [KubeletReading.PodKey]) -> KubeletReading? {
        guard let use = nodes[node], !use.isEmpty else { return nil }
        return KubeletReading(node: use, pods: keys.compactMap { pods[$0] })
    }

    /// What was not used of the whole answer, the first time: for one reading made of it.
    mutating func takeRejected() -> Rejections {
        defer { rejected = Rejections() }
        return rejected
    }

    private struct Item {
        var name = ""
        var namespace = ""
        var use = KubeletReading.Use()
        var containers: [KubeletReading.Container] = []
        /// A container could not be taken: what is added up without it would be too little.
        var lacksPart = false

        static func list(_ body: [UInt8], _ rejected: inout Rejections) throws(JSONError) -> [Item] {
            var items: [Item] = []
            var faults = Rejections()
            var room = MetricsAPI.maximumContainers
            try JSONReader.read(body) { (reader) throws(JSONError) in
                try reader.object { (reader, key) throws(JSONError) in
                    guard key == "items" else { return try reader.skip() }
                    if try reader.isNull() { return }
                    try reader.array { (reader) throws(JSONError) in
                        let item = try Item.read(&reader, &faults, room)
                        room -= item.containers.count
                        if items.count < MetricsAPI.maximumPods { items.append(item) } else { faults.count(.tooMany) }
                    }
                }
            }
            rejected.add(faults)
            return items
        }

        static func read(
            _ reader: inout JSONReader, _ rejected: inout Rejections, _ room: Int
        ) throws(JSONError) -> Item {
            var item = Item()
            var faults = Rejections()
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "metadata":
                    try reader.object { (reader, key) throws(JSONError) in
                        switch key {
                        case "name": item.name = try reader.string()
                        case "namespace": item.namespace = try reader.string()
                        default: try reader.skip()
                        }
                    }
                case "timestamp":
                    item.use.at = try reader.stringOrNull().flatMap { KubeletReading.time($0, &faults) }
                case "usage": try item.use.readUsage(&reader, &faults)
                case "containers":
                    if try reader.isNull() { return }
                    try reader.array { (reader) throws(JSONError) in
                        var container = KubeletReading.Container(name: "")
                        try reader.object { (reader, key) throws(JSONError) in
                            switch key {
                            case "name": container.name = try reader.string()
                            case "usage": try container.use.readUsage(&reader, &faults)
                            default: try reader.skip()
                            }
                        }
                        guard KubeletReading.isName(container.name.utf8) else {
                            item.lacksPart = true
                            return faults.count(.badName)
                        }
                        guard item.containers.count < min(1_000, room) else {
                            item.lacksPart = true
                            return faults.count(.tooMany)
                        }
                        item.containers.append(container)
                    }
                default: try reader.skip()
                }
            }
            for index in item.containers.indices { item.containers[index].use.at = item.use.at }
            rejected.add(faults)
            return item
        }
    }
}

extension KubeletReading.Use {
    /// A quantity's text; anything else costs only itself.
    private func text(_ reader: inout JSONReader, _ faults: inout Rejections) throws(JSONError) -> String? {
        switch try reader.kind() {
        case .string: return try reader.string()
        case .null:
            try reader.skip()
            return nil
        default:
            try reader.skip()
            faults.count(.wrongUnit)
            return nil
        }
    }

    /// `{"cpu": "12345n", "memory": "1234Ki"}`.
    fileprivate mutating func readUsage(
        _ reader: inout JSONReader, _ rejected: inout Rejections
    ) throws(JSONError) {
        var (cpu, memory): (String?, String?)
        var faults = Rejections()
        // Go writes null for a map that is not there.
        if try reader.isNull() { return }
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "cpu": cpu = try text(&reader, &faults)
            case "memory": memory = try text(&reader, &faults)
            default: try reader.skip()
            }
        }
        rejected.add(faults)
        if let cpu {
            // Nanocores would all be rounded up to a thousandth: they are read by themselves.
            let nano = cpu.hasSuffix("n") ? Double(cpu.dropLast()).map { $0 / 1e6 } : nil
            let micro = cpu.hasSuffix("u") ? Double(cpu.dropLast()).map { $0 / 1e3 } : nil
            if let millis = nano ?? micro ?? Quantity.millis(cpu).map(Double.init) {
                cpuMillis = KubeletReading.amount(millis, upTo: KubeletReading.largestBytes, &rejected)
            } else {
                rejected.count(.wrongUnit)
            }
        }
        if let memory {
            if let bytes = Quantity.units(memory) {
                memoryBytes = KubeletReading.amount(Double(bytes), upTo: KubeletReading.largestBytes, &rejected)
                    .map { Int64($0) }
            } else {
                rejected.count(.wrongUnit)
            }
        }
    }
}
