import Messages
import Support

/// Pod scalers between two evaluations: stats, and where pods and targets are found.
struct PodScalingState: Sendable {
    /// The last stats of a pod; absent ones are nil.
    struct Load: Sendable {
        var at: Timestamp
        var cpu: Double?
        var memory: Double?
        var disk: Double?
        var received: Double?
        var sent: Double?
        var values: [String: Double]?

        subscript(stat: String) -> Double? {
            switch stat {
            case "cpu": cpu
            case "memory": memory
            case "disk": disk
            case "received": received
            case "sent": sent
            default: values?[stat]
            }
        }
    }

    struct ExternalKey: Hashable, Sendable {
        var stat: String
        /// Empty: for all namespaces.
        var namespace: String
    }

    /// By the scaler's id.
    var runtimes: [String: ScalerRuntime] = [:]
    /// By the pod's UID.
    private(set) var loads: [String: Load] = [:]
    private(set) var external: [ExternalKey: (value: Double, at: Timestamp)] = [:]
    /// When scalers were last looked at.
    var evaluatedAt: Timestamp?
    /// What was looked at then.
    var evaluatedRevision = -1
    var index = PodIndex()
    var bindings = ScalerBindings()
    /// Ids that the ledger has been told of.
    var told: Set<String> = []

    /// External values that are kept at most; the oldest go first.
    private static let maximumExternal = 10_000

    /// Takes stats of pods; an older one of the same pod is left out.
    mutating func take(_ stats: PodStats, at now: Timestamp) {
        for sample in stats.samples {
            guard let uid = sample.podUID else { continue }
            let at = min(sample.at, now)
            if let known = loads[uid], known.at > at { continue }
            loads[uid] = Load(
                at: at, cpu: sample.cpuMillis, memory: sample.memoryBytes.map(Double.init), disk: sample.diskBytes,
                received: sample.receivedPerSecond, sent: sample.sentPerSecond, values: sample.values)
        }
    }

    /// Takes external values.
    mutating func take(_ stats: ExternalStats, at now: Timestamp) {
        for sample in stats.samples {
            let key = ExternalKey(stat: sample.stat, namespace: sample.namespace ?? "")
            let at = min(sample.at, now)
            if let known = external[key], known.at > at { continue }
            external[key] = (sample.value, at)
        }
        guard external.count > Self.maximumExternal else { return }
        let kept = external.sorted { $0.value.at > $1.value.at }.prefix(Self.maximumExternal / 2)
        external = Dictionary(kept.map { ($0.key, $0.value) }, uniquingKeysWith: { first, _ in first })
    }

    /// Forgets stats of pods that are gone.
    mutating func keepLoads(of known: Int, _ isKnown: (String) -> Bool) {
        if loads.count > 2 * known + 1_000 { loads = loads.filter { isKnown($0.key) } }
    }

    /// An external value that can be used, or why not.
    func externalValue(
        _ stat: String, namespace: String, maximumAge: Interval, at now: Timestamp
    ) -> Result<Double, ScalerScene.Absence> {
        guard
            let known = external[ExternalKey(stat: stat, namespace: namespace)]
                ?? external[ExternalKey(stat: stat, namespace: "")]
        else { return .failure(.init(why: Explanation(.statUnknown, "nobody has told it"))) }
        guard now - known.at <= maximumAge else {
            return .failure(.init(why: Explanation(.statStale, "the last value is \(now - known.at) old")))
        }
        guard known.value.isFinite, known.value >= 0 else {
            return .failure(.init(why: Explanation(.statUnknown, "\(known.value) is negative or no number")))
        }
        return .success(known.value)
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
