import Messages
import Support

/// Requests from outside for a few nodes more or less (`scale.requested`): an alarm that calls the signal URL instead of
/// Heat's policy.
///
/// A request is a wish: limits, budgets, quotas and the simulation count as for our own decisions, so that a node goes
/// only if its pods fit elsewhere, and with notice. Of a group one request is considered at a time; one for more takes the
/// place of one for fewer that waits. What stands in the way for the moment is waited for until the request's deadline;
/// every request ends with an entry in the ledger.
extension Engine {
    private static let remembered = 200

    /// Takes a request in; true if there is something to evaluate.
    mutating func scaleRequested(_ request: ScaleRequested, at now: Timestamp) -> Bool {
        guard memory.signalsSeen?.contains(request.id) != true else { return false }
        memory.signalsSeen = Array(((memory.signalsSeen ?? []) + [request.id]).suffix(Engine.remembered))
        hasUnsavedSignals = true
        guard let number = groupNumber(request.group) else {
            conclude(request, 0, Explanation(.groupUnknown, "no group '\(request.group)' is configured"))
            return true
        }
        guard request.deadline >= now else {
            conclude(request, 0, Explanation(.decisionExpired, "its deadline was \(request.deadline)"))
            return true
        }
        if let other = groups[number].memory.signal {
            if other.deadline < now {
                end(number, 0, Explanation(.decisionExpired, "its deadline was \(other.deadline)"), at: now)
            } else if request.direction == .up, other.direction == .down {
                // More nodes are urgent, fewer are not; and who waits to have fewer must not keep more from coming.
                end(number, 0, Explanation(.superseded, "by request \(request.id)"), at: now)
            } else {
                conclude(request, 0, Explanation(.groupBusy, "request \(other.id) is being considered"))
                return true
            }
        }
        groups[number].memory.signal = request
        groups[number].memory.rule = nil
        return true
    }

    private func groupNumber(_ id: String) -> Int? { groups.firstIndex { $0.rules.id == id } }

    private mutating func conclude(_ request: ScaleRequested, _ decided: Int, _ outcome: Explanation) {
        signalOutcomes.append(
            Evaluation.SignalEntry(
                id: request.id, group: request.group,
                change: request.direction == .up ? request.step : -request.step, decided: decided, who: request.who,
                outcome: outcome))
    }

    mutating func end(_ number: Int, _ decided: Int, _ outcome: Explanation, at now: Timestamp) {
        guard let request = groups[number].memory.signal else { return }
        if let rule = groups[number].memory.rule, decided == 0 { memory.rules?[rule]?.refused(at: now) }
        groups[number].memory.signal = nil
        groups[number].memory.rule = nil
        conclude(request, decided, outcome)
    }

    /// Who asks for nodes of this group, for the act that is decided on for it.
    private func asker(_ number: Int, _ decided: Int) -> Asker? {
        groups[number].memory.signal.map {
            Asker(request: $0, rule: groups[number].memory.rule, decided: decided, from: groups[number].target)
        }
    }

    // MARK: What came of it

    /// An act to grow is over before its nodes are there. What came of the request stands anew in the ledger, and the rule that
    /// made it asks again.
    ///
    /// - Parameter size: of the group, as the Actuator read it last; nil: as its state says.
    mutating func endedInVain(
        _ act: ScaleAct, _ number: Int, size: Int? = nil, _ why: Explanation, at now: Timestamp
    ) {
        guard let asker = act.asker else { return }
        // Heat may have made some of them before it failed.
        let come = min(asker.decided, max(0, (size ?? groups[number].state?.size ?? 0) - asker.from))
        guard come < asker.decided else { return }
        conclude(asker.request, come, why)
        if come == 0 { askAgain(asker, number, at: now) }
    }

    /// A removal is over for all its nodes. A node that went is what was asked for. Nor does the rule ask again soon for what was taken
    /// back on purpose: pods need the room, or an operator has cancelled it, who does not want to do so once a minute. The rule
    /// has its cooldown then; one that acts once each time acts again when its condition begins anew.
    mutating func ended(_ act: RemovalAct, _ number: Int, at now: Timestamp) {
        guard let asker = act.asker else { return }
        let gone = act.gone ?? 0
        guard gone < -asker.decided else { return }
        let unheard = act.startedAt == nil ? "nobody took it up until \(act.deadline)" : "nothing shows it any more"
        conclude(asker.request, -gone, act.failure ?? Explanation(.decisionExpired, unheard))
        if gone == 0, act.wasTakenBack != true { askAgain(asker, number, at: now) }
    }

