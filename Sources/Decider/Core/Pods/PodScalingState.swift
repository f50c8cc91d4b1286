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

    /// The last stats of a pod. What its kubelet says and what it says itself come at times of their own.
    struct Load: Sendable {
        var usage: Usage
        /// Stats of the pod's own, by name.
        var values: [String: Timed]?
        /// Use of the containers that scalers look at, by name; nil: of none.
        var containers: [String: ContainerLoad]?

        /// A stat of the pod's own, or one of a container, of which only CPU and memory are known.
        func told(_ stat: Stat, of container: String?) -> Timed? {
            guard let container else {
                if case .own(let name) = stat { return values?[name] }
                return usage[stat]
            }
            guard let known = containers?[container] else { return nil }
            switch stat {
            case .cpu: return known.cpu.map { Timed(value: $0, at: usage.at) }
            case .memory: return known.memory.map { Timed(value: $0, at: usage.at) }
            case .disk, .received, .sent, .own: return nil
            }
        }
    }

    /// By the scaler's id.
    var runtimes: [String: ScalerRuntime] = [:]
    /// By the pod's UID.
    private(set) var loads: [String: Load] = [:]
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
    /// Ids that the ledger has been told of.
    var told: Set<String> = []
    /// The scalers of which nothing else is remembered.
    var keptRevision = -1

    /// Stats of its own that are kept of a pod at most; those measured longest ago go first.
    private static let maximumOwn = 200

    /// Takes stats of pods; an older one of the same pod is left out. Of containers those in `containers` are kept.
    mutating func take(_ stats: PodStats, containers: Set<String>, at now: Timestamp) {
        for sample in stats.samples {
            guard let uid = sample.podUID else { continue }
            let at = min(sample.at, now)
            if let values = sample.values, !values.isEmpty {
                let none = Usage(at: Timestamp(seconds: 0), detailsAt: Timestamp(seconds: 0))
                loads[uid, default: Load(usage: none)].take(values, at: at, atMost: Self.maximumOwn)
            }
            // Who tells a pod's own stats may know nothing of what it uses.
            guard
                sample.cpuMillis != nil || sample.memoryBytes != nil || sample.diskBytes != nil
                    || sample.receivedPerSecond != nil || sample.sentPerSecond != nil
            else { continue }
            let known = loads[uid]
            if let known, known.usage.at > at { continue }
            let usage = Usage(
                at: at, detailsAt: min(sample.detailsAt ?? at, at), cpu: sample.cpuMillis,
                wholeCPU: sample.cpuWholeMillis, memory: sample.memoryBytes.map(Double.init), disk: sample.diskBytes,
                received: sample.receivedPerSecond, sent: sample.sentPerSecond)
            loads[uid] = Load(usage: usage, values: known?.values, containers: Self.loads(sample, containers))
        }
    }

    private static func loads(_ sample: PodStats.Sample, _ wanted: Set<String>) -> [String: ContainerLoad]? {
        guard !wanted.isEmpty, let all = sample.containers else { return nil }
        var loads: [String: ContainerLoad] = [:]
        for container in all where wanted.contains(container.name) {
            loads[container.name] = ContainerLoad(
                cpu: container.cpuMillis, memory: container.memoryBytes.map(Double.init))
        }
        return loads.isEmpty ? nil : loads
    }

    /// Forgets stats of pods that are gone.
    mutating func keepLoads(of known: Int, _ isKnown: (String) -> Bool) {
        if loads.count > 2 * known + 1_000 { loads = loads.filter { isKnown($0.key) } }
    }
}

extension PodScalingState.Load {
    /// Takes stats of the pod's own in.
    fileprivate mutating func take(_ new: [String: Double], at: Timestamp, atMost limit: Int) {
        var all = values ?? [:]
        for (name, value) in new {
            if let known = all[name], known.at > at { continue }
            all[name] = .init(value: value, at: at)
        }
        if all.count > limit {
            let kept = all.sorted { ($0.value.at, $1.key) > ($1.value.at, $0.key) }.prefix(limit)
            all = Dictionary(kept.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
        }
        values = all
    }
}

/// Which pods each class has, found anew when the cluster has changed.
struct PodIndex: Sendable {
    private var revision = -1
    /// Records of the pods of each class.
    private(set) var podsOfClass: [[Int32]] = []

    mutating func update(_ model: ClusterModel) {
        guard revision != model.revision else { return }
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
