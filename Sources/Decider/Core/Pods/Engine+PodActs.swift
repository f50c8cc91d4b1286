import Messages
import Support

/// What becomes of changes of replicas.
extension Engine {
    /// Pods of a target that will be fewer: the node of each that goes is freed.
    mutating func awaitLeaving(_ target: String, _ classes: [Int32], at now: Timestamp) {
        var pods: [String: String] = [:]
        for slot in podScaling.index.pods(classes) {
            guard let pod = model.pods[Int(slot)], pod.node >= 0, !model.podBriefs[Int(slot)].isTerminating else {
                continue
            }
            pods[pod.uid] = key(Int(pod.node))
        }
        podScaling.leaving[target] = LeavingPods(since: now, nodes: pods)
    }

    /// Nodes that pods of a smaller target have left: once one is unneeded its time is over at once, since the scaler's own
    /// window has passed already.
    mutating func noteFreed(at now: Timestamp) {
        guard !podScaling.leaving.isEmpty else { return }
        for (target, leaving) in podScaling.leaving {
            guard now - leaving.since < configuration.podScaling.freedLifetime else {
                podScaling.leaving[target] = nil
                continue
            }
            var rest = leaving
            for (pod, node) in leaving.nodes
            where model.podIndex(pod).map({ model.podBriefs[Int($0)].isTerminating }) ?? true {
                if memory.pods == nil { memory.pods = PodScalingMemory() }
                memory.pods?.freed[node] = now
                rest.nodes[pod] = nil
            }
            podScaling.leaving[target] = rest.nodes.isEmpty ? nil : rest
        }
    }

    /// Whether a pod of a target that became smaller has left the node a moment ago.
    func isFreed(_ slot: Int, at now: Timestamp) -> Bool {
        guard let freedAt = memory.pods?.freed[key(slot)] else { return false }
        return now < freedAt + configuration.podScaling.freedLifetime
    }

    // MARK: What became of it

    /// The Actuator's answer to a change of replicas; false: none of ours.
    mutating func podsAnswered(_ progress: ScaleProgress, refused: Bool, at now: Timestamp) -> Bool {
        guard let id = memory.pods?.scalers.first(where: { $0.value.act?.id == progress.id })?.key,
            var known = memory.pods?.scalers[id]
        else { return false }
        guard refused else {
            known.refusal = nil
            memory.pods?.scalers[id] = known
            return true
        }
        let act = known.act
        known.act = nil
        if let act { actFailed(id, act) }
        known.ups.removeAll { $0.at == act?.decidedAt }
        known.downs.removeAll { $0.at == act?.decidedAt }
        if act?.to == 0, let target = act?.target { known.idled.remove(target) }
        podScaling.runtimes[id]?.history.ups = known.ups
        podScaling.runtimes[id]?.history.downs = known.downs
        // What has changed meanwhile is looked at anew; what was refused is not asked for all the time.
        let harmless: Set<Reason> = [.decisionStale, .decisionExpired, .superseded]
        if !harmless.contains(progress.reason.reason) {
            let rules = configuration.podScaling
            let pause = min(rules.refusalMaximumPause, known.refusal.map { $0.pause * 2 } ?? rules.refusalPause)
            known.refusal = .init(reason: progress.reason, until: now + pause, pause: pause)
        }
        memory.pods?.scalers[id] = known
        return true
    }

    /// Targets set to zero that are remembered of one scaler although they are missing.
    private static let maximumIdled = 100

    /// Nothing came of an act: what it was to begin begins not.
    private mutating func actFailed(_ id: String, _ act: PodsAct) {
        podScaling.runtimes[id]?.unmake(act)
        podScaling.leaving[act.target] = nil
    }

    /// Acts end when their replicas are there, when somebody else changed them, or when their time is over.
    mutating func settleActs(at now: Timestamp) {
        guard memory.pods != nil else { return }
        let rules = configuration.podScaling
        for (id, known) in memory.pods?.scalers ?? [:] {
            var known = known
            if let goneAt = known.goneAt, now - goneAt >= rules.goneLifetime {
                memory.pods?.scalers[id] = nil
                continue
            }
            // One that is missing may be so only in what could be read.
            for target in known.idled where model.scaling.targets[target].map({ $0.replicas > 0 }) ?? false {
                if known.act?.target == target && known.act?.to == 0 { continue }
                known.idled.remove(target)
            }
            if known.idled.count > Self.maximumIdled { known.idled.formIntersection(model.scaling.targets.keys) }
            if let act = known.act {
                let target = model.scaling.targets[act.target]
                let isSeen = target?.replicas == act.to
                let isOver =
                    target == nil || (target?.replicas != act.from && !isSeen)
                    || (!isSeen && now > act.deadline + .seconds(5))
                    || (isSeen && (act.to <= act.from || now > act.decidedAt + rules.comingLifetime))
                if isOver {
                    known.act = nil
                    if !isSeen && target?.replicas == act.from { actFailed(id, act) }
                }
            }
            memory.pods?.scalers[id] = known
        }
        let kept = now - rules.freedLifetime
        if let freed = memory.pods?.freed, freed.contains(where: { $0.value <= kept }) {
            memory.pods?.freed = freed.filter { $0.value > kept }
        }
        if memory.pods == PodScalingMemory() { memory.pods = nil }
    }
}
