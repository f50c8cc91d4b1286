import Actuator
import Messages
import Notifier
import Support

/// The invariants, looked at wherever something takes effect.
extension World {
    // MARK: Notices

    func audit(attempted notice: Notice, by channel: NoticeChannel) {
        guard !notice.withdrawn else { return }
        audit[notice.pod.uid, notice.removal].attempted.insert(channel)
    }

    func audit(told notice: Notice, by channel: NoticeChannel, triedAt: Timestamp) {
        guard !notice.withdrawn else { return }
        audit[notice.pod.uid, notice.removal].delivered.insert(channel)
        let end = triedAt + allowance(notice, at: triedAt)
        let before = audit[notice.pod.uid, notice.removal].earliest
        audit[notice.pod.uid, notice.removal].earliest = min(before ?? end, end)
        if channel == .annotation { audit[notice.pod.uid, notice.removal].deadline = notice.deadline }
    }

    /// What a pod has when it is told then, whatever the Notifier makes of it: its cooldown; one that comes when the drain
    /// runs has no more than half of what is left of that.
    private func allowance(_ notice: Notice, at time: Timestamp) -> Interval {
        let cooldown = scenario.notifier.pods.terms.cooldown
        guard let record = cluster.node(notice.node).flatMap({ cluster.nodes[$0].record }), record.id == notice.removal,
            record.phase == .quiesced
        else { return cooldown }
        return min(cooldown, max(record.deadline - time, .zero) * 0.5)
    }

    /// A later deadline stands on the pod.
    func audit(promised notice: Notice) {
        audit[notice.pod.uid, notice.removal].deadline = notice.deadline
    }

    func audit(answered pod: String, _ removal: String) {
        audit[pod, removal].isDone = true
    }

    /// A refusal that was accepted stands on the pod.
    func audit(refused notice: Notice) {
        if audit[notice.pod.uid, notice.removal].refusedAt == nil {
            audit[notice.pod.uid, notice.removal].refusedAt = now
        }
    }

    /// A cancellation is acknowledged: whoever sent it may rely on it.
    func audit(acknowledged cancel: RemovalCancelled) {
        for node in cluster.nodes where cancel.nodes.isEmpty || cancel.nodes.contains(node.name) {
            guard let record = node.record, record.id == cancel.id, record.phase.isReversible, mayReturn(record) else {
                continue
            }
            let key = "\(record.id)/\(node.name)"
            if audit.cancelled[key] == nil { audit.cancelled[key] = now }
        }
    }

    /// What was on its way when something else was written.
    private static let onItsWay = Interval.milliseconds(50)

    /// Whether the machine of a removal is there to be kept: nobody else takes it away.
    private func mayReturn(_ record: RemovalRecord) -> Bool {
        if record.isExternal || heat.lost.contains(record.memberID) { return false }
        guard let member = heat.members.first(where: { $0.id == record.memberID }) else { return false }
        // (One that failed may have been on its way when it was looked at.)
        return !member.isLeaving && member.failedAt == nil
    }

