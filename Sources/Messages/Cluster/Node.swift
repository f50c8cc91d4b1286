import Support

/// A Kubernetes node, reduced to what decisions need.
public struct Node: Sendable, Hashable, Codable {
    /// A condition that blocks nothing by itself but is worth naming.
    public enum Readiness: String, Sendable, Codable {
        /// `Ready=True`.
        case ready
        /// `Ready=False`: the kubelet says why in `readinessReason`.
        case notReady
        /// `Ready=Unknown`: the kubelet is silent.
        case unknown
    }

    /// `metadata.name`.
    public var name: String
    /// `metadata.uid`.
    public var uid: String
    /// `spec.providerID`, e.g. `openstack:///<server uuid>`; nil until set.
    public var providerID: String?
    /// Labels.
    public var labels: [String: String]
    /// Annotations that mean something to Updraft (keys of `updraft.io/` and of cluster-autoscaler).
    public var annotations: [String: String]
    /// Taints.
    public var taints: [Taint]
    /// `spec.unschedulable`.
    public var unschedulable: Bool
    /// What pods may use.
    public var allocatable: ResourceList
    /// What the machine has.
    public var capacity: ResourceList
    /// Whether the kubelet says that it is ready.
    public var readiness: Readiness
    /// Since when `readiness` holds.
    public var readinessChangedAt: Timestamp?
    /// The condition's reason and message when not ready, shortened.
    public var readinessReason: String?
    /// Conditions other than Ready that are true (`DiskPressure`…).
    public var pressures: [String]
    /// `metadata.creationTimestamp`.
    public var createdAt: Timestamp
    /// Set once somebody deleted the object.
    public var deletedAt: Timestamp?
    /// Internal address for the kubelet, if known.
    public var address: String?
    /// Port of the kubelet.
    public var kubeletPort: Int32?

    /// From its parts; the rest as of a plain ready node.
    public init(
        name: String, uid: String = "", providerID: String? = nil, labels: [String: String] = [:],
        annotations: [String: String] = [:], taints: [Taint] = [], unschedulable: Bool = false,
        allocatable: ResourceList, capacity: ResourceList? = nil, readiness: Readiness = .ready,
        readinessChangedAt: Timestamp? = nil, readinessReason: String? = nil, pressures: [String] = [],
        createdAt: Timestamp = Timestamp(seconds: 0), deletedAt: Timestamp? = nil, address: String? = nil,
        kubeletPort: Int32? = nil
    ) {
        self.name = name
        self.uid = uid
        self.providerID = providerID
        self.labels = labels
        self.annotations = annotations
        self.taints = taints
        self.unschedulable = unschedulable
        self.allocatable = allocatable
        self.capacity = capacity ?? allocatable
        self.readiness = readiness
        self.readinessChangedAt = readinessChangedAt
        self.readinessReason = readinessReason
        self.pressures = pressures
        self.createdAt = createdAt
        self.deletedAt = deletedAt
        self.address = address
        self.kubeletPort = kubeletPort
    }

    /// The server's UUID out of the provider id: `openstack:///<uuid>` or `openstack://<region>/<uuid>`; as Nova writes it, in
    /// lower case, while a machine's firmware may print capitals. Nil also for the name of EC2's fashion that old metadata
    /// gives (`i-0000001f`): which server that is cannot be told from it.
    public var serverID: String? {
        guard let providerID, providerID.hasPrefix("openstack://"),
            let last = providerID.split(separator: "/").last?.lowercased(), !last.hasSuffix(":"), last.utf8.count >= 8,
            !last.hasPrefix("i-")
        else { return nil }
        return last
    }

    /// Whether it may be any server of OpenStack, since it does not say which: it has no provider id yet, one without a server's
    /// id, or one that a distribution makes out of the node's name. Another cloud's provider id tells that it is none.
    public var mayBeAnyServer: Bool {
        guard serverID == nil, let providerID, !providerID.isEmpty else { return serverID == nil }
        return ["openstack://", "k3s://", "rke2://", "k0s://"].contains { providerID.hasPrefix($0) }
    }

    /// Whether it is labelled as part of the control plane, which no group owns.
    public var isControlPlane: Bool {
        labels["node-role.kubernetes.io/control-plane"] != nil || labels["node-role.kubernetes.io/master"] != nil
    }
}
