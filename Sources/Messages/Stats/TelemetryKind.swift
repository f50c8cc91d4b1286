/// What a resource of Gnocchi stands for. The names here are also in `deploy/telemetry`, and a test compares them.
public enum TelemetryKind: String, Sendable, CaseIterable {
    /// The cluster as a whole.
    case cluster
    /// A node, as a resource of our own type.
    case node
    /// The same node's server: its samples join those that Ceilometer has of the instance.
    case instance
    /// A pod.
    case pod
    /// A container.
    case container

    /// Type of the resource in Gnocchi.
    public var resourceType: String {
        switch self {
        case .instance: "instance"
        case .cluster, .node, .pod, .container: "kubernetes_\(rawValue)"
        }
    }

    /// What is measured of it.
    public var gauges: [TelemetryGauge] {
        switch self {
        case .cluster: [.podsRunning, .podsPending, .canary]
        case .node, .instance:
            [
                .cpuUsage, .cpuUtilization, .memory, .memoryUtilization, .received, .sent, .disk, .diskUtilization,
                .podsRunning, .podsPending,
            ]
        case .pod: [.cpuUsage, .cpuUtilization, .memory, .memoryUtilization, .received, .sent, .disk]
        case .container: [.cpuUsage, .cpuUtilization, .memory, .memoryUtilization, .disk]
        }
    }

    /// The attributes of the resource beside those of every resource, required ones first. Our own types only: the
    /// attributes of an instance are Nova's to say.
    public var attributes: [(name: String, isRequired: Bool)] {
        switch self {
        case .cluster: [("name", true)]
        case .node: [("name", true), ("cluster", false), ("group", false), ("server_id", false)]
        case .instance: []
        case .pod: [("name", true), ("namespace", true), ("cluster", false), ("node", false)]
        case .container: [("name", true), ("namespace", true), ("pod", false), ("cluster", false), ("node", false)]
        }
    }

    /// Who waits when not all can be sent: the higher ones.
    public var lane: Int {
        switch self {
        case .cluster, .node, .instance: 0
        case .pod: 1
        case .container: 2
        }
    }
}

/// What is measured. All are gauges, ready for an alarm without any rate to be computed.
public enum TelemetryGauge: String, Sendable, CaseIterable {
    /// Cores in use.
    case cpuUsage = "cpu.usage"
    /// 0…1 of what is allocatable (nodes; containers: on their node) or requested (pods).
    case cpuUtilization = "cpu.utilization"
    /// Working set.
    case memory = "memory.working_set"
    /// As of CPU.
    case memoryUtilization = "memory.utilization"
    /// Bytes a second.
    case received = "network.received"
    /// Bytes a second.
    case sent = "network.sent"
    /// Bytes on the node's file system.
    case disk = "disk.used"
    /// 0…1 of the file system.
    case diskUtilization = "disk.utilization"
    /// Pods that run.
    case podsRunning = "pods.running"
    /// Pods that do not run yet; of the cluster also those without a node.
    case podsPending = "pods.pending"
    /// Seconds since 1970 when it was sent: whoever reads it back knows how long the way is.
    case canary

    /// Gnocchi keeps the unit that a metric was first made with.
    public var unit: String {
        switch self {
        case .cpuUsage: "core"
        case .cpuUtilization, .memoryUtilization, .diskUtilization: "1"
        case .memory, .disk: "B"
        case .received, .sent: "B/s"
        case .podsRunning, .podsPending: "pod"
        case .canary: "s"
        }
    }

    /// Name of the meter: one for each kind of resource, since Ceilometer lets a name belong to one type only.
    public func meter(of kind: TelemetryKind) -> String { "kubernetes.\(kind.rawValue).\(rawValue)" }
}

extension TelemetryKind {
    /// What ids that are made of names are made of (`UUID5`): `updraft.io` in the namespace of the DNS, in that the
    /// cluster's name, in that `name(…)`. Never changes: else every resource would be a new one.
    public static let root = "updraft.io"

    /// The name within the cluster: `cluster`, `node/worker-1`, `pod/default/web-0`, `container/default/web-0/app`.
    public func name(_ parts: String...) -> String { ([rawValue] + parts).joined(separator: "/") }
}