    func audit(evictionOf pod: ClusterState.Pod) {
        audit.evictions += 1
        guard let name = pod.node, let index = cluster.node(name) else { return }
        guard let record = cluster.nodes[index].record, record.phase == .quiesced || record.phase == .cancelled else {
            let phase = cluster.nodes[index].record?.phase.rawValue ?? "under no removal"
            return violated(.noPodKilledUntold, "\(pod.name) is evicted from \(name), which is \(phase)")
        }
        // Nothing runs on a server that is gone, and nothing there can be told.
        if heat.lost.contains(record.memberID) { return }
        let told = audit[pod.uid, record.id]
        if mayReturn(record) {
            if let at = audit.cancelled["\(record.id)/\(name)"], now - at > World.onItsWay {
                return violated(
                    .cancelledStays,
                    "\(pod.name) is evicted from \(name), and \(record.id) was cancelled \(now - at) ago")
            }
            if let at = told.refusedAt, !told.isDone, now - at > World.onItsWay {
                return violated(
                    .refusalStands, "\(pod.name) is evicted from \(name), and refused \(record.id) \(now - at) ago")
            }
        }
        if told.isDone || !told.delivered.isEmpty { audit.toldEvictions += 1 }
        // A pod that said done was told, by whichever way.
        if told.isDone { return }
        var channels: Set<NoticeChannel> = [.annotation, .bus, .event]
        if pod.gate != .absent { channels.insert(.gate) }
        if pod.annotations[RemovalNames.shutdownHook] != nil { channels.insert(.hook) }
        let missing = channels.subtracting(told.attempted).map(\.rawValue).sorted()
        guard missing.isEmpty else {
            return violated(
                .noPodKilledUntold,
                "\(pod.name) is evicted from \(name) for \(record.id) and was not told by \(missing.joined(separator: ", "))"
            )
        }
        guard told.delivered.contains(.annotation), let earliest = told.earliest, var deadline = told.deadline else {
            return violated(.noPodKilledUntold, "\(pod.name) is evicted from \(name) and has no notice on it")
        }
        // What a removal of our own promises may be more than policy gives, and never less.
        if mayReturn(record) { deadline = max(deadline, earliest) }
        // A machine that somebody else takes away and that nothing holds: told, and then what time there is.
        // (That its deletion failed, no reading could show yet.)
        let isHurried = !heat.members.contains { member in
            guard member.id == record.memberID else { return false }
            if let failedAt = member.failedAt, failedAt >= heat.readAt[member.group] ?? World.start { return false }
            return !member.isLeaving || member.isHeld
        }
        guard now >= deadline || isHurried else {
            return violated(
                .noPodKilledUntold,
                "\(pod.name) is evicted from \(name) \((deadline - now)) before its cooldown ends")
        }
    }

    // MARK: Heat

    func audit(resizeTo size: Int, of group: Int) {
        let floor = max(1, scenario.minimum)
        guard size >= floor && size <= scenario.maximum else {
            // Above the maximum already by somebody else's act: a shrink may pass through there, and a repair sends what is there.
            if size > scenario.maximum && size <= heat.desired[group] { return }
            return violated(.sizeWithinLimits, "size \(size) is sent, the limits are \(floor) to \(scenario.maximum)")
        }
    }

    /// The size goes up in effect: one decision is used up for it.
    func audit(growthTo size: Int, of group: Int) {
        heat.carried = nil
        if size != heat.desired[group] { audit.resizes += 1 }
        // More than there is: an update that failed may have left the parameter behind the members.
        guard size > heat.desired[group] && size > heat.counted(group) else { return }
        // Below the minimum by a stranger's act, no other size may be sent: the limits say so, and need no decision.
        if size == max(1, scenario.minimum) { return }
        guard let place = audit.growth.firstIndex(where: { $0.group == group && $0.to == size }) else {
            return violated(
                .decisionAppliedOnce,
                "\(Scenario.groups[group]) \(heat.desired[group]) to \(size), and no decision is left that says so")
        }
        heat.carried = audit.growth.remove(at: place)
    }

    /// An update failed. A decision that it was to carry out and that had no effect may be carried out after all.
    func auditFailedUpdate() {
        if let carried = heat.carried, heat.counted(carried.group) < carried.to { audit.growth.insert(carried, at: 0) }
        heat.carried = nil
    }

    /// A machine that is no Node when it is marked is chosen by that, also if it becomes one a moment later; or if it became one so
    /// lately that no watch need have told it, and was never ready, so that no pod of anybody's is on it.
    func audit(markOf member: HeatState.Member) {
        let node = cluster.nodes.first { $0.server == member.server }
        let isUnseen = node.map { !$0.isReady && now - $0.createdAt < .seconds(5) } ?? true
        if isUnseen { audit.chosen.insert(member.id) }
    }

    func audit(removalOf member: HeatState.Member) {
        // A size that a stranger set is the stranger's, also if its update failed and a later one carries it out.
        if audit.forgiven.contains(member.id) || heat.author != .actuator { return }
        if heat.sizeBy[member.group] == .stranger || heat.unseen.contains(member.group) { return }
        let node = cluster.nodes.first { $0.server == member.server }
        // One that had failed and is drained goes with any update.
        let isDrained = member.isFailed && node?.record?.phase == .drained
        if audit.chosen.contains(member.id) || isDrained {
            guard let node, node.kubeletWorks else { return }
            let left = nodePods(on: node.name).filter { $0.isMoved && $0.deletedAt == nil }
            guard let first = seen(left, on: node.name).first else { return }
            return violated(
                .noPodKilledUntold, "the machine of \(node.name) goes and \(first.name) still runs on it")
        }
        guard let node else { return }
        violated(.onlyChosenMembersRemoved, "member \(member.name) goes, node \(node.name) was not chosen")
    }

