import Crypto
import Messages
import Support

/// What was measured of one resource at one time.
struct TelemetryPoint: Sendable, Equatable {
    var kind: TelemetryKind
    /// The resource: Nova's id of the server, or made of names.
    var id: UUID5
    var at: Timestamp
    /// Attributes of the resource.
    var attributes: [String: String]
    /// Finite numbers only; in the order of the kind's gauges.
    var values: [(gauge: TelemetryGauge, value: Double)]

    static func == (left: TelemetryPoint, right: TelemetryPoint) -> Bool {
        left.kind == right.kind && left.id == right.id && left.at == right.at && left.attributes == right.attributes
            && left.values.map(\.gauge) == right.values.map(\.gauge)
            && left.values.map(\.value) == right.values.map(\.value)
    }

    /// nil when nothing is known: a point without values would only cost Gnocchi time. Nor is there one of a time before 1970:
    /// Ceilometer and Gnocchi would refuse all that goes with it.
    init?(
        _ kind: TelemetryKind, id: UUID5, at: Timestamp, attributes: [String: String],
        _ values: [(TelemetryGauge, Double?)]
    ) {
        self.kind = kind
        self.id = id
        self.at = at
        self.attributes = attributes
        // `NaN` would come back out of Gnocchi as JSON that no strict reader takes.
        self.values = values.compactMap { gauge, value in
            guard let value, value.isFinite else { return nil }
            return (gauge, value)
        }
        if self.values.isEmpty || at.microseconds < 0 { return nil }
    }
}

/// Makes points of what was measured. Pure.
struct TelemetryPoints: Sendable {
    /// As what a node is sent.
    var kinds: Set<TelemetryKind>
    let cluster: String
    /// Network and file systems that were measured so long before the rest are not sent again.
    let detailsLast: Interval

    /// The namespace of all ids that are made of names.
    static let namespace = UUID5(namespace: .dns, name: TelemetryKind.root)

    private let root: UUID5

    /// - Parameter detailsLast: nil: they are sent for as long as they are repeated.
    init(cluster: String, kinds: Set<TelemetryKind>, detailsLast: Interval? = nil) {
        self.detailsLast = detailsLast ?? .minutes(1_440)
        self.cluster = cluster
        self.kinds = kinds
        root = UUID5(namespace: Self.namespace, name: cluster)
    }

    /// The id of the cluster's resource.
    var clusterID: UUID5 { UUID5(namespace: root, name: TelemetryKind.cluster.name()) }
    /// The id of a node's resource of our own type.
    func nodeID(_ name: String) -> UUID5 { UUID5(namespace: root, name: TelemetryKind.node.name(name)) }
    /// The id of a pod's resource: by name, so that a StatefulSet's pod keeps it.
    func podID(_ namespace: String, _ name: String) -> UUID5 {
        UUID5(namespace: root, name: TelemetryKind.pod.name(namespace, name))
    }
    /// The id of a container's resource.
    func containerID(_ namespace: String, _ pod: String, _ name: String) -> UUID5 {
        UUID5(namespace: root, name: TelemetryKind.container.name(namespace, pod, name))
    }

    /// The points of the cluster as a whole: the canary, and its pods while they are known.
    func cluster(running: Int?, pending: Int?, at now: Timestamp) -> [TelemetryPoint] {
        guard kinds.contains(.cluster) else { return [] }
        let point = TelemetryPoint(
            .cluster, id: clusterID, at: now, attributes: ["name": cluster],
            [
                (.podsRunning, running.map(Double.init)), (.podsPending, pending.map(Double.init)),
                (.canary, Double(now.microseconds) / 1e6),
            ])
        return point.map { [$0] } ?? []
    }

    /// The points of a node with its pods and containers. What is stale is not sent: it was sent when it was new.
    func points(_ measured: UsageMeter.Measured, group: String?) -> [TelemetryPoint] {
        guard !measured.node.stale else { return [] }
        var points: [TelemetryPoint] = []
        node(measured.node, group, &points)
        for pod in measured.pods { add(pod, &points) }
        return points
    }

    /// What is known of network and file systems, if it is not from a page that should long have been followed by another: an
    /// alarm would see a flat line.
    private func isCurrent(_ details: Timestamp?, _ at: Timestamp) -> Bool {
        details.map { at - $0 <= detailsLast } ?? true
    }

    private func node(_ node: NodeStats.Sample, _ group: String?, _ points: inout [TelemetryPoint]) {
        let isKnown = isCurrent(node.detailsAt, node.at)
        let values: [(TelemetryGauge, Double?)] = [
            (.cpuUsage, node.cpuMillis.map { $0 / 1_000 }), (.cpuUtilization, node.cpuUtilization),
            (.memory, node.memoryBytes.map(Double.init)), (.memoryUtilization, node.memoryUtilization),
            (.received, isKnown ? node.receivedPerSecond : nil), (.sent, isKnown ? node.sentPerSecond : nil),
            (.disk, isKnown ? node.diskBytes : nil), (.diskUtilization, isKnown ? node.diskUtilization : nil),
            (.podsRunning, node.podsRunning.map(Double.init)), (.podsPending, node.podsPending.map(Double.init)),
        ]
        let server = node.serverID.flatMap { UUID5($0) }
        if kinds.contains(.node) {
            var attributes = ["name": node.node, "cluster": cluster]
            attributes["group"] = group
            attributes["server_id"] = server?.description
            TelemetryPoint(.node, id: nodeID(node.node), at: node.at, attributes: attributes, values)
                .map { points.append($0) }
        }
        if kinds.contains(.instance), let server {
            TelemetryPoint(.instance, id: server, at: node.at, attributes: [:], values).map { points.append($0) }
        }
    }

    private func add(_ pod: PodStats.Sample, _ points: inout [TelemetryPoint]) {
        let isKnown = isCurrent(pod.detailsAt, pod.at)
        if kinds.contains(.pod) {
            let attributes = ["name": pod.pod, "namespace": pod.namespace, "cluster": cluster, "node": pod.node]
            TelemetryPoint(
                .pod, id: podID(pod.namespace, pod.pod), at: pod.at, attributes: attributes,
                [
                    (.cpuUsage, pod.cpuMillis.map { $0 / 1_000 }), (.cpuUtilization, pod.cpuUtilization),
                    (.memory, pod.memoryBytes.map(Double.init)), (.memoryUtilization, pod.memoryUtilization),
                    (.received, isKnown ? pod.receivedPerSecond : nil), (.sent, isKnown ? pod.sentPerSecond : nil),
                    (.disk, isKnown ? pod.diskBytes : nil),
                ]
            ).map { points.append($0) }
        }
        guard kinds.contains(.container) else { return }
        for container in pod.containers ?? [] {
            let attributes = [
                "name": container.name, "namespace": pod.namespace, "pod": pod.pod, "cluster": cluster,
                "node": pod.node,
            ]
            TelemetryPoint(
                .container, id: containerID(pod.namespace, pod.pod, container.name), at: pod.at,
                attributes: attributes,
                [
                    (.cpuUsage, container.cpuMillis.map { $0 / 1_000 }), (.cpuUtilization, container.cpuUtilization),
                    (.memory, container.memoryBytes.map(Double.init)),
                    (.memoryUtilization, container.memoryUtilization), (.disk, isKnown ? container.diskBytes : nil),
                ]
            ).map { points.append($0) }
        }
    }
}
