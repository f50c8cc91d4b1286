import Messages
import ServiceRuntime
import Support

/// Carries out what the core says: one loop owns the core, each delivery runs beside it and comes back as an event.
///
/// One engine is one turn of this replica: it does nothing and publishes nothing without its lease, and whoever acts
/// next begins with a new core.
final class NotifierEngine: Sendable {
    private let pods: any PodTelling
    private let warm: WarmCluster
    private let lease: Lease
    private let observer: NotifierObserver
    private let tokens: AnswerTokens
    private let answerURL: @Sendable (_ removal: String, _ podUID: String) -> String?
    private let policy: NotifierPolicy
    private let input: AsyncStream<NotifierEvent>.Continuation
    private let events: AsyncStream<NotifierEvent>
    private let outbox: AsyncStream<Event>
    private let outboxInput: AsyncStream<Event>.Continuation
    private let tickets = Lock(Tickets())

    private struct Tickets {
        var next = 0
        var waiting: [Int: CheckedContinuation<AnswerVerdict?, Never>] = [:]
        var isClosed = false
    }

    /// An engine; `run` starts it.
    /// - Parameter answerURL: where a pod may POST its answer; nil when nowhere.
    init(
        policy: NotifierPolicy, pods: any PodTelling, warm: WarmCluster, lease: Lease, observer: NotifierObserver,
        tokens: AnswerTokens, answerURL: @escaping @Sendable (_ removal: String, _ podUID: String) -> String?
    ) {
        self.policy = policy
        self.pods = pods
        self.warm = warm
        self.lease = lease
        self.observer = observer
        self.tokens = tokens
        self.answerURL = answerURL
        (events, input) = AsyncStream.makeStream()
        (outbox, outboxInput) = AsyncStream.makeStream()
    }

    /// Hears an answer and returns what it did, once that is written to the pod. Nil: this replica's turn ends.
    func answer(
        removal: String, podUID: String, _ word: AnswerWord, token: String, _ source: AnswerSource
    ) async -> AnswerVerdict? {
        let isAuthentic = tokens.isValid(token, removal: removal, podUID: podUID)
        let ticket = tickets.withLock { tickets -> Int in
            tickets.next += 1
            return tickets.next
        }
        return await withCheckedContinuation { continuation in
            let isClosed = tickets.withLock { tickets -> Bool in
                if !tickets.isClosed { tickets.waiting[ticket] = continuation }
                return tickets.isClosed
            }
            if isClosed {
                continuation.resume(returning: nil)
            } else {
                input.yield(
                    .answered(
                        removal: removal, podUID: podUID, word, source, isAuthentic: isAuthentic, ticket: ticket))
            }
        }
    }

    private func settle(_ ticket: Int, _ verdict: AnswerVerdict) {
        let verdict = lease.isHeld ? verdict : nil
        tickets.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume(returning: verdict)
    }

    /// Runs until the task is cancelled; then what was said still leaves, within the broker's patience.
    func run(publish: @escaping @Sendable (Event) async -> Bool) async {
        await withTaskGroup { group in
            group.addTask { [outbox, observer] in
                for await event in outbox where self.lease.isHeld {
                    observer.published(event)
                    _ = await publish(event)
                }
            }
            group.addTask {
                await self.loop(publish)
                let waiting = self.tickets.withLock { tickets -> [CheckedContinuation<AnswerVerdict?, Never>] in
                    tickets.isClosed = true
                    defer { tickets.waiting = [:] }
                    return Array(tickets.waiting.values)
                }
                for continuation in waiting { continuation.resume(returning: nil) }
                self.outboxInput.finish()
            }
        }
    }

    private func loop(_ publish: @escaping @Sendable (Event) async -> Bool) async {
        await withDiscardingTaskGroup { acts in
            listen()
            var core = NotifierCore(policy: policy)
            var alarm = Alarm { [input] in input.yield(.tick) }
            for await event in events {
                for action in core.handle(event, at: .now()) { carryOut(action, publish, &acts) }
                alarm.set(core.nextWake())
                observer.cooldowns(core.countdowns)
            }
            alarm.cancel()
            acts.cancelAll()
        }
    }

    /// All that is known already, then what changes.
    private func listen() {
        warm.nodes.listen { [input] change in
            switch change {
            case .all(let nodes): input.yield(.nodesListed(nodes))
            case .seen(let node): input.yield(.nodeSeen(node))
            case .gone(let node): input.yield(.nodeGone(name: node.name, uid: node.uid))
            }
        }
        warm.pods.listen { [input] change in
            switch change {
            case .all(let pods): for pod in pods { input.yield(.podSeen(pod)) }
            case .seen(let pod): input.yield(.podSeen(pod))
            case .gone(let pod): input.yield(.podGone(uid: pod.uid))
            }
        }
    }

    /// Beside the loop, if this replica may still act.
    private func act(_ acts: inout DiscardingTaskGroup, _ body: @escaping @Sendable () async -> Void) {
        acts.addTask { [lease] in
            guard lease.isHeld else { return }
            await body()
        }
    }

    private func carryOut(
        _ action: NotifierAction, _ publish: @escaping @Sendable (Event) async -> Bool,
        _ acts: inout DiscardingTaskGroup
    ) {
        switch action {
        case .publish(let event): outboxInput.yield(event)
        case .verdict(let ticket, let verdict): settle(ticket, verdict)
        case .heard(let source, let verdict, let pod): observer.heard(source, verdict, pod)
        case .note(let subject, let explanation, let isLoud): observer.note(subject, explanation, isLoud: isLoud)
        case .readPods(let node):
            act(&acts) { [pods, input] in
                if let read = await pods.pods(on: node) {
                    input.yield(.podsRead(node: node, read))
                } else {
                    input.yield(.podsUnread(node: node))
                }
            }
        case .deliver(let id, let notice, let attempt):
            act(&acts) {
                let outcome = await self.deliver(id, notice, publish)
                self.observer.delivered(id.channel, outcome, notice, attempt)
                self.input.yield(.delivered(id, outcome))
            }
        case .recordNotice(let notice): act(&acts) { [pods] in await pods.record(notice) }
        case .openGate(let pod):
            act(&acts) { [pods, input] in
                input.yield(.gateSet(podUID: pod.uid, await pods.openGate(pod)))
            }
        case .recordAnswer(let pod, let word, let deadline, let ticket):
            act(&acts) { [pods, input] in
                await pods.recordAnswer(pod, word, deadline: deadline)
                input.yield(.answerRecorded(ticket: ticket))
            }
        case .nodeEvent(let node, _, let explanation):
            act(&acts) { [pods] in await pods.nodeEvent(node, explanation) }
        }
    }

    private func deliver(
        _ id: DeliveryID, _ notice: Notice, _ publish: @Sendable (Event) async -> Bool
    ) async -> DeliveryOutcome {
        let token = tokens.token(removal: notice.removal, podUID: notice.pod.uid)
        let url = answerURL(notice.removal, notice.pod.uid)
        guard id.channel == .bus else {
            return await pods.deliver(notice, by: id.channel, token: token, answerURL: url)
        }
        let message = PodShutdown(notice, cluster: policy.cluster, token: token, answerURL: url)
        return await publish(.podShutdown(message))
            ? .delivered(answer: nil) : .failed("the bus did not take it", isRetriable: true)
    }
}
