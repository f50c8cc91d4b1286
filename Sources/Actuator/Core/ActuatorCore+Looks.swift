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
    mutating func stillEmpty(_ names: [String], _ reading: GroupReading, in id: String) -> [String]? {
        let doubtful = names.filter(mayHavePods)
        func isFresh(_ look: Timestamp?) -> Bool { look.map { reading.begunAt - $0 <= policy.lookAgainAfter } ?? false }
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

    /// Whether pods may have come since the node was drained: a node that is not ready starts none.
    private func mayHavePods(_ node: String) -> Bool {
        guard let removal = removals[node] else { return false }
        return !removal.isMachine && !removal.nodeIsGone && nodes[node]?.isReady == true && !cannotReturn(removal)
    }
}
