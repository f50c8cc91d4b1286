import Messages
import Support

/// Empties one node: which pods to evict now, which later, and whether all are gone.
///
/// Order: pods of critical priority (2,000,000,000 and more) wait until the others are gone; among the others, and among these,
/// a higher priority waits until each eviction of a lower one is accepted, for `orderPatience` at most. Pods of one StatefulSet go
/// one by one, the highest ordinal first, as their controller would, also where they are on several nodes that are drained at the
/// same time.
/// *Gone* means that the object is gone: a pod whose grace period runs is still there, and one that was evicted and has ended.
public struct DrainPlan: Sendable {
    struct Attempt: Sendable {
        var isInFlight = false
        var isAccepted = false
        /// Deleted, not evicted.
        var isForced = false
        /// When it was first asked for.
        var askedAt: Timestamp?
        var retryAt: Timestamp?
        var obstacle: Explanation?
    }

    /// What to do next.
    public enum Step: Sendable, Equatable {
        /// No pod that has to be moved is left.
        case drained
        /// Evict these now (perhaps none) and look again at `again`.
        case evict([Eviction], again: Timestamp)
    }

    /// An eviction to ask for.
    public struct Eviction: Sendable, Equatable {
        /// The pod.
        public var pod: NodePod
        /// Seconds, where the pod's own grace period is too long.
        public var grace: Int64?
    }

    static let criticalPriority: Int32 = 2_000_000_000
    /// How long after the end of its grace period the object of a pod is waited for, where that is past the drain's deadline:
    /// the kubelet has to kill, unmount and report. A grace period is cut to end with the drain, so without this a pod that
    /// uses all of it would be killed for a drain that fails a second before it is gone.
    static let endingMargin = Interval.seconds(10)

    /// How long a pod that may not go (its budget forbids it) holds up those of higher priority.
    static let orderPatience = Interval.seconds(30)

    private var attempts: [String: Attempt] = [:]
    /// StatefulSets of which a pod was on its way from here when this was last asked, by UID.
    private(set) var movingSets: Set<String> = []
    /// The DaemonSet pods that were there when the others were gone; their controller may bring new ones, which stay.
    private var daemonSets: [String: Attempt]?

    /// Nothing was tried yet.
    public init() {}

    /// What keeps the node from being empty: named in the failure when the deadline passes.
    public var obstacle: Explanation? {
        attempts.sorted { $0.key < $1.key }.lazy.compactMap(\.value.obstacle).first
    }

    /// Those of these pods that the node waits for. One that was asked to go is there until its object is gone, also when its
    /// kubelet has written that it ended: what it had mounted may be there still. Whom others asked, or another process, is waited
    /// for as well, but not without end: somebody's finalizer may keep the object of what ended long ago.
    func remaining(of pods: [NodePod], at now: Timestamp, _ policy: ActuatorPolicy) -> [NodePod] {
        pods.filter { pod in
            if pod.isMoved { return true }
            guard let deletedAt = pod.deletedAt, !pod.belongsToNode else { return false }
            if let attempt = attempts[pod.uid], attempt.askedAt != nil || attempt.isForced { return true }
            return now < deletedAt + policy.strandedAfter
        }
    }

