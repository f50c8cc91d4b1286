import Messages
import Support

/// What a scaler is about at the moment: its targets and the pods that it looks at.
struct ScalerBond: Sendable {
    /// The target whose replicas change: the largest.
    var chosen: ScaleTarget?
    /// The largest that was found, also where it may not be scaled: where people look.
    var largest: ScaleTarget?
    /// Classes of the chosen target's pods.
    var ofChosen: [Int32] = []
    /// Classes of the pods that are measured and counted.
    var monitored: [Int32] = []
    /// Replicas over the monitored set.
    var current = 0
    /// Whether a new version of any of the targets is being rolled out.
    var isRollingOut = false
    /// Whether one of the targets has one replica more while its only pod moves: it is taken away by whoever raised it.
    var isSurged = false
    /// Why nothing can be scaled; nil: it can.
    var problem: Explanation?
    /// Ids of all its targets.
    var targets: [String] = []
    /// Who else scales the target of a scaler that only tries: in the way of a scaler that acts, of this one not.
    var others: [Explanation] = []
}

/// The bonds of all scalers, and all that they follow from. While none of it has changed they are as they were: a thousand
/// scalers are looked at far more often than a workload changes.
struct BoundScalers: Sendable {
    /// What bonds follow from.
    struct Ground: Sendable, Equatable {
        var roster: Int
        var scaling: Int
        /// Classes of pods: how often they were numbered anew, and how many there are.
        var classes: [Int]
        /// State of the pods themselves; nil: no scaler counts pods that its selector finds.
        var pods: Int?
        /// Targets that a scaler set to zero.
        var idled: [String: PodScalingMemory.Idle]?
        /// Targets that have a replica more while a pod of theirs moves.
        var surged: [String: Int]
    }

    var ground: Ground
    var bonds: [ScalerBond]
}

extension Engine {
    /// For each scaler its bond.
    mutating func bonds(of roster: ScalerRoster) -> [ScalerBond] {
        let surged = surged()
        let ground = BoundScalers.Ground(
            roster: roster.revision, scaling: model.scaling.revision,
            classes: [model.classesRevision, model.catalog.classes.count],
            pods: roster.countsPods ? model.revision : nil, idled: memory.pods?.idled, surged: surged)
        if let bound = podScaling.bound, bound.ground == ground { return bound.bonds }
        let bonds = bind(roster.items, surged)
        podScaling.bound = BoundScalers(ground: ground, bonds: bonds)
        return bonds
    }

    /// Finds targets and pods of the scalers.
    private mutating func bind(_ scalers: [ScalerRoster.Item], _ surged: [String: Int]) -> [ScalerBond] {
        var bonds: [ScalerBond] = []
        bonds.reserveCapacity(scalers.count)
        // Which scaler claims a target first, and the others that do.
        var claims: [String: Int] = [:]
        claims.reserveCapacity(scalers.count)
        var rivals: [String: [Int]] = [:]
        var byNamespace: [String: [ScaleTarget]]?
        for (number, item) in scalers.enumerated() {
            let scaler = item.scaler
            var bond = ScalerBond()
            bond.problem = item.problem
            if bond.problem == nil {
                if let selector = scaler.targetSelector {
                    let all =
                        byNamespace ?? Dictionary(grouping: model.scaling.targets.values, by: \.namespace)
                    byNamespace = all
                    bind(item, (all[scaler.namespace] ?? []).filter { selector.matches($0.labels) }, &bond)
                } else if let id = item.target {
                    bind(item, model.scaling.targets[id].map { [$0] } ?? [], &bond)
                }
            }
            // Who only tries is in nobody's way.
            if scaler.enabled && !scaler.dryRun && item.problem == nil {
                for target in bond.targets {
                    if let first = claims[target] {
                        rivals[target, default: [first]].append(number)
                    } else {
                        claims[target] = number
                    }
                }
            }
            bonds.append(bond)
        }
        if !surged.isEmpty {
            for number in bonds.indices {
                // Of several targets as well: the one more counts in their sum, and would be taken from the largest.
                bonds[number].isSurged = bonds[number].targets.contains { id in
                    surged[id].map { $0 == model.scaling.targets[id]?.replicas } ?? false
                }
            }
        }
        refuseShared(scalers, claims, rivals, &bonds)
        return bonds
    }

