import Messages
import Support

extension Engine {
    /// Looks at everything and decides. Called after each batch of messages and when a deadline comes.
    ///
    /// - Parameters:
    ///   - now: the time.
    ///   - complete: whether the ledger record holds every entry rather than the changed ones.
    public mutating func evaluate(at now: Timestamp, complete: Bool = false) -> EvaluationResult {
        memory.number += 1
        if complete {
            ledger.forgetAll()
            simulation.news = nil
        }
        var result = EvaluationResult(
            evaluation: Evaluation(
                cluster: configuration.cluster, number: memory.number, at: now, summary: "", isComplete: complete))
        if let problem = staleness(at: now) {
            // Nothing is said of single pods and nodes, so this is not all that there is.
            result.evaluation.isComplete = false
            conclude(&result, ["no decision: \(problem.detail)"], at: now)
            return result
        }
        expireActs(at: now)
        assign(at: now)
        healRemovals(at: now)
        var sentences = scalePods(at: now, &result, complete: complete)
        let standings = standings(at: now)
        let repairsFirst = configuration.peer.repairsFirst
        if repairsFirst {
            sentences += decideRepairs([.overdueGrowth], standings, at: now, &result)
            sentences += decideRepairs([.unregistered], standings, at: now, &result)
        }
        if let problem = clusterProblem(standings, at: now) {
            memory.unneededSince = [:]
            var pass = ScaleUpPass(world: model.world)
            for number in groups.indices { pass.bounds[number] = [problem] }
            result.evaluation.groups = ledger.changes(groups: groupEntries(pass, standings, at: now))
            result.evaluation.isComplete = false
            conclude(&result, sentences + ["no decision: \(problem.detail)"], at: now)
            return result
        }
        if repairsFirst {
            let corrections = decideRepairs([.target], standings, at: now, &result)
            if !corrections.isEmpty {
                conclude(&result, sentences + corrections, at: now)
                return result
            }
        }
        judgeRules(at: now, &result)
        let pass = scaleUp(standings, at: now)
        sentences += decideGrowth(pass, at: now, &result)
        sentences += decideReturns(pass, at: now, &result)
        if !repairsFirst { sentences += decideRepairs(Repair.allCases, standings, pass, at: now, &result) }
        sentences += scaleDown(pass, standings, at: now, &result)
        sentences += shrinkBySignals(pass, standings, at: now, &result)
        result.evaluation.pods = ledger.changes(pods: podEntries(pass))
        result.evaluation.groups = ledger.changes(groups: groupEntries(pass, standings, at: now))
        note(deadline(pass, at: now), in: &result)
        conclude(&result, sentences, at: now)
        return result
    }

    func staleness(at now: Timestamp) -> Explanation? {
        guard model.isComplete else { return Explanation(.stateStale, "the cluster's state is not known yet") }
        guard let heardAt = model.heardAt else { return Explanation(.stateStale, "no word from the Collector") }
        let age = now - heardAt
        guard age > configuration.health.stateTimeout else { return nil }
        return Explanation(.stateStale, "last word from the Collector \(age) ago")
    }

    private mutating func conclude(
        _ result: inout EvaluationResult, _ sentences: [String], at now: Timestamp
    ) {
        result.evaluation.summary = sentences.isEmpty ? "nothing to do" : sentences.joined(separator: "; ")
        tellSignals(&result, at: now)
        // Against what was saved, not against the start of this evaluation: messages since then have changed it as well.
        let current = memoryToSave
        result.memoryChanged = current != savedMemory
        savedMemory = current
        // Word that does not come has to be noticed as well.
        if let heardAt = model.heardAt, now <= heardAt + configuration.health.stateTimeout {
            note(heardAt + configuration.health.stateTimeout + .milliseconds(1), in: &result)
        }
    }

    /// The memory without what changes in every evaluation, or with every word that says the same again. When an alarm was last heard
    /// decides where a rule has a `max_age`: it is kept to a quarter of that, or a minute.
    var memoryToSave: EngineMemory {
        var saved = memory
        saved.number = 0
        if let alarms = saved.alarms {
            saved.alarms = Dictionary(
                uniqueKeysWithValues: alarms.map { id, alarm in
                    var state = alarm
                    state.saidAt = nil
                    state.heardAt = state.at
                    if let age = maximumAge(ofAlarm: id, alarm.name) {
                        let step = min(60_000_000, max(1_000_000, age.microseconds / 4))
                        state.heardAt = Timestamp(microseconds: alarm.heardAt.microseconds / step * step)
                    }
                    return (id, state)
                })
        }
        for group in groups { saved.groups[group.rules.id] = group.memory }
        return saved
    }

