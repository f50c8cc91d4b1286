import Messages
import Support

/// What the Collector is told.
public enum CollectorEvent: Sendable {
    /// A list of a kind begins; what it does not name is gone when it is complete.
    case listing(ObservedKind)
    /// Objects that are new or have changed, or a part of the list.
    case observed(ObservedKind, [ObservedObject])
    /// An object has gone.
    case gone(ObservedKind, key: String)
    /// The list is complete.
    case listed(ObservedKind)
    /// The watch of a kind is open: what is known is up to date.
    case watching(ObservedKind)
    /// A kind cannot be had at the moment. `isForbidden`: nobody has given the right to it.
    case failed(ObservedKind, reason: String, isForbidden: Bool = false)
    /// The server does not have the kind.
    case absent(ObservedKind)
    /// A request for a snapshot reached this replica.
    case snapshotRequested(why: String)
    /// A replica's own question who is active reached this replica.
    case probed
    /// What was given out last has been published, or has been given up.
    case published(ok: Bool)
    /// The time that `wakeAt` named has come.
    case ticked
}

/// What the Collector does.
public enum CollectorAction: Sendable, Equatable {
    /// Publish all parts in order, then say `published`.
    case publishSnapshot(SnapshotParts)
    /// Publish, then say `published`.
    case publishDelta(ClusterDelta)
    /// This replica has begun to publish.
    case activated(epoch: String)
    /// Another replica publishes from now on.
    case stoodDown(reason: String)
}

/// The Collector's logic: keeps the compact state of a cluster and says what is published when. Pure.
///
/// **One publisher a cluster.** Requests for snapshots come by a queue with one active consumer, which the broker gives
/// to another replica when the holder's connection ends. Each replica also asks into that queue once a second
/// (`probed`). Who receives anything from it is the active one; who has received nothing for `lease` is not. So no
/// right to write is needed anywhere, and the same broker that carries the messages decides. Two replicas may overlap
/// for at most a lease; readers tell them apart by the epoch.
public struct CollectorCore: Sendable {
    /// Times and the name of the cluster.
    public struct Options: Sendable {
        /// The cluster.
        public var cluster: String
        /// Unique for this run of this replica; part of the epoch.
        public var replica: String
        /// Changes that come within this after the first go into one message.
        public var batchWindow: Interval
        /// Time between two snapshots that nobody asked for.
        public var snapshotInterval: Interval
        /// Snapshots that are asked for keep this distance.
        public var snapshotGap: Interval
        /// After so long without a change an empty delta says that the Collector lives.
        public var heartbeat: Interval
        /// So long after the last request or probe a replica takes itself for replaced.
        public var lease: Interval
        /// When a watch has failed for so long, heartbeats cease: what is known may be wrong.
        public var staleAfter: Interval
        /// Whether pod scalers are configured that are no objects of the cluster.
        public var wantsTargets = false

        /// Usual times.
        public init(
            cluster: String, replica: String, batchWindow: Interval = .milliseconds(20),
            snapshotInterval: Interval = .minutes(5), snapshotGap: Interval = .seconds(1),
            heartbeat: Interval = .seconds(5), lease: Interval = .seconds(5), staleAfter: Interval = .seconds(30)
        ) {
            self.cluster = cluster
            self.replica = replica
            self.batchWindow = batchWindow
            self.snapshotInterval = snapshotInterval
            self.snapshotGap = snapshotGap
            self.heartbeat = heartbeat
            self.lease = lease
            self.staleAfter = staleAfter
        }
    }

    /// What is known of the watch of a kind.
    enum WatchState: Sendable, Equatable {
        case waiting
        case synced
        /// Was never complete, or has lost its watch.
        case failed(reason: String, since: Timestamp, wasSynced: Bool)
        case absent
    }

