import Messages
import Support

/// Telling pods.
extension NotifierCore {
    /// Begins to tell a pod, or goes on where another process stopped.
    mutating func tell(_ pod: NodePod, _ name: String, _ cooldown: Cooldown) {
        let record = cooldown.record
        drop(pod.uid)
        generations += 1
        let terms = policy.pods.terms(for: pod)
        // Counted from the moment when it is told, so that a Notifier that was away takes no time from the pods; but
        // never beyond what the Actuator waits for.
        let limit = limit(terms, cooldown)
        var notice = PodNotice(
            node: name, removal: record.id, serverID: record.serverID, reason: record.reason, pod: pod, terms: terms,
            deadline: min(now + terms.cooldown, limit ?? record.deadline), limit: limit, generation: generations)
        var told: Set<NoticeChannel> = []
        if pod.annotations[RemovalNames.podRemoval] == record.id {
            told = restore(&notice, record)
        }
        for channel in channels(for: pod) {
            // A gate that an earlier removal left shut tells nobody of this one.
            let isDone = channel == .gate ? pod.gate == .notServing && !told.isEmpty : told.contains(channel)
            notice.deliveries[channel] = PodNotice.Delivery(
                state: isDone ? .delivered : .waiting, attempts: isDone ? 1 : 0)
        }
        notices[pod.uid] = notice
        cooldowns[name]?.pods.insert(pod.uid)
        start(pod.uid)
        // The Decider may not have heard it: the process that took it down may have ended before it was said.
        if stands(notice, record) { sayRefused(notice) }
        hearAnnotation(pod, cooldown)
    }

    /// Whether a pod that has heard nothing would have its whole cooldown if it were told now. What somebody else takes away
    /// waits for nobody: there a pod gets the time that is left. A removal of our own tells nobody less than policy says:
    /// the pod stays untold and its node stays. So the Actuator gives the removal up at the record's deadline, or, if the
    /// others were told and it goes on, the pod is told by the rules of the drain.
    private func isInTime(_ notice: PodNotice, _ record: RemovalRecord) -> Bool {
        notice.limit != nil || notice.isShortened || record.isTaken
            || now + notice.terms.cooldown <= record.deadline
    }

    private mutating func sayTooLate(_ id: DeliveryID, _ notice: PodNotice, _ record: RemovalRecord) {
        guard id.channel == .annotation else { return }
        let left = max(record.deadline - now, .zero)
        emit(
            .note(
                subject: notice.pod.id,
                Explanation(
                    .podNotTold,
                    "not told any more: its cooldown is \(notice.terms.cooldown), removal \(record.id) has only \(left) left"
                ),
                isLoud: true))
    }

    /// Somebody else takes the machine now: who had too little time left to be told is told, with what there is.
    mutating func tellAfterAll(_ uid: String) {
        guard let notice = notices[uid], !notice.withdrawn, !notice.isSettled, !notice.wasReached else { return }
        for (channel, delivery) in notice.deliveries.sorted(by: { $0.key < $1.key })
        where delivery.state == .waiting && notice.isTurn(of: channel, attempts: policy.attempts) {
            attempt(DeliveryID(podUID: uid, channel: channel, generation: notice.generation))
        }
    }

    /// What stands on a pod of a notice that another process gave. Returns the ways by which it was told.
    private func restore(_ notice: inout PodNotice, _ record: RemovalRecord) -> Set<NoticeChannel> {
        let annotations = notice.pod.annotations
        let marks = NoticeMarks(annotations, removal: record.id)
        notice.isNoted = marks != nil
        if let text = marks?.answer, let word = AnswerWord(text) {
            notice.answer = word
            notice.heardAnnotation = text
            notice.isSettled = word == .done
        }
        notice.heardIDs = marks?.answerID.map { [$0] } ?? []
        guard let deadline = annotations[RemovalNames.podDeadline].flatMap({ Timestamp($0) }) else { return [] }
        if deadline > record.deadline, !notice.isSettled {
            // It was told of more time than there is.
            notice.deadline = record.deadline
            notice.isShortened = true
            return []
        }
        notice.deadline = min(deadline, record.deadline)
        return Set((marks?.told ?? []).compactMap { NoticeChannel(rawValue: $0) }).union([.annotation])
    }

    /// Less time is left than a pod was told: it is told again, by every way.
    mutating func shorten(_ uid: String, to record: RemovalRecord) {
        guard let old = notices[uid], !old.withdrawn, !old.isSettled, old.deadline > record.deadline else { return }
        var notice = old
        let waiting = unwritten.removeValue(forKey: uid)
        drop(uid)
        generations += 1
        notice.generation = generations
        notice.reason = record.reason
        notice.deadline = record.deadline
        notice.isShortened = old.wasReached
        for (channel, delivery) in old.deliveries where channel != .gate || delivery.state != .delivered {
            notice.deliveries[channel] = PodNotice.Delivery()
        }
        notices[uid] = notice
        if let waiting {
            // What it answered is still to be written.
            unwritten[uid] = waiting
            timers.set(.answer(podUID: uid), at: now + policy.repetition)
        }
        start(uid)
    }

    func channels(for pod: NodePod) -> [NoticeChannel] {
        NoticeChannel.allCases.sorted().filter { channel in
            switch channel {
            case .annotation, .bus, .event: true
            case .gate: pod.gate != .absent
            case .hook: pod.annotations[RemovalNames.shutdownHook] != nil
            }
        }
    }

