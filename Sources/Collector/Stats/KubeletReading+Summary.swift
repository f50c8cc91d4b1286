import JSONReader
import Support

extension KubeletReading {
    /// Reads `/stats/summary`.
    /// - Returns: nil when it holds nothing about the node.
    static func statsSummary(_ body: [UInt8]) throws(JSONError) -> KubeletReading? { try summary(body).ofNode }

    /// The same; what was not used is told also where nothing about the node is left.
    static func summary(_ body: [UInt8]) throws(JSONError) -> KubeletReading {
        var reading = KubeletReading()
        var rejected = Rejections()
        var room = maximumContainers
        try JSONReader.read(body) { (reader) throws(JSONError) in
            try reader.object { (reader, key) throws(JSONError) in
                switch key {
                case "node": reading.node = try SummaryEntry.read(&reader, &rejected, &room).use
                case "pods":
                    if try reader.isNull() { return }
                    try reader.array { (reader) throws(JSONError) in
                        let entry = try SummaryEntry.read(&reader, &rejected, &room)
                        guard reading.pods.count < maximumPods else { return rejected.count(.tooMany) }
                        guard let key = entry.key, isName(key.name.utf8), isName(key.namespace.utf8) else {
                            return rejected.count(.badName)
                        }
                        var pod = Pod(key: key, uid: entry.uid, use: entry.use, containers: entry.containers)
                        if !entry.lacksPart { pod.addUp() }
                        reading.pods.append(pod)
                    }
                default: try reader.skip()
                }
            }
        }
        reading.rejected = rejected
        return reading
    }
}

/// An object with `cpu` and `memory`, and what stands beside them for a node, a pod or a container.
private struct SummaryEntry {
    var key: KubeletReading.PodKey?
    var uid: String?
    var name = ""
    var use = KubeletReading.Use()
    var containers: [KubeletReading.Container] = []
    /// A container could not be taken: what is added up without it would be too little.
    var lacksPart = false

