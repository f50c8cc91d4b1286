import JSONReader
import Support

/// What the engine does with a group: choosing victims, making, replacing and removing members.
extension HeatModel {
    /// Registers a resize; the engine begins it a moment later.
    mutating func schedule(
        _ cause: HeatResize.Cause, target: Int, _ place: Int, _ group: Int, victims: [String]? = nil,
        at now: Timestamp
    ) {
        stacks[place].groups[group].resize = HeatResize(
            cause: cause, target: target, begins: now + timing.engine, victims: victims, quietUntil: now,
            deadline: now + .minutes(stacks[place].definition.timeoutMinutes))
    }

    /// A newer action takes over: the running update is cancelled, which is no failure; work begun goes on.
    mutating func supersede(_ place: Int, _ group: Int, at now: Timestamp) {
        guard let running = stacks[place].groups[group].resize else { return }
        stacks[place].groups[group].resize = nil
        endNoOps(place, group, at: now)
        guard running.hasBegun else { return }
        notifyGroupStack(place, group, "update.error", reason: "Stack UPDATE cancelled", isError: true, at: now)
        if case .signal(let policy, _) = running.cause {
            notifyScaling(
                place, group, "error", policy, capacity: stacks[place].groups[group].capacity,
                message: "Stack UPDATE cancelled", at: now)
        }
    }

    /// A policy's adjustment (docs/openstack/heat.md §3). Nil if it scales now, else why it is dropped.
    mutating func adjust(by policy: PolicyDefinition, _ place: Int, _ group: Int, at now: Timestamp) -> String? {
        let current = stacks[place].groups[group]
        guard current.state.isComplete, current.resize == nil || current.scalingInProgress else {
            return "the group is not COMPLETE"
        }
        guard !current.scalingInProgress else { return "scaling in progress" }
        if let end = current.cooldownEnd, now < end { return "cooldown" }
        let before = current.capacity
        let after = HeatModel.capacity(from: before, policy, current.definition)
        guard after != before else { return "the capacity is \(before) already" }
        let victims = chooseVictims(place, group, target: after)
        stacks[place].groups[group].scalingInProgress = true
        schedule(.signal(policy, before: before), target: after, place, group, victims: victims, at: now)
        let stackID = stacks[place].groups[group].stackID
        notifyScaling(
            place, group, "start", policy, capacity: before, message: "Start resizing the group \(stackID)", at: now)
        return nil
    }

    /// The new capacity: percent of less than one member rounds away from zero, else toward it; clipped to min…max.
    static func capacity(from current: Int, _ policy: PolicyDefinition, _ group: GroupDefinition) -> Int {
        let wanted: Int
        switch policy.kind {
        case .change: wanted = current + policy.adjustment
        case .exact: wanted = policy.adjustment
        case .percent:
            let delta = Double(policy.adjustment) * Double(current) / 100
            var step = abs(delta) < 1 ? Int(delta.rounded(.awayFromZero)) : Int(delta.rounded(.towardZero))
            if let least = policy.minimumStep, abs(step) < least { step = policy.adjustment < 0 ? -least : least }
            wanted = current + step
        }
        return min(max(wanted, group.minimum), group.maximum)
    }

    /// Who leaves when a group shrinks: FAILED ones first, then the oldest (created, then name).
    func chooseVictims(_ place: Int, _ group: Int, target: Int) -> [String] {
        let ordered = stacks[place].groups[group].standing.sorted { left, right in
            let leftFirst = !takesWrongVictim && (left.goesFirst || left.state.isFailed)
            let rightFirst = !takesWrongVictim && (right.goesFirst || right.state.isFailed)
            if leftFirst != rightFirst { return leftFirst }
            return (left.created, left.name) < (right.created, right.name)
        }
        return ordered.dropLast(target).map(\.name)
    }

    // MARK: A step of a group

