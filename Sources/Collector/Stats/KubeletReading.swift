import Support

/// What a kubelet says of the use of its node, pods and containers at one moment.
struct KubeletReading: Sendable, Equatable {
    /// Bytes through the network since the start.
    struct Traffic: Sendable, Equatable {
        var received: Double
        var sent: Double
        /// Interfaces that were added up. Sums of more and of fewer are not compared: what joins would look like traffic.
        var parts = 1
    }

    /// A file system, or what of it somebody uses.
    struct Disk: Sendable, Equatable {
        var usedBytes: Double
        /// nil where it is not known.
        var capacityBytes: Double?
    }

    /// Use of a node, a pod or a container.
    struct Use: Sendable, Equatable {
        /// When it was measured; nil where the page does not say.
        var at: Timestamp?
        /// CPU time since the start, in core-seconds.
        var cpuSeconds: Double?
        /// CPU in use at the moment, in thousandths of a core, where the source tells it itself.
        var cpuMillis: Double?
        /// Working set in bytes.
        var memoryBytes: Int64?
        /// Network; containers of a pod share the pod's.
        var traffic: Traffic?
        /// File system.
        var disk: Disk?

        var isEmpty: Bool { cpuSeconds == nil && cpuMillis == nil && memoryBytes == nil }
    }

    /// A pod by namespace and name.
    struct PodKey: Sendable, Hashable {
        var namespace: String
        var name: String
    }

    /// A container's use.
    struct Container: Sendable, Equatable {
        var name: String
        var use = Use()
    }

    /// A pod's use.
    struct Pod: Sendable, Equatable {
        var key: PodKey
        var uid: String?
        var use = Use()
        var containers: [Container] = []
        /// Whether the CPU and memory of `use` are sums of the containers'.
        var isSum = false

        /// A pod without numbers of its own has the sums of its containers': of what each of them tells. What one does not tell
        /// is not known of the pod either, for it is not zero.
        mutating func addUp() {
            guard use.isEmpty, !containers.isEmpty else { return }
            isSum = true
            for container in containers { use.at = container.use.at ?? use.at }
            use.cpuSeconds = sum(\.cpuSeconds, 0, +)
            use.cpuMillis = sum(\.cpuMillis, 0, +)
            // Saturates: what no node has is then rejected like a single such amount.
            use.memoryBytes = sum(\.memoryBytes, 0) { min($0, .max - $1) + $1 }
        }

        private func sum<Number>(
            _ part: KeyPath<Use, Number?>, _ zero: Number, _ add: (Number, Number) -> Number
        ) -> Number? {
            var sum = zero
            for container in containers {
                guard let value = container.use[keyPath: part] else { return nil }
                sum = add(sum, value)
            }
            return sum
        }
    }

    var node = Use()
    var pods: [Pod] = []
    /// What was not used.
    var rejected = Rejections()

    /// Itself, if it holds anything about the node.
    var ofNode: KubeletReading? { node.isEmpty ? nil : self }

    subscript(_ namespace: String, _ name: String) -> Pod? {
        pods.first { $0.key.name == name && $0.key.namespace == namespace }
    }

    /// Most pods taken from one kubelet: far above what any runs.
    static let maximumPods = 5_000
    /// Most containers taken from one kubelet.
    static let maximumContainers = 20_000

    /// 2^60: above any counter of bytes, and leaves room for sums.
    static let largestBytes = 1.152921504606847e18
    /// Two thousand cores for a hundred years.
    static let largestCPUSeconds = 6.4e12

    /// An amount if it can be one; else it is counted.
    static func amount(_ value: Double, upTo limit: Double, _ rejected: inout Rejections) -> Double? {
        guard value.isFinite else {
            rejected.count(.notFinite)
            return nil
        }
        guard value >= 0 else {
            rejected.count(.negative)
            return nil
        }
        guard value <= limit else {
            rejected.count(.outOfRange)
            return nil
        }
        return value
    }

    /// More than a file system holds is a mistake of units. Some count what they keep for themselves, so a tenth more may be.
    private static let fullest = 1.1

    /// What is used of a file system, if that can be; else it is counted.
    /// - Parameter capacity: nil, or zero as some say: it is not known.
    static func disk(used: Double, capacity: Double?, _ rejected: inout Rejections) -> Disk? {
        guard let capacity, capacity > 0 else { return Disk(usedBytes: used) }
        guard used <= capacity * fullest else {
            rejected.count(.wrongUnit)
            return nil
        }
        return Disk(usedBytes: used, capacityBytes: capacity)
    }

    /// Times from 1970 to 2200. Go writes the first of January of the year 1 where it has none; that and the like would make
    /// others refuse all that comes along with it.
    private static let possibleTimes = Timestamp(seconds: 0)..<Timestamp(seconds: 7_258_118_400)

    /// A time if it can be one; else it is counted, and the page says no time.
    static func time(_ time: Timestamp, _ rejected: inout Rejections) -> Timestamp? {
        if possibleTimes.contains(time) { return time }
        rejected.count(.badTime)
        return nil
    }

    /// The same of a time as JSON has it.
    static func time(_ text: String, _ rejected: inout Rejections) -> Timestamp? {
        guard let read = Timestamp(text) else {
            rejected.count(.badTime)
            return nil
        }
        return time(read, &rejected)
    }

    /// Whether Kubernetes allows the name: letters, digits, `-` and `.`, at most 253. Upper case and `_` are in use for
    /// containers of other runtimes.
    static func isName(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.count <= 253
            && bytes.allSatisfy { byte in
                (byte | 0x20) &- 0x61 < 26 || byte &- 0x30 < 10 || byte == 0x2D || byte == 0x2E || byte == 0x5F
            }
    }
}
