import Crypto
import Messages
import Support

/// What goes to Ceilometer or Gnocchi and when: a bounded, fair, slow stream. Pure.
///
/// - Each resource is sent once an interval, the latest that is known of it.
/// - A batch holds few resources, and batches keep a distance: Ceilometer handles one notification at a time, and a large
///   one blocks all samples of the cloud (seen: 5,000 resources, two minutes). Replicas keep it together.
/// - While the other side takes no batch the points gather, up to a bound; then the oldest of the least important go.
///   While it works, a newer point takes the place of one that still waits, and is counted; what gathered before is sent.
/// - Attributes travel at first, when they change, and now and then: each time costs Gnocchi a write.
struct TelemetryCore: Sendable {
    /// Sizes and times.
    struct Options: Sendable {
        /// Time between two points of a resource.
        var interval: Interval
        /// Resources in a batch; of points it holds at most four times as many.
        var perBatch: Int
        /// Time between two batches, of all that share it.
        var pace: Interval
        /// Points kept while they cannot be sent.
        var maximumWaiting: Int
        /// Time between two times that the attributes of a resource travel.
        var attributesEvery: Interval
        /// Where this process stands among many that begin at once, 0..<1: so much of an interval later it begins, and its
        /// attributes travel again. Nil: it is alone.
        var turn: Double?
    }

    /// One resource in a batch.
    struct Entry: Sendable, Equatable {
        /// At least one, in order of time.
        var points: [TelemetryPoint]
        /// Whether the attributes go along.
        var withAttributes: Bool
    }

    /// What is sent at once.
    struct Batch: Sendable, Equatable {
        var entries: [Entry]
        /// Numbers from 1.
        var number: Int64

        /// Points of all of them.
        var pointCount: Int { entries.reduce(0) { $0 + $1.points.count } }
    }

    /// How sending ended.
    enum Outcome: Sendable, Equatable {
        case sent
        /// The other side is not there or does not take anything; all of it again after a while.
        case failed
        /// The batch itself is not wanted: it would not be wanted the next time either.
        case refused
    }

    private struct Lane: Sendable {
        var order: [UUID5] = []
        var head = 0
        var points: [UUID5: [TelemetryPoint]] = [:]

        mutating func push(_ id: UUID5) { order.append(id) }

        mutating func pop() -> [TelemetryPoint]? {
            while head < order.count {
                let id = order[head]
                head += 1
                if head > 1_024, head * 2 > order.count {
                    order.removeFirst(head)
                    head = 0
                }
                if let found = points.removeValue(forKey: id) { return found }
            }
            return nil
        }
    }

    private struct Known: Sendable {
        var takenAt: Timestamp
        var attributesAt: Timestamp?
        var attributesHash: Int
    }

    private let options: Options
    /// Pods and containers beyond it are not taken: their names are the kubelets' word, of containers also where the watch knows
    /// the pod, and each makes a resource in Gnocchi that stays. Nodes always are, since the API server names them. What the
    /// pace carries in an interval has its place, as far as memory goes.
    let mostRemembered: Int
    /// How many processes share the pace, this one among them: each keeps so many times the distance.
    var sharing = 1
    private var pace: Interval { options.pace * Double(max(1, sharing)) }
    private var lanes = [Lane](repeating: Lane(), count: 3)
    private var known: [UUID5: Known] = [:]
    private var sending: Batch?
    /// When the first points came.
    private var began: Timestamp?
    private var nextAt: Timestamp?
    private var backoff: Backoff
    private var isDown = false
    /// Points that gathered while nothing was taken and are still to be sent.
    private var backlog = 0
    private var number: Int64 = 0
    private var sweptAt: Timestamp?

    /// Resources that something is remembered of.
    var remembered: Int { known.count }
    /// Points that wait.
    private(set) var waiting = 0
    /// Pods and containers that are not sent since there are too many: in the present interval or the one before. A count of
    /// their names, as far as those are remembered.
    var leftOut: Int { max(left.present.count, left.before) }
    private var left: (present: Set<UUID5>, before: Int, since: Timestamp?) = ([], 0, nil)
    /// Points that were given up because too many waited, or (one for each interval) because there are too many resources.
    private(set) var dropped: Int64 = 0
    /// Points that newer ones took the place of before they were sent: more comes than may go.
    private(set) var superseded: [TelemetryKind: Int64] = [:]

    init(_ options: Options) {
        self.options = options
        let carried = Double(options.perBatch) * (options.interval.inSeconds / max(options.pace.inSeconds, 0.001))
        mostRemembered = max(options.maximumWaiting, Self.fewestRemembered, Int(min(carried, Self.mostForPace)))
        backoff = Backoff(first: max(options.pace, .seconds(1)), cap: Self.longestPause)
    }

    private static let longestPause = Interval.seconds(60)
    /// So many resources are remembered at least.
    private static let fewestRemembered = 50_000
    /// And no more than so many because the pace would carry them: each costs about a hundred bytes.
    private static let mostForPace = 1_000_000.0

    /// Takes points in; those of resources whose turn it is not yet are passed over.
    mutating func take(_ points: [TelemetryPoint], at now: Timestamp) {
        if let turn = options.turn {
            let began = began ?? now
            self.began = began
            // Set back, our clock would keep it waiting.
            if now >= began, now - began < options.interval * turn { return }
        }
        turnInterval(at: now)
        for point in points {
            if let before = known[point.id] {
                // A little early is on time: readings are not quite regular. Long before the last one: a clock was set back.
                let passed = point.at - before.takenAt
                guard passed >= options.interval * 0.9 || passed < options.interval * -2 else { continue }
                known[point.id]?.takenAt = point.at
            } else {
                guard point.kind.lane == 0 || known.count < mostRemembered else {
                    leaveOut(point.id, at: now)
                    continue
                }
                known[point.id] = Known(takenAt: point.at, attributesAt: nil, attributesHash: 0)
            }
            add(point)
        }
        sweep(at: now)
        while waiting > options.maximumWaiting, dropOne() {}
    }

