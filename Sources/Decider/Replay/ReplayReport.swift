import Support

/// What came of a stream of messages under one set of rules, or in the recording itself.
public struct ReplayReport: Sendable, Equatable, Encodable {
    /// What a group cost.
    public struct Group: Sendable, Equatable, Encodable {
        /// Members, times hours; machines that are being made count.
        public var nodeHours = 0.0
        /// The most members at a time.
        public var peak = 0
        /// Members at the end.
        public var atEnd = 0
    }

    /// A moment at which something changed.
    public struct Point: Sendable, Equatable, Encodable {
        /// When.
        public var at: Timestamp
        /// Members of all groups.
        public var nodes: Int
        /// Pods without a node that should have one.
        public var pending: Int
    }

    /// Something that was decided.
    public struct Decision: Sendable, Equatable, Encodable {
        /// When.
        public var at: Timestamp
        /// For a person.
        public var what: String
    }

    /// When it begins.
    public var from = Timestamp(seconds: 0)
    /// When it ends.
    public var to = Timestamp(seconds: 0)
    /// By group.
    public var groups: [String: Group] = [:]
    /// The most members of all groups together.
    public var peak = 0
    /// Decisions to grow.
    public var scaleUps = 0
    /// Machines that they asked for.
    public var nodesAdded = 0
    /// Nodes removed.
    public var nodesRemoved = 0
    /// Removals taken back.
    public var removalsCancelled = 0
    /// Pods that had to leave a node which was removed.
    public var evictions = 0
    /// Pods that had to wait for a node.
    public var podsWaited = 0
    /// How long they waited, together.
    public var waited = Interval.zero
    /// How long the one waited that waited longest.
    public var longestWait = Interval.zero
    /// Pods that wait at the end.
    public var waitingAtEnd = 0
    /// What was decided, in order; at most 10,000.
    public var decisions: [Decision] = []
    /// How nodes and waiting pods went, at most one a second.
    public var points: [Point] = []

    /// Members of all groups, times hours.
    public var nodeHours: Double { groups.values.reduce(0) { $0 + $1.nodeHours } }

    /// The last point at or before a time.
    public func point(at time: Timestamp) -> Point? {
        var low = 0
        var high = points.count
        while low < high {
            let middle = (low + high) / 2
            if points[middle].at <= time { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : points[low - 1]
    }
}

/// Adds up what happens over time. Pure.
struct ReplayMeter: Sendable {
    private(set) var report = ReplayReport()
    private var now: Timestamp?
    private var sizes: [String: Int] = [:]
    private var waitingSince: [String: Timestamp] = [:]

    /// The time goes on to `time`.
    mutating func advance(to time: Timestamp) {
        guard let last = now else {
            now = time
            report.from = time
            report.to = time
            return
        }
        guard time > last else { return }
        let hours = (time - last).inSeconds / 3_600
        for (group, size) in sizes { report.groups[group, default: .init()].nodeHours += Double(size) * hours }
        now = time
        report.to = time
    }

    /// The sizes from now on.
    mutating func note(sizes new: [String: Int]) {
        sizes = new
        for (group, size) in new {
            report.groups[group, default: .init()].peak = max(report.groups[group]?.peak ?? 0, size)
            report.groups[group]?.atEnd = size
        }
        report.peak = max(report.peak, new.values.reduce(0, +))
    }

    /// The pods that wait from now on, by UID.
    mutating func note(waiting: Set<String>, at time: Timestamp) {
        for (uid, since) in waitingSince where !waiting.contains(uid) {
            settle(time - since)
            waitingSince[uid] = nil
        }
        for uid in waiting where waitingSince[uid] == nil { waitingSince[uid] = time }
        let total = sizes.values.reduce(0, +)
        let point = ReplayReport.Point(at: time, nodes: total, pending: waiting.count)
        if let last = report.points.last {
            if last.nodes == point.nodes, last.pending == point.pending { return }
            if time - last.at < .seconds(1), report.points.count > 1 {
                report.points[report.points.count - 1].nodes = point.nodes
                report.points[report.points.count - 1].pending = point.pending
                return
            }
        }
        report.points.append(point)
    }

    private mutating func settle(_ wait: Interval) {
        // Placed in the moment it came: it did not wait.
        guard wait > .zero else { return }
        report.podsWaited += 1
        report.waited = report.waited + wait
        report.longestWait = max(report.longestWait, wait)
    }

    mutating func decided(_ what: String, at time: Timestamp, _ change: (inout ReplayReport) -> Void) {
        if report.decisions.count < 10_000 { report.decisions.append(.init(at: time, what: what)) }
        change(&report)
    }

    mutating func count(_ change: (inout ReplayReport) -> Void) {
        change(&report)
    }

    /// The end: those who still wait are counted too.
    mutating func end(at time: Timestamp) {
        advance(to: time)
        report.waitingAtEnd = waitingSince.count
        for since in waitingSince.values { settle(time - since) }
        waitingSince = [:]
    }
}
