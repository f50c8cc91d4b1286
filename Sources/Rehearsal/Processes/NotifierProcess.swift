import Messages
import Notifier
import Support

/// The Notifier's core with a shell of the model: as `NotifierEngine`.
final class NotifierProcess: Process {
    private var core: NotifierCore?
    private var outbox: Outbox?
    private var tickets: [Int: (MessageQueue.Settlement) -> Void] = [:]
    private var nextTicket = 0
    /// Writes that wait for their turn, by pod.
    private var lanes: [String: [(_ done: @escaping () -> Void) -> Void]] = [:]

    override var isLeased: Bool { true }

    override func begin() {
        outbox = Outbox(self)
        var policy = world.scenario.notifier
        // Tells each pod a deadline that is over.
        if world.options.sabotage == .hurriesPods { policy.pods.terms.cooldown = .zero }
        core = NotifierCore(policy: policy)
        world.watch(self) { [unowned self] in hear($0) }
        let answers = world.queue("notifier.answers", [.answers])
        world.subscribe(self, answers) { [unowned self] event, settle in
            switch event {
            case .podShutdownDone(let event): answered(event.answer, .done, settle)
            case .podShutdownExtend(let event): answered(event.answer, .extend(.seconds(event.seconds)), settle)
            case .podShutdownRefuse(let event): answered(event.answer, .refuse, settle)
            default: settle(.done)
            }
        }
    }

    override func dropState() {
        core = nil
        outbox = nil
        tickets = [:]
        lanes = [:]
    }

    private func hear(_ news: Watch.News) {
        switch news {
        case .all(let nodes, let pods):
            // Two watches in one: nodes first, then each pod that matters.
            handle(.nodesListed(nodes.map(\.notified)))
            for pod in pods where isUp { seen(pod) }
        case .change(.node(let node)): handle(.nodeSeen(node.notified))
        case .change(.nodeGone(let node)): handle(.nodeGone(name: node.name, uid: node.uid))
        case .change(.pod(let pod)): seen(pod)
        case .change(.podGone(let pod)): handle(.podGone(uid: pod.uid))
        case .change, .cut: break
        }
    }

    /// The door passes on pods with the gate, pods under notice and pods of nodes under removal only.
    private func seen(_ pod: ClusterState.Pod) {
        let node = pod.node.flatMap { world.cluster.node($0) }.map { world.cluster.nodes[$0] }
        guard
            pod.gate != .absent || pod.annotations[RemovalNames.podRemoval] != nil
                || node?.record?.phase.isOver == false
        else { return }
        handle(.podSeen(world.nodePod(pod)))
    }

    private func answered(
        _ answer: Answer, _ word: AnswerWord, _ settle: @escaping (MessageQueue.Settlement) -> Void
    ) {
        nextTicket += 1
        tickets[nextTicket] = settle
        handle(
            .answered(
                removal: answer.removal, podUID: answer.podUID, word, .bus, isAuthentic: true, ticket: nextTicket))
    }

    override func alarmRang() { handle(.tick) }

    private func handle(_ event: NotifierEvent) {
        guard let actions = core?.handle(event, at: world.now) else { return }
        carryOutCounted(actions) { act($0) }
        guard isUp else { return }
        setAlarm(core?.nextWake())
    }