    /// - Parameter room: containers that may still be taken from the page.
    static func read(
        _ reader: inout JSONReader, _ rejected: inout Rejections, _ room: inout Int
    ) throws(JSONError) -> SummaryEntry {
        var entry = SummaryEntry()
        var faults = Rejections()
        var left = room
        var containerDisk: Double?
        var isDiskBroken = false
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "podRef": try entry.readReference(&reader)
            case "name": entry.name = try reader.stringOrNull() ?? ""
            case "cpu": try entry.readCPU(&reader, &faults)
            case "memory": try entry.readMemory(&reader, &faults)
            case "network": entry.use.traffic = try traffic(&reader, &faults)
            // A node's `fs`, a pod's `ephemeral-storage`.
            case "fs", "ephemeral-storage": entry.use.disk = try disk(&reader, &faults)
            // A container's layers and logs.
            case "rootfs", "logs":
                if try reader.isNull() { return }
                if let part = try disk(&reader, &faults) {
                    containerDisk = (containerDisk ?? 0) + part.usedBytes
                } else {
                    isDiskBroken = true
                }
            case "containers":
                if try reader.isNull() { return }
                try reader.array { (reader) throws(JSONError) in
                    let part = try SummaryEntry.read(&reader, &faults, &left)
                    guard KubeletReading.isName(part.name.utf8) else {
                        entry.lacksPart = true
                        return faults.count(.badName)
                    }
                    guard entry.containers.count < 1_000, left > 0 else {
                        entry.lacksPart = true
                        return faults.count(.tooMany)
                    }
                    left -= 1
                    entry.containers.append(.init(name: part.name, use: part.use))
                }
            default: try reader.skip()
            }
        }
        if let containerDisk, !isDiskBroken { entry.use.disk = .init(usedBytes: containerDisk) }
        rejected.add(faults)
        room = left
        return entry
    }

    private mutating func readReference(_ reader: inout JSONReader) throws(JSONError) {
        var (namespace, name) = ("", "")
        var uid: String?
        if try reader.isNull() { return }
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "namespace": namespace = try reader.stringOrNull() ?? ""
            case "name": name = try reader.stringOrNull() ?? ""
            case "uid": uid = try reader.stringOrNull()
            default: try reader.skip()
            }
        }
        self.uid = uid
        key = KubeletReading.PodKey(namespace: namespace, name: name)
    }

    private mutating func readCPU(_ reader: inout JSONReader, _ rejected: inout Rejections) throws(JSONError) {
        if try reader.isNull() { return }
        var read = use
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "time": read.at = try Self.time(&reader, &rejected) ?? read.at
            case "usageNanoCores":
                read.cpuMillis = try Self.amount(&reader, KubeletReading.largestBytes, &rejected).map { $0 / 1e6 }
            case "usageCoreNanoSeconds":
                read.cpuSeconds = try Self.amount(&reader, KubeletReading.largestCPUSeconds * 1e9, &rejected)
                    .map { $0 / 1e9 }
            default: try reader.skip()
            }
        }
        use = read
    }

    private mutating func readMemory(_ reader: inout JSONReader, _ rejected: inout Rejections) throws(JSONError) {
        if try reader.isNull() { return }
        var read = use
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "time":
                let time = try Self.time(&reader, &rejected)
                read.at = read.at ?? time
            case "workingSetBytes":
                read.memoryBytes = try Self.amount(&reader, KubeletReading.largestBytes, &rejected).map { Int64($0) }
            default: try reader.skip()
            }
        }
        use = read
    }

    /// The default interface stands beside the list of all; where it is missing, those of the list that are no cables
    /// to pods are added up.
    private static func traffic(
        _ reader: inout JSONReader, _ rejected: inout Rejections
    ) throws(JSONError) -> KubeletReading.Traffic? {
        if try reader.isNull() { return nil }
        var (received, sent): (Double?, Double?)
        var isBroken = false
        var sum: KubeletReading.Traffic?
        let before = rejected.total
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "rxBytes": received = try amount(&reader, KubeletReading.largestBytes, &rejected)
            case "txBytes": sent = try amount(&reader, KubeletReading.largestBytes, &rejected)
            case "interfaces":
                if try reader.isNull() { return }
                try reader.array { (reader) throws(JSONError) in
                    var name = ""
                    var (received, sent): (Double?, Double?)
                    try reader.object { (reader, key) throws(JSONError) in
                        switch key {
                        case "name": name = try reader.stringOrNull() ?? ""
                        case "rxBytes": received = try amount(&reader, KubeletReading.largestBytes, &rejected)
                        case "txBytes": sent = try amount(&reader, KubeletReading.largestBytes, &rejected)
                        default: try reader.skip()
                        }
                    }
                    if KubeletInterface.isVirtual(name.utf8) { return }
                    guard let received, let sent else {
                        isBroken = true
                        return
                    }
                    sum = .init(
                        received: (sum?.received ?? 0) + received, sent: (sum?.sent ?? 0) + sent,
                        parts: (sum?.parts ?? 0) + 1)
                }
            default: try reader.skip()
            }
        }
        // No sum, not even of one: it is not compared with any.
        if let received, let sent { return .init(received: received, sent: sent, parts: 0) }
        // Where the default interface is told, but not so that it can be used, others are no replacement for it.
        guard !isBroken, received == nil, sent == nil, rejected.total == before else { return nil }
        return sum
    }

    private static func disk(
        _ reader: inout JSONReader, _ rejected: inout Rejections
    ) throws(JSONError) -> KubeletReading.Disk? {
        if try reader.isNull() { return nil }
        var (used, capacity): (Double?, Double?)
        try reader.object { (reader, key) throws(JSONError) in
            switch key {
            case "usedBytes": used = try amount(&reader, KubeletReading.largestBytes, &rejected)
            case "capacityBytes": capacity = try amount(&reader, KubeletReading.largestBytes, &rejected)
            default: try reader.skip()
            }
        }
        return used.flatMap { KubeletReading.disk(used: $0, capacity: capacity, &rejected) }
    }

    private static func time(
        _ reader: inout JSONReader, _ rejected: inout Rejections
    ) throws(JSONError) -> Timestamp? {
        // Go writes `null` for a time that it has not.
        try reader.stringOrNull().flatMap { KubeletReading.time($0, &rejected) }
    }

    /// The kubelet's numbers are unsigned and may exceed a signed 64-bit integer.
    private static func amount(
        _ reader: inout JSONReader, _ limit: Double, _ rejected: inout Rejections
    ) throws(JSONError) -> Double? {
        if try reader.isNull() { return nil }
        return KubeletReading.amount(try reader.double(), upTo: limit, &rejected)
    }
}
