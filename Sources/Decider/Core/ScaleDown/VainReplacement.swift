import Messages
import Support

/// Machines of a group came to replace other nodes, and those stayed: it takes part in no replacement for a while.
struct VainReplacement: Sendable, Codable, Equatable {
    /// The first pause.
    static let first = Interval.minutes(60)
    /// Pauses grow up to this. An attempt as long after the last pause is a first one again.
    static let longest = Interval.minutes(24 * 60)

    /// Until when.
    var until: Timestamp
    /// How long this time.
    var duration: Interval

    init(until: Timestamp, _ duration: Interval) {
        (self.until, self.duration) = (until, duration)
    }

    /// Once more: twice as long as the last time.
    init(after last: VainReplacement?, at now: Timestamp) {
        duration = Self.first
        if let last, now < last.until + Self.longest { duration = min(last.duration * 2, Self.longest) }
        until = now + duration
    }
}

extension Engine {
    /// How a replacement ends.
    enum ReplacementEnd {
        /// The old nodes are gone.
        case done
        /// Pods wait for the room of the new ones, or the last of the old ones are on their way.
        case overtaken
        /// The new ones came, and old ones stay.
        case inVain
        /// The same, for want of a GPU.
        case unequipped
    }

    /// The replacement is over. A group whose machines came in vain is left alone for a while, longer each time: what kept the old
    /// nodes may keep them again, and each attempt costs machines, also where it cannot be seen before.
    mutating func end(_ plan: ConsolidationPlan, _ end: ReplacementEnd, at now: Timestamp) {
        memory.consolidation = nil
        memory.consolidatedAt = now
        guard let id = plan.group, let number = groupNumbers[id] else { return }
        switch end {
        case .done: groups[number].memory.vain = nil
        case .overtaken: break
        case .inVain: groups[number].memory.vain = VainReplacement(after: groups[number].memory.vain, at: now)
        case .unequipped:
            groups[number].memory.vain = VainReplacement(until: now + VainReplacement.longest, VainReplacement.longest)
        }
    }

    /// Why no replacement is begun with machines of the group, if so.
    func replacementPause(of number: Int, at now: Timestamp) -> Explanation? {
        guard configuration.scaleDown.consolidates, let vain = groups[number].memory.vain, now < vain.until else {
            return nil
        }
        return Explanation(.replacedInVain, "no nodes are replaced by machines of the group until \(vain.until)")
    }
}
