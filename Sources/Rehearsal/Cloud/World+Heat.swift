import Actuator
import Messages
import Support

/// Heat: updates, members, marks.
extension World {
    /// Who asked for an update.
    enum Author: Equatable {
        case actuator
        case stranger
        /// The Actuator's meets one of a stranger that no reading could show yet: Heat knows no condition for an update.
        case both
    }

    /// What an Actuator had read when it sent an update.
    struct Known {
        /// The last update that a reading showed.
        var update: Int
        /// When the last reading of each group began.
        var readAt: [Int: Timestamp]
    }

    func startHeat() {
        for group in 0..<scenario.groups {
            let count = group == 0 ? scenario.nodes : max(1, scenario.minimum)
            heat.desired.append(count)
            heat.capacity.append(count)
            heat.sizeBy.append(.actuator)
            for _ in 0..<count {
                let member = newMember(in: group, status: "CREATE_COMPLETE")
                heat.members.append(member)
                addNode(for: member, isReady: true)
            }
        }
    }

    private func newMember(in group: Int, name: String? = nil, status: String) -> HeatState.Member {
        heat.born += 1
        let number = heat.born
        return HeatState.Member(
            group: group, name: name ?? "m\(number)", id: "\(10_000_000 + number)-member",
            server: "\(20_000_000 + number)-server",
            status: status, createdAt: now)
    }

    // MARK: What a client sees

    func heatReading(_ group: Int, begunAt: Timestamp) -> GroupReading {
        heat.seen = heat.shown
        let members = heat.members.filter { $0.group == group }
        var reading = GroupReading(
            begunAt: begunAt, stackID: "stack-1", stackStatus: heat.status, stackReason: heat.reason,
            groupStackStatus: heat.status, groupStackReason: heat.reason,
            scalingInProgress: heat.scaling.contains(group) || members.contains(where: \.isHeld),
            desired: heat.desired[group],
            members: members.map {
                GroupState.Member(
                    name: $0.name, physicalID: $0.id, serverID: $0.server, status: $0.status, statusReason: $0.reason,
                    createdAt: $0.createdAt)
            })
        reading.stackUpdatedAt = heat.updatedAt
        reading.canHold = scenario.hasDeleteHook
        reading.timeout = World.stackTimeout
        reading.held = members.filter(\.isHeld).map {
            HeldDeletion(memberID: $0.id, kind: .hook, resource: "server", since: $0.heldSince)
        }
        return reading
    }

    /// What Nova says of a server.
    func fate(of server: String) -> ServerFate {
        guard let member = heat.members.first(where: { $0.server == server }), !heat.lost.contains(member.id) else {
            return .gone
        }
        if heat.broken.contains(member.id) { return .failed("No valid host was found") }
        return member.status == "DELETE_IN_PROGRESS" && !member.isHeld ? .leaving : .there
    }

    /// `timeout_mins` of the stack: a member whose hook nobody clears fails to be deleted then.
    static let stackTimeout = Interval.seconds(200)

    // MARK: What a client does

