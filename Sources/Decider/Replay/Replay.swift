import Messages
import Support

/// Plays a recorded stream to the decision engine under other rules, with a model of what would have followed. Pure.
///
/// The **demand** comes from the recording: which pods there were, when, with which requests; and every node that belongs to no
/// configured group. The **supply** follows the decisions made here: the groups begin as recorded, a scale-up adds nodes
/// like the group's own after `provisionTime`, a removal takes its node away after `removalTime`. Nodes that the recorded Decider
/// added are left out, those that it removed stay until they are removed here. A pod keeps to the node on which it was
/// recorded while that is there and has room; else it goes to the emptiest node that can take it, by the engine's own
/// constraints; else it waits.
public struct Replay: Sendable {
    /// How long things take that a recording cannot tell for decisions that were never made.
    public struct Model: Sendable, Equatable {
        /// From the decision until new nodes are ready.
        public var provisionTime = Interval.seconds(90)
        /// From the decision until the node is gone: cordon, cooldown, drain and Heat together.
        public var removalTime = Interval.minutes(3)
        /// How long the engine gathers messages before it looks.
        public var window = Interval.milliseconds(200)
        /// How long to wait for a first word of every group before it begins without.
        public var patience = Interval.minutes(2)

        /// The usual times.
        public init() {}
    }

    let model: Model
    var core: DeciderCore
    var world: ReplayWorld
    var meter = ReplayMeter()
    var now = Timestamp(seconds: 0)
    /// When the engine looks next.
    private var due: Timestamp?
    private var completeAt: Timestamp?
    private(set) var hasBegun = false
    private var epoch = 0
    private var sequence: Int64 = 0

    /// The rules to play it under, and the times to assume.
    public init(_ configuration: DeciderConfiguration, _ model: Model = Model()) {
        self.model = model
        core = DeciderCore(configuration, term: "replay")
        world = ReplayWorld(configuration)
    }

    /// Takes the next message of the recording. Messages have to come in the order of their arrival.
    public mutating func take(_ entry: Recording.Entry) {
        guard entry.event.cluster == core.engine.configuration.cluster else { return }
        advance(to: max(entry.at, now))
        switch entry.event {
        case .clusterSnapshot(let snapshot):
            if world.recorded.apply(snapshot) { noteWhole() }
        case .clusterDelta(let delta):
            let step = world.recorded.apply(delta)
            guard hasBegun else { break }
            switch step {
            case .changed:
                world.noteRecorded()
                sync()
            case .heartbeat: send(ClusterDelta(cluster: delta.cluster, epoch: "", sequence: 0, takenAt: now))
            case .ignored, .gap: break
            }
        case .groupState(let state): heard(state)
        case .nodeStats: if hasBegun { _ = core.receive(entry.event, at: now) }
        case .removalCordoned(let event): world.removedByUpdraft.insert(event.removal.nodeUID)
        default: break
        }
        beginIfPossible()
    }

    /// The recording is over.
    public mutating func end() -> ReplayReport {
        meter.end(at: now)
        return meter.report
    }

    // MARK: Time

    /// What happens by itself until `time`: machines come, nodes go, the engine looks.
    private mutating func advance(to time: Timestamp) {
        while hasBegun {
            let next = [due, world.nextEvent].compactMap { $0 }.min()
            guard let next, next <= time else { break }
            now = max(now, next)
            meter.advance(to: now)
            if let event = world.nextEvent, event <= now { happen() }
            if let due, due <= now { look() }
        }
        now = max(now, time)
        if hasBegun { meter.advance(to: now) }
    }

    private mutating func happen() {
        for outcome in world.happen(at: now) {
            if case .removed(_, let moved) = outcome {
                meter.count {
                    $0.nodesRemoved += 1
                    $0.evictions += moved
                }
            }
            for event in world.events(of: outcome, at: now) { _ = core.receive(event, at: now) }
        }
        sync()
        tellGroups()
    }

    private mutating func look() {
        due = nil
        for action in core.evaluate(at: now) {
            switch action {
            case .publish(let event): decide(event)
            case .setTimer(let time): schedule(max(time, now + .milliseconds(10)))
            case .requestSnapshot: syncWhole()
            case .saveCheckpoint: break
            }
        }
        if core.isDirty { schedule(now + model.window) }
    }

