import JSONReader
import Messages
import Support

extension Scenario {
    private func note(_ requests: [JSONValue], in engine: inout Engine) {
        for request in requests {
            guard let number = engine.groupNumbers[request["group"]?.stringValue ?? ""] else { continue }
            var at = now
            if let ago = request["agoSeconds"]?.doubleValue { at = now - .seconds(ago) }
            if let seconds = request["atSeconds"]?.doubleValue { at = values.base + .seconds(seconds) }
            engine.groups[number].grow(by: Int(request["delta"]?.intValue ?? 0), at: at)
        }
    }

    /// Groups that failed to grow: their ids, alone or with `agoSeconds`, or `true` in the group itself.
    private func noteFailures(in engine: inout Engine) {
        for (number, group) in list("nodeGroups").enumerated() where engine.groups.indices.contains(number) {
            if group["backedOff"]?.boolValue ?? false { fail(number, ago: 0, in: &engine) }
        }
        for key in ["backoff", "backedOff", "failedScaleUps", "scaleUpFailures"] {
            let items = document[key]?.arrayValue ?? document[key]?.objectValue?.keys.map { .string($0) } ?? []
            for item in items {
                let id = item.stringValue ?? item["group"]?.stringValue ?? ""
                guard let number = engine.groupNumbers[id] else { continue }
                fail(number, ago: item["agoSeconds"]?.doubleValue ?? 0, in: &engine)
            }
        }
    }

    private func fail(_ number: Int, ago: Double, in engine: inout Engine) {
        engine.backOff(number, Explanation(.memberFailed, "as the file says"), at: now - .seconds(ago))
    }

    func clusterState() -> JSONValue {
        var engine = engine()
        note(list("scaleUpRequests"), in: &engine)
        noteFailures(in: &engine)
        for name in ScenarioValues.list(document["scaleDownCandidates"]) {
            if let slot = engine.model.nodeSlots[name] { engine.memory.unneededSince[engine.key(slot)] = now }
        }
        let standings = engine.standings(at: now)
        return stateResult(engine, standings, at: now)
    }

    private func stateResult(_ engine: Engine, _ standings: [GroupStanding], at time: Timestamp) -> JSONValue {
        var upcoming: [String: JSONValue] = [:]
        var registered: [String: JSONValue] = [:]
        var healthy: [String: JSONValue] = [:]
        var failures: [JSONValue] = []
        var groups: [String: JSONValue] = [:]
        let candidates = engine.model.order.filter { engine.memory.unneededSince[engine.key(Int($0))] != nil }
        func presence(_ isPresent: Bool) -> JSONValue { isPresent ? "CandidatesPresent" : "NoCandidates" }
        for (number, standing) in standings.enumerated() {
            let id = engine.groups[number].rules.id
            upcoming[id] = .int(Int64(standing.upcoming))
            if standing.upcoming > 0 && !standing.readiness.starting.isEmpty {
                registered[id] = .array(standing.readiness.starting.map { .string(engine.model.world.names[$0]) })
            }
            healthy[id] = .bool(standing.isHealthy)
            let isGrowing = engine.groups[number].isGrowing(
                at: time, timeout: engine.provisionTimeout(engine.groups[number]))
            let growth =
                isGrowing
                ? "InProgress"
                : !standing.isHealthy
                    ? "Unhealthy" : engine.groups[number].isBackedOff(at: time) ? "Backoff" : "NoActivity"
            groups[id] = .object([
                "health": standing.isHealthy ? "Healthy" : "Unhealthy", "scaleUp": .string(growth),
                "scaleDown": presence(candidates.contains { Int(engine.groupOfSlot[Int($0)]) == number }),
            ])
            if let delta = engine.timedOut[number] {
                failures.append(
                    .object([
                        "group": .string(id), "code": "timeout", "class": "OtherErrorClass",
                        "delta": .int(Int64(delta)),
                    ]))
            }
        }
        let clusterHealthy = engine.clusterProblem(standings, at: time) == nil
        let growing = engine.groups.contains { $0.isGrowing(at: time, timeout: engine.provisionTimeout($0)) }
        return .object([
            "upcoming": .object(upcoming), "upcomingRegistered": .object(registered),
            "clusterHealthy": .bool(clusterHealthy), "groupHealthy": .object(healthy),
            "counts": counts(engine, standings), "scaleUpFailures": .array(failures),
            "status": .object([
                "health": clusterHealthy ? "Healthy" : "Unhealthy",
                // That a group is backed off is said of the group alone.
                "scaleUp": growing ? "InProgress" : "NoActivity",
                "scaleDown": presence(!candidates.isEmpty),
                "groups": .object(groups),
            ]),
        ])
    }

