import Messages
import Support

/// Whether drained nodes that waited for their stack are still empty.
extension ActuatorCore {
    /// Of drained nodes those that were seen to be empty shortly before the group was read (reading a slow cloud may
    /// take long), and those that start no pods any more. Nil while others are looked at.
    ///
    /// Many are looked at in one round, and it is the last look that has to be fresh: a thousand nodes take longer to
    /// look at than one look stays fresh, so by themselves they would go a few at a time, each few in a change of the
    /// stack of their own.
    /// - Parameter limit: How old a look may be; nil: as long as it is fresh.
    mutating func stillEmpty(
        _ names: [String], _ reading: GroupReading, in id: String, within limit: Interval? = nil
    ) -> [String]? {
        let limit = limit ?? policy.lookAgainAfter
        let doubtful = names.filter(mayHavePods)
        func isFresh(_ look: Timestamp?) -> Bool { look.map { reading.begunAt - $0 <= limit } ?? false }
        if let since = groups[id]?.lookingSince {
            if doubtful.contains(where: { removals[$0]?.isReadingPods == true }), now - since < policy.lookPatience {
                return nil
            }
            groups[id]?.lookingSince = nil
            func wasSeen(_ name: String) -> Bool { (removals[name]?.emptyAt).map { $0 >= since } ?? false }
            if isFresh(doubtful.filter(wasSeen).compactMap({ removals[$0]?.emptyAt }).max()) {
                return names.filter { !mayHavePods($0) || wasSeen($0) }
            }
        }
        let unseen = doubtful.filter { !isFresh(removals[$0]?.emptyAt) }
        if unseen.isEmpty { return names }
        groups[id]?.lookingSince = now
        timers.setEarlier(.group(id), at: now + policy.lookPatience)
        for name in unseen { readPods(name) }
        return nil
    }

    /// Whether pods may have come since the node was drained: a node that is not ready starts none. What somebody else takes
    /// away goes in any case, unless it lives on after all.
    private func mayHavePods(_ node: String) -> Bool {
        guard let removal = removals[node] else { return false }
        return !removal.isMachine && !removal.nodeIsGone && nodes[node]?.isReady == true && !isBeingTaken(removal)
    }

    /// Whether somebody else is taking the machine away at this moment.
    func isBeingTaken(_ removal: Removal) -> Bool {
        cannotReturn(removal) && member(of: removal.record)?.isLeaving != false
    }

    /// Of the nodes of a change those that are empty, as seen shortly before Heat is called; nil while they are looked at.
    /// Between the drain and this moment the stack may have been busy for long, or this process away, and a pod that tolerates
    /// the taint may have come; nobody tells it any more once Heat is called.
    mutating func emptyBeforeHeat(_ names: [String], _ reading: GroupReading, in id: String) -> [String]? {
        stillEmpty(names, reading, in: id, within: policy.lookBeforeHeat)
    }
}
