/// Jobs that wait for their turn: so many at once, nodes in turn, and of one lane one after the other.
///
/// A lane is what must keep its order: the writes to one pod, the calls of one hook. First tries go before further
/// ones, so that hooks that never answer cost those that do nothing but the slots that they hold; every eighth start is
/// a further try's, so that these go on too.
struct DeliveryQueue<Job: Sendable>: Sendable {
    private struct Lane: Sendable {
        var node: String
        var jobs = Line<(job: Job, isFirst: Bool)>()
        var isBusy = false
    }

    /// Nodes with lanes that can start, in turn.
    private struct Ring: Sendable {
        var nodes = Line<String>()
        var lanes: [String: Line<String>] = [:]

        mutating func add(_ lane: String, of node: String) {
            if lanes[node] == nil { nodes.append(node) }
            lanes[node, default: Line()].append(lane)
        }

        mutating func take() -> String? {
            guard let node = nodes.popFirst(), var waiting = lanes.removeValue(forKey: node) else { return nil }
            let lane = waiting.popFirst()
            if !waiting.isEmpty {
                lanes[node] = waiting
                nodes.append(node)
            }
            return lane
        }
    }

    /// How many run at once.
    let limit: Int
    private(set) var running = 0
    /// Jobs that have not started.
    private(set) var waiting = 0
    private var lanes: [String: Lane] = [:]
    private var first = Ring()
    private var further = Ring()
    private var starts = 0

    init(limit: Int) {
        self.limit = max(1, limit)
    }

    /// Puts a job at the end of its lane.
    mutating func add(_ job: Job, lane: String, node: String, isFirst: Bool) {
        waiting += 1
        var own = lanes[lane] ?? Lane(node: node)
        own.jobs.append((job, isFirst))
        let mayStart = !own.isBusy && own.jobs.count == 1
        lanes[lane] = own
        if mayStart { enter(lane, own) }
    }

    private mutating func enter(_ name: String, _ lane: Lane) {
        if lane.jobs.first?.isFirst == true {
            first.add(name, of: lane.node)
        } else {
            further.add(name, of: lane.node)
        }
    }

    /// The next job to start, and its lane; nil when enough run or none waits. `finished` must follow.
    mutating func next() -> (job: Job, lane: String)? {
        guard running < limit else { return nil }
        starts += 1
        let name = starts % 8 == 0 ? further.take() ?? first.take() : first.take() ?? further.take()
        guard let name, let entry = lanes[name]?.jobs.popFirst() else { return nil }
        lanes[name]?.isBusy = true
        running += 1
        waiting -= 1
        return (entry.job, name)
    }

    /// A job has ended: its lane goes on.
    mutating func finished(_ name: String) {
        guard var lane = lanes[name], lane.isBusy else { return }
        running -= 1
        lane.isBusy = false
        if lane.jobs.isEmpty {
            lanes[name] = nil
        } else {
            lanes[name] = lane
            enter(name, lane)
        }
    }
}

/// First in, first out; both ends in constant time.
struct Line<Element> {
    private var elements: [Element?] = []
    private var head = 0

    var count: Int { elements.count - head }
    var isEmpty: Bool { count == 0 }
    var first: Element? { isEmpty ? nil : elements[head] }

    mutating func append(_ element: Element) {
        elements.append(element)
    }

    mutating func popFirst() -> Element? {
        guard !isEmpty else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        // Moved to the front only when most of the room is empty: each element moves a constant number of times.
        if head > 32, head > elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
        return element
    }
}

extension Line: Sendable where Element: Sendable {}