    /// The least age of its last word at which a rule takes an alarm for unknown; nil: none does.
    private func maximumAge(ofAlarm id: String, _ name: String?) -> Interval? {
        configuration.rules.compactMap { rule -> Interval? in
            guard case .alarm(let wanted) = rule.condition, wanted.name == id || wanted.name == name else { return nil }
            return wanted.maximumAge
        }.min()
    }

    func note(_ deadline: Timestamp?, in result: inout EvaluationResult) {
        guard let deadline else { return }
        result.nextDeadline = min(result.nextDeadline ?? deadline, deadline)
    }

    /// Acts that nobody took up are forgotten, so that they can be decided anew.
    private mutating func expireActs(at now: Timestamp) {
        let grace = Interval.seconds(5)
        for number in groups.indices {
            if let act = groups[number].memory.scale, act.startedAt == nil, now > act.deadline + grace {
                groups[number].memory.scale = nil
                groups[number].memory.expected = 0
                endedInVain(
                    act, number, Explanation(.decisionExpired, "nobody took it up until \(act.deadline)"), at: now)
            }
            if let act = groups[number].memory.removal, act.startedAt == nil, now > act.deadline + grace {
                groups[number].memory.removal = nil
                ended(act, number, at: now)
            }
        }
        memory.recentGrowth.removeAll { $0.at + .seconds(60) < now }
        let kept = configuration.scaleDown.evictedMemory
        model.evicted.removeAll { $0.at + kept < now }
    }

    /// Word of a removal's end may have been lost: what the cluster and the group show counts.
    private mutating func healRemovals(at now: Timestamp) {
        for number in groups.indices {
            noteDeletions(number, at: now)
            guard var removal = groups[number].memory.removal, removal.startedAt != nil || now > removal.deadline
            else { continue }
            var (gone, wasTakenBack) = (0, false)
            removal.targets.removeAll { target in
                let slot = model.nodeSlots[target.node]
                let isMember = members[target.serverID] != nil
                if slot == nil && !isMember {
                    gone += 1
                    return true
                }
                // Begun long ago, and nothing shows it any more. (What never was a Node has nothing that could show it.)
                guard let startedAt = removal.startedAt, slot != nil || target.nodeUID != Self.unregisteredUID
                else { return false }
                let isShown = slot.map { model.briefs[$0].isUnderRemoval } ?? false
                // Heat may need long for volumes and ports of a machine whose Node is gone. A stack's own time limit is an hour,
                // which begins when Heat does: draining the node may have taken as long.
                if let deletedSince = target.deletedSince, isBeingDeleted(target, number) {
                    guard now > deletedSince + .minutes(60) else { return false }
                    gone += 1
                    return true
                }
                guard !isShown, now > startedAt + .minutes(5) else { return false }
                if target.isCancelled { wasTakenBack = true }
                return true
            }
            if gone > 0 { removal.gone = (removal.gone ?? 0) + gone }
            if wasTakenBack { removal.wasTakenBack = true }
            keep(removal, number, at: now)
        }
    }

    /// What is left of a removal; it is over when nothing is.
    mutating func keep(_ removal: RemovalAct, _ number: Int, at now: Timestamp) {
        groups[number].memory.removal = removal.targets.isEmpty ? nil : removal
        if removal.targets.isEmpty { ended(removal, number, at: now) }
    }

    /// Remembers since when Heat is seen to delete the machines of Nodes that are gone.
    mutating func noteDeletions(_ number: Int, at now: Timestamp) {
        for (index, target) in (groups[number].memory.removal?.targets ?? []).enumerated()
        where target.deletedSince == nil && isBeingDeleted(target, number) {
            groups[number].memory.removal?.targets[index].deletedSince = now
        }
    }

    /// Whether the Node is gone and Heat still deletes the member of its machine.
    private func isBeingDeleted(_ target: RemovalAct.Target, _ number: Int) -> Bool {
        guard model.nodeSlots[target.node] == nil, target.nodeUID != Self.unregisteredUID else { return false }
        return groups[number].state?.members.contains { $0.serverID == target.serverID && $0.isLeaving } ?? false
    }