    private mutating func askAgain(_ asker: Asker, _ number: Int, at now: Timestamp) {
        // A request of the rule that waits has an outcome of its own.
        guard let rule = asker.rule, groups[number].memory.rule != rule else { return }
        memory.rules?[rule]?.refused(at: now)
    }

    private func reason(_ number: Int, _ request: ScaleRequested) -> Explanation {
        Explanation(
            groups[number].memory.rule == nil ? .signalled : .ruleFired,
            request.why.isEmpty ? request.who : "\(request.who): \(request.why)")
    }

    // MARK: Up

    /// Adds what requests ask for to the growth of this evaluation.
    mutating func growBySignals(_ pass: inout ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp) {
        var allowance = allowance()
        var nodes = nodeLimit(at: now)
        for (number, growth) in pass.growth {
            if let template = templates[number] { allowance.take(growth.count, group: number, template) }
            nodes.take(growth.count)
        }
        for number in groups.indices {
            guard let request = groups[number].memory.signal, request.direction == .up else { continue }
            // Waits; what it waits for is its outcome if its time runs out.
            guard standings[number].refusal == nil, groups[number].memory.scale == nil else { continue }
            let known = pass.growth[number]
            // Nodes that pods ask for anyway are nodes more as well.
            let already = known?.count ?? 0
            var more = max(0, request.step - already)
            // Empty or whole, nothing between.
            let isWhole = groups[number].rules.zeroOrMax && more > 0
            if isWhole { more = max(0, groups[number].maximum - groups[number].target - already) }
            let whole = more
            var bound: Explanation?
            func lower(_ limit: Int, _ why: @autoclosure () -> Explanation) {
                if limit < more { (more, bound) = (max(0, limit), why()) }
            }
            let group = groups[number]
            lower(
                group.maximum - group.target - already,
                Explanation(.maximumReached, "\(group.maximum) (\(group.rules.origin).max)"))
            lower(nodes.rest, nodes.bound)
            if let template = templates[number] {
                let (allowed, limit) = allowance.allowed(more, group: number, template)
                if allowed < more { (more, bound) = (allowed, limit) }
            }
            if isWhole && more < whole { more = 0 }
            if let template = templates[number] { allowance.take(more, group: number, template) }
            nodes.take(more)
            if more > 0 {
                pass.growth[number] =
                    known.map { ($0.count + more, $0.reason, $0.pods, $0.sample) }
                    ?? (more, reason(number, request), 0, [])
            }
            if let bound { pass.bounds[number, default: []].append(bound) }
            let decided = isWhole ? already + more : min(request.step, already + more)
            if decided > 0 { pass.askers[number] = asker(number, decided) }
            end(number, decided, bound ?? reason(number, request), at: now)
        }
    }

    // MARK: Down

    /// Removes the cheapest nodes of a group whose pods fit elsewhere, as many as are asked for and may go.
    mutating func shrinkBySignals(
        _ pass: ScaleUpPass, _ standings: [GroupStanding], at now: Timestamp, _ result: inout EvaluationResult
    ) -> [String] {
        var sentences: [String] = []
        for number in groups.indices {
            guard let request = groups[number].memory.signal, request.direction == .down, removalHolds[number] == nil,
                removalRefusal(number, standings[number], growing: pass.wants(number)) == nil,
                groups[number].memory.removal == nil
            else { continue }
            var obstacles: [Explanation] = []
            let slots = removableNow(number, request.step, pass, &obstacles, at: now)
            var selection = RemovalSelection(rules: configuration.scaleDown, now: now)
            selection.budgetsInUse(self, for: slots)
            var waiting: [Int: Explanation] = [:]
            let candidates = slots.map { selection.candidate($0, number, self) }
            let chosen = selection.choose(candidates, self, &waiting)[number] ?? []
            obstacles += waiting.sorted { $0.key < $1.key }.map(\.value)
            let why = reason(number, request)
            if !chosen.isEmpty {
                sentences += decideRemoval(
                    number, chosen, at: now, reason: why, asker: asker(number, -chosen.count), &result)
            }
            let short = obstacles.first ?? Explanation(.noNodeInfo, "the group has no node that could go")
            // Whoever asks for all that may go gets what was asked for.
            let enough = chosen.count == request.step || (asksForAll(number) && !chosen.isEmpty)
            end(number, -chosen.count, enough ? why : short, at: now)
        }
        return sentences
    }

