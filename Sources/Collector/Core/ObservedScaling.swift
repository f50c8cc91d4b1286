import Messages

/// Pod scalers, and what they could scale. Targets go out only while there are scalers: most clusters have none, and each
/// target takes a few hundred bytes.
struct ObservedScaling: Sendable {
    private(set) var scalers = ObservedTable<PodScaler>()
    private(set) var autoscalers = ObservedTable<PodAutoscaler>()
    /// One table for each kind, since each has lists of its own.
    private var targets: [ObservedKind: ObservedTable<ObservedTarget>] = [:]
    /// Numbers of the templates that have gone out, by the target's id.
    private var templates: [String: Int] = [:]
    /// Whether readers have been told of all targets.
    private var isTold = false
    /// Scalers are known that are no objects.
    var isWantedAnyway = false
    /// Why it is not known which HorizontalPodAutoscalers there are; nil: it is.
    var autoscalersProblem: String?
    /// What readers have been told of that.
    private var toldProblem: String?
    /// Why `PodScaler` objects have never been listed; nil: they have.
    var scalersProblem: String?
    /// The right to read scalers is missing.
    var areScalersForbidden = false
    /// Why Deployments have never been listed; nil: they have.
    var deploymentsProblem: String?

    private static let targetKinds: [ObservedKind] = [
        .deployments, .replicaSets, .replicationControllers, .statefulSets, .scales,
    ]

    /// Scalers that cannot be read may be there all the same. Where nobody has given the right to read them nobody scales: such a
    /// cluster may stay so for ever.
    var isWanted: Bool {
        isWantedAnyway || scalers.count > 0 || (scalersProblem != nil && !areScalersForbidden)
    }

    var isUnchanged: Bool {
        guard scalers.isUnchanged else { return false }
        guard isWanted else { return true }
        return autoscalersProblem == toldProblem && autoscalers.isUnchanged && targets.values.allSatisfy(\.isUnchanged)
            && (isTold || isEmpty)
    }

    private var isEmpty: Bool { autoscalers.count == 0 && targets.values.allSatisfy { $0.count == 0 } }

    func count(_ kind: ObservedKind) -> Int {
        switch kind {
        case .podScalers: scalers.count
        case .autoscalers: autoscalers.count
        default: targets[kind]?.count ?? 0
        }
    }

    /// Targets that scalers name and that are of no kind that is watched.
    var foreignTargets: [(namespace: String, reference: TargetReference)] {
        scalers.values.compactMap { scaler in
            guard let reference = scaler.target, !reference.isBuiltIn else { return nil }
            return (scaler.namespace, reference)
        }
    }

    /// Stats of pods' own that scalers name, by namespace. `more`: scalers that are no objects.
    func ownStats(_ more: [PodScaler]) -> [String: Set<String>] {
        var wanted: [String: Set<String>] = [:]
        for scaler in Array(scalers.values) + more {
            let names =
                scaler.intentions.filter { !$0.isExternal }.map(\.stat)
                + scaler.values.filter { !$0.isExternal }.map(\.stat)
            for name in names
            where !PodScaler.resources.contains(name) && scaler.source(of: name, isExternal: false) == nil {
                if wanted[scaler.namespace, default: []].count < Self.maximumStats {
                    wanted[scaler.namespace, default: []].insert(name)
                }
            }
        }
        return wanted
    }

    /// Containers whose use scalers look at, by namespace. `more`: scalers that are no objects.
    func containers(_ more: [PodScaler]) -> [String: Set<String>] {
        var wanted: [String: Set<String>] = [:]
        for scaler in Array(scalers.values) + more {
            for name in scaler.intentions.compactMap(\.container)
            where wanted[scaler.namespace, default: []].count < Self.maximumStats {
                wanted[scaler.namespace, default: []].insert(name)
            }
        }
        return wanted
    }

    /// Metrics of Gnocchi and of the cluster's metrics APIs and Aodh's alarms that scalers in use name. `more`: scalers that are no objects; of two with one id the
    /// object counts.
    func sources(_ more: [PodScaler]) -> [WantedSource] {
        let objects = Array(scalers.values)
        let ids = Set(objects.map(\.id))
        var wanted: [WantedSource] = []
        for scaler in objects + more.filter({ !ids.contains($0.id) }) where scaler.enabled {
            guard let sources = scaler.sources, scaler.problem == nil else { continue }
            wanted += sources.map {
                WantedSource(
                    namespace: scaler.namespace, stat: scaler.told($0), place: $0.place,
                    pods: $0.isOfPods ? pods(of: scaler) : nil)
            }
        }
        return wanted
    }

    /// Which pods are measured; nil: it is not known.
    private func pods(of scaler: PodScaler) -> LabelSelector? {
        if let selector = scaler.monitorSelector { return selector }
        guard let id = scaler.target?.id(in: scaler.namespace) else { return nil }
        for table in targets.values {
            if let selector = table[id]?.target.selector { return selector }
        }
        return nil
    }

    /// Stats of pods' own, and containers, that are asked for in one namespace at most.
    private static let maximumStats = 100

    // MARK: Taking in

    mutating func beginList(_ kind: ObservedKind) {
        switch kind {
        case .podScalers: scalers.beginList()
        case .autoscalers: autoscalers.beginList()
        case _ where Self.targetKinds.contains(kind): targets[kind, default: ObservedTable()].beginList()
        default: break
        }
    }

