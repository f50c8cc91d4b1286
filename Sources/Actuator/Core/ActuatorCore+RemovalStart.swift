import Messages
import Support

/// `removal.decided`: what may begin, and what is refused before any pod is told.
extension ActuatorCore {
    mutating func removalDecided(_ decision: RemovalDecided, _ ticket: Int) {
        hold(ticket)
        guard let track = groups[decision.group] else {
            return refuseAll(decision, Explanation(.groupUnknown, "no group '\(decision.group)' is configured"), ticket)
        }
        if cancelled.contains(decision.id) {
            return refuseAll(decision, Explanation(.cancelledByOperator, "it was cancelled before it began"), ticket)
        }
        if let pause = track.pause { return refuseAll(decision, Explanation(.groupPaused, pause.detail), ticket) }
        if let index = track.starts.firstIndex(where: { $0.decision.id == decision.id }) {
            groups[decision.group]?.starts[index].ticket = ticket
            return
        }
        groups[decision.group]?.starts.append(GroupTrack.Start(decision: decision, ticket: ticket, since: now))
        readGroup(decision.group)
    }

    /// A fresh reading is in: begins the removals that waited for it.
    mutating func beginStarts(_ id: String, _ reading: GroupReading) {
        guard nodesAreKnown, let starts = groups[id]?.starts, !starts.isEmpty else { return }
        groups[id]?.starts = starts.filter { reading.begunAt < $0.since }
        for start in starts where reading.begunAt >= start.since { begin(start, reading) }
    }

    private mutating func begin(_ start: GroupTrack.Start, _ reading: GroupReading) {
        let decision = start.decision
        if decision.nodes.contains(where: { tidying[$0.node] != nil }) {
            // A Node is being changed just now; one change at a time, so that answers cannot be mistaken.
            var later = start
            later.since = now
            groups[decision.group]?.starts.append(later)
            return timers.setEarlier(.group(decision.group), at: now + policy.pollInterval)
        }
        var begun: Set<String> = []
        var scope = StartScope(decision, reading, removals)
        for target in decision.nodes {
            if target.nodeUID == RemovalNames.unregistered {
                let isNew = removals[target.node] == nil
                if beginMachine(target, decision, reading) { begun.insert(target.node) }
                if isNew, let record = removals[target.node]?.record { scope.goes(record.memberID) }
                continue
            }
            if let removal = removals[target.node], removal.record.id == decision.id {
                // It came again: go on with what is there.
                if removal.record.phase == .cordoned, removal.editing != nil { begun.insert(target.node) }
                continue
            }
            if cancelled.contains(Self.cancellation(decision.id, target.node)) {
                refuse(target, of: decision, Explanation(.cancelledByOperator, "it was cancelled before it began"))
                continue
            }
            switch member(of: target, decision, reading, &scope) {
            case .failure(let why): refuse(target, of: decision, why.explanation)
            case .success(let member):
                cordon(target, decision, member)
                scope.goes(member.identity)
                begun.insert(target.node)
            }
        }
        if begun.isEmpty { return settle(start.ticket) }
        if let ticket = start.ticket { starting[ticket] = begun }
    }

    /// Resolves Node → provider id → server → Heat member; whatever is missing is a refusal.
    private func member(
        of target: RemovalTarget, _ decision: RemovalDecided, _ reading: GroupReading, _ scope: inout StartScope
    ) -> Result<GroupState.Member, ActFailure> {
        func refusal(_ reason: Reason, _ detail: String) -> Result<GroupState.Member, ActFailure> {
            .failure(ActFailure(reason, detail, isRetriable: false))
        }
        // It waited for a reading, and an incident came meanwhile.
        if let pause = groups[decision.group]?.pause { return refusal(.groupPaused, pause.detail) }
        guard decision.deadline >= now else {
            return refusal(.decisionExpired, "its deadline was \(decision.deadline.rfc3339)")
        }
        guard reading.removesChosen else {
            // Known before any pod is told.
            return refusal(
                .heatRefused,
                "\(decision.group) is an OS::Heat::ResourceGroup, which only grows: Heat replaces a marked member of it. Use an "
                    + "OS::Heat::AutoScalingGroup (deploy/heat)")
        }
        guard let node = nodes[target.node] else { return refusal(.nodeGone, "there is no node \(target.node)") }
        guard node.uid == target.nodeUID else {
            return refusal(.decisionStale, "node \(target.node) is another one: uid \(node.uid)")
        }
        if let removal = removals[target.node], !removal.record.phase.isOver {
            return refusal(.currentlyBeingDeleted, "by removal \(removal.record.id)")
        }
        if let mistake = node.recordMistake { return refusal(.memberUnresolved, mistake) }
        // A decision that comes once more, after another one for this node had begun and was over: its own record is written over.
        if let last = removals[target.node]?.record ?? node.record, last.decidedAt >= decision.decidedAt {
            return refusal(
                .decisionStale,
                "removal \(last.id) of this node was decided later, at \(last.decidedAt.rfc3339), and is over")
        }
        guard let serverID = node.serverID else {
            return refusal(.memberUnresolved, "node \(target.node) has no provider id of OpenStack")
        }
        guard serverID == target.serverID else {
            return refusal(.decisionStale, "node \(target.node) is server \(serverID), not \(target.serverID)")
        }
        guard let member = reading.member(server: serverID) else {
            return refusal(.memberUnresolved, "no member of group \(decision.group) has server \(serverID)")
        }
        guard member.physicalID != nil, !member.isLeaving else {
            return refusal(.memberUnresolved, "member \(member.name) is \(member.status)")
        }
        // Heat would take that one as well, so the stack would never be changed: no pod is moved for nothing.
        // (Those that failed are emptied wherever they are: each group's may wait for the other's.)
        if target.reason.reason != .memberFailed {
            if !scope.obstacleIsKnown {
                scope.obstacle = strangersThatFailed(scope.chosen, reading, in: decision.group)
                scope.obstacleIsKnown = true
            }
            if let obstacle = scope.obstacle { return refusal(.memberFailed, obstacle) }
        }
        let floor = groups[decision.group]?.policy.floor ?? 1
        let left = scope.left - 1
        // One that is no good is replaced where it cannot be spared.
        if !member.isFailed && left < floor && !target.reason.reason.isOfBrokenMachine {
            let origin = groups[decision.group]?.policy.origin ?? "groups"
            return refusal(.minimumReached, "\(left) members would be left, at least \(floor) needed (\(origin).min)")
        }
        return .success(member)
    }

