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

    /// Absent fields are zero.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            cpuMillis: try container.decodeIfPresent(Int64.self, forKey: .cpuMillis) ?? 0,
            memoryBytes: try container.decodeIfPresent(Int64.self, forKey: .memoryBytes) ?? 0,
            ephemeralStorageBytes: try container.decodeIfPresent(Int64.self, forKey: .ephemeralStorageBytes) ?? 0,
            pods: try container.decodeIfPresent(Int64.self, forKey: .pods) ?? 0,
            extended: try container.decodeIfPresent([String: Int64].self, forKey: .extended) ?? [:])
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