    private mutating func bind(_ item: ScalerRoster.Item, _ found: [ScaleTarget], _ bond: inout ScalerBond) {
        let scaler = item.scaler
        let named = { scaler.target.map { "\($0.kind) \($0.name)" } ?? "a workload that targetSelector finds" }
        if let problem = model.scaling.deploymentsProblem, scaler.target?.mayBeDeployment ?? true,
            found.isEmpty || scaler.target == nil
        {
            bond.problem = Explanation(
                .kubernetesRefused,
                "Deployments cannot be listed, so it is not known which there are: \(problem.cut(utf8: 200))")
            return
        }
        guard !found.isEmpty else {
            // What another workload owns is not told as a target; of Deployments there are such that are.
            let isOwnable = scaler.target.map { $0.isBuiltIn && $0.kind != "Deployment" } ?? true
            bond.problem = Explanation(
                .targetNotFound,
                "there is no \(named()) in \(scaler.namespace)" + (isOwnable ? ", or another workload owns it" : ""))
            return
        }
        // Of a workload and the one that owns it the owner is meant: the owned one would be set back.
        let free = found.filter { $0.owner == nil }.sorted {
            $0.replicas != $1.replicas ? $0.replicas > $1.replicas : $0.id < $1.id
        }
        guard let largest = free.first else {
            bond.problem = Explanation(
                .scalerInvalid, "\(named()) is owned by \(found[0].owner ?? "?"), which sets its replicas")
            return
        }
        bond.largest = largest
        bond.targets = free.map(\.id)
        if let problem = free.lazy.compactMap(\.problem).first {
            bond.problem = problem
            return
        }
        let active = free.filter { $0.replicas > 0 || memory.pods?.idled?[$0.id] != nil }
        bond.isRollingOut = free.contains(where: \.isRollingOut)
        bond.chosen = active.first
        monitor(scaler, free, &bond)
        if let chosen = bond.chosen {
            // Nearly always those that are monitored.
            let isMonitored = scaler.monitorSelector == nil && free.count == 1
            bond.ofChosen =
                isMonitored
                ? bond.monitored : podScaling.bindings.classes(chosen.selector, in: chosen.namespace, model)
        } else {
            bond.problem = Explanation(
                .targetIsZero, "\(largest.id) is at 0 replicas, and no scaler set it so: that is respected")
        }
    }

    /// Which pods are looked at, and how many replicas they are.
    private mutating func monitor(_ scaler: PodScaler, _ targets: [ScaleTarget], _ bond: inout ScalerBond) {
        if scaler.monitorSelector == nil, targets.count == 1, let target = targets.first {
            // Nearly all are like this.
            bond.monitored = podScaling.bindings.classes(target.selector, in: target.namespace, model)
            bond.current = target.replicas
            return
        }
        let sum = targets.reduce(0) { $0 + $1.replicas }
        let own = targets.map { podScaling.bindings.classes($0.selector, in: $0.namespace, model) }
        guard let selector = scaler.monitorSelector else {
            bond.monitored = Array(Set(own.joined())).sorted()
            bond.current = sum
            return
        }
        bond.monitored = podScaling.bindings.classes(selector, in: scaler.namespace, model)
        let watched = Set(bond.monitored)
        // Whoever rolls out marks what shrinks, which may be monitored only.
        if !bond.isRollingOut {
            for other in model.scaling.rolling where other.namespace == scaler.namespace {
                let classes = podScaling.bindings.classes(other.selector, in: other.namespace, model)
                if classes.contains(where: watched.contains) { bond.isRollingOut = true }
            }
        }
        // Replicas of the targets that are in the set, and pods of the set that are nobody's of them.
        var counted = 0
        var isIn = false
        for (target, classes) in zip(targets, own) where classes.isEmpty || classes.contains(where: watched.contains) {
            counted += target.replicas
            if !classes.isEmpty { isIn = true }
        }
        guard isIn else {
            // Other pods are measured than are scaled.
            bond.current = sum
            return
        }
        let others = watched.subtracting(own.joined())
        for slot in others.flatMap({ podScaling.index.podsOfClass[Int($0)] }) {
            let brief = model.podBriefs[Int(slot)]
            if !brief.isTerminating && brief.phase != .failed && brief.phase != .succeeded { counted += 1 }
        }
        bond.current = counted
    }

    /// Two that scale one workload would undo each other's work.
    private func refuseShared(
        _ scalers: [ScalerRoster.Item], _ claims: [String: Int], _ rivals: [String: [Int]], _ bonds: inout [ScalerBond]
    ) {
        for (target, numbers) in rivals.sorted(by: { $0.key < $1.key }) {
            for number in numbers where bonds[number].problem == nil {
                let others = numbers.filter { $0 != number }.map { scalers[$0].id }.joined(separator: ", ")
                bonds[number].problem = Explanation(.scalerConflict, "\(target) is scaled by \(others) as well")
            }
        }
        if let problem = model.scaling.autoscalersProblem {
            for number in bonds.indices where bonds[number].problem == nil && !scalers[number].scaler.dryRun {
                bonds[number].problem = Explanation(
                    .kubernetesRefused,
                    "HorizontalPodAutoscalers cannot be read, so one may own the target: \(problem.cut(utf8: 200))")
            }
        }
        // Those that only try, by target.
        var tried: [String: [Int]] = [:]
        for number in bonds.indices where scalers[number].scaler.dryRun && scalers[number].scaler.enabled {
            for target in bonds[number].targets {
                tried[target, default: []].append(number)
                if let other = claims[target] {
                    bonds[number].others.append(
                        Explanation(.scalerConflict, "\(target) is scaled by \(scalers[other].id)"))
                }
            }
        }
        for autoscaler in model.scaling.autoscalers.values {
            let target = autoscaler.target.id(in: autoscaler.namespace)
            for number in tried[target] ?? [] {
                bonds[number].others.append(
                    Explanation(.autoscalerOwnsTarget, "HorizontalPodAutoscaler \(autoscaler.id) scales \(target)"))
            }
            for number in rivals[target] ?? claims[target].map({ [$0] }) ?? [] {
                bonds[number].problem = Explanation(
                    .autoscalerOwnsTarget, "HorizontalPodAutoscaler \(autoscaler.id) scales \(target)")
            }
        }
    }

