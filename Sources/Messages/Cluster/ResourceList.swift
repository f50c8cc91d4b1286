/// Amounts of what a node offers or a pod requests. Absent means zero for the scheduler.
public struct ResourceList: Sendable, Hashable {
    /// CPU in thousandths of a core.
    public var cpuMillis: Int64
    /// Memory in bytes.
    public var memoryBytes: Int64
    /// Local ephemeral storage in bytes.
    public var ephemeralStorageBytes: Int64
    /// Number of pods (allocatable of a node; zero in requests, where each pod counts as one).
    public var pods: Int64
    /// Extended resources by name, e.g. `nvidia.com/gpu`, and huge pages in bytes.
    public var extended: [String: Int64]

    /// All zero unless given.
    public init(
        cpuMillis: Int64 = 0, memoryBytes: Int64 = 0, ephemeralStorageBytes: Int64 = 0, pods: Int64 = 0,
        extended: [String: Int64] = [:]
    ) {
        self.cpuMillis = cpuMillis
        self.memoryBytes = memoryBytes
        self.ephemeralStorageBytes = ephemeralStorageBytes
        self.pods = pods
        self.extended = extended
    }
}

extension ResourceList: Codable {
    enum CodingKeys: String, CodingKey {
        case cpuMillis, memoryBytes, ephemeralStorageBytes, pods, extended
    }

    /// More than any machine has. Sums over a hundred thousand pods stay within 64 bits.
    public static let most: Int64 = 1 << 46

    /// Absent fields are zero. An amount that no machine has is taken for the most that counts, and a negative one for none:
    /// whoever may make a pod may have it ask for eight exabytes, and two of those are more than a number holds.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func amount(_ key: CodingKeys) throws -> Int64 {
            min(max(0, try container.decodeIfPresent(Int64.self, forKey: key) ?? 0), Self.most)
        }
        self.init(
            cpuMillis: try amount(.cpuMillis), memoryBytes: try amount(.memoryBytes),
            ephemeralStorageBytes: try amount(.ephemeralStorageBytes), pods: try amount(.pods),
            extended: (try container.decodeIfPresent([String: Int64].self, forKey: .extended) ?? [:])
                .mapValues { min(max(0, $0), Self.most) })
    }

    /// Zero fields are left out.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if cpuMillis != 0 { try container.encode(cpuMillis, forKey: .cpuMillis) }
        if memoryBytes != 0 { try container.encode(memoryBytes, forKey: .memoryBytes) }
        if ephemeralStorageBytes != 0 { try container.encode(ephemeralStorageBytes, forKey: .ephemeralStorageBytes) }
        if pods != 0 { try container.encode(pods, forKey: .pods) }
        if !extended.isEmpty { try container.encode(extended, forKey: .extended) }
    }
}
