import Messages
import Support

/// The Notifier's logic: a value that is told what happened and when, and says what to do. No I/O, no clock.
///
/// It holds no truth of its own. Which nodes are under removal stands on the Nodes (`RemovalRecord`, written by the
/// Actuator); who was told, until when it may take, and what it answered stands on the pods. A core that is dropped at
/// any point and made anew from these goes on to the same end; at worst a pod is told twice.
///
/// All cooldowns share one timer queue: thousands of them cost timers, not tasks.
public struct NotifierCore: Sendable {
    enum TimerKey: Hashable, Sendable {
        case node(String)
        case delivery(DeliveryID)
        /// The pods of a node that stays are to be read again.
        case reading(String)
        /// An answer could not be written to its pod.
        case answer(podUID: String)
        /// A pod's gate could not be opened.
        case gate(podUID: String)
        /// A node that went under notice will not come back.
        case departed(String)
    }

    /// The configuration.
    public let policy: NotifierPolicy

    var now = Timestamp(seconds: 0)
    var actions: [NotifierAction] = []
    var timers = TimerQueue<TimerKey>()

    /// Records of all nodes that have one, by name.
    var nodes: [String: NotifiedNode] = [:]
    var nodesAreKnown = false
    /// The first list was taken in: what appears from now on is new.
    var hasBegun = false
    /// Cooldowns by node name.
    var cooldowns: [String: Cooldown] = [:]
    /// Notices by pod UID.
    var notices: [String: PodNotice] = [:]
    /// Pods seen before the nodes were known.
    var early: [String: NodePod] = [:]
    /// Gates that are being opened.
    var opening: [String: NodePod] = [:]
    var webhooks: WebhookCore
    var generations = 0
    /// Nodes that stay, whose pods are read to see whether any was told; then it is said on the bus.
    var staying: [String: RemovalRecord] = [:]
    /// Nodes that went while their pods were under notice: the same machine may register again.
    var departed: [String: RemovalRecord] = [:]
    /// Answers that came before their pods were read, by removal.
    var held: [String: [GivenAnswer]] = [:]
    var heldCount = 0
    /// Who waits for answers that are being written, by pod, in the order of the writes.
    var recording: [String: [RecordedAnswer]] = [:]
    /// Answers by the bus that could not be written to their pod yet, by pod: their messages are kept until they are.
    var unwritten: [String: [RecordedAnswer]] = [:]

    /// A core that knows nothing yet.
    public init(policy: NotifierPolicy) {
        self.policy = policy
        webhooks = WebhookCore(policy.webhooks, cluster: policy.cluster)
    }

    /// Something happened at `time`: what to do now, in this order.
    public mutating func handle(_ event: NotifierEvent, at time: Timestamp) -> [NotifierAction] {
        now = max(now, time)
        actions = []
        switch event {
        case .nodesListed(let listed): nodesListed(listed)
        case .nodeSeen(let node): nodeSeen(node)
        case .nodeGone(let name, let uid): nodeGone(name, uid)
        case .podsRead(let node, let pods): podsRead(node, pods)
        case .podsUnread(let node): podsUnread(node)
        case .podSeen(let pod): podSeen(pod)
        case .podGone(let uid): podGone(uid)
        case .delivered(let id, let outcome): delivered(id, outcome)
        case .gateSet(let uid, let isOpen): gateSet(uid, isOpen)
        case .answered(let removal, let podUID, let word, let source, let isAuthentic, let ticket, let id):
            answered(
                GivenAnswer(
                    removal: removal, podUID: podUID, word: word, source: source, isAuthentic: isAuthentic,
                    ticket: ticket, id: id))
        case .answerRecorded(let podUID, let isWritten): answerRecorded(podUID, isWritten)
        case .removalHeard(let progress, let phase): emit(webhooks.eventHeard(progress, phase, at: now))
        case .webhookSent(let message, let outcome): emit(webhooks.sent(message, outcome, at: now))
        case .tick: break
        }
        emit(webhooks.due(at: now))
        for key in timers.due(at: now) {
            switch key {
            case .node(let name): nodeIsDue(name)
            case .delivery(let id): attempt(id)
            case .reading(let name): if cooldowns[name] == nil { emit(.readPods(node: name)) }
            case .answer(let uid): recordAgain(uid)
            case .gate(let uid): openAgain(uid)
            case .departed(let name): departed[name] = nil
            }
        }
        return actions
    }

    /// When to call `handle(.tick, …)` next, if nothing else happens before.
    public mutating func nextWake() -> Timestamp? {
        let others = webhooks.nextWake()
        guard let own = timers.next else { return others }
        return others.map { min(own, $0) } ?? own
    }

    mutating func emit(_ action: NotifierAction) {
        actions.append(action)
    }

    mutating func emit(_ wanted: [WebhookCore.Action]) {
        for action in wanted {
            switch action {
            case .send(let message, let attempt): emit(.sendWebhook(message, attempt: attempt))
            case .givenUp(let message, let why): emit(.webhookFailed(message, why))
            }
        }
    }

