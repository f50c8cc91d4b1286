import Messages
import Support

/// What a recording says of itself, in the terms of a replay, and how long things took in it. Pure.
public struct RecordedHistory: Sendable {
    private let groups: Set<String>
    private var cluster = RecordedCluster()
    private var sizes: [String: Int] = [:]
    private var meter = ReplayMeter()
    private var now: Timestamp?
    private var startedAt: [String: Timestamp] = [:]
    private var cordonedAt: [String: Timestamp] = [:]
    private var provision: [Interval] = []
    private var removal: [Interval] = []
    /// Messages by event type.
    public private(set) var counts: [EventType: Int] = [:]
    /// Whether it holds a whole snapshot.
    public var hasSnapshot: Bool { cluster.isComplete }
    /// Ids of the pod scalers in it. They are not played: pods come and go as they did.
    public private(set) var podScalers: Set<String> = []
    /// Groups that were heard.
    public var heardGroups: Set<String> { Set(sizes.keys) }

    /// Of these groups.
    public init(groups: Set<String>) {
        self.groups = groups
    }

    /// Takes the next message.
    public mutating func take(_ entry: Recording.Entry) {
        counts[entry.event.type, default: 0] += 1
        let at = max(entry.at, now ?? entry.at)
        now = at
        let wasThere = hasBegun
        if wasThere { meter.advance(to: at) }
        switch entry.event {
        case .clusterSnapshot(let snapshot):
            _ = cluster.apply(snapshot)
            podScalers.formUnion(snapshot.scaling?.scalers.map(\.id) ?? [])
        case .clusterDelta(let delta):
            _ = cluster.apply(delta)
            podScalers.formUnion(delta.scaling?.changed.scalers.map(\.id) ?? [])
            if delta.isEmpty { return }
        case .groupState(let state):
            guard groups.contains(state.group) else { return }
            sizes[state.group] = state.size
        case .scaleStarted(let event): started(event.scale, at: at)
        case .nodeReady(let event):
            if let since = startedAt[event.arrival.group] { provision.append(at - since) }
        case .removalCordoned(let event):
            if cordonedAt[event.removal.node] == nil {
                cordonedAt[event.removal.node] = at
                meter.decided("remove from \(event.removal.group): \(event.removal.node)", at: at) { _ in }
            }
        case .removalDrained(let event): meter.count { $0.evictions += event.removal.pods }
        case .removalCompleted(let event):
            guard let since = cordonedAt.removeValue(forKey: event.removal.node) else { return }
            removal.append(at - since)
            meter.count { $0.nodesRemoved += 1 }
        case .removalFailed(let event):
            guard cordonedAt.removeValue(forKey: event.removal.node) != nil else { return }
            meter.decided("\(event.removal.node) stays: \(event.removal.reason.sentence)", at: at) {
                $0.removalsCancelled += 1
            }
        default: return
        }
        guard hasBegun else { return }
        if !wasThere { meter.advance(to: at) }
        meter.note(sizes: sizes)
        meter.note(waiting: waiting, at: at)
    }

    private var hasBegun: Bool { cluster.isComplete && (!sizes.isEmpty || groups.isEmpty) }

    private mutating func started(_ scale: ScaleProgress, at time: Timestamp) {
        guard groups.contains(scale.group) else { return }
        startedAt[scale.group] = time
        let added = scale.to - scale.from
        meter.decided("\(scale.group) from \(scale.from) to \(scale.to): \(scale.reason.sentence)", at: time) {
            guard added > 0 else { return }
            $0.scaleUps += 1
            $0.nodesAdded += added
        }
    }

    private var waiting: Set<String> {
        Set(
            cluster.pods.values.lazy.filter { pod in
                pod.node == nil && !pod.hasEnded && pod.deletedAt == nil && pod.scheduling != .gated
                    && !cluster.isFixed(pod)
            }.map(\.uid))
    }

    /// The recording is over.
    public mutating func end() -> ReplayReport {
        if let now { meter.end(at: now) }
        return meter.report
    }

    /// How long new nodes took, as measured: the median. Nil when none came.
    public var provisionTime: Interval? { Self.median(provision) }

    /// How long removals took: the median. Nil when none was completed.
    public var removalTime: Interval? { Self.median(removal) }

    private static func median(_ values: [Interval]) -> Interval? {
        values.isEmpty ? nil : values.sorted()[values.count / 2]
    }
}
