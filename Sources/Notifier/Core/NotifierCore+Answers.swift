import Messages
import Support

/// An answer as it came.
struct GivenAnswer: Sendable {
    var removal: String
    var podUID: String
    var word: AnswerWord
    var source: AnswerSource
    var isAuthentic: Bool
    var ticket: Int?
    /// Of the message that brought it, by the bus.
    var id: String?
}

/// An answer that is being written to its pod.
struct RecordedAnswer: Sendable {
    var ticket: Int?
    var verdict: AnswerVerdict
    /// The bus brought it, and brings it again to whoever acts next unless it is settled: that must wait for the write.
    var isMessage = false
}

/// Answers: what each is worth, and what it leads to.
extension NotifierCore {
    /// More are not held: they are unknown then, and asked for again by the deadline.
    static let maximumHeld = 10_000
    /// Of so many answers to one notice it is remembered that they were heard.
    static let maximumHeardIDs = 16

    mutating func answered(_ answer: GivenAnswer) {
        if answer.isAuthentic, isTooEarly(answer), heldCount < NotifierCore.maximumHeld {
            held[answer.removal, default: []].append(answer)
            heldCount += 1
            return
        }
        let name = notices[answer.podUID]?.pod.id ?? answer.podUID
        let verdict = answer.isAuthentic ? judge(answer) : .forged
        emit(.heard(answer.source, verdict, pod: name))
        guard verdict == .accepted || verdict == .clamped, let notice = notices[answer.podUID] else {
            guard let ticket = answer.ticket else { return }
            if verdict == .duplicate, answer.source == .bus,
                recording[answer.podUID] != nil || unwritten[answer.podUID] != nil
            {
                // What it says was heard and does not stand on the pod yet.
                unwritten[answer.podUID, default: []].append(
                    RecordedAnswer(ticket: ticket, verdict: verdict, isMessage: true))
                return
            }
            emit(.verdict(ticket: ticket, verdict, deadline: nil))
            return
        }
        if answer.word == .refuse { sayRefused(notice) }
        notices[answer.podUID]?.heardAnnotation = answer.word.text
        recording[answer.podUID, default: []].append(
            RecordedAnswer(ticket: answer.ticket, verdict: verdict, isMessage: answer.source == .bus))
        emit(.recordAnswer(notice.notice, answer.word))
        look(notice.node)
    }

    /// What an answer is worth, and its effect on the notice.
    private mutating func judge(_ answer: GivenAnswer) -> AnswerVerdict {
        let (removal, podUID, word) = (answer.removal, answer.podUID, answer.word)
        guard var notice = notices[podUID], notice.removal == removal, !notice.withdrawn,
            let cooldown = cooldowns[notice.node], cooldown.record.id == removal
        else { return isOver(removal) ? .late : .unknown }
        if !mayAnswer(podUID, cooldown) { return .late }
        // The broker may bring a message again; "from now on" is from when it came first.
        let id = answer.id.map(NoticeMarks.word)
        if let id, notice.heardIDs.contains(id) { return .duplicate }
        // More time may be asked for again and again, within the limit.
        if notice.answer == word, word == .done || word == .refuse { return .duplicate }
        if notice.isSettled { return .late }
        var verdict = AnswerVerdict.accepted
        switch word {
        case .done:
            notice.isSettled = true
            // Nobody waits for the end of a cooldown any more: what stands on the pod is what its eviction waits for.
            if notice.limit != nil { notice.deadline = min(notice.deadline, now) }
        case .extend(let interval):
            let usual = min(cooldown.record.startedAt + notice.terms.maximumCooldown, cooldown.record.deadline)
            let limit = notice.limit ?? usual
            let wanted = now + interval
            if wanted > limit { verdict = .clamped }
            // Asking for less than there is takes nothing away.
            notice.deadline = max(notice.deadline, min(wanted, limit))
        case .refuse:
            // The machine goes whatever anybody here says.
            if cooldown.record.isTaken { return .irrevocable }
            if !notice.terms.mayRefuse { return .notAllowed }
        }
        // Who refused and asks for more time as well has not taken the refusal back.
        if word == .done || !stands(notice, cooldown.record) { notice.answer = word }
        if let id { notice.heardIDs = notice.heardIDs.suffix(NotifierCore.maximumHeardIDs - 1) + [id] }
        notices[podUID] = notice
        return verdict
    }

