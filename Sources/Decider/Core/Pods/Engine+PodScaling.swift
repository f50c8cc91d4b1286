import Messages
import Support

/// Replicas that were decided on and that no scheduler has seen yet.
struct ComingReplicas: Sendable {
    /// The class that their pods will have.
    var podClass: Int
    var count: Int
}

extension Engine {
    /// Scalers of the cluster and of the configuration, in the order of their ids.
    var podScalers: [PodScaler] {
        var roster = podScaling.roster
        roster.update(model.scaling, configuration.podScalers)
        return roster.items.map(\.scaler)
    }

    /// Takes stats of pods in.
    mutating func apply(_ stats: PodStats, at now: Timestamp) {
        podScaling.roster.update(model.scaling, configuration.podScalers)
        podScaling.loads.take(stats, containers: podScaling.roster.containers, at: now)
        podScaling.loads.keep(of: model.podCount) { model.podIndex($0) != nil }
    }

    /// Takes external values in.
    mutating func apply(_ stats: ExternalStats, at now: Timestamp) {
        podScaling.external.take(stats, at: now)
    }

    // MARK: Looking at all scalers

    /// Looks at the scalers, if it is time, and decides on replicas. Its decisions come first in the result: the nodes of the
    /// same evaluation are for them as well.
    mutating func scalePods(at now: Timestamp, _ result: inout EvaluationResult, complete: Bool) -> [String] {
        let rules = configuration.podScaling
        guard rules.enabled, !model.scaling.scalers.isEmpty || !configuration.podScalers.isEmpty || memory.pods != nil
        else { return forgetScalers(&result, [], at: now) }
        podScaling.index.update(model)
        podScaling.bindings.update(model)
        settleActs(at: now)
        noteFreed(at: now)
        let isDue = podScaling.evaluatedAt.map { last in
            now >= last + rules.interval
                || (now >= last + rules.shortest && podScaling.evaluatedRevision != model.scaling.revision)
        }
        if isDue ?? true || complete {
            podScaling.evaluatedAt = now
            podScaling.evaluatedRevision = model.scaling.revision
        } else {
            noteScalersDue(in: &result)
            return []
        }
        podScaling.roster.update(model.scaling, configuration.podScalers)
        podScaling.loads.link(model)
        let roster = podScaling.roster
        var sentences: [String] = []
        if podScaling.keptRevision != roster.revision {
            podScaling.keptRevision = roster.revision
            sentences = forgetScalers(&result, roster.ids, at: now)
        }
        let bonds = bonds(of: roster)
        var entries = result.evaluation.scalers ?? []
        for number in bonds.indices {
            let (item, bond) = (roster.items[number], bonds[number])
            let (scaler, known) = (item.scaler, memory.pods?.scalers[item.id])
            // Taken out, not copied: what it looks back at is changed in place.
            var runtime = podScaling.runtimes.updateValue(ScalerRuntime(), forKey: item.id) ?? ScalerRuntime()
            if runtime.revision != roster.revision {
                runtime.revision = roster.revision
                if runtime.spec != scaler { runtime.begin(scaler, known) }
            }
            var entry = look(at: item, bond, known, &runtime, at: now)
            if let sentence = decide(item, bond, &entry, &runtime, at: now, &result) {
                sentences.append(sentence)
                entry.scaledAt = memory.pods?.scalers[item.id]?.scaledAt
            } else {
                entry.scaledAt = known?.scaledAt
            }
            if complete || runtime.entry.map({ entry.isNews(after: $0) }) ?? true {
                entries.append(entry)
                runtime.entry = entry
            }
            podScaling.runtimes[item.id] = runtime
        }
        podScaling.told = roster.ids
        if !entries.isEmpty { result.evaluation.scalers = entries }
        noteScalersDue(in: &result)
        return sentences
    }

    private func noteScalersDue(in result: inout EvaluationResult) {
        guard let last = podScaling.evaluatedAt else { return }
        let isChanged = podScaling.evaluatedRevision != model.scaling.revision
        let due = last + (isChanged ? configuration.podScaling.shortest : configuration.podScaling.interval)
        result.nextDeadline = min(result.nextDeadline ?? due, due)
    }

