import Messages
import Support

/// What goes wrong in Heat and Nova without anybody saying so: stacks that stand still or failed, servers that are
/// gone.
extension ActuatorCore {
    // MARK: Stacks that do not move

    /// Why the group's stack is thought to be stuck, if so.
    func stuck(_ track: GroupTrack) -> Explanation? {
        guard track.isStuck, let reading = track.reading else { return nil }
        let what =
            reading.isBusyByFlagOnly
            ? "its scaling_in_progress stands and nothing moves"
            : "still \(reading.stackStatus)/\(reading.groupStackStatus)"
        return Explanation(.stackStuck, "\(what) since \(track.stillSince.rfc3339): the engine that worked on it died")
    }

    /// An engine that died leaves its work for good, and signals are dropped for ever. A new update with the size that
    /// is there takes everything up again (docs/openstack/heat.md §6). True: it was sent.
    mutating func freeIfStuck(_ id: String, _ reading: GroupReading) -> Bool {
        // Before that nobody knows which members are nodes, and whether an incident stopped the group.
        guard nodesAreKnown, let track = groups[id] else { return false }
        let limit = reading.isBusyByFlagOnly ? policy.flagTimeout : policy.heatTimeout
        // What waits for a hold is not stuck: whoever holds it lets it go.
        let isStuck = reading.isBusy && !reading.waitsOnlyForHeld && now - track.stillSince >= limit
        if track.isStuck != isStuck {
            groups[id]?.isStuck = isStuck
            emit(.condition(name: "stuck/\(id)", groups[id].flatMap(stuck)))
        }
        guard isStuck, let why = groups[id].flatMap(stuck) else { return false }
        if let freedAt = track.freedAt, now - freedAt < limit { return false }
        // A size is sent only where one may be sent, and only if no live node that nobody chose would go with it.
        guard track.pause == nil, reading.problem == nil else { return false }
        // (Nor one that is chosen and still has its pods.)
        if let obstacle = strangersThatFailed([], reading, in: id) {
            // Looked at again with each reading; said once.
            if track.freeingWaitsFor != obstacle {
                groups[id]?.freeingWaitsFor = obstacle
                note(.error, id, .memberFailed, "\(why.detail); its size is not sent again: \(obstacle)")
            }
            return false
        }
        groups[id]?.freeingWaitsFor = nil
        guard let resting = restingSize(reading), emptiedAreStillEmpty(reading, in: id) else { return false }
        let size = max(resting, track.policy.floor)
        let deadline = now + policy.heatTimeout
        if let change = changes[track.policy.stack] {
            // A removal that waits for its own size goes on with it; what is being written or marked comes first.
            guard change.group == id, case .removal = change.kind else { return false }
            switch change.step {
            case .looking, .settling: changes[track.policy.stack]?.step = .sending(size)
            case .undoing(let left, _) where left.isEmpty && !isOfRegistered(change):
                // Its marks cannot be taken back, and the update takes what is marked: it goes on after all.
                changes[track.policy.stack]?.step = .sending(size)
                changes[track.policy.stack]?.undoBy = nil
                changes[track.policy.stack]?.unmarkFailedAt = nil
            default: return false
            }
            changes[track.policy.stack]?.deadline = deadline
        } else {
            changes[track.policy.stack] = StackChange(
                group: id, kind: .repair, step: .sending(size), deadline: deadline)
        }
        groups[id]?.freedAt = now
        note(.error, id, why.reason, why.detail + "; its size \(size) is sent again")
        send(size, for: id)
        return true
    }

    /// Whether it is of a machine that became a node meanwhile: that one has pods nobody told.
    private func isOfRegistered(_ change: StackChange) -> Bool {
        guard case .removal(let nodes) = change.kind else { return false }
        return machineThatRegistered(nodes.sorted()) != nil
    }

    /// The size to send so that nothing but failed members goes. An AutoScalingGroup takes those first; a ResourceGroup
    /// takes the highest numbers, whatever they are, so it gets the size that it has, and replaces what failed
    /// (docs/openstack/heat.md §4).
    func restingSize(_ reading: GroupReading) -> Int? {
        reading.removesChosen ? reading.counted.count : reading.desired
    }

    /// Whether nodes of failed members, which go with any update, were seen to be empty shortly before; looks if not.
    mutating func emptiedAreStillEmpty(_ reading: GroupReading, in id: String) -> Bool {
        let failed = Set(reading.members.filter(\.isFailed).map(\.identity))
        let names = removals.filter { _, removal in
            let isOutOfService =
                removal.record.phase == .drained || removal.record.phase == .failed && removal.record.change != nil
            return isOutOfService && failed.contains(removal.record.memberID) && !removal.hasPodsAgain
        }
        .keys.sorted()
        return stillEmpty(names, reading, in: id) == names
    }

