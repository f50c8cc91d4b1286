import Messages

/// A demand in one dimension.
struct Need: Hashable, Sendable {
    var dimension: Int
    var amount: Int64
}

/// A hard topology spread constraint of a pod, ready for checking.
struct SpreadCheck: Hashable, Sendable {
    var counter: Int
    var key: Int
    var maxSkew: Int32
    var minDomains: Int32
    var countsItself: Bool
}

/// A check against the counter of a topology domain.
struct DomainCheck: Hashable, Sendable {
    var counter: Int
    var key: Int
}

/// Pods that are interchangeable for placing: a shape with its volumes' places, and what it means for the simulation.
struct PodClass: Sendable {
    let shape: PodShape
    var needs: [Need]
    var predicate: Int
    var ports: [Int]
    var spread: [SpreadCheck] = []
    var affinity: [DomainCheck] = []
    var satisfiesOwnAffinity = false
    var antiAffinity: [DomainCheck] = []
    /// Counters of other pods' anti-affinity terms that this pod would violate.
    var blockedBy: [DomainCheck] = []
    /// Counters of its own required anti-affinity terms.
    var carried: [Int] = []
    /// Counters that grow by one with each pod of the class.
    var bumps: [Int] = []
    /// Counters that a terminating pod still holds.
    var terminatingBumps: [Int] = []
    /// Equal for classes that no simulation can tell apart.
    var behaviour = 0

    /// Whether only resources and the predicate decide, so that many can be placed at once.
    var isPlain: Bool {
        spread.isEmpty && affinity.isEmpty && antiAffinity.isEmpty && blockedBy.isEmpty && ports.isEmpty
    }

    /// Whether it belongs to a DaemonSet, or says that it is to be treated so.
    let isDaemonSet: Bool
    /// Whether it is a static pod's mirror.
    let isMirror: Bool
    /// Whether the kubelet has it from elsewhere than the API server.
    var isStatic: Bool {
        shape.annotations["kubernetes.io/config.source"].map { $0 != "api" } ?? isMirror
    }
    /// Whether it stays with its node.
    var isFixed: Bool { isDaemonSet || isMirror }

    init(shape: PodShape, needs: [Need], predicate: Int, ports: [Int]) {
        self.shape = shape
        self.needs = needs
        self.predicate = predicate
        self.ports = ports
        isDaemonSet =
            shape.owner?.kind == "DaemonSet"
            || shape.annotations["cluster-autoscaler.kubernetes.io/daemonset-pod"] == "true"
        isMirror = shape.annotations[RemovalNames.mirror] != nil
    }
}

/// What distinguishes a class for the simulation.
struct Behaviour: Hashable, Sendable {
    var needs: [Need]
    var predicate: Int
    var ports: [Int]
    var spread: [SpreadCheck]
    var affinity: [DomainCheck]
    var satisfiesOwnAffinity: Bool
    var antiAffinity: [DomainCheck]
    var blockedBy: [DomainCheck]
    var bumps: [Int]
}