    mutating func drop(_ uid: String) {
        settleUnwritten(uid)
        guard let notice = notices.removeValue(forKey: uid) else { return }
        timers.cancel(.answer(podUID: uid))
        for channel in notice.deliveries.keys {
            timers.cancel(.delivery(DeliveryID(podUID: uid, channel: channel, generation: notice.generation)))
        }
    }

    // MARK: Pods

    mutating func read(_ name: String) {
        guard cooldowns[name]?.isReading == false else { return }
        cooldowns[name]?.isReading = true
        cooldowns[name]?.readingSince = now
        emit(.readPods(node: name))
    }

    private mutating func podsRead(_ name: String, _ pods: [NodePod]) {
        guard var cooldown = cooldowns[name] else {
            // Read because a removal is over: who was told of it is told to stay.
            timers.cancel(.reading(name))
            stays(name, pods)
            for pod in pods { podSeen(pod) }
            return
        }
        cooldown.isReading = false
        cooldown.podsAreKnown = true
        cooldown.readAt = cooldown.readingSince
        cooldowns[name] = cooldown
        let present = Set(pods.map(\.uid))
        for uid in cooldown.pods.sorted() where !present.contains(uid) { podGone(uid) }
        for pod in pods {
            see(pod, on: name)
            recordIfMissing(pod)
        }
        hearHeld(cooldown.record.id)
        look(name)
    }

    private mutating func podsUnread(_ name: String) {
        guard cooldowns[name] != nil else { return timers.set(.reading(name), at: now + policy.repetition) }
        cooldowns[name]?.isReading = false
        timers.setEarlier(.node(name), at: now + policy.firstRetry)
    }

    mutating func podSeen(_ pod: NodePod) {
        guard nodesAreKnown else {
            early[pod.uid] = pod
            return
        }
        let record = nodes[pod.node]?.record
        if cooldowns[pod.node]?.podsAreKnown == true {
            see(pod, on: pod.node)
            return look(pod.node)
        }
        // Its machine may be gone as well, and then nothing is there that could stay.
        if notices[pod.uid]?.withdrawn == true || departed[pod.node] != nil { return }
        if let removal = pod.annotations[RemovalNames.podRemoval] {
            // Told of a removal that is over: its notice was left standing by a process that died.
            if record?.id != removal || record?.phase.isUnderNotice == false { withdraw(pod, removal, record) }
        } else if record?.phase.isUnderNotice != true, pod.gate == .unset || pod.gate == .notServing,
            pod.deletedAt == nil, opening.updateValue(pod, forKey: pod.uid) == nil
        {
            // Somebody has to say that a pod with the gate serves, or it would never become ready.
            emit(.openGate(pod))
        }
    }

    private mutating func gateSet(_ uid: String, _ isOpen: Bool) {
        guard opening[uid] != nil else { return }
        if isOpen {
            opening[uid] = nil
        } else {
            // Nothing else may happen to the pod before somebody says that it serves.
            timers.set(.gate(podUID: uid), at: now + policy.retryCap)
        }
    }

    private mutating func openAgain(_ uid: String) {
        guard let pod = opening[uid] else { return }
        guard nodes[pod.node]?.record?.phase.isUnderNotice != true else {
            opening[uid] = nil
            return
        }
        emit(.openGate(pod))
    }

    /// A pod of a node whose cooldown or drain runs.
    private mutating func see(_ pod: NodePod, on name: String) {
        guard let cooldown = cooldowns[name] else { return }
        if var notice = notices[pod.uid], !notice.withdrawn {
            notice.pod = pod
            if pod.deletedAt != nil { notice.isSettled = true }
            notices[pod.uid] = notice
            hearAnnotation(pod, cooldown)
        } else if policy.isConcerned(pod), pod.deletedAt == nil, isToBeTold(pod, cooldown) {
            tell(pod, name, cooldown)
        }
    }

    private mutating func podGone(_ uid: String) {
        early[uid] = nil
        opening[uid] = nil
        guard let notice = notices[uid] else { return }
        if notice.withdrawn { return drop(uid) }
        if cooldowns[notice.node]?.stage == .draining {
            cooldowns[notice.node]?.pods.remove(uid)
            return drop(uid)
        }
        notices[uid]?.isSettled = true
        settleUnwritten(uid)
        giveUp(uid)
        look(notice.node)
    }

    /// Whatever has not arrived at a pod that is gone never will.
    mutating func giveUp(_ uid: String) {
        guard let notice = notices[uid] else { return }
        for (channel, delivery) in notice.deliveries where !delivery.isFinal {
            timers.cancel(.delivery(DeliveryID(podUID: uid, channel: channel, generation: notice.generation)))
            notices[uid]?.deliveries[channel] = PodNotice.Delivery(
                state: .givenUp("the pod is gone"), attempts: max(1, delivery.attempts))
        }
    }
}