    /// Everything that is due in a group.
    mutating func step(_ place: Int, _ group: Int, nova: inout NovaModel, at now: Timestamp) {
        if let resize = stacks[place].groups[group].resize, !resize.hasBegun, resize.begins <= now {
            begin(place, group, nova: &nova, at: now)
        }
        for found in stacks[place].groups[group].members.indices {
            stepMember(place, group, found, nova: &nova, at: now)
        }
        stacks[place].groups[group].members.removeAll { $0.isReplaced && $0.phase == .gone }
        guard let resize = stacks[place].groups[group].resize, resize.hasBegun else { return }
        if !resize.isQuiet, resize.quietUntil <= now {
            stacks[place].groups[group].resize?.isQuiet = true
            endNoOps(place, group, at: now)
        }
        if !resize.waitingVictims.isEmpty,
            !stacks[place].groups[group].standing.contains(where: { $0.isBeingCreated })
        {
            stacks[place].groups[group].resize?.waitingVictims = []
            for name in resize.waitingVictims { leave(place, group, name: name, at: now) }
        }
        conclude(place, group, at: now)
    }

    private mutating func begin(_ place: Int, _ group: Int, nova: inout NovaModel, at now: Timestamp) {
        guard var resize = stacks[place].groups[group].resize else { return }
        let verb: String
        switch resize.cause {
        case .create: verb = "CREATE"
        case .delete: verb = "DELETE"
        case .update, .signal: verb = "UPDATE"
        }
        stacks[place].groups[group].stackState = .stack(verb, "IN_PROGRESS")
        stacks[place].groups[group].stackUpdated = verb == "CREATE" ? nil : now
        switch resize.cause {
        case .signal: break
        default: stacks[place].groups[group].state = HeatState(verb, "IN_PROGRESS")
        }
        notifyGroupStack(place, group, "\(verb.lowercased()).start", at: now)
        recoverOrphans(place, group, at: now)

        let victims = resize.victims ?? chooseVictims(place, group, target: resize.target)
        let staying = stacks[place].groups[group].standing.filter { !victims.contains($0.name) }
        resize.hasBegun = true
        resize.quietUntil = now + timing.memberNoOp * Double(min(staying.count, 4))
        if stacks[place].groups[group].standing.contains(where: { $0.isBeingCreated }) {
            resize.waitingVictims = victims
        }
        stacks[place].groups[group].resize = resize
        if resize.waitingVictims.isEmpty {
            for name in victims { leave(place, group, name: name, at: now) }
        }
        for member in staying {
            if member.state.isFailed {
                replace(place, group, name: member.name, nova: &nova, at: now)
            } else if member.phase == .settled {
                startNoOp(place, group, name: member.name, at: now)
            }
        }
        for _ in 0..<max(0, resize.target - staying.count) {
            appear(place, group, name: random.heatSuffix(), at: now)
        }
    }

    /// Members over which an engine died, and those whose deletion failed, are taken up again.
    private mutating func recoverOrphans(_ place: Int, _ group: Int, at now: Timestamp) {
        for found in stacks[place].groups[group].members.indices {
            let member = stacks[place].groups[group].members[found]
            let deletionFailed = member.isLeaving && member.state.isFailed
            guard member.phase == .orphaned || deletionFailed else { continue }
            if member.phase == .orphaned {
                stacks[place].groups[group].members[found].phase = .settled
                stacks[place].groups[group].members[found].state = HeatState(
                    member.state.action, "FAILED", "Worker went down during resource \(member.state.action)")
                recordGroupEvent(place, group, stacks[place].groups[group].members[found], at: now)
            }
            if member.isLeaving { leave(place, group, found, at: now) }
        }
    }

    private mutating func conclude(_ place: Int, _ group: Int, at now: Timestamp) {
        guard let resize = stacks[place].groups[group].resize else { return }
        if let failure = resize.failure {
            end(place, group, failure: failure, at: now)
        } else if resize.deadline <= now {
            abortMembers(place, group, at: now)
            end(place, group, failure: "Timed out", at: now)
        } else if let ends = resize.endsAt {
            if ends <= now { end(place, group, failure: nil, at: now) }
        } else if resize.isQuiet, resize.waitingVictims.isEmpty,
            stacks[place].groups[group].members.allSatisfy({ $0.phase == .settled || $0.phase == .gone })
        {
            stacks[place].groups[group].resize?.endsAt = now + timing.finish
        }
    }

