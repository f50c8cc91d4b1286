import Messages
import Support

/// Holds the core, gives it events in order, and wakes it when it asks for it.
actor CollectorEngine {
    /// What is to be published; at most one thing at a time, for the core waits for its end.
    nonisolated let publications: AsyncStream<Publication>

    private var core: CollectorCore
    /// The time of all that the core is told and asked. One clock for both: what it has remembered by one cannot be compared with
    /// another, since the wall clock may have been set meanwhile.
    private let now: @Sendable () -> Timestamp
    private let outbox: AsyncStream<Publication>.Continuation
    private let observer: CollectorObserver
    private var timer: (at: Timestamp, task: Task<Void, Never>)?

    /// - Parameter now: the clock; nil: one that nobody can set.
    init(
        _ options: CollectorCore.Options, observer: CollectorObserver, now: (@Sendable () -> Timestamp)? = nil
    ) {
        let steady = SteadyClock()
        self.now = now ?? { steady.now }
        core = CollectorCore(options)
        self.observer = observer
        (publications, outbox) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
    }

    /// Takes in an event. While it is at it the watch that tells it is held back.
    func handle(_ event: CollectorEvent) {
        for action in core.handle(event, at: now()) {
            switch action {
            case .publishSnapshot(let parts): outbox.yield(.snapshot(parts))
            case .publishDelta(let delta): outbox.yield(.delta(delta))
            case .activated(let epoch): observer.activated(epoch)
            case .stoodDown(let reason): observer.stoodDown(reason)
            }
        }
        observer.state(core)
        setTimer()
    }

    /// What the measuring needs to know of the cluster. `more`: scalers that are no objects.
    nonisolated func usageSource(_ more: [PodScaler] = []) -> UsageSource {
        UsageSource(
            nodes: { await self.nodes }, pods: { await self.podsOnNode($0) }, cluster: { await self.podCounts },
            containers: { await self.containers(more) })
    }

    // Each within the actor: a copy of the core outside of it would make the next change copy all tables.
    private var nodes: [Node]? { core.nodes }
    private func podsOnNode(_ name: String) -> UsageMeter.PodsOnNode? { core.podsOnNode(name, at: now()) }
    private func containers(_ more: [PodScaler]) -> [String: Set<String>] { core.cluster.containers(more) }
    private var podCounts: (running: Int?, pending: Int?)? { core.podCounts(at: now()) }

    /// Whether it is known which nodes there are now.
    var seesNodes: Bool { core.isCurrent(.nodes, at: now()) }

    /// Targets that scalers name and that are of no kind that is watched; nil until the scalers are known.
    var foreignTargets: [ScaleReader.Wanted]? {
        core.foreignTargets?.map { ScaleReader.Wanted(namespace: $0.namespace, reference: $0.reference) }
    }

    /// Pods that tell stats of their own which a scaler names. `more`: scalers that are no objects.
    func scrapedPods(_ more: [PodScaler]) -> [ScrapedPod] { core.cluster.scrapedPods(more) }

    /// Metrics of Gnocchi and alarms of Aodh that scalers name. `more`: scalers that are no objects.
    func sources(_ more: [PodScaler]) -> [WantedSource] { core.cluster.sources(more) }

    /// The pods of namespaces, by name.
    func podPlaces(_ namespaces: Set<String>) -> [String: [String: SourcePods.Place]] {
        core.cluster.podPlaces(namespaces)
    }

    /// Whether this replica speaks for the cluster.
    var isActive: Bool { core.isActive }

    /// Whether a server is that of a Node, as far as is known.
    func isNode(serverID: String) -> Bool { core.nodes?.contains { $0.serverID == serverID } ?? false }

    /// Nothing will be published any more.
    func stop() {
        timer?.task.cancel()
        timer = nil
        outbox.finish()
    }

    private func setTimer() {
        guard let wakeAt = core.wakeAt else {
            timer?.task.cancel()
            timer = nil
            return
        }
        // One that rings too early does no harm and is cheaper than a new one for each event.
        if let timer, timer.at <= wakeAt { return }
        timer?.task.cancel()
        let pause = wakeAt - now()
        let task = Task { [weak self] in
            if pause > .zero { try? await Task.sleep(for: pause.duration) }
            guard !Task.isCancelled else { return }
            await self?.rang()
        }
        timer = (wakeAt, task)
    }

    private func rang() {
        timer = nil
        handle(.ticked)
    }
}

/// Something to publish, all of it or nothing that follows.
enum Publication: Sendable {
    case snapshot(SnapshotParts)
    case delta(ClusterDelta)
}

/// Where the engine says what happens: logs, metrics, readiness. Must return soon.
struct CollectorObserver: Sendable {
    var activated: @Sendable (_ epoch: String) -> Void = { _ in }
    var stoodDown: @Sendable (_ reason: String) -> Void = { _ in }
    /// After each event.
    var state: @Sendable (borrowing CollectorCore) -> Void = { _ in }
}