    /// `PATCH`, with the size of a group or (nil) with something else. Always resizes all groups to their `desired`.
    /// - Parameters:
    ///   - others: the sizes of other groups that go with it, by their numbers.
    ///   - known: what the sender knew when it sent this.
    func patchStack(
        _ size: Int?, of group: Int = 0, keeping others: [Int: Int] = [:], by author: Author,
        known: Known? = nil, why: String
    ) -> ActFailure? {
        if author == .actuator && strikes(.heatConflict) {
            say("fault", "Heat answers 409")
            return ActFailure(.heatConflict, "409 ActionInProgress", isRetriable: true)
        }
        if let size, !(0...20).contains(size) {
            return ActFailure(.heatRefused, "400 StackValidationFailed", isRetriable: false)
        }
        if author == .actuator, let size { audit(resizeTo: size, of: group) }
        if author == .actuator, let size, size < heat.desired[group], now < World.start + scenario.refusesShrinkUntil {
            return ActFailure(.heatRefused, "400 StackValidationFailed: not now", isRetriable: false)
        }
        if author == .actuator && strikes(.heatSilentDrop) {
            say("fault", "Heat answers 202 and does nothing")
            return nil
        }
        if author == .actuator, let size { audit(growthTo: size, of: group) }
        heat.author = author == .actuator && heat.strangers > known?.update ?? .max ? .both : author
        // Doubted when the sender had looked: no condition of an update could have told it.
        for member in heat.members {
            guard let doubtedAt = member.doubtedAt, let readAt = known?.readAt[member.group] else { continue }
            if doubtedAt >= readAt { audit.forgiven.insert(member.id) }
        }
        heat.unseen = Set(heat.signalledAt.filter { $0.value >= known?.readAt[$0.key] ?? now }.keys)
        say(
            "heat",
            "PATCH \(size.map { "\(Scenario.groups[group]) desired=\($0)" } ?? "of another parameter") by \(author), \(why)"
        )
        // A size of 0 counts as not given.
        if let size, size > 0 {
            heat.desired[group] = size
            heat.sizeBy[group] = author
        }
        for (other, size) in others.sorted(by: { $0.key < $1.key }) {
            say("heat", "and \(Scenario.groups[other]) desired=\(size)")
            audit(resizeTo: size, of: other)
            audit(growthTo: size, of: other)
            heat.desired[other] = size
            heat.sizeBy[other] = author
        }
        heat.capacity = heat.desired
        heat.updatedAt = Timestamp(seconds: now.microseconds / 1_000_000)
        heat.update += 1
        heat.failure = nil
        let update = heat.update
        if author == .stranger { heat.strangers = update }
        // The stack may go on for a moment saying what it said.
        after(random.pause(0...1_500)) {
            guard self.heat.update == update else { return }
            self.heat.status = "UPDATE_IN_PROGRESS"
            self.heat.shown = update
            self.heat.reason = ""
            self.after(self.random.pause(200...1_500)) { self.carryOut(update) }
        }
        return nil
    }

    func markMember(_ name: String, unhealthy: Bool, why: String) -> ActFailure? {
        guard let index = heat.members.firstIndex(where: { $0.name == name }) else {
            return ActFailure(.stackNotFound, "404 ResourceNotFound \(name)", isRetriable: false)
        }
        if heat.members[index].isInProgress || strikes(.heatConflict) {
            return ActFailure(.heatConflict, "409 ActionInProgress \(name)", isRetriable: true)
        }
        if heat.members[index].isFailed != unhealthy {
            if unhealthy { audit.marks += 1 } else { audit.unmarks += 1 }
        }
        heat.members[index].status = unhealthy ? "CHECK_FAILED" : "CHECK_COMPLETE"
        heat.members[index].reason = why
        heat.members[index].doubtedAt = nil
        if unhealthy { audit(markOf: heat.members[index]) }
        say("heat", "\(name) is \(unhealthy ? "marked unhealthy" : "unmarked")")
        return nil
    }

    func clearHooks(_ ids: [String]) {
        for id in ids {
            guard let index = heat.index(id: id), heat.members[index].isHeld else { continue }
            audit(releaseOf: heat.members[index])
            audit.hooks += 1
            heat.members[index].isHeld = false
            say("heat", "hook of \(heat.members[index].name) is cleared")
            finishDeletion(id)
        }
    }

    /// What Nova says of servers.
    func servers(_ ids: [String]) -> [String: ServerWord] {
        var words: [String: ServerWord] = [:]
        for id in ids {
            guard let member = heat.members.first(where: { $0.server == id }), !heat.lost.contains(member.id) else {
                words[id] = .gone
                continue
            }
            words[id] =
                heat.broken.contains(member.id)
                ? .status("ERROR", fault: "No valid host was found")
                : .status(member.status == "CREATE_IN_PROGRESS" ? "BUILD" : "ACTIVE", fault: nil)
        }
        return words
    }

    // MARK: An update

    private func carryOut(_ update: Int) {
        guard heat.update == update else { return }
        // Whatever a signal had begun, or left behind, is taken up by this.
        heat.scaling = []
        if strikes(.updateFails) {
            say("fault", "the update fails")
            heat.status = "UPDATE_FAILED"
            heat.reason = "resources.asg: something went wrong"
            return auditFailedUpdate()
        }
        for group in heat.desired.indices { resize(group, update) }
        finishUpdate(update)
    }

