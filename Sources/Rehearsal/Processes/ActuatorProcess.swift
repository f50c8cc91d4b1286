import Actuator
import Messages
import Support

/// The Actuator's core with a shell of the model: as `ActuatorEngine`, with calls that go to the models.
final class ActuatorProcess: Process {
    private var core: ActuatorCore?
    private var outbox: Outbox?
    private var states: Outbox?
    private var tickets: [Int: (MessageQueue.Settlement) -> Void] = [:]
    private var nextTicket = 0
    /// When the last reading of each group began.
    private var readAt: [Int: Timestamp] = [:]

    override var isLeased: Bool { true }

    override func begin() {
        outbox = Outbox(self)
        states = Outbox(self)
        core = ActuatorCore(policy: world.scenario.actuator)
        handle(.tick)
        guard isUp else { return }
        let decisions = world.queue("actuator.decisions", [.decisions])
        world.subscribe(self, decisions) { [unowned self] event, settle in take(event, settle) }
        let lifecycle = world.queue("actuator.lifecycle", [.lifecycle])
        world.subscribe(self, lifecycle) { [unowned self] event, settle in
            switch event {
            case .removalNoticed(let event): handle(.removalNoticed(event.removal))
            case .removalQuiesced(let event): handle(.removalQuiesced(event.removal))
            default: break
            }
            settle(.done)
        }
        world.watch(self) { [unowned self] news in
            switch news {
            case .all(let nodes, _): handle(.nodesListed(nodes.map(\.view)))
            case .change(.node(let node)): handle(.nodeSeen(node.view))
            case .change(.nodeGone(let node)): handle(.nodeGone(name: node.name, uid: node.uid))
            case .change, .cut: break
            }
        }
    }

    override func dropState() {
        core = nil
        outbox = nil
        states = nil
        tickets = [:]
        readAt = [:]
    }

    private func take(_ event: Event, _ settle: @escaping (MessageQueue.Settlement) -> Void) {
        if world.options.sabotage == .forgetsDecisions { return settle(.done) }
        nextTicket += 1
        let ticket = nextTicket
        tickets[ticket] = { [world] settlement in
            if case .removalCancelled(let cancel) = event, settlement == .done { world.audit(acknowledged: cancel) }
            settle(settlement)
        }
        if world.options.sabotage == .ignoresCancellations, case .removalCancelled = event {
            tickets.removeValue(forKey: ticket)?(.done)
            return
        }
        switch event {
        case .scaleDecided(let decision): handle(.scaleDecided(decision, ticket: ticket))
        case .removalDecided(let decision): handle(.removalDecided(decision, ticket: ticket))
        case .removalCancelled(let decision): handle(.removalCancelled(decision, ticket: ticket))
        case .podsDecided(let decision): handle(.podsDecided(decision, ticket: ticket))
        default:
            tickets[ticket] = nil
            settle(.done)
        }
    }

    override func alarmRang() { handle(.tick) }

    /// Heat says on its own exchange that it begins to delete a stack. Nobody keeps that for a process that is not there.
    func hear(stackLeaving id: String) {
        let life = life
        guard isConnected else { return }
        world.after(world.random.pause(2...60)) { if self.life == life { self.handle(.stackLeaving(stackID: id)) } }
    }

    private func handle(_ event: ActuatorEvent) {
        guard let actions = core?.handle(event, at: world.now) else { return }
        carryOutCounted(actions) { act($0) }
        guard isUp else { return }
        setAlarm(core?.nextWake())
    }