    /// Of these pods those that were there at the last look that could be before the call: Heat knows no condition for an update.
    private func seen(_ pods: [NodePod], on node: String) -> [NodePod] {
        let lookedAt = max(audit.lookedAt[node] ?? World.start, now - .seconds(60))
        return pods.filter { pod in
            cluster.pod(uid: pod.uid).flatMap { cluster.pods[$0].boundAt } ?? World.start < lookedAt
        }
    }

    /// A machine that waits at its hook is let go by us: emptied, or told and at the end of what the stack allows.
    func audit(releaseOf member: HeatState.Member) {
        if audit.forgiven.contains(member.id) { return }
        guard let node = cluster.nodes.first(where: { $0.server == member.server }), node.kubeletWorks else { return }
        let left = nodePods(on: node.name).filter { $0.isMoved && $0.deletedAt == nil }
        guard let first = left.first else { return }
        // What we chose ourselves was emptied before the call; who was bound since, nobody could see (as in the removal's check).
        if audit.chosen.contains(member.id) && seen(left, on: node.name).isEmpty { return }
        let limit = (member.heldSince ?? now) + World.stackTimeout - scenario.actuator.holdMargin - .seconds(5)
        let isTold = node.record.map { audit[first.uid, $0.id].delivered.contains(.annotation) } ?? false
        if now < limit || !isTold {
            return violated(.noPodKilledUntold, "the machine of \(node.name) is let go and \(first.name) runs on it")
        }
        // Should the deletion fail, it is the same one that is tried again.
        audit.forgiven.insert(member.id)
    }

    // MARK: Nodes

    func audit(_ edit: NodeEdit, at index: Int) {
        let node = cluster.nodes[index]
        switch edit.kind {
        case .cordon(let record):
            guard audit.begun.insert("\(record.id)/\(node.uid)").inserted else {
                return violated(.decisionAppliedOnce, "removal \(record.id) begins on \(node.name) once more")
            }
        case .advance(_, let record, let undo):
            if record.phase == .removing {
                audit.chosen.insert(record.memberID)
                if let at = audit.cancelled["\(record.id)/\(node.name)"], mayReturn(record) {
                    violated(.cancelledStays, "\(record.id) takes \(node.name) and was cancelled \(now - at) ago")
                }
            }
            if record.phase == .cancelled, audit.cancelled["\(record.id)/\(node.name)"] == nil {
                audit.cancelled["\(record.id)/\(node.name)"] = now
            }
            if edit.holds { audit.untold.insert("\(record.id)/\(node.name)") }
            if record.phase == .failed && undo { audit.chosen.remove(record.memberID) }
        case .forget, .untaint, .discard, .dress, .pauseGroup, .release: break
        }
    }

    /// After an edit.
    func auditNode(at index: Int) {
        let node = cluster.nodes[index]
        guard let record = node.record else {
            if node.isTainted {
                violated(.noCordonLeftBehind, "\(node.name) is tainted and has no removal")
            }
            return
        }
        if record.phase.isOver && record.ours.cordon && (node.unschedulable || node.isTainted) {
            violated(
                .noCordonLeftBehind, "\(node.name) stays cordoned after removal \(record.id) \(record.phase.rawValue)")
        }
        if !record.phase.isOver && !(node.unschedulable && node.isTainted) {
            violated(.noCordonLeftBehind, "\(node.name) is \(record.phase.rawValue) and takes pods")
        }
    }

    func audit(deletionOf node: ClusterState.Node) {
        if let member = heat.members.first(where: { $0.server == node.server }), member.counts {
            violated(.noNodeDeletedAlive, "node \(node.name) is deleted, member \(member.name) is \(member.status)")
        }
    }

    // MARK: The bus

    func audit(published event: Event) {
        if case .scaleDecided(let decision) = event, let group = Scenario.groups.firstIndex(of: decision.group),
            audit.decisions.insert(decision.id).inserted
        {
            audit.growth.append((decision.id, group, decision.to))
        }
        switch event {
        case .removalCompleted(let event): audit.untold.remove("\(event.removal.id)/\(event.removal.node)")
        case .removalFailed(let event): audit.untold.remove("\(event.removal.id)/\(event.removal.node)")
        default: break
        }
    }
}
