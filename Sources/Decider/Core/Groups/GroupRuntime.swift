import Messages
import Support

/// The request that an act is for, as far as it is: what becomes of the act is its outcome.
struct Asker: Sendable, Codable, Equatable {
    var request: ScaleRequested
    /// The rule that made the request, if one did.
    var rule: String?
    /// Nodes that were decided on for it, more or fewer.
    var decided: Int
    /// The size that the group was to have before.
    var from: Int
}

/// A `ScaleDecided` that has been published and whose outcome is awaited.
struct ScaleAct: Sendable, Codable, Equatable {
    var id: String
    var from: Int
    var to: Int
    var decidedAt: Timestamp
    /// Not begun by then: given up.
    var deadline: Timestamp
    /// Heat has accepted it.
    var startedAt: Timestamp?
    /// Who asked for it; nil: nobody, or the checkpoint of an older release does not say.
    var asker: Asker?
}

/// A `RemovalDecided` that has been published and is not over for all its nodes.
struct RemovalAct: Sendable, Codable, Equatable {
    struct Target: Sendable, Codable, Equatable {
        var node: String
        var nodeUID: String
        var serverID: String
        /// Whether pods had to be moved.
        var drains: Bool
        /// Past the point where it can be taken back.
        var isDrained = false
        /// Taking it back has been asked for.
        var isCancelled = false
        /// When it was first seen that its Node is gone and Heat deletes its member; nil: not yet.
        var deletedSince: Timestamp?
    }

    var id: String
    var targets: [Target]
    var decidedAt: Timestamp
    /// Not begun by then: given up.
    var deadline: Timestamp
    /// Word of it has come from the Actuator.
    var startedAt: Timestamp?
    /// Who asked for it; nil: nobody, or the checkpoint of an older release does not say.
    var asker: Asker?
    /// Nodes of it that went; nil: none.
    var gone: Int?
    /// True: one of its nodes was taken back on purpose.
    var wasTakenBack: Bool?
    /// Why the last of those that stay does.
    var failure: Explanation?
}

/// A group that failed to grow is left alone for a while.
struct GroupBackoff: Sendable, Codable, Equatable {
    /// Until when.
    var until: Timestamp
    /// How long this time.
    var duration: Interval
    /// When it last failed.
    var failedAt: Timestamp
    /// Why.
    var cause: Explanation
}

/// What settings say of a group's nodes, and since when.
struct SettingsEdit: Sendable, Codable, Equatable {
    /// When they were first seen to say so; nil: since before anything was known.
    var since: Timestamp?
    var declared: LastModel.Declared
}

/// What the Decider must not forget about a group.
struct GroupMemory: Sendable, Codable, Equatable {
    var scale: ScaleAct?
    var removal: RemovalAct?
    var backoff: GroupBackoff?
    /// When it was last made larger, and by how much is still expected.
    var grewAt: Timestamp?
    var expected = 0
    var removedAt: Timestamp?
    var removalFailedAt: Timestamp?
    /// Since when each server is a member without a Node.
    var unregisteredSince: [String: Timestamp] = [:]
    /// Of them those that took the place of another server in a member, or were seen to come late: the member is older than they are.
    /// Nil: none.
    var replaced: Set<String>?
    /// When a machine that may have been a Node was last let go, so that a full group can serve pods again.
    var releasedAt: Timestamp?
    /// The last good node, as a model for new ones while no other serves.
    var model: LastModel?
    /// What settings said of the group's nodes, the last edits of them in order.
    var settings: [SettingsEdit]?
    /// Its machines came in vain when they were to replace other nodes; nil: not of late.
    var vain: VainReplacement?
    /// Since when the wanted size differs from the members by this much.
    var mismatch: Mismatch?
    /// A request from outside that is being considered.
    var signal: ScaleRequested?
    /// The rule that made the request, if one did.
    var rule: String?

    struct Mismatch: Sendable, Codable, Equatable {
        var expected: Int
        var current: Int
        var since: Timestamp
    }
}