    /// A removal that is known, whose cooldown is not running any more.
    private func isOver(_ removal: String) -> Bool {
        guard let node = nodes.values.first(where: { $0.record?.id == removal }) else { return false }
        return cooldowns[node.name].map { $0.stage == .over || $0.stage == .draining } ?? true
    }

    /// Its pod has not been read yet: this process has just taken over.
    private func isTooEarly(_ answer: GivenAnswer) -> Bool {
        if notices[answer.podUID]?.removal == answer.removal { return false }
        return !nodesAreKnown
            || cooldowns.values.contains { $0.record.id == answer.removal && !$0.podsAreKnown }
    }

    /// Judges what was held for a removal.
    mutating func hearHeld(_ removal: String) {
        guard let answers = held.removeValue(forKey: removal) else { return }
        heldCount -= answers.count
        for answer in answers { answered(answer) }
    }

    /// An answer in the pod's annotation that was not heard yet.
    mutating func hearAnnotation(_ pod: NodePod, _ cooldown: Cooldown) {
        guard pod.annotations[RemovalNames.podRemoval] == cooldown.record.id,
            let text = pod.annotations[RemovalNames.podAnswer], let notice = notices[pod.uid], !notice.withdrawn,
            notice.heardAnnotation != text
        else { return }
        notices[pod.uid]?.heardAnnotation = text
        guard let word = AnswerWord(text) else { return emit(.heard(.annotation, .unreadable, pod: pod.id)) }
        answered(
            GivenAnswer(
                removal: cooldown.record.id, podUID: pod.uid, word: word, source: .annotation, isAuthentic: true,
                ticket: nil))
    }

    /// Whether a pod has refused, and may: then its node stays, and it is not moved.
    func stands(_ notice: PodNotice, _ record: RemovalRecord) -> Bool {
        notice.answer == .refuse && notice.terms.mayRefuse && !record.isTaken
    }

    mutating func sayRefused(_ notice: PodNotice) {
        let why = Explanation(.podRefused, notice.pod.id)
        let cancel = RemovalCancelled(
            cluster: policy.cluster, id: notice.removal, nodes: [notice.node], reason: why, decidedAt: now)
        emit(.publish(.removalCancelled(cancel)))
    }

    // MARK: Writing it down

    mutating func answerRecorded(_ uid: String, _ isWritten: Bool) {
        guard var waiting = recording.removeValue(forKey: uid), !waiting.isEmpty else { return }
        let first = waiting.removeFirst()
        if !waiting.isEmpty { recording[uid] = waiting }
        guard !isWritten, let notice = notices[uid], !notice.withdrawn, notice.answer != nil else {
            // What is written says all that was heard before it.
            sayVerdict(first, uid)
            return settleUnwritten(uid)
        }
        if first.isMessage, first.ticket != nil {
            unwritten[uid, default: []].append(first)
        } else {
            // Whoever answered is not kept waiting for an API server that is away; it is written as soon as it is back.
            sayVerdict(first, uid)
        }
        timers.set(.answer(podUID: uid), at: now + policy.repetition)
    }

    private mutating func sayVerdict(_ answer: RecordedAnswer, _ uid: String) {
        guard let ticket = answer.ticket else { return }
        emit(.verdict(ticket: ticket, answer.verdict, deadline: notices[uid]?.deadline))
    }

    /// The messages with answers of this pod need not come again: they are written, or nothing is left to be written.
    mutating func settleUnwritten(_ uid: String) {
        for answer in unwritten.removeValue(forKey: uid) ?? [] { sayVerdict(answer, uid) }
    }

    mutating func recordAgain(_ uid: String) {
        guard let notice = notices[uid], !notice.withdrawn, let word = notice.answer else {
            return settleUnwritten(uid)
        }
        recording[uid, default: []].append(RecordedAnswer(ticket: nil, verdict: .accepted))
        emit(.recordAnswer(notice.notice, word))
    }
}
