import Messages
import Support

/// Telling pods, and telling them that they may stay.
extension NotifierCore {
    /// Begins to tell a pod, or goes on where another process stopped.
    mutating func tell(_ pod: NodePod, _ name: String, _ cooldown: Cooldown) {
        let record = cooldown.record
        drop(pod.uid)
        generations += 1
        // Counted from the moment when it is told, so that a Notifier that was away takes no time from the pods; but
        // never beyond what the Actuator waits for.
        var notice = PodNotice(
            node: name, removal: record.id, serverID: record.serverID, reason: record.reason, pod: pod,
            deadline: min(now + policy.cooldown, record.deadline), generation: generations)
        var told: Set<NoticeChannel> = []
        if pod.annotations[RemovalNames.podRemoval] == record.id {
            told = PodNotice.told(in: pod.annotations[RemovalNames.podNotice] ?? "", removal: record.id)
            told.insert(.annotation)
            if let deadline = pod.annotations[RemovalNames.podDeadline].flatMap({ Timestamp($0) }) {
                notice.deadline = min(deadline, record.deadline)
            }
            if let word = pod.annotations[RemovalNames.podAnswer].flatMap({ AnswerWord($0) }) {
                notice.answer = word
                notice.isSettled = word == .done
            }
        }
        for channel in channels(for: pod) {
            let isDone = channel == .gate ? pod.gate == .notServing : told.contains(channel)
            notice.deliveries[channel] = PodNotice.Delivery(
                state: isDone ? .delivered : .waiting, attempts: isDone ? 1 : 0)
        }
        notices[pod.uid] = notice
        cooldowns[name]?.pods.insert(pod.uid)
        start(pod.uid)
    }

    private func channels(for pod: NodePod) -> [NoticeChannel] {
        NoticeChannel.allCases.sorted().filter { channel in
            switch channel {
            case .annotation, .bus, .event: true
            case .gate: pod.gate != .absent
            case .hook: pod.annotations[RemovalNames.shutdownHook] != nil
            }
        }
    }

    private mutating func start(_ uid: String) {
        guard let notice = notices[uid] else { return }
        for channel in notice.deliveries.keys.sorted() {
            attempt(DeliveryID(podUID: uid, channel: channel, generation: notice.generation))
        }
    }

    /// One try of a delivery that waits for it.
    mutating func attempt(_ id: DeliveryID) {
        guard let notice = notices[id.podUID], notice.generation == id.generation,
            var delivery = notice.deliveries[id.channel], delivery.state == .waiting
        else { return }
        delivery.state = .inFlight
        delivery.attempts += 1
        notices[id.podUID]?.deliveries[id.channel] = delivery
        emit(.deliver(id, notice.notice, attempt: delivery.attempts))
    }

    mutating func delivered(_ id: DeliveryID, _ outcome: DeliveryOutcome) {
        guard var notice = notices[id.podUID], notice.generation == id.generation,
            var delivery = notice.deliveries[id.channel]
        else { return }
        var answer: AnswerWord?
        switch outcome {
        case .delivered(let word):
            delivery.state = .delivered
            delivery.lastError = nil
            answer = word
        case .gone:
            delivery.state = .givenUp("the pod is gone")
            if id.channel.isState { notice.isSettled = true }
        case .failed(let why, let isRetriable):
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
        notice.deliveries[id.channel] = delivery
        notices[id.podUID] = notice
        if notice.withdrawn {
            if notice.isDelivered { drop(id.podUID) }
            return
        }
        if notice.isDelivered, !notice.isSettled { emit(.recordNotice(notice.notice)) }
        if let answer { answered(notice.removal, id.podUID, answer, .hook, isAuthentic: true, nil) }
        look(notice.node)
    }

    private func delay(after attempts: Int) -> Interval {
        min(policy.firstRetry * Double(1 << min(attempts - 1, 20)), policy.retryCap)
    }

    // MARK: Staying

    /// The node stays: every pod that was told of this removal is told so. The pods are read as well: some may have
    /// been told by a process that is no more, or before the drain began.
    mutating func withdraw(_ node: NotifiedNode, _ record: RemovalRecord) {
        let told = cooldowns.removeValue(forKey: node.name)?.pods.sorted().compactMap { notices[$0] } ?? []
        timers.cancel(.node(node.name))
        for notice in told {
            // A pod that was not told in any way has nothing to be taken back; its tries just end.
            drop(notice.pod.uid)
            if notice.deliveries.values.contains(where: { $0.attempts > 0 }) {
                withdraw(notice.pod, record.id, record, told: notice)
            }
        }
        let why = record.outcome ?? Explanation(.cancelledByOperator, "the record of the removal is gone")
        emit(.publish(.nodeRemoval(nodeRemoval(node.name, record, why, pods: told.count, withdrawn: true))))
        emit(.nodeEvent(node: node.name, uid: node.uid, why))
        emit(.readPods(node: node.name))
    }

    /// One pod may stay. `told`: what it was told, if this process did; else all ways are used.
    mutating func withdraw(_ pod: NodePod, _ removal: String, _ record: RemovalRecord?, told: PodNotice? = nil) {
        generations += 1
        let why =
            record?.id == removal
            ? record?.outcome ?? Explanation(.cancelledByOperator)
            : Explanation(.cancelledByOperator, "the removal is over")
        var notice = PodNotice(
            node: pod.node, removal: removal, serverID: record?.serverID ?? "", reason: why, pod: pod, deadline: now,
            withdrawn: true, generation: generations)
        let ways = told.map { old in old.deliveries.filter { $0.value.attempts > 0 }.map(\.key) } ?? channels(for: pod)
        for channel in ways { notice.deliveries[channel] = PodNotice.Delivery() }
        notices[pod.uid] = notice
        start(pod.uid)
    }

    func nodeRemoval(
        _ name: String, _ record: RemovalRecord, _ reason: Explanation, pods: Int, withdrawn: Bool
    ) -> NodeRemoval {
        NodeRemoval(
            cluster: policy.cluster, removal: record.id, node: name, serverID: record.serverID, reason: reason,
            deadline: end(ofNode: name) ?? now, pods: pods, withdrawn: withdrawn)
    }
}
