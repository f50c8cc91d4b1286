/// Which of the things that were put in one after the other may be begun, while several are under way at once: those of a
/// lane one after the other, those of different lanes side by side. Pure; whoever runs them tells when one is done.
public struct LaneOrder<Item> {
    /// Where a thing stands among the others.
    public enum Place: Sendable, Hashable {
        /// After those before it in its lane.
        case lane(String)
        /// After all before it, and before all after it.
        case alone
        /// After all before it; nothing waits for it but others of this kind.
        case after
    }

    /// One that was begun.
    public struct Turn {
        /// The thing.
        public let item: Item
        fileprivate let number: Int
        fileprivate let place: Place
    }

    /// Not yet among those that may be begun: one that stands alone, and what came after it.
    private var later = Fifo<Turn>()
    private var ready = Fifo<Turn>()
    /// Lanes with one that is ready or under way, and what waits behind it.
    private var lanes: [String: Fifo<Turn>] = [:]
    private var followers = Fifo<Turn>()
    /// Numbers given: the next one's.
    private var count = 0
    /// All with lower numbers are done; `done`: those above it that are.
    private var lowest = 0
    private var done: Set<Int> = []
    /// Ready, waiting in a lane, or under way.
    private var open = 0
    private var isAlone = false
    private var isFollowing = false

    /// An empty one.
    public init() {}

    /// Whether nothing waits and nothing is under way.
    public var isEmpty: Bool { open == 0 && later.isEmpty && followers.isEmpty && !isFollowing }

    /// Puts a thing in after all that were put in before.
    public mutating func add(_ item: Item, _ place: Place) {
        let turn = Turn(item: item, number: count, place: place)
        guard place != .after else {
            followers.append(turn)
            return
        }
        count += 1
        later.append(turn)
        advance()
    }

    /// Begins the next one; nil: none may be begun now.
    public mutating func next() -> Turn? {
        if !isFollowing, let first = followers.first, first.number <= lowest {
            isFollowing = true
            return followers.popFirst()
        }
        return ready.popFirst()
    }

    /// One that was begun is done.
    public mutating func finished(_ turn: Turn) {
        switch turn.place {
        case .after:
            isFollowing = false
            return
        case .alone: isAlone = false
        case .lane(let lane):
            if let next = lanes[lane]?.popFirst() { ready.append(next) } else { lanes[lane] = nil }
        }
        open -= 1
        done.insert(turn.number)
        while done.remove(lowest) != nil { lowest += 1 }
        advance()
    }

    private mutating func advance() {
        while !isAlone, let turn = later.first {
            if case .lane(let lane) = turn.place {
                if lanes[lane] == nil {
                    lanes[lane] = Fifo()
                    ready.append(turn)
                } else {
                    lanes[lane]?.append(turn)
                }
            } else {
                guard open == 0 else { return }
                isAlone = true
                ready.append(turn)
            }
            open += 1
            later.removeFirst(1)
        }
    }
}

extension LaneOrder: Sendable where Item: Sendable {}
extension LaneOrder.Turn: Sendable where Item: Sendable {}