    /// The next step, given the pods that are on the node now.
    /// - Parameters:
    ///   - held: UIDs of pods that wait for something else.
    ///   - holdingUp: UIDs of those of them that pods of higher priority wait for all the same.
    ///   - movingElsewhere: UIDs of StatefulSets of which a pod is on its way from another node.
    ///   - isForced: pods are deleted: all at once, those that a budget held before as well.
    public mutating func next(
        pods: [NodePod], held: Set<String> = [], holdingUp: Set<String> = [], movingElsewhere: Set<String> = [],
        isForced: Bool = false, at now: Timestamp, deadline: Timestamp, policy: ActuatorPolicy
    ) -> Step {
        let left = remaining(of: pods, at: now, policy)
        let present = Set(left.map(\.uid))
        attempts = attempts.filter { present.contains($0.key) || $0.value.isInFlight }
        movingSets = []
        guard !left.isEmpty else { return .drained }
        if isForced {
            let due = left.filter { !held.contains($0.uid) }
            return .evict(force(due, at: now, deadline, policy), again: min(now + policy.drainPoll, deadline))
        }
        let ordinary = left.filter { $0.priority < DrainPlan.criticalPriority }
        let wave = (ordinary.isEmpty ? left : ordinary).sorted(by: DrainPlan.precedes)
        var room = policy.evictionsAtOnce - attempts.values.count(where: \.isInFlight)
        movingSets = Set(wave.filter { $0.ownerKind == "StatefulSet" && isMoving($0) }.map(\.ownerUID))
        var ordered = movingSets.union(movingElsewhere)
        var evictions: [Eviction] = []
        // Of most that wait for something else nobody knows how long; they hold up nobody.
        let first = wave.first { pod in
            holdingUp.contains(pod.uid) || (!held.contains(pod.uid) && holdsUpOthers(pod, at: now))
        }
        var limit = first?.priority ?? .max
        for pod in wave where room > 0 && pod.priority <= limit && !isMoving(pod) && !held.contains(pod.uid) {
            if let retryAt = attempts[pod.uid]?.retryAt, retryAt > now { continue }
            if pod.ownerKind == "StatefulSet", !ordered.insert(pod.ownerUID).inserted { continue }
            if pod.ownerKind == "StatefulSet" { movingSets.insert(pod.ownerUID) }
            let askedAt = attempts[pod.uid]?.askedAt
            attempts[pod.uid, default: Attempt()].isInFlight = true
            attempts[pod.uid]?.askedAt = askedAt ?? now
            if askedAt == nil { limit = min(limit, pod.priority) }
            evictions.append(Eviction(pod: pod, grace: DrainPlan.grace(pod, at: now, deadline, policy)))
            room -= 1
        }
        return .evict(evictions, again: min(now + policy.drainPoll, deadline))
    }

    /// Whether, after `deadline`, all that is left (at least one) ends by itself in a moment: each one's grace period ends by
    /// then or shortly after, and no longer ago than a kubelet needs.
    static func areEnding(_ left: [NodePod], at now: Timestamp, deadline: Timestamp) -> Bool {
        !left.isEmpty
            && left.allSatisfy { pod in
                guard let deletedAt = pod.deletedAt else { return false }
                return deletedAt <= deadline + endingMargin && now < deletedAt + endingMargin
            }
    }

    private mutating func force(
        _ left: [NodePod], at now: Timestamp, _ deadline: Timestamp, _ policy: ActuatorPolicy
    ) -> [Eviction] {
        var deletions: [Eviction] = []
        for pod in left.sorted(by: DrainPlan.precedes) {
            let attempt = attempts[pod.uid] ?? Attempt()
            if attempt.isInFlight || (attempt.isForced && attempt.isAccepted) { continue }
            if let retryAt = attempt.retryAt, attempt.isForced, retryAt > now { continue }
            // Its grace period runs already; only a shorter one is a reason to say it again.
            if pod.deletedAt != nil && policy.forceGrace == nil { continue }
            attempts[pod.uid] = Attempt(isInFlight: true, isForced: true, obstacle: attempt.obstacle)
            deletions.append(Eviction(pod: pod, grace: DrainPlan.forcedGrace(pod, at: now, deadline, policy)))
        }
        return deletions
    }

    /// The next step with DaemonSet pods, when the others are gone. Those that were not told of `removal` stay: they came when
    /// the others had been told, or nobody tells them.
    public mutating func nextOfDaemonSets(
        pods: [NodePod], of removal: String, held: Set<String> = [], at now: Timestamp, deadline: Timestamp,
        policy: ActuatorPolicy
    ) -> Step {
        var known =
            daemonSets
            ?? Dictionary(
                pods.filter { $0.isEvictedLast && NoticeMarks($0.annotations, removal: removal) != nil }
                    .map { ($0.uid, Attempt()) },
                uniquingKeysWith: { first, _ in first })
        let left = pods.filter { known[$0.uid] != nil }.sorted(by: DrainPlan.precedes)
        var evictions: [Eviction] = []
        for pod in left where pod.deletedAt == nil && !held.contains(pod.uid) {
            guard let attempt = known[pod.uid], !attempt.isInFlight, !attempt.isAccepted else { continue }
            if let retryAt = attempt.retryAt, retryAt > now { continue }
            known[pod.uid]?.isInFlight = true
            evictions.append(Eviction(pod: pod, grace: DrainPlan.grace(pod, at: now, deadline, policy)))
        }
        daemonSets = known
        return left.isEmpty ? .drained : .evict(evictions, again: min(now + policy.drainPoll, deadline))
    }

    /// Why a pod that the node has to wait for is not evicted yet.
    mutating func waits(_ podUID: String, _ why: Explanation) {
        attempts[podUID, default: Attempt()].obstacle = why
    }