    /// Scalers that are gone: the ledger is told. What they did is remembered for a while: a list that somebody could not read
    /// looks the same, and a target that was set to zero would never be woken again.
    private mutating func forgetScalers(
        _ result: inout EvaluationResult, _ kept: Set<String>, at now: Timestamp
    ) -> [String] {
        // Those that could not be listed are not gone.
        if model.scaling.scalersProblem != nil && configuration.podScaling.enabled { return [] }
        let gone = podScaling.told.subtracting(kept).sorted()
        if !gone.isEmpty {
            result.evaluation.scalers = gone.map {
                Evaluation.ScalerEntry(
                    scaler: $0, outcome: Explanation(.scalerDisabled, "the scaler is gone"), isGone: true)
            }
            podScaling.told.formIntersection(kept)
        }
        for id in podScaling.runtimes.keys where !kept.contains(id) { podScaling.runtimes[id] = nil }
        for (id, known) in memory.pods?.scalers ?? [:] {
            if kept.contains(id) {
                if known.goneAt != nil { memory.pods?.scalers[id]?.goneAt = nil }
            } else if known.act != nil || known.goneAt == nil {
                memory.pods?.scalers[id]?.act = nil
                memory.pods?.scalers[id]?.goneAt = now
            }
        }
        return []
    }

    // MARK: One scaler

    /// What the scaler says now.
    private mutating func look(
        at item: ScalerRoster.Item, _ bond: ScalerBond, _ known: PodScalingMemory.Scaler?,
        _ runtime: inout ScalerRuntime, at now: Timestamp
    ) -> Evaluation.ScalerEntry {
        let (scaler, act) = (item.scaler, known?.act)
        let target = bond.chosen ?? bond.largest
        var entry = Evaluation.ScalerEntry(
            scaler: item.id, generation: scaler.generation, isObject: scaler.origin == .object,
            target: target?.id ?? item.target,
            targetUID: target.flatMap { $0.uid.isEmpty ? nil : $0.uid },
            targetAPIVersion: (target?.reference ?? scaler.target).flatMap { $0.isBuiltIn ? nil : $0.apiVersion },
            current: bond.current, desired: bond.current,
            outcome: Explanation(.scalerSatisfied))
        if let problem = bond.problem {
            entry.problem = problem
            entry.outcome = problem
            runtime.since = [:]
            return entry
        }
        guard scaler.enabled else {
            entry.outcome = Explanation(.scalerDisabled, "enabled: false")
            runtime.since = [:]
            return entry
        }
        if let act, let chosen = bond.chosen, act.target == chosen.id,
            chosen.replicas == act.from, act.to != act.from
        {
            // On its way: what the next step is depends on it.
            entry.desired = bond.current + act.to - act.from
            entry.outcome = Explanation(.replicasComing, "from \(act.from) to \(act.to), being carried out")
            // A retry is no success yet.
            entry.problem = known?.refusal?.reason
            entry.thresholds = runtime.entry?.thresholds ?? []
            if act.to > act.from, let why = unmade(act, chosen, at: now) { entry.limits.append(why) }
            return entry
        }
        let judge = ScalerJudge(
            scaler: scaler, readiness: configuration.podScaling.readiness,
            lead: configuration.podScaling.comingLifetime,
            now: now)
        let verdict = judge.judge(scene(scaler, bond, at: now), &runtime)
        runtime.ahead = verdict.ahead
        entry.desired = verdict.desired
        entry.outcome = verdict.outcome
        entry.limits = verdict.limits + bond.others
        entry.thresholds = verdict.thresholds
        entry.problem = verdict.failure ?? verdict.blocked ?? standingRefusal(known, at: now)?.reason
        return entry
    }

    /// A refusal stands until a change is made: neither a retry nor that none is wanted for a while is a recovery. One that is long
    /// over and was not tried since says nothing any more.
    private func standingRefusal(
        _ known: PodScalingMemory.Scaler?, at now: Timestamp
    ) -> PodScalingMemory.Scaler.Refusal? {
        guard let refusal = known?.refusal, now - refusal.until <= configuration.podScaling.refusalMaximumPause else {
            return nil
        }
        return refusal
    }

