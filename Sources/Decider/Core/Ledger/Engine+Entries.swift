import Messages
import Support

extension Engine {
    /// What is said about pods without a node: by class, so that replicas share an entry.
    func podEntries(_ pass: ScaleUpPass) -> [Evaluation.PodEntry] {
        var entries: [Evaluation.PodEntry] = []
        for (number, item) in pass.demands.enumerated() {
            var demand = item
            // Which pods are the ones that are served matters only when not all share an outcome.
            let outcomes =
                (pass.fitting[number] > 0 ? 1 : 0) + (pass.plan?.placed[number].count ?? 0)
                + (demand.open > 0 ? 1 : 0)
            if outcomes > 1 { sortPods(&demand) }
            var rest = demand.pods[...]
            func take(_ count: Int) -> ArraySlice<Int32> {
                defer { rest = rest.dropFirst(count) }
                return rest.prefix(count)
            }
            append(
                take(pass.fitting[number]), Explanation(.fitsExisting, "on a node that is there or coming"), nil, [:],
                &entries)
            let placed = pass.plan?.placed[number] ?? [:]
            let obstacles = named(pass.plan?.obstacles[number] ?? [:])
            for (group, count) in placed.sorted(by: { $0.key < $1.key }) {
                var others = obstacles
                for (other, loss) in pass.plan?.losses[group] ?? [:]
                where placed[other] == nil && others[groups[other].rules.id] == nil {
                    others[groups[other].rules.id] = Explanation(.otherGroupChosen, loss)
                }
                append(
                    take(count), Explanation(.podsPending, "gets a new node"), groups[group].rules.id, others, &entries)
            }
            append(rest, unserved(number, pass, obstacles), nil, obstacles, &entries)
        }
        for excuse in pass.excused.values {
            entries.append(
                Evaluation.PodEntry(pod: podName(excuse.pod), count: excuse.count, outcome: excuse.explanation))
        }
        return entries.sorted { ($0.pod, $0.group ?? "") < ($1.pod, $1.group ?? "") }
    }

    private func named(_ obstacles: [Int: Explanation]) -> [String: Explanation] {
        var named: [String: Explanation] = [:]
        for (group, obstacle) in obstacles { named[groups[group].rules.id] = obstacle }
        return named
    }

    private func unserved(
        _ number: Int, _ pass: ScaleUpPass, _ obstacles: [String: Explanation]
    ) -> Explanation {
        if let refusal = pass.plan?.refusal { return refusal }
        let possible = groups.indices.filter { pass.plan?.obstacles[number][$0] == nil }
        for group in possible { if let bound = pass.bounds[group]?.last { return bound } }
        // When every group says the same, that is the reason; in the words of the first by its id.
        let reasons = Set(obstacles.values.map(\.reason))
        if reasons.count == 1, let first = obstacles.min(by: { $0.key < $1.key }) { return first.value }
        return Explanation(.groupUnknown, groups.isEmpty ? "no group is configured" : "no group can take it")
    }

    private func append(
        _ pods: ArraySlice<Int32>, _ outcome: Explanation, _ group: String?, _ obstacles: [String: Explanation],
        _ entries: inout [Evaluation.PodEntry]
    ) {
        var counts: [Int32: (first: Int32, count: Int)] = [:]
        for index in pods where index >= 0 {
            let podClass = model.podBriefs[Int(index)].podClass
            if var known = counts[podClass] {
                known.count += 1
                // Named after the first by name, whatever the order of messages.
                if (model.pods[Int(index)]?.name ?? "") < (model.pods[Int(known.first)]?.name ?? "") {
                    known.first = index
                }
                counts[podClass] = known
            } else {
                counts[podClass] = (index, 1)
            }
        }
        for item in counts.values {
            let hasClaims = model.podsWithClaims[item.first] != nil
            entries.append(
                Evaluation.PodEntry(
                    pod: podName(item.first), count: item.count, outcome: naming(outcome, item.first), group: group,
                    groups: hasClaims ? obstacles.mapValues { naming($0, item.first) } : obstacles))
        }
    }

    /// With the claims of the pod that do not exist: pods of one class may differ in them.
    private func naming(_ explanation: Explanation, _ pod: Int32) -> Explanation {
        guard explanation.reason == .claimMissing, let (shape, names) = model.podsWithClaims[pod] else {
            return explanation
        }
        let namespace = model.shapes[shape]?.namespace ?? ""
        let missing = names.filter { model.claims["\(namespace)/\($0)"] == nil }
        guard !missing.isEmpty else { return explanation }
        let rest = missing.count > 3 ? " and \(missing.count - 3) more" : ""
        return Explanation(
            .claimMissing,
            "PersistentVolumeClaim "
                + missing.prefix(3).map { "\(namespace)/\($0)" }.joined(separator: ", ") + rest)
    }

