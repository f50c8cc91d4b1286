import Messages
import Support

/// Removal of members that never became Nodes: machines that did not register, and members that failed.
///
/// There is no Node to cordon, nobody to tell and nothing to drain, so such a removal begins where others are drained,
/// and it is kept in memory under its server's id. What is durable is the delivery of its decision, which is settled at
/// the end only, and Heat's mark at the member. When the delivery comes again after a crash, the member is looked for
/// anew: one that is gone is done. Such removals have a change of the stack to themselves, because a Node that registers
/// meanwhile ends them.
extension ActuatorCore {
    /// True: it is under way, and the decision's delivery waits for it.
    mutating func beginMachine(
        _ target: RemovalTarget, _ decision: RemovalDecided, _ reading: GroupReading
    ) -> Bool {
        if machinesEnded.contains("\(decision.id)/\(target.node)") { return false }
        if let removal = removals[target.node] {
            if removal.isMachine, removal.record.id == decision.id { return true }
            refuse(target, of: decision, Explanation(.currentlyBeingDeleted, "by removal \(removal.record.id)"))
            return false
        }
        if decision.deadline < now {
            refuse(target, of: decision, Explanation(.decisionExpired, "its deadline was \(decision.deadline.rfc3339)"))
            return false
        }
        if let node = nodes.values.first(where: { $0.serverID == target.serverID || $0.name == target.node }) {
            refuse(target, of: decision, ActuatorCore.registered(node.name))
            return false
        }
        let member = reading.members.first {
            $0.serverID == target.serverID || $0.physicalID == target.serverID
                || ($0.physicalID == nil && $0.name == target.serverID)
        }
        guard let member else {
            let why = Explanation(
                .alreadyApplied, "group \(decision.group) has no member with server \(target.serverID)")
            let progress = RemovalProgress(
                id: decision.id, group: decision.group, node: target.node, nodeUID: target.nodeUID,
                serverID: target.serverID, reason: why, at: now)
            emit(.publish(.removalCompleted(RemovalCompleted(cluster: policy.cluster, removal: progress))))
            return false
        }
        beginMachine(
            target.node,
            RemovalRecord(
                id: decision.id, group: decision.group, nodeUID: target.nodeUID, serverID: target.serverID,
                member: member.name, memberID: member.identity, decidedAt: decision.decidedAt, startedAt: now,
                deadline: now + policy.heatTimeout, reason: target.reason))
        return true
    }

    /// Heat made new machines in place of those that were to go (somebody's update met the mark). What is no Node yet goes
    /// the same way; what is one already is the Decider's to judge.
    mutating func removeReplacements(_ names: [String], _ change: StackChange, _ reading: GroupReading) {
        var left = reading.counted.count
        for name in names {
            guard let record = removals[name]?.record, removals[name]?.isMachine != true,
                let member = reading.counted.first(where: { $0.name == record.member }),
                member.identity != record.memberID
            else { continue }
            let key = member.serverID ?? member.identity
            let why = Explanation(
                .memberReplaced, "Heat made server \(key) in place of \(record.serverID), which was to go")
            emit(.report(node: name, why))
            guard !isNode(member), left - 1 >= groups[change.group]?.policy.floor ?? 1, removals[key] == nil else {
                note(.warning, change.group, why.reason, why.detail + "; it stays")
                continue
            }
            left -= 1
            note(.warning, change.group, why.reason, why.detail + "; it is removed as well")
            beginMachine(
                key,
                RemovalRecord(
                    id: record.id + "/replacement", group: record.group, nodeUID: RemovalNames.unregistered,
                    serverID: key, member: member.name, memberID: member.identity, decidedAt: record.decidedAt,
                    startedAt: now, deadline: now + policy.heatTimeout, reason: why))
        }
    }

    /// Begins where others are drained.
    private mutating func beginMachine(_ key: String, _ record: RemovalRecord) {
        var removal = Removal(record: record, uid: record.nodeUID)
        removal.record.phase = .drained
        removal.isMachine = true
        removal.nodeIsGone = true
        removals[key] = removal
        note(.info, key, record.reason.reason, "removal \(record.id): member \(record.member) of \(record.group) goes")
        timers.set(.removal(key), at: record.deadline)
        readGroup(record.group)
    }

    private static func registered(_ node: String) -> Explanation {
        Explanation(.decisionStale, "its server registered as node \(node)")
    }

    /// A Node is there. If its server was about to be removed as one that never registered, that is over.
    mutating func machineRegistered(_ view: NodeView) {
        for key in [view.serverID, view.name] {
            guard let key, let removal = removals[key], removal.isMachine, removal.record.phase == .drained else {
                continue
            }
            fail(key, ActuatorCore.registered(view.name))
        }
    }

    /// The first of these removals whose machine registered after all, in words.
    func machineThatRegistered(_ names: [String]) -> Explanation? {
        for name in names {
            guard let removal = removals[name], removal.isMachine else { continue }
            let node = nodes.values.first { $0.serverID == removal.record.serverID || $0.name == name }
            if let node { return ActuatorCore.registered(node.name) }
        }
        return nil
    }

    /// It has come to an end that was published: its decision may be settled.
    mutating func machineEnded(_ key: String) {
        guard let removal = removals[key], removal.isMachine else { return }
        machinesEnded.insert("\(removal.record.id)/\(key)")
        started(key)
    }
}