    private mutating func schedule(_ time: Timestamp) {
        due = min(due ?? time, time)
    }

    // MARK: Decisions

    private mutating func decide(_ event: Event) {
        switch event {
        case .scaleDecided(let decision):
            let added = decision.to - decision.from
            let what = "\(decision.group) from \(decision.from) to \(decision.to): \(decision.reason.sentence)"
            meter.decided(what, at: now) {
                guard added > 0 else { return }
                $0.scaleUps += 1
                $0.nodesAdded += added
            }
            world.resize(decision, readyAt: now + model.provisionTime, at: now)
            let progress = ScaleProgress(
                id: decision.id, group: decision.group, from: decision.from, to: decision.to, reason: decision.reason,
                at: now)
            _ = core.receive(.scaleStarted(ScaleStarted(cluster: decision.cluster, scale: progress)), at: now)
            tellGroups()
        case .removalDecided(let decision):
            let names = decision.nodes.map(\.node).joined(separator: ", ")
            meter.decided("remove from \(decision.group): \(names)", at: now) { _ in }
            for event in world.remove(decision, goneAt: now + model.removalTime, at: now) {
                _ = core.receive(event, at: now)
            }
            sync()
        case .removalCancelled(let decision):
            let events = world.cancel(decision, at: now)
            meter.decided("take back: \(decision.nodes.joined(separator: ", "))", at: now) {
                $0.removalsCancelled += events.count
            }
            for event in events { _ = core.receive(event, at: now) }
            sync()
        default: break
        }
    }

    // MARK: What the engine is told

    private mutating func noteWhole() {
        guard hasBegun else {
            completeAt = completeAt ?? now
            return
        }
        world.noteRecorded()
        syncWhole()
    }

    private mutating func heard(_ state: GroupState) {
        let isNews = world.heard(state)
        guard hasBegun else { return }
        if isNews {
            world.noteRecorded()
            sync()
        }
        tellGroups(only: state.group)
    }

    private mutating func beginIfPossible() {
        guard !hasBegun, let completeAt,
            world.hasHeardAllGroups || now >= completeAt + model.patience
        else { return }
        hasBegun = true
        world.begin(readyAt: now + model.provisionTime)
        meter.advance(to: now)
        syncWhole()
        tellGroups()
    }

    /// Everything anew, as after a snapshot.
    private mutating func syncWhole() {
        epoch += 1
        sequence = 1
        world.forgetTold()
        let change = world.changes(at: now)
        _ = core.receive(
            .clusterSnapshot(
                ClusterSnapshot(
                    cluster: core.engine.configuration.cluster, epoch: "replay-\(epoch)", sequence: sequence,
                    takenAt: now, shapes: change.shapes, nodes: change.nodes, pods: change.pods,
                    budgets: change.budgets, workloads: change.workloads, claims: change.claims,
                    namespaces: change.namespaces)), at: now)
        settle()
    }

    /// What changed in the replayed cluster; at least a sign of life.
    private mutating func sync() {
        send(world.changes(at: now))
        settle()
    }

    /// Places what waits and can be placed, and tells the engine.
    private mutating func settle() {
        if world.place(core.engine, at: now) { send(world.changes(at: now)) }
        meter.note(sizes: world.sizes)
        meter.note(waiting: world.waiting, at: now)
        if core.isDirty { schedule(now + model.window) }
    }

    private mutating func send(_ change: ClusterDelta) {
        var change = change
        if !change.isEmpty || !change.shapes.isEmpty { sequence += 1 }
        change.epoch = "replay-\(epoch)"
        change.sequence = sequence
        _ = core.receive(.clusterDelta(change), at: now)
    }

    private mutating func tellGroups(only group: String? = nil) {
        for state in world.groupStates(at: now) where group == nil || state.group == group {
            _ = core.receive(.groupState(state), at: now)
        }
        meter.note(sizes: world.sizes)
        if core.isDirty { schedule(now + model.window) }
    }
}