    /// An eviction was not asked for after all.
    mutating func withdraw(_ podUID: String) {
        attempts[podUID]?.isInFlight = false
        daemonSets?[podUID]?.isInFlight = false
    }

    /// What became of an eviction or a deletion.
    public mutating func evicted(
        _ podUID: String, _ outcome: EvictionOutcome, at now: Timestamp, policy: ActuatorPolicy
    ) {
        if let attempt = attempts[podUID] {
            attempts[podUID] = DrainPlan.answered(attempt, outcome, at: now, policy)
        } else if let attempt = daemonSets?[podUID] {
            daemonSets?[podUID] = DrainPlan.answered(attempt, outcome, at: now, policy)
        }
    }

    private static func answered(
        _ attempt: Attempt, _ outcome: EvictionOutcome, at now: Timestamp, _ policy: ActuatorPolicy
    ) -> Attempt {
        var attempt = attempt
        attempt.isInFlight = false
        switch outcome {
        case .accepted:
            attempt.isAccepted = true
            attempt.obstacle = nil
        case .gone:
            // Or so it seemed: one that is listed again is asked for again.
            attempt.retryAt = now + policy.evictionRetry
            attempt.obstacle = nil
        case .blocked(let budget, let retryAfter):
            attempt.retryAt = now + max(retryAfter ?? policy.evictionRetry, .milliseconds(100))
            attempt.obstacle = Explanation(.evictionBlocked, budget)
        case .failed(let failure):
            attempt.retryAt = now + policy.evictionRetry
            attempt.obstacle = failure.explanation
        }
        return attempt
    }

    /// Whether a pod was asked to go, not long ago, and it is not known yet that it does.
    private func holdsUpOthers(_ pod: NodePod, at now: Timestamp) -> Bool {
        guard pod.deletedAt == nil, let attempt = attempts[pod.uid], !attempt.isAccepted, let askedAt = attempt.askedAt
        else { return false }
        return now - askedAt < DrainPlan.orderPatience
    }

    /// Whether others wait for one that was to go at `since`: not longer than for one that was asked and may not.
    func isPatient(with podUID: String, since: Timestamp, at now: Timestamp) -> Bool {
        now - (attempts[podUID]?.askedAt ?? since) < DrainPlan.orderPatience
    }

    /// Whether a pod may be asked to go now, as far as earlier answers tell.
    func isDue(_ podUID: String, at now: Timestamp) -> Bool {
        attempts[podUID]?.retryAt.map { $0 <= now } ?? true
    }

    /// Whether a pod is on its way out, or is being asked to.
    func isMoving(_ pod: NodePod) -> Bool {
        guard pod.deletedAt == nil else { return true }
        guard let attempt = attempts[pod.uid] else { return false }
        return attempt.isInFlight || attempt.isAccepted
    }

    static func precedes(_ left: NodePod, _ right: NodePod) -> Bool {
        if left.priority != right.priority { return left.priority < right.priority }
        if left.ownerKind == "StatefulSet", left.ownerUID == right.ownerUID, left.ordinal != right.ordinal {
            return left.ordinal > right.ordinal
        }
        return left.id < right.id
    }

    /// The pod's own grace period, unless policy or the deadline of the drain leaves less; then that, at least 1 s.
    private static func grace(
        _ pod: NodePod, at now: Timestamp, _ deadline: Timestamp, _ policy: ActuatorPolicy
    ) -> Int64? {
        let allowed = Int64(min(policy.maximumGrace, deadline - now).inSeconds)
        return pod.gracePeriodSeconds > allowed ? max(1, allowed) : nil
    }

    /// As above, with policy's word for pods that are deleted; zero only where that says so.
    private static func forcedGrace(
        _ pod: NodePod, at now: Timestamp, _ deadline: Timestamp, _ policy: ActuatorPolicy
    ) -> Int64? {
        guard let limit = policy.forceGrace else { return grace(pod, at: now, deadline, policy) }
        if limit == .zero { return 0 }
        let allowed = max(1, Int64(min(limit, deadline - now).inSeconds))
        return pod.gracePeriodSeconds > allowed ? allowed : nil
    }
}

extension NodePod {
    /// The number at the end of a StatefulSet pod's name; -1 if there is none.
    var ordinal: Int {
        guard let last = name.split(separator: "-").last, let number = Int(last) else { return -1 }
        return number
    }
}
