import Messages
import Support

/// What the core keeps of one group.
struct GroupTrack: Sendable {
    /// A decision that waits for its stack.
    struct Waiting: Sendable {
        var decision: ScaleDecided
        var ticket: Int?
        var since: Timestamp
        var lastFailure: ActFailure?
        /// When its size was sent, and whether a reading showed it since, though Heat has not answered.
        var sentAt: Timestamp?
        var isSeen = false
    }

    /// Removals that wait for a reading to be begun.
    struct Start: Sendable {
        var decision: RemovalDecided
        var ticket: Int?
        var since: Timestamp
    }

    /// A member whose node works and could not be emptied: Heat's doubt of it was taken back.
    struct Kept: Sendable {
        var serverID: String?
        /// What Heat had said.
        var reason: String
        /// How often, and when last.
        var times: Int
        var lastAt: Timestamp

        /// Whether it has failed again for what lasts: in an update, or in a check that says the same. (Another mark or check may be
        /// somebody's wish to have it replaced.)
        func isSameDoubt(_ member: GroupState.Member) -> Bool {
            if member.status.hasPrefix("CHECK_") { return member.statusReason == reason }
            return !member.status.hasPrefix("DELETE_")
        }

        /// How long it stays failed at least when it fails again: the stack waits for it, so never for long.
        func pause(_ policy: ActuatorPolicy) -> Interval {
            min(policy.repairAfter * Double(1 << min(times - 1, 10)), policy.repairInterval)
        }
    }

    let policy: ActuatorPolicy.Group
    var reading: GroupReading?
    var failure: ActFailure?
    /// A reading is under way; `again`: something happened since it began.
    var isReading = false
    var again = false
    var wasAsked = false
    /// When the reading under way was begun.
    var readingSince = Timestamp(seconds: 0)
    /// Until when the next one waits, because the last one took long.
    var restsUntil = Timestamp(seconds: 0)
    /// When the next one begins at the latest, whatever the last one took; nil: whoever asked for it can wait.
    var readBy: Timestamp?
    /// Members that the reading under way looks for wherever they are, and those for which the last one looked: only of
    /// these the absence from a reading means that Heat has them no more.
    var seeking: Set<String> = []
    var sought: Set<String> = []
    /// Readings that began before this do not show our last act.
    var actedAt = Timestamp(seconds: 0)
    /// When Heat was last not heard to answer a size of the stack: that one may yet be carried out.
    var unansweredAt: Timestamp?

    var waiting: Waiting?
    /// When the newest scale decision seen was made: older ones that come back from the wait queue are superseded.
    var newest: Timestamp?
    /// When the newest removal seen was decided: the Decider decides none while a change of the size is under way, so
    /// decisions on the size that are older were carried out or given up. Nodes under removal tell it after a restart.
    var newestRemoval: Timestamp?
    var starts: [Start] = []
    /// Why nothing is changed any more, after an incident.
    var pause: Explanation?
    /// The node whose annotation tells of it, where its own record does not.
    var pauseStandsOn: String?

    /// Members that changes of ours took out while records of an earlier one are there, as those name them.
    var removed: Set<String> = []
    /// Since when its drained nodes are looked at once more, in one round.
    var lookingSince: Timestamp?
    /// Since when members carry our mark and no removal claims them, by identity.
    var orphans: [String: Timestamp] = [:]
    /// When the Nodes of such members were read past the watch, by name.
    var nodesRead: [String: Timestamp] = [:]
    /// Since when members are failed and still nodes, by identity; and when their removal was begun last.
    var failedNodes: [String: Timestamp] = [:]
    var failedNodesTriedAt: Timestamp?
    /// Members that are kept though Heat held them for failed, by identity. In memory only: another process tells their pods
    /// once more.
    var kept: [String: Kept] = [:]
    /// What is said in `/readyz` of deletions that are held too long.
    var heldTooLong: Explanation?
    /// Why letting go failed last.
    var releaseFailure: ActFailure?

    /// Since when its readings show the same.
    var stillSince = Timestamp(seconds: 0)
    /// When a stack that stood still was last given its size again, and when a failed one.
    var freedAt: Timestamp?
    /// What kept that from being done when it was last looked at.
    var freeingWaitsFor: String?
    var repairedAt: Timestamp?
    var isStuck = false
    /// What Nova says of servers whose members are no ready nodes, and when it was asked last.
    var servers: [String: ServerWord] = [:]
    var serversAskedAt: Timestamp?
    /// Members whose time to become a node is over, by identity: reported once.
    var late: Set<String> = []
    /// Members by servers that they had before, while there is a Node on such a server.
    var former: [String: GroupState.Member] = [:]
    /// Until when members whose Node was deleted while they were held are not let go, by physical id.
    var keptUntil: [String: Timestamp] = [:]

    /// Another group of the stack is read, and this one after it; how often in a row.
    var waitsForOthers = false
    var triesForOthers = 0

    var published: GroupState?
    var publishedAt = Timestamp(seconds: 0)