    private func scene(_ scaler: PodScaler, _ bond: ScalerBond, at now: Timestamp) -> ScalerScene {
        let slots = podScaling.index.pods(bond.monitored)
        let maximumAge = configuration.podScaling.statMaximumAge
        let detailAge = configuration.podScaling.detailMaximumAge
        // The closures hold no more than they need: a copy of the engine for each of a thousand scalers would cost.
        let external = podScaling.external
        // Each pod is looked up once, however many thresholds ask.
        let standings = standings(slots, looksInside: scaler.looksInside)
        var scene = ScalerScene(
            current: bond.current,
            pods: { stat in
                let source = scaler.source(of: stat, isExternal: false)
                let name = PodScalingState.Stat(source.map(scaler.told) ?? stat)
                let age = source?.usualMaximumAge(maximumAge) ?? (name.isDetail ? detailAge : maximumAge)
                return standings.monitored(name, maximumAge: age, at: now)
            },
            external: { stat in
                let source = scaler.source(of: stat)
                return external.value(
                    source.map(scaler.told) ?? stat, namespace: scaler.namespace,
                    maximumAge: source?.usualMaximumAge(maximumAge) ?? maximumAge,
                    isStrict: source?.maximumAge != nil, at: now)
            })
        scene.containers = { stat, container in
            standings.monitored(PodScalingState.Stat(stat), of: container, maximumAge: maximumAge, at: now)
        }
        scene.untold = { stat in
            scaler.source(of: stat, isExternal: false).flatMap {
                external.failure(
                    scaler.told($0), namespace: scaler.namespace, maximumAge: $0.usualMaximumAge(maximumAge), at: now)
            }
        }
        scene.isRollingOut = bond.isRollingOut
        scene.isSurged = bond.isSurged
        scene.maximumAge = maximumAge
        if scaler.intentions.contains(where: \.isExternal) {
            var present = 0
            for slot in slots {
                let brief = model.podBriefs[Int(slot)]
                if brief.phase == .running && brief.isReady { scene.ready += 1 }
                if !brief.isTerminating && !brief.isOver { present += 1 }
            }
            // Pods that are monitored by a selector of its own may be others than those of the targets.
            if scaler.monitorSelector == nil && !bond.monitored.isEmpty { scene.present = present }
        }
        return scene
    }

    /// The pods as they stand.
    ///
    /// - Parameter looksInside: whether stats of pods' own or of containers are asked for.
    private func standings(_ slots: [Int32], looksInside: Bool) -> PodStandings {
        var standings = PodStandings()
        standings.pods.reserveCapacity(slots.count)
        // Pods come class by class.
        var last: Int32 = -1
        for slot in slots {
            let podClass = model.podBriefs[Int(slot)].podClass
            if podClass != last {
                standings.requests.append(PodRequestsOfClass(model.catalog.classes[Int(podClass)].shape))
                last = podClass
            }
            var standing = PodStanding(pod: monitored(slot), requests: standings.requests.count - 1)
            let place = podScaling.loads.place(slot: slot)
            if let place { standing.usage = podScaling.loads.usage(at: place) }
            if looksInside { standings.insides.append(place.map { podScaling.loads.inside(at: $0) }) }
            standings.pods.append(standing)
        }
        return standings
    }

    /// The pod without any stat.
    private func monitored(_ slot: Int32) -> MonitoredPod {
        let brief = model.podBriefs[Int(slot)]
        var pod = MonitoredPod()
        pod.isLeaving = brief.isTerminating || brief.phase == .failed || brief.phase == .succeeded
        pod.isPending = brief.phase == .pending
        pod.isReady = brief.isReady
        pod.startedAt = brief.startedAt
        pod.readyChangedAt = brief.readyChangedAt
        return pod
    }

    // MARK: Deciding