    // MARK: Replicas that come

    /// Why no nodes are asked for: those replicas that the target had long before have no pods either, so something (a quota, a
    /// webhook) keeps them from being made. Nil: they have.
    mutating func unmade(_ act: PodsAct, _ target: ScaleTarget, at now: Timestamp) -> Explanation? {
        // The controller may not have made those of the step before; in a rollout some are missing on purpose.
        if let before = act.previousAt, now - before < configuration.podScaling.makingTime { return nil }
        if target.isRollingOut { return nil }
        let classes = podScaling.bindings.classes(target.selector, in: target.namespace, model)
        // Whose pods are not known by a selector, or never were there, are not counted.
        if classes.isEmpty { return nil }
        var made = 0
        let isOrdered = target.kind == "StatefulSet"
        // The newest, and the first that is not ready: its ordinal, and whether it may become so soon.
        var newest = Int.min
        var unready: (ordinal: Int, isStarting: Bool)?
        for slot in podScaling.index.pods(classes) {
            let brief = model.podBriefs[Int(slot)]
            if brief.isTerminating || brief.isOver { continue }
            made += 1
            guard isOrdered else { continue }
            let ordinal = model.pods[Int(slot)].flatMap { Self.ordinal($0.name) } ?? 0
            newest = max(newest, ordinal)
            guard !brief.isReady, ordinal < unready?.ordinal ?? .max else { continue }
            // With a start a kubelet has it: it is Pending also where its image or its settings never come. Without one it waits
            // for a node.
            let isStarting =
                brief.startedAt.map { now - $0 < configuration.podScaling.readiness.cpuInitialization }
                ?? (brief.phase == .pending)
            unready = (ordinal, isStarting)
        }
        // A StatefulSet makes its pods one after the other: the next waits for the newest, not for a quota. While an older one is
        // not ready, or the newest never becomes so, none is made.
        if let unready, unready.ordinal == newest, unready.isStarting { return nil }
        guard made > 0, made < act.from else { return nil }
        return Explanation(
            .replicasComing, "only \(made) of \(act.from) replicas have pods, so no nodes are asked for more of them")
    }

    /// The number at the end of the name of a StatefulSet's pod.
    private static func ordinal(_ name: String) -> Int? {
        name.lastIndex(of: "-").flatMap { Int(name[name.index(after: $0)...]) }
    }

    /// Replicas that were decided on and that no scheduler has seen: their nodes are part of this evaluation.
    mutating func comingReplicas(at now: Timestamp) -> [ComingReplicas] {
        guard let scalers = memory.pods?.scalers else { return [] }
        var coming: [ComingReplicas] = []
        for (_, known) in scalers.sorted(by: { $0.key < $1.key }) {
            guard let act = known.act, act.to > act.from, let target = model.scaling.targets[act.target],
                unmade(act, target, at: now) == nil
            else { continue }
            let classes = podScaling.bindings.classes(target.selector, in: target.namespace, model)
            var seen = 0
            var newest: (slot: Int32, at: Timestamp)?
            for slot in podScaling.index.pods(classes) {
                let brief = model.podBriefs[Int(slot)]
                if brief.isTerminating || brief.phase == .failed || brief.phase == .succeeded { continue }
                if newest.map({ $0.at < brief.createdAt }) ?? true { newest = (slot, brief.createdAt) }
                // Those that the scheduler has not looked at are counted as coming: it will not say more of them yet.
                if brief.scheduling != .unseen { seen += 1 }
            }
            let wanted = act.to + act.ahead
            guard wanted > seen else { continue }
            let fromTemplate = target.template.flatMap { model.classNumber(template: $0) }
            let fromPod = newest.map { Int(model.podBriefs[Int($0.slot)].podClass) }
            // Claims of a StatefulSet's pods bind each to a place of its own.
            let podClass = target.kind == "StatefulSet" ? fromTemplate ?? fromPod : fromPod ?? fromTemplate
            guard let podClass else { continue }
            coming.append(ComingReplicas(podClass: podClass, count: wanted - seen))
        }
        return coming
    }
}

extension TargetReference {
    fileprivate var mayBeDeployment: Bool { isBuiltIn && kind == "Deployment" }
}