    /// All nodes, also those of no group, by what they are good for, and machines without a node.
    private func counts(_ engine: Engine, _ standings: [GroupStanding]) -> JSONValue {
        let census = engine.census
        let late = standings.reduce(0) { $0 + $1.readiness.longUnregistered.count }
        let absent = standings.reduce(0) { $0 + $1.readiness.unregistered.count }
        func number(_ count: Int) -> JSONValue { .int(Int64(count)) }
        return .object([
            "ready": number(census.ready), "unready": number(census.unready),
            "notStarted": number(census.total - census.ready - census.unready - census.leaving.count),
            "registered": number(census.total), "beingDeleted": number(census.leaving.count),
            "unregistered": number(absent - late), "longUnregistered": number(late),
        ])
    }

    /// The inputs of the steps; what they expect is left alone.
    var steps: [JSONValue] {
        document["steps"]?.arrayValue ?? document[path: "expect", "steps"]?.arrayValue ?? []
    }

    func clusterStateSteps() -> JSONValue {
        var engine = Engine(configuration(), term: "scenario")
        note(list("scaleUpRequests"), in: &engine)
        noteFailures(in: &engine)
        var results: [JSONValue] = []
        var mismatches: [Int: GroupMemory.Mismatch] = [:]
        for (index, step) in steps.enumerated() {
            let time = values.base + .seconds(step["atSeconds"]?.doubleValue ?? 0)
            var snapshot = snapshot(at: time, sequence: Int64(index + 1))
            var names = list("nodes").filter { $0["group"]?.stringValue != nil }.compactMap { $0["name"]?.stringValue }
            if let wanted = step["registered"] {
                names = ScenarioValues.list(wanted)
            } else if let number = step["registeredCount"] {
                let count = Self.count(number)
                let group = list("nodeGroups").first?["id"]?.stringValue ?? ""
                while names.count < count { names.append("\(group)-\(names.count + 1)") }
                names.removeLast(max(0, names.count - count))
            }
            for name in names where !snapshot.nodes.contains(where: { $0.name == name }) {
                let plain = JSONValue.object(["allocatable": .object(["cpu": "1000m", "memory": 1_000, "pods": 100])])
                snapshot.nodes.append(values.node(plain, name: name))
            }
            var owners: [String: JSONValue?] = [:]
            for item in list("nodes") { owners[item["name"]?.stringValue ?? ""] = item["group"] }
            // Nodes of no group are there in every step.
            snapshot.nodes.removeAll { !names.contains($0.name) && owners[$0.name]??.stringValue != nil }
            _ = engine.apply(snapshot, at: time)
            for (number, group) in list("nodeGroups").enumerated() {
                let own = names.filter { name in
                    owners[name].map { $0?.stringValue == group["id"]?.stringValue } ?? (number == 0)
                }
                _ = engine.apply(state(of: group, nodes: own, at: time), at: time)
            }
            applyWords(step["after"]?.stringValue ?? "", to: &engine, at: time)
            engine.assign(at: time)
            let standings = engine.standings(at: time)
            var result = stepResult(engine, standings, names, at: time)
            result["incorrect"] = incorrect(engine, standings, &mismatches, at: time)
            // What happened before the step, in words, is an input; it is given back with the answer.
            if let words = step["after"] { result["after"] = words }
            results.append(.object(result))
        }
        return .object(["steps": .array(results)])
    }

    /// A step may say in words that a request came in between: `second request, 121 s old, times out`.
    private func applyWords(_ words: String, to engine: inout Engine, at time: Timestamp) {
        let parts = words.split(separator: " ")
        guard let unit = parts.firstIndex(of: "s"), unit > 0, let age = Double(parts[unit - 1]),
            words.contains("request"), !engine.groups.isEmpty
        else { return }
        engine.groups[0].memory.expected = 0
        engine.groups[0].grow(by: 1, at: time - .seconds(age))
    }

    private func stepResult(
        _ engine: Engine, _ standings: [GroupStanding], _ names: [String], at time: Timestamp
    ) -> [String: JSONValue] {
        var result = stateResult(engine, standings, at: time).objectValue ?? [:]
        let first = engine.groups.first
        let backedOff = first?.isBackedOff(at: time) ?? false
        let healthy = standings.first?.isHealthy ?? true
        result["healthy"] = .bool(healthy)
        result["backedOff"] = .bool(backedOff)
        result["safeToScale"] = .bool(healthy && !backedOff)
        result["registeredCount"] = .int(Int64(names.count))
        result["registered"] = .array(names.map { .string($0) })
        return result
    }

    /// The first group whose nodes are more than it wants, or fewer without a machine that could become one; null: none.
    private func incorrect(
        _ engine: Engine, _ standings: [GroupStanding], _ known: inout [Int: GroupMemory.Mismatch], at time: Timestamp
    ) -> JSONValue {
        var now: [Int: GroupMemory.Mismatch] = [:]
        for (number, standing) in standings.enumerated() where !standing.readiness.isEmpty {
            let readiness = standing.readiness
            let registered =
                readiness.ready.count + readiness.unready.count + readiness.starting.count + readiness.leaving.count
            let target = engine.groups[number].target
            guard registered > target || registered < target - readiness.unregistered.count else { continue }
            var mismatch = GroupMemory.Mismatch(expected: target, current: registered, since: time)
            if let before = known[number], before.expected == target, before.current == registered {
                mismatch.since = before.since
            }
            now[number] = mismatch
        }
        known = now
        guard let first = now.min(by: { $0.key < $1.key })?.value else { return .null }
        return .object([
            "expected": .int(Int64(first.expected)), "current": .int(Int64(first.current)),
            "firstObservedSeconds": .int((first.since - values.base).microseconds / 1_000_000),
        ])
    }

