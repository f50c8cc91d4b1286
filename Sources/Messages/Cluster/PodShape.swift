/// Everything about a pod that its replicas share: what it needs, where it may run, and how it may be moved.
///
/// Pods refer to shapes by number, so that 30,000 pods of 50 workloads cost 50 shapes. Two pods with equal shapes are
/// interchangeable for placing, except for what `Pod` itself holds (claims, nominated node).
public struct PodShape: Sendable, Hashable, Codable {
    /// The controller that owns a pod.
    public struct Owner: Sendable, Hashable, Codable {
        /// e.g. `ReplicaSet`.
        public var kind: String
        /// e.g. `apps/v1`.
        public var apiVersion: String
        /// Its name.
        public var name: String
        /// Its UID.
        public var uid: String

        /// From its parts.
        public init(kind: String, apiVersion: String = "", name: String, uid: String = "") {
            self.kind = kind
            self.apiVersion = apiVersion
            self.name = name
            self.uid = uid
        }
    }

    /// A host port.
    public struct HostPort: Sendable, Hashable, Codable {
        /// 1…65535.
        public var port: Int32
        /// `TCP`, `UDP` or `SCTP`.
        public var transport: String
        /// Empty or `0.0.0.0`: all addresses.
        public var address: String

        /// From its parts.
        public init(port: Int32, transport: String = "TCP", address: String = "") {
            self.port = port
            self.transport = transport
            self.address = address
        }
    }

    /// A volume that bears on moving the pod. Claims are in `Pod.claims`.
    public struct LocalVolume: Sendable, Hashable, Codable {
        /// The volume's name.
        public var name: String
        /// `hostPath`, `emptyDir` or `emptyDirMemory`.
        public var kind: String

        /// From its parts.
        public init(name: String, kind: String) {
            self.name = name
            self.kind = kind
        }
    }

    /// What one of several containers requests.
    public struct ContainerRequest: Sendable, Hashable, Codable {
        /// The container's name.
        public var name: String
        /// CPU in thousandths of a core; zero: none.
        public var cpuMillis: Int64
        /// Memory in bytes; zero: none.
        public var memoryBytes: Int64
        /// Whether its zero of CPU is a request that somebody wrote, rather than that there is none; nil: no.
        public var saysZeroCPU: Bool?
        /// Whether its zero of memory is a request that somebody wrote, rather than that there is none; nil: no.
        public var saysZeroMemory: Bool?

        /// From its parts.
        public init(
            name: String, cpuMillis: Int64, memoryBytes: Int64, saysZeroCPU: Bool? = nil, saysZeroMemory: Bool? = nil
        ) {
            self.name = name
            self.cpuMillis = cpuMillis
            self.memoryBytes = memoryBytes
            self.saysZeroCPU = saysZeroCPU
            self.saysZeroMemory = saysZeroMemory
        }
    }

    /// The pods' namespace.
    public var namespace: String
    /// Labels.
    public var labels: [String: String]
    /// Annotations that mean something to Updraft (keys of `updraft.io/`, of cluster-autoscaler, `kubernetes.io/config.mirror`).
    public var annotations: [String: String]
    /// The owner with `controller: true`; nil for bare pods.
    public var owner: Owner?
    /// What the scheduler counts: max(init containers, sum of containers) + overhead.
    public var requests: ResourceList
    /// What its containers request together while it runs, without initialization and overhead, which use is compared with; nil:
    /// as `requests`.
    public var runningRequests: ResourceList?
    /// What each container that runs with the pod requests; nil: there is only one, which requests all that the pod does.
    public var containers: [ContainerRequest]?
    /// Whether requests are said for the pod as a whole (`spec.resources`), so that its containers need none of their own; nil: no.
    public var requestsAsWhole: Bool?
    /// `spec.priority`; nil when absent, which is not the same as zero for the expendable cut-off.
    public var priority: Int32?
    /// `spec.nodeSelector`.
    public var nodeSelector: [String: String]
    /// Required node affinity: any term suffices. Nil: no requirement; empty: matches no node.
    public var nodeAffinity: [NodeSelectorTerm]?
    /// Preferred node affinity.
    public var preferredNodeAffinity: [WeightedNodeTerm]
    /// Tolerations.
    public var tolerations: [Toleration]
    /// Pod affinity; terms with a weight are preferences.
    public var podAffinity: [PodAffinityTerm]
    /// Pod anti-affinity; terms with a weight are preferences.
    public var podAntiAffinity: [PodAffinityTerm]
    /// Topology spread constraints.
    public var topologySpread: [TopologySpreadConstraint]
    /// Host ports of all containers.
    public var hostPorts: [HostPort]
    /// Volumes on the node's own disk or memory.
    public var localVolumes: [LocalVolume]
    /// `spec.schedulerName`.
    public var schedulerName: String
    /// `Always`, `OnFailure` or `Never`.
    public var restartPolicy: String
    /// `spec.terminationGracePeriodSeconds`; Kubernetes' default is 30.
    public var gracePeriodSeconds: Int64
    /// Whether the pod has the readiness gate `updraft.io/serving`.
    public var hasServingGate: Bool

    /// A pod without demands unless said otherwise.
    public init(
        namespace: String = "default", labels: [String: String] = [:], annotations: [String: String] = [:],
        owner: Owner? = nil, requests: ResourceList = ResourceList(), priority: Int32? = nil,
        nodeSelector: [String: String] = [:], nodeAffinity: [NodeSelectorTerm]? = nil,
        preferredNodeAffinity: [WeightedNodeTerm] = [],
        tolerations: [Toleration] = [], podAffinity: [PodAffinityTerm] = [], podAntiAffinity: [PodAffinityTerm] = [],
        topologySpread: [TopologySpreadConstraint] = [], hostPorts: [HostPort] = [], localVolumes: [LocalVolume] = [],
        schedulerName: String = "default-scheduler", restartPolicy: String = "Always", gracePeriodSeconds: Int64 = 30,
        hasServingGate: Bool = false
    ) {
        self.namespace = namespace
        self.labels = labels
        self.annotations = annotations
        self.owner = owner
        self.requests = requests
        self.priority = priority
        self.nodeSelector = nodeSelector
        self.nodeAffinity = nodeAffinity
        self.preferredNodeAffinity = preferredNodeAffinity
        self.tolerations = tolerations
        self.podAffinity = podAffinity
        self.podAntiAffinity = podAntiAffinity
        self.topologySpread = topologySpread
        self.hostPorts = hostPorts
        self.localVolumes = localVolumes
        self.schedulerName = schedulerName
        self.restartPolicy = restartPolicy
        self.gracePeriodSeconds = gracePeriodSeconds
        self.hasServingGate = hasServingGate
    }
}
