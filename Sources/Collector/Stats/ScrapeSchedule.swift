import Support

/// When each node is asked: every `interval`, at a moment of its own, so that the work is spread. Pure.
///
/// A node that is new is asked at once. Its later moments come from its name, and are thus the same for every replica.
struct ScrapeSchedule {
    private let interval: Interval
    private let detailsEvery: Int
    private var next: [String: Timestamp] = [:]

    init(interval: Interval, details: Interval?) {
        self.interval = interval
        detailsEvery = details.map { max(1, Int(($0.inSeconds / interval.inSeconds).rounded())) } ?? 0
    }

    /// A node to ask now.
    struct Turn: Equatable {
        var node: String
        /// Whether network and file systems are wanted too.
        var details: Bool
    }

    /// The nodes whose moment has come; those that are not in `nodes` are forgotten.
    mutating func due(_ nodes: Set<String>, at now: Timestamp) -> [Turn] {
        if next.count > nodes.count || !next.keys.allSatisfy(nodes.contains) {
            next = next.filter { nodes.contains($0.key) }
        }
        var turns: [Turn] = []
        for node in nodes {
            let isFirst = next[node] == nil
            // A moment that is further away than any is made was made before our clock was set back.
            guard isFirst || next[node].map({ $0 <= now || $0 - now > interval * 2 }) == true else { continue }
            let hash = StableHash.of(node)
            turns.append(Turn(node: node, details: isFirst ? detailsEvery > 0 : wantsDetails(hash, now)))
            next[node] = moment(hash, after: now)
        }
        return turns.sorted { $0.node < $1.node }
    }

    private func phase(_ hash: UInt64) -> Int64 { Int64(hash % UInt64(interval.microseconds)) }

    /// Which turn it is, counted from the epoch: the same for every replica.
    private func wantsDetails(_ hash: UInt64, _ now: Timestamp) -> Bool {
        guard detailsEvery > 0 else { return false }
        let turn = (now.microseconds - phase(hash)) / interval.microseconds
        return (UInt64(bitPattern: turn) &+ (hash >> 32)) % UInt64(detailsEvery) == 0
    }

    private func moment(_ hash: UInt64, after now: Timestamp) -> Timestamp {
        let length = interval.microseconds
        let turn = (now.microseconds - phase(hash)) / length
        let moment = Timestamp(microseconds: (turn + 1) * length + phase(hash))
        // A first reading just before the moment would be followed by a second at once.
        return moment - now < interval * 0.25 ? moment + interval : moment
    }
}

/// A hash that is the same in every process: FNV-1a with a last mix.
enum StableHash {
    static func of(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return mixed(hash)
    }

    static func mixed(_ value: UInt64) -> UInt64 {
        var hash = (value ^ (value >> 33)) &* 0xff51_afd7_ed55_8ccd
        hash = (hash ^ (hash >> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return hash ^ (hash >> 33)
    }
}