    private mutating func abortMembers(_ place: Int, _ group: Int, at now: Timestamp) {
        for found in stacks[place].groups[group].members.indices {
            let member = stacks[place].groups[group].members[found]
            switch member.phase {
            case .settled, .gone, .orphaned: continue
            default: break
            }
            stacks[place].groups[group].members[found].phase = .settled
            stacks[place].groups[group].members[found].state = HeatState(
                member.state.action, "FAILED", "\(member.state.action) aborted (Timed out)")
            recordGroupEvent(place, group, stacks[place].groups[group].members[found], at: now)
            notifyMember(
                place, group, stacks[place].groups[group].members[found],
                "\(member.state.action.lowercased()).error", isError: true, at: now)
        }
    }

    private mutating func end(_ place: Int, _ group: Int, failure: String?, at now: Timestamp) {
        guard let resize = stacks[place].groups[group].resize else { return }
        endNoOps(place, group, at: now)
        let verb = stacks[place].groups[group].stackState.action
        stacks[place].groups[group].resize = nil
        stacks[place].groups[group].stackState =
            failure.map { HeatState(verb, "FAILED", $0) } ?? .stack(verb, "COMPLETE")
        stacks[place].groups[group].members.removeAll { $0.phase == .gone }
        for found in stacks[place].groups[group].members.indices
        where !stacks[place].groups[group].members[found].state.isFailed {
            stacks[place].groups[group].members[found].goesFirst = false
        }
        notifyGroupStack(
            place, group, failure == nil ? "\(verb.lowercased()).end" : "\(verb.lowercased()).error",
            isError: failure != nil, at: now)
        stacks[place].groups[group].scalingInProgress = false
        if case .signal(let policy, let before) = resize.cause {
            endSignal(place, group, policy, before: before, failure: failure, at: now)
            return
        }
        let path = failure.map { text in
            text.replacingFirst("resources.", "resources.\(stacks[place].groups[group].definition.resource).resources.")
        }
        stacks[place].groups[group].state = HeatState(
            verb, failure == nil ? "COMPLETE" : "FAILED", path ?? "state changed")
        if let path {
            stacks[place].state = HeatState(verb, "FAILED", path.replacingFirst("Resource CREATE", "Resource \(verb)"))
            stacks[place].endsAt = nil
            notifyMain(place, "\(verb.lowercased()).error", isError: true, at: now)
            return
        }
        let until = now + stacks[place].groups[group].definition.cooldown
        if until > (stacks[place].groups[group].cooldownEnd ?? now) {
            stacks[place].groups[group].cooldownEnd = until
            stacks[place].groups[group].cooldownText = "exact_capacity : \(resize.target)"
        }
        if stacks[place].state.isInProgress, stacks[place].groups.allSatisfy({ $0.resize == nil }) {
            stacks[place].endsAt = now + timing.finish
        }
    }

    private mutating func endSignal(
        _ place: Int, _ group: Int, _ policy: PolicyDefinition, before: Int, failure: String?, at now: Timestamp
    ) {
        let current = stacks[place].groups[group]
        if let failure {
            // No cooldown, no SIGNAL event, main stack and group stay as they were (docs/openstack/heat.md §9).
            notifyScaling(place, group, "error", policy, capacity: current.capacity, message: failure, at: now)
            return
        }
        stacks[place].groups[group].cooldownEnd = now + (policy.cooldown ?? current.definition.cooldown)
        stacks[place].groups[group].cooldownText = "\(policy.kind.rawValue) : \(policy.adjustment)"
        notifyScaling(
            place, group, "end", policy, capacity: current.capacity,
            message: "End resizing the group \(current.stackID)", at: now)
    }

    /// The main stack's action ends a moment after its groups'.
    mutating func finishStack(_ place: Int, at now: Timestamp) {
        guard let ends = stacks[place].endsAt, ends <= now else { return }
        stacks[place].endsAt = nil
        let verb = stacks[place].state.action
        stacks[place].state = .stack(verb, "COMPLETE")
        notifyMain(place, "\(verb.lowercased()).end", at: now)
        if verb == "DELETE" { stacks.remove(at: place) }
    }
}

extension String {
    /// With the first occurrence of `text` replaced.
    func replacingFirst(_ text: String, _ replacement: String) -> String {
        guard let range = firstRange(of: text) else { return self }
        return String(self[..<range.lowerBound]) + replacement + String(self[range.upperBound...])
    }
}
