import Bus
import FoundationEssentials
import Messages
import ServiceRuntime
import Settings
import Support

/// The Decider as a service: reads state, groups, stats and outcomes from the bus, runs the core, publishes decisions and
/// the ledger.
public enum Decider {
    /// Runs until the service is asked to end.
    public static func run(_ context: ServiceContext) async throws {
        let bus = try context.openBus(standing: [subscription, signals])
        let metrics = DeciderMetrics(context.metrics)
        await context.whileActive(bus) { lease in
            await serve(DeciderRunner(context, bus, metrics, lease), bus, context)
        }
        await bus.close(within: .seconds(8))
    }

    // One queue keeps the order between what was decided and what came of it, and makes one replica read all of it. What
    // is lost here is found again: state by a snapshot, outcomes by looking at nodes and members.
    private static let subscription = Subscription(
        topics: [.state, .groups, .lifecycle, .stats, .questions],
        kind: .perishable(maximumLength: 20_000, ttl: .seconds(600)), singleActive: true, prefetch: 64,
        heartbeat: Bus.probeHeartbeat)

    // Alarms and requests are not found again: whoever sent them was told that they are taken, and says them once. So they wait in a
    // queue that keeps them, until the checkpoint knows of them.
    private static let signals = Subscription(topics: [.signals], maximumLaps: 2_000, heartbeat: Bus.probeHeartbeat)

    /// One turn of this replica, until the task is cancelled: it begins with the checkpoint of the one before.
    private static func serve(_ runner: DeciderRunner, _ bus: Bus, _ context: ServiceContext) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                await context.supervisor.run("subscription") { part in
                    part.ready()
                    try await bus.subscribe(subscription) { incoming in
                        await runner.receive(incoming.event)
                    }
                }
                await runner.stop()
            }
            group.addTask {
                await context.supervisor.run("signals") { part in
                    part.ready()
                    try await bus.subscribe(signals) { incoming in
                        await runner.receiveSignal(incoming.event)
                    }
                }
            }
            group.addTask { await runner.deliver() }
            group.addTask { await keepHistory(bus, context) }
            await runner.start()
        }
    }
}

extension Decider {
    /// Declares the stream in which decisions and what became of them are kept for `updraft timeline`. Nothing else depends
    /// on it, so a broker that refuses it (no right, no streams) costs a warning.
    fileprivate static func keepHistory(_ bus: Bus, _ context: ServiceContext) async {
        var backoff = Backoff(first: .seconds(2), cap: .minutes(5))
        var told = ""
        while !Task.isCancelled {
            do throws(BusError) {
                return try await bus.declareHistory()
            } catch {
                if error.text != told {
                    context.log.warning("there is no history of decisions", [.error: .string(error.text)])
                }
                told = error.text
                let pause = backoff.failed(jitter: .random(in: 0...1))
                guard (try? await Task.sleep(for: pause.duration)) != nil else { return }
            }
        }
    }
}