    private func asksForAll(_ number: Int) -> Bool {
        guard let name = groups[number].memory.rule else { return false }
        return configuration.rules.contains { $0.name == name && $0.step == .simulation }
    }

    /// Nodes of a group whose pods fit elsewhere together, the cheapest first. Load and time do not count here: somebody
    /// asked.
    private mutating func removableNow(
        _ number: Int, _ count: Int, _ pass: ScaleUpPass, _ obstacles: inout [Explanation], at now: Timestamp
    ) -> [Int] {
        let eligibility = Eligibility(rules: configuration.scaleDown, now: now)
        var candidates: [Int] = []
        for slot in model.order.map(Int.init) where Int(groupOfSlot[slot]) == number {
            if let mark = eligibility.mark(slot, model) {
                obstacles.append(mark)
            } else if let at = memory.unwilling?[model.world.names[slot]], now < at + Self.unwillingPause {
                obstacles.append(
                    Explanation(
                        .recentlyUnremovable,
                        "\(model.world.names[slot]): its removal ended at \(at) over its pods; asked again after "
                            + "\(Self.unwillingPause)"))
            } else {
                candidates.append(slot)
            }
        }
        let ordered = awaitedLast(orderVictims(candidates, simulation.utilizations, at: now))
        let isCandidate = Set(candidates)
        let destinations =
            model.order.filter { !isCandidate.contains(Int($0)) } + ordered.reversed().map { Int32($0) }
        var simulator = RemovalSimulator(
            model, world: worldToMoveIn(pass, at: now), drain: configuration.scaleDown.drain, now: now,
            destinations: destinations)
        simulator.hold(pass.held)
        var removable: [Int] = []
        for slot in ordered where removable.count < count {
            let verdict = simulator.tryRemoving(slot)
            simulation.verdicts[slot] = verdict
            switch verdict {
            case .removable:
                if let wait = simulator.awaited[slot] {
                    obstacles.append(Explanation(wait.reason, "\(model.world.names[slot]): \(wait.detail)"))
                } else {
                    removable.append(slot)
                }
            case .stays(let why): obstacles.append(Explanation(why.reason, "\(model.world.names[slot]): \(why.detail)"))
            }
        }
        return removable
    }

    // MARK: The ledger

    /// Requests whose time ran out, and what became of all the others, into the record.
    mutating func tellSignals(_ result: inout EvaluationResult, at now: Timestamp) {
        for number in groups.indices {
            guard let request = groups[number].memory.signal else { continue }
            if request.deadline < now {
                end(
                    number, 0,
                    Explanation(.decisionExpired, "until \(request.deadline): \(hindrance(number, at: now))"),
                    at: now)
            } else {
                let due = request.deadline + .milliseconds(1)
                result.nextDeadline = min(result.nextDeadline ?? due, due)
            }
        }
        guard !signalOutcomes.isEmpty else { return }
        result.evaluation.signals = signalOutcomes
        let words = signalOutcomes.map { entry in
            "\(entry.who) asked for \(entry.change) in \(entry.group): \(entry.decided) "
                + "(\(entry.outcome.reason.rawValue)\(entry.outcome.detail.isEmpty ? "" : ", \(entry.outcome.detail)"))"
        }
        let summary = result.evaluation.summary
        result.evaluation.summary = ((summary == "nothing to do" ? [] : [summary]) + words).joined(separator: "; ")
        signalOutcomes = []
    }

    /// What a request waited for in vain.
    private func hindrance(_ number: Int, at now: Timestamp) -> String {
        if let problem = staleness(at: now) { return problem.detail }
        let group = groups[number]
        if let hold = removalHolds[number] { return "\(hold.reason.rawValue) \(hold.detail)" }
        if group.memory.scale != nil { return "a change of size was under way" }
        if group.memory.removal != nil { return "a removal was under way" }
        if let problem = group.state?.problem { return "\(problem.reason.rawValue) \(problem.detail)" }
        return group.state == nil ? "nothing was known of the group" : "the group or the cluster was not well"
    }
}
