import Support

/// Who is asked next, of those whose turn has come. Pure.
///
/// A node that is down costs the whole timeout each time, so that a few of them could keep all others waiting. Hence a node
/// that could not be reached is asked again after a pause that doubles, and all such nodes together have a quarter of the
/// places. When most nodes cannot be reached the fault is a common one, such as an API server that is away, which ends for
/// all at once: then no pause grows. Who has one node for good, and asks it itself, cannot tell.
struct ScrapeQueue {
    typealias Turn = ScrapeSchedule.Turn

    /// How a turn ended.
    enum Outcome: Equatable {
        /// The node answered, with numbers or without.
        case answered
        /// It could not be reached: the next one would most likely cost a timeout as well.
        case unreachable
    }

    private struct Trouble {
        var pause: Interval
        var until: Timestamp
    }

    /// A node is asked again after so long at the latest.
    static let longestPause = Interval.minutes(5)

    private let places: Int
    private let firstPause: Interval
    private let isSingle: Bool
    private var waiting = Fifo<Turn>()
    private var doubtful = Fifo<Turn>()
    /// Nodes that wait or are being asked, so that none stands in line twice.
    private var pending: Set<String> = []
    private var busy = 0
    /// Those being asked that could not be reached the last time.
    private var busyDoubtful: Set<String> = []
    private var troubles: [String: Trouble] = [:]
    private var nodes = 0

    /// - Parameters:
    ///   - places: so many are asked at a time.
    ///   - interval: between two turns of a node; the first pause is twice as long.
    ///   - isSingle: there is one node, and will never be more: that it cannot be reached is no sign of a common fault.
    init(places: Int, interval: Interval, isSingle: Bool = false) {
        self.places = places
        self.isSingle = isSingle
        firstPause = min(interval * 2, Self.longestPause)
    }

    /// Nodes that are being asked or wait for it.
    var count: Int { pending.count }

    /// The turn of these nodes has come. Who waits already, or has a pause, is passed over.
    mutating func add(_ turns: [Turn], at now: Timestamp) {
        for turn in turns where !pending.contains(turn.node) {
            if let trouble = troubles[turn.node] {
                // Further away than any pause is long: our clock was set back.
                if now < trouble.until, trouble.until - now <= Self.longestPause { continue }
                doubtful.append(turn)
            } else {
                waiting.append(turn)
            }
            pending.insert(turn.node)
        }
    }

    /// Whom to ask now; `ended` or `dropped` must follow.
    mutating func next() -> Turn? {
        guard busy < places else { return nil }
        // These first, since they have few places: else they would wait for ever while the others are many.
        if busyDoubtful.count < max(1, places / 4), let turn = doubtful.popFirst() {
            busyDoubtful.insert(turn.node)
            busy += 1
            return turn
        }
        guard let turn = waiting.popFirst() else { return nil }
        busy += 1
        return turn
    }

    /// A turn of `next` has ended.
    mutating func ended(_ node: String, _ outcome: Outcome, at now: Timestamp) {
        dropped(node)
        switch outcome {
        case .answered: troubles[node] = nil
        case .unreachable:
            let isCommon = !isSingle && troubles.count * 2 > nodes
            let pause =
                troubles[node].map { isCommon ? firstPause : min($0.pause * 2, Self.longestPause) } ?? firstPause
            troubles[node] = Trouble(pause: pause, until: now + pause)
        }
    }

    /// A turn of `next` was not taken: the node is gone.
    mutating func dropped(_ node: String) {
        guard pending.remove(node) != nil else { return }
        busyDoubtful.remove(node)
        busy -= 1
    }

    /// The nodes that there are; the troubles of others are forgotten.
    mutating func keep(only names: Set<String>) {
        nodes = names.count
        if troubles.contains(where: { !names.contains($0.key) }) {
            troubles = troubles.filter { names.contains($0.key) }
        }
    }
}