    /// The first try of every way whose turn it is.
    mutating func start(_ uid: String) {
        guard let notice = notices[uid] else { return }
        for (channel, delivery) in notice.deliveries.sorted(by: { $0.key < $1.key })
        where delivery.attempts == 0 && notice.isTurn(of: channel, attempts: policy.attempts) {
            attempt(DeliveryID(podUID: uid, channel: channel, generation: notice.generation))
        }
    }

    /// One try of a delivery that waits for it.
    mutating func attempt(_ id: DeliveryID) {
        guard var notice = notices[id.podUID], notice.generation == id.generation,
            var delivery = notice.deliveries[id.channel], delivery.state == .waiting
        else { return }
        if !notice.withdrawn, !notice.wasReached, let record = cooldowns[notice.node]?.record {
            guard isInTime(notice, record) else { return sayTooLate(id, notice, record) }
            // While it has heard nothing, its time has not begun.
            notice.deadline = max(
                notice.deadline, min(now + notice.terms.cooldown, notice.limit ?? record.deadline))
        } else if id.channel == .hook, delivery.attempts > 0, notice.isOver(at: now) {
            // A further try would meet the eviction.
            delivery.state = .expired
            notice.deliveries[id.channel] = delivery
            notices[id.podUID] = notice
            return recordIfTold(notice)
        }
        delivery.state = .inFlight
        delivery.attempts += 1
        notice.deliveries[id.channel] = delivery
        notices[id.podUID] = notice
        emit(.deliver(id, notice.notice, attempt: delivery.attempts))
    }

    mutating func delivered(_ id: DeliveryID, _ outcome: DeliveryOutcome) {
        guard let before = notices[id.podUID], before.generation == id.generation,
            var delivery = before.deliveries[id.channel], delivery.state == .inFlight
        else {
            // The notice that the hook answered is over.
            if case .delivered(_?) = outcome { emit(.heard(.hook, .late, pod: id.podUID)) }
            return
        }
        var answer: AnswerWord?
        var isGone = false
        switch outcome {
        case .delivered(let word):
            delivery.state = .delivered
            delivery.lastError = nil
            answer = word
        case .garbled(let what):
            delivery.state = .delivered
            delivery.lastError = nil
            emit(.heard(.hook, .unreadable, pod: before.pod.id))
            emit(.note(subject: before.pod.id, Explanation(before.reason.reason, "hook: \(what)"), isLoud: true))
        case .gone:
            delivery.state = .givenUp("the pod is gone")
            isGone = id.channel.isState
        case .expired: expired(id, &delivery, before)
        case .failed(let why, let isRetriable): failed(id, &delivery, before, why, isRetriable)
        }
        notices[id.podUID]?.deliveries[id.channel] = delivery
        if isGone {
            notices[id.podUID]?.isSettled = true
            giveUp(id.podUID)
        }
        guard let after = notices[id.podUID] else { return }
        if after.withdrawn {
            return after.isDelivered ? drop(id.podUID) : start(id.podUID)
        }
        if !isGone, delivery.isFinal { recordIfTold(after) }
        start(id.podUID)
        if let answer {
            answered(
                GivenAnswer(
                    removal: after.removal, podUID: id.podUID, word: answer, source: .hook, isAuthentic: true,
                    ticket: nil))
        }
        let isNews =
            after.wasTold != before.wasTold || after.wasReached != before.wasReached
            || after.isSettled != before.isSettled
        if isNews { look(after.node) }
    }

    /// How each way went, once each was tried: the Actuator evicts the pod when it finds this. A way that does not come
    /// back holds it no longer than its time.
    mutating func recordIfTold(_ notice: PodNotice) {
        guard notice.wasTold || notice.isOver(at: now), notice.deliveries[.annotation]?.state == .delivered else {
            return
        }
        notices[notice.pod.uid]?.isNoted = true
        emit(.recordNotice(notice.notice))
    }

    /// A pod that was told, and as it was read does not say so: that was written in vain, and the Actuator waits for it.
    mutating func recordIfMissing(_ pod: NodePod) {
        guard pod.deletedAt == nil, let notice = notices[pod.uid], !notice.withdrawn,
            NoticeMarks(pod.annotations, removal: notice.removal) == nil
        else { return }
        recordIfTold(notice)
    }

    /// A call waited for its turn until the time of its pod was over. If the pod was granted more meanwhile, it is made.
    private mutating func expired(_ id: DeliveryID, _ delivery: inout PodNotice.Delivery, _ notice: PodNotice) {
        guard notice.isOver(at: now) else {
            delivery.attempts -= 1
            delivery.state = .waiting
            return timers.set(.delivery(id), at: now + policy.firstRetry)
        }
        delivery.state = .expired
        let why = "\(id.channel.rawValue): not called, other calls took the pod's whole time"
        emit(.note(subject: notice.pod.id, Explanation(notice.reason.reason, why), isLoud: true))
    }

    private mutating func failed(
        _ id: DeliveryID, _ delivery: inout PodNotice.Delivery, _ notice: PodNotice, _ why: String, _ isRetriable: Bool
    ) {
        delivery.lastError = why
        if isRetriable && (id.channel.isState || delivery.attempts < policy.attempts) {
            delivery.state = .waiting
            timers.set(.delivery(id), at: now + delay(after: delivery.attempts))
        } else {
            delivery.state = .givenUp(why)
            emit(
                .note(
                    subject: notice.pod.id, Explanation(notice.reason.reason, "\(id.channel.rawValue): \(why)"),
                    isLoud: true))
        }
    }

    private func delay(after attempts: Int) -> Interval {
        min(policy.firstRetry * Double(1 << min(attempts - 1, 20)), policy.retryCap)
    }
}
