import Messages
import Support

/// The cooldown: its end, and saying so until the Actuator has heard it.
extension NotifierCore {
    /// When the cooldown ends if nobody says anything more: the latest deadline of a pod that has not answered.
    func end(of cooldown: Cooldown) -> Timestamp? {
        cooldown.pods.compactMap { notices[$0] }.filter { !$0.isSettled }.map(\.deadline).max()
    }

    func end(ofNode name: String) -> Timestamp? {
        cooldowns[name].flatMap { end(of: $0) }
    }

    /// Looks whether a node's pods are all told, and whether its cooldown is over.
    mutating func look(_ name: String) {
        guard let cooldown = cooldowns[name], cooldown.podsAreKnown, cooldown.stage != .draining else { return }
        let pods = cooldown.pods.compactMap { notices[$0] }
        if cooldown.stage == .telling {
            guard isTold(pods) else { return schedule(name) }
            cooldowns[name]?.stage = .cooling
            let notice = nodeRemoval(name, cooldown.record, cooldown.record.reason, pods: pods.count, withdrawn: false)
            emit(.publish(.nodeRemoval(notice)))
            emit(.nodeEvent(node: name, uid: cooldown.nodeUID, cooldown.record.reason))
        }
        if cooldowns[name]?.stage == .cooling {
            announce(name, pods.count)
            quiesceIfOver(name, pods)
        }
        schedule(name)
    }

    /// Every pod was told in some way, and each way was tried, or there is no time left to wait for those that do not
    /// come back. A pod that heard nothing at all keeps its node: the Actuator gives the removal up in the end.
    private func isTold(_ pods: [PodNotice]) -> Bool {
        let open = pods.filter { !$0.isSettled }
        guard open.allSatisfy(\.wasReached) else { return false }
        return open.allSatisfy(\.wasTold) || open.allSatisfy { $0.deadline <= now }
    }

    /// `removal.noticed`, and again when the deadline moved.
    private mutating func announce(_ name: String, _ count: Int) {
        guard let cooldown = cooldowns[name] else { return }
        // With every pod settled there is no deadline left to name; the one before stands.
        let deadline = end(of: cooldown) ?? min(cooldown.announced ?? now, cooldown.record.deadline)
        // It moves back only where the record allows less than was said. By less than a second is no news: a pod that asks for more
        // time each moment would have each written to the Node.
        let isNews = cooldown.announced.map { deadline >= $0 + .seconds(1) || $0 > cooldown.record.deadline }
        guard isNews ?? true else { return }
        cooldowns[name]?.announced = deadline
        let progress = cooldown.record.progress(
            node: name, reason: cooldown.record.reason, deadline: deadline, pods: count, at: now)
        emit(.publish(.removalNoticed(RemovalNoticed(cluster: policy.cluster, removal: progress))))
    }

    private mutating func quiesceIfOver(_ name: String, _ pods: [PodNotice]) {
        let open = pods.filter { !$0.isSettled }
        if open.contains(where: { $0.deadline > now || !$0.wasReached }) { return }
        guard let cooldown = cooldowns[name] else { return }
        // What was accepted counts, however long the Actuator takes to hear of it. It finds the refusal on the pod as well.
        if open.contains(where: { stands($0, cooldown.record) }) { return }
        let settledAt = settledAt(cooldown)
        guard let readAt = cooldown.readAt, readAt >= settledAt else {
            if now >= settledAt { read(name) }
            return
        }
        let outcome: Explanation
        if pods.isEmpty {
            outcome = Explanation(.nothingToTell, "no pod has to move")
        } else if open.isEmpty {
            outcome = Explanation(.allPodsAnswered, "\(pods.count) pods")
        } else {
            let names = open.map(\.pod.id).sorted().prefix(3).joined(separator: ", ")
            outcome = Explanation(.cooldownExpired, "\(open.count) of \(pods.count) pods did not answer (\(names))")
        }
        cooldowns[name]?.stage = .over
        cooldowns[name]?.outcome = outcome
        for notice in open where !notice.isNoted { recordIfTold(notice) }
        sayQuiesced(name)
    }

    /// From when on no pod comes any more. A scheduler may have chosen the node a moment before it was cordoned, and binds
    /// its pod a moment later: such a pod is found by a look at the pods after that, and told before it goes.
    private func settledAt(_ cooldown: Cooldown) -> Timestamp { cooldown.record.startedAt + policy.bindingGrace }

    private mutating func sayQuiesced(_ name: String) {
        guard let cooldown = cooldowns[name], let outcome = cooldown.outcome else { return }
        let progress = cooldown.record.progress(node: name, reason: outcome, pods: cooldown.pods.count, at: now)
        emit(.publish(.removalQuiesced(RemovalQuiesced(cluster: policy.cluster, removal: progress))))
    }

    private mutating func schedule(_ name: String) {
        guard let cooldown = cooldowns[name] else { return }
        let isOver = cooldown.stage == .over
        let again = now + (isOver ? policy.repetition : policy.resync)
        // The latest of the open deadlines: before that the cooldown cannot end by time.
        let end = isOver ? nil : end(of: cooldown)
        var next = end.map { $0 > now ? min($0, again) : again } ?? again
        let settledAt = settledAt(cooldown)
        if !isOver, now < settledAt { next = min(next, settledAt) }
        timers.set(.node(name), at: next)
        if cooldown.shown != end {
            cooldowns[name]?.shown = end
            emit(.countdown(node: name, end))
        }
    }

    mutating func nodeIsDue(_ name: String) {
        guard let cooldown = cooldowns[name] else { return }
        if cooldown.stage == .draining { return drainIsDue(name) }
        if cooldown.stage == .over {
            // The record still says that the cooldown runs: the Actuator has not heard, so it is said again.
            sayQuiesced(name)
            return timers.set(.node(name), at: now + policy.repetition)
        }
        look(name)
        guard cooldowns[name]?.stage != .over else { return }
        read(name)
    }
}
