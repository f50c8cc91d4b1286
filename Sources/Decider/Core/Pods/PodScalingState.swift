import Messages
import Support

/// Pod scalers between two evaluations: stats, and where pods and targets are found.
struct PodScalingState: Sendable {
    /// A stat of pods, by name.
    enum Stat: Sendable {
        case cpu, memory, disk, received, sent
        case own(String)

        /// Whether kubelets tell it less often than the others.
        var isDetail: Bool {
            switch self {
            case .disk, .received, .sent: true
            case .cpu, .memory, .own: false
            }
        }

        /// Whether it is told by the pod itself.
        var isOwn: Bool {
            if case .own = self { return true }
            return false
        }

        var isCPU: Bool {
            if case .cpu = self { return true }
            return false
        }

        init(_ name: String) {
            switch name {
            case "cpu": self = .cpu
            case "memory": self = .memory
            case "disk": self = .disk
            case "received": self = .received
            case "sent": self = .sent
            default: self = .own(name)
            }
        }
    }

    /// A value and when it was measured.
    struct Timed: Sendable {
        var value: Double
        var at: Timestamp
    }

    /// What a container of a pod uses; absent ones are nil.
    struct ContainerLoad: Sendable {
        var cpu: Double?
        var memory: Double?
    }

    /// What a kubelet said of a pod as a whole; absent stats are nil. Without anything that has to be retained: it is copied for each
    /// pod in each look.
    struct Usage: Sendable {
        /// When the kubelet measured.
        var at: Timestamp
        /// When it measured disk and network.
        var detailsAt: Timestamp
        var cpu: Double?
        /// The same in whole thousandths, rounded up by container; nil: rounded up by pod.
        var wholeCPU: Double?
        var memory: Double?
        var disk: Double?
        var received: Double?
        var sent: Double?

        /// A stat; one of the pod's own is none of them.
        subscript(stat: Stat) -> Timed? {
            switch stat {
            case .cpu: cpu.map { Timed(value: $0, at: at) }
            case .memory: memory.map { Timed(value: $0, at: at) }
            case .disk: disk.map { Timed(value: $0, at: detailsAt) }
            case .received: received.map { Timed(value: $0, at: detailsAt) }
            case .sent: sent.map { Timed(value: $0, at: detailsAt) }
            case .own: nil
            }
        }
    }

    /// By the scaler's id.
    var runtimes: [String: ScalerRuntime] = [:]
    /// The last stats of each pod.
    var loads = PodLoads()
    var external = ExternalTable()
    /// By the target that became smaller.
    var leaving: [String: LeavingPods] = [:]
    /// The state of the cluster in which it was last looked for them.
    var leavingRevision = -1
    /// When scalers were last looked at.
    var evaluatedAt: Timestamp?
    /// What was looked at then.
    var evaluatedRevision = -1
    var roster = ScalerRoster()
    var index = PodIndex()
    var bindings = ScalerBindings()
    /// As they were found last.
    var bound: BoundScalers?
    /// Ids that the ledger has been told of.
    var told: Set<String> = []
    /// The scalers of which nothing else is remembered.
    var keptRevision = -1
}

/// Which pods each class has, found anew when the cluster has changed.
struct PodIndex: Sendable {
    private var revision = -1
    /// Records of the pods of each class.
    private(set) var podsOfClass: [[Int32]] = []

    mutating func update(_ model: ClusterModel) {
        // (A class may come without a change of the cluster: of a static pod of a node that is gone.)
        guard revision != model.revision || podsOfClass.count < model.catalog.classes.count else { return }
        revision = model.revision
        let classes = model.catalog.classes.count
        for index in podsOfClass.indices { podsOfClass[index].removeAll(keepingCapacity: true) }
        while podsOfClass.count < classes { podsOfClass.append([]) }
        for (index, brief) in model.podBriefs.enumerated() where brief.podClass >= 0 {
            podsOfClass[Int(brief.podClass)].append(Int32(index))
        }
    }

    /// Records of the pods of some classes.
    func pods(_ classes: [Int32]) -> [Int32] {
        if classes.count == 1 { return podsOfClass[Int(classes[0])] }
        return classes.flatMap { podsOfClass[Int($0)] }
    }
}

/// Which classes of pods a selector finds. Found by labels, so that a thousand selectors do not look at every class.
struct ScalerBindings: Sendable {
    private struct Key: Hashable, Sendable {
        var namespace: String
        var selector: LabelSelector
    }

    private struct Label: Hashable, Sendable {
        var namespace: String
        var key: String
        var value: String
    }

    private var revision = -1
    private var known = 0
    private var byLabel: [Label: [Int32]] = [:]
    private var byNamespace: [String: [Int32]] = [:]
    private var found: [Key: [Int32]] = [:]

    mutating func update(_ model: ClusterModel) {
        if revision != model.classesRevision {
            self = ScalerBindings()
            revision = model.classesRevision
        }
        let classes = model.catalog.classes
        guard known < classes.count else { return }
        for number in known..<classes.count {
            let shape = classes[number].shape
            byNamespace[shape.namespace, default: []].append(Int32(number))
            for (key, value) in shape.labels {
                byLabel[Label(namespace: shape.namespace, key: key, value: value), default: []].append(Int32(number))
            }
        }
        known = classes.count
        found = [:]
    }

    /// The classes of a namespace that the selector matches; nil matches none.
    mutating func classes(_ selector: LabelSelector?, in namespace: String, _ model: ClusterModel) -> [Int32] {
        guard let selector, !selector.requirements.isEmpty else { return [] }
        let key = Key(namespace: namespace, selector: selector)
        if let known = found[key] { return known }
        let narrow = selector.requirements.first { $0.operator == .in }
        let candidates =
            narrow.map { requirement in
                Set(requirement.values).sorted().flatMap {
                    byLabel[Label(namespace: namespace, key: requirement.key, value: $0)] ?? []
                }
            } ?? byNamespace[namespace] ?? []
        let classes = candidates.filter { selector.matches(model.catalog.classes[Int($0)].shape.labels) }
        found[key] = classes
        return classes
    }
}