    /// What is said about groups.
    func groupEntries(
        _ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp
    ) -> [Evaluation.GroupEntry] {
        groups.indices.map { number in
            let group = groups[number]
            var bound = pass.bounds[number] ?? []
            if let refusal = standings[number].refusal, !bound.contains(refusal) { bound.insert(refusal, at: 0) }
            if let node = nodeOfUnknownMachine, !standings[number].readiness.longUnregistered.isEmpty {
                let count = standings[number].readiness.longUnregistered.count
                bound.append(
                    Explanation(
                        .providerUnknown,
                        "\(count) machines have no Node and are not removed: node \(node) has no provider id of OpenStack "
                            + "and may be one of them"))
            } else if let hold = machinesToRemove(number, standings, pass, at: now).hold {
                bound.append(hold)
            }
            if let pause = replacementPause(of: number, at: now) { bound.append(pause) }
            var seen: Set<Explanation> = []
            return Evaluation.GroupEntry(
                group: group.rules.id, size: group.state?.size ?? 0, target: group.target,
                bound: bound.filter { seen.insert($0).inserted })
        }
    }

    private func loadedEntry(_ slot: Int, _ percent: Int16) -> Evaluation.NodeEntry {
        let group = Int(groupOfSlot[slot])
        let rules = group >= 0 ? groups[group].rules : nil
        let threshold = rules?.utilizationThreshold ?? configuration.scaleDown.utilizationThreshold
        return Evaluation.NodeEntry(
            node: model.world.names[slot], group: rules?.id,
            outcome: Explanation(
                .notUnderutilized,
                "\(percent > 0 ? "cpu" : "memory") \(abs(percent))% requested, "
                    + "threshold \(Eligibility.percent(threshold))"),
            utilization: Double(abs(percent)) / 100)
    }

    /// The load of a node that is plainly loaded.
    private func loadedShare(_ slot: Int) -> Double? {
        guard slot < simulation.loaded.count, simulation.loaded[slot] != 0 else { return nil }
        return Double(abs(simulation.loaded[slot])) / 100
    }

    /// Nodes that left since this was last asked.
    private mutating func departures() -> [String] {
        guard departuresRevision != model.nodesRevision else { return [] }
        departuresRevision = model.nodesRevision
        let now = model.nodeSlots
        let gone = ledgerSlots.filter { now[$0.key] != $0.value }
        for slot in gone.values { ledger.forgetLoaded(slot) }
        ledgerSlots = now
        return gone.keys.filter { now[$0] == nil }.sorted()
    }

    /// What is said about nodes, as far as it is news.
    mutating func nodeEntries(
        _ waiting: [Int: Explanation], _ chosen: [Int: [Int]], at now: Timestamp
    ) -> [Evaluation.NodeEntry] {
        var entries: [Evaluation.NodeEntry] = []
        let going = Set(chosen.values.flatMap { $0 })
        let replaced = replacements
        // Those that are not replaced any more are what they were before.
        simulation.news?.append(contentsOf: toldReplaced.filter { replaced[$0] == nil }.map { Int32($0) })
        toldReplaced = Set(replaced.keys)
        let news = simulation.news?.sorted { model.world.names[Int($0)] < model.world.names[Int($1)] } ?? model.order
        simulation.news = []
        for slot in news where Int(slot) < simulation.loaded.count && simulation.loaded[Int(slot)] != 0 {
            let percent = simulation.loaded[Int(slot)]
            guard replaced[Int(slot)] == nil else { continue }
            if ledger.noteLoaded(Int(slot), percent) { entries.append(loadedEntry(Int(slot), percent)) }
        }
        let loaded = replaced.keys.filter { $0 < simulation.loaded.count && simulation.loaded[$0] != 0 }.map {
            Int32($0)
        }
        for slot in simulation.open + loaded.sorted() {
            let index = Int(slot)
            let reason: Explanation
            if let replacement = replaced[index] {
                reason = replacement
            } else if going.contains(index) {
                reason = Explanation(.nodeUnneeded, "is removed now")
            } else if let wait = waiting[index] {
                reason = wait
            } else {
                reason =
                    simulation.obstacles[index]
                    ?? Explanation(configuration.scaleDown.enabled ? .nodeUnneeded : .scaleDownDisabled)
            }
            let name = model.world.names[index]
            let outcome = Ledger.NodeOutcome(
                reason: reason.reason, detail: reason.detail,
                utilization: simulation.utilizations[index]?.value ?? loadedShare(index),
                unneededSince: simulation.verdicts[index]?.isRemovable ?? false
                    ? memory.unneededSince[key(index)] : nil,
                group: index < groupOfSlot.count ? groupOfSlot[index] : -1)
            if ledger.note(index, name, outcome) { entries.append(Ledger.entry(name, outcome, groups)) }
        }
        for name in departures() {
            entries.append(Evaluation.NodeEntry(node: name, outcome: Explanation(.nodeGone)))
        }
        let names = model.world.names
        ledger.forget(where: { $0 >= names.count || names[$0] != $1 })
        return entries
    }
}