/// A node group: its rules, what is known of it, and what is under way.
struct GroupRuntime: Sendable {
    var rules: GroupRules
    var state: GroupState?
    var heardAt: Timestamp?
    var memory = GroupMemory()
    /// The last server of each member, by the member's name.
    var servers: [String: String] = [:]
    /// Classes of the last model's static pods, good for this revision of the classes.
    var mirrorClasses: (revision: Int, numbers: [Int])?

    init(rules: GroupRules) {
        self.rules = rules
    }

    var minimum: Int { max(rules.min, state?.min ?? 0) }
    var maximum: Int { min(rules.max, state?.max ?? Int.max) }

    /// The size that removals may not go below.
    func smallest(_ rules: ScaleDownRules) -> Int { max(minimum, rules.smallestGroup) }

    /// Says that no node can be spared; `going` are on their way out already.
    func minimumReached(least: Int, going: Int = 0) -> Explanation {
        if rules.zeroOrMax {
            return Explanation(.minimumReached, "all or none go, and at least \(least) has to stay")
        }
        return Explanation(.minimumReached, "size \(target - going), at least \(least) (\(rules.origin).min)")
    }

    /// The size that is wanted as far as is known: an act under way counts until its outcome is seen.
    var target: Int {
        let size = state?.size ?? 0
        guard let act = memory.scale else { return size }
        return act.to > act.from ? max(size, act.to) : size
    }

    /// Takes in what the Actuator says, and which servers are others than the members had before.
    mutating func take(_ next: GroupState) {
        state = next
        // One whose members could not be read says nothing of them.
        if next.members.isEmpty && next.problem != nil { return }
        var known: [String: String] = [:]
        for member in next.members {
            let before = servers[member.name]
            known[member.name] = member.serverID ?? before
            if let server = member.serverID, let before, before != server {
                memory.replaced = (memory.replaced ?? []).union([server])
            }
        }
        servers = known
    }

    /// Whether a node of this group's stack is remembered.
    var isKnownToWork: Bool { memory.model.map { $0.stack == state?.stackID } ?? false }

    /// Whether an increase is being waited for.
    func isGrowing(at now: Timestamp, timeout: Interval) -> Bool {
        guard memory.expected > 0, let grewAt = memory.grewAt else { return false }
        return now <= grewAt + timeout
    }

    func isBackedOff(at now: Timestamp) -> Bool {
        guard let backoff = memory.backoff else { return false }
        return now < backoff.until
    }

    /// One more failure to grow: each doubles the time, unless the last is long past or its backoff still runs.
    ///
    /// - Parameter restarts: a failure during a backoff makes it begin anew with the first duration, which may be shorter.
    mutating func backOff(at now: Timestamp, cause: Explanation, _ rules: ScaleUpRules, restarts: Bool = false) {
        var duration = rules.initialBackoff
        var until = now + duration
        if let last = memory.backoff {
            if !(last.until < now) {
                // Failures that come together are one failure: the time is not doubled, yet it is the last that it runs from.
                if !restarts { (duration, until) = (last.duration, max(last.until, until)) }
            } else if now - last.failedAt < rules.backoffReset {
                duration = min(last.duration * 2, rules.maximumBackoff)
                until = now + duration
            }
        }
        memory.backoff = GroupBackoff(until: until, duration: duration, failedAt: now, cause: cause)
    }

    /// So many nodes more, or fewer, are on their way. Fewer do not give the others more time.
    mutating func grow(by count: Int, at now: Timestamp) {
        memory.expected = max(0, memory.expected + count)
        if count > 0 { memory.grewAt = now }
    }
}

/// The nodes of a group by what they are good for.
struct GroupReadiness: Sendable, Equatable {
    var ready: [Int] = []
    var unready: [Int] = []
    /// Registered, not ready, younger than the startup time.
    var starting: [Int] = []
    /// Being removed.
    var leaving: [Int] = []
    /// Servers without a Node.
    var unregistered: [String] = []
    /// Of them those past the provision time.
    var longUnregistered: [String] = []

    /// Whether any machine of the group has a Node.
    var hasNodes: Bool { !(ready.isEmpty && unready.isEmpty && starting.isEmpty && leaving.isEmpty) }

    /// Whether there is neither a node nor a server of the group.
    var isEmpty: Bool { !hasNodes && unregistered.isEmpty }
}