    // MARK: Scale up

    private mutating func scaleUp(_ standings: [GroupStanding], at now: Timestamp) -> ScaleUpPass {
        let (world, upcoming) = worldWithUpcoming(standings, at: now)
        var pass = ScaleUpPass(world: world)
        pass.upcoming = upcoming
        reopenReturning(&pass, at: now)
        collectDemands(&pass, at: now)
        addComing(&pass, at: now)
        reserveForRemovals(&pass, at: now)
        placeOnExisting(&pass)
        takeBack(&pass)
        pass.allWait = configuration.peer.youngPodsWait && areAllYoung(pass, at: now)
        addHeadroom(&pass)
        plan(&pass, standings, at: now)
        enforceMinimums(&pass, standings, at: now)
        growBySignals(&pass, standings, at: now)
        return pass
    }

    private mutating func decideGrowth(
        _ pass: ScaleUpPass, at now: Timestamp, _ result: inout EvaluationResult
    ) -> [String] {
        var sentences: [String] = []
        for number in groups.indices {
            guard let growth = pass.growth[number], growth.count > 0 else { continue }
            let group = groups[number]
            let from = group.target
            let act = ScaleAct(
                id: decisionID("s", group.rules.id, "\(from)-\(from + growth.count)"), from: from,
                to: from + growth.count, decidedAt: now, deadline: now + configuration.scaleUp.decisionLifetime,
                // An increase that has begun and grows further is still for who asked for it.
                asker: pass.askers[number] ?? group.memory.scale?.asker)
            groups[number].memory.scale = act
            groups[number].grow(by: growth.count, at: now)
            memory.grewAt = now
            memory.recentGrowth.append(EngineMemory.Growth(at: now, count: growth.count))
            result.decisions.append(
                .scaleDecided(
                    ScaleDecided(
                        cluster: configuration.cluster, id: act.id, group: group.rules.id, from: act.from, to: act.to,
                        reason: growth.reason, pods: growth.sample, podCount: growth.pods, decidedAt: now,
                        deadline: act.deadline)))
            result.evaluation.decisions.append(act.id)
            sentences.append("\(group.rules.id) from \(act.from) to \(act.to): \(growth.reason.detail)")
        }
        return sentences
    }

    func decisionID(_ kind: String, _ group: String, _ what: String) -> String {
        "\(kind)-\(group)-\(what)-\(term)-\(memory.number)"
    }

    private mutating func decideReturns(
        _ pass: ScaleUpPass, at now: Timestamp, _ result: inout EvaluationResult
    ) -> [String] {
        var byRemoval: [String: (Int, [String])] = [:]
        for slot in pass.returned {
            let number = Int(groupOfSlot[slot])
            guard number >= 0, let name = model.nodes[slot]?.node.name,
                var removal = groups[number].memory.removal,
                let index = removal.targets.firstIndex(where: { $0.node == name })
            else { continue }
            removal.targets[index].isCancelled = true
            groups[number].memory.removal = removal
            byRemoval[removal.id, default: (number, [])].1.append(name)
        }
        var sentences: [String] = []
        for (id, item) in byRemoval.sorted(by: { $0.key < $1.key }) {
            result.decisions.append(
                .removalCancelled(
                    RemovalCancelled(
                        cluster: configuration.cluster, id: id, nodes: item.1.sorted(),
                        reason: Explanation(.loadReturned, "pods need the room"), decidedAt: now)))
            result.evaluation.decisions.append("cancel-\(id)-\(memory.number)")
            sentences.append("taken back: \(item.1.sorted().joined(separator: ", "))")
        }
        return sentences
    }

    // MARK: Scale down

