import Messages
import ServiceRuntime
import Settings
import Support

@testable import Collector
@testable import Decider

/// What the other two services add to a stage: the Collector watches its cluster, the Decider decides by what it is told.
/// Decisions are handed to the Actuator as by the broker.
actor PracticeMind {
    private let stage: PracticeStage
    private let engine = CollectorEngine(
        CollectorCore.Options(cluster: "practice", replica: "test"), observer: CollectorObserver())
    private var core: DeciderCore
    private var dueAt = Timestamp(seconds: 0)
    private let decisions: AsyncStream<Event>
    private let outgoing: AsyncStream<Event>.Continuation

    init(_ stage: PracticeStage) {
        self.stage = stage
        core = DeciderCore(DeciderConfiguration(stage.settings), term: "test")
        (decisions, outgoing) = AsyncStream.makeStream()
    }

    /// Both work until the task is cancelled.
    func run() async {
        stage.listen { [weak self] event in Task { await self?.hear(event) } }
        let (log, _, _) = stage.runtime
        let watches = ClusterWatches(stage.kubernetes, engine, pageSize: 500, log: log, metrics: Metrics())
        let scales = ScaleReader(client: stage.kubernetes, engine: engine, configured: [], log: log)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await watches.run() }
            group.addTask { await scales.run() }
            group.addTask { await self.publish() }
            group.addTask { await self.carryOut() }
            await engine.handle(.snapshotRequested(why: "the stage begins"))
            while !Task.isCancelled {
                await engine.handle(.probed)
                evaluate()
                try? await Task.sleep(for: .milliseconds(100))
            }
            await engine.stop()
            outgoing.finish()
            group.cancelAll()
        }
    }

    private func hear(_ event: Event) async {
        for action in core.receive(event, at: .now()) {
            if case .requestSnapshot(let request) = action {
                await engine.handle(.snapshotRequested(why: request.why))
            }
        }
    }

    /// What the Collector publishes, in its order.
    private nonisolated func publish() async {
        for await publication in engine.publications {
            switch publication {
            case .snapshot(let parts): for part in parts { await hear(.clusterSnapshot(part)) }
            case .delta(let delta): await hear(.clusterDelta(delta))
            }
            await engine.handle(.published(ok: true))
        }
    }

    private func evaluate() {
        guard core.isDirty || dueAt <= .now() else { return }
        dueAt = .now() + .seconds(5)
        for action in core.evaluate(at: .now()) {
            switch action {
            case .publish(let event): outgoing.yield(event)
            case .setTimer(let time): dueAt = min(dueAt, time)
            // This one is never replaced by another.
            case .saveCheckpoint, .requestSnapshot: break
            }
        }
    }

    private nonisolated func carryOut() async {
        for await event in decisions {
            await stage.deliver(event)
            switch event {
            case .removalDecided(let decision): try? await stage.decide { .removalDecided(decision, ticket: $0) }
            case .removalCancelled(let decision): try? await stage.decide { .removalCancelled(decision, ticket: $0) }
            case .scaleDecided(let decision): try? await stage.decide { .scaleDecided(decision, ticket: $0) }
            default: break
            }
        }
    }
}