    private func act(_ action: NotifierAction) {
        let world = world
        switch action {
        case .publish(.removalCancelled) where world.options.sabotage == .forgetsRefusals: break
        case .publish(let event): outbox?.publish(event)
        case .verdict(let ticket, _, _): tickets.removeValue(forKey: ticket)?(.done)
        case .heard(let source, let verdict, let pod):
            world.say(name, "\(pod) answered by \(source.rawValue): \(verdict.rawValue)")
        case .note(let subject, let explanation, _):
            world.say(name, "\(subject): \(explanation.reason.rawValue), \(explanation.detail)")
        case .nodeEvent: break
        case .readPods(let node):
            world.call(self, .kubernetes) { () -> [NodePod]? in
                world.nodePods(on: node)
            } failed: { _ in
                nil
            } then: { [unowned self] pods in
                if let pods { handle(.podsRead(node: node, pods)) } else { handle(.podsUnread(node: node)) }
            }
        case .deliver(let id, let notice, let attempt): deliver(id, notice, attempt)
        case .recordNotice(var notice):
            if world.options.sabotage == .forgetsRefusals { notice.answer = nil }
            inTurn(notice.pod.uid) { [unowned self] done in
                world.call(self, .kubernetes) {
                    world.annotate(notice.pod.uid, [(RemovalNames.podNotice, notice.record)])
                } failed: { _ in
                } then: { _ in
                    done()
                }
            }
        case .openGate(let pod):
            inTurn(pod.uid) { [unowned self] done in
                world.call(self, .kubernetes) {
                    world.openGate(pod.uid)
                } failed: { _ in
                    false
                } then: { [unowned self] in
                    done()
                    handle(.gateSet(podUID: pod.uid, $0))
                }
            }
        case .recordAnswer(let notice, let word): recordAnswer(notice, word)
        // No webhook is configured, and nobody looks at metrics.
        case .countdown, .webhookFailed: break
        case .sendWebhook(let message, _): handle(.webhookSent(message, .taken))
        }
    }

    private func recordAnswer(_ notice: Notice, _ word: AnswerWord) {
        let world = world
        var written = notice
        if world.options.sabotage == .forgetsRefusals { written.answer = nil }
        let annotations = [
            (RemovalNames.podAnswer, word.text), (RemovalNames.podDeadline, notice.deadline.rfc3339),
            (RemovalNames.podNotice, written.record),
        ]
        inTurn(notice.pod.uid) { [unowned self] done in
            world.call(self, .kubernetes) {
                world.annotate(notice.pod.uid, annotations)
                world.audit(promised: notice)
                if word == .refuse { world.audit(refused: notice) }
                return true
            } failed: { _ in
                false
            } then: { [unowned self] in
                done()
                handle(.answerRecorded(podUID: notice.pod.uid, $0))
            }
        }
    }

    /// What is written to one pod is written in turn.
    private func inTurn(_ pod: String, _ act: @escaping (_ done: @escaping () -> Void) -> Void) {
        lanes[pod, default: []].append(act)
        if lanes[pod]?.count == 1 { next(pod) }
    }

    private func next(_ pod: String) {
        guard let act = lanes[pod]?.first else { return lanes[pod] = nil }
        act { [unowned self] in
            lanes[pod]?.removeFirst()
            next(pod)
        }
    }

    private func deliver(_ id: DeliveryID, _ notice: Notice, _ attempt: Int) {
        let world = world
        let triedAt = world.now
        world.audit(attempted: notice, by: id.channel)
        world.say(
            name, "tells \(notice.pod.name) by \(id.channel.rawValue): \(notice.withdrawn ? "stay" : "go")")
        let then: (DeliveryOutcome) -> Void = { [unowned self] in
            if case .delivered(.done?) = $0 { world.audit(answered: id.podUID, notice.removal) }
            handle(.delivered(id, $0))
        }
        switch id.channel {
        case .bus:
            let message = PodShutdown(notice, cluster: Scenario.cluster, token: "token", answerURL: nil)
            world.publish(.podShutdown(message), from: self) { _ in
                _ = world.deliver(notice, by: .bus, triedAt: triedAt)
                then(.delivered(answer: nil))
            }
        case .hook:
            // A hook that does not answer takes its whole time.
            let takes = world.random.pause(5...300)
            let life = life
            world.after(takes) {
                let outcome = world.deliver(notice, by: .hook, triedAt: triedAt)
                let isSilent = outcome == .failed("the hook did not answer: timeout", isRetriable: true)
                world.after(isSilent ? .seconds(3) : .milliseconds(20)) { if self.life == life { then(outcome) } }
            }
        case .annotation, .gate, .event:
            inTurn(id.podUID) { [unowned self] done in
                world.call(self, .kubernetes) {
                    world.deliver(notice, by: id.channel, triedAt: triedAt)
                } failed: { _ in
                    .failed("the API server did not answer", isRetriable: true)
                } then: {
                    done()
                    then($0)
                }
            }
        }
    }
}

extension ClusterState.Node {
    var notified: NotifiedNode {
        NotifiedNode(name: name, uid: uid, record: record?.nodeUID == uid ? record : nil)
    }
}