    private mutating func scaleDown(
        _ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp, _ result: inout EvaluationResult
    ) -> [String] {
        // A pass is repeated when something changed, but not for every message of a busy cluster.
        let due = simulation.doneAt.map { now >= $0 + configuration.scaleDown.interval } ?? true
        let changed = simulation.revision != model.revision || simulation.doneAt == nil
        let minute = simulation.doneAt.map { now >= $0 + .seconds(10) } ?? true
        if result.evaluation.isComplete || due && (changed || minute) {
            simulateScaleDown(pass, standings, at: now)
        } else if changed {
            // What was concluded may not hold any more: nothing is removed before the next pass.
            note((simulation.doneAt ?? now) + configuration.scaleDown.interval, in: &result)
            return []
        }
        let wanted = Set(groups.indices.filter { pass.wants($0) })
        var (chosen, waiting, next) = selectRemovals(standings, wanted: wanted, at: now)
        keepTogether(&chosen, &waiting, pass, among: simulation.removable)
        note(next.map { $0 + .milliseconds(1) }, in: &result)
        note(now + .seconds(10), in: &result)
        var sentences: [String] = []
        for number in groups.indices {
            guard let slots = chosen[number], !slots.isEmpty else { continue }
            sentences += decideRemoval(number, slots, at: now, &result)
        }
        if sentences.isEmpty {
            sentences += consolidate(pass, standings, growing: !wanted.isEmpty, at: now, &result)
        }
        result.evaluation.nodes = nodeEntries(waiting, chosen, at: now)
        return sentences
    }

    /// Decides the removal of nodes of one group; `reason` instead of the one that a node gives by itself, `asker` where somebody
    /// asked for it.
    mutating func decideRemoval(
        _ number: Int, _ slots: [Int], at now: Timestamp, reason: Explanation? = nil, asker: Asker? = nil,
        _ result: inout EvaluationResult
    ) -> [String] {
        let group = groups[number]
        var targets: [RemovalTarget] = []
        var kept: [RemovalAct.Target] = []
        for slot in slots {
            guard let record = model.nodes[slot], let server = record.serverID else { continue }
            var pods = 0
            if case .removable(let moving) = simulation.verdicts[slot] { pods = moving.count }
            let load = simulation.utilizations[slot].map { Eligibility.percent($0.value) } ?? "?"
            let isReady = model.briefs[slot].isReady
            targets.append(
                RemovalTarget(
                    node: record.node.name, nodeUID: record.node.uid.isEmpty ? record.node.name : record.node.uid,
                    serverID: server, podsToMove: pods,
                    reason: reason
                        ?? (isReady
                            ? Explanation(.nodeUnneeded, "\(load) requested, \(pods) pods fit elsewhere")
                            : Explanation(.nodeUnready, record.node.readinessReason ?? "not ready"))))
            kept.append(
                RemovalAct.Target(
                    node: record.node.name, nodeUID: record.node.uid, serverID: server, drains: pods > 0))
        }
        guard !targets.isEmpty else { return [] }
        let names = targets.map(\.node)
        let act = RemovalAct(
            id: decisionID("r", group.rules.id, names[0]), targets: kept, decidedAt: now,
            deadline: now + configuration.scaleDown.decisionLifetime, asker: asker)
        groups[number].memory.removal = act
        groups[number].memory.removedAt = now
        memory.removedAt = now
        result.decisions.append(
            .removalDecided(
                RemovalDecided(
                    cluster: configuration.cluster, id: act.id, group: group.rules.id, from: group.state?.size ?? 0,
                    nodes: targets, decidedAt: now, deadline: act.deadline)))
        result.evaluation.decisions.append(act.id)
        return ["remove from \(group.rules.id): \(names.joined(separator: ", "))"]
    }

    /// When something becomes true by itself: a pod grows old enough, a backoff ends, an act expires.
    private func deadline(_ pass: ScaleUpPass, at now: Timestamp) -> Timestamp? {
        var next: Timestamp?
        func consider(_ time: Timestamp) {
            if time > now { next = min(next ?? time, time) }
        }
        let waits = pass.demands.contains { $0.open > 0 }
        for group in groups {
            if let act = group.memory.scale, act.startedAt == nil { consider(act.deadline + .seconds(6)) }
            if let act = group.memory.removal, act.startedAt == nil { consider(act.deadline + .seconds(6)) }
            if let backoff = group.memory.backoff, waits { consider(backoff.until + .milliseconds(1)) }
            if group.memory.expected > 0, let grewAt = group.memory.grewAt {
                consider(grewAt + provisionTimeout(group) + .milliseconds(1))
            }
        }
        if pass.excused.contains(where: { $0.key.reason == .tooYoung }) { consider(now + .seconds(1)) }
        return next
    }
}