    private func act(_ action: ActuatorAction) {
        switch action {
        case .note(let note):
            world.say(name, "\(note.subject): \(note.explanation.reason.rawValue), \(note.explanation.detail)")
        case .condition(let what, let why):
            world.say(name, "condition \(what): \(why.map { $0.reason.rawValue } ?? "well")")
            if what.hasPrefix("incident/"), why != nil { world.audit.incidents += 1 }
        case .publish(let event):
            if event.type.topic.isPerishable { states?.publish(event) } else { outbox?.publish(event) }
        case .settle(let ticket, let settlement):
            outbox?.then { [unowned self] in
                tickets.removeValue(forKey: ticket)?(settlement == .done ? .done : .retryLater(.seconds(1)))
            }
        case .deleteNode(let node, let uid):
            outbox?.then { [unowned self] in deleteNode(node, uid) }
        case .editNode(let edit) where edit.kind == .release:
            outbox?.then { [unowned self] in request(action) }
        default: request(action)
        }
    }

    private func deleteNode(_ node: String, _ uid: String) {
        let failure = ActFailure(.kubernetesUnreachable, "the node could not be deleted", isRetriable: true)
        world.call(self, .kubernetes) { [world] in
            world.releaseNode(node, uid: uid)
        } failed: { _ in
            failure
        } then: { [unowned self] refused in
            if let refused { return handle(.nodeDeleted(node: node, refused)) }
            world.call(self, .kubernetes) { [world] in
                world.deleteNode(node, uid: uid)
            } failed: { _ in
                failure
            } then: { [unowned self] in
                handle(.nodeDeleted(node: node, $0))
            }
        }
    }

    /// Rules that are broken on purpose as soon as a node is to be cordoned.
    private func sabotage(_ node: String, _ uid: String) {
        switch world.options.sabotage {
        case .evictsUntold: for pod in world.nodePods(on: node).prefix(1) { _ = world.evict(pod, grace: nil) }
        case .deletesNodeEarly: _ = world.deleteNode(node, uid: uid)
        default: break
        }
    }

