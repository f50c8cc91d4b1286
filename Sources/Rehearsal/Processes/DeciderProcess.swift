import Decider
import Messages
import Support

/// The Decider's core with a shell of the model: as `DeciderRunner`.
final class DeciderProcess: Process {
    private var core: DeciderCore?
    private var isOpening = false
    private var waitingForCore: [() -> Void] = []
    private var outgoing: [[DeciderAction]] = []
    private var isSending = false
    private var dueAt: Timestamp?

    override var isLeased: Bool { true }

    override func begin() {
        world.subscribe(
            self,
            world.queue(
                "decider", [.state, .groups, .lifecycle, .stats], maximumLength: 200, ttl: .seconds(600))
        ) { [unowned self] event, settle in
            open {
                self.receive(event)
                settle(.done)
            }
        }
        send([
            .requestSnapshot(
                SnapshotRequested(cluster: Scenario.cluster, requester: "decider \(name)", why: "the Decider started"))
        ])
        schedule(world.now + .seconds(5))
    }

    override func dropState() {
        core = nil
        isOpening = false
        waitingForCore = []
        outgoing = []
        isSending = false
        dueAt = nil
    }

    /// Takes up where the replica before left off, at the first message.
    private func open(_ then: @escaping () -> Void) {
        if core != nil { return then() }
        waitingForCore.append(then)
        guard !isOpening else { return }
        isOpening = true
        let life = life
        world.after(world.random.pause(2...20)) {
            guard self.life == life else { return }
            var core = DeciderCore(self.world.scenario.decider, term: "\(self.name).\(life)")
            if let saved = self.world.broker.checkpoint {
                do throws(DeciderError) {
                    try core.restore(saved)
                } catch {
                    self.world.violated(.decisionAppliedOnce, "the checkpoint cannot be read: \(error.text)")
                }
            }
            self.core = core
            let waiting = self.waitingForCore
            self.waitingForCore = []
            for act in waiting { act() }
        }
    }

    private func receive(_ event: Event) {
        let actions = core?.receive(event, at: world.now) ?? []
        if !actions.isEmpty { send(actions) }
        if core?.isDirty ?? false { schedule(world.now + .milliseconds(20)) }
    }

    // MARK: Time

    private func schedule(_ time: Timestamp) {
        if let dueAt, dueAt <= time { return }
        dueAt = time
        setAlarm(time)
    }

    override func alarmRang() {
        dueAt = nil
        guard let actions = core?.evaluate(at: world.now) else { return schedule(world.now + .seconds(5)) }
        send(actions)
        for action in actions {
            if case .setTimer(let time) = action { schedule(min(time, world.now + .seconds(10))) }
        }
    }

    // MARK: Out

    /// Batches leave in order; a decision only after the checkpoint that knows of it.
    private func send(_ actions: [DeciderAction]) {
        outgoing.append(actions)
        sendNext()
    }

    private func sendNext() {
        guard !isSending, !outgoing.isEmpty else { return }
        isSending = true
        deliver(outgoing.removeFirst()[...], isSaved: true)
    }

    private func deliver(_ actions: ArraySlice<DeciderAction>, isSaved: Bool) {
        guard let action = actions.first else {
            isSending = false
            return sendNext()
        }
        let rest = actions.dropFirst()
        if world.crashesLeft > 0, world.strikes(.crash) { return crash() }
        switch action {
        case .setTimer: deliver(rest, isSaved: isSaved)
        case .saveCheckpoint(let bytes):
            save(bytes) { [unowned self] isDone in
                if !isDone { core?.checkpointNotSaved() }
                deliver(rest, isSaved: isSaved && isDone)
            }
        case .requestSnapshot(let request):
            world.publish(.snapshotRequested(request), from: self) { [unowned self] _ in
                deliver(rest, isSaved: isSaved)
            }
        case .publish(.evaluation(let evaluation)):
            if !evaluation.decisions.isEmpty || world.options.keepsStory { world.say(name, evaluation.summary) }
            for entry in evaluation.nodes {
                world.say(name, "\(entry.node): \(entry.outcome.reason.rawValue), \(entry.outcome.detail)")
            }
            deliver(rest, isSaved: isSaved)
        case .publish(let event):
            guard isSaved else {
                if core?.retract(event, at: world.now) ?? false { schedule(world.now + .seconds(2)) }
                return deliver(rest, isSaved: isSaved)
            }
            world.publish(event, from: self) { [unowned self] _ in deliver(rest, isSaved: isSaved) }
        }
    }

    private func save(_ bytes: [UInt8], _ then: @escaping (Bool) -> Void) {
        let life = life
        guard isConnected else {
            return world.after(.seconds(2)) { if self.life == life { then(false) } }
        }
        world.after(world.random.pause(1...10)) {
            if self.life != life && self.world.random.chance(0.5) { return }
            self.world.broker.checkpoint = bytes
            self.world.after(self.world.random.pause(1...10)) { if self.life == life { then(true) } }
        }
    }
}