    /// While this replica publishes.
    struct Active: Sendable {
        var epoch: String
        var sequence: Int64 = 0
        var heardAt: Timestamp
        var isPublishing = false
        var wantsSnapshot = true
        var lastSnapshotAt: Timestamp?
        var lastPublishedAt: Timestamp
        /// Changes that no message has carried yet.
        var batch: BatchWindow
        /// A delta was lost, so the next ones are of no use before a snapshot.
        var hasGap = false
        /// Kinds of which the last snapshot said that they could not be listed.
        var toldUnlisted: Set<ObservedKind> = []

        /// Whether readers can follow: what was said has no gap.
        var isFollowed: Bool { lastSnapshotAt != nil && !hasGap }
    }

    /// The options.
    public let options: Options
    var cluster = WatchedCluster()
    var watches: [ObservedKind: WatchState] = [:]
    var active: Active?

    /// Knows nothing yet.
    public init(_ options: Options) {
        self.options = options
        if options.wantsTargets { cluster.wantTargets() }
    }

    // MARK: Looking in

    /// Whether this replica publishes.
    public var isActive: Bool { active != nil }

    /// Why the state is not complete or not up to date; nil when it is.
    public var notReady: String? {
        let problems = ObservedKind.allCases.compactMap { kind -> String? in
            switch watches[kind] ?? .waiting {
            case .synced, .absent: nil
            case .waiting: kind.isRequired ? "\(kind.rawValue): not listed yet" : nil
            case .failed(let reason, _, _): kind.isRequired ? "\(kind.rawValue): \(reason)" : nil
            }
        }
        return problems.isEmpty ? nil : problems.joined(separator: "; ")
    }

    /// How many objects of a kind are known.
    public func count(_ kind: ObservedKind) -> Int { cluster.count(kind) }

    /// How many shapes the pods have.
    public var shapeCount: Int { cluster.shapeCount }

    /// The nodes, for asking their kubelets; nil until they are known.
    public var nodes: [Node]? {
        switch watches[.nodes] ?? .waiting {
        case .synced, .failed(_, _, wasSynced: true): Array(cluster.nodes.values)
        case .waiting, .absent, .failed: nil
        }
    }

    /// Whether what is known of a kind is of now: it is watched, or its watch was lost just now.
    func isCurrent(_ kind: ObservedKind, at now: Timestamp) -> Bool {
        switch watches[kind] ?? .waiting {
        case .synced: true
        case .failed(_, let since, wasSynced: true): now - since < options.staleAfter
        case .waiting, .absent, .failed: false
        }
    }

    /// What is known of the pods of a node; nil until the pods are known. How many there are is left out while that is not
    /// known: numbers of before would be sent with the time of now.
    func podsOnNode(_ node: String, at now: Timestamp) -> UsageMeter.PodsOnNode? {
        switch watches[.pods] ?? .waiting {
        case .synced, .failed(_, _, wasSynced: true):
            var known = cluster.podsOnNode(node)
            if !isCurrent(.pods, at: now) { (known.running, known.pending) = (nil, nil) }
            return known
        case .waiting, .absent, .failed: return nil
        }
    }

    /// Pods that run and that wait in the whole cluster, each nil while that is not known; nil on a replica that does not speak
    /// for the cluster.
    func podCounts(at now: Timestamp) -> (running: Int?, pending: Int?)? {
        guard isActive else { return nil }
        guard isCurrent(.pods, at: now) else { return (nil, nil) }
        let counts = cluster.podCounts
        return (counts.running, counts.pending)
    }

    /// Targets that scalers name and that are of no kind that is watched; nil until the scalers are known.
    var foreignTargets: [(namespace: String, reference: TargetReference)]? {
        switch watches[.podScalers] ?? .waiting {
        case .waiting: nil
        case .absent, .failed(_, _, wasSynced: false): []
        case .synced, .failed: cluster.foreignTargets
        }
    }

    // MARK: Events

