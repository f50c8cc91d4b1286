import Messages
import Support

/// What becomes of changes of replicas.
extension Engine {
    /// `count` pods of a target will be fewer: the node of each that goes is freed.
    mutating func awaitLeaving(_ target: String, _ classes: [Int32], _ count: Int, at now: Timestamp) {
        var pods: [String: String?] = [:]
        for slot in podScaling.index.pods(classes) {
            let brief = model.podBriefs[Int(slot)]
            guard let pod = model.pods[Int(slot)], !brief.isTerminating, !brief.isOver else { continue }
            pods.updateValue(pod.node >= 0 ? key(Int(pod.node)) : nil, forKey: pod.uid)
        }
        // Those of the shrink before that are still to go go as well.
        let before = podScaling.leaving[target]?.count ?? 0
        podScaling.leaving[target] = LeavingPods(since: now, count: before + count, nodes: pods)
    }

    /// `count` pods of a target fewer go than was expected.
    mutating func expectFewerLeaving(_ target: String, _ count: Int) {
        guard let leaving = podScaling.leaving[target] else { return }
        podScaling.leaving[target]?.count = leaving.count - count
        if leaving.count <= count { podScaling.leaving[target] = nil }
    }

    /// Nodes that pods of a smaller target have left: once one is unneeded its time is over at once, since the scaler's own
    /// window has passed already.
    mutating func noteFreed(at now: Timestamp) {
        guard !podScaling.leaving.isEmpty, podScaling.leavingRevision != model.revision else { return }
        podScaling.leavingRevision = model.revision
        for (target, leaving) in podScaling.leaving {
            guard now - leaving.since < configuration.podScaling.freedLifetime else {
                podScaling.leaving[target] = nil
                continue
            }
            var rest = leaving
            let gone = leaving.nodes.filter { pod, _ in
                model.podIndex(pod).map { model.podBriefs[Int($0)].isTerminating } ?? true
            }
            // In one order, so that of more than were expected always the same count.
            for (pod, node) in gone.sorted(by: { $0.key < $1.key }).prefix(leaving.count) {
                if let node {
                    if memory.pods == nil { memory.pods = PodScalingMemory() }
                    memory.pods?.freed[node] = now
                }
                rest.nodes[pod] = nil
                rest.count -= 1
            }
            podScaling.leaving[target] = rest.nodes.isEmpty || rest.count <= 0 ? nil : rest
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
            if let act = known.act {
                model.changeKept(act.target, to: act.to)
                if act.to == 0 { memory.pods?.idled?[act.target]?.done = .init(at: now, from: act.from) }
            }
            return true
        }
        let act = known.act
        known.act = nil
        if let act { actFailed(id, act) }
        known.ups.removeAll { $0.at == act?.decidedAt }
        known.downs.removeAll { $0.at == act?.decidedAt }
        // Not if one before it was done, whose zero nobody has told yet.
        if act?.to == 0, let target = act?.target, memory.pods?.idled?[target]?.done == nil {
            memory.pods?.idled?[target] = nil
        }
        podScaling.runtimes[id]?.history.ups = known.ups
        podScaling.runtimes[id]?.history.downs = known.downs
        // What has changed meanwhile is looked at anew; what was refused is not asked for all the time.
        let harmless: Set<Reason> = [.decisionStale, .decisionExpired, .superseded]
        // Of a target that cannot be listed nothing new will be heard: asked at once it would be refused again.
        let isBlind = progress.reason.reason == .decisionStale && act.map { model.scaling.isKept($0.target) } ?? false
        if isBlind || !harmless.contains(progress.reason.reason) {
            let rules = configuration.podScaling
            let pause = min(rules.refusalMaximumPause, known.refusal.map { $0.pause * 2 } ?? rules.refusalPause)
            known.refusal = .init(reason: progress.reason, until: now + pause, pause: pause)
        }
        memory.pods?.scalers[id] = known
        return true
    }

    /// Targets set to zero that are remembered at most.
    private static let maximumIdled = 10_000

    /// Nothing came of an act: what it was to begin begins not.
    private mutating func actFailed(_ id: String, _ act: PodsAct) {
        podScaling.runtimes[id]?.unmake(act)
        if act.from > act.to { expectFewerLeaving(act.target, act.from - act.to) }
    }

    /// What was set to zero is remembered until it has replicas again. One that is missing may be so only in what could be read, or
    /// because nobody scales for a while.
    private mutating func settleIdled(at now: Timestamp) {
        guard let idled = memory.pods?.idled else { return }
        let coming = Set(memory.pods?.scalers.values.compactMap { $0.act?.to == 0 ? $0.act?.target : nil } ?? [])
        var kept = idled
        for (id, idle) in idled {
            if let target = model.scaling.targets[id] {
                if idle.missingSince != nil { kept[id]?.missingSince = nil }
                if let uid = idle.uid, !target.uid.isEmpty, uid != target.uid {
                    // Made anew: its zero is somebody's.
                    kept[id] = nil
                } else if target.replicas == 0 {
                    kept[id]?.done = nil
                } else if !coming.contains(id) && !isUntold(idle, target, at: now) {
                    kept[id] = nil
                }
            } else if let since = idle.missingSince {
                if now - since >= configuration.podScaling.idleLifetime { kept[id] = nil }
            } else {
                kept[id]?.missingSince = now
            }
        }
        if kept.count > Self.maximumIdled { kept = kept.filter { $0.value.missingSince == nil } }
        if kept != idled { memory.pods?.idled = kept.isEmpty ? nil : kept }
    }

    /// Whether the target was set to zero and is told with the replicas of before: the Collector sees it late. Of a zero no pod is
    /// made: if one was since, somebody set the same number again.
    private mutating func isUntold(_ idle: PodScalingMemory.Idle, _ target: ScaleTarget, at now: Timestamp) -> Bool {
        guard let done = idle.done, target.replicas == done.from,
            now - done.at < configuration.podScaling.untoldLifetime
        else { return false }
        let classes = podScaling.bindings.classes(target.selector, in: target.namespace, model)
        let since = done.at + Self.makingSlack
        return !podScaling.index.pods(classes).contains { model.podBriefs[Int($0)].createdAt > since }
    }

    /// Clocks differ, and a controller may make the last pod a moment after the zero.
    private static let makingSlack = Interval.seconds(5)

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
            if let act = known.act {
                let target = model.scaling.targets[act.target]
                let isSeen = target?.replicas == act.to
                // The retry has come through, whether or not the answer has come yet.
                if isSeen { known.refusal = nil }
                // What could not be listed may be there as well as gone.
                let isGone = target == nil && model.scaling.deploymentsProblem == nil
                let isOver =
                    isGone || (target != nil && target?.replicas != act.from && !isSeen)
                    || (!isSeen && now > act.deadline + .seconds(5))
                    || (isSeen && (act.to <= act.from || now > act.decidedAt + rules.comingLifetime))
                if isOver {
                    known.act = nil
                    if !isSeen && target?.replicas == act.from { actFailed(id, act) }
                }
            }
            memory.pods?.scalers[id] = known
        }
        settleIdled(at: now)
        let kept = now - rules.freedLifetime
        if let freed = memory.pods?.freed, freed.contains(where: { $0.value <= kept }) {
            memory.pods?.freed = freed.filter { $0.value > kept }
        }
        if memory.pods == PodScalingMemory() { memory.pods = nil }
    }
}
