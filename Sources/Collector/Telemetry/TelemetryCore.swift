import Crypto
import Messages
import Support

/// What goes to Ceilometer or Gnocchi and when: a bounded, fair, slow stream. Pure.
///
/// - Each resource is sent once an interval, the latest that is known of it.
/// - A batch holds few resources, and batches keep a distance: Ceilometer handles one notification at a time, and a large
///   one blocks all samples of the cloud (seen: 5,000 resources, two minutes).
/// - While the other side takes no batch the points gather, up to a bound; then the oldest of the least important go.
///   While it works, a newer point takes the place of one that still waits.
/// - Attributes travel at first, when they change, and now and then: each time costs Gnocchi a write.
struct TelemetryCore: Sendable {
    /// Sizes and times.
    struct Options: Sendable {
        /// Time between two points of a resource.
        var interval: Interval
        /// Resources in a batch.
        var perBatch: Int
        /// Time between two batches.
        var pace: Interval
        /// Points kept while they cannot be sent.
        var maximumWaiting: Int
        /// Time between two times that the attributes of a resource travel.
        var attributesEvery: Interval
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
    private var lanes = [Lane](repeating: Lane(), count: 3)
    private var known: [UUID5: Known] = [:]
    private var sending: Batch?
    private var nextAt: Timestamp?
    private var backoff: Backoff
    private var isDown = false
    private var number: Int64 = 0
    private var sweptAt: Timestamp?

    /// Resources that something is remembered of.
    var remembered: Int { known.count }
    /// Points that wait.
    private(set) var waiting = 0
    /// Points that were given up because too many waited.
    private(set) var dropped: Int64 = 0

    init(_ options: Options) {
        self.options = options
        backoff = Backoff(first: max(options.pace, .seconds(1)), cap: .seconds(60))
    }

    /// Takes points in; those of resources whose turn it is not yet are passed over.
    mutating func take(_ points: [TelemetryPoint], at now: Timestamp) {
        for point in points {
            if let before = known[point.id] {
                // A little early is on time: readings are not quite regular.
                guard point.at - before.takenAt >= options.interval * 0.9 else { continue }
                known[point.id]?.takenAt = point.at
            } else {
                known[point.id] = Known(takenAt: point.at, attributesAt: nil, attributesHash: 0)
            }
            add(point)
        }
        sweep(at: now)
        while waiting > options.maximumWaiting, dropOne() {}
    }

    private mutating func add(_ point: TelemetryPoint) {
        let lane = point.kind.lane
        guard var before = lanes[lane].points[point.id] else {
            lanes[lane].points[point.id] = [point]
            lanes[lane].push(point.id)
            waiting += 1
            return
        }
        if isDown {
            before.append(point)
            waiting += 1
        } else {
            waiting -= before.count - 1
            before = [point]
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
        guard now - sweptAt >= age else { return }
        self.sweptAt = now
        known = known.filter { now - $0.value.takenAt < age }
    }

    /// The next batch, if it is time and none is on its way; `ended` must follow.
    mutating func next(at now: Timestamp) -> Batch? {
        guard sending == nil, waiting > 0, nextAt.map({ now >= $0 }) ?? true else { return nil }
        var entries: [Entry] = []
        var count = 0
        for lane in lanes.indices {
            // Resources with many points of a long silence fill a batch sooner.
            while entries.count < options.perBatch, count < options.perBatch * 4, let points = lanes[lane].pop() {
                count += points.count
                entries.append(Entry(points: points, withAttributes: wantsAttributes(points[points.count - 1], now)))
            }
        }
        waiting -= count
        number += 1
        let batch = Batch(entries: entries, number: number)
        sending = batch
        nextAt = now + options.pace
        return batch
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
            isDown = false
            backoff.succeeded()
            for entry in batch.entries where entry.withAttributes {
                let last = entry.points[entry.points.count - 1]
                known[last.id]?.attributesAt = now
                known[last.id]?.attributesHash = last.attributes.hashValue
            }
        case .refused:
            isDown = false
            dropped += Int64(batch.entries.reduce(0) { $0 + $1.points.count })
        case .failed:
            isDown = true
            nextAt = now + backoff.failed(jitter: jitter)
            giveBack(batch)
        }
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
            // The same id may stand there twice now; the second finds nothing.
            lanes[lane].order = front[lane] + lanes[lane].order[lanes[lane].head...]
            lanes[lane].head = 0
        }
        while waiting > options.maximumWaiting, dropOne() {}
    }
}