    private func resize(_ group: Int, _ update: Int) {
        let live = heat.members.filter { $0.group == group && $0.status != "DELETE_IN_PROGRESS" }
        let ordered = live.sorted {
            if $0.isFailed != $1.isFailed { return $0.isFailed }
            return ($0.createdAt, $0.name) < ($1.createdAt, $1.name)
        }
        let surplus = max(0, live.count - heat.desired[group])
        var victims = Array(ordered.prefix(surplus))
        let marked = victims.filter(\.isFailed)
        if let first = marked.first, let wrong = ordered.last(where: { !$0.isFailed }), strikes(.wrongVictim) {
            say("fault", "Heat takes \(wrong.name) instead of \(first.name), and replaces that")
            audit.forgiven.insert(wrong.id)
            victims.removeAll { $0.id == first.id }
            victims.append(wrong)
        }
        let chosen = Set(victims.map(\.id))
        let replaced = live.filter { $0.isFailed && !chosen.contains($0.id) }
        for member in victims + replaced { beginDeletion(member.id) }
        for member in replaced { create(newMember(in: group, name: member.name, status: "CREATE_IN_PROGRESS")) }
        let missing = heat.desired[group] - live.count
        if missing > 0 { for _ in 0..<missing { create(newMember(in: group, status: "CREATE_IN_PROGRESS")) } }
    }

    /// Looks whether all that was begun is done.
    private func finishUpdate(_ update: Int) {
        guard heat.update == update else { return }
        guard heat.working.isEmpty else {
            return after(.milliseconds(500)) { self.finishUpdate(update) }
        }
        heat.status = heat.failure == nil ? "UPDATE_COMPLETE" : "UPDATE_FAILED"
        heat.reason = heat.failure ?? ""
        if heat.failure == nil { heat.carried = nil } else { auditFailedUpdate() }
        say("heat", "\(heat.status) with \(heat.members.count(where: \.counts)) members \(heat.reason)")
    }

    private func create(_ member: HeatState.Member) {
        heat.members.append(member)
        heat.working.insert(member.id)
        let takes = random.pause(scenario.createTakes)
        let failure =
            strikes(.createFails) ? random.chance(0.8) ? "Quota exceeded for cores" : "Timed out" : nil
        after(takes) {
            self.heat.working.remove(member.id)
            guard let index = self.heat.index(id: member.id) else { return }
            guard let failure else {
                self.heat.members[index].status = "CREATE_COMPLETE"
                return
            }
            self.say("fault", "member \(member.name) cannot be made")
            self.heat.members[index].status = "CREATE_FAILED"
            self.heat.members[index].reason = failure
            self.heat.failure = "Resource CREATE failed: \(failure)"
        }
        // Without quota there is no server; with a server that was too slow for Heat there may be a Node all the same.
        guard failure == nil || failure == "Timed out" else { return }
        guard !strikes(.neverRegisters) else {
            say("fault", "the machine of \(member.name) will never become a Node")
            if random.chance(0.5) { heat.broken.insert(member.id) }
            return
        }
        // The server boots while Heat still waits for it.
        after(random.pause(scenario.bootTakes)) { self.register(member) }
    }

    private func register(_ member: HeatState.Member) {
        guard let index = heat.index(id: member.id), heat.members[index].status != "DELETE_IN_PROGRESS",
            heat.members[index].status != "CREATE_FAILED"
        else { return }
        addNode(for: member, isReady: false)
    }

    private func beginDeletion(_ id: String, by author: Author? = nil) {
        guard let index = heat.index(id: id) else { return }
        if author != .stranger { audit(removalOf: heat.members[index]) }
        heat.members[index].status = "DELETE_IN_PROGRESS"
        heat.working.insert(id)
        for process in processes { (process as? ActuatorProcess)?.hear(stackLeaving: id) }
        say("heat", "deletes \(heat.members[index].name)")
        if scenario.hasDeleteHook {
            heat.members[index].isHeld = true
            heat.members[index].heldSince = now
            after(World.stackTimeout) { self.hookTimedOut(id) }
        } else {
            finishDeletion(id)
        }
    }

    private func hookTimedOut(_ id: String) {
        guard let index = heat.index(id: id), heat.members[index].isHeld else { return }
        heat.members[index].isHeld = false
        deletionFailed(id, "Timed out")
    }

