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
    }

    /// The configuration.
    public let policy: NotifierPolicy

    var now = Timestamp(seconds: 0)
    var actions: [NotifierAction] = []
    var timers = TimerQueue<TimerKey>()

    /// Records of all nodes that have one, by name.
    var nodes: [String: NotifiedNode] = [:]
    var nodesAreKnown = false
    /// Cooldowns by node name.
    var cooldowns: [String: Cooldown] = [:]
    /// Notices by pod UID.
    var notices: [String: PodNotice] = [:]
    /// Pods seen before the nodes were known.
    var early: [String: NodePod] = [:]
    /// Gates that are being opened.
    var opening: Set<String> = []
    var generations = 0

    /// A core that knows nothing yet.
    public init(policy: NotifierPolicy) {
        self.policy = policy
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
        case .podsUnread(let node):
            cooldowns[node]?.isReading = false
            timers.setEarlier(.node(node), at: now + policy.firstRetry)
        case .podSeen(let pod): podSeen(pod)
        case .podGone(let uid): podGone(uid)
        case .delivered(let id, let outcome): delivered(id, outcome)
        case .gateSet(let uid, _): opening.remove(uid)
        case .answered(let removal, let podUID, let word, let source, let isAuthentic, let ticket):
            answered(removal, podUID, word, source, isAuthentic: isAuthentic, ticket)
        case .answerRecorded(let ticket):
            if let ticket { emit(.verdict(ticket: ticket, .accepted)) }
        case .tick: break
        }
        for key in timers.due(at: now) {
            switch key {
            case .node(let name): nodeIsDue(name)
            case .delivery(let id): attempt(id)
            }
        }
        return actions
    }

    /// When to call `handle(.tick, …)` next, if nothing else happens before.
    public mutating func nextWake() -> Timestamp? { timers.next }

    /// Nodes whose cooldown runs, and when each ends: for metrics and `updraft status`.
    public var countdowns: [String: Timestamp] {
        cooldowns.filter { $0.value.stage != .over }.compactMapValues { end(of: $0) }
    }

    mutating func emit(_ action: NotifierAction) {
        actions.append(action)
    }

    // MARK: Nodes

    private mutating func nodesListed(_ listed: [NotifiedNode]) {
        nodesAreKnown = true
        let names = Set(listed.map(\.name))
        for (name, node) in nodes.sorted(by: { $0.key < $1.key }) where !names.contains(name) {
            nodeGone(name, node.uid)
        }
        for node in listed { nodeSeen(node) }
        let waiting = early.values.sorted { $0.uid < $1.uid }
        early = [:]
        for pod in waiting { podSeen(pod) }
    }

    private mutating func nodeSeen(_ node: NotifiedNode) {
        let before = nodes[node.name]?.record
        nodes[node.name] = node.record == nil ? nil : node
        guard let record = node.record else {
            // The record was taken away: whatever it was, the pods may stay.
            if let before, before.phase.isUnderNotice { withdraw(node, before) }
            return
        }
        if let before, before.id != record.id, before.phase.isUnderNotice { withdraw(node, before) }
        switch record.phase {
        case .cordoned, .noticed:
            if cooldowns[node.name] == nil { begin(node.name, node.uid, record) }
            cooldowns[node.name]?.record = record
        case .quiesced, .drained, .removing, .removed:
            finish(node.name)
        case .cancelled, .failed:
            // Once for each removal: also when it was over before this process saw it.
            if before?.id != record.id || before?.phase.isUnderNotice == true { withdraw(node, record) }
        }
    }

    private mutating func nodeGone(_ name: String, _ uid: String) {
        if let node = nodes[name], node.uid != uid { return }
        nodes[name] = nil
        finish(name)
    }

    private mutating func begin(_ name: String, _ uid: String, _ record: RemovalRecord) {
        cooldowns[name] = Cooldown(record: record, nodeUID: uid)
        read(name)
    }

    /// The Actuator goes on, or the node is gone: nothing more is awaited.
    private mutating func finish(_ name: String) {
        guard let cooldown = cooldowns.removeValue(forKey: name) else { return }
        timers.cancel(.node(name))
        for uid in cooldown.pods { drop(uid) }
    }

    mutating func drop(_ uid: String) {
        guard let notice = notices.removeValue(forKey: uid) else { return }
        for channel in notice.deliveries.keys {
            timers.cancel(.delivery(DeliveryID(podUID: uid, channel: channel, generation: notice.generation)))
        }
    }

    // MARK: Pods

    mutating func read(_ name: String) {
        guard cooldowns[name]?.isReading == false else { return }
        cooldowns[name]?.isReading = true
        emit(.readPods(node: name))
    }

    private mutating func podsRead(_ name: String, _ pods: [NodePod]) {
        guard var cooldown = cooldowns[name] else {
            // Read because a removal is over: who was told of it is told to stay.
            for pod in pods { podSeen(pod) }
            return
        }
        cooldown.isReading = false
        cooldown.podsAreKnown = true
        cooldowns[name] = cooldown
        let present = Set(pods.map(\.uid))
        for uid in cooldown.pods.sorted() where !present.contains(uid) { podGone(uid) }
        for pod in pods { see(pod, on: name) }
        look(name)
    }

    private mutating func podSeen(_ pod: NodePod) {
        guard nodesAreKnown else {
            early[pod.uid] = pod
            return
        }
        let record = nodes[pod.node]?.record
        if cooldowns[pod.node]?.podsAreKnown == true {
            see(pod, on: pod.node)
            return look(pod.node)
        }
        if notices[pod.uid]?.withdrawn == true { return }
        if let removal = pod.annotations[RemovalNames.podRemoval] {
            // Told of a removal that is over: its notice was left standing by a process that died.
            if record?.id != removal || record?.phase.isUnderNotice == false { withdraw(pod, removal, record) }
        } else if record?.phase.isUnderNotice != true, pod.gate == .unset || pod.gate == .notServing,
            pod.deletedAt == nil, opening.insert(pod.uid).inserted
        {
            // Somebody has to say that a pod with the gate serves, or it would never become ready.
            emit(.openGate(pod))
        }
    }

    /// A pod of a node whose cooldown runs.
    private mutating func see(_ pod: NodePod, on name: String) {
        guard let cooldown = cooldowns[name] else { return }
        if var notice = notices[pod.uid], !notice.withdrawn {
            notice.pod = pod
            if pod.deletedAt != nil { notice.isSettled = true }
            notices[pod.uid] = notice
            hearAnnotation(pod, cooldown)
        } else if pod.isMoved, pod.deletedAt == nil, cooldown.stage != .over {
            tell(pod, name, cooldown)
        }
    }

    private mutating func podGone(_ uid: String) {
        early[uid] = nil
        opening.remove(uid)
        guard let notice = notices[uid] else { return }
        if notice.withdrawn { return drop(uid) }
        notices[uid]?.isSettled = true
        for channel in notice.deliveries.keys where notice.deliveries[channel]?.state != .delivered {
            notices[uid]?.deliveries[channel] = PodNotice.Delivery(
                state: .givenUp("the pod is gone"), attempts: 1)
        }
        look(notice.node)
    }

    private mutating func hearAnnotation(_ pod: NodePod, _ cooldown: Cooldown) {
        guard pod.annotations[RemovalNames.podRemoval] == cooldown.record.id,
            let text = pod.annotations[RemovalNames.podAnswer], let word = AnswerWord(text),
            notices[pod.uid]?.answer?.text != word.text
        else { return }
        answered(cooldown.record.id, pod.uid, word, .annotation, isAuthentic: true, nil)
    }
}