    /// A group that failed, or that has members that failed and are no nodes, and that nobody works on: the size that
    /// is there is asked for, which sweeps failed members out, deletes half-deleted ones anew, and lets the stack take
    /// signals again (docs/openstack/heat.md §9).
    mutating func repairAtRest(_ id: String, _ reading: GroupReading) {
        guard let track = groups[id], changes[track.policy.stack] == nil, track.pause == nil, track.waiting == nil,
            nodesAreKnown, !reading.isBusy, reading.problem == nil, !hasDrained(in: id),
            reading.groupStackStatus.hasSuffix("_FAILED") || reading.members.contains(where: \.isFailed)
        else { return }
        let due = max(
            track.stillSince + policy.repairAfter,
            track.repairedAt.map { $0 + policy.repairInterval * track.repairFactor } ?? Timestamp(seconds: 0))
        guard now >= due else { return timers.setEarlier(.group(id), at: due) }
        let failed = reading.members.filter(\.isFailed)
        if let obstacle = strangersThatFailed([], reading, in: id) {
            guard reading.groupStackStatus.hasSuffix("_FAILED") else { return }
            groups[id]?.repairedAt = now
            return note(
                .error, id, .memberFailed,
                "the group is \(reading.groupStackStatus) and \(obstacle); unmark it, or remove the node")
        }
        guard let size = restingSize(reading), size >= track.policy.floor, othersAllowUpdate(of: id),
            emptiedAreStillEmpty(reading, in: id)
        else { return }
        groups[id]?.repairedAt = now
        note(
            .warning, id, .heatUpdateFailed,
            "the group is \(reading.groupStackStatus)\(reading.isFailed ? " (\(reading.failure))" : ""): its size "
                + "\(size) is sent again, \(failed.count) members have failed")
        changes[track.policy.stack] = StackChange(
            group: id, kind: .repair, step: .sending(size), deadline: now + policy.heatTimeout)
        send(size, for: id)
    }

    // MARK: Servers

    /// Asks Nova about members that should be nodes and are not, or are not ready; and says so when their time is over.
    mutating func lookAtServers(_ id: String, _ reading: GroupReading) {
        guard nodesAreKnown, let track = groups[id] else { return }
        var ready: Set<String> = []
        for node in nodes.values where node.isReady {
            if let serverID = node.serverID { ready.insert(serverID) }
        }
        let suspects = reading.counted.filter { member in
            guard let serverID = member.serverID, !ready.contains(serverID) else { return false }
            return now - (member.createdAt ?? reading.begunAt) >= policy.askNovaAfter
        }
        let ids = Set(suspects.compactMap(\.serverID))
        groups[id]?.servers = track.servers.filter { ids.contains($0.key) }
        groups[id]?.late.formIntersection(suspects.map(\.identity))
        for member in suspects { reportIfLate(id, member) }
        guard !ids.isEmpty, now - (track.serversAskedAt ?? Timestamp(seconds: 0)) >= policy.resync else { return }
        groups[id]?.serversAskedAt = now
        emit(.readServers(group: id, ids: Array(ids.sorted().prefix(50))))
    }

    private mutating func reportIfLate(_ id: String, _ member: GroupState.Member) {
        guard let track = groups[id], let createdAt = member.createdAt, let serverID = member.serverID,
            now - createdAt >= track.policy.provisionTimeout, !track.late.contains(member.identity),
            // A node that was ready before and is not now is another story.
            nodes.on(server: serverID).map({ arrivals.ready.contains($0.uid) }) != true
        else { return }
        groups[id]?.late.insert(member.identity)
        let there = nodes.on(server: serverID)
        let what = there.map { "node \($0.name) is not ready" } ?? "there is no node"
        let word = track.servers[serverID].map { "; \($0.text)" } ?? ""
        let why = Explanation(
            .provisionTimedOut,
            "member \(member.name), server \(serverID): \(what) \(now - createdAt) after it was made\(word)")
        note(.warning, id, why.reason, why.detail)
        emit(
            .publish(
                .nodeOverdue(
                    NodeOverdue(
                        cluster: policy.cluster, group: id, member: member.name, serverID: serverID, node: there?.name,
                        reason: why, after: now - createdAt, at: now))))
    }

    mutating func serversRead(_ id: String, _ words: [String: ServerWord]) {
        guard groups[id] != nil else { return }
        var isNews = false
        for (serverID, word) in words.sorted(by: { $0.key < $1.key }) {
            let before = groups[id]?.servers.updateValue(word, forKey: serverID)
            isNews = isNews || before != word
            guard let trouble = word.trouble else { continue }
            // Each time: the node may have been unready before this process began, or the question failed. Not while a
            // removal that failed is remembered: it would begin again in each round.
            if let view = nodes.on(server: serverID), removals[view.name] == nil {
                ask(serverID)
            }
            guard before != word else { continue }
            let node = nodes.on(server: serverID)?.name
            note(
                .warning, id, trouble.reason,
                "server \(serverID)\(node.map { " of node \($0)" } ?? ""): \(trouble.detail)")
            if let node { emit(.report(node: node, trouble)) }
        }
        // Who drains a node whose server is gone need not wait for the next look at its pods.
        for node in removals.keys.sorted() where removals[node]?.record.phase == .quiesced {
            if let record = removals[node]?.record, words[record.serverID] == .gone { readPods(node) }
        }
        if isNews { readGroup(id) }
    }

    /// Whether Nova said that the server of a node under removal is gone, while its kubelet is silent as well.
    func serverIsGone(_ node: String, _ record: RemovalRecord) -> Bool {
        nodes[node]?.isReady == false && groups[record.group]?.servers[record.serverID] == .gone
    }

    /// Members as published: Heat's word, and Nova's where Heat does not notice.
    func explained(_ members: [GroupState.Member], _ track: GroupTrack) -> [GroupState.Member] {
        guard !track.servers.isEmpty else { return members }
        return members.map { member in
            guard let serverID = member.serverID, let trouble = track.servers[serverID]?.trouble else { return member }
            var member = member
            member.statusReason = trouble.detail
            return member
        }
    }
}