    /// Readings come more often than points are due: one counts for the interval.
    private mutating func leaveOut(_ id: UUID5, at now: Timestamp) {
        // Names can be invented without end; their memory has one.
        guard left.present.count < mostRemembered, left.present.insert(id).inserted else { return }
        left.since = left.since ?? now
        dropped += 1
    }

    private mutating func turnInterval(at now: Timestamp) {
        guard let since = left.since, now - since >= options.interval || now < since else { return }
        left = (present: [], before: left.present.count, since: left.present.isEmpty ? nil : now)
    }

    private mutating func add(_ point: TelemetryPoint) {
        let lane = point.kind.lane
        guard var before = lanes[lane].points[point.id] else {
            lanes[lane].points[point.id] = [point]
            lanes[lane].push(point.id)
            waiting += 1
            return
        }
        if isDown || backlog > 0 {
            before.append(point)
            waiting += 1
        } else {
            // Of what gathered in a silence only the newest may go: it is as old as a moment.
            before[before.count - 1] = point
            superseded[point.kind, default: 0] += 1
        }
        lanes[lane].points[point.id] = before
    }

    /// The least important first, of those the one that has waited longest.
    private mutating func dropOne() -> Bool {
        for lane in lanes.indices.reversed() {
            guard var points = lanes[lane].pop() else { continue }
            let id = points[0].id
            points.removeFirst()
            waiting -= 1
            dropped += 1
            if !points.isEmpty {
                lanes[lane].points[id] = points
                lanes[lane].push(id)
            }
            return true
        }
        return false
    }

    /// Resources that are gone must not be remembered for ever.
    private mutating func sweep(at now: Timestamp) {
        guard let sweptAt else {
            self.sweptAt = now
            return
        }
        let age = max(options.interval * 3, options.attributesEvery)
        guard now - sweptAt >= age || now < sweptAt else { return }
        self.sweptAt = now
        known = known.filter { now - $0.value.takenAt < age && $0.value.takenAt - now < age }
    }

    /// The next batch, if it is time and none is on its way; `ended` must follow.
    mutating func next(at now: Timestamp) -> Batch? {
        guard sending == nil, waiting > 0, isDue(now) else { return nil }
        var entries: [Entry] = []
        var count = 0
        // Resources with many points of a long silence fill a batch sooner.
        let most = options.perBatch * 4
        for lane in lanes.indices {
            while entries.count < options.perBatch, count < most, let all = lanes[lane].pop() {
                let points = Array(all.prefix(most - count))
                if points.count < all.count {
                    // The others of the lane have their turn first.
                    lanes[lane].points[all[0].id] = Array(all[points.count...])
                    lanes[lane].push(all[0].id)
                }
                count += points.count
                entries.append(Entry(points: points, withAttributes: wantsAttributes(points[points.count - 1], now)))
            }
        }
        waiting -= count
        number += 1
        let batch = Batch(entries: entries, number: number)
        sending = batch
        nextAt = now + pace
        return batch
    }

    private func isDue(_ now: Timestamp) -> Bool {
        guard let nextAt else { return true }
        // Further away than any pause is long: our clock was set back.
        return now >= nextAt || nextAt - now > max(pace, Self.longestPause)
    }

    private func wantsAttributes(_ point: TelemetryPoint, _ now: Timestamp) -> Bool {
        guard !point.attributes.isEmpty else { return false }
        guard let known = known[point.id], let at = known.attributesAt else { return true }
        return known.attributesHash != point.attributes.hashValue || now - at >= options.attributesEvery
    }

    /// The batch that `next` gave has gone, or not.
    mutating func ended(_ outcome: Outcome, at now: Timestamp, jitter: Double) {
        guard let batch = sending else { return }
        sending = nil
        switch outcome {
        case .sent:
            worked(batch)
            backoff.succeeded()
            for entry in batch.entries where entry.withAttributes {
                let last = entry.points[entry.points.count - 1]
                // The second time comes sooner, so that many processes do not stay in step.
                let isFirst = known[last.id]?.attributesAt == nil
                known[last.id]?.attributesAt = now - (isFirst ? options.attributesEvery * (options.turn ?? 0) : .zero)
                known[last.id]?.attributesHash = last.attributes.hashValue
            }
        case .refused:
            worked(batch)
            dropped += Int64(batch.pointCount)
        case .failed:
            isDown = true
            nextAt = now + backoff.failed(jitter: jitter)
            giveBack(batch)
        }
    }

    /// The other side answers: what has gathered goes first, then the newest of each is enough.
    private mutating func worked(_ batch: Batch) {
        backlog = isDown ? waiting : min(waiting, max(0, backlog - batch.pointCount))
        isDown = false
    }

    /// In front of what came since, so that the order of time is kept.
    private mutating func giveBack(_ batch: Batch) {
        var front = [[UUID5]](repeating: [], count: lanes.count)
        for entry in batch.entries {
            let (id, lane) = (entry.points[0].id, entry.points[0].kind.lane)
            lanes[lane].points[id] = entry.points + (lanes[lane].points[id] ?? [])
            front[lane].append(id)
            waiting += entry.points.count
        }
        for lane in lanes.indices where !front[lane].isEmpty {
            let first = Set(front[lane])
            lanes[lane].order = front[lane] + lanes[lane].order[lanes[lane].head...].filter { !first.contains($0) }
            lanes[lane].head = 0
        }
        while waiting > options.maximumWaiting, dropOne() {}
    }
}