    /// Decides on the replicas of the target, if they change.
    private mutating func decide(
        _ item: ScalerRoster.Item, _ bond: ScalerBond, _ entry: inout Evaluation.ScalerEntry,
        _ runtime: inout ScalerRuntime, at now: Timestamp, _ result: inout EvaluationResult
    ) -> String? {
        let scaler = item.scaler
        guard entry.desired != entry.current, let target = bond.chosen, entry.outcome.reason != .replicasComing,
            bond.problem == nil
        else { return nil }
        // The others of the set stay as they are.
        let floor = scaler.minimum == 0 ? 0 : 1
        let to = max(min(floor, target.replicas), target.replicas + entry.desired - entry.current)
        guard to != target.replicas else { return nil }
        if scaler.dryRun {
            entry.limits.append(
                Explanation(.dryRun, "\(target.id) would go from \(target.replicas) to \(to) (dryRun)"))
            return nil
        }
        var known = memory.pods?.scalers[item.id] ?? PodScalingMemory.Scaler()
        known.refusal = standingRefusal(known, at: now)
        if let refusal = known.refusal { entry.problem = refusal.reason }
        if let refusal = known.refusal, refusal.until > now {
            entry.limits.append(Explanation(refusal.reason.reason, "tried again at \(refusal.until)"))
            return nil
        }
        let rules = configuration.podScaling
        let act = PodsAct(
            id: decisionID("p", "\(scaler.namespace).\(target.name)", "\(target.replicas)-\(to)"), target: target.id,
            from: target.replicas, to: to, ahead: to > target.replicas ? runtime.ahead : 0, decidedAt: now,
            previousAt: known.scaledAt,
            deadline: now + rules.decisionLifetime)
        runtime.history.changed(from: target.replicas, to: to, scaler, at: now)
        known.act = act
        known.ups = runtime.history.ups
        known.downs = runtime.history.downs
        known.scaledAt = now
        if memory.pods == nil { memory.pods = PodScalingMemory() }
        if to == 0 {
            var idled = memory.pods?.idled ?? [:]
            let uid = target.uid.isEmpty ? nil : target.uid
            // Decided again because the zero is told late: that it was done stays known, whatever becomes of this one.
            if idled[target.id]?.done == nil || idled[target.id]?.uid != uid { idled[target.id] = .init(uid: uid) }
            memory.pods?.idled = idled
            known.idled.insert(target.id)
        }
        memory.pods?.scalers[item.id] = known
        if to < target.replicas {
            awaitLeaving(target.id, bond.ofChosen, target.replicas - to, at: now)
        } else {
            // Of those that were to go as many stay.
            expectFewerLeaving(target.id, to - target.replicas)
        }
        ScalerJudge(scaler: scaler, now: now).stepsMade(up: to > target.replicas, &runtime)
        if act.to > act.from, let why = unmade(act, target, at: now) { entry.limits.append(why) }
        let reason = Explanation(entry.outcome.reason, "\(entry.outcome.detail) (PodScaler \(item.id))")
        result.decisions.append(
            .podsDecided(
                PodsDecided(
                    cluster: configuration.cluster, id: act.id, apiVersion: target.apiVersion, kind: target.kind,
                    namespace: target.namespace, name: target.name, uid: target.uid.isEmpty ? nil : target.uid,
                    from: act.from, to: act.to, reason: reason,
                    decidedAt: now, deadline: act.deadline)))
        result.evaluation.decisions.append(act.id)
        return "\(target.id) from \(act.from) to \(act.to): \(entry.outcome.detail)"
    }
}

extension PodScaler {
    /// Whether it looks at more of pods than what their kubelets say of each as a whole.
    fileprivate var looksInside: Bool {
        intentions.contains { $0.container != nil || !$0.isExternal && PodScalingState.Stat($0.stat).isOwn }
            || values.contains { !$0.isExternal && PodScalingState.Stat($0.stat).isOwn }
            // A source of pods may bear the name of what kubelets tell.
            || sources?.contains(where: \.isOfPods) == true
    }
}

extension ScalerRuntime {
    /// The spec is new. What was done was done, and a threshold that stands as it stood holds since when it did: neither a pause nor
    /// another maximum costs its duration again.
    mutating func begin(_ scaler: PodScaler, _ known: PodScalingMemory.Scaler?) {
        if spec == nil {
            history.ups = known?.ups ?? []
            history.downs = known?.downs ?? []
        }
        let old = (values: spec?.values ?? [], since: since, before: before)
        let isSame =
            spec?.sources == scaler.sources && spec?.target == scaler.target
            && spec?.targetSelector == scaler.targetSelector && spec?.monitorSelector == scaler.monitorSelector
        since = [:]
        before = [:]
        fired = []
        if isSame {
            for (index, value) in scaler.values.enumerated() {
                guard let place = old.values.firstIndex(of: value) else { continue }
                since[index] = old.since[place]
                before[index] = old.before[place]
            }
        }
        if !isSame || spec?.values != scaler.values || spec?.intentions != scaler.intentions { failingSince = nil }
        spec = scaler
    }

    /// Nothing came of an act: the thresholds that asked for it hold since when they did.
    mutating func unmake(_ act: PodsAct) {
        for (index, time) in before where since[index] == act.decidedAt { since[index] = time }
        before = [:]
    }
}

extension Evaluation.ScalerEntry {
    /// Whether it says something that the one before did not; a value that moved by less than a tenth is no news.
    func isNews(after last: Evaluation.ScalerEntry) -> Bool {
        var same = last
        same.thresholds = thresholds
        same.outcome.detail = outcome.detail
        if outcome.reason != last.outcome.reason { return true }
        same.limits = last.limits.map(\.reason) == limits.map(\.reason) ? limits : last.limits
        if same.problem?.reason == problem?.reason { same.problem = problem }
        if same != self || thresholds.count != last.thresholds.count { return true }
        return zip(thresholds, last.thresholds).contains { now, before in
            guard let value = now.value, let old = before.value else { return now.value != before.value }
            return now.outcome.reason != before.outcome.reason || abs(value - old) > 0.1 * max(abs(old), abs(value))
        }
    }
}