    private mutating func cordon(_ target: RemovalTarget, _ decision: RemovalDecided, _ member: GroupState.Member) {
        var record = RemovalRecord(
            id: decision.id, group: decision.group, nodeUID: target.nodeUID, serverID: target.serverID,
            member: member.name, memberID: member.physicalID ?? "", decidedAt: decision.decidedAt, startedAt: now,
            deadline: now + policy.maximumCooldown + policy.cooldownMargin, reason: target.reason)
        if goesAnyway(member, target.reason.reason) { record.taken = true }
        var removal = Removal(record: record, uid: target.nodeUID)
        removal.beginBy = decision.deadline
        let edit = NodeEdit(node: target.node, uid: target.nodeUID, kind: .cordon(record))
        removal.editing = edit
        removals[target.node] = removal
        noteDecided(record)
        emit(.editNode(edit))
    }

    /// The Decider's removals tell which decisions on the size are over; those that the Actuator begins by itself do not.
    mutating func noteDecided(_ record: RemovalRecord) {
        guard record.reason.reason != .externalScaleIn, record.reason.reason != .memberFailed else { return }
        let newest = groups[record.group]?.newestRemoval ?? record.decidedAt
        groups[record.group]?.newestRemoval = max(newest, record.decidedAt)
    }

    private mutating func refuseAll(_ decision: RemovalDecided, _ why: Explanation, _ ticket: Int) {
        for target in decision.nodes { refuse(target, of: decision, why) }
        settle(ticket)
    }

    mutating func refuse(_ target: RemovalTarget, of decision: RemovalDecided, _ why: Explanation) {
        let progress = RemovalProgress(
            id: decision.id, group: decision.group, node: target.node, nodeUID: target.nodeUID,
            serverID: target.serverID, reason: why, at: now)
        emit(.publish(.removalFailed(RemovalFailed(cluster: policy.cluster, removal: progress))))
        note(.info, target.node, why.reason, "removal \(decision.id) refused: \(why.detail)")
    }
}

/// What each node of one decision is held against. Looked up once and kept up as they begin: otherwise a thousand nodes
/// would each look through a thousand members.
private struct StartScope {
    /// Members that go, now or by removals that are under way, in whatever group.
    private(set) var chosen: Set<String>
    /// How many of those that count would be left of the group.
    private(set) var left: Int
    /// A member that failed and would go as well, if that was looked for since the last one was chosen.
    var obstacle: String?
    var obstacleIsKnown = false
    private let counted: Set<String>

    init(_ decision: RemovalDecided, _ reading: GroupReading, _ removals: [String: Removal]) {
        let servers = Set(decision.nodes.map(\.serverID))
        chosen = Set(reading.members.filter { $0.serverID.map(servers.contains) ?? false }.map(\.identity))
        counted = Set(reading.counted.compactMap(\.physicalID))
        left = counted.count
        for record in removals.values.lazy.map(\.record) where !record.phase.isOver {
            chosen.insert(record.memberID)
            if record.group == decision.group && record.phase != .removed && counted.contains(record.memberID) {
                left -= 1
            }
        }
    }

    /// The removal of one more member of the group has begun.
    mutating func goes(_ memberID: String) {
        if counted.contains(memberID) { left -= 1 }
        if chosen.insert(memberID).inserted { obstacleIsKnown = false }
    }
}