    private func request(_ action: ActuatorAction) {
        let world = world
        switch action {
        case .readGroup(let id, _):
            let begunAt = world.now
            let group = Scenario.number(of: id)
            ask(.heat, { world.heatReading(group, begunAt: begunAt) }) { [unowned self] result in
                switch result {
                case .success(let reading):
                    readAt[group] = begunAt
                    world.heat.readAt[group] = begunAt
                    return .groupRead(group: id, reading)
                case .failure(let failure): return .groupUnread(group: id, failure)
                }
            }
        case .resize(let id, let size, let keeping):
            let group = Scenario.number(of: id)
            world.say(name, "asks for size \(size) of \(id)")
            let sent = world.options.sabotage == .exceedsMaximum ? world.scenario.maximum + 1 : size
            let others = Dictionary(
                keeping.map { (Scenario.number(of: $0.key), $0.value) }, uniquingKeysWith: { first, _ in first })
            let known = World.Known(update: world.heat.seen, readAt: readAt)
            ask(.heat) {
                world.patchStack(sent, of: group, keeping: others, by: .actuator, known: known, why: "as decided")
            } _: { result in
                .resized(group: id, result.failure)
            }
            if world.options.sabotage == .appliesTwice, sent < world.scenario.maximum {
                world.after(.seconds(30)) { _ = world.patchStack(sent + 1, of: group, by: .actuator, why: "once more") }
            }
        case .mark(let id, let member, let unhealthy, let why):
            let isSkipped = world.options.sabotage == .removesUnchosen
            ask(.heat, { isSkipped ? nil : world.markMember(member, unhealthy: unhealthy, why: why) }) { result in
                .marked(group: id, member: member, unhealthy: unhealthy, result.failure)
            }
            if isSkipped {
                let group = Scenario.number(of: id)
                _ = world.patchStack(world.heat.desired[group] - 1, of: group, by: .actuator, why: "without a mark")
            }
        case .clearHooks(let id, let members):
            ask(.heat, { world.clearHooks(members) }) { result in
                switch result {
                case .success: .holdsCleared(group: id, nil)
                case .failure(let failure): .holdsCleared(group: id, failure)
                }
            }
        case .refuseDeletion:
            // The hooks of this Heat cannot refuse.
            break
        case .checkServer(let server):
            ask(.heat, { world.fate(of: server) }) { result in
                switch result {
                case .success(let fate): .serverChecked(serverID: server, fate)
                case .failure(let failure): .serverChecked(serverID: server, .unknown(failure))
                }
            }
        case .editNode(let edit):
            world.editNode(edit, by: self) { [unowned self] in handle(.nodeEdited(node: edit.node, $0)) }
            if case .cordon = edit.kind { sabotage(edit.node, edit.uid) }
        case .checkNode(let node):
            ask(.kubernetes, { world.cluster.node(node).map { world.cluster.nodes[$0].view } }) { result in
                guard case .success(let view) = result else { return nil }
                return .nodeChecked(name: node, view)
            }
        case .readPods(let node):
            ask(.kubernetes) { () -> [NodePod] in
                world.audit.lookedAt[node] = world.now
                return world.nodePods(on: node)
            } _: { result in
                switch result {
                case .success(let pods): .podsRead(node: node, pods)
                case .failure(let failure): .podsUnread(node: node, failure)
                }
            }
        case .evict(let node, let pod, let grace):
            ask(.kubernetes, { world.evict(pod, grace: grace) }) { result in
                switch result {
                case .success(let outcome): .evicted(node: node, podUID: pod.uid, outcome)
                case .failure(let failure): .evicted(node: node, podUID: pod.uid, .failed(failure))
                }
            }
        case .deletePod(let node, let pod, let grace):
            ask(.kubernetes, { world.deleteForced(pod, grace: grace) }) { result in
                switch result {
                case .success(let outcome): .evicted(node: node, podUID: pod.uid, outcome)
                case .failure(let failure): .evicted(node: node, podUID: pod.uid, .failed(failure))
                }
            }
        case .readVolumes(let node):
            ask(.kubernetes, { world.attachedVolumes(node) }) { result in
                switch result {
                case .success(let names): .volumesRead(node: node, names)
                case .failure(let failure): .volumesUnread(node: node, failure)
                }
            }
        case .readServers(let id, let servers):
            ask(.heat, { world.servers(servers) }) { result in
                switch result {
                case .success(let words): .serversRead(group: id, words)
                case .failure: nil
                }
            }
        case .report: break
        case .readWorkload(let node, let pod):
            ask(.kubernetes, { world.workload(of: pod) }) { result in
                switch result {
                case .success(let view): .workloadRead(node: node, podUID: pod.uid, view)
                case .failure(let failure): .workloadUnread(node: node, podUID: pod.uid, failure)
                }
            }
        case .scaleWorkload(let decision):
            ask(.kubernetes, { world.scale(decision) }) { result in
                switch result {
                case .success(let outcome): .workloadScaled(decision, outcome)
                case .failure(let failure): .workloadScaled(decision, .failed(failure))
                }
            }
        case .publish, .settle, .deleteNode, .note, .condition: break
        }
    }

    /// A call, and the event that its outcome becomes.
    private func ask<Value>(
        _ service: World.Service, _ effect: @escaping () -> Value,
        _ event: @escaping (Result<Value, ActFailure>) -> ActuatorEvent?
    ) {
        world.call(self, service) { () -> Result<Value, ActFailure> in
            .success(effect())
        } failed: { failure in
            let reason: Reason = service == .heat ? .heatUnreachable : .kubernetesUnreachable
            return .failure(
                ActFailure(
                    reason, failure == .error ? "500" : "no answer", isRetriable: true, isUnanswered: failure != .error)
            )
        } then: { [unowned self] result in
            if let event = event(result) { handle(event) }
        }
    }
}

extension Result where Success == ActFailure?, Failure == ActFailure {
    /// What went wrong, on the way or there.
    var failure: ActFailure? {
        switch self {
        case .success(let failure): failure
        case .failure(let failure): failure
        }
    }
}