/// The core with its timer and its way out. An actor on a queue of its own.
actor DeciderRunner {
    private nonisolated let executor = CoreExecutor()
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private let context: ServiceContext
    private let bus: Bus
    private let configuration: DeciderConfiguration
    /// Messages that were not looked at yet.
    private var batch: BatchWindow
    private let metrics: DeciderMetrics
    private let lease: Lease
    /// Nil until the first message comes: a replica that reads nothing decides nothing.
    private var core: DeciderCore?
    private var stopped = false
    private var opening: Task<Void, Never>?
    /// Pauses while the checkpoint cannot be read, and what was last told of it.
    private var checkpointBackoff = Backoff(first: .seconds(1), cap: .seconds(30))
    private var checkpointProblem: String?
    private var dueAt: Timestamp?
    /// Measurements that were not believed, as far as they are counted.
    private var unbelieved = 0
    private var waker: Task<Void, Never>?
    private let outbox: AsyncStream<Outgoing>
    private let outgoing: AsyncStream<Outgoing>.Continuation
    /// Who waits until what was decided before is saved.
    private let saves = Tickets<Bool>()

    private enum Outgoing: Sendable {
        case actions([DeciderAction])
        /// The ticket's holder hears whether the last checkpoint before it is saved.
        case settle(Int)
    }

    init(_ context: ServiceContext, _ bus: Bus, _ metrics: DeciderMetrics, _ lease: Lease) {
        self.context = context
        self.bus = bus
        self.metrics = metrics
        self.lease = lease
        configuration = DeciderConfiguration(context.settings)
        batch = BatchWindow(context.settings.decider.batchWindow)
        (outbox, outgoing) = AsyncStream.makeStream(of: Outgoing.self, bufferingPolicy: .unbounded)
    }

    /// Asks for the state, so that the first message need not wait for something to happen.
    func start() {
        context.readiness.failed("state", "no word from the Collector yet")
        outgoing.yield(.actions([request("the Decider started")]))
        schedule(.now() + .seconds(5))
    }

    /// This turn is over: what was decided still leaves, if the lease holds for so long.
    func stop() {
        waker?.cancel()
        stopped = true
        outgoing.finish()
        if !context.shutdown.isRequested {
            for name in ["state", "groups", "checkpoint"] { context.readiness.remove(name) }
        }
    }

    private func request(_ why: String) -> DeciderAction {
        .requestSnapshot(
            SnapshotRequested(cluster: configuration.cluster, requester: "decider \(context.host)", why: why))
    }

    // MARK: In

    func receive(_ event: Event) async -> Disposition {
        if core == nil { await open() }
        guard core != nil else {
            // Ends early with the subscription.
            try? await Task.sleep(for: checkpointBackoff.failed(jitter: .random(in: 0...1)).duration)
            return .requeue
        }
        let now = Timestamp.now()
        let actions = core?.receive(event, at: now) ?? []
        if !actions.isEmpty { outgoing.yield(.actions(actions)) }
        if core?.isDirty ?? false {
            batch.changed(at: now)
            if let due = batch.dueAt { schedule(due) }
        }
        return .done
    }

    /// An alarm or a request: done once the checkpoint knows of it. What comes a second time, since that was not heard of, changes
    /// nothing.
    func receiveSignal(_ event: Event) async -> Disposition {
        guard await receive(event) == .done else { return .retryLater(.seconds(1)) }
        if let save = core?.checkpointOfSignals() { outgoing.yield(.actions([save])) }
        return await isSaved() ? .done : .retryLater(.seconds(1))
    }

    /// Whether the last checkpoint is saved, once all that was decided so far has left.
    private nonisolated func isSaved() async -> Bool {
        await saves.wait { outgoing.yield(.settle($0)) } ?? false
    }

    /// Takes up where the replica before left off.
    private func open() async {
        if opening == nil {
            opening = Task {
                var core = DeciderCore(configuration, term: Self.newTerm())
                do {
                    if let saved = try await bus.checkpoint() {
                        try core.restore(saved)
                        context.log.info("checkpoint taken up", [.bytes: .int(saved.count)])
                    }
                } catch let error as DeciderError {
                    // Without it timers begin anew: safe, only slower.
                    context.log.error("the checkpoint cannot be used", [.error: .string(error.text)])
                } catch {
                    cannotOpen("\(error)")
                    opening = nil
                    return
                }
                opened()
                if self.core == nil { self.core = core }
            }
        }
        await opening?.value
    }

    /// The broker's words name its queue. Told once as long as they are the same: it is tried again and again.
    private func cannotOpen(_ problem: String) {
        guard !stopped else { return }
        context.readiness.failed("checkpoint", "cannot be read: \(problem)")
        context.readiness.failed("state", "nothing is decided without the checkpoint")
        if checkpointProblem != problem {
            context.log.warning("the checkpoint cannot be read yet", [.error: .string(problem)])
        }
        checkpointProblem = problem
    }

    private func opened() {
        guard !stopped else { return }
        context.readiness.ok("checkpoint")
        checkpointProblem = nil
        checkpointBackoff.succeeded()
    }

    /// Different each time a replica takes over: decision ids are never used twice.
    private static func newTerm() -> String {
        String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }

    // MARK: Time

    private func schedule(_ time: Timestamp) {
        if stopped { return }
        if let dueAt, dueAt <= time, waker != nil { return }
        dueAt = time
        waker?.cancel()
        let wait = max(.zero, time - .now())
        waker = Task {
            if wait > .zero {
                do { try await Task.sleep(for: wait.duration) } catch { return }
            }
            if Task.isCancelled { return }
            fire()
        }
    }

    private func fire() {
        waker = nil
        dueAt = nil
        guard !stopped, lease.isHeld else { return }
        // More has come since the timer was set, and may still come: a takeover begins with what waited in the queue.
        if let due = batch.dueAt, due > .now() { return schedule(due) }
        batch.close()
        guard var running = core.take() else {
            schedule(.now() + .seconds(5))
            return
        }
        let clock = ContinuousClock()
        let started = clock.now
        let actions = running.evaluate(at: .now())
        let components = started.duration(to: clock.now).components
        let took = Interval(
            microseconds: components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000)
        core = running
        metrics.evaluations.observe(took)
        note(running)
        outgoing.yield(.actions(actions.map { timed($0, took) }))
        for action in actions {
            if case .setTimer(let time) = action { schedule(min(time, .now() + context.settings.decider.resync)) }
        }
    }

    private func timed(_ action: DeciderAction, _ took: Interval) -> DeciderAction {
        guard case .publish(.evaluation(var evaluation)) = action else { return action }
        evaluation.tookMicroseconds = took.microseconds
        return .publish(.evaluation(evaluation))
    }

    private func note(_ core: DeciderCore) {
        let standing = core.engine.standing(at: .now())
        metrics.nodes.set(Double(standing.nodes))
        metrics.pods.set(Double(standing.pods))
        metrics.pending.set(Double(standing.pending))
        metrics.unneeded.set(Double(standing.unneeded))
        if standing.unbelieved > unbelieved {
            metrics.unbelieved.increment(by: Double(standing.unbelieved - unbelieved))
        }
        unbelieved = standing.unbelieved
        for group in standing.groups {
            metrics.groupSize.set(Double(group.size), group.id)
            metrics.groupTarget.set(Double(group.target), group.id)
        }
        context.readiness.set("state", ok: standing.problem == nil, reason: standing.problem ?? "")
        let silent = standing.groups.filter { !$0.isKnown }.map(\.id)
        context.readiness.set(
            "groups", ok: silent.isEmpty,
            reason: "the Actuator has not said anything of \(silent.joined(separator: ", "))")
    }

    // MARK: Out

    /// Publishes in order: a decision only after the checkpoint that knows of it.
    nonisolated func deliver() async {
        // Not cancelled with the subscription: the end of the turn ends the outbox.
        await lease.finishing { [self] in await send() }
    }

    private nonisolated func send() async {
        defer { saves.close() }
        var isLastSaved = true
        for await item in outbox where lease.isHeld {
            let actions: [DeciderAction]
            switch item {
            case .actions(let batch): actions = batch
            case .settle(let ticket):
                saves.answer(ticket, isLastSaved)
                continue
            }
            var saved = true
            for action in actions where lease.isHeld {
                switch action {
                case .saveCheckpoint(let bytes):
                    do {
                        try await bus.saveCheckpoint(bytes)
                        isLastSaved = true
                    } catch {
                        (saved, isLastSaved) = (false, false)
                        context.log.error("the checkpoint was not saved", [.error: .string(error.text)])
                        await notSaved()
                    }
                case .publish(let event): await publish(event, saved: saved)
                case .requestSnapshot(let request):
                    metrics.snapshotRequests.increment()
                    context.log.info("asked for a snapshot", [.reason: .string(request.why)])
                    // If it does not get through, the next message or timer asks again.
                    _ = try? await bus.publish(request)
                case .setTimer: break
                }
            }
        }
    }

    private nonisolated func publish(_ event: Event, saved: Bool) async {
        switch event {
        case .evaluation(let evaluation):
            for part in evaluation.parts(of: 2_000) {
                do throws(BusError) {
                    try await bus.publish(part)
                } catch {
                    // What cannot get through for now is told in log and metrics by the bus. A record that cannot be said at all
                    // would be missing each time.
                    if !error.isRetriable {
                        context.log.error("a record of the ledger cannot be published", [.error: .string(error.text)])
                    }
                }
            }
        case .scaleDecided(let decision):
            context.log.info(
                "scale decided",
                [
                    .decision: .string(decision.id), .group: .string(decision.group), .from: .int(decision.from),
                    .to: .int(decision.to), .reason: .string(decision.reason.reason.rawValue),
                    .details: .string(decision.reason.detail),
                ])
            await decide(decision, event, saved)
        case .removalDecided(let decision):
            context.log.info(
                "removal decided",
                [
                    .decision: .string(decision.id), .group: .string(decision.group),
                    .node: .strings(decision.nodes.map(\.node)),
                ])
            await decide(decision, event, saved)
        case .podsDecided(let decision):
            context.log.info(
                "replicas decided",
                [
                    .decision: .string(decision.id),
                    .resource: .string("\(decision.kind)/\(decision.namespace)/\(decision.name)"),
                    .from: .int(decision.from), .to: .int(decision.to),
                    .reason: .string(decision.reason.reason.rawValue), .details: .string(decision.reason.detail),
                ])
            await decide(decision, event, saved)
        case .removalCancelled(let decision):
            context.log.info(
                "removal cancelled", [.removal: .string(decision.id), .node: .strings(decision.nodes)])
            await decide(decision, event, saved)
        default: break
        }
    }

    private nonisolated func decide<P: Payload>(_ payload: P, _ event: Event, _ saved: Bool) async {
        var problem = "the checkpoint was not saved"
        if saved {
            do {
                let id = try await bus.publish(payload)
                metrics.decisions.increment(event.type.rawValue)
                // A copy to look at later; nobody acts on it.
                _ = try? await bus.remember(payload, id: id)
                return
            } catch {
                problem = error.text
            }
        }
        metrics.undelivered.increment()
        context.log.warning(
            "a decision was not delivered", [.eventType: .string(event.type.rawValue), .error: .string(problem)])
        await undelivered(event)
    }

    private func notSaved() { core?.checkpointNotSaved() }

    /// Nobody will carry it out: it is decided anew at the next evaluation.
    private func undelivered(_ event: Event) {
        guard core?.retract(event, at: .now()) ?? false else { return }
        schedule(.now() + .seconds(2))
    }
}
