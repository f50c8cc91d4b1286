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
        if let node = nodes.on(server: target.serverID) ?? nodes[target.node] {
            refuse(target, of: decision, ActuatorCore.registered(node.name))
            return false
        }
        if let node = nodeOfUnknownMachine {
            refuse(target, of: decision, ActuatorCore.mayBe(node))
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
        if let node = nodeAmongServers(of: member) {
            refuse(target, of: decision, ActuatorCore.mayBeOneOf(node, member.name))
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

    /// Machines that Heat made in place of those that were to go (somebody's update met the mark), and that go as well: what
    /// is no node yet, as long as the group can spare it. What is a node already is the Decider's to judge.
    ///
    /// They are no removals of their own: the record of the node whose place they took stays at *removing* until they are
    /// gone, so that another process finds them again.
    func replacements(of names: [String], _ change: StackChange, _ reading: GroupReading) -> [GroupState.Member] {
        var left = reading.counted.count
        let floor = groups[change.group]?.policy.floor ?? 1
        let named = ActuatorCore.byName(reading.members)
        var found: [GroupState.Member] = []
        for name in names {
            guard let removal = removals[name], !removal.isMachine,
                let member = named[removal.record.member],
                member.identity != removal.record.memberID, !member.isLeaving, !isNode(member)
            else { continue }
            let isMarked = member.isFailed && member.statusReason.hasPrefix(RemovalNames.markPrefix)
            // One that failed to be made is nothing to mark: the next update sweeps it out.
            guard isMarked || !member.isFailed else { continue }
            guard isMarked || left - 1 >= floor else { continue }
            if !isMarked { left -= 1 }
            found.append(member)
        }
        return found
    }

    /// Says that a machine was made in place of one that was to go, once.
    mutating func sayReplaced(_ names: [String], _ going: [GroupState.Member], _ change: StackChange) {
        let named = ActuatorCore.byName(going)
        for name in names {
            guard let record = removals[name]?.record, let member = named[record.member], !member.isFailed else {
                continue
            }
            let server = member.serverID ?? member.identity
            let why = Explanation(
                .memberReplaced, "Heat made server \(server) in place of \(record.serverID), which was to go")
            emit(.report(node: name, why))
            note(.warning, change.group, why.reason, why.detail + "; it is removed as well")
        }
    }

    private static func byName(_ members: [GroupState.Member]) -> [String: GroupState.Member] {
        Dictionary(members.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
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

    private static func mayBe(_ node: String) -> Explanation {
        Explanation(
            .providerUnknown,
            "node \(node) has no provider id of OpenStack and may be this machine: is the cloud "
                + "controller manager running?")
    }

    private static func mayBeOneOf(_ node: String, _ member: String) -> Explanation {
        Explanation(
            .memberUnresolved,
            "member \(member) holds several servers, none of which is named `server`: it cannot be told whether node "
                + "\(node) is its machine")
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
            let node = nodes.on(server: removal.record.serverID) ?? nodes[name]
            if let node { return ActuatorCore.registered(node.name) }
            if let node = nodeOfUnknownMachine { return ActuatorCore.mayBe(node) }
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