    /// - Returns: numbers of shapes that are not used any more.
    mutating func endList(_ kind: ObservedKind) -> [Int] {
        switch kind {
        case .podScalers: _ = scalers.endList()
        case .autoscalers: _ = autoscalers.endList()
        case _ where Self.targetKinds.contains(kind):
            let gone = targets[kind, default: ObservedTable()].endList()
            return gone.compactMap { templates.removeValue(forKey: $0.target.id) }
        default: break
        }
        return []
    }

    mutating func upsert(_ kind: ObservedKind, _ object: ObservedObject) {
        switch object {
        case .target(let target): _ = targets[kind, default: ObservedTable()].upsert(target.target.id, target)
        case .scaler(let scaler): _ = scalers.upsert(scaler.id, scaler)
        case .autoscaler(let autoscaler): _ = autoscalers.upsert(autoscaler.id, autoscaler)
        default: break
        }
    }

    /// - Returns: the number of a shape that is not used any more.
    mutating func remove(_ kind: ObservedKind, _ key: String) -> Int? {
        switch kind {
        case .podScalers: _ = scalers.remove(key)
        case .autoscalers: _ = autoscalers.remove(key)
        case _ where Self.targetKinds.contains(kind):
            if targets[kind]?.remove(key) != nil { return templates.removeValue(forKey: key) }
        default: break
        }
        return nil
    }

    // MARK: Giving out

    mutating func forgetChanges() {
        scalers.forgetChanges()
        autoscalers.forgetChanges()
        for kind in targets.keys { targets[kind]?.forgetChanges() }
        isTold = isWanted
        toldProblem = isWanted ? autoscalersProblem : nil
    }

    /// All targets for a snapshot; none while nobody scales.
    mutating func allTargets(_ shapes: inout ShapeTable) -> [ScaleTarget] {
        guard isWanted else { return [] }
        var all: [ScaleTarget] = []
        for kind in Self.targetKinds {
            for target in targets[kind]?.values.map({ $0 }) ?? [] { all.append(numbered(target, &shapes)) }
        }
        return all
    }

    /// Changes for a delta, as many as fit.
    mutating func takeChanges(_ budget: inout Int, _ shapes: inout ShapeTable) -> PodScalingChange {
        var change = PodScalingChange()
        change.changed.scalers = scalers.takeChanged(&budget, MessageSize.of)
        change.removedScalers = scalers.takeRemoved(&budget)
        guard isWanted else {
            isTold = false
            toldProblem = nil
            autoscalers.forgetChanges()
            for kind in targets.keys { targets[kind]?.forgetChanges() }
            return change
        }
        if !isTold {
            // The first scaler has come: all that it could mean is news.
            for item in autoscalers.values.map(\.id) { autoscalers.touch(item) }
            for kind in Self.targetKinds {
                for id in targets[kind]?.values.map({ $0.target.id }) ?? [] { targets[kind]?.touch(id) }
            }
            isTold = true
        }
        if autoscalersProblem != toldProblem {
            change.changed.autoscalersProblem = autoscalersProblem ?? ""
            toldProblem = autoscalersProblem
        }
        change.changed.autoscalers = autoscalers.takeChanged(&budget, MessageSize.of)
        change.removedAutoscalers = autoscalers.takeRemoved(&budget)
        for kind in Self.targetKinds {
            guard var table = targets.removeValue(forKey: kind) else { continue }
            let changed = table.takeChanged(&budget) {
                // Its shape may have to go with it.
                MessageSize.of($0.target) + ($0.template.map(MessageSize.of) ?? 0)
            }
            change.removedTargets += table.takeRemoved(&budget)
            targets[kind] = table
            for target in changed { change.changed.targets.append(numbered(target, &shapes)) }
        }
        return change
    }

    private mutating func numbered(_ observed: ObservedTarget, _ shapes: inout ShapeTable) -> ScaleTarget {
        var target = observed.target
        guard let template = observed.template else { return target }
        // The new use before the end of the old one: an unchanged shape must not lose its number.
        let number = shapes.retain(template)
        if let before = templates.updateValue(number, forKey: target.id) { shapes.release(before) }
        target.template = number
        return target
    }
}

extension ClusterSnapshot {
    var scalers: [PodScaler] {
        get { scaling?.scalers ?? [] }
        set { scaling = with { $0.scalers = newValue } }
    }

    var scaleTargets: [ScaleTarget] {
        get { scaling?.targets ?? [] }
        set { scaling = with { $0.targets = newValue } }
    }

    var autoscalersProblem: String? {
        get { scaling?.autoscalersProblem }
        set { scaling = with { $0.autoscalersProblem = newValue } }
    }

    var scalersProblem: String? {
        get { scaling?.scalersProblem }
        set { scaling = with { $0.scalersProblem = newValue } }
    }

    var deploymentsProblem: String? {
        get { scaling?.deploymentsProblem }
        set { scaling = with { $0.deploymentsProblem = newValue } }
    }

    var autoscalers: [PodAutoscaler] {
        get { scaling?.autoscalers ?? [] }
        set { scaling = with { $0.autoscalers = newValue } }
    }

    private func with(_ change: (inout PodScaling) -> Void) -> PodScaling {
        var scaling = scaling ?? PodScaling()
        change(&scaling)
        return scaling
    }
}