    /// How much longer than usual it takes until a failed group is repaired again. Where a kept member fails at each update, the
    /// repair does as well, and keeps the stack busy.
    var repairFactor: Double {
        Double(1 << min(max((kept.values.map(\.times).max() ?? 0) - 1, 0), 3))
    }

    init(policy: ActuatorPolicy.Group) {
        self.policy = policy
    }

    /// The reading under way is over. The next one waits as long as it took: each node under removal asks for readings,
    /// and with a thousand of a large group all of the time would go into them.
    mutating func readingIsOver(at now: Timestamp, _ policy: ActuatorPolicy) {
        if isReading { restsUntil = now + min(now - readingSince, policy.longestRest) }
        isReading = false
    }
}

/// The change of a stack that is under way.
struct StackChange: Sendable {
    /// What it is for.
    enum Kind: Sendable {
        /// A decision on the size.
        case scale(ScaleDecided)
        /// Members of drained nodes go; by node name.
        case removal(Set<String>)
        /// After a growth that failed: the size that is there is asked for, which sweeps failed members out and makes
        /// the stack whole again (docs/openstack/heat.md §9).
        case repair
        /// Members that carry our mark and no removal any more, or that Heat holds for failed though they work, are unmarked.
        case unmark
    }

    /// Where it stands.
    enum Step: Sendable {
        /// The records of the nodes are being written.
        case writing(Set<String>)
        /// A fresh reading decides what is next.
        case looking
        /// Members are being marked or unmarked; what failed so far.
        case marking(Set<String>, ActFailure?)
        /// The size was sent.
        case sending(Int)
        /// Heat accepted the size; it is followed until the stack settles.
        case settling(Int)
        /// Given up because of this: marks are being taken back; none at the moment: the next reading says which are left.
        case undoing(Set<String>, Explanation)
    }

    var group: String
    var kind: Kind
    var step: Step
    /// Since when all that are to go are marked.
    var markedAt: Timestamp?
    /// When Heat accepted the last size.
    var sentAt: Timestamp?
    /// Whether the stack was seen busy since.
    var sawBusy = false
    var attempts = 0
    /// Readings in a row that took too long to send a size on.
    var rereads = 0
    var deadline: Timestamp
    var lastFailure: ActFailure?
    /// Given up: until when marks are tried to be taken back, and when one last could not be.
    var undoBy: Timestamp?
    var unmarkFailedAt: Timestamp?

    var isUnmarking: Bool { if case .unmark = kind { true } else { false } }
}

/// A cancellation of a node on which no such removal is seen.
struct CancellationToCheck: Sendable {
    var decision: RemovalCancelled
    var ticket: Int
}

/// One removal.
struct Removal: Sendable {
    /// A step that waits for the one being written.
    struct Request: Sendable {
        var transition: RemovalTransition
        var ticket: Int?
    }

    /// As last read from or written to the Node.
    var record: RemovalRecord
    var uid: String
    /// Until when its decision allows it to begin; nil: it was begun by another process, or by nobody's decision.
    var beginBy: Timestamp?
    /// The edit under way, and the step that it is for (none for the first and the last edit).
    var editing: NodeEdit?
    var editRequest: Request?
    var editFailures = 0
    var editRetries = false
    var queue: [Request] = []
    /// There never was a Node object: see `ActuatorCore+Machines`.
    var isMachine = false
    /// The Node object is gone: steps are kept in memory only.
    var nodeIsGone = false
    var drain = DrainPlan()
    var surges = SurgePlan()
    /// StatefulSets with pods on the node, by UID.
    var sets: [String: SetState] = [:]
    var isReadingPods = false
    var isReadingVolumes = false
    /// Since when no pod is left and volumes are waited for.
    var emptySince: Timestamp?
    /// When it was last seen to be empty, once it was drained.
    var emptyAt: Timestamp?
    /// It failed after it was drained, and has pods again.
    var hasPodsAgain = false
    /// The volumes are detached, or nothing waits for them any more.
    var volumesAreSettled = false
    /// Volumes that stayed attached for longer than is waited; and whether pods of DaemonSets are on their way out, whose
    /// volumes nobody has looked for yet.
    var volumesGivenUp: Set<String> = []
    var daemonSetsGo = false
    var isDeleting = false
    /// Who delays the deletion of its machine, as it was last said.
    var delayedBy: [String] = []
    /// Since when Heat's lists say too little of its member, which somebody else took; and what Nova said last of its server.
    var unsettledSince: Timestamp?
    var lastFate: ServerFate?
    /// Since when its member was seen to be deleted. (Another process counts from when it saw it: under a deployment that is too late,
    /// so Heat's timeout fails the deletion first, and the machine lives on.)
    var leavingSince: Timestamp?
    /// Since when no list of Heat has it.
    var unlistedSince: Timestamp?
    /// Whether it was said that Heat is told not to delete its member.
    var refusesDeletion = false
    /// The pods as last read, while somebody else takes the machine away: tells what was lost.
    var seen: [NodePod]?

    /// Whether a step to `phase` is being written or waits.
    func isAskedFor(_ phase: RemovalPhase) -> Bool {
        editRequest?.transition.phase == phase || queue.contains { $0.transition.phase == phase }
    }
}
