import Support

/// Which nodes this replica asks: rendezvous hashing over the replicas that are heard. Pure.
///
/// Every replica says once a second that it lives (the probes that also tell who is active) and hears the others from a
/// queue of its own. For each node the replica with the highest hash of node and replica asks. When a replica falls
/// silent only its nodes go to others; when one comes only those that it gets change hands. Two may ask the same node
/// for as long as they do not know of each other: that costs a scrape and harms nobody. So a replica that does not hear
/// itself, because the broker is away for a moment, keeps what it had: nobody is heard then, and to stop would lose numbers.
///
/// One that does not know the nodes, or has lost sight of them, says so (it is *blind*): it has no part while anybody sees them,
/// since nobody would ask its nodes. Where all are blind they share as before what they know.
struct ScrapeShare {
    private let replica: String
    private let lease: Interval
    private let settling: Interval
    private let hold: Interval
    private struct Word {
        var at: Timestamp
        var isBlind: Bool
    }

    private var heard: [String: Word] = [:]
    private var hashes: [(replica: String, hash: UInt64)] = []
    private var firstHeardAt: Timestamp?
    /// When it was last known who lives.
    private var knownAt: Timestamp?
    private var isCutOff = false

    /// - Parameters:
    ///   - replica: this one's name.
    ///   - lease: who has not been heard for so long is gone.
    ///   - settling: so long after the first word a new replica listens before it asks anybody.
    ///   - hold: so long a replica that does not hear itself keeps what it had.
    init(
        replica: String, lease: Interval = .seconds(5), settling: Interval = .seconds(2), hold: Interval = .minutes(5)
    ) {
        self.replica = replica
        self.lease = lease
        self.settling = settling
        self.hold = hold
    }

    /// The replicas that live and have a part, in order of name.
    var replicas: [String] { hashes.map(\.replica) }

    /// A replica, perhaps this one, said that it lives.
    /// - Parameter isBlind: it does not know which nodes there are, or no longer.
    mutating func heard(_ name: String, isBlind: Bool = false, at now: Timestamp) {
        // Nobody runs hundreds; more are somebody's forgery and must not cost memory.
        guard heard[name] != nil || heard.count < 256 else { return }
        firstHeardAt = firstHeardAt ?? now
        let before = heard.updateValue(Word(at: now, isBlind: isBlind), forKey: name)
        if before?.isBlind != isBlind { sort() }
    }

    /// What this replica asks of `nodes`. Empty until the replica hears itself, and when it has not for long: without a
    /// broker nobody could be told.
    mutating func mine(_ nodes: [String], at now: Timestamp) -> [String] {
        // Our clock was set back.
        if let first = firstHeardAt, first > now { firstHeardAt = now - settling }
        guard let firstHeardAt, now - firstHeardAt >= settling else { return [] }
        if heard[replica].map({ isFresh($0.at, now) }) ?? false {
            // The others were not heard either: they have a lease to be heard again.
            if isCutOff { heard = heard.mapValues { Word(at: now, isBlind: $0.isBlind) } }
            isCutOff = false
            knownAt = now
            let before = heard.count
            heard = heard.filter { isFresh($0.value.at, now) }
            if heard.count != before { sort() }
        } else {
            isCutOff = true
            guard let knownAt, now - knownAt < hold else { return [] }
        }
        if hashes.count == 1 { return hashes[0].replica == replica ? nodes : [] }
        return nodes.filter { owner(of: $0) == replica }
    }

    /// Heard within the lease; what was heard in our future was so before our clock was set back.
    private func isFresh(_ at: Timestamp, _ now: Timestamp) -> Bool {
        now - at < lease && at - now < lease
    }

    private func owner(of node: String) -> String? {
        let hash = StableHash.of(node)
        // Equal hashes: the later name, for all alike.
        return hashes.max {
            (StableHash.mixed($0.hash ^ hash), $0.replica) < (StableHash.mixed($1.hash ^ hash), $1.replica)
        }?
        .replica
    }

    private mutating func sort() {
        let sighted = heard.filter { !$0.value.isBlind }
        hashes = (sighted.isEmpty ? heard : sighted).keys.sorted().map { ($0, StableHash.of($0)) }
    }
}