    /// Takes in an event.
    public mutating func handle(_ event: CollectorEvent, at now: Timestamp) -> [CollectorAction] {
        var actions: [CollectorAction] = []
        switch event {
        case .listing(let kind): cluster.beginList(kind)
        case .observed(let kind, let objects):
            for object in objects { cluster.upsert(kind, object) }
        case .gone(let kind, let key): cluster.remove(kind, key)
        case .listed(let kind):
            cluster.endList(kind)
            watches[kind] = .synced
            if kind == .podScalers { cluster.scalers(areForbidden: false) }
            // A snapshot without the targets that new scalers name would say that there are none.
            if kind == .podScalers, case .absent? = watches[.scales], !cluster.foreignTargets.isEmpty {
                watches[.scales] = .waiting
            }
        case .watching(let kind): watches[kind] = .synced
        case .failed(let kind, let reason, let isForbidden):
            watchFailed(kind, reason, now)
            // Another failure says nothing of the right.
            if kind == .podScalers && isForbidden { cluster.scalers(areForbidden: true) }
        case .absent(.scales) where awaitsScales: break
        case .absent(let kind): watches[kind] = .absent
        case .snapshotRequested:
            heard(at: now, &actions)
            active?.wantsSnapshot = true
        case .probed: heard(at: now, &actions)
        case .published(let ok): published(ok, now)
        case .ticked: break
        }
        if case .failed(let reason, _, wasSynced: false)? = watches[.autoscalers] {
            cluster.autoscalers(areUnknown: reason)
        } else {
            cluster.autoscalers(areUnknown: nil)
        }
        let unlisted = self.unlisted
        cluster.scaling(isUnknown: unlisted)
        if let told = active?.toldUnlisted, !told.allSatisfy({ unlisted[$0] != nil }) {
            // What readers kept meanwhile may be gone: only the whole says so.
            active?.wantsSnapshot = true
            active?.toldUnlisted = told.filter { unlisted[$0] != nil }
        }
        switch event {
        // Also while a batch is open already: it goes on a little for what comes with it.
        case .observed, .gone, .listed: if !cluster.isUnchanged { active?.batch.changed(at: now) }
        default: break
        }
        settle(at: now, &actions)
        return actions
    }

    /// Kinds that pod scaling needs and whose first list fails, with the reason. Nobody waits for them, but readers are not to take
    /// what they know for gone.
    var unlisted: [ObservedKind: String] {
        var problems: [ObservedKind: String] = [:]
        for kind in [ObservedKind.podScalers, .deployments] {
            if case .failed(let reason, _, wasSynced: false)? = watches[kind] { problems[kind] = reason }
        }
        return problems
    }

    /// Whether targets of other kinds are named and have not been asked for yet: who said before that none are had not heard of them.
    private var awaitsScales: Bool {
        guard case .synced? = watches[.podScalers], case .waiting? = watches[.scales] else { return false }
        return !cluster.foreignTargets.isEmpty
    }

    private mutating func watchFailed(_ kind: ObservedKind, _ reason: String, _ now: Timestamp) {
        switch watches[kind] ?? .waiting {
        case .failed(_, let since, let wasSynced):
            watches[kind] = .failed(reason: reason, since: since, wasSynced: wasSynced)
        // That there is no such kind was known as well.
        case .synced, .absent: watches[kind] = .failed(reason: reason, since: now, wasSynced: true)
        case .waiting: watches[kind] = .failed(reason: reason, since: now, wasSynced: false)
        }
    }

    /// Something came out of the queue that only the active replica reads.
    private mutating func heard(at now: Timestamp, _ actions: inout [CollectorAction]) {
        if active != nil {
            active?.heardAt = now
            return
        }
        let epoch = "\(options.replica)-\(now.microseconds)"
        active = Active(
            epoch: epoch, heardAt: now, lastPublishedAt: now, batch: BatchWindow(options.batchWindow))
        actions.append(.activated(epoch: epoch))
    }

    private mutating func published(_ ok: Bool, _ now: Timestamp) {
        active?.isPublishing = false
        active?.lastPublishedAt = now
        // What was lost is not known piece by piece: the whole makes it good.
        if !ok {
            active?.wantsSnapshot = true
            active?.hasGap = true
        }
    }
}
