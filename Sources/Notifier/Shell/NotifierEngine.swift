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
    private let webhooks: any WebhookSending
    private let deliverer: Deliverer
    private let input: AsyncStream<NotifierEvent>.Continuation
    private let events: AsyncStream<NotifierEvent>
    private let outbox = Outbox()
    private let tickets = Tickets<AnswerReceipt>()

    /// An engine; `run` starts it.
    /// - Parameters:
    ///   - webhooks: sends to the webhooks of the policy.
    ///   - parallelHooks: calls of hooks at once.
    ///   - answerURL: where a pod may POST its answer; nil when nowhere.
    init(
        policy: NotifierPolicy, pods: any PodTelling, warm: WarmCluster, lease: Lease, observer: NotifierObserver,
        tokens: AnswerTokens, webhooks: any WebhookSending, parallelHooks: Int,
        answerURL: @escaping @Sendable (_ removal: String, _ podUID: String) -> String?
    ) {
        self.policy = policy
        self.pods = pods
        self.warm = warm
        self.lease = lease
        self.observer = observer
        self.tokens = tokens
        self.answerURL = answerURL
        self.webhooks = webhooks
        deliverer = Deliverer(hooks: parallelHooks)
        (events, input) = AsyncStream.makeStream()
    }

    /// Hears an answer and returns what it did, once that is written to the pod. `id`: of the message that brought it. Nil: this replica's turn ends.
    func answer(
        removal: String, podUID: String, _ word: AnswerWord, token: String, _ source: AnswerSource, id: String? = nil
    ) async -> AnswerReceipt? {
        let isAuthentic = tokens.isValid(token, removal: removal, podUID: podUID)
        return await tickets.wait { ticket in
            input.yield(
                .answered(
                    removal: removal, podUID: podUID, word, source, isAuthentic: isAuthentic, ticket: ticket, id: id))
        }
    }

    /// Hears an event about a removal; false: this replica's turn ends, and whoever acts next is to hear it.
    func hear(_ event: Event) -> Bool {
        guard let step = RemovalStep(event) else { return true }
        guard lease.isHeld, !tickets.isClosed else { return false }
        input.yield(.removalHeard(step.progress, step.phase))
        return true
    }

    private func settle(_ ticket: Int, _ receipt: AnswerReceipt) {
        tickets.answer(ticket, lease.isHeld ? receipt : nil)
    }

    /// Runs until the task is cancelled; then what was said still leaves, within the broker's patience.
    func run(publish: @escaping @Sendable (Event) async -> Bool) async {
        await withTaskGroup { group in
            group.addTask { [outbox, observer] in
                await outbox.run { event in
                    guard self.lease.isHeld else { return false }
                    observer.published(event)
                    _ = await publish(event)
                    return true
                }
            }
            group.addTask {
                await self.loop(publish)
                self.tickets.close()
                self.outbox.finish()
            }
        }
    }

    private func loop(_ publish: @escaping @Sendable (Event) async -> Bool) async {
        await withDiscardingTaskGroup { acts in
            listen()
            acts.addTask { await self.deliverer.run() }
            var core = NotifierCore(policy: policy)
            var alarm = Alarm { [input] in input.yield(.tick) }
            for await event in events {
                for action in core.handle(event, at: .now()) { carryOut(action, publish) }
                alarm.set(core.nextWake())
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

    /// In its turn, if this replica may still act then.
    private func act(
        _ gateway: Deliverer.Gateway, lane: String, node: String, isFirst: Bool = true,
        _ body: @escaping @Sendable () async -> Void
    ) {
        deliverer.submit(gateway, lane: lane, node: node, isFirst: isFirst) { [lease] in
            guard lease.isHeld else { return }
            await body()
        }
    }

    private func carryOut(_ action: NotifierAction, _ publish: @escaping @Sendable (Event) async -> Bool) {
        switch action {
        case .publish(let event): outbox.publish(event)
        case .verdict(let ticket, let verdict, let deadline):
            settle(ticket, AnswerReceipt(verdict: verdict, deadline: deadline))
        case .heard(let source, let verdict, let pod): observer.heard(source, verdict, pod)
        case .note(let subject, let explanation, let isLoud): observer.note(subject, explanation, isLoud: isLoud)
        case .countdown(let node, let until): observer.countdown(node, until)
        case .readPods(let node):
            act(.api, lane: "node \(node)", node: node) { [pods, input] in
                if let read = await pods.pods(on: node) {
                    input.yield(.podsRead(node: node, read))
                } else {
                    input.yield(.podsUnread(node: node))
                }
            }
        case .deliver(let id, let notice, let attempt):
            let asked = Timestamp.now()
            act(id.channel.gateway, lane: id.podUID, node: notice.node, isFirst: attempt == 1) {
                let isTooLate = id.channel == .hook && notice.isTooLate(asked: asked, now: .now())
                let outcome = isTooLate ? .expired : await self.deliver(id, notice, publish)
                self.observer.delivered(id.channel, outcome, notice, attempt)
                self.input.yield(.delivered(id, outcome))
            }
        case .recordNotice(let notice):
            act(.api, lane: notice.pod.uid, node: notice.node) { [pods] in await pods.record(notice) }
        case .openGate(let pod):
            act(.api, lane: pod.uid, node: pod.node) { [pods, input] in
                input.yield(.gateSet(podUID: pod.uid, await pods.openGate(pod)))
            }
        case .recordAnswer(let notice, let word):
            act(.api, lane: notice.pod.uid, node: notice.node) { [pods, input] in
                let isWritten = await pods.recordAnswer(notice, word)
                input.yield(.answerRecorded(podUID: notice.pod.uid, isWritten))
            }
        case .sendWebhook(let message, let attempt):
            let lane = "\(message.webhook) \(message.node)"
            // In turn among the webhooks: one that hangs must not take all the places.
            act(.webhooks, lane: lane, node: message.webhook, isFirst: attempt == 1) {
                [webhooks, input, observer] in
                let outcome = await webhooks.send(message)
                observer.webhook(message, outcome, attempt)
                input.yield(.webhookSent(message, outcome))
            }
        case .webhookFailed(let message, let why):
            observer.webhookFailed(message, why)
        case .nodeEvent(let node, _, let explanation):
            act(.events, lane: "node \(node)", node: node) { [pods] in
                await pods.nodeEvent(node, explanation)
            }
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

extension NoticeChannel {
    /// What a delivery by this way goes through.
    fileprivate var gateway: Deliverer.Gateway {
        switch self {
        case .annotation, .gate: .api
        case .event: .events
        case .hook: .hooks
        case .bus: .bus
        }
    }
}
