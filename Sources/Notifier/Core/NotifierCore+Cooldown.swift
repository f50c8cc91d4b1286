import Messages
import Support

/// The cooldown: answers, its end, and saying so until the Actuator has heard it.
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
        guard let cooldown = cooldowns[name], cooldown.podsAreKnown else { return }
        let pods = cooldown.pods.compactMap { notices[$0] }
        if cooldown.stage == .telling {
            guard pods.allSatisfy({ $0.wasTold || $0.isSettled }) else { return }
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

    /// `removal.noticed`, and again when the deadline moved.
    private mutating func announce(_ name: String, _ count: Int) {
        guard let cooldown = cooldowns[name] else { return }
        // With every pod settled there is no deadline left to name; the one before stands.
        let deadline = end(of: cooldown) ?? cooldown.announced ?? now
        guard cooldown.announced.map({ deadline > $0 }) ?? true else { return }
        cooldowns[name]?.announced = deadline
        let progress = cooldown.record.progress(
            node: name, reason: cooldown.record.reason, deadline: deadline, pods: count, at: now)
        emit(.publish(.removalNoticed(RemovalNoticed(cluster: policy.cluster, removal: progress))))
    }

    private mutating func quiesceIfOver(_ name: String, _ pods: [PodNotice]) {
        let open = pods.filter { !$0.isSettled }
        if open.contains(where: { $0.deadline > now }) { return }
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
        sayQuiesced(name)
    }

    private mutating func sayQuiesced(_ name: String) {
        guard let cooldown = cooldowns[name], let outcome = cooldown.outcome else { return }
        let progress = cooldown.record.progress(node: name, reason: outcome, pods: cooldown.pods.count, at: now)
        emit(.publish(.removalQuiesced(RemovalQuiesced(cluster: policy.cluster, removal: progress))))
    }

    private mutating func schedule(_ name: String) {
        guard let cooldown = cooldowns[name] else { return }
        let again = now + (cooldown.stage == .over ? policy.repetition : policy.resync)
        if cooldown.stage == .cooling, let next = nextDeadline(of: cooldown) {
            timers.set(.node(name), at: min(next, again))
        } else {
            timers.set(.node(name), at: again)
        }
    }

    /// The latest of the open deadlines: before that the cooldown cannot end by time.
    private func nextDeadline(of cooldown: Cooldown) -> Timestamp? { end(of: cooldown) }

    mutating func nodeIsDue(_ name: String) {
        guard let cooldown = cooldowns[name] else { return }
        if cooldown.stage == .over {
            // The record still says that the cooldown runs: the Actuator has not heard, so it is said again.
            sayQuiesced(name)
            return timers.set(.node(name), at: now + policy.repetition)
        }
        look(name)
        guard cooldowns[name]?.stage != .over else { return }
        if !cooldown.podsAreKnown || end(of: cooldown).map({ $0 > now }) ?? true { read(name) }
    }

    // MARK: Answers

    mutating func answered(
        _ removal: String, _ podUID: String, _ word: AnswerWord, _ source: AnswerSource, isAuthentic: Bool,
        _ ticket: Int?
    ) {
        let name = notices[podUID]?.pod.id ?? podUID
        let verdict = isAuthentic ? judge(removal, podUID, word) : .forged
        emit(.heard(source, verdict, pod: name))
        guard verdict == .accepted || verdict == .clamped, let notice = notices[podUID] else {
            if let ticket { emit(.verdict(ticket: ticket, verdict)) }
            return
        }
        if source == .annotation && verdict == .accepted && word == .done {
            // It stands there already.
        } else {
            emit(.recordAnswer(notice.pod, word, deadline: notice.deadline, ticket: ticket))
        }
        if word == .refuse {
            let why = Explanation(.podRefused, notice.pod.id)
            let cancel = RemovalCancelled(
                cluster: policy.cluster, id: removal, nodes: [notice.node], reason: why, decidedAt: now)
            emit(.publish(.removalCancelled(cancel)))
        }
        look(notice.node)
    }

    /// What an answer is worth, and its effect on the notice.
    private mutating func judge(_ removal: String, _ podUID: String, _ word: AnswerWord) -> AnswerVerdict {
        guard var notice = notices[podUID], notice.removal == removal, let cooldown = cooldowns[notice.node] else {
            return .unknown
        }
        if notice.withdrawn || cooldown.stage == .over { return .late }
        // More time may be asked for again and again, within the limit.
        if notice.answer == word, word == .done || word == .refuse { return .duplicate }
        if notice.isSettled { return .late }
        var verdict = AnswerVerdict.accepted
        switch word {
        case .done: notice.isSettled = true
        case .extend(let interval):
            let limit = min(cooldown.record.startedAt + policy.maximumCooldown, cooldown.record.deadline)
            let wanted = now + interval
            if wanted > limit { verdict = .clamped }
            // Asking for less than there is takes nothing away.
            notice.deadline = max(notice.deadline, min(wanted, limit))
        case .refuse:
            if !policy.mayRefuse { return .notAllowed }
        }
        notice.answer = word
        notices[podUID] = notice
        return verdict
    }
}