    // MARK: Whole loops

    func loop() -> JSONValue {
        var engine = Engine(configuration(), term: "scenario")
        var groups = list("nodeGroups")
        var podChanges: [String: JSONValue] = [:]
        var results: [JSONValue] = []
        let firstTime = steps.first?["atSeconds"]?.doubleValue ?? 0
        if firstTime > 0 {
            // The program ran before the first step that is looked at.
            let time = values.base
            play(&engine, groups, steps.first ?? .null, podChanges, at: time, sequence: 1)
            engine.assign(at: time)
            _ = engine.standings(at: time)
        }
        for (index, step) in steps.enumerated() {
            let time = values.base + .seconds(step["atSeconds"]?.doubleValue ?? 0)
            engine.configuration.apply(step["configChange"])
            for (id, change) in step["groupChange"]?.objectValue ?? [:] {
                guard let number = groups.firstIndex(where: { $0["id"]?.stringValue == id }) else { continue }
                for (key, value) in change.objectValue ?? [:] { groups[number][key] = value }
                engine.change(group(groups[number]))
            }
            if let added = step["groupAdd"] {
                groups.append(added)
                engine.add(group(added))
            }
            for (name, change) in step["podChange"]?.objectValue ?? [:] { podChanges[name] = change }
            play(&engine, groups, step, podChanges, at: time, sequence: Int64(index + 2))
            let result = engine.evaluate(at: time, complete: true)
            let answer = loopResult(engine, result)
            results.append(answer)
            // With the peer a call changes a group's target at once, and a removal is over long before the next loop.
            for number in groups.indices {
                let id = groups[number]["id"]?.stringValue ?? ""
                let gone =
                    list("nodes").filter { $0["group"] == groups[number]["id"] }.compactMap { $0["name"]?.stringValue }
                    + ScenarioValues.list(groups[number]["instances"])
                let deleted = Set(ScenarioValues.list(answer["delete"])).intersection(gone).count
                let change =
                    (answer[path: "scaleUp", id]?.intValue ?? 0) + (answer[path: "targetChange", id]?.intValue ?? 0)
                groups[number]["size"] = .int(
                    max(0, (groups[number]["size"]?.intValue ?? 0) + change - Int64(deleted)))
            }
            engine.forgetActs()
        }
        return .object(["steps": .array(results)])
    }

    private func play(
        _ engine: inout Engine, _ groups: [JSONValue], _ step: JSONValue, _ podChanges: [String: JSONValue],
        at time: Timestamp, sequence: Int64
    ) {
        let nodes = step["nodes"].map { Set(ScenarioValues.list($0)) }
        let pods = step["pods"].map { Set(ScenarioValues.list($0)) }
        let snapshot = snapshot(nodes: nodes, pods: pods, at: time, sequence: sequence) { name, pod in
            for (key, value) in podChanges[name]?.objectValue ?? [:] { pod[key] = value }
        }
        _ = engine.apply(snapshot, at: time)
        for group in groups {
            let own = list("nodes").filter { $0["group"] == group["id"] }.compactMap { $0["name"]?.stringValue }
                .filter { nodes?.contains($0) ?? true }
            _ = engine.apply(state(of: group, nodes: own, at: time), at: time)
        }
    }

    private func loopResult(_ engine: Engine, _ result: EvaluationResult) -> JSONValue {
        var added: [String: JSONValue] = [:]
        var changed: [String: JSONValue] = [:]
        var deleted: [JSONValue] = []
        for decision in result.decisions {
            switch decision {
            case .scaleDecided(let scale):
                if scale.reason.reason == .sizeMismatch || scale.reason.reason == .provisionTimedOut {
                    changed[scale.group] = .int(Int64(scale.to) - Int64(scale.from))
                } else {
                    added[scale.group] = .int(Int64(scale.to - scale.from))
                }
            case .removalDecided(let removal):
                for target in removal.nodes {
                    deleted.append(.string(String(target.serverID.dropFirst("server-".count))))
                }
            default: break
            }
        }
        let unneeded = engine.model.order.map { Int($0) }
            .filter { engine.memory.unneededSince[engine.key($0)] != nil }
            .map { JSONValue.string(engine.model.world.names[$0]) }
        return .object([
            "scaleUp": .object(added), "delete": .array(deleted), "unneeded": .array(unneeded),
            "targetChange": .object(changed),
        ])
    }
}