    private func finishDeletion(_ id: String) {
        after(random.pause(scenario.deleteTakes)) {
            if self.strikes(.deleteFails) {
                self.say("fault", "the deletion of \(id) fails")
                return self.deletionFailed(id, "server \(id) could not be deleted")
            }
            guard let index = self.heat.index(id: id) else { return }
            let member = self.heat.members.remove(at: index)
            self.heat.working.remove(id)
            self.say("heat", "\(member.name) is gone")
            self.serverGone(member.server)
        }
    }

    private func deletionFailed(_ id: String, _ why: String) {
        guard let index = heat.index(id: id) else { return }
        heat.members[index].status = "DELETE_FAILED"
        heat.members[index].failedAt = now
        heat.members[index].reason = why
        heat.working.remove(id)
        heat.failure = "Resource DELETE failed: \(why)"
    }

    // MARK: Strangers

    func strangerUpdates() {
        _ = patchStack(nil, by: .stranger, why: "somebody changes the image")
    }

    /// A scaling policy is signalled, by an alarm or by somebody: the group changes, its parameter does not. While anything
    /// changes the signal is dropped, and nobody hears of that. The engine may die over it: then the flag stands for ever.
    func signal(by change: Int) {
        let group = random.below(heat.desired.count)
        let name = Scenario.groups[group]
        let live = heat.members.filter { $0.group == group && !$0.isLeaving }
        let size = min(max(live.count + change, scenario.minimum), scenario.maximum)
        guard !heat.isBusy, heat.shown == heat.update, heat.scaling.isEmpty, size != live.count else {
            return say("heat", "a signal for \(name) is dropped")
        }
        say("heat", "a signal: \(name) from \(live.count) to \(size)")
        heat.scaling.insert(group)
        heat.signalledAt[group] = now
        if random.chance(0.2) { return say("fault", "the engine dies over the signal") }
        heat.capacity[group] = size
        let update = heat.update
        let before = heat.working
        if size > live.count {
            create(newMember(in: group, status: "CREATE_IN_PROGRESS"))
        } else {
            let oldest = live.min { left, right in
                if left.isFailed != right.isFailed { return left.isFailed }
                return (left.createdAt, left.name) < (right.createdAt, right.name)
            }
            if let oldest {
                audit.forgiven.insert(oldest.id)
                beginDeletion(oldest.id, by: .stranger)
            }
        }
        finishSignal(group, heat.working.subtracting(before), update)
    }

    private func finishSignal(_ group: Int, _ changes: Set<String>, _ update: Int) {
        guard heat.update == update else { return }
        guard heat.working.isDisjoint(with: changes) else {
            return after(.milliseconds(500)) { self.finishSignal(group, changes, update) }
        }
        heat.scaling.remove(group)
        guard let failure = heat.failure else { return }
        heat.status = "UPDATE_FAILED"
        heat.reason = failure
    }

    /// Somebody deletes a server in Nova. Heat does not notice.
    func deleteServer() {
        let whole = heat.members.filter { $0.counts && !$0.isInProgress && !heat.lost.contains($0.id) }
        guard whole.count > 1 else { return }
        let member = whole[random.below(whole.count)]
        say("fault", "somebody deletes the server of \(member.name) in Nova")
        heat.lost.insert(member.id)
        audit.forgiven.insert(member.id)
        serverGone(member.server)
    }

    /// One at a time: where most of a group is doubted at once, nothing is done before a person has looked.
    func doubtMember() {
        // An update that was accepted has the stack's lock, also while the stack does not show it yet: a check is refused.
        guard !heat.isBusy, heat.shown == heat.update, !heat.members.contains(where: { !$0.counts }) else { return }
        let whole = heat.members.indices.filter { !heat.members[$0].isInProgress }
        guard !whole.isEmpty else { return }
        let index = whole[random.below(whole.count)]
        heat.members[index].status = "CHECK_FAILED"
        heat.members[index].reason = "CHECK failed: the server is SHUTOFF"
        heat.members[index].doubtedAt = now
        say("fault", "a check holds \(heat.members[index].name) for failed")
    }

    func operatorResizes(by change: Int) {
        let group = random.below(heat.desired.count)
        _ = patchStack(max(1, heat.desired[group] + change), of: group, by: .stranger, why: "somebody resizes")
    }
}
